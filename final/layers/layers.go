// Package layers looks into an overlay that is not mounted: what overlayfs
// would show of directories that lie upon each other.
package layers

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Dir is a directory as it would be merged: open in each layer that has it,
// the highest first. A name is looked up there one component at a time and
// never through a link, so no link leads out of the layers.
type Dir struct{ fds []int }

// Open opens the root of layers, which are directories, the lowest first.
func Open(list []string) (*Dir, error) {
	d := &Dir{}
	for _, dir := range slices.Backward(list) {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC,
			0)
		if err != nil {
			d.Close()
			return nil, &os.PathError{Op: "open", Path: dir, Err: err}
		}
		d.fds = append(d.fds, fd)
	}
	return d, nil
}

// Path leads to the directory in the highest layer, as long as d is open.
func (d *Dir) Path() string { return fmt.Sprintf("/proc/self/fd/%d", d.fds[0]) }

// Close closes the directory in every layer.
func (d *Dir) Close() {
	for _, fd := range d.fds {
		unix.Close(fd)
	}
	d.fds = nil
}

// Lstat finds name in the highest layer that has it. path leads there for
// calls that take no directory, as long as d is open.
func (d *Dir) Lstat(name string) (path string, st unix.Stat_t, err error) {
	err = unix.ENOENT
	for _, fd := range d.fds {
		err = unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil && IsWhiteout(&st) {
			err = unix.ENOENT
		} else if err == unix.ENOENT {
			continue
		}
		return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name), st, err
	}
	return "", st, err
}

// Sub opens a directory in d. A layer in which it is opaque, or where
// something else has its name, hides those below.
func (d *Dir) Sub(name string) (*Dir, error) {
	sub := &Dir{}
	for _, fd := range d.fds {
		next, err := unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|
			unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			continue
		} else if err == unix.ENOTDIR && len(sub.fds) > 0 {
			break
		} else if err != nil {
			sub.Close()
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		sub.fds = append(sub.fds, next)
		if isOpaque(next) {
			break
		}
	}
	if len(sub.fds) == 0 {
		return nil, &os.PathError{Op: "open", Path: name, Err: unix.ENOENT}
	}
	return sub, nil
}

// Names lists the directory, in order; some may turn out to be whiteouts.
func (d *Dir) Names() (names []string, err error) {
	for _, fd := range d.fds {
		dir, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			return nil, err
		}
		some, err := dir.Readdirnames(-1)
		dir.Close()
		if err != nil {
			return nil, err
		}
		names = append(names, some...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// IsWhiteout says whether a file only hides a name: a device 0:0.
func IsWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

func isOpaque(fd int) bool {
	path, mark := fmt.Sprintf("/proc/self/fd/%d", fd), []byte{0}
	for _, name := range []string{"trusted", "user"} {
		n, err := unix.Getxattr(path, name+".overlay.opaque", mark)
		if err == nil && n == 1 && mark[0] == 'y' {
			return true
		}
	}
	return false
}

// Lookup follows a path with all its symbolic links, for which the layers' root
// is the root. It returns the directory of the last component, and its name:
// not a link; "." for the root itself.
func Lookup(list []string, path string) (*Dir, string, error) {
	root, err := Open(list)
	if err != nil {
		return nil, "", err
	}
	stack, links := []*Dir{root}, 0
	up := func(depth int) {
		for len(stack) > depth {
			stack[len(stack)-1].Close()
			stack = stack[:len(stack)-1]
		}
	}
	todo, base := strings.Split(path, "/"), "."
	for err == nil && len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if name == "" || name == "." {
			continue
		} else if base != "." { // what has more after it is a directory
			var sub *Dir
			if sub, err = stack[len(stack)-1].Sub(base); err != nil {
				break
			}
			stack, base = append(stack, sub), "."
		}
		if name == ".." {
			up(max(len(stack)-1, 1))
			continue
		}
		where, st, bad := stack[len(stack)-1].Lstat(name)
		if err = bad; err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			var target string
			target, err = os.Readlink(where)
			if strings.HasPrefix(target, "/") {
				up(1)
			}
			if links++; links > 40 {
				err = unix.ELOOP
			}
			todo = append(strings.Split(target, "/"), todo...)
			continue
		}
		base = name
	}
	if err != nil {
		up(0)
		return nil, "", &os.PathError{Op: "find", Path: path, Err: err}
	}
	last := stack[len(stack)-1]
	stack = stack[:len(stack)-1]
	up(0)
	return last, base, nil
}

// ReadFile reads a small file, and follows links as Lookup does. What is no
// file, such as a pipe that would never end, is an error.
func ReadFile(list []string, path string) ([]byte, error) {
	dir, base, err := Lookup(list, path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	where, _, err := dir.Lstat(base)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(where, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|
		unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s: more than %d bytes", path, most)
	}
	return text, err
}

const most = 16 << 20
