//go:build lab

// in run: \tcmd.SysProcAttr = ==> \
// \t// TODO(lab02): two more namespaces\n\tcmd.SysProcAttr =
// in run:  |\n\t\t\tunix.CLONE_NEWPID | unix.CLONE_NEWIPC} ==> }

package main

import "errors"

// reap passes signals on to pid until it ends, and returns how it ended:
// exited. Whoever ends before is collected as well: orphans become children of
// PID 1, and nobody else can wait for them. A dead process that nobody waits
// for is a zombie and keeps its PID. When PID 1 ends, the kernel kills the
// rest: pid_namespaces(7).
func reap(pid int) error {
	go relay(pid)
	return errors.New("TODO(lab02): reap")
}

// relay passes each of the signals on to pid. A terminal sends ^C and ^\ to
// every process in the foreground, so those two have arrived already.
func relay(pid int) {
	// TODO(lab02): relay
}
