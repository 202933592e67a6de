// Wrote the maps itself, gid_map first: who is not root has to deny setgroups
// before. Root gets away with it, so only an ordinary user's container shows
// it.
//
// bad: maps
// says: gid_map
package main

import (
	"cmp"
	"fmt"
	"os"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func newUser(c *cli.Context, attr *syscall.SysProcAttr) {
	for n := uintptr(0); n <= unix.CAP_LAST_CAP; n++ {
		attr.AmbientCaps = append(attr.AmbientCaps, n)
	}
}

func writeMap(c *cli.Context, pid int, kind string, id int) error {
	file := fmt.Sprintf("/proc/%d/%s_map", pid, kind)
	text := fmt.Sprintf("0 %d 1", id)
	err := os.WriteFile(file, []byte(text), 0)
	deny := fmt.Sprintf("/proc/%d/setgroups", pid)
	if kind == "gid" {
		err = cmp.Or(err, os.WriteFile(deny, []byte("deny"), 0))
	}
	return failed("write", file, err)
}
