// Closed the wrong end of the pipe: run gives the child the end that writes,
// so what it reads there is an error.
//
// bad: maps
// says: TestRootInsideIsCallerOutside
package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func run(c *cli.Context) error {
	if os.Args[0] == "container" {
		return container(c)
	}
	say("Parent", "create a container!")
	cmd := self("container")
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUTS | unix.CLONE_NEWPID |
		unix.CLONE_NEWIPC | unix.CLONE_NEWNS | unix.CLONE_NEWUSER
	newUser(c, cmd.SysProcAttr)
	in, gate, err := os.Pipe()
	cmd.ExtraFiles = []*os.File{gate}
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err = cmp.Or(err, cmd.Start()); err != nil {
		return failed("clone", "container", err)
	}
	gate.Close()
	say("Parent", fmt.Sprint("the container is PID ", cmd.Process.Pid))
	defer say("Parent", "container exited!")
	if cmd.SysProcAttr.UidMappings == nil {
		err = cmp.Or(writeMap(c, cmd.Process.Pid, "uid", os.Getuid()),
			writeMap(c, cmd.Process.Pid, "gid", os.Getgid()))
	}
	if err == nil {
		in.WriteString("go")
	}
	in.Close()
	return cmp.Or(err, reap(cmd.Process.Pid))
}
