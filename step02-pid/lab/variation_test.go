//go:build lab

package main_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// unshare -p leaves PID 1's duties to the command, which does not know of
// them. With --init, a process that reaps stands before the command.
func TestUnshareWithInit(t *testing.T) {
	each(t, "variation", func(t *testing.T, p program) {
		needs(t, "root")
		got := p.must(t, "unshare", "-p", "sh", "-c", "echo $$")
		equal(t, "$$ without --init", got, "1")
		script := "[ $$ -gt 1 ] && exit 7"
		_, stderr, status := p.run(t, "unshare", "-p", "--init", "sh", "-c",
			script)
		if status != 7 {
			t.Fatalf("--init sh -c %q: status %d, want 7: the command is "+
				"not PID 1; stderr:\n%s", script, status, stderr)
		}
		r := p.begin(t, "unshare", "-p", "--init", "sh", "-c", leave100)
		pid1 := onlyChild(t, r.pid)
		eventually(t, "100 orphans of --init", func() bool {
			return len(children(pid1)) == 101
		})
		killAllBut(t, pid1, "999")
		eventually(t, "--init to reap 100 zombies", func() bool {
			return len(children(pid1))+len(zombies(pid1)) == 1
		})
		unix.Kill(pid1, unix.SIGKILL)
		equal(t, "exit status", r.wait(t), 128+9)
	})
}
