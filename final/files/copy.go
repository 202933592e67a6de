package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"container-workshop/final/image"
	"container-workshop/final/layers"

	"golang.org/x/sys/unix"
)

// A Place is a path below a root directory, which is a container's or ours.
// Every component of it is looked up there, so no link leads out, whatever the
// container does meanwhile.
type Place struct {
	Root *os.File
	Path string
}

// CopyOptions are those of cp.
type CopyOptions struct {
	Archive bool // keep owners
	Follow  bool // copy what the source links to
}

func (p Place) list() []string {
	return []string{fmt.Sprintf("/proc/self/fd/%d", p.Root.Fd())}
}

// find looks a path up; name is "." for the root itself.
func (p Place) find(follow bool) (dir *layers.Dir, name string,
	st unix.Stat_t, err error) {
	if name = path.Clean("/" + p.Path); follow || name == "/" {
		dir, name, err = layers.Lookup(p.list(), name)
	} else {
		var up string
		dir, up, err = layers.Lookup(p.list(), path.Dir(name))
		if name = path.Base(name); err == nil && up != "." {
			parent := dir
			dir, err = parent.Sub(up)
			parent.Close()
		}
	}
	if err == nil {
		if _, st, err = dir.Lstat(name); err != nil {
			dir.Close()
		}
	}
	return dir, name, st, err
}

func isDir(st unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// in opens a directory.
func in(dir *layers.Dir, name string) (*layers.Dir, error) {
	if name == "." {
		return dir, nil
	}
	defer dir.Close()
	return dir.Sub(name)
}

// Out writes a tar archive of what is at a place, under its own name.
func Out(from Place, o CopyOptions, w io.Writer) error {
	dir, name, _, err := from.find(o.Follow || strings.HasSuffix(from.Path,
		"/"))
	if err != nil {
		return fmt.Errorf("%s: %w", from.Path, errno(err))
	}
	defer dir.Close()
	return layers.Entry(dir, name, base(from.Path), w)
}

// In unpacks a tar archive in a directory.
func In(r io.Reader, to Place, o CopyOptions) error {
	dir, name, st, err := to.find(true)
	if err == nil && !isDir(st) {
		dir.Close()
		err = errors.New("destination must be a directory")
	} else if err == nil {
		dir, err = in(dir, name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", to.Path, errno(err))
	}
	defer dir.Close()
	plain, err := image.Decompress(bufio.NewReader(r))
	if err != nil {
		return err
	}
	defer plain.Close()
	_, err = layers.Extract(plain, dir.Path(), layers.ExtractOptions{
		Into: true, Plain: true, Mine: !o.Archive})
	return err
}

// Copy copies a file or a directory, by Docker's rules: to a new name, over a
// file, or into a directory. It returns the bytes of the files.
func Copy(from, to Place, o CopyOptions) (int64, error) {
	source, name, st, err := from.find(o.Follow || strings.HasSuffix(
		from.Path, "/"))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", from.Path, errno(err))
	}
	defer source.Close()
	as := base(from.Path)
	if isDir(st) && (as == "." || strings.HasSuffix(from.Path, "/.")) {
		as = "" // only what is in it
	}
	dir, as, err := to.open(as, isDir(st))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", to.Path, errno(err))
	}
	defer dir.Close()
	archive := layers.Stream(func(w io.Writer) error {
		return layers.Entry(source, name, as, w)
	})
	defer archive.Close()
	return layers.Extract(archive, dir.Path(), layers.ExtractOptions{
		Into: true, Plain: true, Mine: !o.Archive})
}

// open finds the directory that a copy comes into, and the name that it has
// there.
func (p Place) open(as string, isTree bool) (*layers.Dir, string, error) {
	dir, name, st, err := p.find(true)
	switch {
	case err == nil && isDir(st):
		dir, err = in(dir, name)
		return dir, as, err
	case err == nil && isTree:
		dir.Close()
		return nil, "", errors.New("cannot copy a directory to a file")
	case err == nil && strings.HasSuffix(p.Path, "/"):
		dir.Close()
		return nil, "", unix.ENOTDIR
	case err == nil:
		return dir, name, nil
	case !errors.Is(err, unix.ENOENT):
		return nil, "", err
	case strings.HasSuffix(p.Path, "/") && !isTree:
		return nil, "", errors.New("the destination directory must exist")
	}
	clean := path.Clean("/" + p.Path)
	dir, name, st, err = Place{p.Root, path.Dir(clean)}.find(true)
	if err == nil && !isDir(st) {
		dir.Close()
		err = unix.ENOTDIR
	} else if err == nil {
		dir, err = in(dir, name)
	}
	return dir, path.Base(clean), err
}

// base is the last name of a path; the root has none.
func base(p string) string {
	if name := path.Base(path.Clean("/" + p)); name != "/" {
		return name
	}
	return "."
}

// errno leaves away where in our files the error was.
func errno(err error) error {
	var number unix.Errno
	if errors.As(err, &number) {
		return number
	}
	return err
}
