//go:build lab

package main_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// --user UID:GID is who the command is, inside: not PID 1, which stays root.
// The ids need a map; capabilities stay behind.
func TestUserOption(t *testing.T) {
	each(t, "variation", func(t *testing.T, p program) {
		needs(t, "userns")
		got := p.must(t, "run", "--user", "0:0", "id", "-u")
		equal(t, "id -u with 0:0", got, "0")
		_, stderr, code := p.run(t, "run", "--user", "7:7", "true")
		if code != 125 && code != 126 || !strings.Contains(stderr,
			"EINVAL") {
			t.Errorf("ids without a map: status %d, want 125 or 126, and "+
				"EINVAL; stderr:\n%s", code, stderr)
		}
		needs(t, "root")
		base, uid, gid := 20000+random(1000), 1+random(900), 1+random(900)
		r := p.start(t, append(ranges(base), "--user",
			fmt.Sprintf("%d:%d", uid, gid), "sleep", "1000")...)
		command := below(t, r.container, "sleep")
		equal(t, "the command's Uid outside", status(command, "Uid"),
			ids4(base+uid))
		equal(t, "the command's Gid outside", status(command, "Gid"),
			ids4(base+gid))
		equal(t, "PID 1's Uid outside", status(r.container, "Uid"),
			ids4(base))
		for _, set := range []string{"CapEff", "CapPrm", "CapAmb"} {
			n, _ := strconv.ParseUint(status(command, set)[0], 16, 64)
			equal(t, "the command's "+set, n, uint64(0))
		}
	})
}
