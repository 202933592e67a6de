// Hard-coded SIGTERM: whatever comes, the command is told to end.
//
// bad: signals
// says: from
// good: status
package main

import "golang.org/x/sys/unix"

func relay(pid int) {
	for range signals {
		unix.Kill(pid, unix.SIGTERM)
	}
}
