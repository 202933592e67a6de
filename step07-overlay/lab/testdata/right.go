// The variation.
//
// in run: keepLayer(c, dir, reap(cmd.Process.Pid)) ==> \
// keepLayer(c, dir, diffed(c, dir,\n\t\treap(cmd.Process.Pid)))
package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func init() {
	runFlags = append(runFlags, &cli.BoolFlag{Name: "diff",
		Usage: "say what has changed at the end"})
}

func diffed(c *cli.Context, dir string, status error) error {
	if c.Bool("diff") {
		diff(layers(c), dir+"/upper")
	}
	return status
}

func diff(below []string, upper string) {
	filepath.WalkDir(upper, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, upper)
		kind := "A"
		for _, layer := range below {
			if _, err := os.Lstat(layer + name); err == nil {
				kind = "C"
			}
		}
		var st unix.Stat_t
		if err != nil || name == "" || unix.Lstat(path, &st) != nil {
			return nil
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
			kind = "D"
		}
		fmt.Fprintln(os.Stderr, kind, name)
		return nil
	})
}
