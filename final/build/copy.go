package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"container-workshop/final/build/files"
	"container-workshop/final/bundle"
	"container-workshop/final/dockerfile"
)

// copies does COPY and ADD.
func (s *stage) copies(ctx context.Context, i *dockerfile.Instruction) error {
	c, err := s.copyOf(ctx, i)
	if err != nil {
		return err
	}
	digest, err := c.Digest()
	if err != nil {
		return err
	}
	s.known(i.Name, i.Flags, i.Args, digest)
	return s.finish(i, func(w io.Writer) error { return c.Write(w, digest) })
}

// copyOf reads the instruction.
func (s *stage) copyOf(ctx context.Context, i *dockerfile.Instruction) (
	*files.Copy, error) {
	last := len(i.Args) - 1
	o := &files.Copy{Mode: -1, Unpack: i.Name == "ADD", Owner: &[2]int{},
		Image: s.dirs, Now: s.now(), Latest: s.Epoch}
	var err error
	if o.From, err = s.source(ctx, i.Flag("from")); err != nil {
		return nil, err
	}
	if i.Flag("from") != "" {
		o.Owner = nil
	}
	if text := i.Flag("chown"); text != "" {
		o.Chown = true
		if o.Owner, err = s.lookUp(text); err != nil {
			return nil, err
		}
	}
	if text := i.Flag("chmod"); text != "" {
		if o.Mode, err = strconv.ParseInt(text, 8, 64); err != nil ||
			o.Mode < 0 || o.Mode > 0o7777 {
			return nil, fmt.Errorf("--chmod %s: not an octal number, such as "+
				"755", text)
		}
	}
	if i.Flag("checksum") != "" || i.Flag("keep-git-dir") == "true" {
		return nil, errors.New("what is on other machines is not added: use " +
			"RUN wget")
	}
	if err = s.sources(o, i); err != nil {
		return nil, err
	}
	to := i.Args[last]
	isDir := strings.HasSuffix(to, "/") || path.Base(to) == "."
	if to == "" {
		err = errors.New("the destination is empty")
	} else if len(o.Sources)+len(o.Here) > 1 && !isDir {
		err = errors.New("with more than one source file, the destination " +
			"must be a directory and end with a /")
	}
	if o.To = to; !path.IsAbs(to) {
		o.To = path.Join("/", s.config.Config.WorkingDir, to)
	}
	if isDir {
		o.To += "/"
	}
	return o, err
}

// sources finds all that is to be copied.
func (s *stage) sources(o *files.Copy, i *dockerfile.Instruction) error {
	here := i.Files
	for _, arg := range i.Args[:len(i.Args)-1] {
		if len(here) > 0 && !i.JSON && dockerfile.IsHeredoc(arg) {
			h, err := s.heredoc(&here[0])
			if err != nil {
				return err
			}
			o.Here, here = append(o.Here, h), here[1:]
			continue
		} else if o.Unpack && (strings.Contains(arg, "://") ||
			strings.HasPrefix(arg, "git@")) {
			return fmt.Errorf("%s: what is on other machines is not "+
				"added: use RUN wget", arg)
		} else if len(o.From.Dirs) == 0 {
			return errors.New("there is no build context to copy from")
		}
		found, err := o.From.Match(arg)
		if err != nil {
			return err
		}
		o.Sources = append(o.Sources, found...)
	}
	return nil
}

// heredoc replaces the variables in one, unless its name is in quotes.
func (s *stage) heredoc(h *dockerfile.Heredoc) (files.Heredoc, error) {
	text := h.Text()
	var err error
	if h.Expand {
		text, err = dockerfile.ExpandText(text, '\\', s.env)
	}
	return files.Heredoc{Name: h.Name, Text: text}, err
}

// source is where the files are: the context, a stage, or an image.
func (s *stage) source(ctx context.Context, from string) (files.Source, error) {
	if from == "" {
		f := files.Source{Ignore: s.Ignore}
		if s.Context != "" {
			f.Dirs = []string{s.Context}
		}
		return f, nil
	}
	if other := s.find(from, s.number); other != nil {
		img, err := s.stageOf(ctx, other)
		if err != nil {
			return files.Source{}, err
		}
		return files.Source{Dirs: img.Layers}, nil
	}
	img, err := s.imageOf(from)
	if err != nil {
		return files.Source{}, err
	}
	return files.Source{Dirs: img.Layers}, nil
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
