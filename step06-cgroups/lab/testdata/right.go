// The variation.
//
// in run: \treturn cmp.Or(err, reap(cmd.Process.Pid)) ==> \
// \tstatus := reap(cmd.Process.Pid)\n\
// \tif c.Bool("stats") {\n\
// \t\tstats()\n\t}\n\treturn cmp.Or(err, status)
package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func init() {
	runFlags = append(runFlags, &cli.BoolFlag{Name: "stats",
		Usage: "say the most memory at the end"})
}

func stats() {
	dir := fmt.Sprint(trees()["memory"], "/workshop-", os.Getpid())
	for _, name := range []string{"/memory.max_usage_in_bytes",
		"/memory.peak"} {
		peak, err := os.ReadFile(dir + name)
		if err == nil {
			say("Parent", "memory peak "+strings.TrimSpace(string(peak))+
				" bytes")
		}
	}
}
