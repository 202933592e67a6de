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
// with the same arguments; argv[0] tells it that it is the one inside. It is
// killed when our thread ends, however that happens: PR_SET_PDEATHSIG in
// prctl(2).
func run(c *cli.Context) error {
	if os.Args[0] == "container" {
		return container(c)
	}
	say("Parent", "create a container!")
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = "container"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: unix.SIGKILL, Cloneflags: unix.CLONE_NEWUTS |
			unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWNS}
	in, gate, err := os.Pipe()
	cmd.ExtraFiles = []*os.File{in}
	// A directory of the host's that is still open leads out of the container.
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err = cmp.Or(err, cmd.Start()); err != nil {
		return failed("clone", "container", err)
	}
	say("Parent", fmt.Sprint("the container is PID ", cmd.Process.Pid))
	defer say("Parent", "container exited!")
	gate.WriteString("go")
	return reap(cmd.Process.Pid)
}

// container is the other half of run, in the child: it sets the container up
// and, being PID 1, stays to look after the command. First it waits at the
// gate, which a parent closes that died before prctl(2).
func container(c *cli.Context) error {
	gate := os.NewFile(3, "gate")
	if n, _ := gate.Read(make([]byte, 2)); n != 2 {
		return cli.Exit("", 125)
	}
	gate.Close()
	say("Container", "inside the container!")
	if err := cmp.Or(setNames(c), setMounts(c)); err != nil {
		return err
	}
	return spawn(c.Args().Slice(), nil)
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

// What to do about an errno, of any call or of one, where the cause is known.
var advice = map[string]string{
	"EPERM":             ": needs root: use sudo",
	"stat EACCES":       ": the process is another user's: use sudo",
	"bind mount ENOENT": ": make rootfs makes a root filesystem",
	"pivot_root EBUSY":  ": give a --rootfs other than /",
	"pidfd_open ESRCH":  ": run prints the PID to use",
	"setns EINVAL":      ": name a PID, or a file such as /proc/PID/ns/uts",
}

// failed says in one line which system call failed, on what, with which errno,
// and what to do about it. No error stays no error.
func failed(call, on string, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	name := unix.ErrnoName(errno)
	todo := cmp.Or(advice[call+" "+name], advice[name])
	return fmt.Errorf("%s %s: %w (%s)%s", call, on, errno, name, todo)
}

// say prints what the C program prints; stdout belongs to the command.
func say(who, what string) {
	fmt.Fprintf(os.Stderr, "%s[%d] - %s\n", who, os.Getpid(), what)
}
