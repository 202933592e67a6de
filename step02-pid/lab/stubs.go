//go:build lab

package main

import (
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
	// TODO(lab02): two more namespaces
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: unix.SIGKILL, Cloneflags: unix.CLONE_NEWUTS}
	if err := cmd.Start(); err != nil {
		return failed("clone", "container", err)
	}
	say("Parent", fmt.Sprint("the container is PID ", cmd.Process.Pid))
	defer say("Parent", "container exited!")
	return reap(cmd.Process.Pid)
}

// reap passes signals on to pid until it ends, and returns how it ended:
// exited. Whoever ends before is collected as well: orphans become children of
// PID 1, and nobody else can wait for them. A dead process that nobody waits
// for is a zombie and keeps its PID. When PID 1 ends, the kernel kills the
// rest: pid_namespaces(7).
func reap(pid int) error {
	go relay(pid)
	return errors.New("TODO(lab02): reap")
}

// relay passes each of the signals on to pid. A terminal sends ^C and ^\ to
// every process in the foreground, so those two have arrived already.
func relay(pid int) {
	// TODO(lab02): relay
}
