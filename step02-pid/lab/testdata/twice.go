// Forgot the terminal: ^C arrives twice.
//
// bad: terminal
// says: signals that arrived
// good: signals
package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func relay(pid int) {
	for s := range signals {
		unix.Kill(pid, s.(syscall.Signal))
	}
}
