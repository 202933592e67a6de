// Package fail is a suite that fails: `make test-vm-self` wants status 1.
package fail

import "testing"

func TestPasses(t *testing.T) {}

func TestFails(t *testing.T) { t.Error("as it should") }
