// Forgot to start relay: signals end at PID 1.
//
// bad: signals
// says: still runs
// good: status
package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func reap(pid int) error {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		if got == pid {
			return exited(ws)
		} else if err != nil && err != unix.EINTR {
			return failed("wait4", "the command", err)
		}
	}
}
