// The variation.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

var leave = []cli.Flag{
	&cli.StringFlag{Name: "kill-child", Usage: "send `SIGNAL` when we die"},
	&cli.BoolFlag{Name: "no-fork", Usage: "become COMMAND without a fork"},
	&cli.BoolFlag{Name: "init", Usage: "reap before COMMAND"},
}

func unshare(c *cli.Context) error {
	if os.Args[0] == "init" {
		return spawn(c.Args().Slice(), nil)
	}
	flags := 0
	for _, ns := range namespaces {
		if c.Bool(ns.option) {
			flags |= ns.flag
		}
	}
	if err := unix.Unshare(flags); err != nil {
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
	attr := &syscall.SysProcAttr{Pdeathsig: signal}
	if !c.Bool("init") {
		return spawn(c.Args().Slice(), attr)
	}
	args := append([]string{"init"}, os.Args[1:]...)
	pid, err := syscall.ForkExec("/proc/self/exe", args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: attr})
	if err != nil {
		return failed("fork", "init", err)
	}
	return reap(pid)
}
