package engine

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"container-workshop/final/bundle"
	"container-workshop/final/monitor"
	"container-workshop/final/runtime"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"golang.org/x/sys/unix"
)

// Options are everything that run and create were given.
type Options struct {
	bundle.Options
	Image, Name string
	Labels      []string
	Publish     []string
	PublishAll  bool
	Expose      []string
	IP          string
	DNS         []string
	AddHost     []string
	Aliases     []string
	Restart     string
	Remove      bool // --rm
	StopTimeout int  // seconds
	LogOpt      []string
	Stdio       bool // somebody is attached from the start
}

// Container is the record of one: containers/ID/container.json.
type Container struct {
	ID, Name string
	Created  time.Time
	ImageID  string
	Command  []string
	Labels   map[string]string
	Options  Options
	Config   v1.ImageConfig // the image's
	Layers   []string       // lowest first
	Mounts   []bundle.Mount
	Networks []Attachment
	State    monitor.State

	dir, run string
	spec     *specs.Spec
}

// Attachment is a network that the container is to be connected to.
type Attachment struct {
	Network, IP string
	Aliases     []string
}

// NotFound is the error for a container that is not there.
type NotFound struct{ Name string }

func (e *NotFound) Error() string { return "No such container: " + e.Name }

// newID is 64 random hexadecimal digits.
func newID() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func owned(info fs.FileInfo, uid int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid && info.IsDir()
}

// Short is the ID as tables show it.
func (c *Container) Short() string { return c.ID[:12] }

func (c *Container) file() string { return c.dir + "/container.json" }

// LogFile is where the container's log is.
func (c *Container) LogFile() string { return c.dir + "/" + c.ID + "-json.log" }

func isID(text string) bool {
	return text != "" && strings.Trim(text, "0123456789abcdef") == ""
}

// Find returns the container that has this name or whose ID begins like that.
func (e *Engine) Find(name string) (*Container, error) {
	if name == "" {
		return nil, errors.New("the container's name is missing")
	}
	full := strings.TrimPrefix(name, "/")
	if id, err := os.Readlink(e.names() + "/" + full); err == nil &&
		!strings.Contains(full, "/") {
		if c, err := e.load(id); !errors.As(err, new(*NotFound)) {
			return c, err
		}
	}
	if !isID(full) {
		return nil, &NotFound{name}
	}
	found, err := filepath.Glob(e.containers() + "/" + full + "*")
	if err != nil || len(found) == 0 {
		return nil, &NotFound{name}
	}
	if len(found) > 1 {
		return nil, fmt.Errorf("multiple IDs found with provided prefix: %s",
			name)
	}
	c, err := e.load(filepath.Base(found[0]))
	if errors.As(err, new(*NotFound)) {
		err = &NotFound{name}
	}
	return c, err
}

// load reads a record, and corrects it if the processes in it are gone.
func (e *Engine) load(id string) (*Container, error) {
	c, err := e.read(id)
	if err == nil {
		err = e.correct(c)
	}
	return c, err
}

func (e *Engine) read(id string) (*Container, error) {
	c := &Container{dir: e.containers() + "/" + id, run: e.Run + "/" + id}
	data, err := os.ReadFile(c.file())
	if errors.Is(err, os.ErrNotExist) {
		return nil, &NotFound{id}
	}
	if err == nil {
		err = json.Unmarshal(data, c)
	}
	if err == nil && (c.ID != id || len(c.Command) == 0 ||
		c.State.Status == "") {
		err = errors.New("it is not this container's")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: remove that directory",
			c.file(), err)
	}
	return c, nil
}

// List returns all containers, the newest first, and an error for each record
// that cannot be read; those do not hide the others.
func (e *Engine) List() (list []*Container, bad []error) {
	entries, err := os.ReadDir(e.containers())
	if err != nil {
		return nil, []error{err}
	}
	for _, entry := range entries {
		if !isID(entry.Name()) {
			continue
		}
		c, err := e.load(entry.Name())
		if err == nil {
			list = append(list, c)
		} else if !errors.As(err, new(*NotFound)) {
			bad = append(bad, err)
		}
	}
	slices.SortStableFunc(list, func(a, b *Container) int {
		return b.Created.Compare(a.Created)
	})
	return list, bad
}

// Some are the containers that are named, or all.
func (e *Engine) Some(names []string) (some []*Container, err error) {
	if len(names) == 0 {
		some, bad := e.List()
		return some, errors.Join(bad...)
	}
	for _, name := range names {
		c, bad := e.Find(name)
		if err = errors.Join(err, bad); bad == nil {
			some = append(some, c)
		}
	}
	return some, err
}

// correct makes the record true again. A container that ran without its monitor
// when it ended, because somebody killed both, has ended nobody knows how. One
// whose monitor is alive will be recorded by that in a moment.
func (e *Engine) correct(c *Container) error {
	s := &c.State
	for end := time.Now().Add(3 * time.Second); s.Running(); {
		if monitor.Alive(s.Pid, s.PidStart) {
			return nil
		}
		watched := monitor.Alive(s.Monitor, s.MonitorStart)
		if watched && (s.Status == "restarting" || time.Now().After(end)) {
			return nil
		}
		if !watched {
			return e.recordLoss(c)
		}
		time.Sleep(2 * time.Millisecond)
		fresh, err := monitor.Read(c.file())
		if errors.Is(err, os.ErrNotExist) {
			return &NotFound{c.ID}
		} else if err != nil {
			return err
		}
		*s = fresh
	}
	return nil
}

const killed = "the monitor was killed"

// Lost tells that the monitor has been killed and has seen no end: a container
// runs on without, but nobody logs what it writes, or answers for names.
func (c *Container) Lost() error {
	s := &c.State
	if s.Error == killed || s.Running() &&
		!monitor.Alive(s.Monitor, s.MonitorStart) {
		return fmt.Errorf("the monitor of container %s was killed: what it "+
			"wrote since then, and its exit status, are lost; restart gives "+
			"it a new one", c.Name)
	}
	return nil
}

// recordLoss is for a container whose end nobody has seen: 255 is what Docker
// says, too. Where nothing can be written the next who asks will find it again.
func (e *Engine) recordLoss(c *Container) error {
	lost := false
	err := monitor.Update(c.dir, func(s *monitor.State) error {
		if lost = s.Monitor == c.State.Monitor && s.Running(); lost {
			s.Restart, s.Stopped = c.State.Restart, true
			s.Ended(255, false)
			s.Error = killed
		}
		c.State = *s
		return nil
	})
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EROFS) {
		return nil
	}
	if lost && err == nil {
		err = e.release(c)
		e.Event("container", "die", c, "exitCode", "255")
	}
	return err
}

// change changes a container's record under the lock.
func (e *Engine) change(c *Container, do func() error) error {
	unlock, err := monitor.Lock(e.containers())
	if err != nil {
		return err
	}
	defer unlock()
	fresh, err := e.read(c.ID)
	if err == nil {
		*c = *fresh
		err = do()
	}
	if err == nil {
		err = monitor.Write(c.file(), c)
	}
	return err
}

// claimName gives the container its name: a symbolic link to the ID, which the
// kernel makes only once. One that leads nowhere is left from a crash.
func (e *Engine) claimName(name, id string) error {
	link := e.names() + "/" + name
	unlock, err := monitor.Lock(e.containers())
	if err != nil {
		return err
	}
	defer unlock()
	err = os.Symlink(id, link)
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	owner, err := os.Readlink(link)
	if err != nil {
		return err
	}
	if _, err = os.Stat(e.containers() + "/" + owner); err == nil {
		return fmt.Errorf("conflict: the container name %q is already in use "+
			"by container %q: remove or rename that container", "/"+name, owner)
	}
	os.Remove(link)
	return os.Symlink(id, link)
}

// hold keeps others from starting, removing or renaming the same container.
// The kernel lets go of it when we die: flock(2).
func (e *Engine) hold(c *Container) (release func(), err error) {
	return monitor.LockFile(c.dir+"/.lock", true)
}

// runtime is the container as the runtime knows it.
func (e *Engine) runtime(c *Container) (*runtime.Container, error) {
	return runtime.Load(e.runtimeRoot(), c.ID)
}
