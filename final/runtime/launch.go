package runtime

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/cgroups"
	"container-workshop/final/inside"
	"container-workshop/final/namespaces"
	"container-workshop/final/rootfs"
)

// Error is what a process in the container has told before it gave up. Code is
// what a shell would return: 127 if the program is not there, 126 if it cannot
// be executed.
type Error struct {
	Text string
	Code int
}

func (e *Error) Error() string { return e.Text }

// launch starts a process in a container and goes with it up to the program.
type launch struct {
	c      *Container
	plan   *namespaces.Plan
	config *inside.Config
	cgroup func() (*cgroups.Cgroup, error)
	io     Options
	start  *os.File // of init
	spec   *specs.Spec
	data   []byte // the same as JSON
	pid    int
}

func (l *launch) run() (pid int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|
		unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socketpair: %w", err)
	}
	ours := os.NewFile(uintptr(pair[0]), "init")
	theirs := os.NewFile(uintptr(pair[1]), "init")
	defer ours.Close()
	err = l.files(theirs)
	if err == nil {
		err = l.clone()
	}
	theirs.Close()
	if err == nil {
		err = l.converse(ours)
	}
	if err != nil {
		if l.pid > 0 {
			unix.Kill(l.pid, unix.SIGKILL)
			unix.Wait4(l.pid, nil, unix.WALL, nil)
		}
		return 0, err
	}
	return l.pid, nil
}

// files are 0, 1 and 2, those that the caller wants to pass on, and ours.
func (l *launch) files(socket *os.File) error {
	p, o := l.plan, l.io
	p.Files = []*os.File{cmp.Or(o.Stdin, os.Stdin),
		cmp.Or(o.Stdout, os.Stdout), cmp.Or(o.Stderr, os.Stderr)}
	for i := range o.PreserveFDs {
		p.Files = append(p.Files, os.NewFile(uintptr(3+i), "preserved file"))
	}
	p.Args = append(p.Args, strconv.Itoa(len(p.Files)))
	p.Files = append(p.Files, socket)
	if l.start != nil {
		l.config.Start = len(p.Files)
		p.Files = append(p.Files, l.start)
	}
	terminal := l.spec.Process.Terminal
	if !terminal && o.ConsoleSocket != "" {
		return errors.New("console socket: the process has no terminal")
	} else if !terminal {
		return nil
	}
	if o.Console == nil {
		if o.ConsoleSocket == "" {
			return errors.New("terminal: there is no console socket for it")
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|
			unix.SOCK_CLOEXEC, 0)
		if err == nil {
			o.Console = os.NewFile(uintptr(fd), o.ConsoleSocket)
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: o.ConsoleSocket})
		}
		if err != nil {
			return fmt.Errorf("connect to console socket %s: %w",
				o.ConsoleSocket, err)
		}
	}
	l.config.Console = len(p.Files)
	p.Files = append(p.Files, o.Console)
	return nil
}

// clone starts our program, which waits for its configuration, in the cgroup.
func (l *launch) clone() (err error) {
	p := l.plan
	if p.Exe, err = namespaces.Exe(); err != nil {
		return err
	}
	defer p.Exe.Close()
	cgroup, err := l.cgroup()
	if err != nil {
		return err
	}
	if p.New&unix.CLONE_NEWUSER != 0 {
		p.Ready = func(pid int) error {
			return namespaces.WriteMaps(pid, l.spec.Linux.UIDMappings,
				l.spec.Linux.GIDMappings)
		}
	}
	done := make(chan bool)
	go func() {
		runtime.LockOSThread() // and the thread ends with us
		if p.Cgroup, err = cgroup.Enter(); err == nil {
			l.pid, err = p.Start()
		}
		close(done)
	}()
	<-done
	if p.Cgroup != nil {
		p.Cgroup.Close()
		p.Cgroup = nil
	}
	// The container has made cgroups below its own, which then takes none; or
	// it may have one process, and that was our thread.
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EAGAIN) {
		if l.pid, err = p.Start(); err == nil {
			err = cgroup.Add(l.pid)
		}
	}
	return err
}

// converse sends the configuration and does what the process asks for, until
// it is on its own.
func (l *launch) converse(socket *os.File) error {
	if l.start != nil {
		if err := l.introduce(); err != nil {
			return err
		}
	}
	filter, err := os.ReadFile(filepath.Join(l.c.dir, seccompFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l.config.Seccomp, l.config.SeccompFlags = filter, l.c.SeccompFlags
	in, out := json.NewDecoder(socket), json.NewEncoder(socket)
	if err = nil; l.config.Mounted {
		err = rootfs.Overlay(l.spec, l.c.Rootfs, l.pid)
	}
	if err == nil {
		err = out.Encode(l.config)
	}
	if err == nil {
		_, err = socket.Write(l.data)
	}
	if err != nil && !gone(err) {
		return fmt.Errorf("send configuration to init: %w", err)
	}
	if l.io.Begun != nil {
		l.io.Begun(l.pid)
	}
	ready := false
	for {
		var m inside.Message
		if err := in.Decode(&m); gone(err) {
			if !ready {
				return l.died()
			}
			return nil
		} else if err != nil {
			return fmt.Errorf("receive from init: %w", err)
		}
		switch m.Step {
		case inside.Hooks:
			h := l.spec.Hooks
			//lint:ignore SA1019 Docker sets up its network there
			err = inside.RunHooks("prestart", h.Prestart, l.config.State)
			if err == nil {
				err = inside.RunHooks("createRuntime", h.CreateRuntime,
					l.config.State)
			}
		case inside.Ready:
			ready = true
			err = l.finish()
		default:
			err = &Error{m.Error, m.Code}
		}
		if err != nil {
			return err
		}
		out.Encode(m)
	}
}

// introduce writes down who init is, and the filter that it shall have.
func (l *launch) introduce() error {
	l.c.InitPid = l.pid
	l.c.InitStart, _ = startTime(l.pid)
	err := cmp.Or(l.c.compile(l.spec.Linux.Seccomp), l.c.save())
	l.config.State = l.c.State()
	l.config.State.Status = specs.StateCreating
	return err
}

func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// died is for a process that went without a word.
func (l *launch) died() error {
	var ws unix.WaitStatus
	unix.Kill(l.pid, unix.SIGKILL)
	unix.Wait4(l.pid, &ws, unix.WALL, nil)
	l.pid = 0
	return fmt.Errorf("init died before the container's program: exit "+
		"status %d, signal %d: is the memory limit too low?", ws.ExitStatus(),
		ws.Signal())
}

// finish does what a process in a container may no longer do for itself.
func (l *launch) finish() error {
	p := l.spec.Process
	if err := setLimits(l.pid, p.Rlimits); err != nil {
		return err
	}
	if p.OOMScoreAdj != nil {
		file := fmt.Sprintf("/proc/%d/oom_score_adj", l.pid)
		value := strconv.Itoa(*p.OOMScoreAdj)
		old, _ := os.ReadFile(file)
		err := os.WriteFile(file, []byte(value), 0)
		if err != nil && string(old) != value+"\n" && !l.io.Rootless {
			return fmt.Errorf("set oom_score_adj to %s: %w", value, err)
		}
	}
	if l.io.PidFile != "" {
		temporary := l.io.PidFile + ".new"
		err := os.WriteFile(temporary, []byte(strconv.Itoa(l.pid)), 0o644)
		if err == nil {
			err = os.Rename(temporary, l.io.PidFile)
		}
		return err
	}
	return nil
}
