package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/cgroups"
	"container-workshop/final/inside"
)

// Start lets the container's program run; it returns after execve(2). Init
// gets one end of a pipe: what it writes is an error, and the end of the file
// is that it has executed, for that closes it.
func (c *Container) Start() error {
	switch s := c.Status(); s {
	case specs.StateCreated:
	case specs.StateStopped:
		return fmt.Errorf("cannot start %s: it has stopped: %w", c.ID,
			ErrNotRunning)
	default:
		return fmt.Errorf("cannot start %s: it is %s", c.ID, s)
	}
	fd, err := c.dial()
	if err != nil {
		return fmt.Errorf("start %s: %w", c.ID, err)
	}
	defer unix.Close(fd)
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	unix.Sendmsg(fd, []byte{0}, unix.UnixRights(int(out.Fd())), nil, 0)
	out.Close() // and the end of the file comes at once, if that has failed
	begun := false
	for answers := json.NewDecoder(in); ; begun = true {
		var m inside.Message
		if err := answers.Decode(&m); err != nil && !begun {
			return fmt.Errorf("start %s: init has died, or another has "+
				"started it: %w", c.ID, ErrNotRunning)
		} else if err != nil {
			break
		} else if m.Step != inside.Ready {
			return &Error{m.Error, m.Code}
		}
	}
	os.Remove(filepath.Join(c.dir, startSocket))
	return c.poststart()
}

func (c *Container) poststart() error {
	if c.Hooks == nil {
		return nil
	}
	err := inside.RunHooks("poststart", c.Hooks.Poststart, c.State())
	if err != nil {
		c.Kill(unix.SIGKILL, false)
	}
	return err
}

// Kill sends a signal to PID 1, or to all processes. A kill of PID 1 ends them
// all, except where they share a PID namespace with others. A frozen process
// dies when it thaws.
func (c *Container) Kill(sig unix.Signal, all bool) error {
	init, err := c.pidfd()
	if err == nil {
		defer init.Close()
		err = unix.PidfdSendSignal(int(init.Fd()), sig, nil, 0)
		if err == unix.ESRCH {
			err = fmt.Errorf("%s: %w", c.ID, ErrNotRunning)
		} else if err != nil {
			err = fmt.Errorf("send signal %d to %s: %w", sig, c.ID, err)
		}
	}
	kill := sig == unix.SIGKILL
	if len(c.Cgroups) > 0 && (all || kill && c.SharedPid) {
		err = c.Cgroup().Kill(sig)
	}
	if frozen, _ := c.Cgroup().Frozen(); kill && frozen {
		c.Cgroup().Freeze(false)
	}
	return err
}

// Delete removes what Create has made, or had begun to make. force kills
// first; without it, only what has stopped, or never started, is deleted.
func (c *Container) Delete(force bool) error {
	status := c.Status()
	if !force && status != specs.StateStopped && status != specs.StateCreated {
		return fmt.Errorf("cannot delete container %s that is not stopped: %s",
			c.ID, status)
	}
	if init, err := c.pidfd(); err == nil {
		c.Kill(unix.SIGKILL, false)
		err = waitEnd(init)
		init.Close()
		if err != nil {
			return fmt.Errorf("delete %s: PID %d: %w", c.ID, c.InitPid, err)
		}
	}
	cgroup := c.findCgroup()
	if len(cgroup.Paths()) > 0 {
		cgroup.Kill(unix.SIGKILL)
		if err := cgroup.Delete(); err != nil {
			return err
		}
	}
	if c.Hooks != nil {
		s := c.State()
		s.Status, s.Pid = specs.StateStopped, 0
		err := inside.RunHooks("poststop", c.Hooks.Poststop, s)
		if err != nil {
			Warn(err.Error())
		}
	}
	return os.RemoveAll(c.dir)
}

// findCgroup returns the container's cgroup, also if whoever was creating the
// container has died before he wrote down more than its name. A process may
// still be in it: it is about to notice that it was left alone.
func (c *Container) findCgroup() (found *cgroups.Cgroup) {
	found = c.Cgroup()
	if len(c.Cgroups) > 0 || c.CgroupsPath == "" || c.InitPid != 0 {
		return found
	}
	for range 100 {
		again, err := cgroups.Create(c.CgroupsPath, nil)
		if err == nil {
			return again
		}
		time.Sleep(10 * time.Millisecond)
	}
	return found
}

// waitEnd waits for a process that has been killed: a pidfd can be read when
// the process is a zombie, whoever its parent is.
func waitEnd(pidfd *os.File) error {
	const patience = 10 * time.Second
	end := time.Now().Add(patience)
	fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
	for {
		left := time.Until(end)
		n, err := unix.Poll(fds, int(max(left, 0).Milliseconds()))
		if n == 1 {
			return nil
		} else if err != unix.EINTR {
			return fmt.Errorf("still there %v after SIGKILL", patience)
		}
	}
}

// Pause freezes all processes; they do not notice.
func (c *Container) Pause() error {
	if s := c.Status(); s != specs.StateRunning && s != specs.StateCreated {
		return fmt.Errorf("cannot pause %s: it is %s", c.ID, s)
	}
	return c.freeze(true)
}

// Resume ends Pause.
func (c *Container) Resume() error {
	if s := c.Status(); s != Paused {
		return fmt.Errorf("cannot resume %s: it is not paused but %s", c.ID, s)
	}
	return c.freeze(false)
}

func (c *Container) freeze(freeze bool) error {
	if len(c.Cgroups) == 0 {
		return errors.New(c.ID + " has no cgroup, which could be frozen")
	}
	return c.Cgroup().Freeze(freeze)
}

// Update changes the limits that r names.
func (c *Container) Update(r *specs.LinuxResources) error {
	if c.Pid() == 0 {
		return fmt.Errorf("update %s: %w", c.ID, ErrNotRunning)
	}
	return c.Cgroup().Set(r)
}
