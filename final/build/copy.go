package build

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"container-workshop/final/bundle"
	"container-workshop/final/dockerfile"
	"container-workshop/final/layers"

	"golang.org/x/sys/unix"
)

// order is what one COPY or ADD wants.
type order struct {
	from    *files
	sources []string
	here    []dockerfile.Heredoc
	to      string  // as it is written
	unpacks bool    // ADD: archives of the context
	chown   bool    // --chown was given
	owner   *[2]int // nil: as it is
	mode    int64   // -1: as it is
}

// copies does COPY and ADD. The key counts all that is copied but times; what
// is copied is read once more for the layer, and counted again.
func (s *stage) copies(ctx context.Context, i *dockerfile.Instruction) error {
	o, err := s.order(ctx, i)
	if err != nil {
		return err
	}
	content, err := s.content(o)
	if err != nil {
		return err
	}
	if s.known(i.Name, i.Flags, i.Args, content) {
		return s.finish(i, nil)
	}
	to := o.to
	if !path.IsAbs(to) {
		to = path.Join("/", s.config.Config.WorkingDir, to)
	}
	real, st, err := s.resolve(to)
	if err != nil {
		return err
	}
	toDir := mode(st) == unix.S_IFDIR || strings.HasSuffix(o.to, "/") ||
		path.Base(o.to) == "."
	if st != nil && toDir && mode(st) != unix.S_IFDIR {
		return fmt.Errorf("cannot copy to non-directory: %s", real)
	}
	return s.finish(i, func(w io.Writer) error {
		p := s.newPlacer(w, o)
		err := p.all(real, toDir)
		if err == nil {
			err = p.Close()
		}
		if again, bad := s.content(o); err == nil && again != content {
			err = cmp.Or(bad, errors.New("the files changed while they were "+
				"copied: build again"))
		}
		return err
	})
}

// order reads the instruction.
func (s *stage) order(ctx context.Context, i *dockerfile.Instruction) (*order,
	error) {
	last := len(i.Args) - 1
	o := &order{to: i.Args[last], mode: -1, unpacks: i.Name == "ADD",
		owner: &[2]int{}}
	var err error
	if o.from, err = s.source(ctx, i.Flag("from")); err != nil {
		return nil, err
	}
	if i.Flag("from") != "" {
		o.owner = nil
	}
	if text := i.Flag("chown"); text != "" {
		o.chown = true
		if o.owner, err = s.lookUp(text); err != nil {
			return nil, err
		}
	}
	if text := i.Flag("chmod"); text != "" {
		if o.mode, err = strconv.ParseInt(text, 8, 64); err != nil ||
			o.mode < 0 || o.mode > 0o7777 {
			return nil, fmt.Errorf("--chmod %s: not an octal number, such as "+
				"755", text)
		}
	}
	if i.Flag("checksum") != "" || i.Flag("keep-git-dir") == "true" {
		return nil, errors.New("what is on other machines is not added: use " +
			"RUN wget")
	}
	here := i.Files
	for _, arg := range i.Args[:last] {
		if len(here) > 0 && !i.JSON && dockerfile.IsHeredoc(arg) {
			o.here, here = append(o.here, here[0]), here[1:]
			continue
		} else if o.unpacks && (strings.Contains(arg, "://") ||
			strings.HasPrefix(arg, "git@")) {
			return nil, fmt.Errorf("%s: what is on other machines is not "+
				"added: use RUN wget", arg)
		} else if len(o.from.dirs) == 0 {
			return nil, errors.New("there is no build context to copy from")
		}
		found, err := o.from.match(arg)
		if err != nil {
			return nil, err
		}
		o.sources = append(o.sources, found...)
	}
	if o.to == "" {
		err = errors.New("the destination is empty")
	} else if len(o.sources)+len(o.here) > 1 && !strings.HasSuffix(o.to, "/") &&
		path.Base(o.to) != "." {
		err = errors.New("with more than one source file, the destination " +
			"must be a directory and end with a /")
	}
	return o, err
}

// source is where the files are: the context, a stage, or an image.
func (s *stage) source(ctx context.Context, from string) (*files, error) {
	if from == "" {
		f := &files{ignore: s.Ignore}
		if s.Context != "" {
			f.dirs = []string{s.Context}
		}
		return f, nil
	}
	if other := s.find(from, s.number); other != nil {
		img, err := s.stageOf(ctx, other)
		if err != nil {
			return nil, err
		}
		return &files{dirs: img.Layers}, nil
	}
	img, err := s.imageOf(from)
	if err != nil {
		return nil, err
	}
	return &files{dirs: img.Layers}, nil
}

// lookUp finds USER[:GROUP] in the image. A number alone is the group's, too.
func (s *stage) lookUp(text string) (*[2]int, error) {
	user, _, grouped := strings.Cut(text, ":")
	if _, err := strconv.Atoi(user); err == nil && !grouped {
		text += ":" + user
	}
	u, _, err := bundle.LookUp(s.dirs, text, nil)
	return &[2]int{int(u.UID), int(u.GID)}, err
}

// content is the digest of what is copied: names, owners, modes and bytes. An
// archive that ADD unpacks counts as the file that it is.
func (s *stage) content(o *order) (string, error) {
	sum := sha256.New()
	p := s.newPlacer(sum, o)
	p.key = true
	err := p.all("/", true)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// all writes every source. toDir says that to is a directory, or becomes one.
func (p *placer) all(to string, toDir bool) error {
	for _, name := range p.sources {
		dir, base, st, err := p.from.find(name)
		if err != nil {
			return err
		}
		err = p.source(dir, base, name, to, st, toDir)
		dir.Close()
		if err != nil {
			return err
		}
	}
	for _, h := range p.here {
		if err := p.heredoc(&h, to, toDir); err != nil {
			return err
		}
	}
	return nil
}

// source writes one: what is in it, if it is a directory.
func (p *placer) source(dir *layers.Dir, base, name, to string,
	st unix.Stat_t, toDir bool) error {
	isDir := mode(&st) == unix.S_IFDIR
	if p.unpacks && mode(&st) == unix.S_IFREG && !p.key {
		if done, err := p.archive(dir, base, to); done || err != nil {
			return err
		}
	}
	target := to
	if !isDir && toDir {
		target = path.Join(to, path.Base(name))
	} else if isDir && !toDir && p.exists(to) {
		return fmt.Errorf("cannot copy to non-directory: %s", to)
	}
	if isDir {
		if err := p.parents(target); err != nil {
			return err
		}
	} else if err := p.parents(path.Dir(target)); err != nil {
		return err
	}
	p.name, p.as, p.pending = name, strings.TrimPrefix(target, "/"), nil
	p.top = isDir // its own entry is the destination's
	if p.as == "" {
		p.as = "."
	}
	if err := p.Add(dir, base, p.as); err != nil {
		return err
	}
	return p.err
}

// heredoc writes a file that is in the Dockerfile.
func (p *placer) heredoc(h *dockerfile.Heredoc, to string, toDir bool) error {
	text := h.Text()
	if h.Expand {
		var err error
		if text, err = dockerfile.ExpandText(text, '\\', p.env); err != nil {
			return err
		}
	}
	if toDir {
		to = path.Join(to, path.Base(h.Name))
	}
	if err := p.parents(path.Dir(to)); err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644,
		Name: strings.TrimPrefix(to, "/"), Size: int64(len(text)),
		ModTime: p.now(), Format: tar.FormatPAX}
	p.name, p.as, p.top = path.Base(to), header.Name, false
	if write, _ := p.edit(header); !write {
		return p.err
	}
	err := p.WriteHeader(header)
	if err == nil {
		_, err = io.WriteString(p, text)
	}
	return err
}
