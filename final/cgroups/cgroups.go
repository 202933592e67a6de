// Package cgroups limits, counts, freezes and kills the processes of a
// container with control groups, version 1, version 2, or a mixture of both:
// see cgroups(7). Each controller is used where this machine has it.
package cgroups

import (
	"os"

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
	return nil, unix.ENOSYS
}

// Load is the Cgroup whose Paths were stored.
func Load(paths map[string]string) *Cgroup { return &Cgroup{paths} }

// Paths are the directories by controller, for Load.
func (c *Cgroup) Paths() map[string]string { return c.paths }

// Add moves a process with all its threads into the cgroup.
func (c *Cgroup) Add(pid int) error { return unix.ENOSYS }

// FD is the directory for SysProcAttr.CgroupFD, which starts a process inside
// the cgroup; the caller closes it. It is nil where there is version 1 or no
// cgroup: there Add does it. clone(2) says EBUSY when the container has made
// cgroups below its own: then Add finds a place, too.
func (c *Cgroup) FD() (*os.File, error) { return nil, unix.ENOSYS }

// Set changes the limits that r names, and leaves the others.
func (c *Cgroup) Set(r *specs.LinuxResources) error { return unix.ENOSYS }

// Freeze stops all processes, or lets them go on.
func (c *Cgroup) Freeze(freeze bool) error { return unix.ENOSYS }

// Frozen tells whether all processes are stopped.
func (c *Cgroup) Frozen() (bool, error) { return false, unix.ENOSYS }

// Kill sends a signal to every process, in the cgroups below as well. After
// SIGKILL none is left that could fork; some may still be on their way out.
func (c *Cgroup) Kill(sig unix.Signal) error { return unix.ENOSYS }

// Procs are the processes, those in cgroups below included.
func (c *Cgroup) Procs() ([]int, error) { return nil, unix.ENOSYS }

// OOMKills is how many processes the kernel has killed for want of memory.
func (c *Cgroup) OOMKills() (int, error) { return 0, unix.ENOSYS }

// OOM calls event each time memory has run out, until the cgroup is removed
// or stop is closed.
func (c *Cgroup) OOM(stop <-chan struct{}, event func()) error {
	return unix.ENOSYS
}

// Stats reads all counters.
func (c *Cgroup) Stats() (*Stats, error) { return nil, unix.ENOSYS }

// Delete removes the cgroup and those below it, and waits for processes that
// are dying. It is no error if there is none any more.
func (c *Cgroup) Delete() error { return unix.ENOSYS }

// V2 tells whether this machine has version 2 alone.
func V2() bool { return false }

// Controllers are the roots of the hierarchies by controller; the key of
// version 2 is "", beside the controllers that it has.
func Controllers() map[string]string { return nil }
