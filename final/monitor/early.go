package monitor

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// early is a monitor without a container yet, and its PID.
var early struct {
	conn *os.File
	pid  int
}

// begin starts a monitor for a command that will need one, before this program
// has even initialised the packages with which it reads the command line: the
// monitor initialises itself meanwhile.
func begin(args []string) {
	for len(args) > 1 && (args[0] == "container" ||
		strings.HasPrefix(args[0], "--")) {
		if args[0] == "--root" || args[0] == "--state" {
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) > 1 && (args[0] == "run" || args[0] == "start" ||
		args[0] == "restart") {
		early.conn, early.pid, _ = spawn(nil)
	}
}

// Spawn starts a monitor, in a session of its own, which holds sockets: those
// of the host's ports that the container publishes. Ours to it is polled.
func Spawn(sockets []*os.File) (conn *os.File, err error) {
	if early.conn != nil && len(sockets) == 0 {
		conn, early.conn = early.conn, nil
		return conn, nil
	}
	conn, _, err = spawn(sockets)
	return conn, err
}

// Dismiss ends the early monitor if there was nothing to do for it.
func Dismiss() {
	if early.conn != nil {
		early.conn.Close()
		unix.Wait4(early.pid, nil, 0, nil)
	}
}

func spawn(sockets []*os.File) (conn *os.File, pid int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX,
		unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	conn = socketFile(pair[0])
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		defer null.Close()
		files := []uintptr{null.Fd(), null.Fd(), null.Fd(), uintptr(pair[1])}
		if os.Getenv("MINIDOCKER_DEBUG") != "" {
			files[2] = os.Stderr.Fd()
		}
		for _, s := range sockets {
			files = append(files, s.Fd())
		}
		pid, err = syscall.ForkExec("/proc/self/exe", []string{Name},
			&syscall.ProcAttr{Env: os.Environ(), Files: files,
				Sys: &syscall.SysProcAttr{Setsid: true}})
	}
	if err != nil {
		conn.Close()
		return nil, 0, fmt.Errorf("start the monitor: %w", err)
	}
	return conn, pid, nil
}
