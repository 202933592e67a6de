package cli

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"container-workshop/final/runtime"
	"container-workshop/final/terminal"
)

func startVerbs() []*cli.Command {
	detach := &cli.BoolFlag{Name: "detach", Aliases: []string{"d"},
		Usage: "do not wait for the end"}
	create := func(c *cli.Context) error {
		_, err := runtime.Create(c.Args().First(), options(c))
		return err
	}
	return []*cli.Command{
		{Name: "create", ArgsUsage: "ID", Flags: createFlags(),
			Usage: "make a container, which waits for start", Action: create},
		{Name: "run", ArgsUsage: "ID", Usage: "create, start, wait and delete",
			Action: runBundle, Flags: createFlags(detach, &cli.BoolFlag{
				Name: "keep", Usage: "do not delete"})},
		verb("start", "", "run the program of a created container", nil,
			func(_ *cli.Context, box *runtime.Container) error {
				return box.Start()
			}),
		verb("exec", "COMMAND [ARG...]", "run one more program in a container",
			append(ioFlags(), detach, &cli.StringFlag{Name: "process",
				Aliases: []string{"p"}, Usage: "as the JSON `FILE` tells"},
				&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}},
				&cli.StringFlag{Name: "cwd"},
				&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}},
				&cli.StringFlag{Name: "user", Aliases: []string{"u"},
					Usage: "`UID[:GID]`"},
				&cli.BoolFlag{Name: "no-new-privs"},
				&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}}),
			execProcess),
		{Name: "spec", Usage: "write an example of config.json", Action: spec,
			Flags: []cli.Flag{&cli.StringFlag{Name: "bundle",
				Aliases: []string{"b"}, Value: "."},
				&cli.BoolFlag{Name: "rootless"}}},
	}
}

func runBundle(c *cli.Context) error {
	var box *runtime.Container
	o := options(c)
	begin := func(console *os.File) (int, error) {
		o.Console = console
		var err error
		if box, err = runtime.Create(c.Args().First(), o); err != nil {
			return 0, err
		}
		return box.InitPid, box.Start()
	}
	code, err := attend(c, begin, func() bool { return box.Terminal })
	if box != nil && (err != nil || !c.Bool("detach") && !c.Bool("keep")) {
		err = errors.Join(err, box.Delete(true))
	}
	if err == nil && code != 0 {
		err = &status{nil, code}
	}
	return err
}

func execProcess(c *cli.Context, box *runtime.Container) error {
	p, err := process(c, box)
	if err != nil {
		return err
	}
	o := options(c)
	code, err := attend(c, func(console *os.File) (int, error) {
		return box.Exec(p, runtime.ExecOptions{PidFile: o.PidFile,
			ConsoleSocket: o.ConsoleSocket, Console: console,
			PreserveFDs: o.PreserveFDs})
	}, func() bool { return p.Terminal })
	if err == nil && code != 0 {
		err = &status{nil, code}
	}
	return err
}

// process is what exec shall run: a file tells, or the flags change what the
// container's own program has.
func process(c *cli.Context, box *runtime.Container) (*specs.Process, error) {
	if file := c.String("process"); file != "" {
		p := &specs.Process{}
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, p)
		}
		if err != nil {
			return nil, fmt.Errorf("process %s: %w", file, err)
		}
		p.Terminal = p.Terminal || c.Bool("tty")
		return p, nil
	}
	s, err := box.Spec()
	if err != nil {
		return nil, err
	}
	p := s.Process
	p.Args, p.Terminal = c.Args().Tail(), c.Bool("tty")
	p.Env = append(p.Env, c.StringSlice("env")...)
	if dir := c.String("cwd"); dir != "" {
		p.Cwd = dir
	}
	p.NoNewPrivileges = p.NoNewPrivileges || c.Bool("no-new-privs")
	if c.IsSet("user") {
		uid, gid, _ := strings.Cut(c.String("user"), ":")
		u, err1 := strconv.ParseUint(uid, 10, 32)
		g, err2 := strconv.ParseUint("0"+gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user: %w: want UID[:GID]", err)
		}
		p.User = specs.User{UID: uint32(u), GID: uint32(g)}
	}
	if caps := p.Capabilities; caps != nil {
		for _, set := range []*[]string{&caps.Bounding, &caps.Effective,
			&caps.Permitted} {
			*set = append(*set, c.StringSlice("cap")...)
		}
	}
	return p, nil
}

// attend runs what begin starts and serves it to its end: it passes signals
// on, and what is typed. The exit status is a shell's.
func attend(c *cli.Context, begin func(*os.File) (int, error),
	terminals func() bool) (code int, err error) {
	attached := !c.Bool("detach") && c.String("console-socket") == ""
	signals := make(chan os.Signal, 64)
	if !c.Bool("detach") {
		signal.Notify(signals)
	}
	var console, master *os.File
	if attached {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|
			unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, fmt.Errorf("socketpair: %w", err)
		}
		console = os.NewFile(uintptr(pair[1]), "console")
		master = os.NewFile(uintptr(pair[0]), "console")
	}
	pid, err := begin(console)
	if err != nil || c.Bool("detach") {
		return 0, err
	}
	output := make(chan struct{})
	if attached && terminals() {
		if master, err = terminal.ReceiveFD(master); err != nil {
			return 0, err
		}
		defer master.Close()
		if restore, err := terminal.Raw(os.Stdin); err == nil {
			defer restore()
		}
		go io.Copy(master, os.Stdin)
		go func() { io.Copy(os.Stdout, master); close(output) }()
	} else {
		close(output)
	}
	go forward(signals, pid, master)
	var ws unix.WaitStatus
	for err = unix.EINTR; err == unix.EINTR; {
		_, err = unix.Wait4(pid, &ws, 0, nil)
	}
	<-output
	if ws.Signaled() {
		return 128 + int(ws.Signal()), err
	}
	return ws.ExitStatus(), err
}

// forward passes signals on to a process. A new size is the terminal's
// business, which tells its own processes.
func forward(signals chan os.Signal, pid int, master *os.File) {
	resize := func() {
		if w, h, err := terminal.Size(os.Stdin); err == nil && master != nil {
			terminal.Resize(master, w, h)
		}
	}
	for resize(); ; {
		switch s := (<-signals).(unix.Signal); s {
		case unix.SIGWINCH:
			resize()
		case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE:
		default:
			unix.Kill(pid, s)
		}
	}
}

//go:embed spec.json
var example []byte

func spec(c *cli.Context) error {
	file := filepath.Join(c.String("bundle"), "config.json")
	var s specs.Spec
	if err := json.Unmarshal(example, &s); err != nil {
		return err
	}
	if c.Bool("rootless") {
		rootless(&s)
	}
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(append(data, '\n'))
	return err
}

// rootless makes of the example what works for an ordinary user: only himself
// is mapped, and so no group 5; sysfs needs a network namespace of his own.
func rootless(s *specs.Spec) {
	l := s.Linux
	l.Resources = nil
	l.Namespaces = append(l.Namespaces,
		specs.LinuxNamespace{Type: specs.UserNamespace})
	l.UIDMappings = []specs.LinuxIDMapping{
		{HostID: uint32(os.Geteuid()), Size: 1}}
	l.GIDMappings = []specs.LinuxIDMapping{
		{HostID: uint32(os.Getegid()), Size: 1}}
	for i, m := range s.Mounts {
		var keep []string
		for _, option := range m.Options {
			if option != "gid=5" {
				keep = append(keep, option)
			}
		}
		s.Mounts[i].Options = keep
	}
}
