package rootfs

import (
	"cmp"
	"fmt"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What OCI has in every container: config-linux.md#default-devices.
var devices = [...]specs.LinuxDevice{
	{Type: "c", Path: "/dev/null", Major: 1, Minor: 3},
	{Type: "c", Path: "/dev/zero", Major: 1, Minor: 5},
	{Type: "c", Path: "/dev/full", Major: 1, Minor: 7},
	{Type: "c", Path: "/dev/random", Major: 1, Minor: 8},
	{Type: "c", Path: "/dev/urandom", Major: 1, Minor: 9},
	{Type: "c", Path: "/dev/tty", Major: 5, Minor: 0},
}

var links = [...][2]string{
	{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
	{"ptmx", "pts/ptmx"}, {"core", "/proc/kcore"},
}

// makeDev fills /dev. The ptmx of the container's own devpts is the only one
// there may be: pts(4).
func (r *root) makeDev(list []specs.LinuxDevice, console bool) error {
	for _, d := range append(list[:len(list):len(list)], devices[:]...) {
		if d.Path = filepath.Clean("/" + d.Path); d.Path == "/dev/ptmx" {
			continue
		}
		if err := r.makeDevice(&d); err != nil {
			return fmt.Errorf("device %s: %w", d.Path, err)
		}
		r.closeRest()
	}
	dev, err := r.lookup("/dev", 0)
	if err == nil && console {
		_, err = r.create("/dev/console", unix.S_IFREG|0o600, maxLinks)
	}
	if err != nil {
		return fmt.Errorf("open /dev: %w", err)
	}
	_, noKcore := r.lookup("/proc/kcore", 0)
	unix.Unlinkat(dev, "ptmx", 0)
	for _, link := range links {
		if link[0] == "core" && noKcore != nil {
			continue
		}
		err := unix.Symlinkat(link[1], dev, link[0])
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("symlink /dev/%s: %w", link[0], err)
		}
	}
	return nil
}

// makeDevice makes a device. mknod(2) is for the host's root; a user namespace
// has the host's node of the same name bound to its place, if that is the
// device that is meant.
func (r *root) makeDevice(d *specs.LinuxDevice) error {
	kind := map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR,
		"b": unix.S_IFBLK, "p": unix.S_IFIFO}[d.Type]
	if kind == 0 {
		return fmt.Errorf("type %q: not c, u, b or p", d.Type)
	}
	number := uint64(0)
	if kind != unix.S_IFIFO {
		number = unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	}
	parent, name := filepath.Split(d.Path)
	dir, err := r.create(parent, unix.S_IFDIR|0o755, maxLinks)
	if err != nil {
		return err
	}
	mode := kind | 0o666
	if d.FileMode != nil {
		mode = kind | uint32(*d.FileMode)&0o7777
	}
	err = unix.Mknodat(dir, name, mode, int(number))
	if err == unix.EEXIST {
		if isDevice(dir, name, kind, number) {
			return nil
		}
		unix.Unlinkat(dir, name, 0)
		err = unix.Mknodat(dir, name, mode, int(number))
	}
	if err == unix.EPERM {
		return r.bindDevice(d.Path, kind, number)
	}
	var uid, gid uint32
	uid, gid = *cmp.Or(d.UID, &uid), *cmp.Or(d.GID, &gid)
	if err == nil && uid|gid != 0 {
		err = unix.Fchownat(dir, name, int(uid), int(gid),
			unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}

func (r *root) bindDevice(path string, kind uint32, number uint64) error {
	tree, err := r.tree(unix.AT_FDCWD, path, 0)
	if err != nil {
		return fmt.Errorf("open_tree the host's: %w", err)
	}
	if !isDevice(tree, "", kind, number) {
		return fmt.Errorf("the host's is another device: %w", unix.EPERM)
	}
	at, err := r.create(path, unix.S_IFREG|0o644, maxLinks)
	if err != nil {
		return err
	}
	return place(tree, at)
}

// isDevice tells whether a name, or an open file if name is empty, is the
// device meant.
func isDevice(dir int, name string, kind uint32, number uint64) bool {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st,
		unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
	return err == nil && st.Mode&unix.S_IFMT == kind && st.Rdev == number
}
