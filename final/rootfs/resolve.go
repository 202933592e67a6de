package rootfs

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// root is the root directory, and what else we have opened until close.
type root struct {
	fd   int
	open []int
}

func open(path string) (*root, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open root %s: %w", path, err)
	}
	return &root{fd, []int{fd}}, nil
}

func (r *root) close() {
	for _, fd := range r.open {
		unix.Close(fd)
	}
}

// closeRest closes all but the root. With the 65th open file the kernel makes a
// larger table of them, and waits for all processors to have noticed (RCU).
func (r *root) closeRest() {
	for _, fd := range r.open[1:] {
		unix.Close(fd)
	}
	r.open = r.open[:1]
}

// keep remembers an open file for close.
func (r *root) keep(fd int, err error) (int, error) {
	if err == nil {
		r.open = append(r.open, fd)
	}
	return fd, err
}

// lookup opens a path below the root: ".." and symbolic links, absolute ones
// too, end there. EAGAIN is what openat2 says when somebody renames
// directories at the same time; it may be meant to.
func (r *root) lookup(path string, resolve uint64) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | resolve}
	err = unix.EAGAIN
	for try := 0; err == unix.EAGAIN && try < 100; try++ {
		fd, err = r.keep(unix.Openat2(r.fd, path, &how))
	}
	return fd, err
}

// maxLinks is the kernel's: path_resolution(7).
const maxLinks = 40

// create is lookup, and makes what is missing: path itself with mode, and the
// directories above it. Where a symbolic link leads to nothing it makes that:
// /etc/resolv.conf is often one. Path begins with a slash.
func (r *root) create(path string, mode uint32, links int) (int, error) {
	fd, err := r.lookup(path, 0)
	if err != unix.ENOENT {
		return fd, err
	} else if links == 0 {
		return -1, unix.ELOOP
	}
	parent, name := filepath.Split(strings.TrimRight(path, "/"))
	dir, err := r.create(parent, unix.S_IFDIR|0o755, links)
	if err != nil {
		return -1, err
	}
	if mode&unix.S_IFMT == unix.S_IFDIR {
		err = unix.Mkdirat(dir, name, mode&0o7777)
	} else {
		err = unix.Mknodat(dir, name, mode, 0)
	}
	if err != nil && err != unix.EEXIST {
		return -1, err
	}
	to := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, to)
	if err != nil {
		return r.lookup(path, 0)
	}
	if to = to[:n]; to[0] != '/' {
		to = append([]byte(parent), to...)
	}
	return r.create(string(to), mode, links-1)
}

// tree copies a mount, mounted nowhere yet: open_tree(2).
func (r *root) tree(dir int, path string, flags uint) (int, error) {
	return r.keep(unix.OpenTree(dir, path,
		flags|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC))
}

// place mounts a tree at an open file.
func place(tree, at int) error {
	return unix.MoveMount(tree, "", at, "",
		unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// setattr changes the mount at an open file: mount_setattr(2).
func setattr(fd int, flags uint, attr *unix.MountAttr) error {
	if *attr == (unix.MountAttr{}) {
		return nil
	}
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|flags, attr)
}

var readOnly = &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
