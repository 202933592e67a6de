// Opens the namespace and never enters it.
//
// bad: exec
// says: waited 10s in vain for the name inside
// good: hostname
package main

import (
	"os"
	"strconv"

	"github.com/urfave/cli/v2"
)

func execute(c *cli.Context) error {
	name := c.Args().First()
	if _, err := strconv.Atoi(name); err == nil {
		name = "/proc/" + name + "/ns/uts"
	}
	file, err := os.Open(name)
	if err != nil {
		return failed("join", name, err)
	}
	defer file.Close()
	return become(c.Args().Tail())
}
