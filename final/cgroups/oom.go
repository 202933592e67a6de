package cgroups

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// OOMKills is how many processes the kernel has killed for want of memory.
func (c *Cgroup) OOMKills() (int, error) {
	dir, v2 := c.at("memory")
	file := "/memory.oom_control"
	if v2 {
		file = "/memory.events"
	}
	if dir == "" {
		return 0, nil
	}
	return int(pairs(dir + file)["oom_kill"]), nil
}

// OOM calls event each time memory has run out, until the cgroup is removed
// or stop is closed. Version 1 adds to an eventfd(2) then, and once more when
// the cgroup is removed; version 2 wakes up who polls memory.events.
func (c *Cgroup) OOM(stop <-chan struct{}, event func()) error {
	dir, v2 := c.at("memory")
	file, flags := dir+"/memory.oom_control", int16(unix.POLLIN)
	if v2 {
		file, flags = dir+"/memory.events", unix.POLLPRI
	}
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("watch %s: %w%s", file, err, hint(err, ""))
	}
	defer unix.Close(fd)
	if !v2 {
		event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err == nil {
			defer unix.Close(event)
			err = write(dir+"/cgroup.event_control",
				fmt.Sprint(event, " ", fd))
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", file, err)
		}
		fd = event
	}
	for last := pairs(file)["oom"]; ; {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: flags}}, 200)
		select {
		case <-stop:
			return nil
		default:
		}
		if !exists(dir, "cgroup.procs") {
			return nil
		}
		now := pairs(file)["oom"]
		if !v2 && n > 0 {
			unix.Read(fd, make([]byte, 8))
			event()
		} else if now > last {
			event()
		}
		last = now
	}
}
