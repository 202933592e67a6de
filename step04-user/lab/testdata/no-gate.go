// Forgot to wait at the gate.
//
// bad: gate
// says: did not wait
package main

import (
	"cmp"
	"os"

	"github.com/urfave/cli/v2"
)

func container(c *cli.Context) error {
	os.NewFile(3, "gate").Close()
	err := becomeRoot()
	say("Container", "inside the container!")
	if err = cmp.Or(err, setNames(c), setMounts(c)); err != nil {
		return err
	}
	return spawn(c.Args().Slice(), nil)
}
