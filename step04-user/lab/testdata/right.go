// The variation.
package main

import (
	"cmp"
	"fmt"
	"os"
	"syscall"

	"github.com/urfave/cli/v2"
)

func init() {
	runFlags = append(runFlags, &cli.StringFlag{Name: "user",
		Usage: "who COMMAND is: `UID:GID`"})
}

func container(c *cli.Context) error {
	gate := os.NewFile(3, "gate")
	if n, _ := gate.Read(make([]byte, 2)); n != 2 {
		return cli.Exit("", 125)
	}
	gate.Close()
	err := becomeRoot()
	say("Container", "inside the container!")
	if err = cmp.Or(err, setNames(c), setMounts(c)); err != nil {
		return err
	}
	who := &syscall.Credential{}
	attr := &syscall.SysProcAttr{Credential: who}
	if !c.IsSet("user") {
		attr = nil
	} else if n, _ := fmt.Sscanf(c.String("user"), "%d:%d", &who.Uid,
		&who.Gid); n != 2 {
		return fmt.Errorf("user %s: not UID:GID", c.String("user"))
	}
	// Where setgroups is denied nobody may call it, not even for no groups.
	who.NoSetGroups = true
	return spawn(c.Args().Slice(), attr)
}
