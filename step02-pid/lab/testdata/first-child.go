// Ends with the first child that ends, whoever it is.
//
// bad: reap
// says: TestPID1ReapsOrphans
// good: status
package main

import "syscall"

func reap(pid int) error {
	go relay(pid)
	var ws syscall.WaitStatus
	syscall.Wait4(-1, &ws, 0, nil)
	return exited(ws)
}
