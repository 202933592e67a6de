package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"container-workshop/final/bundle"
	"container-workshop/final/engine"
	"container-workshop/final/image"
	"container-workshop/final/monitor"
	"container-workshop/final/terminal"

	"github.com/urfave/cli/v2"
)

// attaching holds the flags of all commands that attach.
type attaching struct {
	keys    string
	streams []string
	detach  bool
}

func (a *attaching) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "detach-keys", Value: "ctrl-p,ctrl-q",
			Usage: "detach at `KEYS`", Destination: &a.keys},
		&cli.BoolFlag{Name: "sig-proxy", Value: true,
			Usage: "pass signals on to the container"}}
}

// open says what of ours the container gets. Without -a that is stdout and
// stderr, and with -i stdin.
func (a *attaching) open(c *cli.Context, tty, stdin bool) (s engine.Streams,
	err error) {
	s = engine.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Stdin: stdin, Stdout: true, Stderr: true, TTY: tty,
		SigProxy: c.Bool("sig-proxy")}
	if len(a.streams) > 0 {
		s.Stdin, s.Stdout, s.Stderr = false, false, false
	}
	for _, name := range a.streams {
		switch strings.ToLower(name) {
		case "stdin":
			s.Stdin = true
		case "stdout":
			s.Stdout = true
		case "stderr":
			s.Stderr = true
		default:
			return s, fmt.Errorf("invalid argument %q for -a: valid streams "+
				"are STDIN, STDOUT and STDERR", name)
		}
	}
	if _, _, bad := terminal.Size(os.Stdin); s.Stdin && tty && bad != nil &&
		!a.detach {
		return s, errors.New("cannot attach stdin to a TTY-enabled container " +
			"because stdin is not a terminal")
	}
	if a.keys != "" {
		s.Keys, err = terminal.ParseKeys(a.keys)
	}
	return s, err
}

func runCommands() []*cli.Command {
	return []*cli.Command{runCommand(), createCommand(), startCommand(),
		attachCommand(), execCommand()}
}

// fill adds what is not bound to a flag.
func fill(c *cli.Context, o *engine.Options) error {
	o.Image, o.Args = c.Args().First(), c.Args().Tail()
	if c.IsSet("entrypoint") {
		program := c.String("entrypoint")
		o.Entrypoint = &program
	}
	if file := c.String("cidfile"); file != "" {
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("container ID file found, make sure the other "+
				"container isn't running or delete %s", file)
		}
	}
	return nil
}

// create is what run and create have in common.
func create(c *cli.Context, e *engine.Engine,
	o *engine.Options) (*engine.Container, error) {
	box, warnings, err := e.Create(*o)
	if errors.As(err, new(*image.NotFound)) {
		if err = fetch(e, o.Image); err == nil {
			box, warnings, err = e.Create(*o)
		}
	}
	for _, text := range warnings {
		warn(text)
	}
	if err != nil {
		return nil, err
	}
	if file := c.String("cidfile"); file != "" {
		if err = os.WriteFile(file, []byte(box.ID), 0o644); err != nil {
			e.Remove(box, true, true)
		}
	}
	return box, err
}

func createCommand() *cli.Command {
	o := &engine.Options{}
	return command("create", "IMAGE [COMMAND] [ARG...]", "make a container", 1,
		-1, append(runFlags(o), many(new([]string), "attach,a", "STREAM")),
		func(c *cli.Context, e *engine.Engine) error {
			o.Stdio = c.IsSet("attach")
			err := fill(c, o)
			if err != nil {
				return err
			}
			box, err := create(c, e, o)
			if err == nil {
				fmt.Println(box.ID)
			}
			return err
		})
}

func runCommand() *cli.Command {
	o, a := &engine.Options{}, &attaching{}
	flags := slices.Concat(runFlags(o), a.flags(), []cli.Flag{
		yes(&a.detach, "detach,d", "print the ID and leave it running"),
		many(&a.streams, "attach,a", "attach `STREAM`: stdin, stdout, stderr")})
	return command("run", "IMAGE [COMMAND] [ARG...]",
		"make a container and start it", 1, -1, flags,
		func(c *cli.Context, e *engine.Engine) error {
			if a.detach && len(a.streams) > 0 {
				return errors.New("conflicting options: cannot specify both " +
					"--attach and --detach")
			}
			err := fill(c, o)
			s, bad := a.open(c, o.Tty, o.Interactive)
			if err = errors.Join(err, bad); err != nil {
				return err
			}
			o.Stdio, o.Interactive = !a.detach, o.Interactive || s.Stdin
			box, err := create(c, e, o)
			if err != nil {
				return err
			}
			return start(e, box, a.detach, s)
		})
}

// start starts a new container, and stays with it unless detached.
func start(e *engine.Engine, box *engine.Container, detach bool,
	s engine.Streams) error {
	o := engine.StartOptions{Owner: !detach}
	if s.TTY {
		o.Width, o.Height, _ = terminal.Size(os.Stdin)
	}
	conn, err := e.Start(box, o)
	if err != nil {
		if box.Options.Remove {
			e.Remove(box, true, true)
		}
		return failed(err)
	}
	if detach || !s.Stdout && !s.Stderr {
		fmt.Println(box.ID)
	}
	if detach {
		return conn.Close()
	}
	return serve(e, box, conn, true, s)
}

// failed keeps the exit status that the monitor gave: 125, 126 or 127.
func failed(err error) error {
	var failure *monitor.Failure
	if errors.As(err, &failure) {
		return &status{err, failure.Code}
	}
	return err
}

// serve attaches us, and ends as the container does.
func serve(e *engine.Engine, box *engine.Container, conn *os.File, owner bool,
	s engine.Streams) error {
	defer conn.Close()
	code, err := e.Attach(box, conn, s)
	if errors.Is(err, terminal.ErrDetach) {
		fmt.Fprintln(os.Stderr, err)
		return nil
	}
	if err == nil && owner {
		err = e.Finish(box, conn)
	}
	if err != nil || code != 0 {
		return &status{err, code}
	}
	return nil
}

func startCommand() *cli.Command {
	a := &attaching{}
	var out, in bool
	return command("start", "CONTAINER...", "start containers that have "+
		"stopped", 1, -1, append(a.flags(), yes(&out, "attach,a", "attach"),
		yes(&in, "interactive,i", "attach stdin")),
		func(c *cli.Context, e *engine.Engine) error {
			if !out && !in {
				return eachContainer(c, e, func(box *engine.Container) error {
					conn, err := e.Start(box, engine.StartOptions{})
					if conn != nil {
						conn.Close()
					}
					return err
				})
			}
			if c.NArg() > 1 {
				return errors.New("you cannot start and attach multiple " +
					"containers at once")
			}
			box, err := e.Find(c.Args().First())
			if err != nil {
				return err
			}
			if box.State.Running() {
				return attach(c, e, box, a, in)
			}
			s, err := a.open(c, box.Options.Tty, in && box.Options.Interactive)
			if err != nil {
				return err
			}
			return start(e, box, false, s)
		})
}

func attachCommand() *cli.Command {
	a := &attaching{}
	var none bool
	return command("attach", "CONTAINER", "attach to a container that runs", 1,
		1, append(a.flags(), yes(&none, "no-stdin", "do not attach stdin")),
		func(c *cli.Context, e *engine.Engine) error {
			box, err := e.Find(c.Args().First())
			if err != nil {
				return err
			}
			return attach(c, e, box, a, !none)
		})
}

func attach(c *cli.Context, e *engine.Engine, box *engine.Container,
	a *attaching, stdin bool) error {
	switch {
	case box.State.Status == "paused":
		return errors.New("you cannot attach to a paused container, unpause " +
			"it first")
	case box.State.Status == "restarting":
		return errors.New("you cannot attach to a restarting container, wait " +
			"until it is running")
	case !box.State.Running():
		return errors.New("you cannot attach to a stopped container, start " +
			"it first")
	}
	s, err := a.open(c, box.Options.Tty, stdin && box.Options.Interactive)
	if err != nil {
		return err
	}
	conn, err := e.Dial(box)
	if err != nil {
		return err
	}
	e.Event("container", "attach", box)
	return serve(e, box, conn, false, s)
}

func execCommand() *cli.Command {
	o, a := &bundle.Options{}, &attaching{}
	return command("exec", "CONTAINER COMMAND [ARG...]",
		"run one more command in a container", 2, -1, append(a.flags(),
			yes(&a.detach, "detach,d", "leave it running"),
			yes(&o.Interactive, "interactive,i", "keep stdin open"),
			yes(&o.Tty, "tty,t", "give it a terminal"),
			yes(&o.Privileged, "privileged", "give it all capabilities"),
			many(&o.Env, "env,e", "set `NAME[=VALUE]` in the environment"),
			many(&o.EnvFile, "env-file", "read the environment from `FILE`"),
			text(&o.User, "user,u", "be `USER[:GROUP]`"),
			text(&o.Workdir, "workdir,w", "start in `DIR`")),
		func(c *cli.Context, e *engine.Engine) error {
			box, err := e.Find(c.Args().First())
			if err != nil {
				return err
			}
			o.Args = c.Args().Tail()
			s, err := a.open(c, o.Tty, o.Interactive)
			if err != nil {
				return err
			}
			code, err := e.Exec(box, o, a.detach, s)
			if errors.Is(err, terminal.ErrDetach) {
				fmt.Fprintln(os.Stderr, err)
				return nil
			}
			if err != nil || code != 0 {
				return &status{err, code}
			}
			return nil
		})
}
