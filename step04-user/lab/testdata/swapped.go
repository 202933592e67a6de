// Swapped inside and outside.
//
// bad: maps
// says: clone container: operation not permitted
package main

import (
	"os"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func newUser(c *cli.Context, attr *syscall.SysProcAttr) {
	if !c.IsSet("uid-map") && !c.IsSet("gid-map") {
		u, g := os.Getuid(), os.Getgid()
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: u, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: g, Size: 1}}
	}
	for n := uintptr(0); n <= unix.CAP_LAST_CAP; n++ {
		attr.AmbientCaps = append(attr.AmbientCaps, n)
	}
}
