package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"container-workshop/final/image"
	"container-workshop/final/layers"

	"golang.org/x/sys/unix"
)

// Step is one RUN of a build.
type Step struct {
	Image   *image.Image // layers and configuration so far; it has no name
	Options Options
	Output  io.Writer
	Started func(*Container)
	// Take gets the archive of what the container has changed.
	Take func(io.Reader) error
}

// RunStep runs a container to its end and hands its changes over. Nothing of it
// stays, unless we are killed: then it is one that has ended and that prune
// removes. An end of ctx kills it.
func (e *Engine) RunStep(ctx context.Context, s Step) (code int, err error) {
	c, _, err := e.createFrom(s.Image, s.Options)
	if err != nil {
		return 125, err
	}
	defer func() {
		if bad := e.Remove(c, true, true); bad != nil &&
			!errors.As(bad, new(*NotFound)) {
			err = cmp.Or(err, bad)
		}
	}()
	conn, err := e.Start(c, StartOptions{Owner: true})
	if err != nil {
		return 125, err
	}
	defer conn.Close()
	s.Started(c)
	stop := context.AfterFunc(ctx, func() { e.send(c, unix.SIGKILL, true) })
	code, err = e.Attach(c, conn, Streams{Out: s.Output, Err: s.Output,
		Stdout: true, Stderr: true})
	stop()
	if err == nil {
		err = e.Finish(c, conn)
	}
	if err = cmp.Or(ctx.Err(), err); err != nil || code != 0 {
		return code, err
	}
	changes := layers.Stream(func(w io.Writer) error {
		return layers.Diff(c.Upper(), w, Places...)
	})
	defer changes.Close()
	if err = s.Take(changes); err != nil {
		err = fmt.Errorf("keep the changes of container %s: %w", c.Short(), err)
	}
	return 0, err
}
