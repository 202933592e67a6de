package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"container-workshop/final/runtime"
)

// The OCI runtime's command line has no standard but the one of runc, which
// Docker, containerd and Podman call. See docs/final.md.

func runtimeCommand() *cli.Command {
	return &cli.Command{Name: "runtime", SkipFlagParsing: true,
		Usage: "the OCI runtime's commands, also called minirunc",
		Action: func(c *cli.Context) error {
			name := program + " runtime"
			code := runtimeMain(append([]string{name}, c.Args().Slice()...))
			return &status{nil, code}
		}}
}

// runtimeMain runs one of the OCI runtime's commands.
func runtimeMain(args []string) int {
	root := "/run/minirunc"
	if dir := os.Getenv("XDG_RUNTIME_DIR"); os.Geteuid() != 0 && dir != "" {
		root = filepath.Join(dir, "minirunc")
	}
	log := &logger{}
	runtime.Warn = func(text string) { log.write("warning", text) }
	app := &cli.App{Name: filepath.Base(args[0]), HideHelpCommand: true,
		Usage:   "an OCI runtime: create a container from a bundle and start it",
		Version: fmt.Sprintf("%s\nspec: %s", Version, specs.Version),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "root", Value: root,
				Usage: "keep the state of containers in `DIR`"},
			&cli.StringFlag{Name: "log", Destination: &log.file,
				Usage: "append errors to `FILE`"},
			&cli.StringFlag{Name: "log-format", Value: "text",
				Destination: &log.format, Usage: "text or json"},
			&cli.BoolFlag{Name: "debug", Usage: "for runc's callers: no effect"},
			&cli.BoolFlag{Name: "systemd-cgroup",
				Usage: "cgroupsPath is SLICE:PREFIX:NAME"},
			&cli.StringFlag{Name: "rootless", Value: "auto",
				Usage: "whether what only root may do may fail: true, false, auto"},
		},
		DisableSliceFlagSeparator: true,
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("unknown command: %s", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		ExitErrHandler: func(*cli.Context, error) {},
		Commands:       append(startVerbs(), stateVerbs()...)}
	err := app.Run(args)
	code := 0
	var s *status
	var failed *runtime.Error
	switch {
	case errors.As(err, &s):
		code, err = s.code, s.error
	case errors.As(err, &failed):
		code = failed.Code
	case err != nil:
		code = 1
	}
	if err != nil {
		log.write("error", err.Error())
	}
	return code
}

// logger writes for engines to read, and for people.
type logger struct{ file, format string }

func (l *logger) write(level, text string) {
	fmt.Fprintf(os.Stderr, "minirunc: %s\n", text)
	if l.file == "" {
		return
	}
	now := time.Now().Format(time.RFC3339)
	line := fmt.Appendf(nil, "time=%q level=%s msg=%q", now, level, text)
	if l.format == "json" {
		line, _ = json.Marshal(map[string]string{"level": level, "msg": text,
			"time": now})
	}
	f, err := os.OpenFile(l.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
		f.Close()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "minirunc: log: %v\n", err)
	}
}

// verb makes a command about one container.
func verb(name, args, usage string, flags []cli.Flag,
	do func(*cli.Context, *runtime.Container) error) *cli.Command {
	return &cli.Command{Name: name, ArgsUsage: "ID " + args, Usage: usage,
		Flags: flags, HideHelpCommand: true,
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return fmt.Errorf("%s: the container's ID is missing", name)
			}
			box, err := runtime.Load(c.String("root"), c.Args().First())
			if name == "delete" && c.Bool("force") {
				if errors.Is(err, runtime.ErrNotExist) {
					return nil
				} else if box != nil {
					err = nil
				}
			}
			if err != nil {
				return err
			}
			return do(c, box)
		}}
}

func ioFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "console-socket",
			Usage: "send the terminal's master to the socket `PATH`"},
		&cli.StringFlag{Name: "pid-file", Usage: "write the PID to `FILE`"},
		&cli.IntFlag{Name: "preserve-fds",
			Usage: "pass on `N` files beyond 0, 1 and 2"},
	}
}

func createFlags(more ...cli.Flag) []cli.Flag {
	return append(append(ioFlags(), more...),
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".",
			Usage: "the `DIR` with config.json"},
		&cli.BoolFlag{Name: "no-pivot",
			Usage: "chroot instead of pivot_root: for a root on a ramdisk"})
}

func options(c *cli.Context) runtime.Options {
	less := c.String("rootless") == "true" ||
		c.String("rootless") == "auto" && os.Geteuid() != 0
	return runtime.Options{Root: c.String("root"), Bundle: c.String("bundle"),
		PidFile: c.String("pid-file"), NoPivot: c.Bool("no-pivot"),
		ConsoleSocket: c.String("console-socket"), Rootless: less,
		SystemdCgroup: c.Bool("systemd-cgroup"),
		PreserveFDs:   c.Int("preserve-fds") + listenFDs()}
}

// listenFDs is how many sockets systemd has passed on: sd_listen_fds(3).
func listenFDs() int {
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	return n
}
