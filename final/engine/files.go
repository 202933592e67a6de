package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	"container-workshop/final/monitor"
	"container-workshop/final/rootfs"

	"golang.org/x/sys/unix"
)

// Upper is the directory of what the container has changed.
func (c *Container) Upper() string { return c.dir + "/upper" }

// Places are files that the runtime makes empty, to mount something on them.
var Places = []string{"etc/hostname", "etc/hosts", "etc/resolv.conf"}

// Root opens the container's root directory, with its volumes. If it does not
// run, it is mounted for us alone, and cannot start before done is called.
func (e *Engine) Root(c *Container) (root *os.File, done func(), err error) {
	release, err := e.hold(c)
	if err != nil {
		return nil, nil, err
	}
	fresh, err := e.load(c.ID)
	if err == nil {
		*c = *fresh
	}
	stop := make(chan bool)
	switch {
	case err != nil:
	case c.State.Pid != 0:
		root, err = os.OpenFile(fmt.Sprintf("/proc/%d/root", c.State.Pid),
			unix.O_PATH|unix.O_DIRECTORY, 0)
		if err == nil && !monitor.Alive(c.State.Pid, c.State.PidStart) {
			root.Close()
			err = fmt.Errorf("container %s has just ended", c.Name)
		}
		release() // it may end, and we keep what it had
		release = func() {}
	default:
		ready := make(chan error)
		go func() {
			// A thread that is never unlocked ends with its goroutine, and
			// the mounts with the thread.
			runtime.LockOSThread()
			var err error
			root, err = c.mount()
			ready <- err
			<-stop
		}()
		err = <-ready
	}
	if err != nil {
		close(stop)
		release()
		return nil, nil, err
	}
	return root, func() {
		root.Close()
		close(stop)
		release()
	}, nil
}

// mount mounts the overlay and the volumes in a mount namespace of this thread.
func (c *Container) mount() (root *os.File, err error) {
	err = unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")
	}
	if err != nil {
		return nil, fmt.Errorf("mount the files of %s, which does not run: "+
			"unshare: %w", c.Name, err)
	}
	layers, _ := json.Marshal(c.Layers)
	merged := c.dir + "/merged"
	err = rootfs.MountOverlay(map[string]string{rootfs.Upperdir: c.Upper(),
		rootfs.Lowerdir: string(layers), rootfs.Workdir: c.dir + "/work"},
		merged)
	if err == nil {
		root, err = os.OpenFile(merged, unix.O_PATH|unix.O_DIRECTORY, 0)
	}
	if err != nil {
		return nil, err
	}
	for _, m := range c.Mounts {
		place, bad := unix.Openat2(int(root.Fd()), m.Destination,
			&unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
				Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
		if bad != nil || err != nil || m.Source == "" {
			continue // without its place it has never been there
		}
		err = unix.Mount(m.Source, fmt.Sprintf("/proc/self/fd/%d", place), "",
			unix.MS_BIND|unix.MS_REC, "")
		unix.Close(place)
	}
	if err != nil {
		root.Close()
	}
	return root, err
}
