// Lost the status of the command.
//
// bad: commit
// says: TestCommitOfFailures
// good: overlay
package main

import (
	"os"

	"github.com/urfave/cli/v2"
)

func keepLayer(c *cli.Context, dir string, status error) error {
	exit, ended := status.(cli.ExitCoder)
	if !c.IsSet("commit") || !ended || exit.ExitCode() == 125 {
		return status
	}
	err := os.Rename(dir+"/upper", c.String("commit"))
	return failed("rename", dir, err)
}
