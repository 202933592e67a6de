package main

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// execute is setns(2): it joins the namespaces of a process, or the one that a
// file stands for, and starts the command there.
func execute(c *cli.Context) error {
	if os.Args[0] == "joined" {
		return become(c.Args().Tail())
	}
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // as run does
	return join(target(c.Args().First()))
}

// join runs our own program, as "joined", in other namespaces. Who enters a
// user namespace must have a single thread, and Go starts with several. So a
// raw clone(2) makes a copy with one, in which the Go runtime is dead: all it
// can do is make system calls, on memory that is there already. It enters the
// namespaces and makes the child that executes, for a PID namespace is for
// one's children; CLONE_PARENT makes that child ours. It takes the ids of root
// inside, or it would execute as nobody, and keeps no other group. runc has C
// code for all this, nsexec.c, which runs before its Go runtime starts.
func join(fd, flags int, err error) error {
	exe, err1 := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	child, err2 := unix.Mmap(-1, 0, 4, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_ANON)
	if err = cmp.Or(err, err1, err2); err != nil {
		return err
	}
	tid, empty, sig := unsafe.Pointer(&child[0]), byte(0), uintptr(unix.SIGCHLD)
	args := append([]string{"joined"}, os.Args[1:]...)
	argv, _ := syscall.SlicePtrFromStrings(args)
	envv, _ := syscall.SlicePtrFromStrings(os.Environ())
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE, sig, 0, 0)
	if pid == 0 && errno == 0 {
		unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
		_, _, errno = unix.RawSyscall(unix.SYS_SETNS, uintptr(fd),
			uintptr(flags), 0)
		if errno == 0 {
			pid, _, errno = unix.RawSyscall(unix.SYS_CLONE, unix.CLONE_PARENT|
				unix.CLONE_PARENT_SETTID|sig, 0, uintptr(tid))
		}
		if errno != 0 || pid != 0 {
			unix.RawSyscall(unix.SYS_EXIT, uintptr(errno), 0, 0)
		}
		unix.RawSyscall(unix.SYS_SETRESGID, 0, 0, 0)
		unix.RawSyscall(unix.SYS_SETRESUID, 0, 0, 0)
		unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(exe),
			uintptr(unsafe.Pointer(&empty)), uintptr(unsafe.Pointer(&argv[0])),
			uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
		unix.RawSyscall(unix.SYS_EXIT, 126, 0, 0)
	}
	var ws syscall.WaitStatus
	syscall.Wait4(int(pid), &ws, 0, nil)
	if errno = cmp.Or(errno, unix.Errno(ws.ExitStatus())); errno != 0 {
		return failed("setns", "namespaces", errno)
	}
	return reap(int(*(*int32)(tid)))
}

// target opens what we are to join. A pidfd stands for all the namespaces of a
// process, and the flags choose those that it does not share with us: two that
// share one see the same file in /proc. A file is one, and 0 is whatever it is.
func target(name string) (fd, flags int, err error) {
	pid, err := strconv.Atoi(name)
	if err != nil {
		fd, err = unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return fd, 0, failed("open", name, err)
	}
	if fd, err = unix.PidfdOpen(pid, 0); err != nil {
		return -1, 0, failed("pidfd_open", name, err)
	}
	for _, ns := range namespaces {
		file := fmt.Sprintf("/proc/%d/ns/%s", pid, ns.file)
		ours, _ := os.Stat("/proc/self/ns/" + ns.file)
		theirs, gone := os.Stat(file)
		if !os.SameFile(ours, theirs) {
			flags |= ns.flag
		}
		err = cmp.Or(err, failed("stat", file, gone))
	}
	if flags == 0 {
		err = fmt.Errorf("PID %d is in no container: run prints the PID", pid)
	}
	return fd, flags, err
}
