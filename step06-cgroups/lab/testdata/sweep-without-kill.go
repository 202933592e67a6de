// Waits for processes that nobody ends.
//
// bad: removed
// says: TestNobodyHoldsTheCgroups
// good: namespace
package main

import (
	"time"

	"golang.org/x/sys/unix"
)

func sweepCgroups(id string) {
	for _, tree := range trees() {
		dir := tree + "/workshop-" + id
		for n := 0; unix.Rmdir(dir) == unix.EBUSY && n < 100; n++ {
			time.Sleep(50 * time.Millisecond)
		}
	}
}
