package main

import (
	"fmt"
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
}

// unshare is unshare(2): it leaves the namespaces that the options name for
// new ones, and starts the command there.
func unshare(c *cli.Context) error {
	flags := 0
	for _, ns := range namespaces {
		if c.Bool(ns.option) {
			flags |= ns.flag
		}
	}
	err := unix.Unshare(flags)
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
