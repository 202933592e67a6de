//go:build lab

package main_test

import (
	"slices"
	"strings"
	"testing"
)

// --diff says at the end, on stderr, what the container has changed, as
// `docker diff` does: A added, C changed, D deleted, and the path.
func TestDiff(t *testing.T) {
	each(t, "variation", func(t *testing.T, p program) {
		needs(t, "userns", "rootfs")
		low, top := scratch(t, p.uid), scratch(t, p.uid)
		name := newName()
		check(t, output("sh", "-c", "cd "+low+" && touch "+name+"-kept "+
			name+"-changed "+name+"-deleted && mkdir "+name+"-dir && touch "+
			name+"-dir/in"))
		check(t, output("sh", "-c", "touch "+top+"/"+name+"-above"))
		script := "cd /; n=" + name + "; echo x >$n-new; echo x >>$n-changed;" +
			"rm $n-deleted $n-dir/in $n-above; mkdir $n-made; echo x >$n-made/f"
		_, stderr, status := p.run(t, "run", "--network", "none", "--rootfs",
			rootfsDir(), "--layer", low, "--layer", top, "--diff", "sh", "-c",
			script)
		if status != 0 {
			t.Fatalf("status %d, stderr:\n%s", status, stderr)
		}
		var got []string
		for line := range strings.Lines(stderr) {
			line = strings.TrimSpace(line)
			if strings.Contains(line, " /"+name) {
				got = append(got, strings.Replace(line, name, "n", 1))
			}
		}
		slices.Sort(got)
		got = slices.DeleteFunc(got, func(line string) bool {
			return line == "C /n-dir" // with a change in it; or left out
		})
		equal(t, "changes", got, []string{"A /n-made", "A /n-made/f",
			"A /n-new", "C /n-changed", "D /n-above", "D /n-deleted",
			"D /n-dir/in"})
	})
}
