package minirunc

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/runtime"
	"container-workshop/final/terminal"
)

// both defines a flag and its short name.
func both(f *flag.FlagSet, to *string, long, short, usage string) {
	f.StringVar(to, long, *to, usage)
	f.StringVar(to, short, *to, "short for --"+long)
}

func bothBool(f *flag.FlagSet, to *bool, long, short, usage string) {
	f.BoolVar(to, long, false, usage)
	f.BoolVar(to, short, false, "short for --"+long)
}

// several defines a flag that may be given several times.
func several(f *flag.FlagSet, to *[]string, long, short, usage string) {
	for _, name := range []string{long, short} {
		f.Func(name, usage, func(s string) error {
			*to = append(*to, s)
			return nil
		})
	}
}

func ioFlags(f *flag.FlagSet, o *options) {
	f.StringVar(&o.ConsoleSocket, "console-socket", "",
		"send the terminal to the socket `PATH`")
	f.StringVar(&o.PidFile, "pid-file", "", "write the PID to `FILE`")
	f.Func("preserve-fds", "pass on `N` files beyond 0, 1 and 2",
		func(s string) error {
			n, err := strconv.ParseUint(s, 10, 10)
			o.PreserveFDs += int(n)
			return err
		})
	bothBool(f, &o.detach, "detach", "d", "do not wait for the end")
}

func createFlags(f *flag.FlagSet, o *options) {
	ioFlags(f, o)
	both(f, &o.Bundle, "bundle", "b", "the `DIR` with config.json")
	f.BoolVar(&o.NoPivot, "no-pivot", false, "chroot, for a root on a ramdisk")
	f.BoolVar(&o.keep, "keep", false, "do not delete the container")
	f.BoolVar(&o.KeepKeyring, "no-new-keyring", false,
		"have the caller's session keyring")
	f.Bool("no-subreaper", false, "for runc's callers: we never are one")
}

func create(o *options, args []string) error {
	_, err := runtime.Create(strings.Join(args, " "), o.Options)
	return err
}

func run(o *options, args []string) error {
	var c *runtime.Container
	err := attend(o, func() (int, bool, error) {
		var err error
		c, err = runtime.Create(strings.Join(args, " "), o.Options)
		if err != nil {
			return 0, false, err
		}
		return c.InitPid, c.Terminal, c.Start()
	})
	good := err == nil || errors.As(err, new(exited))
	if c != nil && (!good || !o.detach && !o.keep) {
		if failed := c.Delete(true); failed != nil {
			return failed
		}
	}
	return err
}

func execFlags(f *flag.FlagSet, o *options) {
	ioFlags(f, o)
	both(f, &o.process, "process", "p", "do what the JSON `FILE` says")
	bothBool(f, &o.tty, "tty", "t", "give it a terminal")
	f.StringVar(&o.cwd, "cwd", "", "start in `DIR`")
	both(f, &o.user, "user", "u", "be `UID[:GID]`")
	several(f, &o.env, "env", "e", "set `NAME=VALUE` in the environment")
	several(f, &o.caps, "cap", "c", "have `CAPABILITY`, too")
	several(f, &o.groups, "additional-gids", "g", "be in group `GID`, too")
	f.BoolVar(&o.noNewPrivileges, "no-new-privs", false,
		"gain nothing by setuid programs")
	f.StringVar(&o.apparmor, "apparmor", "", "have the `PROFILE`")
	f.StringVar(&o.label, "process-label", "", "have the SELinux `LABEL`")
}

func execute(o *options, c *runtime.Container, args []string) error {
	p, err := process(o, c, args)
	if err != nil {
		return fmt.Errorf("process: %w", err)
	}
	return attend(o, func() (int, bool, error) {
		pid, err := c.Exec(p, o.Options)
		return pid, p.Terminal, err
	})
}

// process is what exec shall run: a file tells, or the flags change what the
// container's own program has.
func process(o *options, c *runtime.Container, args []string) (
	*specs.Process, error) {
	if o.process != "" {
		p := &specs.Process{}
		data, err := os.ReadFile(o.process)
		if err == nil {
			err = json.Unmarshal(data, p)
		}
		p.Terminal = p.Terminal || o.tty
		return p, err
	}
	p, err := c.Process()
	if err != nil {
		return nil, err
	}
	p.Args, p.Terminal, p.Env = args, o.tty, append(p.Env, o.env...)
	if o.cwd != "" {
		p.Cwd = o.cwd
	}
	if o.user != "" {
		uid, gid, _ := strings.Cut(o.user, ":")
		u, err1 := strconv.ParseUint(uid, 10, 32)
		g, err2 := strconv.ParseUint("0"+gid, 10, 32)
		if errors.Join(err1, err2) != nil {
			return nil, fmt.Errorf("user %s: not UID[:GID]", o.user)
		}
		p.User = specs.User{UID: uint32(u), GID: uint32(g)}
	}
	for _, group := range o.groups {
		gid, err := strconv.ParseUint(group, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("group %s: not a GID", group)
		}
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(gid))
	}
	if len(o.caps) > 0 {
		c := cmp.Or(p.Capabilities, &specs.LinuxCapabilities{})
		c.Bounding = append(c.Bounding, o.caps...)
		c.Effective = append(c.Effective, o.caps...)
		c.Permitted = append(c.Permitted, o.caps...)
		p.Capabilities = c
	}
	p.NoNewPrivileges = p.NoNewPrivileges || o.noNewPrivileges
	p.ApparmorProfile = cmp.Or(o.apparmor, p.ApparmorProfile)
	p.SelinuxLabel = cmp.Or(o.label, p.SelinuxLabel)
	return p, nil
}

// exited is the exit status of a container's process, a shell's.
type exited int

func (e exited) Error() string { return fmt.Sprint("exit status ", int(e)) }

// attend runs what begin starts and serves it to its end: it passes signals
// on, and what is typed.
func attend(o *options,
	begin func() (pid int, terminal bool, err error)) error {
	if o.detach || o.ConsoleSocket != "" {
		_, _, err := begin()
		return err
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|
		unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	o.Console = os.NewFile(uintptr(pair[1]), "console")
	pid, tty, err := begin()
	if err != nil {
		return err
	}
	end := func() {}
	var master *os.File
	if tty {
		master, end, err = serve(os.NewFile(uintptr(pair[0]), "console"))
		if err != nil {
			return err
		}
	}
	go forward(signals, pid, master)
	var ws unix.WaitStatus
	for err = unix.EINTR; err == unix.EINTR; {
		_, err = unix.Wait4(pid, &ws, 0, nil)
	}
	end()
	if ws.Signaled() {
		return exited(128 + int(ws.Signal()))
	} else if err == nil && ws.ExitStatus() != 0 {
		return exited(ws.ExitStatus())
	}
	return err
}

// serve connects our terminal with the one that comes from the container; end
// waits for the last output.
func serve(console *os.File) (master *os.File, end func(), err error) {
	if master, err = terminal.ReceiveFD(console); err != nil {
		return nil, nil, err
	}
	restore, err := terminal.Raw(os.Stdin)
	if err != nil { // it is none
		restore = func() {}
	}
	done := make(chan struct{})
	go io.Copy(master, os.Stdin)
	go func() { io.Copy(os.Stdout, master); close(done) }()
	return master, func() { <-done; restore() }, nil
}

// forward passes signals on to a process. A new size is the terminal's
// business, which tells its own processes.
func forward(signals chan os.Signal, pid int, master *os.File) {
	for s := os.Signal(unix.SIGWINCH); ; s = <-signals {
		switch s {
		case unix.SIGWINCH:
			w, h, err := terminal.Size(os.Stdin)
			if err == nil && master != nil {
				terminal.Resize(master, w, h)
			}
		case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE:
		default:
			unix.Kill(pid, s.(unix.Signal))
		}
	}
}

//go:embed spec.json
var example []byte

func specFlags(f *flag.FlagSet, o *options) {
	both(f, &o.Bundle, "bundle", "b", "write config.json to `DIR`")
	f.BoolVar(&o.Rootless, "rootless", false, "for an ordinary user")
}

// spec changes the example for ordinary users: only they are mapped, and so no
// group 5.
func spec(o *options, _ []string) error {
	data := example
	if o.Rootless {
		var s specs.Spec
		if err := json.Unmarshal(example, &s); err != nil {
			return err
		}
		l := s.Linux
		l.Resources = nil
		l.Namespaces = append(l.Namespaces,
			specs.LinuxNamespace{Type: specs.UserNamespace})
		l.UIDMappings = []specs.LinuxIDMapping{
			{HostID: uint32(os.Geteuid()), Size: 1}}
		l.GIDMappings = []specs.LinuxIDMapping{
			{HostID: uint32(os.Getegid()), Size: 1}}
		for i, m := range s.Mounts {
			if m.Type == "devpts" {
				s.Mounts[i].Options = m.Options[:len(m.Options)-1]
			}
		}
		data, _ = json.MarshalIndent(s, "", "\t")
	}
	f, err := os.OpenFile(filepath.Join(o.Bundle, "config.json"),
		os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err == nil {
		_, err = f.Write(data)
		f.Close()
	}
	return err
}
