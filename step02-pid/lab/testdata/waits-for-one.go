// Waits for the command only: orphans stay zombies.
//
// bad: reap
// says: in vain for the command to be alone
// good: status
package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func reap(pid int) error {
	go relay(pid)
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &ws, 0, nil)
		if err != unix.EINTR {
			return exited(ws)
		}
	}
}
