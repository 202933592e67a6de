// exec joins the namespaces, and not the cgroups.
//
// bad: exec
// says: TestExecIsLimited
// good: enter
package main

import (
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func execute(c *cli.Context) error {
	if os.Args[0] == "joined" {
		return become(c.Args().Tail())
	}
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	return join(target(c.Args().First()))
}
