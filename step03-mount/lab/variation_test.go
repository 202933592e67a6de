//go:build lab

package main_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// unshare -m --propagation TYPE does what unshare(1) does: which mounts of the
// other side are seen, when the parent mount is shared.
func TestPropagation(t *testing.T) {
	each(t, "variation", func(t *testing.T, p program) {
		needs(t, "root")
		for _, c := range []struct {
			how         string
			comes, goes bool // the host's mounts come in, ours go out
		}{{"", false, false}, {"private", false, false},
			{"slave", true, false}, {"shared", true, true}} {
			hosts, ours := scratch(t, 0), scratch(t, 0)
			args := []string{"unshare", "-m"}
			if c.how != "" {
				args = append(args, "--propagation", c.how)
			}
			r := p.begin(t, append(args, "sleep", "1000")...)
			child := onlyChild(t, r.pid)
			runs(t, child, "sleep")
			tmpfs(t, hosts)
			within(t, child, func() error {
				return unix.Mount("ours", ours, "tmpfs", 0, "")
			})
			name := "--propagation " + c.how
			equal(t, name+": the host's mount is seen inside",
				on(mountsOf(child), hosts).on == hosts, c.comes)
			equal(t, name+": the mount inside is seen by the host",
				on(mountsOf(us), ours).on == ours, c.goes)
			unix.Unmount(ours, 0)
			unix.Kill(child, unix.SIGKILL)
			r.wait(t)
			check(t, unix.Unmount(hosts, 0))
		}
		p.refuses(t, 125, []string{"nonesuch"}, "unshare", "-m",
			"--propagation", "nonesuch", "true")
	})
}
