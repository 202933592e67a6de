// Package runtime is an OCI runtime: it makes a process of a bundle, which is a
// root filesystem and a config.json, and knows nothing of images. See
// https://github.com/opencontainers/runtime-spec.
package runtime

import (
	"errors"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/cgroups"
)

// Options are what the caller of Create decides and config.json does not.
type Options struct {
	Root, Bundle, PidFile  string
	ConsoleSocket          string   // path of a listening socket, or
	Console                *os.File // a connected one: it gets the pty master
	Stdin, Stdout, Stderr  *os.File // nil: those of this process
	PreserveFDs            int      // beyond 0, 1 and 2
	NoPivot, SystemdCgroup bool
	Rootless               bool
	Spec                   *specs.Spec // nil: config.json in Bundle
}

// ExecOptions are the same for Exec.
type ExecOptions struct {
	PidFile               string
	ConsoleSocket         string
	Console               *os.File
	Stdin, Stdout, Stderr *os.File
	PreserveFDs           int
	Cgroup                string // below the container's; "" is the container's
}

// Container is one as its state file tells it.
type Container struct {
	ID      string            `json:"id"`
	Bundle  string            `json:"bundle"`
	Created time.Time         `json:"created"`
	InitPid int               `json:"pid"`
	Start_  uint64            `json:"start"`
	Cgroups map[string]string `json:"cgroups"`
	root    string
}

var errTodo = errors.New("not there yet")

// ErrExists and ErrNotExist are what Create and Load wrap.
var (
	ErrExists   = errors.New("container exists already")
	ErrNotExist = errors.New("container does not exist")
)

// Create makes the container, up to its program, which waits for Start. Its
// init is a child of the caller.
func Create(id string, o Options) (*Container, error) { return nil, errTodo }

// Load returns a container, which may have stopped.
func Load(root, id string) (*Container, error) { return nil, errTodo }

// List returns all containers below root.
func List(root string) ([]*Container, error) { return nil, errTodo }

// Start lets the container's program run; it returns after execve(2).
func (c *Container) Start() error { return errTodo }

// State is what hooks and callers are told.
func (c *Container) State() specs.State { return specs.State{} }

// Paused is a status of Docker's and runc's beyond those of the specification.
const Paused specs.ContainerState = "paused"

// Status is creating, created, running, stopped, or paused.
func (c *Container) Status() specs.ContainerState { return "" }

// Pid is the container's PID 1 seen from here; 0 when it has stopped.
func (c *Container) Pid() int { return 0 }

// Kill sends a signal to PID 1, or to all processes.
func (c *Container) Kill(sig unix.Signal, all bool) error { return errTodo }

// Delete removes what Create has made. force kills first.
func (c *Container) Delete(force bool) error { return errTodo }

// Pause and Resume freeze and thaw.
func (c *Container) Pause() error  { return errTodo }
func (c *Container) Resume() error { return errTodo }

// Update changes the limits.
func (c *Container) Update(r *specs.LinuxResources) error { return errTodo }

// Processes are the PIDs in the container's cgroup.
func (c *Container) Processes() ([]int, error) { return nil, errTodo }

// Cgroup is the container's.
func (c *Container) Cgroup() *cgroups.Cgroup { return nil }

// Spec is the config.json that the container was created from.
func (c *Container) Spec() (*specs.Spec, error) { return nil, errTodo }

// Exec runs one more process in the container; it is a child of the caller.
func (c *Container) Exec(p *specs.Process, o ExecOptions) (int, error) {
	return 0, errTodo
}
