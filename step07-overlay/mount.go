package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

type mount struct {
	src, on, fs, data string
	flags             uintptr
}

// What a container mounts, in this order. One that keeps the host's root has
// the first two. A user namespace may mount /proc only while it sees another.
var mounts = []mount{
	{"tmpfs", "/tmp", "tmpfs", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	{"proc", "/proc", "proc", "", unix.MS_NOSUID | unix.MS_NOEXEC},
	{"tmpfs", "/dev", "tmpfs", "mode=755", unix.MS_NOSUID},
	{"devpts", "/dev/pts", "devpts", "ptmxmode=0666", unix.MS_NOSUID},
	{"tmpfs", "/dev/shm", "tmpfs", "", unix.MS_NOSUID | unix.MS_NODEV},
	{"mqueue", "/dev/mqueue", "mqueue", "", unix.MS_NOSUID | unix.MS_NODEV},
}

// What every container has of the host's, as volumes. mknod(2) is for the
// host's root. A new sysfs would show the network, and the kernel asks who
// owns that.
var system = []string{"/sys:/sys:ro", "/dev/null:/dev/null",
	"/dev/zero:/dev/zero", "/dev/full:/dev/full", "/dev/tty:/dev/tty",
	"/dev/random:/dev/random", "/dev/urandom:/dev/urandom"}

var links = map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd",
	"stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}

// private cuts the tie to the host's mounts. A new mount namespace is a copy
// in which shared mounts stay shared: what we mount would appear on the host.
// systemd shares / when it boots. See mount_namespaces(7).
func private() error {
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

// setMounts gives the container its own mounts and, with --rootfs, its own
// root. Volumes are taken while we see the host, and put in their places when
// it is out of reach: no symbolic link in the new root can lead there.
func setMounts(c *cli.Context) error {
	root, err := c.String("rootfs"), failed("mount", "/", private())
	if err == nil && root == "/" && !c.IsSet("volume") {
		return mountAll(mounts[:2])
	}
	volumes, bad := takeVolumes(append(system, c.StringSlice("volume")...))
	if err = cmp.Or(err, bad); err == nil {
		err = enterRoot(root, !c.Bool("chroot"))
	}
	if err == nil {
		err = mountAll(append(mounts[2:], volumes...))
	}
	for name, to := range links {
		if err == nil {
			err = failed("symlink", name, unix.Symlink(to, "/dev/"+name))
		}
	}
	return err
}

// enterRoot makes root the root directory. pivot_root(2) wants a mount point,
// so root is first mounted on itself; "." twice puts the host's root on top of
// the new one, where ".." still finds it until umount2. --chroot is the old
// way: chroot(2) only changes where paths start. A process that has a
// directory open outside its root walks out of it.
func enterRoot(root string, pivot bool) error {
	full, _ := filepath.Abs(root)
	err := cmp.Or(unix.Mount(root, full, "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Chdir(full))
	if err != nil {
		return failed("bind mount", root, err)
	}
	if pivot {
		err = failed("pivot_root", root, unix.PivotRoot(".", "."))
	} else {
		err = failed("chroot", root, unix.Chroot("."))
	}
	if err == nil {
		err = mountAll(mounts[:2])
	}
	if err == nil && pivot {
		err = failed("umount2", "/", unix.Unmount(".", unix.MNT_DETACH))
	}
	return err
}

// mountAll makes the mount points, which mount(2) reports if they are missing,
// and mounts the rows.
func mountAll(rows []mount) error {
	for _, m := range rows {
		if info, err := os.Stat(m.src); err == nil && !info.IsDir() {
			os.MkdirAll(filepath.Dir(m.on), 0o755)
			unix.Mknod(m.on, unix.S_IFREG|0o644, 0)
		}
		os.MkdirAll(m.on, 0o755)
		if err := unix.Mount(m.src, m.on, m.fs, m.flags, m.data); err != nil {
			return failed("mount", m.on, err)
		}
	}
	return nil
}

// takeVolumes copies parts of the host's mounts, which MS_MOVE will put in
// their places: a bind mount in two halves. Such a copy, unlike an open
// directory, has no ".." that leads to the host. See open_tree(2).
func takeVolumes(args []string) (rows []mount, err error) {
	for _, arg := range args {
		src, dst, _ := strings.Cut(arg, ":")
		dst, mode, _ := strings.Cut(dst, ":")
		if !strings.HasPrefix(dst, "/") || mode != "" && mode != "ro" {
			return nil, fmt.Errorf("volume %s: not SRC:/DST[:ro]", arg)
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, src, unix.AT_RECURSIVE|
			unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err == nil && mode == "ro" { // and so is all that is below
			attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
			err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|
				unix.AT_RECURSIVE, attr)
		}
		if err != nil {
			return nil, failed("open_tree", src, err)
		}
		rows = append(rows, mount{fmt.Sprint("/proc/self/fd/", fd), dst, "", "",
			unix.MS_MOVE})
	}
	return rows, nil
}
