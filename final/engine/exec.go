package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"container-workshop/final/bundle"
	"container-workshop/final/capabilities"
	"container-workshop/final/monitor"
	"container-workshop/final/runtime"
	"container-workshop/final/terminal"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Exec runs one more process in the container: o has its Args, Env, User,
// Workdir, Tty and Interactive. It is our child, and we pass its stdio on; one
// that is detached is nobody's.
func (e *Engine) Exec(c *Container, o *bundle.Options, detach bool,
	s Streams) (int, error) {
	switch {
	case c.State.Pid == 0:
		return 1, fmt.Errorf("container %s is not running", c.ID)
	case c.State.Status == "paused":
		return 1, fmt.Errorf("container %s is paused, unpause the container "+
			"before exec", c.Name)
	}
	rt, err := e.runtime(c)
	if err != nil {
		return 125, err
	}
	p, err := e.process(c, rt, o)
	if err != nil {
		return 125, err
	}
	var pid int
	var wait func() error
	if o.Tty {
		pid, wait, err = execTerminal(rt, p, s, detach)
	} else {
		pid, wait, err = execPipes(rt, p, s, detach)
	}
	if err != nil {
		return exitCode(err), err
	}
	e.Event("container", "exec_start", c)
	if detach {
		return 0, nil
	}
	ended, drained := make(chan int, 1), make(chan error, 1)
	go func() { ended <- reap(pid) }()
	go func() { drained <- wait() }()
	select {
	case err := <-drained:
		if errors.Is(err, terminal.ErrDetach) {
			return 0, err
		}
		return <-ended, nil
	case code := <-ended:
		// Who was left behind may hold the pipe: Docker waits this long, too.
		select {
		case <-drained:
		case <-time.After(2 * time.Second):
		}
		return code, nil
	}
}

// reap waits for a child of ours and returns its exit status.
func reap(pid int) int {
	var ws unix.WaitStatus
	for err := error(unix.EINTR); err == unix.EINTR; {
		_, err = unix.Wait4(pid, &ws, 0, nil)
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

func exitCode(err error) int {
	var failed *runtime.Error
	if errors.As(err, &failed) {
		return failed.Code
	}
	return 125
}

// process is the container's own one, changed as the options say.
func (e *Engine) process(c *Container, rt *runtime.Container,
	o *bundle.Options) (*specs.Process, error) {
	p, err := rt.Process()
	if err != nil {
		return nil, err
	}
	p.Args, p.Terminal, p.ConsoleSize = o.Args, o.Tty, nil
	if p.Env, err = bundle.Env(p.Env, o); err != nil {
		return nil, err
	}
	if o.Workdir != "" {
		p.Cwd = o.Workdir
	}
	if o.User != "" {
		root := fmt.Sprintf("/proc/%d/root", c.State.Pid)
		p.User, _, err = bundle.LookUp([]string{root}, o.User, nil)
	}
	if o.Privileged {
		all := capabilities.All()
		p.Capabilities = &specs.LinuxCapabilities{Bounding: all,
			Effective: all, Permitted: all}
	}
	return p, err
}

// execTerminal passes a terminal on. Who detaches leaves it to a process that
// reads it, or the program would be hung up.
func execTerminal(rt *runtime.Container, p *specs.Process, s Streams,
	detach bool) (pid int, wait func() error, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX,
		unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socketpair", err)
	}
	ours := os.NewFile(uintptr(pair[0]), "console")
	theirs := os.NewFile(uintptr(pair[1]), "console")
	defer ours.Close()
	pid, err = rt.Exec(p, runtime.ExecOptions{Console: theirs})
	theirs.Close()
	if err != nil {
		return 0, nil, err
	}
	master, err := terminal.ReceiveFD(ours)
	if err != nil {
		return 0, nil, err
	}
	if detach {
		return pid, nil, leave(master)
	}
	restore, err := s.prepare(func(w, h uint16) {
		terminal.Resize(master, w, h)
	})
	return pid, func() error {
		defer restore()
		done := make(chan error, 2)
		if s.Stdin {
			go func() {
				_, err := io.Copy(master, terminal.DetachReader(s.In, s.Keys))
				if errors.Is(err, terminal.ErrDetach) {
					leave(master)
					done <- err
				}
			}()
		}
		go func() { io.Copy(s.Out, master); done <- nil }()
		return <-done
	}, err
}

// leave gives a terminal to a monitor that does nothing but read it.
func leave(master *os.File) error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{monitor.Name, "drain"}
	cmd.Stdin = master
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}

// execPipes passes pipes on: a container never gets a file of the host's.
func execPipes(rt *runtime.Container, p *specs.Process, s Streams,
	detach bool) (pid int, wait func() error, err error) {
	var theirs, ours [3]*os.File
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	for i, use := range []bool{s.Stdin, s.Stdout, s.Stderr} {
		theirs[i] = null
		if !use || detach {
			continue
		}
		if theirs[i], ours[i], err = os.Pipe(); err != nil {
			return 0, nil, err
		}
		if i > 0 {
			theirs[i], ours[i] = ours[i], theirs[i]
		}
		defer theirs[i].Close()
	}
	pid, err = rt.Exec(p, runtime.ExecOptions{Stdin: theirs[0],
		Stdout: theirs[1], Stderr: theirs[2]})
	if ours[0] != nil {
		go func() { io.Copy(ours[0], s.In); ours[0].Close() }()
	}
	return pid, func() error {
		done := make(chan error, 2)
		for i, to := range []io.Writer{nil, s.Out, s.Err} {
			if i > 0 {
				go func() { _, err := io.Copy(to, ours[i]); done <- err }()
			}
		}
		<-done
		return <-done
	}, err
}
