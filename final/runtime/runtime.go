// Package runtime is an OCI runtime: it makes a process of a bundle, which is a
// root filesystem and a config.json, and knows nothing of images. See
// https://github.com/opencontainers/runtime-spec.
package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/cgroups"
	"container-workshop/final/inside"
)

// Container is one as its state file tells it.
type Container struct {
	ID           string            `json:"id"`
	Bundle       string            `json:"bundle"`
	Rootfs       string            `json:"rootfs"`
	Created      time.Time         `json:"created"`
	Owner        int               `json:"owner"`
	InitPid      int               `json:"pid"`
	InitStart    uint64            `json:"start"` // field 22 of /proc/PID/stat
	CgroupsPath  string            `json:"cgroupsPath"`
	Cgroups      map[string]string `json:"cgroups"`
	SharedPid    bool              `json:"sharedPid"`
	SeccompFlags uint              `json:"seccompFlags"`
	Annotations  map[string]string `json:"annotations"`
	Terminal     bool              `json:"terminal"`
	Hooks        *specs.Hooks      `json:"hooks"` // those after the start
	dir          string
}

// ErrExists, ErrNotExist and ErrNotRunning are what errors here wrap.
var (
	ErrExists     = errors.New("container with that ID exists already")
	ErrNotExist   = errors.New("container does not exist")
	ErrNotRunning = errors.New("container not running")
)

// Warn is told what goes wrong without stopping us.
var Warn = func(text string) { fmt.Fprintln(os.Stderr, "warning: "+text) }

// Paused is a status of Docker's and runc's beyond those of the specification.
const Paused specs.ContainerState = "paused"

// The files in a container's directory.
const (
	stateFile   = "state.json"
	configFile  = "config.json" // as it was when the container was created
	seccompFile = "seccomp"     // the filter, compiled, for Exec
	startSocket = "start"       // on which init waits
)

func checkID(id string) error {
	good := id != "" && id[0] != '.' && len(id) <= 255
	for _, r := range id {
		good = good && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' ||
			r >= '0' && r <= '9' || strings.ContainsRune("_+-.", r))
	}
	if !good {
		return fmt.Errorf("container ID %q: letters, digits and _+-. are "+
			"what it may have, at most 255", id)
	}
	return nil
}

// Load returns a container, which may have stopped. For one whose state cannot
// be read there is an error, and a container that can only be deleted.
func Load(root, id string) (*Container, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	c := &Container{ID: id, dir: filepath.Join(root, id)}
	if _, err := os.Stat(c.dir); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", id, ErrNotExist)
	}
	data, err := os.ReadFile(filepath.Join(c.dir, stateFile))
	if errors.Is(err, os.ErrNotExist) {
		return c, nil // somebody is about to create it, or died when he was
	}
	if err == nil {
		err = json.Unmarshal(data, c)
	}
	if err == nil && c.ID != id {
		err = fmt.Errorf("it is about %q", c.ID)
	}
	if err != nil {
		return &Container{ID: id, dir: c.dir}, fmt.Errorf("state of %s: %w: "+
			"delete --force removes what is left of it", id, err)
	}
	return c, nil
}

// List returns all containers below root, those with a broken state, too.
func List(root string) ([]*Container, error) {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var list []*Container
	for _, e := range entries {
		if c, err := Load(root, e.Name()); err == nil || c != nil {
			list = append(list, c)
		}
	}
	return list, nil
}

// save replaces the state file at once: whoever reads it, and whenever we are
// killed, it is whole.
func (c *Container) save() error {
	data, _ := json.Marshal(c)
	return c.write(stateFile, data)
}

func (c *Container) write(name string, data []byte) error {
	file := filepath.Join(c.dir, name)
	err := os.WriteFile(file+".new", data, 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	return err
}

// Process is what the container was created to run, by its config.json.
func (c *Container) Process() (*specs.Process, error) {
	return inside.ReadProcess(filepath.Join(c.dir, configFile))
}

// State is what hooks and callers are told.
func (c *Container) State() specs.State {
	s := specs.State{Version: specs.Version, ID: c.ID, Status: c.Status(),
		Bundle: c.Bundle, Annotations: c.Annotations}
	if s.Status != specs.StateStopped {
		s.Pid = c.InitPid
	}
	return s
}

// Status asks the kernel, not a file. As long as init has not executed the
// container's program, somebody listens at the start socket.
func (c *Container) Status() specs.ContainerState {
	switch {
	case c.InitPid == 0:
		return specs.StateCreating
	case c.Pid() == 0:
		return specs.StateStopped
	}
	if fd, err := c.dial(); err == nil {
		unix.Close(fd)
		return specs.StateCreated
	}
	if frozen, err := c.Cgroup().Frozen(); err == nil && frozen {
		return Paused
	}
	return specs.StateRunning
}

// dial connects to init, which has not executed yet. The path of a socket
// must be short, so it is one by way of the directory's number.
func (c *Container) dial() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = c.socket(func(a unix.Sockaddr) error { return unix.Connect(fd, a) })
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (c *Container) socket(do func(unix.Sockaddr) error) error {
	dir, err := os.Open(c.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	name := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), startSocket)
	if err := do(&unix.SockaddrUnix{Name: name}); err != nil {
		return fmt.Errorf("socket %s/%s: %w", c.dir, startSocket, err)
	}
	return nil
}

// Pid is the container's PID 1 seen from here; 0 when it has stopped.
func (c *Container) Pid() int {
	start, alive := startTime(c.InitPid)
	if c.InitPid == 0 || !alive || start != c.InitStart {
		return 0
	}
	return c.InitPid
}

// startTime is when a process began, in clock ticks since boot: proc(5). PIDs
// come back, such pairs do not. A zombie does not count as alive.
func startTime(pid int) (start uint64, alive bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The second field, the name, may have spaces and parentheses.
	text := string(data)
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 20 {
		return 0, false
	}
	start, err = strconv.ParseUint(f[19], 10, 64)
	return start, err == nil && f[0] != "Z" && f[0] != "X"
}

// Cgroup is the container's.
func (c *Container) Cgroup() *cgroups.Cgroup { return cgroups.Load(c.Cgroups) }

// Processes are the PIDs in the container's cgroup.
func (c *Container) Processes() ([]int, error) {
	if pid := c.Pid(); len(c.Cgroups) == 0 && pid != 0 {
		return []int{pid}, nil
	}
	return c.Cgroup().Procs()
}
