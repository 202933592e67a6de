package main

import (
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// unshare is unshare(2): it leaves the namespaces that the options name for
// new ones, and becomes the command.
func unshare(c *cli.Context) error {
	flags := 0
	if c.Bool("u") {
		flags |= unix.CLONE_NEWUTS
	}
	if err := unix.Unshare(flags); err != nil {
		return failed("unshare", "namespaces", err)
	}
	return become(c.Args().Slice())
}
