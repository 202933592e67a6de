// Keeps a layer although the set-up has failed.
//
// bad: commit
// says: TestCommitOfFailures
// good: whiteouts
package main

import (
	"cmp"
	"os"

	"github.com/urfave/cli/v2"
)

func keepLayer(c *cli.Context, dir string, status error) error {
	if !c.IsSet("commit") {
		return status
	}
	err := os.Rename(dir+"/upper", c.String("commit"))
	return cmp.Or(failed("rename", dir, err), status)
}
