package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/cgroups"
	"container-workshop/final/inside"
	"container-workshop/final/namespaces"
)

// ExecOptions are what the caller of Exec decides: files, and who gets the PID
// and the terminal.
type ExecOptions = Options

// Exec runs one more process in the container; it is a child of the caller. It
// joins all namespaces of init that are not ours, the user namespace, too: in
// the others alone it would have the host's powers.
func (c *Container) Exec(p *specs.Process, o ExecOptions) (int, error) {
	if s := c.Status(); s != specs.StateRunning && s != specs.StateCreated {
		return 0, fmt.Errorf("exec in %s: it is %s: %w", c.ID, s, ErrNotRunning)
	}
	if err := validateProcess(p); err != nil {
		return 0, err
	}
	if p.Capabilities == nil {
		if first, err := c.Process(); err == nil {
			p.Capabilities = first.Capabilities
		}
	}
	init, err := c.pidfd()
	if err != nil {
		return 0, err
	}
	defer init.Close()
	flags := uintptr(0)
	for _, k := range namespaces.Kinds {
		theirs := fmt.Sprintf("/proc/%d/ns/%s", c.InitPid, k.File)
		if !same(theirs, "/proc/self/ns/"+k.File) {
			flags |= k.Flag
		}
	}
	cgroup := func() (*cgroups.Cgroup, error) { return c.Cgroup(), nil }
	spec := &specs.Spec{Process: p}
	data, err := json.Marshal(inside.Process{Process: p})
	if err != nil {
		return 0, err
	}
	l := launch{c: c, cgroup: cgroup, io: o,
		config: &inside.Config{ID: c.ID}, spec: spec, data: data,
		plan: &namespaces.Plan{Args: []string{inside.Joined}}}
	if flags != 0 {
		l.plan.Join = []namespaces.Joint{{File: init, Flags: flags}}
	}
	pid, err := l.run()
	if errors.Is(err, unix.ESRCH) {
		err = fmt.Errorf("exec in %s: %w", c.ID, ErrNotRunning)
	}
	return pid, err
}

// pidfd stands for init, and for no later process with the same PID.
func (c *Container) pidfd() (*os.File, error) {
	fd, err := unix.PidfdOpen(c.InitPid, 0)
	if err == nil && c.Pid() == 0 {
		unix.Close(fd)
		err = unix.ESRCH
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.ID, ErrNotRunning)
	}
	return os.NewFile(uintptr(fd), fmt.Sprint("PID ", c.InitPid)), nil
}
