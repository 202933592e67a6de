package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"container-workshop/final/inside"
	"container-workshop/final/monitor"

	"golang.org/x/sys/unix"
)

// StartOptions say who is there when a container starts.
type StartOptions struct {
	Owner         bool // we stay attached, and clean up
	Restart       bool // for the restart policy
	Width, Height uint16
}

// Start runs a container. It returns the socket of its monitor, to attach to or
// to close; none if the container runs already.
func (e *Engine) Start(c *Container, o StartOptions) (*os.File, error) {
	release, err := e.hold(c)
	if err != nil {
		return nil, err
	}
	defer release()
	spec := c.spec
	fresh, err := e.load(c.ID)
	if err != nil {
		return nil, err
	}
	*c = *fresh
	c.spec = spec
	again := c.State.Status == "restarting" && c.State.Monitor == os.Getpid()
	if c.State.Running() && !(o.Restart && again) {
		return nil, nil
	}
	if o.Restart && !again {
		return nil, nil // stopped in the meantime
	}
	conn, err := e.launch(c, o)
	if err != nil {
		e.release(c)
		code := 125
		var failure *monitor.Failure
		if errors.As(err, &failure) {
			code = failure.Code
		}
		monitor.Update(c.dir, func(s *monitor.State) error {
			s.Error, s.ExitCode = err.Error(), code
			if s.Running() {
				s.Status = "exited"
			}
			return nil
		})
		return nil, err
	}
	e.Event("container", "start", c)
	return conn, nil
}

// launch makes the bundle, starts the monitor, which creates the container,
// connects that to its networks, and lets it go.
func (e *Engine) launch(c *Container, o StartOptions) (*os.File, error) {
	if rt, err := e.runtime(c); err == nil {
		rt.Delete(true) // left by a crash
	}
	// Create has made it already, but those it joins may have come and gone.
	if o := c.Options; c.spec == nil ||
		strings.Contains(o.Network+o.Pid+o.Ipc, "container:") {
		if _, err := e.makeSpec(c, true); err != nil {
			return nil, err
		}
	}
	plan, err := e.planNetwork(c)
	if err != nil {
		return nil, err
	}
	defer plan.close()
	if err = os.MkdirAll(c.run, 0o700); err != nil {
		return nil, err
	}
	data, err := json.Marshal(inside.Spec{Spec: *c.spec})
	if err == nil {
		err = os.WriteFile(c.run+"/config.json", data, 0o600)
	}
	if err != nil {
		return nil, err
	}
	conn, err := monitor.Spawn(plan.sockets)
	if err != nil {
		return nil, err
	}
	config, err := e.monitorConfig(c, o, plan)
	if err == nil {
		err = monitor.SendJSON(conn, monitor.Create, config)
	}
	var pid int
	if err == nil {
		err = expect(conn, monitor.Created, &pid)
	}
	if err == nil {
		err = e.connect(c, plan, pid)
	}
	if err == nil {
		monitor.Send(conn, monitor.Start, nil) // if it is gone, it says why
		err = expect(conn, monitor.Started, nil)
	}
	if err != nil {
		return nil, abandon(conn, err)
	}
	return conn, nil
}

// abandon lets the monitor give up, too. What could not be connected has failed
// itself, perhaps: then that is the error.
func abandon(conn *os.File, err error) error {
	raw, _ := conn.SyscallConn()
	raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
	var failure *monitor.Failure
	if errors.As(expect(conn, monitor.Exit, nil), &failure) {
		err = failure
	}
	io.Copy(io.Discard, conn)
	conn.Close()
	return err
}

func (e *Engine) monitorConfig(c *Container, o StartOptions,
	plan *netPlan) (*monitor.Config, error) {
	size, files, err := logLimits(c.Options.LogOpt)
	m := &monitor.Config{ID: c.ID, Dir: c.dir, Run: c.run,
		Root: e.runtimeRoot(), Rootless: e.Rootless, TTY: c.Options.Tty,
		Width: o.Width, Height: o.Height, OpenStdin: c.Options.Interactive,
		StdinOnce: c.Options.Interactive && c.Options.Stdio,
		Log:       c.LogFile(), LogSize: size, LogFiles: files, Owner: o.Owner,
		Restarted: o.Restart, Restart: e.self("cleanup", "--restart", c.ID),
		DNS: plan.dns, Attributes: c.attributes()}
	if c.Options.Remove || len(c.Networks) > 0 || plan.rootless != "" {
		m.Cleanup = e.self("cleanup", c.ID)
	}
	return m, err
}

// expect reads the monitor's answer into v.
func expect(conn io.Reader, want byte, v any) error {
	kind, data, err := monitor.Receive(conn)
	switch {
	case err != nil:
		return fmt.Errorf("the container's monitor has died: %w", err)
	case kind == monitor.Failed:
		failure := &monitor.Failure{}
		if err = json.Unmarshal(data, failure); err == nil {
			err = failure
		}
		return err
	case kind != want:
		return fmt.Errorf("the monitor sent %d, not %d", kind, want)
	case v != nil:
		return json.Unmarshal(data, v)
	}
	return nil
}
