//go:build lab

package main_test

import (
	"regexp"
	"strconv"
	"testing"
)

// A cgroup also counts. With --stats, run says at the end the most memory that
// the container has had: "Parent[PID] - memory peak N bytes".
func TestStats(t *testing.T) {
	each(t, "variation", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		without := peak(t, p, 1, "--memory", "128m")
		equal(t, "peak without --stats", without, 0)
		small := peak(t, p, 2, "--memory", "128m", "--stats")
		large := peak(t, p, 42, "--memory", "128m", "--stats")
		if large < 42*mib || large > 80*mib {
			t.Errorf("peak of 42 MiB and a little more: %d bytes", large)
		}
		if grown := large - small; grown < 30*mib || grown > 50*mib {
			t.Errorf("40 MiB more make %d bytes more", grown)
		}
	})
}

var peaks = regexp.MustCompile(`(?m)^Parent\[\d+\] - memory peak (\d+) bytes$`)

// peak runs dd with a buffer of so many MiB, and reads the line.
func peak(t *testing.T, p program, size int, options ...string) int {
	t.Helper()
	stdout, stderr, status := p.once(t, append(options, "sh", "-c",
		dd(size*mib))...)
	if status != 0 || stdout != "status 0\n" {
		t.Fatalf("dd: status %d, stdout %q, stderr:\n%s", status, stdout,
			stderr)
	}
	m := peaks.FindStringSubmatch(stderr)
	if m == nil && len(options) > 2 {
		t.Fatalf("no line \"Parent[PID] - memory peak N bytes\" in:\n%s",
			stderr)
	} else if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
