// Package hang is a suite that never ends: `make test-vm-self` wants status 4.
package hang

import (
	"testing"
	"time"
)

func TestHangs(t *testing.T) { time.Sleep(24 * time.Hour) }
