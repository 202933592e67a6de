package layers

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Change is a path that a container has added ('A'), changed ('C') or
// deleted ('D').
type Change struct {
	Kind byte
	Path string
}

// Changes compares the upper directory of an overlay with those below: its
// paths, in their order, but for empty files that skip names.
func Changes(lower []string, upper string, skip ...string) ([]Change, error) {
	below, err := Open(lower)
	if err != nil {
		return nil, err
	}
	defer below.Close()
	above, err := Open([]string{upper})
	if err != nil {
		return nil, err
	}
	defer above.Close()
	c := &comparison{skip: skip}
	err = c.compare(above, below, "/")
	slices.SortFunc(c.list, func(a, b Change) int {
		return strings.Compare(a.Path, b.Path)
	})
	return c.list, err
}

type comparison struct {
	list []Change
	skip []string
}

// compare looks at one directory; below is nil where the lower layers have
// none. An opaque directory hides what it does not have itself.
func (c *comparison) compare(above, below *Dir, in string) error {
	names, err := above.Names()
	if err != nil {
		return err
	}
	if below != nil && isOpaque(above.fds[0]) {
		hidden, err := below.Names()
		if err != nil {
			return err
		}
		for _, name := range hidden {
			_, _, gone := below.Lstat(name)
			if !slices.Contains(names, name) && gone == nil {
				c.list = append(c.list, Change{'D', path.Join(in, name)})
			}
		}
	}
	for _, name := range names {
		if err := c.one(above, below, in, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) one(above, below *Dir, in, name string) error {
	change := Change{'A', path.Join(in, name)}
	was := unix.Stat_t{}
	if below != nil {
		if _, st, err := below.Lstat(name); err == nil {
			change.Kind, was = 'C', st
		}
	}
	_, st, err := above.Lstat(name)
	switch {
	case err == unix.ENOENT && IsWhiteout(&st) && change.Kind == 'C':
		c.list = append(c.list, Change{'D', change.Path})
		return nil
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0 &&
		slices.Contains(c.skip, change.Path[1:]):
		return nil
	}
	c.list = append(c.list, change)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	sub, err := above.Sub(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	if was.Mode&unix.S_IFMT != unix.S_IFDIR {
		return c.compare(sub, nil, change.Path)
	}
	lower, err := below.Sub(name)
	if err != nil {
		return err
	}
	defer lower.Close()
	return c.compare(sub, lower, change.Path)
}

// CopyUp fills a volume's directory, if it is empty, with what the image has in
// its place.
func CopyUp(list []string, from, dir string) error {
	old, err := os.ReadDir(dir)
	if err != nil || len(old) > 0 {
		return err
	}
	parent, base, err := Lookup(list, from)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	} else if err != nil {
		return err
	}
	_, st, err := parent.Lstat(base)
	parent.Close()
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	archive := Pack(list, from)
	defer archive.Close()
	_, err = Extract(archive, dir, ExtractOptions{Into: true})
	return err
}
