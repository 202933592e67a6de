package cgroups

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// freezer finds who freezes: version 1's controller, or version 2, which needs
// none for it.
func (c *Cgroup) freezer() (dir string, v2 bool, err error) {
	dir, v2 = c.at("freezer")
	if dir == "" {
		err = fmt.Errorf("freeze: the container has no cgroup: %s", delegate)
	}
	return dir, v2, err
}

// Freeze stops all processes, or lets them go on.
func (c *Cgroup) Freeze(freeze bool) error {
	dir, v2, err := c.freezer()
	if err == nil && v2 {
		err = freeze2(dir, freeze)
	} else if err == nil {
		err = freeze1(dir, freeze)
	}
	if err != nil && dir != "" {
		return fmt.Errorf("freeze %s: %w", dir, err)
	}
	return err
}

// Frozen tells whether all processes are stopped.
func (c *Cgroup) Frozen() (bool, error) {
	dir, v2, err := c.freezer()
	if err != nil {
		return false, nil
	}
	if v2 {
		return pairs(dir + "/cgroup.events")["frozen"] == 1, nil
	}
	return read(dir+"/freezer.state") == "FROZEN", nil
}

// freeze1: a process that forks meanwhile, or one that sleeps in the kernel,
// keeps version 1 in the state FREEZING. Asked again it looks again; now and
// then only thawing lets those on that all wait for.
func freeze1(dir string, freeze bool) error {
	file := dir + "/freezer.state"
	if !freeze {
		return write(file, "THAWED")
	}
	for n := 1; n <= 1000; n++ {
		if n%50 == 0 {
			write(file, "THAWED")
			time.Sleep(10 * time.Millisecond)
		}
		if err := write(file, "FROZEN"); err != nil {
			return err
		}
		if read(file) == "FROZEN" {
			return nil
		}
		time.Sleep(time.Duration(n%25) * 100 * time.Microsecond)
	}
	write(file, "THAWED")
	return fmt.Errorf("a process does not stop: %w", unix.EBUSY)
}

// freeze2: version 2 tells in cgroup.events when the last one has stopped; who
// polls it is woken up then.
func freeze2(dir string, freeze bool) error {
	text, want := "0", uint64(0)
	if freeze {
		text, want = "1", 1
	}
	fd, err := unix.Open(dir+"/cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := write(dir+"/cgroup.freeze", text); err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		// Without processes, too, a cgroup is frozen or not.
		if pairs(dir + "/cgroup.events")["frozen"] == want {
			return nil
		}
		unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, 20)
	}
	if freeze {
		write(dir+"/cgroup.freeze", "0")
		return fmt.Errorf("a process does not stop: %w", unix.EBUSY)
	}
	return nil
}

// Kill sends a signal to every process, in the cgroups below as well. After
// SIGKILL none is left that could fork; some may still be on their way out.
// Version 2 has a file for that, cgroup.kill, since Linux 5.14. Otherwise all
// are frozen first, or one could fork while we count.
func (c *Cgroup) Kill(sig unix.Signal) error {
	dir, v2 := c.paths[""], false
	if sig == unix.SIGKILL && dir != "" &&
		write(dir+"/cgroup.kill", "1") == nil {
		// A process that version 1 froze dies when it thaws.
		if dir, v2 = c.at("freezer"); !v2 {
			return ignoreGone(write(dir+"/freezer.state", "THAWED"))
		}
		return nil
	}
	before, _ := c.Frozen()
	for range 10 {
		freeze := c.Freeze(true)
		pids, err := c.Procs()
		for _, pid := range pids {
			if e := unix.Kill(pid, sig); e != nil && e != unix.ESRCH {
				err = fmt.Errorf("kill %d: %w", pid, e)
			}
		}
		if freeze == nil && (!before || sig == unix.SIGKILL) {
			c.Freeze(false)
		}
		if err != nil || freeze == nil || sig != unix.SIGKILL ||
			len(pids) == 0 {
			return err
		}
	}
	return nil
}

func ignoreGone(err error) error {
	if err == unix.ENOENT || err == unix.ENODEV {
		return nil
	}
	return err
}
