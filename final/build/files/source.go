// Package files finds and archives what COPY and ADD copy.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"container-workshop/final/dockerfile/ignore"
	"container-workshop/final/layers"

	"golang.org/x/sys/unix"
)

// Source is what COPY copies from: the context, or an image. A path is looked
// up with the directory, or the image's root, for the root, so that neither ..
// nor a link leads out: package layers.
type Source struct {
	Dirs   []string // the lowest first; none: there is nothing
	Ignore *ignore.List
}

func (f *Source) ignored(name string) bool {
	return f.Ignore != nil && name != "." && f.Ignore.Match(name)
}

// clean makes a name of a source: below the root, without a slash before it.
func clean(source string) (string, error) {
	if name := path.Clean(source); name == ".." ||
		strings.HasPrefix(name, "../") {
		return "", fmt.Errorf("forbidden path outside the build context: %s",
			source)
	}
	name := strings.TrimPrefix(path.Clean("/"+source), "/")
	if name == "" {
		name = "."
	}
	return name, nil
}

// Match finds what a source names, which may be a pattern.
func (f *Source) Match(source string) ([]string, error) {
	name, err := clean(source)
	if err != nil {
		return nil, err
	}
	if !strings.ContainsAny(name, `*?[\`) {
		return []string{name}, nil
	}
	found := []string{"."}
	for part := range strings.SplitSeq(name, "/") {
		var next []string
		for _, dir := range found {
			names, err := f.names(dir)
			if errors.Is(err, fs.ErrNotExist) ||
				errors.Is(err, unix.ENOTDIR) {
				continue
			} else if err != nil {
				return nil, err
			}
			for _, n := range names {
				ok, err := path.Match(part, n)
				if err != nil {
					return nil, fmt.Errorf("pattern %s: %w", source, err)
				} else if ok {
					next = append(next, path.Join(dir, n))
				}
			}
		}
		found = next
	}
	found = slices.DeleteFunc(found, func(name string) bool {
		return f.ignored(name) && !f.exceptions()
	})
	if len(found) == 0 {
		return nil, fmt.Errorf("no source files were specified: nothing "+
			"matches %s", source)
	}
	return found, nil
}

// names lists a directory.
func (f *Source) names(dir string) ([]string, error) {
	d, err := openDir(f.Dirs, dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, err := d.Names()
	return slices.DeleteFunc(all, func(name string) bool {
		_, _, gone := d.Lstat(name)
		return gone != nil
	}), err
}

// openDir opens a directory in layers, following links.
func openDir(dirs []string, name string) (*layers.Dir, error) {
	parent, base, err := layers.Lookup(dirs, name)
	if err != nil || base == "." {
		return parent, err
	}
	defer parent.Close()
	return parent.Sub(base)
}

// find opens the directory that a file is in.
func (f *Source) find(name string) (dir *layers.Dir, base string,
	st unix.Stat_t, err error) {
	dir, base, err = layers.Lookup(f.Dirs, name)
	if err == nil {
		if _, st, err = dir.Lstat(base); err != nil {
			dir.Close()
		}
	}
	ignored := f.ignored(name) && !(f.exceptions() && mode(&st) == unix.S_IFDIR)
	if err == nil && ignored {
		dir.Close()
	}
	if ignored || errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("file not found in build context or excluded by "+
			".dockerignore: %s: %w", name, fs.ErrNotExist)
	}
	return dir, base, st, err
}

// below is the image that files are copied to: its layers, the lowest first.
type below []string

// Exists says whether the image has a file.
func Exists(image []string, name string) (bool, error) {
	_, st, err := below(image).resolve(name)
	return st != nil, err
}

// resolve says which path a path in the image really is, with no link in it,
// and what is there: nil if there is nothing.
func (b below) resolve(name string) (real string, st *unix.Stat_t,
	err error) {
	todo, links := strings.Split(name, "/"), 0
	for real = "/"; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		next := path.Join(real, part)
		if next == real {
			continue
		}
		var target string
		if st, target, err = b.look(next); err != nil {
			return "", nil, err
		}
		if target == "" {
			real = next
			if kind := mode(st); kind != unix.S_IFDIR && kind != 0 &&
				strings.Join(todo, "") != "" {
				return "", nil, fmt.Errorf("%s: not a directory", real)
			}
			continue
		}
		if links++; links > 40 {
			return "", nil, fmt.Errorf("%s: %w", name, unix.ELOOP)
		}
		if path.IsAbs(target) {
			real = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	if st == nil || real == "/" {
		st, _, err = b.look(real)
	}
	return real, st, err
}

func mode(st *unix.Stat_t) uint32 {
	if st == nil {
		return 0
	}
	return st.Mode & unix.S_IFMT
}

// look finds a file of the image, but does not follow it if it is a link.
func (b below) look(name string) (st *unix.Stat_t, target string,
	err error) {
	if name == "/" {
		return &unix.Stat_t{Mode: unix.S_IFDIR | 0o755}, "", nil
	}
	dir, err := openDir(b, path.Dir(name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, "", nil
	} else if err != nil {
		return nil, "", err
	}
	defer dir.Close()
	where, found, err := dir.Lstat(path.Base(name))
	if err == unix.ENOENT {
		return nil, "", nil
	} else if err == nil && found.Mode&unix.S_IFMT == unix.S_IFLNK {
		target, err = os.Readlink(where)
	}
	return &found, target, err
}
