package main

import (
	"cmp"
	"fmt"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// execute is setns(2): it joins the namespaces of a process, or the one that a
// file stands for, and starts the command there.
func execute(c *cli.Context) error {
	name := c.Args().First()
	fd, flags, err := target(name)
	if err != nil {
		return err
	}
	if err := unix.Setns(fd, flags); err != nil {
		return failed("setns", name, err)
	}
	return spawn(c.Args().Tail(), nil)
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
