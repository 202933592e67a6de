package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// The namespaces that we know: the option of unshare, the file in /proc/PID/ns
// and the flag of the three system calls.
var namespaces = []struct {
	option, file string
	flag         int
}{
	{"u", "uts", unix.CLONE_NEWUTS},
	{"i", "ipc", unix.CLONE_NEWIPC},
	{"p", "pid", unix.CLONE_NEWPID},
	{"m", "mnt", unix.CLONE_NEWNS},
	{"U", "user", unix.CLONE_NEWUSER},
}

// unshare is unshare(2): it leaves the namespaces that the options name for
// new ones, and starts the command there. A user namespace is only for a
// process with one thread: os/exec has one between its fork and execve, and
// calls unshare there. Our own program, as "unshared", does the rest.
func unshare(c *cli.Context) error {
	flags := 0
	for _, ns := range namespaces {
		if c.Bool(ns.option) {
			flags |= ns.flag
		}
	}
	if c.Bool("U") && os.Args[0] != "unshared" {
		cmd := self("unshared")
		cmd.SysProcAttr.Unshareflags = unix.CLONE_NEWUSER
		newUser(c, cmd.SysProcAttr)
		if err := cmd.Start(); err != nil {
			return failed("clone", "user", err)
		}
		return reap(cmd.Process.Pid)
	}
	err := unix.Unshare(flags &^ unix.CLONE_NEWUSER)
	if err == nil && c.Bool("m") {
		err = private()
	}
	if err != nil {
		return failed("unshare", "namespaces", err)
	}
	if c.Bool("no-fork") {
		return become(c.Args().Slice())
	}
	name := strings.TrimPrefix(c.String("kill-child"), "SIG")
	signal := unix.SignalNum("SIG" + name)
	if name != "" && signal == 0 {
		return fmt.Errorf("no signal %s: use a name such as KILL", name)
	}
	return spawn(c.Args().Slice(), &syscall.SysProcAttr{Pdeathsig: signal})
}
