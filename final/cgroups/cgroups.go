// Package cgroups limits, counts, freezes and kills the processes of a
// container with control groups, version 1, version 2, or a mixture of both:
// see cgroups(7). Each controller is used where this machine has it.
package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	found := hierarchies()
	for _, key := range sorted(found) {
		dir, err := makeDirs(key, found[key], sub)
		if dir != "" {
			c.paths[key] = dir
		}
		// Its limits, and its end, would be those of others as well.
		if pids, _ := procs(dir); len(pids) > 0 {
			return nil, fmt.Errorf("cgroup %s: %s: process %d is in it: "+
				"choose another path, or end that container",
				version(key), dir, pids[0])
		}
		if err != nil {
			c.Delete()
			return nil, err
		}
	}
	if err := c.Set(r); err != nil {
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
func (c *Cgroup) tree() string {
	for _, key := range append([]string{"", "freezer"}, sorted(c.paths)...) {
		if c.paths[key] != "" {
			return c.paths[key]
		}
	}
	return ""
}

// Add moves a process with all its threads into the cgroup. When a container
// has made cgroups below its own (version 2 says EBUSY: no processes in the
// middle), the place is where its first process is.
func (c *Cgroup) Add(pid int) error {
	for _, key := range sorted(c.paths) {
		dir := c.paths[key]
		err := write(dir+"/cgroup.procs", strconv.Itoa(pid))
		if pids, _ := procs(dir); err == unix.EBUSY && len(pids) > 0 {
			below(dir, func(child string) {
				if strings.Contains("\n"+read(child+"/cgroup.procs")+"\n",
					fmt.Sprintf("\n%d\n", pids[0])) {
					err = write(child+"/cgroup.procs", strconv.Itoa(pid))
				}
			})
		}
		if err != nil {
			return fmt.Errorf("cgroup %s: move process %d into %s: %w%s",
				version(key), pid, dir, err, hint(err, "cgroup.procs"))
		}
	}
	return nil
}

// FD is the directory for SysProcAttr.CgroupFD, which starts a process inside
// the cgroup; the caller closes it. It is nil where there is version 1 or no
// cgroup: there Add does it. clone(2) says EBUSY when the container has made
// cgroups below its own: then Add finds a place, too.
func (c *Cgroup) FD() (*os.File, error) {
	if len(c.paths) != 1 || c.paths[""] == "" {
		return nil, nil
	}
	return os.OpenFile(c.paths[""], unix.O_PATH|unix.O_DIRECTORY, 0)
}

// Procs are the processes, those in cgroups below included.
func (c *Cgroup) Procs() ([]int, error) {
	if c.tree() == "" {
		return nil, nil
	}
	return procs(c.tree())
}

// procs reads cgroup.procs here and below. A process of another PID namespace
// is 0 there: nobody whom we could mean.
func procs(dir string) (pids []int, err error) {
	err = below(dir, func(child string) {
		for _, word := range words(child + "/cgroup.procs") {
			if pid, _ := strconv.Atoi(word); pid > 0 {
				pids = append(pids, pid)
			}
		}
	})
	slices.Sort(pids)
	return slices.Compact(pids), err
}

// below calls f for a cgroup and for those below it, the lowest first. Some
// may come and go meanwhile.
func below(dir string, f func(string)) error {
	list, err := os.ReadDir(dir)
	if dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range list {
		if entry.IsDir() {
			below(filepath.Join(dir, entry.Name()), f)
		}
	}
	f(dir)
	return err
}

// Delete removes the cgroup and those below it, and waits for processes that
// are dying: until they are gone the kernel says EBUSY. It is no error if there
// is no cgroup any more.
func (c *Cgroup) Delete() error {
	var failed error
	end := time.Now().Add(2 * time.Second)
	for _, key := range sorted(c.paths) {
		dir := c.paths[key]
		err := unix.Rmdir(dir)
		for err == unix.EBUSY && time.Now().Before(end) {
			below(dir, func(child string) { unix.Rmdir(child) })
			if err = unix.Rmdir(dir); err == unix.EBUSY {
				time.Sleep(time.Millisecond)
			}
		}
		if err != nil && err != unix.ENOENT && err != unix.ENODEV {
			pids, _ := procs(dir)
			failed = errors.Join(failed, fmt.Errorf("cgroup %s: rmdir %s: %w"+
				" (processes in it: %v)", version(key), dir, err, pids))
		}
	}
	return failed
}
