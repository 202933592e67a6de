// Package minirunc is the command line of the OCI runtime. Its standard is
// runc's, which Docker, containerd and Podman call.
package minirunc

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"container-workshop/final/runtime"
)

// Engines call us several times for each container. So we begin before all
// packages that only the engine needs, and do without most: Go initialises
// what is ready in the order of the import paths. This goroutine keeps to one
// thread until that is done, which costs a switch of threads each time that it
// waits; so another one does the work.
func init() {
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) != "minirunc" {
		if len(args) == 0 || args[0] != "runtime" {
			return
		}
		args = args[1:]
	}
	go func() { os.Exit(Main(args)) }()
	select {}
}

const help = `minirunc makes a container from an OCI bundle.

Usage: minirunc [OPTION...] COMMAND [OPTION...] [ID] [ARG...]
  create  make a container, which waits for start
  start   run its program
  run     create, start, wait for the end and delete
  exec    run one more program in a container
  state   print the state
  list    list containers
  ps      list processes
  kill    send a signal, TERM if none is given
  delete  remove what is left of a container
  pause   freeze all processes
  resume  let them go on
  update  change limits
  events  print statistics and out-of-memory events
  spec    write an example of config.json
  features  print what this runtime can do
minirunc COMMAND --help lists the options of a command.

Options:
`

// options are all that can be told by flags.
type options struct {
	runtime.Options
	rootless, log, logFormat                    string
	detach, keep, tty, force, all, quiet, stats bool
	process, cwd, user, format, resources       string
	apparmor, label                             string
	noNewPrivileges                             bool
	env, caps, groups                           []string
	interval                                    time.Duration
	limits                                      map[string]map[string]any
}

type verb struct {
	flags func(f *flag.FlagSet, o *options)
	one   func(o *options, c *runtime.Container, args []string) error
	run   func(o *options, args []string) error
}

func plain(do func(*runtime.Container) error) func(*options,
	*runtime.Container, []string) error {
	return func(_ *options, c *runtime.Container, _ []string) error {
		return do(c)
	}
}

func verbs(name string) (v verb, ok bool) {
	v, ok = map[string]verb{
		"create": {flags: createFlags, run: create},
		"run":    {flags: createFlags, run: run},
		"exec":   {flags: execFlags, one: execute},
		"start":  {one: plain((*runtime.Container).Start)},
		"pause":  {one: plain((*runtime.Container).Pause)},
		"resume": {one: plain((*runtime.Container).Resume)},
		"state":  {one: state}, "list": {flags: printFlags, run: list},
		"ps": {flags: printFlags, one: ps}, "kill": {flags: allFlag, one: kill},
		"delete":   {flags: forceFlag, one: remove},
		"update":   {flags: updateFlags, one: update},
		"events":   {flags: eventFlags, one: events},
		"spec":     {flags: specFlags, run: spec},
		"features": {run: printFeatures},
	}[name]
	return v, ok
}

// Main runs one command and returns the exit status.
func Main(args []string) int {
	o := &options{}
	runtime.Warn = func(text string) { o.write("warning", text) }
	err := o.main(args)
	var ended exited
	var failed *runtime.Error
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &ended):
		return int(ended)
	}
	o.write("error", err.Error())
	if errors.As(err, &failed) {
		return failed.Code
	}
	return 1
}

func (o *options) main(args []string) error {
	f := newFlags("minirunc", help)
	f.StringVar(&o.Root, "root", "", "keep the state of containers in `DIR`")
	f.StringVar(&o.log, "log", "", "append errors to `FILE`")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.Bool("debug", false, "for runc's callers: there is no more to tell")
	f.BoolVar(&o.SystemdCgroup, "systemd-cgroup", false,
		"cgroupsPath is SLICE:PREFIX:NAME")
	f.StringVar(&o.rootless, "rootless", "auto",
		"what only root may do may fail: `true`, false or auto")
	version := f.Bool("version", false, "print the version")
	if err := f.Parse(args); err != nil {
		return err
	}
	o.defaults()
	if *version {
		_, err := fmt.Printf("minirunc\nspec: %s\n", specs.Version)
		return err
	}
	v, ok := verbs(f.Arg(0))
	if !ok {
		f.Usage()
		return fmt.Errorf("unknown command %q", f.Arg(0))
	}
	sub := newFlags(f.Arg(0), "Options:\n")
	if v.flags != nil {
		v.flags(sub, o)
	}
	if err := sub.Parse(f.Args()[1:]); err != nil {
		return err
	}
	if v.run != nil {
		return v.run(o, sub.Args())
	}
	c, err := runtime.Load(o.Root, sub.Arg(0))
	if err != nil && o.force && errors.Is(err, runtime.ErrNotExist) {
		return nil
	} else if err != nil && (!o.force || c == nil) {
		return err
	}
	return v.one(o, c, sub.Args()[1:])
}

func newFlags(name, usage string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {
		fmt.Fprint(os.Stderr, usage)
		f.SetOutput(os.Stderr)
		f.PrintDefaults()
		f.SetOutput(io.Discard)
	}
	return f
}

func (o *options) defaults() {
	if o.Root == "" {
		dir := os.Getenv("XDG_RUNTIME_DIR")
		if dir == "" || os.Geteuid() == 0 {
			dir = "/run"
		}
		o.Root = filepath.Join(dir, "minirunc")
	}
	o.Rootless = o.rootless == "true" ||
		o.rootless != "false" && os.Geteuid() != 0
	o.PreserveFDs, _ = strconv.Atoi(os.Getenv("LISTEN_FDS")) // sd_listen_fds(3)
}

// write is for engines to read, and for people.
func (o *options) write(level, text string) {
	fmt.Fprintf(os.Stderr, "minirunc: %s\n", strings.TrimSpace(text))
	if o.log == "" {
		return
	}
	now := time.Now().Format(time.RFC3339)
	line := fmt.Appendf(nil, "time=%q level=%s msg=%q", now, level, text)
	if o.logFormat == "json" {
		line, _ = json.Marshal(map[string]string{"level": level, "msg": text,
			"time": now})
	}
	f, err := os.OpenFile(o.log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
		f.Close()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "minirunc: log: %v\n", err)
	}
}
