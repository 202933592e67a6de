package rootfs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Annotations that ask for an overlay as the root, mounted before everything
// else and only in the container's own mount namespace. Lowerdir holds the
// layers, the lowest first as image.Image.Layers has them: a line each, or a
// JSON list. Without Upperdir and Workdir the root is read-only, and needs two
// layers. With Volatile what is written need not survive a crash of the
// machine: nobody waits until the whole disk is written, as syncfs(2) would.
const (
	Lowerdir = "minidocker.lowerdir"
	Upperdir = "minidocker.upperdir"
	Workdir  = "minidocker.workdir"
	Volatile = "minidocker.volatile"
)

// Overlay mounts the layers on path for the root of another user namespace, in
// the mount namespace of pid: a file that is root's on the disk is his. It
// needs the host's privileges: overlayfs then reads the marks that layers have
// of the host's root.
func Overlay(spec *specs.Spec, path string, pid int) error {
	user, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		return err
	}
	defer user.Close()
	return visit(strconv.Itoa(pid), func() error {
		return idmapped(spec, path, int(user.Fd()))
	})
}

// visit does something in the mount namespace of pid. The thread that does it
// belongs there afterwards, and ends.
func visit(pid string, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		mnt, err := unix.Open("/proc/"+pid+"/ns/mnt",
			unix.O_RDONLY|unix.O_CLOEXEC, 0)
		err = cmp.Or(err, unix.Unshare(unix.CLONE_FS),
			unix.Setns(mnt, unix.CLONE_NEWNS))
		unix.Close(mnt)
		if err != nil {
			err = fmt.Errorf("join mount namespace of %s: %w", pid, err)
		} else {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// idmapped mounts layers that are idmapped mounts, mount_setattr(2). overlayfs
// wants to find them in its own mount namespace: they are on a tmpfs that it
// hides. It does its work as who has mounted it, and on such a mount only ids
// of that user namespace can own what is new. So the file system's ids of this
// thread become those of its root, and its capabilities stay the host's, which
// setfsuid(2) would take away: capabilities(7).
func idmapped(spec *specs.Spec, path string, userns int) error {
	const noSetuidFixup = 1 << 2
	err := cmp.Or(unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""),
		unix.Mount("layers", path, "tmpfs", 0, "mode=700"),
		unix.Prctl(unix.PR_SET_SECUREBITS, noSetuidFixup, 0, 0, 0))
	if err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", path, err)
	}
	idmap := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP,
		Userns_fd: uint64(userns)}
	n := 0
	open := func(dir string) (int, error) {
		at := fmt.Sprintf("%s/%d", path, n)
		n++
		fd, err := unix.OpenTree(unix.AT_FDCWD, dir,
			unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err == nil {
			err = cmp.Or(setattr(fd, 0, &idmap), unix.Mkdir(at, 0o700),
				unix.MoveMount(fd, "", unix.AT_FDCWD, at,
					unix.MOVE_MOUNT_F_EMPTY_PATH))
		}
		return fd, err
	}
	unix.SetfsgidRetGid(hostID(spec.Linux.GIDMappings))
	unix.SetfsuidRetUid(hostID(spec.Linux.UIDMappings))
	return mountOverlay(spec.Annotations, path, open)
}

// hostID is who root in the container is outside of it.
func hostID(maps []specs.LinuxIDMapping) int {
	for _, m := range maps {
		if m.ContainerID == 0 {
			return int(m.HostID)
		}
	}
	return -1
}

const pathOnly = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

func openLayer(dir string) (int, error) {
	return unix.Open(dir, pathOnly, 0)
}

// MountOverlay mounts the layers on path, for whoever calls.
func MountOverlay(annotations map[string]string, path string) error {
	return mountOverlay(annotations, path, openLayer)
}

// mountOverlay mounts the layers on path. They are named by open files: names
// are free to have colons and commas then, and many fit into the one page that
// mount(2) takes. userxattr keeps overlayfs's own marks where a user namespace
// may write them. The upper and the work directory must be on one mount: they
// are opened from the directory that they are both in.
func mountOverlay(annotations map[string]string, path string,
	openLayer func(string) (int, error)) error {
	layers := strings.Split(strings.Trim(annotations[Lowerdir], "\n"), "\n")
	if annotations[Lowerdir][0] == '[' {
		layers = nil
		err := json.Unmarshal([]byte(annotations[Lowerdir]), &layers)
		if err != nil {
			return fmt.Errorf("annotation %s: %w", Lowerdir, err)
		}
	}
	lower, open := "", root{}
	defer open.close()
	for _, dir := range layers {
		fd, err := open.keep(openLayer(dir))
		if err != nil {
			return fmt.Errorf("open layer %s: %w", dir, err)
		}
		lower = fmt.Sprintf(":/proc/self/fd/%d%s", fd, lower)
	}
	options, mounts := "lowerdir="+strings.TrimPrefix(lower, ":"),
		map[string]int{}
	for option, dir := range map[string]string{
		"upperdir": annotations[Upperdir], "workdir": annotations[Workdir]} {
		if dir == "" {
			continue
		}
		up, base := filepath.Split(dir)
		if _, opened := mounts[up]; !opened {
			fd, err := open.keep(openLayer(up))
			if err != nil {
				return fmt.Errorf("open %s: %w", up, err)
			}
			mounts[up] = fd
		}
		fd, err := open.keep(unix.Openat(mounts[up], base, pathOnly, 0))
		if err != nil {
			return fmt.Errorf("open layer %s: %w", dir, err)
		}
		options += fmt.Sprintf(",%s=/proc/self/fd/%d", option, fd)
	}
	if inUserNamespace() {
		options += ",userxattr"
	}
	if annotations[Volatile] != "" {
		options += ",volatile"
		// The mark of one that has crashed; its upper is on the disk.
		unix.Rmdir(annotations[Workdir] + "/work/incompat/volatile")
	}
	if err := mountOptions(path, options); err != nil {
		return fmt.Errorf("mount overlay of %d layers on %s: %w%s", len(layers),
			path, err, map[error]string{unix.E2BIG: ": their names fill the " +
				"page that mount(2) takes", unix.EINVAL: ": is the upper " +
				"directory on an overlay itself?"}[err])
	}
	return nil
}

// mountOptions waits where the kernel has no overlayfs yet (ENODEV), since
// somebody else's mount is just loading the module.
func mountOptions(path, options string) error {
	err := error(unix.E2BIG)
	for try := 0; len(options) < os.Getpagesize() && try < 40; try++ {
		err = unix.Mount("overlay", path, "overlay", 0, options)
		if err != unix.ENODEV {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	return err
}
