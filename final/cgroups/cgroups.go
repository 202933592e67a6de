// Package cgroups limits, counts, freezes and kills the processes of a
// container with control groups, version 1, version 2, or a mixture of both:
// see cgroups(7). Each controller is used where this machine has it.
package cgroups

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A Cgroup is one directory in each hierarchy. The key of a version 1
// hierarchy is a controller's name, that of version 2 is "".
type Cgroup struct {
	paths map[string]string
}

// Create makes the cgroup of a container, before the container is there, and
// sets its limits. The path is taken from the root of each hierarchy, whether
// it begins with a slash or not; systemd's SLICE:PREFIX:NAME becomes
// /SLICE/PREFIX-NAME.scope. Nothing is left when it fails.
//
// A user to whom no cgroup was delegated gets a Cgroup without paths if r asks
// for no limit (device rules are none: he could make no device), else an
// error. With a delegated one, path is taken from there.
func Create(path string, r *specs.LinuxResources) (*Cgroup, error) {
	sub, err := cgroupPath(path)
	if err != nil {
		return nil, err
	}
	c := &Cgroup{map[string]string{}}
	for key, root := range hierarchies() {
		dir, failed := makeDirs(key, root, sub)
		if dir != "" {
			c.paths[key] = dir
		}
		err = cmp.Or(err, failed)
	}
	if err == nil {
		err = c.Set(r)
	}
	if err != nil {
		c.Delete()
		return nil, err
	}
	return c, nil
}

// Load is the Cgroup whose Paths were stored.
func Load(paths map[string]string) *Cgroup { return &Cgroup{paths} }

// Paths are the directories by controller, for Load.
func (c *Cgroup) Paths() map[string]string { return c.paths }

// at finds a controller: its directory, "" without, and whether that is of
// version 2, which calls blkio io.
func (c *Cgroup) at(controller string) (dir string, v2 bool) {
	if controller == "io" && c.paths["blkio"] != "" {
		return c.paths["blkio"], false
	}
	if dir = c.paths[controller]; dir != "" {
		return dir, false
	}
	return c.paths[""], true
}

// tree is the hierarchy to look for processes in: they are in all of them.
func (c *Cgroup) tree() (found string) {
	for _, found = range c.paths {
	}
	return cmp.Or(c.paths[""], found)
}

// Add moves a process with all its threads into the cgroup. When a container
// has made cgroups below its own (version 2 says EBUSY: no processes in the
// middle), the place is the first that takes it.
func (c *Cgroup) Add(pid int) error {
	for _, dir := range c.paths {
		text := strconv.Itoa(pid)
		err := write(dir+"/cgroup.procs", text)
		if err == unix.EBUSY {
			below(dir, func(child string) {
				if err != nil && len(words(child+"/cgroup.procs")) > 0 {
					err = write(child+"/cgroup.procs", text)
				}
			})
		}
		if err != nil {
			return fmt.Errorf("cgroup %s: move process %d into it: %w: it "+
				"is gone, or for its old cgroup, too, %s", dir, pid, err,
				delegate)
		}
	}
	return nil
}

// Enter moves this thread, of which others must not make use any more, to the
// cgroups of version 1: what it starts is there. For the thread that asks the
// kernel need not wait, as it must for Add, until all processors have noticed
// that processes move (RCU). Of version 2 it returns the directory, or nil, for
// SysProcAttr.CgroupFD; clone(2) says EBUSY when the container has made cgroups
// below its own: then Add finds a place.
func (c *Cgroup) Enter() (fd *os.File, err error) {
	for key, dir := range c.paths {
		if key == "" {
			fd, err = os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		} else {
			err = write(dir+"/tasks", "0")
		}
		if err != nil {
			return fd, fmt.Errorf("enter cgroup %s: %w", dir, err)
		}
	}
	return fd, nil
}

// Procs are the processes, those in cgroups below included.
func (c *Cgroup) Procs() ([]int, error) {
	return procs(c.tree()), nil
}

// procs reads cgroup.procs here and below. A process of another PID namespace
// is 0 there: nobody whom we could mean.
func procs(dir string) (pids []int) {
	below(dir, func(child string) {
		for _, word := range words(child + "/cgroup.procs") {
			if pid, _ := strconv.Atoi(word); pid > 0 {
				pids = append(pids, pid)
			}
		}
	})
	return pids
}

// below calls f for a cgroup and for those below it, the lowest first. Some
// may come and go meanwhile.
func below(dir string, f func(string)) {
	list, err := os.ReadDir(dir)
	for _, entry := range list {
		if entry.IsDir() {
			below(filepath.Join(dir, entry.Name()), f)
		}
	}
	if err == nil {
		f(dir)
	}
}

// Delete removes the cgroup and those below it, and waits for processes that
// are dying: until they are gone the kernel says EBUSY. It is no error if there
// is no cgroup any more.
func (c *Cgroup) Delete() error {
	var failed error
	end := time.Now().Add(2 * time.Second)
	for _, dir := range c.paths {
		err := unix.Rmdir(dir)
		for err == unix.EBUSY && time.Now().Before(end) {
			below(dir, func(child string) { unix.Rmdir(child) })
			if err = unix.Rmdir(dir); err == unix.EBUSY {
				time.Sleep(time.Millisecond)
			}
		}
		if err != nil && err != unix.ENOENT && err != unix.ENODEV {
			failed = fmt.Errorf("cgroup: rmdir %s: %w: processes in it: %v",
				dir, err, procs(dir))
		}
	}
	return failed
}

// Freeze stops all processes, or lets them go on. A process that forks
// meanwhile, or one that sleeps in the kernel, keeps version 1 in the state
// FREEZING. Asked again it looks again; now and then only thawing lets those on
// that all wait for. Version 2 needs no controller for it, and freezes the
// newborn, too.
func (c *Cgroup) Freeze(freeze bool) error {
	dir, v2 := c.at("freezer")
	file, word := dir+"/freezer.state", map[bool]string{true: "FROZEN",
		false: "THAWED"}
	if v2 {
		file, word = dir+"/cgroup.freeze", map[bool]string{true: "1",
			false: "0"}
	}
	if dir == "" {
		return fmt.Errorf("freeze: no cgroup: %s", delegate)
	}
	for n := 1; n < 1000; n++ {
		if n%50 == 0 && !v2 {
			write(file, word[false])
			time.Sleep(10 * time.Millisecond)
		}
		if err := write(file, word[freeze]); err != nil {
			return fmt.Errorf("freeze: set %s = %s: %w", file, word[freeze],
				err)
		}
		if frozen, _ := c.Frozen(); frozen == freeze {
			return nil
		}
		time.Sleep(time.Duration(n) * 10 * time.Microsecond)
	}
	write(file, word[false])
	return fmt.Errorf("freeze %s: %w: one does not stop", dir, unix.EBUSY)
}

// Frozen tells whether all processes are stopped.
func (c *Cgroup) Frozen() (bool, error) {
	dir, _ := c.at("freezer")
	return pairs(dir + "/cgroup.events")["frozen"] == 1 ||
		read(dir+"/freezer.state") == "FROZEN", nil
}

// Kill sends a signal to every process, in the cgroups below as well. After
// SIGKILL none is left that could fork; some may still be on their way out.
// Version 2 has a file for that, cgroup.kill, since Linux 5.14. Otherwise all
// are frozen first, or one could fork while we count.
func (c *Cgroup) Kill(sig unix.Signal) error {
	if sig == unix.SIGKILL && c.paths[""] != "" &&
		write(c.paths[""]+"/cgroup.kill", "1") == nil {
		// Who was frozen by version 1 dies when it thaws.
		write(c.paths["freezer"]+"/freezer.state", "THAWED")
		return nil
	}
	before, _ := c.Frozen()
	for range 10 {
		unfrozen := c.Freeze(true)
		pids, err := c.Procs()
		for _, pid := range pids {
			if e := unix.Kill(pid, sig); e != nil && e != unix.ESRCH {
				err = fmt.Errorf("kill %d: %w", pid, e)
			}
		}
		if !before || sig == unix.SIGKILL {
			c.Freeze(false)
		}
		if err != nil || unfrozen == nil || sig != unix.SIGKILL {
			return err
		}
	}
	return nil
}
