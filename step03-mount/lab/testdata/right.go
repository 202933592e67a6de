// The variation.
package main

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

var leave = []cli.Flag{
	&cli.StringFlag{Name: "kill-child", Usage: "send `SIGNAL` when we die"},
	&cli.BoolFlag{Name: "no-fork", Usage: "become COMMAND without a fork"},
	&cli.StringFlag{Name: "propagation", Value: "private", Usage: "`TYPE`"},
}

var types = map[string]uintptr{"private": unix.MS_PRIVATE,
	"slave": unix.MS_SLAVE, "shared": unix.MS_SHARED}

func unshare(c *cli.Context) error {
	flags := 0
	for _, ns := range namespaces {
		if c.Bool(ns.option) {
			flags |= ns.flag
		}
	}
	how, known := types[c.String("propagation")]
	if !known {
		return fmt.Errorf("propagation %s: not private, slave or shared",
			c.String("propagation"))
	}
	err := unix.Unshare(flags)
	if err == nil && c.Bool("m") {
		err = unix.Mount("", "/", "", unix.MS_REC|how, "")
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
