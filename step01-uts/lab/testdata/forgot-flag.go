// Forgot CLONE_NEWUTS.
//
// bad: uts
// says: inside (-want +got)
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return failed("clone", "container", err)
	}
	say("Parent", fmt.Sprint("the container is PID ", cmd.Process.Pid))
	cmd.Wait()
	say("Parent", "container exited!")
	return exited(cmd.ProcessState.Sys().(syscall.WaitStatus))
}
