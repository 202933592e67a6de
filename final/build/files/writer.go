package files

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"

	"container-workshop/final/image"
	"container-workshop/final/layers"

	"golang.org/x/sys/unix"
)

// writer writes the archive that becomes a layer. In it every directory above a
// file has an entry, as the image has it: the layer lies on top, and what it
// says of a directory counts.
type writer struct {
	*Copy
	*layers.Writer
	image    below
	key      bool // it is only for the digest
	made     map[string]bool
	inImage  bool   // Add writes a directory of the image
	name, as string // of the source that is being added
	top      bool   // its first entry is yet to come
	pending  []tar.Header
	err      error
}

func (c *Copy) writer(w io.Writer) *writer {
	p := &writer{Copy: c, image: c.Image, made: map[string]bool{}}
	p.Writer = layers.NewWriter(w, p.edit)
	return p
}

// edit decides on one entry, and makes it what the image shall have.
func (p *writer) edit(h *tar.Header) (write, descend bool) {
	if p.inImage || p.err != nil {
		return p.err == nil, false
	}
	target := path.Clean(h.Name)
	name := path.Join(p.name, strings.TrimPrefix(target, p.as))
	if p.as == "." {
		name = path.Join(p.name, target)
	}
	isDir := h.Typeflag == tar.TypeDir
	if p.top {
		p.top = false
		return false, true
	}
	ignored := p.From.ignored(name)
	if ignored && !(isDir && p.From.exceptions()) {
		return false, false
	}
	if p.check(target, isDir); p.err != nil {
		return false, false
	}
	p.adapt(h, p.Owner)
	if ignored { // something in it may count
		p.pending = append(p.pending, *h)
		return false, true
	}
	for _, dir := range p.pending {
		if strings.HasPrefix(h.Name, dir.Name) && p.err == nil {
			p.err = p.WriteHeader(&dir)
		}
	}
	p.pending = nil
	return p.err == nil, true
}

// exceptions says that what is in an ignored directory may count.
func (f *Source) exceptions() bool {
	return f.Ignore != nil && f.Ignore.Exceptions
}

// adapt gives the entry its owner, mode and time.
func (p *writer) adapt(h *tar.Header, owner *[2]int) {
	if owner != nil {
		h.Uid, h.Gid = owner[0], owner[1]
	}
	if p.Mode >= 0 && h.Typeflag != tar.TypeSymlink {
		h.Mode = p.Mode
	}
	if p.Latest != nil && h.ModTime.After(*p.Latest) {
		h.ModTime = *p.Latest
	}
	if p.key {
		h.ModTime = time.Time{}
	}
}

// check refuses what would hide something else of the image, or could not be
// told from a sign of the layer.
func (p *writer) check(target string, isDir bool) {
	if strings.HasPrefix(path.Base(target), ".wh.") {
		p.err = fmt.Errorf("%s: what begins with .wh. is a sign in a layer, "+
			"not a file", target)
	}
	if p.key || p.err != nil {
		return
	}
	up := path.Dir("/" + target)
	if there, known := p.made[up]; known && !there {
		p.made["/"+target] = false
		return
	}
	st, _, err := p.image.look("/" + target)
	switch kind := mode(st); {
	case err != nil:
		p.err = err
	case isDir && kind != 0 && kind != unix.S_IFDIR:
		p.err = fmt.Errorf("cannot copy to non-directory: /%s", target)
	case !isDir && kind == unix.S_IFDIR:
		p.err = fmt.Errorf("cannot overwrite a directory with a file: /%s",
			target)
	}
	if isDir {
		p.made["/"+target] = st != nil
	}
}

func (p *writer) exists(name string) bool {
	st, _, err := p.image.look(name)
	return st != nil || err != nil
}

// parents writes the directory and those above it, once each. made says of each
// whether the image has it.
func (p *writer) parents(dir string) error {
	if _, done := p.made[dir]; done || p.key {
		return nil
	}
	if dir != "/" {
		if err := p.parents(path.Dir(dir)); err != nil {
			return err
		}
	}
	st, _, err := p.image.look(dir)
	if err != nil {
		return err
	}
	p.made[dir] = st != nil
	name := strings.TrimPrefix(dir, "/")
	if st == nil {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755,
			ModTime: p.Now.Truncate(time.Second), Format: tar.FormatPAX}
		if p.Owner != nil {
			h.Uid, h.Gid = p.Owner[0], p.Owner[1]
		}
		return p.WriteHeader(h)
	}
	if len(p.image) == 0 {
		return nil // the root of an image without layers
	}
	from, base, err := layers.Lookup(p.image, dir)
	if err != nil {
		return err
	}
	defer from.Close()
	if name == "" {
		name = "."
	}
	p.inImage = true
	err = p.Add(from, base, name)
	p.inImage = false
	return err
}

// archive unpacks a file if it is an archive, which may be compressed.
func (p *writer) archive(dir *layers.Dir, base, to string) (bool, error) {
	where, _, err := dir.Lstat(base)
	if err != nil {
		return false, err
	}
	file, err := os.OpenFile(where, os.O_RDONLY|unix.O_NOFOLLOW|
		unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer file.Close()
	plain, err := decompress(bufio.NewReaderSize(file, 1<<16))
	if err != nil {
		return false, nil // whatever it is, it is no archive
	}
	defer plain.Close()
	r := tar.NewReader(plain)
	h, err := r.Next()
	if err != nil {
		return false, nil
	}
	if err = p.parents(to); err != nil {
		return true, err
	}
	for ; err == nil; h, err = r.Next() {
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err = p.entry(h, r, to); err != nil {
			return true, fmt.Errorf("unpack %s: %.200q: %w", base, h.Name, err)
		}
	}
	if err != io.EOF {
		return true, fmt.Errorf("unpack %s: %w", base, err)
	}
	return true, nil
}

// entry writes one entry of an archive below a directory.
func (p *writer) entry(h *tar.Header, data io.Reader, to string) error {
	place := func(name string) (string, error) {
		for part := range strings.SplitSeq(name, "/") {
			if part == ".." {
				return "", errors.New("a path with .. in it")
			} else if strings.HasPrefix(part, ".wh.") {
				return "", errors.New("no layer can hold such a name")
			}
		}
		return path.Join(to, name), nil
	}
	target, err := place(h.Name)
	if err == nil && h.Typeflag == tar.TypeLink {
		h.Linkname, err = place(h.Linkname)
		h.Linkname = strings.TrimPrefix(h.Linkname, "/")
	}
	if err == nil && target != to {
		err = p.parents(path.Dir(target))
	}
	if err != nil || target == to {
		return err
	}
	isDir := h.Typeflag == tar.TypeDir
	if isDir {
		p.made[target] = p.exists(target)
	}
	if h.Name = strings.TrimPrefix(target, "/"); isDir {
		h.Name += "/"
	}
	h.Format = tar.FormatPAX
	if p.Chown {
		p.adapt(h, p.Owner)
	} else {
		p.adapt(h, nil)
	}
	if err = p.WriteHeader(h); err == nil {
		_, err = io.Copy(p.Writer, data)
	}
	return err
}

// decompress knows two forms more than package image does.
func decompress(r *bufio.Reader) (io.ReadCloser, error) {
	magic, _ := r.Peek(6)
	if bytes.HasPrefix(magic, []byte("BZh")) {
		return io.NopCloser(bzip2.NewReader(r)), nil
	} else if !bytes.Equal(magic, []byte("\xfd7zXZ\x00")) {
		return image.Decompress(r)
	}
	cmd := exec.Command("xz", "-dc")
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("xz -dc: %w: install xz-utils", err)
	}
	return &process{out, cmd}, nil
}

type process struct {
	io.ReadCloser
	cmd *exec.Cmd
}

func (p *process) Close() error {
	p.ReadCloser.Close()
	return p.cmd.Wait()
}
