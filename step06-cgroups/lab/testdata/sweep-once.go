// Tried rmdir once: EBUSY, while the last process is dying.
//
// bad: removed
// says: cgroups and files
// good: namespace
package main

import (
	"golang.org/x/sys/unix"
)

func sweepCgroups(id string) {
	for _, tree := range trees() {
		unix.Rmdir(tree + "/workshop-" + id)
	}
}
