// Made the namespace by clone(2): its roots are the cgroups of the parent.
//
// bad: enter
// says: TestFirstInstruction
// good: pids
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
	defer hireJanitor()()
	say("Parent", "create a container!")
	flags, err := newNet(c)
	cmd := self("container")
	if err = cmp.Or(err, newCgroups(c)); err != nil {
		return err
	}
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUTS | unix.CLONE_NEWPID |
		unix.CLONE_NEWIPC | unix.CLONE_NEWNS | unix.CLONE_NEWUSER | flags |
		unix.CLONE_NEWCGROUP
	newUser(c, cmd.SysProcAttr)
	in, gate, err := os.Pipe()
	cmd.ExtraFiles = []*os.File{in}
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

func setCgroups() error {
	unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", unix.MS_RDONLY, "")
	return nil
}
