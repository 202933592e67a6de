package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// spawn starts the command as a child and waits for it. A PID namespace needs
// the fork: setns(2) and unshare(2) choose the one for the children that
// follow, the caller keeps its PID. In a container we are PID 1 here.
func spawn(args []string, attr *syscall.SysProcAttr) error {
	path, err := find(args)
	if err != nil {
		return err
	}
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: attr})
	if err != nil {
		return notRun(args, err)
	}
	return reap(pid)
}

// reap passes signals on to pid until it ends. Whoever ends before is collected
// as well: orphans become children of PID 1, and nobody else can wait for them.
// A dead process that nobody waits for is a zombie and keeps its PID. When
// PID 1 ends, the kernel kills the rest: pid_namespaces(7).
func reap(pid int) error {
	go relay(pid)
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

// The signals that are meant for the command, from our first moment on. The
// kernel drops what PID 1 does not catch, and kill(1) would have no effect.
var signals = make(chan os.Signal, 16)

func init() {
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT,
		unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
}

// relay passes signals on to pid. A terminal sends ^C and ^\ to every process
// in the foreground, so those two have arrived already.
func relay(pid int) {
	_, err := unix.IoctlGetTermios(0, unix.TCGETS)
	for s := range signals {
		if err != nil || s != unix.SIGINT && s != unix.SIGQUIT {
			unix.Kill(pid, s.(syscall.Signal))
		}
	}
}
