// Knows no end by a signal: such a status is -1, that is 255.
//
// bad: status
// says: status 255, want 1
// good: reap
package main

import (
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func reap(pid int) error {
	go relay(pid)
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		if got == pid {
			return cli.Exit("", ws.ExitStatus())
		} else if err != nil && err != unix.EINTR {
			return failed("wait4", "the command", err)
		}
	}
}
