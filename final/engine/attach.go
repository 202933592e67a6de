package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"container-workshop/final/monitor"
	"container-workshop/final/terminal"

	"golang.org/x/sys/unix"
)

// Streams are what the command line lends to a container.
type Streams struct {
	In                    io.Reader
	Out, Err              io.Writer
	Stdin, Stdout, Stderr bool // which of them are attached
	TTY, SigProxy         bool
	Keys                  []byte // that detach
}

// Attach serves the container until it ends, and returns its exit status; or
// until we are detached: terminal.ErrDetach.
func (e *Engine) Attach(c *Container, conn *os.File, s Streams) (int, error) {
	restore, err := s.prepare(func(w, h uint16) {
		size := binary.BigEndian.AppendUint16(nil, w)
		monitor.Send(conn, monitor.Resize,
			binary.BigEndian.AppendUint16(size, h))
	})
	if err != nil {
		return 125, err
	}
	defer restore()
	if s.SigProxy && !s.TTY {
		defer e.proxy(c)()
	}
	input := make(chan error, 1)
	if s.Stdin {
		go func() { input <- s.send(conn) }()
	}
	output := make(chan error, 1)
	code := 125
	go func() { output <- s.receive(conn, &code) }()
	for {
		select {
		case err = <-input:
			if errors.Is(err, terminal.ErrDetach) {
				return 0, err
			}
			continue
		case err = <-output:
		}
		break
	}
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
		err = fmt.Errorf("the monitor of container %s has died", c.Name)
	}
	return code, err
}

// prepare makes our terminal a wire to the container's, and keeps that one's
// size the same.
func (s *Streams) prepare(resize func(w, h uint16)) (restore func(),
	err error) {
	restore = func() {}
	in, _ := s.In.(*os.File)
	if !s.TTY || in == nil {
		return restore, nil
	}
	if s.Stdin {
		if restore, err = terminal.Raw(in); err != nil {
			return func() {}, nil // In is no terminal
		}
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	go func() {
		for ; ; <-changed {
			if w, h, err := terminal.Size(in); err == nil {
				resize(w, h)
			}
		}
	}()
	return restore, nil
}

// send passes our input on.
func (s *Streams) send(conn io.Writer) error {
	r, buf := terminal.DetachReader(s.In, s.Keys), make([]byte, 32<<10)
	if !s.TTY {
		r = s.In
	}
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := monitor.Send(conn, monitor.Stdin, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, terminal.ErrDetach) {
			return err
		}
		if err != nil {
			return monitor.Send(conn, monitor.CloseStdin, nil)
		}
	}
}

// receive writes what the container says. Who no longer listens to us does not
// stop it.
func (s *Streams) receive(conn io.Reader, code *int) error {
	for {
		kind, data, err := monitor.Receive(conn)
		if err != nil {
			return err
		}
		switch {
		case kind == monitor.Stdout && s.Stdout:
			s.Out.Write(data)
		case kind == monitor.Stderr && s.Stderr:
			s.Err.Write(data)
		case kind == monitor.Exit:
			return json.Unmarshal(data, code)
		}
	}
}

// proxy passes on the signals that we get, until stop. For each that Go is to
// catch it switches threads back and forth, milliseconds for all 64, so those
// that hardly anybody sends come later.
func (e *Engine) proxy(c *Container) (stop func()) {
	signals := make(chan os.Signal, 32)
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT,
		unix.SIGUSR1, unix.SIGUSR2, unix.SIGTERM, unix.SIGCONT)
	all := time.AfterFunc(50*time.Millisecond, func() {
		signal.Notify(signals)
	})
	go func() {
		for got := range signals {
			switch sig := got.(unix.Signal); sig {
			case unix.SIGCHLD, unix.SIGPIPE, unix.SIGURG, unix.SIGWINCH:
			default:
				if rt, err := e.runtime(c); err == nil {
					rt.Kill(sig, false)
				}
			}
		}
	}()
	return func() { all.Stop(); signal.Stop(signals) }
}

// Finish is for the owner of a container that has ended: it does what the
// monitor would have another of our programs do.
func (e *Engine) Finish(c *Container, conn *os.File) error {
	monitor.Send(conn, monitor.Done, nil)
	return e.Cleanup(c, false)
}

// Cleanup is what remains to be done when a container has ended: its network,
// its restart, or its removal.
func (e *Engine) Cleanup(c *Container, restart bool) error {
	if restart {
		conn, err := e.Start(c, StartOptions{Restart: true})
		if conn != nil {
			conn.Close()
		}
		return err
	}
	if c.Options.Remove {
		return e.Remove(c, false, true)
	}
	release, err := e.hold(c)
	if err != nil {
		return err
	}
	defer release()
	state, err := monitor.Read(c.file())
	if err == nil && !state.Running() {
		err = e.release(c)
	}
	return err
}

// Dial connects to the monitor of a container that runs.
func (e *Engine) Dial(c *Container) (*os.File, error) {
	if err := c.Lost(); err != nil {
		return nil, err
	}
	return monitor.Connect(c.run)
}
