// Package panic is a suite that stops the kernel it runs on: `make
// test-vm-self` wants status 3. Outside the test VM it only fails.
package panic

import (
	"os"
	"strings"
	"testing"
)

func TestPanics(t *testing.T) {
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil || !strings.Contains(string(b), "workshop.vm=1") {
		t.Fatal("not in the test VM: refusing to stop this kernel")
	}
	// proc(5): c is for crash.
	err = os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	t.Fatal("still here:", err)
}
