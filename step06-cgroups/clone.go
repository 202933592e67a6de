package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// run is clone(2). C passes clone a function for the child. Go cannot: the
// copy of a process with several threads has only one of them, and the Go
// runtime does not survive that. So the child executes our own program again,
// with the same arguments; argv[0] tells it that it is the one inside. Nobody
// has that name by accident.
func run(c *cli.Context) error {
	if os.Args[0] == "container" {
		return container(c)
	}
	defer hireJanitor()()
	say("Parent", "create a container!")
	flags, err := newNet(c)
	cmd := self("container")
	if err = cmp.Or(err, newCgroups(c)); err != nil {
		return err
	}
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUTS | unix.CLONE_NEWPID |
		unix.CLONE_NEWIPC | unix.CLONE_NEWNS | unix.CLONE_NEWUSER | flags
	newUser(c, cmd.SysProcAttr)
	in, gate, err := os.Pipe()
	cmd.ExtraFiles = []*os.File{in}
	// A directory of the host's that is still open leads out of the container.
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err = cmp.Or(err, cmd.Start()); err != nil {
		return failed("clone", "container", err)
	}
	say("Parent", fmt.Sprint("the container is PID ", cmd.Process.Pid))
	defer say("Parent", "container exited!")
	if cmd.SysProcAttr.UidMappings == nil {
		err = cmp.Or(writeMap(c, cmd.Process.Pid, "uid", os.Getuid()),
			writeMap(c, cmd.Process.Pid, "gid", os.Getgid()))
	}
	if err = cmp.Or(err, enter(os.Getpid(), cmd.Process.Pid)); err == nil {
		err = connect(c, cmd.Process.Pid, gate)
	}
	gate.Close()
	return cmp.Or(err, reap(cmd.Process.Pid))
}

// container is the other half of run, in the child: it sets the container up
// and, being PID 1, stays to look after the command. First it waits at the
// gate: until its maps are written it is nobody. A parent that fails closes
// the gate without a word.
func container(c *cli.Context) error {
	gate := os.NewFile(3, "gate")
	var net string
	if n, _ := fmt.Fscan(gate, &net); n != 1 {
		return cli.Exit("", 125)
	}
	gate.Close()
	err := becomeRoot()
	say("Container", "inside the container!")
	err = cmp.Or(err, setNames(c), setMounts(c), setNet(net), setCgroups())
	if err != nil {
		return err
	}
	return spawn(c.Args().Slice(), nil)
}

// self prepares to start our own program again, under another argv[0]. It is
// killed when we die, however that happens: PR_SET_PDEATHSIG in prctl(2).
func self(name string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = name
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// hireJanitor starts a process of ours that cleans up after us, however we
// die. Its standard input is a pipe of which we alone have the other end; the
// kernel closes that when we are gone. In a session of its own, the terminal's
// signals do not reach it. The function returned lets it go, and waits for it.
func hireJanitor() func() {
	cmd := self("janitor")
	cmd.Args = []string{program, "janitor", fmt.Sprint(os.Getpid())}
	in, out, _ := os.Pipe()
	cmd.Stdin, cmd.SysProcAttr = in, &syscall.SysProcAttr{Setsid: true}
	cmd.Start()
	return func() { out.Close(); cmd.Wait() }
}

// janitor waits, and removes from the host what has its master's PID as name.
func janitor(c *cli.Context) error {
	os.Stdin.Read(make([]byte, 1))
	sweepCgroups(c.Args().First())
	return sweepNet(c.Args().First())
}

// become replaces this process by the command: execve(2).
func become(args []string) error {
	path, err := find(args)
	if err == nil {
		err = notRun(args, unix.Exec(path, args, os.Environ()))
	}
	return err
}

// find returns the path of the program that args name.
func find(args []string) (string, error) {
	if len(args) == 0 {
		return "", fmt.Errorf("COMMAND is missing: see %s help", program)
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		err = notRun(args, err)
	}
	return path, err
}

// notRun is 127 when the command is not found, 126 when it cannot be executed.
func notRun(args []string, err error) error {
	text := fmt.Sprint(program, ": ", failed("execve", args[0], err))
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, unix.ENOENT) {
		return cli.Exit(text, 127)
	}
	return cli.Exit(text, 126)
}

// exited passes on how a command ended, as a shell does: its own status, or
// 128+n when signal n killed it. cli.Exit ends the program with that status,
// without a word. Docker's other three are 127 and 126 in
// notRun, and 125 in main.
func exited(ws syscall.WaitStatus) error {
	if ws.Signaled() {
		return cli.Exit("", 128+int(ws.Signal()))
	}
	return cli.Exit("", ws.ExitStatus())
}

// What to do about an errno of a call, where the cause is known. The first
// three are the switches by which a host keeps its users from namespaces.
var advice = map[string]string{
	"clone ENOSPC":      ": raise sysctl user.max_user_namespaces",
	"clone EPERM":       ": sysctl, chroot or seccomp forbids it: make doctor",
	"unshare EPERM":     ": add -U, or use sudo",
	"sethostname EPERM": ": AppArmor restricts user namespaces: make doctor",
	"write EINVAL":      ": maps are INSIDE:HOST:N and do not overlap",
	"setuid EINVAL":     ": the maps need a 0 inside",
	"bind mount ENOENT": ": make rootfs makes a root filesystem",
	"pivot_root EBUSY":  ": give a --rootfs other than /",
	"stat EACCES":       ": the process is another user's: use sudo",
	"network ENOENT":    ": give none, host, bridge or container:PID",
	"plug into EEXIST":  ": the subnet has no address left",
	"set ENODEV":        ": name a whole disk",
	"set ENOENT":        ": this kernel cannot; for swap: swapaccount=1",
	"setns EINVAL":      ": name a PID, or a file such as /proc/PID/ns/uts",

	"mkdir cgroup EACCES": ": limits are for root: use sudo",
}

// failed says in one line which system call failed, on what, with which errno,
// and what to do about it. No error stays no error.
func failed(call, on string, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	name := unix.ErrnoName(errno)
	return fmt.Errorf("%s %s: %w (%s)%s", call, on, errno, name,
		advice[call+" "+name])
}

// say prints what the C program prints; stdout belongs to the command.
func say(who, what string) {
	fmt.Fprintf(os.Stderr, "%s[%d] - %s\n", who, os.Getpid(), what)
}
