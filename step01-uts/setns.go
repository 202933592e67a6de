package main

import (
	"os"
	"strconv"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// execute is setns(2): it joins the namespace that a file stands for, and
// becomes the command. A PID stands for its file in /proc.
func execute(c *cli.Context) error {
	name := c.Args().First()
	if _, err := strconv.Atoi(name); err == nil {
		name = "/proc/" + name + "/ns/uts"
	}
	file, err := os.Open(name)
	if err == nil {
		err = unix.Setns(int(file.Fd()), unix.CLONE_NEWUTS)
	}
	if err != nil {
		return failed("join", name, err)
	}
	return become(c.Args().Tail())
}
