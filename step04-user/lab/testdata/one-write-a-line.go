// Wrote the lines of a map one after the other: a map can be written once.
//
// bad: ranges
// says: EPERM
// good: maps
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

func writeMap(c *cli.Context, pid int, kind string, id int) error {
	file := fmt.Sprintf("/proc/%d/%s_map", pid, kind)
	lines := c.StringSlice(kind + "-map")
	if len(lines) == 0 {
		lines = []string{fmt.Sprintf("0:%d:1", id)}
	}
	for _, line := range lines {
		line = strings.ReplaceAll(line, ":", " ")
		err := os.WriteFile(file, []byte(line), 0)
		if err != nil {
			return failed("write", file, err)
		}
	}
	return nil
}
