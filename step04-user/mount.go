package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

type mount struct {
	src, on, fstype string
	flags           uintptr
	data            string
}

// What a container mounts, in this order. One that keeps the host's root has
// the first two.
var mounts = []mount{
	{"tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NOEXEC, ""},
	{"tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "mode=755"},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID, "ptmxmode=0666"},
	{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, ""},
	{"mqueue", "/dev/mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV, ""},
}

// Devices are bind mounts of the host's: mknod(2) is for the host's root.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

var links = map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd",
	"stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}

// private cuts the tie to the host's mounts. A new mount namespace is a copy
// in which shared mounts stay shared: what we mount would appear on the host.
// systemd shares / when it boots. See mount_namespaces(7).
func private() error {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	return failed("mount", "/ (private)", err)
}

// setMounts gives the container its own mounts and, with --rootfs, its own
// root. They are mounted inside that root, where none of its symbolic links
// can lead to the host. The host's root goes last: without a /proc in sight a
// user namespace may not mount one.
func setMounts(c *cli.Context) error {
	root, pivot := c.String("rootfs"), !c.Bool("chroot")
	rows, err := addVolumes(c.StringSlice("volume"))
	if err == nil {
		err = private()
	}
	if err == nil && root == "/" && !c.IsSet("volume") {
		return mountAll(mounts[:2])
	}
	if err == nil {
		err = enterRoot(root, pivot)
	}
	if err == nil {
		err = mountAll(rows)
	}
	for name, to := range links {
		if err == nil {
			err = failed("symlink", name, unix.Symlink(to, "/dev/"+name))
		}
	}
	if err == nil && pivot {
		err = failed("umount2", "/", unix.Unmount(".", unix.MNT_DETACH))
	}
	return err
}

// enterRoot makes root the root directory. pivot_root(2) wants a mount point,
// so root is first mounted on itself; "." twice puts the host's root on top of
// the new one, where nothing but the umount2 at the end finds it. --chroot is
// the old way: chroot(2) only changes where paths start. A process that keeps
// a directory open outside its root walks out of it.
func enterRoot(root string, pivot bool) error {
	err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, "")
	if err != nil {
		return failed("mount", root, err)
	}
	if err := unix.Chdir(root); err != nil {
		return failed("chdir", root, err)
	}
	if pivot {
		return failed("pivot_root", root, unix.PivotRoot(".", "."))
	}
	return failed("chroot", root, unix.Chroot("."))
}

// mountAll makes the mount points, which mount(2) reports if they are missing,
// and mounts the rows. A bind mount ignores its data and can become read-only
// only afterwards: mount_setattr(2), with all that is mounted below it.
func mountAll(rows []mount) error {
	for _, m := range rows {
		if info, err := os.Stat(m.src); err == nil && !info.IsDir() {
			os.MkdirAll(filepath.Dir(m.on), 0o755)
			unix.Mknod(m.on, unix.S_IFREG|0o644, 0)
		}
		os.MkdirAll(m.on, 0o755)
		err := unix.Mount(m.src, m.on, m.fstype, m.flags, m.data)
		if err == nil && m.data == "ro" {
			attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
			err = unix.MountSetattr(-1, m.on, unix.AT_RECURSIVE, attr)
		}
		if err != nil {
			return failed("mount", m.on, err)
		}
	}
	return nil
}

// addVolumes appends volumes, devices and /sys to the table: files of the host,
// which are opened while we can see them. A new sysfs is not for everybody: it
// shows the network, and the kernel asks who owns that.
func addVolumes(args []string) ([]mount, error) {
	rows := mounts
	args = append(args, "/sys:/sys:ro")
	for _, name := range devices {
		args = append(args, "/dev/"+name+":/dev/"+name)
	}
	for _, arg := range args {
		src, dst, _ := strings.Cut(arg, ":")
		dst, mode, _ := strings.Cut(dst, ":")
		if !strings.HasPrefix(dst, "/") || mode != "" && mode != "ro" {
			return nil, fmt.Errorf("volume %s: not SRC:/DST[:ro]", arg)
		}
		fd, err := unix.Open(src, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, failed("open", src, err)
		}
		rows = append(rows, mount{fmt.Sprint("/proc/self/fd/", fd), dst, "",
			unix.MS_BIND | unix.MS_REC, mode})
	}
	return rows, nil
}
