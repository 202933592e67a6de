// Takes PIDs only: a file that keeps a namespace is no PID.
//
// bad: exec
// says: /proc//proc/
// good: hostname
package main

import (
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func execute(c *cli.Context) error {
	name := "/proc/" + c.Args().First() + "/ns/uts"
	file, err := os.Open(name)
	if err == nil {
		err = unix.Setns(int(file.Fd()), unix.CLONE_NEWUTS)
	}
	if err != nil {
		return failed("join", name, err)
	}
	return become(c.Args().Tail())
}
