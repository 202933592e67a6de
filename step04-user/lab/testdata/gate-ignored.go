// Waits at the gate, and goes on when it was closed without a word.
//
// bad: gate
// says: TestChildWaitsForItsMaps
// good: maps
package main

import (
	"cmp"
	"os"

	"github.com/urfave/cli/v2"
)

func container(c *cli.Context) error {
	gate := os.NewFile(3, "gate")
	gate.Read(make([]byte, 2))
	gate.Close()
	err := becomeRoot()
	say("Container", "inside the container!")
	if err = cmp.Or(err, setNames(c), setMounts(c)); err != nil {
		return err
	}
	return spawn(c.Args().Slice(), nil)
}
