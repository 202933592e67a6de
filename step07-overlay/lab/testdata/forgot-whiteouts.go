// Forgot the whiteouts: copied the files of upper, and what was removed
// is back in the next container.
//
// bad: whiteouts
// says: TestWhiteouts
// good: overlay
package main

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
)

func keepLayer(c *cli.Context, dir string, status error) error {
	exit, ended := status.(cli.ExitCoder)
	if !c.IsSet("commit") || !ended || exit.ExitCode() == 125 {
		return status
	}
	to, from := c.String("commit"), dir+"/upper"
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry,
		err error) error {
		name := to + strings.TrimPrefix(path, from)
		if err == nil && d.IsDir() {
			return os.Mkdir(name, 0o755)
		} else if err == nil && d.Type().IsRegular() {
			return os.Rename(path, name)
		}
		return err
	})
	return cmp.Or(failed("rename", dir, err), status)
}
