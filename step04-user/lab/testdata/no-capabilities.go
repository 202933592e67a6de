// Forgot the ambient capabilities: the child executes as nobody, before it has
// a map, and has lost them all.
//
// bad: ranges
// says: EPERM
// good: maps
package main

import (
	"os"
	"syscall"

	"github.com/urfave/cli/v2"
)

func newUser(c *cli.Context, attr *syscall.SysProcAttr) {
	if !c.IsSet("uid-map") && !c.IsSet("gid-map") {
		u, g := os.Getuid(), os.Getgid()
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: u, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: g, Size: 1}}
	}
}
