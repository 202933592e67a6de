package files

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"container-workshop/final/layers"

	"golang.org/x/sys/unix"
)

// Copy is what one COPY or ADD wants.
type Copy struct {
	From    Source
	Sources []string // below From
	Here    []Heredoc
	To      string   // an absolute path; with a slash behind it, a directory
	Image   []string // what To is in: layers, the lowest first
	Unpack  bool     // ADD: archives of the context
	Chown   bool     // the owner also counts for what is unpacked
	Owner   *[2]int  // user and group; nil: as it is
	Mode    int64    // -1: as it is
	Now     time.Time
	Latest  *time.Time // nothing is to be younger; nil: it may
}

// Heredoc is a file that is in the Dockerfile.
type Heredoc struct{ Name, Text string }

// Digest counts all that is copied but its times: names, owners, modes, bytes.
// An archive that is to be unpacked counts as the file that it is.
func (c *Copy) Digest() (string, error) {
	sum := sha256.New()
	p := c.writer(sum)
	p.key = true
	err := p.all("/", true)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// Write writes the archive. It reads all files anew, and what it has read must
// be what the digest has counted.
func (c *Copy) Write(w io.Writer, digest string) error {
	p := c.writer(w)
	real, st, err := p.image.resolve(c.To)
	if err != nil {
		return err
	}
	toDir := mode(st) == unix.S_IFDIR || strings.HasSuffix(c.To, "/")
	if st != nil && toDir && mode(st) != unix.S_IFDIR {
		return fmt.Errorf("cannot copy to non-directory: %s", real)
	}
	if err = p.all(real, toDir); err == nil {
		err = p.Close()
	}
	if err != nil {
		return err
	}
	again, err := c.Digest()
	if again != digest {
		err = cmp.Or(err, errors.New("the files changed while they were "+
			"copied: build again"))
	}
	return err
}

// MakeDir writes the archive of a directory that the image does not have.
func MakeDir(w io.Writer, image []string, dir string, now time.Time) error {
	p := (&Copy{Image: image, Now: now}).writer(w)
	real, _, err := p.image.resolve(dir)
	if err == nil {
		err = p.parents(real)
	}
	if err == nil {
		err = p.Close()
	}
	return err
}

// all writes every source. toDir says that to is a directory, or becomes one.
func (p *writer) all(to string, toDir bool) error {
	for _, name := range p.Sources {
		dir, base, st, err := p.From.find(name)
		if err != nil {
			return err
		}
		err = p.source(dir, base, name, to, st, toDir)
		dir.Close()
		if err != nil {
			return err
		}
	}
	for _, h := range p.Here {
		if err := p.heredoc(h, to, toDir); err != nil {
			return err
		}
	}
	return nil
}

// source writes one: what is in it, if it is a directory.
func (p *writer) source(dir *layers.Dir, base, name, to string,
	st unix.Stat_t, toDir bool) error {
	isDir := mode(&st) == unix.S_IFDIR
	if p.Unpack && mode(&st) == unix.S_IFREG && !p.key {
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
func (p *writer) heredoc(h Heredoc, to string, toDir bool) error {
	if toDir {
		to = path.Join(to, path.Base(h.Name))
	}
	if err := p.parents(path.Dir(to)); err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Mode: 0o644,
		Name: strings.TrimPrefix(to, "/"), Size: int64(len(h.Text)),
		ModTime: p.Now, Format: tar.FormatPAX}
	p.name, p.as, p.top = path.Base(to), header.Name, false
	if write, _ := p.edit(header); !write {
		return p.err
	}
	err := p.WriteHeader(header)
	if err == nil {
		_, err = io.WriteString(p.Writer, h.Text)
	}
	return err
}
