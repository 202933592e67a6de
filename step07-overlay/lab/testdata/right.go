// The variation.
package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func init() {
	runFlags = append(runFlags, &cli.BoolFlag{Name: "diff",
		Usage: "say what has changed at the end"})
}

func run(c *cli.Context) error {
	if os.Args[0] == "container" {
		return container(c)
	}
	dir := fmt.Sprint(cmp.Or(c.String("commit"), os.TempDir()+"/workshop"),
		"-", os.Getpid())
	defer hireJanitor(dir)()
	say("Parent", "create a container!")
	flags, err := newNet(c)
	cmd := self("container")
	if err = cmp.Or(err, newCgroups(c), newLayers(c, dir)); err != nil {
		return err
	}
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUTS | unix.CLONE_NEWPID |
		unix.CLONE_NEWIPC | unix.CLONE_NEWNS | unix.CLONE_NEWUSER | flags
	newUser(c, cmd.SysProcAttr)
	in, gate, err := os.Pipe()
	cmd.ExtraFiles = []*os.File{in}
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err = cmp.Or(err, cmd.Start()); err != nil {
		return failed("clone", "container", err)
	}
	say("Parent", fmt.Sprint("the container is PID ", cmd.Process.Pid))
	defer say("Parent", "container exited!")
	if cmd.SysProcAttr.UidMappings == nil {
		err = cmp.Or(writeMap(c, cmd.Process.Pid, "uid", os.Getuid()),
			writeMap(c, cmd.Process.Pid, "gid", os.Getgid()))
	}
	if err = cmp.Or(err, enter(os.Getpid(), cmd.Process.Pid)); err == nil {
		err = connect(c, cmd.Process.Pid, gate)
	}
	fmt.Fprintf(gate, " %q", dir)
	gate.Close()
	status := reap(cmd.Process.Pid)
	if c.Bool("diff") {
		diff(layers(c), dir+"/upper")
	}
	return cmp.Or(err, keepLayer(c, dir, status))
}

func diff(below []string, upper string) {
	filepath.WalkDir(upper, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, upper)
		kind := "A"
		for _, layer := range below {
			if _, err := os.Lstat(layer + name); err == nil {
				kind = "C"
			}
		}
		var st unix.Stat_t
		if err != nil || name == "" || unix.Lstat(path, &st) != nil {
			return nil
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
			kind = "D"
		}
		fmt.Fprintln(os.Stderr, kind, name)
		return nil
	})
}
