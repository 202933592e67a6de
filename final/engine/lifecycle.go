package engine

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/journal"
	"container-workshop/final/layers"
	"container-workshop/final/monitor"
	"container-workshop/final/runtime"

	"golang.org/x/sys/unix"
)

// Stop sends the container's stop signal and, when its time is over, SIGKILL.
// A negative time is endless.
func (e *Engine) Stop(c *Container, signal string, seconds int) error {
	if !c.State.Running() {
		return nil
	}
	if err := e.byHand(c); err != nil {
		return err
	}
	signal = cmp.Or(signal, c.Options.StopSignal, c.Config.StopSignal,
		"SIGTERM")
	sig, err := Signal(signal)
	if err != nil {
		return err
	}
	if err = e.send(c, sig, false); err != nil {
		return err
	}
	limit := time.Duration(seconds) * time.Second
	if seconds < 0 {
		limit = 1 << 62
	}
	if !e.waitFor(c, limit) {
		if err = e.send(c, unix.SIGKILL, true); err == nil &&
			!e.waitFor(c, 10*time.Second) {
			err = fmt.Errorf("container %s does not die: PID %d waits in the "+
				"kernel", c.Name, c.State.Pid)
		}
	}
	if err == nil {
		e.Event("container", "stop", c)
	}
	return err
}

// StopTimeout is how long Stop waits, in seconds.
func (c *Container) StopTimeout() int {
	if c.Options.StopTimeout != 0 {
		return c.Options.StopTimeout
	}
	return 10
}

// byHand says that the container is not to be started again by its policy, if
// it has one: on a full disk nothing can be said.
func (e *Engine) byHand(c *Container) error {
	if c.State.Restart == "no" {
		return nil
	}
	return monitor.Update(c.dir, func(s *monitor.State) error {
		s.Stopped = true
		if s.Status == "restarting" {
			s.Status = "exited"
		}
		c.State = *s
		return nil
	})
}

// send signals the container. What is frozen must thaw to die; version 1 of
// cgroups does not do that by itself.
func (e *Engine) send(c *Container, sig unix.Signal, all bool) error {
	rt, err := e.runtime(c)
	if errors.Is(err, runtime.ErrNotExist) {
		return nil // it ended meanwhile
	}
	if err == nil {
		err = rt.Kill(sig, all)
	}
	if c.State.Status == "paused" && rt != nil {
		err = cmp.Or(err, rt.Resume())
	}
	if !monitor.Alive(c.State.Pid, c.State.PidStart) {
		return nil
	}
	return err
}

// waitFor waits until the container no longer runs. The file of the process is
// readable when it ends: pidfd_open(2). Then its monitor records it.
func (e *Engine) waitFor(c *Container, limit time.Duration) bool {
	end := time.Now().Add(limit)
	for time.Now().Before(end) {
		fresh, err := e.load(c.ID)
		if err != nil || !fresh.State.Running() {
			return true
		}
		c.State = fresh.State
		pause := min(time.Until(end), time.Second)
		if fd, err := unix.PidfdOpen(c.State.Pid, 0); err == nil {
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}},
				int(pause.Milliseconds())+1)
			unix.Close(fd)
		} else {
			time.Sleep(min(pause, 20*time.Millisecond))
		}
	}
	return false
}

// Runs says whether the container runs now.
func (e *Engine) Runs(c *Container) bool {
	fresh, err := e.load(c.ID)
	return err == nil && fresh.State.Running()
}

// Wait waits for the container's end and returns its exit status. Of one that
// has been removed by then, the events tell.
func (e *Engine) Wait(c *Container) (code int, err error) {
	begin := c.State.StartedAt
	for c.State.Status != "restarting" && !e.waitFor(c, time.Hour) {
	}
	state, err := monitor.Read(c.file())
	if !errors.Is(err, os.ErrNotExist) {
		c.State = state
		return state.ExitCode, err
	}
	return code, journal.Events(e.Run, begin, time.Now(),
		func(v journal.Event) error {
			if v.ID == c.ID && v.Action == "die" {
				code, _ = strconv.Atoi(v.Actor.Attributes["exitCode"])
			}
			return nil
		})
}

// Kill sends a signal to a container that runs.
func (e *Engine) Kill(c *Container, signal string) error {
	sig, err := Signal(signal)
	if err != nil {
		return err
	}
	if !c.State.Running() {
		return fmt.Errorf("cannot kill container: %s: container %s is not "+
			"running", c.Name, c.ID)
	}
	if err = e.byHand(c); err == nil {
		err = e.send(c, sig, false)
	}
	if err == nil && sig == unix.SIGKILL {
		e.waitFor(c, 10*time.Second)
	}
	if err == nil {
		e.Event("container", "kill", c, "signal", fmt.Sprint(int(sig)))
	}
	return err
}

// Signal reads 9, KILL, SIGKILL or kill.
func Signal(text string) (unix.Signal, error) {
	var n int
	if _, err := fmt.Sscanf(text, "%d", &n); err == nil && n > 0 && n < 65 {
		return unix.Signal(n), nil
	}
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("invalid signal: %s", text)
}

// Pause freezes the container, or lets it go on.
func (e *Engine) Pause(c *Container, freeze bool) error {
	release, err := e.hold(c)
	if err != nil {
		return err
	}
	defer release()
	want, word, action := "running", "not paused", "unpause"
	if freeze {
		want, action = "paused", "pause"
	}
	fresh, err := e.load(c.ID)
	if err != nil {
		return err
	}
	c.State = fresh.State
	switch {
	case c.State.Pid == 0:
		return fmt.Errorf("container %s is not running", c.ID)
	case freeze && c.State.Status == "paused":
		word = "already paused"
		fallthrough
	case !freeze && c.State.Status != "paused":
		return fmt.Errorf("container %s is %s", c.ID, word)
	}
	rt, err := e.runtime(c)
	if err == nil && freeze {
		err = rt.Pause()
	} else if err == nil {
		err = rt.Resume()
	}
	if err == nil {
		err = monitor.Update(c.dir, func(s *monitor.State) error {
			if s.Pid == c.State.Pid {
				s.Status = want
			}
			return nil
		})
	}
	if err == nil {
		e.Event("container", action, c)
	}
	return err
}

// Remove removes the container with all that it has; force kills it first,
// volumes takes those along that have no name.
func (e *Engine) Remove(c *Container, force, volumes bool) error {
	release, err := e.hold(c)
	if err != nil {
		return err
	}
	defer release()
	fresh, err := e.load(c.ID)
	if err != nil {
		return err // removed meanwhile
	}
	*c = *fresh
	if c.State.Running() && !force {
		return fmt.Errorf("cannot remove container %q: container is %s: stop "+
			"the container before removing or force remove", "/"+c.Name,
			c.State.Status)
	}
	if c.State.Running() {
		// Where that cannot be written down, nor can a new start.
		if err = e.byHand(c); err == nil || errors.Is(err, unix.ENOSPC) {
			err = e.send(c, unix.SIGKILL, true)
		}
		if err == nil && !e.waitFor(c, 10*time.Second) {
			err = fmt.Errorf("container %s does not die", c.Name)
		}
		if err != nil {
			return err
		}
	}
	if err = e.release(c); err == nil {
		err = e.forget(c, volumes)
	}
	if err == nil {
		e.Event("container", "destroy", c)
	}
	return err
}

// release gives back what the container had while it ran.
func (e *Engine) release(c *Container) error {
	rt, err := e.runtime(c)
	if err == nil {
		err = rt.Delete(true)
	} else if errors.Is(err, runtime.ErrNotExist) {
		err = nil
	}
	if len(c.Networks) > 0 || e.Rootless && !alone(c.Options.Network) {
		err = cmp.Or(err, e.Networks.Disconnect(c.ID, ""))
	}
	return cmp.Or(err, os.RemoveAll(c.run))
}

// forget removes the record, at once for those who look: rename(2), and then
// what was behind it.
func (e *Engine) forget(c *Container, volumes bool) error {
	if link, err := os.Readlink(e.names() + "/" + c.Name); c.Name != "" &&
		err == nil && link == c.ID {
		os.Remove(e.names() + "/" + c.Name)
	}
	gone := e.containers() + "/.removed-" + c.ID
	err := os.Rename(c.dir, gone)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if volumes {
		err = cmp.Or(err, e.removeAnonymous(c))
	}
	return cmp.Or(err, layers.RemoveAll(gone))
}
