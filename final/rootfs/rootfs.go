// Package rootfs gives a container its root: mounts, devices, pivot_root.
// Whatever an image says is below its root: paths are resolved there by
// openat2(2), and mounts are made aside and then moved to the open file that
// the path led to. So no symbolic link, and no race for one, leads out.
package rootfs

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Prepare makes everything below path, the root, that the container will see:
// it sets the propagation, mounts the root on itself (or the overlay), then
// the mounts, devices and links of /dev, and the working directory. It must
// run in the new mount namespace, with the ids of root inside, in the new
// cgroup namespace if there is one, and with the bundle as working directory,
// for relative sources.
func Prepare(spec *specs.Spec, path string) error {
	defer unix.Umask(unix.Umask(0))
	linux := cmp.Or(spec.Linux, &specs.Linux{})
	if linux.MountLabel != "" {
		return fmt.Errorf("mountLabel %s: SELinux is not supported",
			linux.MountLabel)
	}
	err := mountRoot(spec, linux.RootfsPropagation, path)
	if err != nil {
		return err
	}
	r, err := open(path)
	if err != nil {
		return err
	}
	defer r.close()
	private := slices.ContainsFunc(linux.Namespaces,
		func(ns specs.LinuxNamespace) bool {
			return ns.Type == specs.CgroupNamespace
		})
	ownDev := true
	for i := range spec.Mounts {
		m, err := parse(&spec.Mounts[i])
		if err == nil && m.Type == "cgroup" && !m.bind {
			err = r.cgroup(m, private)
		} else if err == nil {
			err = r.mount(m)
		}
		if err != nil {
			return fmt.Errorf("mount %s (%s) on %s: %w", m.Source, m.Type,
				m.Destination, err)
		}
		r.closeRest()
		ownDev = ownDev && !(m.bind && m.Destination == "/dev")
	}
	if ownDev { // else it is somebody else's
		console := spec.Process != nil && spec.Process.Terminal
		if err = r.makeDev(linux.Devices, console); err != nil {
			return err
		}
	}
	if spec.Process != nil {
		_, err = r.create(filepath.Clean("/"+spec.Process.Cwd),
			unix.S_IFDIR|0o755, maxLinks)
		if err != nil {
			return fmt.Errorf("mkdir %s: %w", spec.Process.Cwd, err)
		}
	}
	return nil
}

// mountRoot makes the root a mount, as pivot_root(2) wants, in a namespace
// that passes no mount of ours on. A new mount namespace is a copy in which
// shared mounts stay shared: what we mount would appear on the host. Even if
// some are to stay so, for a volume, the one that the root is in is not. See
// mount_namespaces(7).
func mountRoot(spec *specs.Spec, propagation, path string) error {
	flag, ok := propagationFlag(cmp.Or(propagation, "rprivate"))
	if !ok {
		return fmt.Errorf("rootfsPropagation %s: not private, slave, shared "+
			"or unbindable, or one of them after an r", propagation)
	}
	if flag&unix.MS_UNBINDABLE != 0 { // for the root; that is to be bound first
		flag = unix.MS_PRIVATE | unix.MS_REC
	}
	err := unix.Mount("", "/", "", flag, "")
	parent, st := path, unix.Statx_t{}
	for err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		err = unix.Statx(unix.AT_FDCWD, parent, 0, 0, &st)
		if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
			parent += "/.."
		}
	}
	if err == nil {
		err = unix.Mount("", parent, "", unix.MS_PRIVATE, "")
	}
	if err != nil {
		return fmt.Errorf("set propagation of mounts around %s: %w", path, err)
	}
	if spec.Annotations[Lowerdir] != "" {
		return mountOverlay(spec.Annotations, path, openLayer)
	}
	err = unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, "")
	if err != nil {
		return fmt.Errorf("bind mount root %s: %w", path, err)
	}
	return nil
}

// Enter writes the sysctls, masks paths, makes others and the root read-only,
// and makes path the root directory: by pivot_root(2), or by MS_MOVE and
// chroot(2). Hooks of createContainer run between Prepare and Enter. The
// terminal is opened after Enter: terminal.New, and /dev/console is there, an
// empty file to bind the slave to.
func Enter(spec *specs.Spec, path string, pivot bool) error {
	linux := cmp.Or(spec.Linux, &specs.Linux{})
	r, err := open(path)
	if err != nil {
		return err
	}
	defer r.close()
	if err = checkSysctl(linux); err == nil {
		err = Sysctl(linux.Sysctl)
	}
	if err == nil {
		err = r.protect(linux)
	}
	if err != nil {
		return err
	}
	for _, m := range spec.Mounts { // mount left it writable
		dev, err := r.lookup("/dev", 0)
		if filepath.Clean(m.Destination) == "/dev" && err == nil &&
			slices.Contains(m.Options, "ro") {
			setattr(dev, 0, readOnly)
		}
	}
	if spec.Root != nil && spec.Root.Readonly {
		err = setattr(r.fd, 0, readOnly)
	}
	if err = cmp.Or(err, unix.Fchdir(r.fd)); err != nil {
		return fmt.Errorf("root %s: %w", path, err)
	}
	if pivot {
		err = pivotRoot(path)
	} else {
		err = moveRoot(path)
	}
	flag, ok := propagationFlag(linux.RootfsPropagation)
	if ok && err == nil && flag&(unix.MS_SHARED|unix.MS_UNBINDABLE) != 0 {
		err = unix.Mount("", "/", "", flag, "")
	}
	return err
}

// pivotRoot makes the working directory the root. "." twice puts the host's
// root on top of the new one. We enter it to make it a slave, so that it does
// not tell the host that it is unmounted; without fchdir(2), "." would be the
// new root, whose volumes may be shared on purpose.
func pivotRoot(root string) error {
	old, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /: %w", err)
	}
	defer unix.Close(old)
	if err = unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root %s: %w: if the host's root is in memory "+
			"(initramfs), use --no-pivot", root, err)
	}
	if err = unix.Fchdir(old); err == nil {
		err = unix.Mount("", ".", "", unix.MS_SLAVE|unix.MS_REC, "")
	}
	if err == nil {
		err = unix.Unmount(".", unix.MNT_DETACH)
	}
	if err = cmp.Or(err, unix.Chdir("/")); err != nil {
		return fmt.Errorf("detach the host's root: %w", err)
	}
	return nil
}

// moveRoot is for a host whose root cannot be pivoted. The host's mounts stay,
// under ours: a process that may unmount / sees them.
func moveRoot(root string) error {
	err := unix.Mount(".", "/", "", unix.MS_MOVE, "")
	if err == nil {
		err = cmp.Or(unix.Chroot("."), unix.Chdir("/"))
	}
	if err != nil {
		return fmt.Errorf("move root %s to /: %w", root, err)
	}
	return nil
}

// inUserNamespace tells whether root is less than the host's. The first user
// namespace maps all ids to themselves: user_namespaces(7).
func inUserNamespace() bool {
	var in, out, size uint32
	text, err := os.ReadFile("/proc/thread-self/uid_map")
	fmt.Sscan(string(text), &in, &out, &size)
	return err == nil && (in != 0 || out != 0 || size != 1<<32-1)
}
