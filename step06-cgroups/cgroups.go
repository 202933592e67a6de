package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// trees finds each controller's tree of cgroups. Version 1 mounts a tree for
// one controller or several, and names them in the mount's options; version 2
// has one tree, for those that version 1 leaves. See cgroups(7).
func trees() map[string]string {
	found := map[string]string{}
	text, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // source, mount point, type, options
		if f[2] == "cgroup" || f[2] == "cgroup2" {
			list, _ := os.ReadFile(f[1] + "/cgroup.controllers")
			names := append(strings.Fields(string(list)), f[2])
			for _, name := range append(names, strings.Split(f[3], ",")...) {
				found[name] = f[1]
			}
		}
	}
	return found
}

// newCgroups makes the cgroups that the limits need, before the container is
// there. A cgroup is a directory, which the kernel fills with files. Version 1
// takes no process where there are no memory nodes. Version 2 has the files of
// those controllers that the directory above enables; we leave that as it is
// then, for others may have come to use them. Where swap is not counted, only
// who asked about it is told.
func newCgroups(c *cli.Context) error {
	found, made := trees(), map[string]int{}
	for _, l := range limits {
		name1, _, _ := strings.Cut(l.file1, ".")
		name2, _, _ := strings.Cut(l.file2, ".")
		tree := cmp.Or(found[name1], found[name2])
		dir := fmt.Sprint(tree, "/workshop-", os.Getpid())
		for _, text := range c.StringSlice(l.option) {
			v1, v2, err := l.values(c, text)
			if v1 == "" {
				continue
			} else if tree == "" {
				err = cmp.Or(err, fmt.Errorf("cgroup controller %s: no tree, "+
					"version 1 or 2, has it: mount -t cgroup -o %s none "+
					"/sys/fs/cgroup/%[2]s", name2, name1))
			} else if made[dir]++; err == nil && made[dir] == 1 {
				err = failed("mkdir cgroup", dir, os.Mkdir(dir, 0o755))
				nodes, _ := os.ReadFile(tree + "/cpuset.mems")
				set(dir+"/cpuset.mems", string(nodes))
			}
			file, value := l.file1, v1
			if tree == found["cgroup2"] {
				file, value = l.file2, v2
				enable := tree + "/cgroup.subtree_control"
				err = cmp.Or(err, set(enable, "+"+name2))
			}
			err = cmp.Or(err, set(dir+"/"+file, value))
			if err != nil && text != "" {
				return err
			}
		}
	}
	return nil
}

// set writes a value. Version 2 takes processors that are not there, and goes
// on without them; not so we.
func set(file string, value any) error {
	_, err := os.Stat(file) // os.WriteFile would try to make it
	err = cmp.Or(err, os.WriteFile(file, fmt.Append(nil, value), 0))
	asked, _ := os.ReadFile(file)
	got, none := os.ReadFile(file + ".effective")
	if none == nil && string(asked) != string(got) {
		err = cmp.Or(err, error(unix.EINVAL))
	}
	return failed("set", fmt.Sprint(file, " = ", value), err)
}

// enter moves a process, with all its threads, into the cgroups of an ID.
func enter(id any, pid int) (err error) {
	for _, tree := range trees() {
		file := fmt.Sprint(tree, "/workshop-", id, "/cgroup.procs")
		if _, missing := os.Stat(file); missing == nil {
			err = cmp.Or(err, set(file, pid))
		}
	}
	return err
}

// setCgroups makes our cgroups the roots of the trees that we see. clone(2)
// could do it, but too early: the roots would be the parent's. /sys shows us
// version 2; where it is still the host's, the kernel says EBUSY, and it shows
// the host's.
func setCgroups() error {
	err := unix.Unshare(unix.CLONE_NEWCGROUP)
	unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", unix.MS_RDONLY, "")
	return failed("unshare", "cgroup", err)
}

// sweepCgroups removes the cgroups of an ID, which the kernel refuses until
// all in there have died. Who is left is killed, PID 1 of the container first.
func sweepCgroups(id string) {
	for _, tree := range trees() {
		dir, pid := tree+"/workshop-"+id, 0
		for n := 0; unix.Rmdir(dir) == unix.EBUSY && n < 100; n++ {
			list, _ := os.ReadFile(dir + "/cgroup.procs")
			if _, err := fmt.Sscan(string(list), &pid); err == nil {
				unix.Kill(pid, unix.SIGKILL)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}
