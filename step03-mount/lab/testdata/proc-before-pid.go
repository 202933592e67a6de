// Mounted /proc before the PID namespace: it shows that of whoever mounts it,
// and that was the parent.
//
// bad: proc
// says: TestOwnProc
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func run(c *cli.Context) error {
	if os.Args[0] == "container" {
		return container(c)
	}
	say("Parent", "create a container!")
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = private()
	}
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", 0, "")
	}
	if err != nil {
		return failed("unshare", "mounts", err)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = "container"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: unix.SIGKILL, Cloneflags: unix.CLONE_NEWUTS |
			unix.CLONE_NEWPID | unix.CLONE_NEWIPC}
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err := cmd.Start(); err != nil {
		return failed("clone", "container", err)
	}
	say("Parent", fmt.Sprint("the container is PID ", cmd.Process.Pid))
	defer say("Parent", "container exited!")
	return reap(cmd.Process.Pid)
}

func mountAll(rows []mount) error {
	for _, m := range rows {
		if m.on == "/proc" && rows[0].on == "/tmp" {
			continue // is there already
		}
		if info, err := os.Stat(m.src); err == nil && !info.IsDir() {
			unix.Mknod(m.on, unix.S_IFREG|0o644, 0)
		}
		os.MkdirAll(m.on, 0o755)
		if err := unix.Mount(m.src, m.on, m.fs, m.flags, m.data); err != nil {
			return failed("mount", m.on, err)
		}
	}
	return nil
}
