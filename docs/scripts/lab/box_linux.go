package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A submission is a stranger's program, and the suites run it as root. So both
// run in a container, which is one of step 7's: a root filesystem of layers, a
// user namespace of which root is nobody outside, no network, limits on memory
// and processes. What it writes goes to a tmpfs that is counted as its memory.
// All that a hostile program can reach is its own grader.
const (
	boxMemory = "640m"
	boxPids   = "320"
	boxFile   = 64 << 20 // bytes: the largest file that a process may write
	boxDisk   = "size=256m,nr_inodes=50k,mode=755"
	idRange   = 1 << 28 // user ids of a box: slots 1 to 14 have them apart
)

// enterBox is what the container runs: it waits until its cgroups are its own,
// mounts them, and becomes the suite. On version 2 a cgroup with limits for
// those below it may have no process of its own: they move one down.
const enterBox = `echo ready; read go
for c in memory cpu cpuset cpuacct pids blkio; do
	mkdir -p /run/cg/$c && mount -t cgroup -o $c none /run/cg/$c ||
		rmdir /run/cg/$c
done 2>/dev/null
cd /sys/fs/cgroup && grep -q memory cgroup.controllers && (
	mount -o remount,bind,rw /sys/fs/cgroup && mkdir own &&
	for p in $(cat cgroup.procs); do echo $p >own/cgroup.procs; done
) 2>/dev/null
cd /tmp && exec "$@"`

// insideBox runs a suite in a box: SLOT STEP7 ROOTFS SUITE BIN OPTION... It is
// a process of its own, because it needs root and a mount namespace.
func insideBox(args []string) error {
	if len(args) < 5 {
		return errors.New("usage: box SLOT STEP7 ROOTFS SUITE BIN OPTIONS")
	}
	slot, err := strconv.Atoi(args[0])
	if err != nil || slot < 1 || slot > 14 {
		return fmt.Errorf("box %s: not 1 to 14", args[0])
	}
	runtime.LockOSThread()
	dir, err := os.MkdirTemp("", "workshop-grade-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := stage(slot, dir, args[2], args[3], args[4]); err != nil {
		return err
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	return runBox(slot, dir, args[1], args[5:])
}

// stage mounts what the box sees, where nobody else sees it.
func stage(slot int, dir, rootfs, suite, bin string) error {
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("grade", dir, "tmpfs", unix.MS_NOSUID, boxDisk)
	}
	if err != nil {
		return fmt.Errorf("a place for the box: %w: grade-all needs root", err)
	}
	for _, d := range []string{"", "/tmp", "/box", "/box/c"} {
		os.Mkdir(dir+d, 0o755)
	}
	for from, to := range map[string]string{rootfs: "/rootfs",
		suite: "/box/suite", bin: "/box/step"} {
		out, err := output(time.Minute, "/", "cp", "-a", from, dir+to)
		if err == nil {
			out, err = output(time.Minute, "/", "chmod", "-R", "go+rX",
				dir+to)
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	err = os.Mkdir(dir+"/rootfs/run/cg", 0o755)
	// Root of the box owns its root filesystem, as root does elsewhere.
	out, bad := output(time.Minute, "/", "chown", "-R", "-h",
		fmt.Sprint(slot*idRange, ":", slot*idRange), dir+"/rootfs")
	if bad != nil {
		err = fmt.Errorf("%w: %s", bad, out)
	}
	return err
}

func runBox(slot int, dir, step7 string, options []string) error {
	limit := unix.Rlimit{Cur: boxFile, Max: boxFile}
	unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
	ids := fmt.Sprintf("0:%d:%d", slot*idRange, idRange)
	args := append([]string{"run", "--network", "none", "--hostname", "box",
		"--uid-map", ids, "--gid-map", ids, "--memory", boxMemory,
		"--memory-swap", boxMemory, "--pids-limit", boxPids,
		"--cpus", fmt.Sprint(max(2, runtime.NumCPU())),
		"--cpuset-cpus", fmt.Sprint("0-", runtime.NumCPU()-1),
		"--rootfs", dir + "/rootfs", "--volume", dir + "/box:/opt:ro",
		"--volume", dir + "/rootfs:/mnt:ro",
		"sh", "-c", enterBox, "sh", "env", "-i",
		"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "STEP_BIN=/opt/step",
		"STEP_C=/opt/c", "ROOTFS=/mnt", "TMPDIR=/tmp", "/opt/suite"},
		options...)
	c := exec.Command(step7, args...)
	c.Env = append(os.Environ(), "TMPDIR="+dir+"/tmp")
	stdin, _ := c.StdinPipe()
	stdout, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return err
	}
	id := c.Process.Pid
	end := time.AfterFunc(pointLimit+2*time.Second, func() {
		c.Process.Kill()
	})
	defer end.Stop()
	said := bufio.NewReader(stdout)
	if line, _ := said.ReadString('\n'); line == "ready\n" {
		delegate(id, slot*idRange)
		fmt.Fprintln(stdin, "go")
	}
	_, err = io.Copy(&head{}, io.TeeReader(said, &cut{w: os.Stdout}))
	done := make(chan bool)
	go sweep(id, done)
	err = errors.Join(err, c.Wait())
	close(done)
	sweep(id, done)
	return err
}

// cut passes on what fits, and swallows the rest.
type cut struct {
	w io.Writer
	n int
}

func (c *cut) Write(b []byte) (int, error) {
	part := b[:min(len(b), keep-c.n)]
	c.n += len(part)
	c.w.Write(part)
	return len(b), nil
}

// own are the cgroups of a box, in each tree that its limits need.
func own(id int) []string {
	name := fmt.Sprint("/workshop-", id)
	one, _ := filepath.Glob("/sys/fs/cgroup" + name)
	more, _ := filepath.Glob("/sys/fs/cgroup/*" + name)
	return append(one, more...)
}

// delegate lets root of the box make cgroups below its own, but not change its
// own limits: cgroups(7), "Delegation".
func delegate(id, uid int) {
	for _, dir := range own(id) {
		os.Chown(dir, uid, uid)
		for _, name := range []string{"cgroup.procs", "cgroup.threads",
			"cgroup.subtree_control", "tasks"} {
			os.Chown(dir+"/"+name, uid, uid)
		}
	}
}

// sweep ends what still lives in the box's cgroups, and removes those that a
// submission has left below them: the janitor of step 7 knows but its own.
func sweep(id int, done chan bool) {
	for range 400 {
		left := own(id)
		for _, dir := range left {
			filepath.WalkDir(dir, func(path string, d os.DirEntry,
				err error) error {
				if err == nil && d.IsDir() && path != dir {
					defer unix.Rmdir(path)
					endAll(path)
				}
				return nil
			})
			endAll(dir)
			unix.Rmdir(dir)
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
}

func endAll(cgroup string) {
	text, _ := os.ReadFile(cgroup + "/cgroup.procs")
	for _, word := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 1 {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}
