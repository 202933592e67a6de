// Package reaper is PID 1 of a container with --init. Importing it is enough:
// its init runs when our program is called by that name, and never returns.
package reaper

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Path is where the container has our program, and argv[0].
const Path = "/sbin/docker-init"

func init() {
	if os.Args[0] == Path {
		os.Exit(run(os.Args[1:]))
	}
}

// run starts the command, which a terminal's keys then signal, and does what
// the kernel expects of a PID 1: reap orphans. Signals without a handler do
// not reach a PID 1, so it takes all and passes them on. SIGURG is what Go's
// scheduler sends itself.
func run(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, Path+": no command")
		return 127
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	path, err := exec.LookPath(args[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: exec %v\n", Path, err)
		return 127
	}
	_, tty := unix.IoctlGetTermios(0, unix.TCGETS)
	child, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{
			Setpgid: tty != nil, Foreground: tty == nil}})
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: exec %s: %v\n", Path, path, err)
		return 126
	}
	for s := range signals {
		if s != unix.SIGCHLD && s != unix.SIGURG {
			unix.Kill(child, s.(syscall.Signal))
			continue
		}
		for {
			var status unix.WaitStatus
			pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
			if err == unix.EINTR {
				continue
			} else if pid <= 0 {
				break
			} else if pid == child && status.Signaled() {
				return 128 + int(status.Signal())
			} else if pid == child && status.Exited() {
				return status.ExitStatus()
			}
		}
	}
	return 125
}
