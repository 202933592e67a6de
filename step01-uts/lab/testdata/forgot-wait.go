// Forgot to wait: run ends before its container, and with status 0.
//
// bad: uts
// says: status 0, stderr
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func run(c *cli.Context) error {
	if os.Args[0] == "container" {
		return container(c)
	}
	say("Parent", "create a container!")
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = "container"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: unix.SIGKILL, Cloneflags: unix.CLONE_NEWUTS}
	if err := cmd.Start(); err != nil {
		return failed("clone", "container", err)
	}
	say("Parent", fmt.Sprint("the container is PID ", cmd.Process.Pid))
	return nil
}
