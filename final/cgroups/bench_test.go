package cgroups

import (
	"os/exec"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What a container's cgroup costs: make it, fill it, remove it.
func BenchmarkCgroup(b *testing.B) {
	r := memory(64*mib, 64*mib)
	r.Devices = []specs.LinuxDeviceCgroup{dev(false, "a", -1, -1, "rwm"),
		dev(true, "c", 1, 3, "rwm"), dev(true, "c", 1, 5, "rwm")}
	for b.Loop() {
		c, err := Create(name(), r)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		cmd := exec.Command("sleep", "1000")
		cmd.Start()
		b.StartTimer()
		c.Add(cmd.Process.Pid)
		b.StopTimer()
		cmd.Process.Kill()
		cmd.Wait()
		b.StartTimer()
		c.Delete()
	}
}
