package main_test

import (
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The C programs do all that this step does.
var inC = []string{"run", "exec", "unshare"}

func init() {
	// escape COMMAND [ARG...] does what c/escape.c does.
	helpers["escape"] = func(args []string) {
		fatal(unix.Chdir("/"))
		fatal(unix.Chroot("/tmp"))
		for range 100 {
			fatal(unix.Chdir(".."))
		}
		fatal(unix.Chroot("."))
		path, err := exec.LookPath(args[0])
		fatal(err)
		fatal(unix.Exec(path, args, os.Environ()))
	}
	// euid says whose rights a process has.
	helpers["euid"] = func([]string) { fmt.Println(os.Geteuid()) }
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(99)
	}
}

// newName is random: no program can know it beforehand.
func newName() string { return "w" + strings.ToLower(rand.Text()[:12]) }

// sh runs a script in a new container.
func (p program) sh(t *testing.T, script string, options ...string) string {
	t.Helper()
	args := slices.Concat([]string{"run"}, options, []string{"sh", "-c",
		script})
	return p.must(t, args...)
}

// exec1 runs a command in a running container.
func exec1(p program, t *testing.T, r *running, args ...string) string {
	t.Helper()
	pid := strconv.Itoa(r.container)
	return p.must(t, append([]string{"exec", pid}, args...)...)
}

// within calls f in the mount namespace of a process.
func within(t *testing.T, pid int, f func() error) {
	t.Helper()
	elsewhere(t, func() error {
		file := fmt.Sprintf("/proc/%d/ns/mnt", pid)
		fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNS); err != nil {
			return err
		}
		return f()
	})
}

// elsewhere calls f on a thread that may change its namespaces and its root:
// it is nobody else's, and ends with f.
func elsewhere(t *testing.T, f func() error) {
	t.Helper()
	result := make(chan error)
	go func() { result <- onThread(f) }()
	check(t, <-result)
}

func onThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // no unlock: Go ends the thread
		if unix.Gettid() == us {
			// /proc/self shows this thread. Find another one.
			err := onThread(f)
			runtime.UnlockOSThread()
			result <- err
			return
		}
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

// A mount, as /proc/PID/mountinfo shows it: proc(5).
type mount struct {
	on, fstype string
	options    []string // of the mount and of the file system
	peers      string   // such as "shared:1"
}

func parseMounts(lines []string) (mounts []mount) {
	for _, line := range lines {
		left, right, _ := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		mounts = append(mounts, mount{on: l[4], fstype: r[0],
			options: strings.Split(l[5]+","+r[2], ","),
			peers:   strings.Join(l[6:], " ")})
	}
	return mounts
}

func mountsOf(pid int) []mount { return parseMounts(mountinfo(pid)) }

// on is the topmost mount at path, or one without a type.
func on(mounts []mount, path string) (found mount) {
	for _, m := range mounts {
		if m.on == path {
			found = m
		}
	}
	return found
}

// tmpfs mounts an empty file system on the host (the suite's own) and removes
// it when the test ends.
func tmpfs(t *testing.T, dir string) {
	t.Helper()
	check(t, unix.Mount("workshop", dir, "tmpfs", 0, ""))
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

// tree lists a directory with all that is below: names, modes and owners.
func tree(t *testing.T, dir string) (list []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry,
		err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		err = unix.Lstat(path, &st)
		list = append(list, fmt.Sprintf("%s %o %d:%d", path, st.Mode, st.Uid,
			st.Gid))
		return err
	}))
	return list
}

func write(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), 0o644))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// onlyChild waits until a process has a child that is more than a copy of it:
// another program, or in other namespaces. Go makes and ends such a copy to
// find out what clone(2) can do.
func onlyChild(t *testing.T, pid int) (child int) {
	t.Helper()
	eventually(t, fmt.Sprint("a child of ", pid), func() bool {
		list := children(pid)
		if len(list) != 1 {
			return false
		}
		child = list[0]
		cmdline := fmt.Sprintf("/proc/%d/cmdline", child)
		return ns(child, "uts") != ns(pid, "uts") || read(cmdline) !=
			read(fmt.Sprintf("/proc/%d/cmdline", pid))
	})
	return child
}

// runs waits until a process has executed the program called name.
func runs(t *testing.T, pid int, name string) {
	t.Helper()
	eventually(t, name, func() bool {
		return read(fmt.Sprintf("/proc/%d/comm", pid)) == name+"\n"
	})
}

// begun is a container whose command, sleep, runs: all its mounts are there.
func (p program) begun(t *testing.T, options ...string) *running {
	t.Helper()
	r := p.start(t, append(options, "sleep", "1000")...)
	eventually(t, "the command", func() bool {
		list := children(r.container)
		return len(list) == 1 && read(fmt.Sprintf("/proc/%d/comm",
			list[0])) == "sleep\n" || r.ended()
	})
	if r.ended() {
		t.Fatalf("status %d, stderr:\n%s", r.wait(t), r.stderr())
	}
	return r
}

// gone waits until all that this test has started is gone.
func gone(t *testing.T) {
	t.Helper()
	eventually(t, "the end of all processes", func() bool {
		return len(tagged(seen.tag)) == 0
	})
}

// The namespaces that are new in this step, and those of steps 1 and 2.
var isolated = []string{"ipc", "mnt", "pid", "pid_for_children", "uts"}

func TestNamespacesThatDiffer(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		for _, options := range [][]string{nil,
			{"--rootfs", copyRootfs(t, 0)}} {
			before := ns(us, "mnt")
			r := p.begun(t, options...)
			equal(t, "inside", differ(t, us, r.container), isolated)
			equal(t, "the parent", len(differ(t, us, r.pid)), 0)
			unix.Kill(r.container, unix.SIGKILL)
			equal(t, "exit status", r.wait(t), 128+9)
			equal(t, "container after", ns(r.container, "mnt"), "")
			equal(t, "host before and after", ns(us, "mnt"), before)
		}
	})
}

// What step 1 taught holds.
func TestNames(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		both := "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname"
		here := func() string {
			return read("/proc/sys/kernel/hostname") +
				read("/proc/sys/kernel/domainname")
		}
		before, host, domain := here(), newName(), newName()
		got := p.sh(t, both, "--hostname", host, "--domainname", domain)
		equal(t, "names inside", got, host+"\n"+domain)
		equal(t, "default", p.must(t, "run", "uname", "-n"), "container")
		equal(t, "names outside", here(), before)
	})
}

// sleepers are the children of a process that have become sleep(1): between
// fork(2) and execve(2) a child looks like its parent.
func sleepers(pid int) (n int) {
	for _, child := range children(pid) {
		if read(fmt.Sprintf("/proc/%d/comm", child)) == "sleep\n" {
			n++
		}
	}
	return n
}

// What step 2 taught holds: PID 1 looks after the others.
func TestPID1(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "--rootfs", copyRootfs(t, 0), "sh", "-c",
			"for i in 1 2 3 4 5; do (sleep 1000 &); done; exec sleep 999")
		equal(t, "what the container printed", r.inside, 1)
		equal(t, "both numbers", status(r.container, "NSpid"),
			[]string{strconv.Itoa(r.container), "1"})
		eventually(t, "5 orphans", func() bool {
			return sleepers(r.container) == 6
		})
		exec1(p, t, r, "sh", "-c", `for p in /proc/[0-9]*; do
			[ "$(tr '\0' . <$p/cmdline)" != sleep.1000. ] ||
				kill -KILL ${p#/proc/}; done`)
		eventually(t, "no child but the command, not even a zombie",
			func() bool {
				own := fmt.Sprintf("/proc/%d/task/%[1]d/children", r.container)
				return len(strings.Fields(read(own))) == 1
			})
		check(t, unix.Kill(r.container, unix.SIGKILL))
		r.wait(t)
		gone(t)
	})
}

func TestSignalsAreForwarded(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		for name, number := range map[string]unix.Signal{
			"HUP": unix.SIGHUP, "INT": unix.SIGINT, "QUIT": unix.SIGQUIT,
			"TERM": unix.SIGTERM, "USR1": unix.SIGUSR1,
			"USR2": unix.SIGUSR2} {
			r := p.start(t, "--rootfs", root, "sh", "-c", "trap 'echo got "+
				name+"; exit 7' "+name+
				"; echo ready; while :; do sleep 0.05; done")
			eventually(t, "the command to be ready", func() bool {
				return strings.Contains(r.stdout(), "ready")
			})
			r.signal(number)
			equal(t, name+": status", r.wait(t), 7)
			equal(t, name, r.stdout(), "ready\ngot "+name+"\n")
		}
	})
}

// The ways to get a mount namespace. /etc is a directory in each.
var ways = map[string][]string{
	"run":     {"run"},
	"rootfs":  {"run", "--rootfs"},
	"chroot":  {"run", "--chroot", "--rootfs"},
	"unshare": {"unshare", "-m"},
}

// eachWay starts a command in each and calls f with its PID and with the
// directory of the host that is its root directory.
func eachWay(t *testing.T, p program, f func(t *testing.T, way string,
	pid int, root string)) {
	for _, way := range slices.Sorted(maps.Keys(ways)) {
		args, root := ways[way], "/"
		if slices.Contains(args, "--rootfs") {
			root = copyRootfs(t, 0)
			args = append(slices.Clone(args), root)
		}
		var r *running
		if way == "unshare" {
			r = p.begin(t, append(args, "sleep", "1000")...)
			r.container = onlyChild(t, r.pid)
			runs(t, r.container, "sleep")
		} else {
			r = p.begun(t, args[1:]...)
		}
		f(t, way, r.container, root)
		r.signal(unix.SIGKILL)
		unix.Kill(r.container, unix.SIGKILL)
		r.wait(t)
	}
}

// Our host shares its mounts, as systemd leaves them. The container must cut
// that tie: what it mounts would appear on the host, and the reverse.
func TestMountsAreSeenOnOneSideOnly(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		if host := on(mountsOf(us), "/"); !strings.Contains(host.peers,
			"shared:") {
			t.Fatalf("the host's / is %q: this test would prove nothing",
				host.peers)
		}
		before := mountinfo(us)
		eachWay(t, p, func(t *testing.T, way string, pid int, root string) {
			for _, m := range mountsOf(pid) {
				equal(t, way+": peers of "+m.on, m.peers, "")
			}
			equal(t, way+": host's mounts", mountinfo(us), before)
			etc := "/etc"
			if way == "chroot" { // which setns(2) knows nothing of
				etc = root + "/etc"
			}
			within(t, pid, func() error {
				err := unix.Mount("inside", etc, "tmpfs", 0, "")
				if err == nil {
					err = os.WriteFile(etc+"/inside", nil, 0o600)
				}
				return err
			})
			equal(t, way+": seen inside", on(mountsOf(pid), "/etc").fstype,
				"tmpfs")
			equal(t, way+": host's mounts", mountinfo(us), before)
			equal(t, way+": file outside", exists(root+"/etc/inside"), false)

			// And the reverse.
			inside := mountinfo(pid)
			dir := scratch(t, 0)
			if root != "/" {
				dir = root + "/home"
			}
			check(t, unix.Mount("outside", dir, "tmpfs", 0, ""))
			equal(t, way+": seen outside", on(mountsOf(us), dir).fstype,
				"tmpfs")
			equal(t, way+": container's mounts", mountinfo(pid), inside)
			check(t, unix.Unmount(dir, 0))
		})
	})
}

// The classic: two images on one directory, one on each side.
func TestTwoImages(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		r := p.begun(t, "--rootfs", root)
		exec1(p, t, r, "mount", "-t", "tmpfs", "image1", "/mnt")
		exec1(p, t, r, "sh", "-c", "echo inside >/mnt/one")
		tmpfs(t, root+"/mnt")
		write(t, root+"/mnt/two", "outside")
		equal(t, "inside", exec1(p, t, r, "ls", "/mnt"), "one")
		files, _ := filepath.Glob(root + "/mnt/*")
		equal(t, "outside", files, []string{root + "/mnt/two"})
		exec1(p, t, r, "umount", "/mnt")
		equal(t, "inside, without", exec1(p, t, r, "ls", "/mnt"), "")
		equal(t, "outside still", exists(root+"/mnt/two"), true)
	})
}

// What the kernel does with each type of propagation: mount_namespaces(7).
// The host mounts in one directory, a new mount namespace in another; who
// sees the other's?
func TestSharedSubtrees(t *testing.T) {
	needs(t, "root")
	watch(t)
	for kind, want := range map[string]struct {
		flag            uintptr
		outside, inside bool  // the host sees ours; we see the host's
		bind            error // and may it be bind mounted?
	}{
		"shared":     {unix.MS_SHARED, true, true, nil},
		"slave":      {unix.MS_SLAVE, false, true, nil},
		"private":    {unix.MS_PRIVATE, false, false, nil},
		"unbindable": {unix.MS_UNBINDABLE, false, false, unix.EINVAL},
	} {
		dir := scratch(t, 0)
		tmpfs(t, dir)
		check(t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
		for _, name := range []string{"theirs", "ours", "bind"} {
			check(t, os.Mkdir(dir+"/"+name, 0o755))
		}
		elsewhere(t, func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return err
			}
			check(t, unix.Mount("", dir, "", want.flag, ""))
			check(t, unix.Mount("in", dir+"/ours", "tmpfs", 0, ""))
			// This thread is the container, all others are the host.
			equal(t, kind+": on the host", on(mountsOf(us),
				dir+"/ours").on != "", want.outside)
			err := onThread(func() error {
				return unix.Mount("out", dir+"/theirs", "tmpfs", 0, "")
			})
			check(t, err)
			lines := strings.Split(strings.TrimSpace(
				read("/proc/thread-self/mountinfo")), "\n")
			equal(t, kind+": in the container", on(parseMounts(lines),
				dir+"/theirs").on != "", want.inside)
			err = unix.Mount(dir, dir+"/bind", "", unix.MS_BIND, "")
			equal(t, kind+": bind", err == want.bind, true)
			return nil
		})
		for _, name := range []string{"bind", "theirs", "ours"} {
			unix.Unmount(dir+"/"+name, unix.MNT_DETACH)
		}
	}
}

// Step 2's hole is closed: the container sees its own processes alone.
func TestOwnProc(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		victim := exec.Command("sleep", "1000")
		check(t, victim.Start())
		defer victim.Wait()
		defer victim.Process.Kill()
		before := mountinfo(us)

		list := strings.Fields(p.sh(t, "echo /proc/[0-9]*"))
		equal(t, "processes", len(list), 2)
		slices.Sort(list)
		equal(t, "the first", list[0], "/proc/1")
		root := copyRootfs(t, 0)
		ps := p.must(t, "run", "--rootfs", root, "ps", "-o", "pid,args")
		equal(t, "lines of ps:\n"+ps, strings.Count(ps, "\n"), 2)
		equal(t, "ps shows itself", strings.HasSuffix(ps, " ps -o pid,args"),
			true)
		number := fmt.Sprint("/proc/", victim.Process.Pid)
		equal(t, "the host's process inside", p.sh(t, "echo "+number+"/c*ine",
			"--rootfs", root), number+"/c*ine")
		equal(t, "and outside", read(number+"/cmdline"), "sleep\x001000\x00")
		equal(t, "the host's mounts", mountinfo(us), before)
	})
}

func TestOwnTmp(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root, name := copyRootfs(t, 0), newName()
		write(t, root+"/tmp/theirs", "")
		for _, options := range [][]string{nil, {"--rootfs", root}} {
			got := p.sh(t, "ls -A /tmp; echo x >/tmp/"+name+
				"; cat /tmp/"+name+"; stat -c %a /tmp", options...)
			equal(t, "/tmp", got, "x\n1777")
			for _, dir := range []string{"/tmp/", root + "/tmp/"} {
				equal(t, "outside", exists(dir+name), false)
			}
		}
	})
}

// The root directory is the one we gave, seen from both sides.
func TestRootfs(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root, name := copyRootfs(t, 0), newName()
		before := tree(t, root)
		write(t, root+"/"+name, "hello")
		r := p.begun(t, "--rootfs", root)
		command := onlyChild(t, r.container)
		want, err := os.Stat(root)
		check(t, err)
		for _, pid := range []int{r.container, command} {
			for _, link := range []string{"root", "cwd"} {
				got, err := os.Stat(fmt.Sprintf("/proc/%d/%s", pid, link))
				check(t, err)
				equal(t, link, os.SameFile(got, want), true)
			}
		}
		equal(t, "a file", exec1(p, t, r, "cat", "/"+name), "hello")
		equal(t, "above /", exec1(p, t, r, "ls", "/.."),
			exec1(p, t, r, "ls", "/"))
		exec1(p, t, r, "rm", "/"+name)
		equal(t, "the file outside", exists(root+"/"+name), false)
		equal(t, "host's root", on(mountsOf(r.container), root).on, "")
		got := p.must(t, "run", "--rootfs", root, "pwd")
		equal(t, "working directory", got, "/")
		r.signal(unix.SIGKILL)
		r.wait(t)
		equal(t, "the root filesystem after", tree(t, root), before)
	})
}

// DIR may be a mount point, a link, relative, or where we are.
func TestRootfsNames(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		write(t, root+"/marker", "hello")
		mounted, link := scratch(t, 0), scratch(t, 0)+"/link"
		check(t, unix.Mount(root, mounted, "", unix.MS_BIND, ""))
		t.Cleanup(func() { unix.Unmount(mounted, unix.MNT_DETACH) })
		check(t, os.Symlink(root, link))
		for dir, names := range map[string][]string{"/": {root, root + "/",
			mounted, link, root[1:]}, root: {".", "./", "../" +
			filepath.Base(root)}, root + "/etc": {".."}, mounted: {"."}} {
			for _, name := range names {
				c := command(0, p.argv("run", "--rootfs", name, "cat",
					"marker")...)
				c.Dir = dir
				out, err := c.Output()
				equal(t, fmt.Sprintf("%s in %s: %v", name, dir, err),
					string(out), "hello")
			}
		}
	})
}

// What is mounted in it comes with it.
func TestRootfsWithMounts(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		tmpfs(t, root+"/mnt")
		write(t, root+"/mnt/file", "hello")
		for _, how := range []string{"--rootfs", "--chroot --rootfs"} {
			args := append(strings.Fields("run "+how), root, "cat",
				"/mnt/file")
			equal(t, how, p.must(t, args...), "hello")
		}
	})
}

// A root filesystem that may not be written: its mount points are there.
func TestReadOnlyRootfs(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		check(t, unix.Mount(root, root, "", unix.MS_BIND, ""))
		t.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH) })
		check(t, unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|
			unix.MS_RDONLY, ""))
		got := p.sh(t, "touch /x 2>/dev/null || echo x >/tmp/x; cat /tmp/x",
			"--rootfs", root)
		equal(t, "written to", got, "x")
		p.refuses(t, 125, []string{"/missing", "ENOENT"}, "run", "--rootfs",
			root, "--volume", "/etc:/missing", "true")
	})
}

// The mounts of a container with a root filesystem, and what each must be.
var wantMounts = map[string][]string{
	"/":            {},
	"/proc":        {"proc", "nosuid", "noexec"},
	"/sys":         {"sysfs", "ro"},
	"/tmp":         {"tmpfs", "nosuid", "nodev"},
	"/dev":         {"tmpfs", "nosuid"},
	"/dev/pts":     {"devpts", "nosuid", "ptmxmode=666"},
	"/dev/shm":     {"tmpfs", "nosuid", "nodev"},
	"/dev/mqueue":  {"mqueue", "nosuid", "nodev"},
	"/dev/null":    {},
	"/dev/zero":    {},
	"/dev/full":    {},
	"/dev/random":  {},
	"/dev/urandom": {},
	"/dev/tty":     {},
}

// These and no others: nothing of the host's is left.
func TestMountTable(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.begun(t, "--rootfs", copyRootfs(t, 0))
		var found []string
		for _, m := range mountsOf(r.container) {
			if strings.HasPrefix(m.on, "/sys/") {
				continue // what is mounted below it comes with it
			}
			found = append(found, m.on)
			for _, word := range wantMounts[m.on] {
				if m.fstype != word && !slices.Contains(m.options, word) {
					t.Errorf("%s is not %s: %v", m.on, word, m)
				}
			}
		}
		slices.Sort(found)
		equal(t, "mount points", found,
			slices.Sorted(maps.Keys(wantMounts)))
		r = p.begun(t)
		mounts := mountsOf(r.container)
		equal(t, "mounts more than the host's", len(mounts),
			len(mountsOf(us))+2)
		last := []string{mounts[len(mounts)-2].on, mounts[len(mounts)-1].on}
		slices.Sort(last)
		equal(t, "the last two", last, []string{"/proc", "/tmp"})
	})
}

// /sys shows the kernel's objects, and lets nobody change them.
func TestSysIsReadOnly(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		touch := []string{"run", "--rootfs", root, "touch", "-c"}
		for _, m := range mountsOf(us) { // cgroups, for one
			if strings.HasPrefix(m.on, "/sys/") {
				touch = append(touch, m.on)
			}
		}
		touch = append(touch, "/sys", "/sys/kernel")
		_, stderr, status := p.run(t, touch...)
		equal(t, "touch", status, 1)
		equal(t, "EROFS", strings.Count(stderr, "Read-only file system"),
			len(touch)-5)
		if len(strings.Fields(p.sh(t, "ls /sys", "--rootfs", root))) < 5 {
			t.Error("there is almost nothing in /sys")
		}
	})
}

// The usual devices work, and the host's others are not there.
func TestDev(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.begun(t, "--rootfs", copyRootfs(t, 0))
		sh := func(script string) string {
			t.Helper()
			return exec1(p, t, r, "sh", "-c", script)
		}
		equal(t, "ls /dev", strings.Fields(sh("ls /dev")),
			strings.Fields("fd full mqueue null ptmx pts random shm stderr "+
				"stdin stdout tty urandom zero"))
		for name, minor := range map[string]uint32{"null": 3, "zero": 5,
			"full": 7, "random": 8, "urandom": 9, "tty": 0} {
			var st unix.Stat_t
			check(t, unix.Stat(fmt.Sprintf("/proc/%d/root/dev/%s",
				r.container, name), &st))
			major := uint32(1)
			if name == "tty" {
				major = 5
			}
			equal(t, name, []uint32{st.Mode & unix.S_IFMT,
				unix.Major(st.Rdev), unix.Minor(st.Rdev)},
				[]uint32{unix.S_IFCHR, major, minor})
		}
		equal(t, "null", sh("echo x >/dev/null; cat /dev/null"), "")
		equal(t, "zero", sh("head -c 3 /dev/zero | xxd -p"), "000000")
		for _, name := range []string{"random", "urandom"} {
			read16 := "head -c 16 /dev/" + name + " | xxd -p"
			a, b := sh(read16), sh(read16)
			equal(t, "length of "+name, []int{len(a), len(b)}, []int{32, 32})
			equal(t, name+" twice the same", a == b, false)
		}
		equal(t, "full", sh("echo x 2>&1 >/dev/full || true") != "", true)
		equal(t, "ENOSPC of full", strings.Contains(sh(
			"cat /proc/version 2>&1 >/dev/full || true"),
			"No space left on device"), true)
	})
}

// tty is the terminal of the process that opens it: ours has none.
func TestDevTTY(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		got := p.sh(t, "setsid sh -c 'cat </dev/tty' 2>&1 || true",
			"--rootfs", root)
		equal(t, "ENXIO: "+got, strings.Contains(got,
			"No such device or address"), true)
	})
}

func TestDevLinks(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		for name, to := range map[string]string{"fd": "/proc/self/fd",
			"stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
			"ptmx": "pts/ptmx"} {
			got := p.must(t, "run", "--rootfs", root, "readlink",
				"/dev/"+name)
			got = strings.TrimPrefix(got, "/proc/self/")
			equal(t, name, got, strings.TrimPrefix(to, "/proc/self/"))
		}
		got := p.sh(t, `{ echo a | cat /dev/stdin; echo b >/dev/stdout
			echo c | cat /dev/fd/0; } | cat`, "--rootfs", root)
		equal(t, "through the links", got, "a\nb\nc")
	})
}

// newPTY makes a pseudoterminal and returns its number: pts(4).
func newPTY() (fd, number int, err error) {
	fd, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC,
		0)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
	}
	return fd, number, err
}

// The container's terminals are its own: a devpts of its own counts from 0.
func TestDevPTS(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		// The host has one, with a number of its own.
		fd, _, err := newPTY()
		check(t, err)
		defer unix.Close(fd)
		var theirs, ours unix.Stat_t
		check(t, unix.Stat("/dev/pts", &theirs))
		r := p.begun(t, "--rootfs", copyRootfs(t, 0))
		equal(t, "at first", exec1(p, t, r, "ls", "/dev/pts"), "ptmx")
		within(t, r.container, func() error {
			fd, number, err := newPTY()
			check(t, err)
			defer unix.Close(fd)
			equal(t, "number", number, 0)
			slave, err := os.OpenFile("/dev/pts/0",
				os.O_RDWR|unix.O_NOCTTY, 0)
			check(t, err)
			defer slave.Close()
			_, err = unix.Write(fd, []byte("hello\n"))
			check(t, err)
			line := make([]byte, 20)
			n, err := slave.Read(line)
			equal(t, "typed", string(line[:n]), "hello\n")
			return err
		})
		check(t, unix.Stat(fmt.Sprintf("/proc/%d/root/dev/pts",
			r.container), &ours))
		equal(t, "the host's file system", ours.Dev == theirs.Dev, false)
		mode := exec1(p, t, r, "stat", "-c", "%a", "/dev/pts/ptmx")
		equal(t, "everybody may open ptmx", mode, "666")
	})
}

// Shared memory and message queues are files here, in the container's own
// file systems.
func TestDevShmAndMqueue(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root, name := copyRootfs(t, 0), newName()
		theirs := scratch(t, 0)
		check(t, unix.Mount("mqueue", theirs, "mqueue", 0, ""))
		t.Cleanup(func() { unix.Unmount(theirs, unix.MNT_DETACH) })
		host := func() []string {
			queues, _ := filepath.Glob(theirs + "/*")
			memory, _ := filepath.Glob("/dev/shm/" + name + "*")
			return append(queues, memory...)
		}
		before := host()
		r := p.begun(t, "--rootfs", root)
		for _, dir := range []string{"/dev/shm", "/dev/mqueue"} {
			exec1(p, t, r, "touch", dir+"/"+name)
			equal(t, dir, exec1(p, t, r, "ls", dir), name)
			equal(t, dir+" in another", p.must(t, "run", "--rootfs", root,
				"ls", dir), "")
			mode := exec1(p, t, r, "stat", "-c", "%a", dir)
			equal(t, "mode of "+dir, mode, "1777")
		}
		equal(t, "the host's", host(), before)
		queue, err := os.Create(theirs + "/" + name + "h")
		check(t, err)
		check(t, queue.Close())
		equal(t, "a queue of the host's, inside",
			exec1(p, t, r, "ls", "/dev/mqueue"), name)
		check(t, os.Remove(theirs+"/"+name+"h"))
	})
}

// share is a directory of the host's with a file and with a mount below it.
func share(t *testing.T) string {
	t.Helper()
	dir := scratch(t, 0)
	write(t, dir+"/file", "one")
	check(t, os.Mkdir(dir+"/sub", 0o755))
	tmpfs(t, dir+"/sub")
	write(t, dir+"/sub/file", "two")
	return dir
}

func TestVolumes(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root, dir := copyRootfs(t, 0), share(t)
		single := dir + "/single,with=comma"
		write(t, single, "three")
		r := p.begun(t, "--rootfs", root, "--volume", dir+":/new/place",
			"--volume", single+":/etc/hosts", "--volume",
			single+":/other/new/name", "--volume", dir[1:]+"/sub:/home")
		got := exec1(p, t, r, "cat", "/new/place/file",
			"/new/place/sub/file", "/etc/hosts", "/other/new/name",
			"/home/file")
		equal(t, "outside seen inside", got, "onetwothreethreetwo")
		exec1(p, t, r, "sh", "-c", `echo inside >/new/place/made
			echo inside >/home/made; echo inside >/other/new/name`)
		for _, name := range []string{"/made", "/sub/made",
			"/single,with=comma"} {
			equal(t, name+" outside", read(dir+name), "inside\n")
		}
		write(t, dir+"/later", "later")
		equal(t, "written later",
			exec1(p, t, r, "cat", "/new/place/later"), "later")
		equal(t, "the rootfs's own file", read(root+"/etc/hosts") == "three",
			false)
		// What is mounted below it later stays on its side.
		check(t, os.Mkdir(dir+"/under", 0o755))
		tmpfs(t, dir+"/under")
		write(t, dir+"/under/hidden", "")
		equal(t, "a later mount",
			exec1(p, t, r, "ls", "/new/place/under"), "")
	})
}

// Read-only is read-only for all that is mounted below; not for the host.
func TestReadOnlyVolumes(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root, dir := copyRootfs(t, 0), share(t)
		r := p.begun(t, "--rootfs", root, "--volume", dir+":/v:ro",
			"--volume", dir+"/file:/one:ro", "--volume", dir+":/w")
		for _, path := range []string{"/v/file", "/v/sub/file", "/one",
			"/v/new", "/v/sub/new"} {
			got := exec1(p, t, r, "sh", "-c", "echo x 2>&1 >"+path+
				" || true")
			equal(t, "EROFS for "+path+": "+got, strings.Contains(got,
				"Read-only file system"), true)
		}
		equal(t, "read", exec1(p, t, r, "cat", "/v/sub/file", "/one"),
			"twoone")
		write(t, dir+"/file", "host")
		equal(t, "the host wrote", exec1(p, t, r, "cat", "/one"), "host")
		exec1(p, t, r, "sh", "-c", "echo -n w >/w/file")
		equal(t, "the other volume wrote", read(dir+"/file"), "w")
		mounts := mountsOf(r.container)
		for _, at := range []string{"/v", "/v/sub", "/one"} {
			equal(t, at+" is read-only",
				slices.Contains(on(mounts, at).options, "ro"), true)
		}
	})
}

// A root filesystem from a stranger: its links are not the way to the host.
func TestVolumeOnHostileLink(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		host, root := scratch(t, 0), copyRootfs(t, 0)
		check(t, os.Mkdir(host+"/src", 0o755))
		write(t, host+"/secret", "secret")
		up := strings.Repeat("../", 20)
		links := []string{host, up + host[1:], "/.." + host,
			"/" + up + host[1:], "/proc/1/root" + host,
			"/proc/1/root/.." + host, "/proc/1/cwd/.." + host,
			"/proc/self/cwd/" + up + host[1:]}
		for n := range 12 {
			links = append(links, fmt.Sprintf("/proc/self/fd/%d/..", n))
		}
		list := func() (list []string) {
			for _, line := range tree(t, host) {
				if !strings.Contains(line, "/src/") { // the volume's own
					list = append(list, line)
				}
			}
			return list
		}
		before := list()
		for _, link := range links {
			os.Remove(root + "/evil")
			check(t, os.Symlink(link, root+"/evil"))
			for _, dst := range []string{"/evil/made", "/evil/made/deeper",
				"/evil/secret", "/evil"} {
				p.run(t, "run", "--rootfs", root, "--volume",
					host+"/src:"+dst, "true")
			}
			equal(t, "the host, after "+link, list(), before)
		}
	})
}

// And a volume on a link to / does not keep the host's root in sight.
func TestVolumeOnRoot(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		host, root := scratch(t, 0), copyRootfs(t, 0)
		write(t, host+"/secret", "secret")
		check(t, os.Mkdir(host+"/src", 0o755))
		check(t, os.Symlink("/", root+"/evil"))
		for _, dst := range []string{"/evil", "/", "/.."} {
			got := p.sh(t, "cat /.."+host+"/secret "+host+"/secret 2>/dev/null"+
				" || echo none", "--rootfs", root, "--volume",
				host+"/src:"+dst)
			equal(t, "through "+dst, got, "none")
		}
	})
}

func TestBadVolumes(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root, dir := copyRootfs(t, 0), scratch(t, 0)
		write(t, dir+"/file", "")
		bad := func(volume string, words ...string) {
			t.Helper()
			p.refuses(t, 125, words, "run", "--rootfs", root, "--volume",
				volume, "true")
		}
		for _, volume := range []string{"", ":", dir, dir + ":", dir + ":mnt",
			dir + ":/mnt:rw,ro", dir + ":/mnt:x", dir + ":/mnt:ro:ro"} {
			bad(volume, "volume", "SRC:/DST")
		}
		before := tree(t, root)
		bad("/no/such:/mnt", "/no/such", "ENOENT")
		bad(":/mnt", "ENOENT")
		bad(dir+"/file/below:/mnt", dir+"/file/below", "ENOTDIR")
		equal(t, "the root filesystem after", tree(t, root), before)
		// A directory on a file, and the reverse.
		bad(dir+":/etc/passwd", "/etc/passwd", "EINVAL")
		bad(dir+"/file:/etc", "/etc", "EINVAL")
		bad(dir+":/etc/passwd/below", "/etc/passwd/below", "ENOTDIR")
		bad(dir+":/proc/nonesuch", "/proc/nonesuch", "ENOENT")
		equal(t, "the root filesystem at the end", tree(t, root), before)
		// Without a root filesystem there is nothing to pivot to.
		p.refuses(t, 125, []string{"pivot_root", "EBUSY", "--rootfs"}, "run",
			"--volume", dir+":/mnt", "true")
	})
}

func TestBadRootfs(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		dir := scratch(t, 0)
		write(t, dir+"/file", "")
		for _, how := range [][]string{nil, {"--chroot"}} {
			bad := func(root string, words ...string) {
				t.Helper()
				p.refuses(t, 125, words, append(append([]string{"run"},
					how...), "--rootfs", root, "true")...)
			}
			bad(dir+"/none", dir+"/none", "ENOENT", "make rootfs")
			bad(dir+"/file", dir+"/file", "ENOTDIR")
			bad("", "bind mount")
			// An empty one gets its mount points, and has no command.
			empty := scratch(t, 0)
			p.refuses(t, 127, []string{"true"}, append(append([]string{
				"run"}, how...), "--rootfs", empty, "true")...)
		}
		p.refuses(t, 125, nil, "run", "--rootfs")
	})
}

// jail is a root filesystem, a secret of the host's beside it, and volumes
// with the programs that try to get there.
func jail(t *testing.T, p program) (options []string, secret string,
	escapers [][]string) {
	t.Helper()
	secret = scratch(t, 0) + "/secret"
	write(t, secret, newName())
	options = []string{"--rootfs", copyRootfs(t, 0), "--volume",
		work + "/test:/helper:ro"}
	escapers = [][]string{{"/helper", "helper:escape"}}
	if p.name == "c" {
		options = append(options, "--volume", work+"/c/escape:/escape:ro")
		escapers = append(escapers, []string{"/escape"})
	}
	return options, secret, escapers
}

// chroot(2) is not a wall: the classic escape. From pivot_root(2) the same
// program gets nowhere.
func TestEscape(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		options, secret, escapers := jail(t, p)
		for _, escape := range escapers {
			run := func(how, command string) string {
				args := []string{"run"}
				if how != "" {
					args = append(args, how)
				}
				args = slices.Concat(args, options, escape, []string{"sh",
					"-c", command})
				return p.must(t, args...)
			}
			got := p.sh(t, "cat "+secret+" 2>/dev/null || echo none",
				append(options, "--chroot")...)
			equal(t, "in the chroot", got, "none")
			got = run("--chroot", "cat "+secret)
			equal(t, "out of the chroot", got, read(secret))
			got = run("", "cat "+secret+" 2>/dev/null || echo none")
			equal(t, "out of pivot_root", got, "none")
			equal(t, "where the escape ends", run("", "ls /"),
				p.sh(t, "ls /", options...))
		}
	})
}

// Other ways out: paths that remember the host, and open files.
func TestHostIsOutOfReach(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		options, secret, _ := jail(t, p)
		dir := filepath.Dir(secret)
		check(t, os.Mkdir(dir+"/src", 0o755))
		options = append(options, "--volume", dir+"/src:/src:ro")
		r := p.begun(t, options...)
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd",
			onlyChild(t, r.container)))
		check(t, err)
		equal(t, "files open in the command", len(files), 3)
		// An open directory that the caller forgot.
		forgotten, err := os.Open(dir)
		check(t, err)
		defer forgotten.Close()

		for _, script := range []string{
			`for way in "" /.. /proc/1/root /proc/1/root/.. /proc/1/cwd \
				/proc/1/cwd/.. /proc/1/task/1/root/..; do
				cat $way` + secret + `; done`,
			`for fd in /proc/1/fd/* /proc/$$/fd/*; do
				cat $fd/secret $fd/../secret $fd` + secret + `; done`} {
			for _, verb := range [][]string{nil,
				p.argv(append([]string{"run"}, options...)...),
				p.argv("exec", strconv.Itoa(r.container))} {
				c := command(0, append(verb, "sh", "-c", script)...)
				c.ExtraFiles = []*os.File{forgotten}
				out, _ := c.Output()
				if verb == nil { // the host itself: the script is right
					equal(t, "found", strings.HasPrefix(string(out),
						read(secret)), true)
				} else {
					equal(t, fmt.Sprint(verb, " found"), string(out), "")
				}
			}
		}
	})
}

// What pivot_root(2) wants, and why a program fails with EINVAL: the new root
// must be a mount point, and its parent mount must not be shared.
func TestPivotRootRefuses(t *testing.T) {
	needs(t, "root")
	watch(t)
	dir, other := scratch(t, 0), scratch(t, 0)
	tmpfs(t, other)
	check(t, os.Mkdir(other+"/below", 0o755))
	nothing := func() error { return nil }
	bind := func() error {
		return unix.Mount(dir, dir, "", unix.MS_BIND, "")
	}
	propagate := func(how uintptr) error {
		return unix.Mount("", "/", "", unix.MS_REC|how, "")
	}
	for name, test := range map[string]struct {
		prepare func() error
		root    string
		want    error
	}{
		"good":              {bind, dir, nil},
		"not a mount point": {nothing, other + "/below", unix.EINVAL},
		"shared parent mount": {func() error {
			return errorOf(bind(), propagate(unix.MS_SHARED))
		}, dir, unix.EINVAL},
		"the root we have":          {nothing, "/", unix.EBUSY},
		"in the mount of that root": {nothing, "/etc", unix.EBUSY},
	} {
		elsewhere(t, func() error {
			check(t, unix.Unshare(unix.CLONE_NEWNS))
			check(t, propagate(unix.MS_PRIVATE))
			check(t, test.prepare())
			check(t, unix.Chdir(test.root))
			equal(t, name, fmt.Sprint(unix.PivotRoot(".", ".")),
				fmt.Sprint(test.want))
			return nil
		})
	}
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// The next step's hole: root inside is root outside.
func TestHoleRootIsRootOutside(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		dir := scratch(t, 0)
		tmpfs(t, dir)
		check(t, os.Chmod(dir, 0o755))
		check(t, os.WriteFile(dir+"/private", []byte("root's"), 0o600))
		r := p.begun(t, "--rootfs", copyRootfs(t, 0), "--volume", dir+":/v",
			"--volume", work+"/test:/helper:ro")
		equal(t, "uid map", read(fmt.Sprintf("/proc/%d/uid_map",
			r.container)), read("/proc/self/uid_map"))

		// It reads what only root may read.
		equal(t, "a secret", exec1(p, t, r, "cat", "/v/private"), "root's")
		// It leaves a program with which anybody on the host is root.
		exec1(p, t, r, "sh", "-c", "cp /helper /v/root; chmod 4755 /v/root")
		var st unix.Stat_t
		check(t, unix.Stat(dir+"/root", &st))
		equal(t, "owner and mode", []uint32{st.Uid, st.Mode & 0o7777},
			[]uint32{0, 0o4755})
		out, err := command(nobody, dir+"/root", "helper:euid").Output()
		check(t, err)
		equal(t, "who a user of the host becomes", string(out), "0\n")
		// It makes device files: this one is only the host's zero.
		exec1(p, t, r, "mknod", "/v/zero", "c", "1", "5")
		got := exec1(p, t, r, "sh", "-c", "head -c 2 /v/zero | xxd -p")
		equal(t, "its device", got, "0000")
		// It changes the kernel's settings; we put in what was there.
		file := "/proc/sys/vm/swappiness"
		before := read(file)
		exec1(p, t, r, "sh", "-c", "x=$(cat "+file+"); echo $x >"+file)
		equal(t, file, read(file), before)
	})
}

// setns(2) on a PID brings the container's root directory, too.
func TestExecJoins(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		root, before := copyRootfs(t, 0), mountinfo(us)
		write(t, root+"/marker", "hello")
		r := p.begun(t, "--rootfs", root)
		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
		child := onlyChild(t, second.pid)
		runs(t, child, "sleep")
		equal(t, "exec's command and the host", differ(t, us, child),
			isolated)
		equal(t, "exec's command and the container",
			len(differ(t, r.container, child)), 0)
		for _, link := range []string{"root", "cwd"} {
			want, err := os.Stat(root)
			check(t, err)
			got, err := os.Stat(fmt.Sprintf("/proc/%d/%s", child, link))
			check(t, err)
			equal(t, link, os.SameFile(got, want), true)
		}
		equal(t, "a file", exec1(p, t, r, "cat", "marker"), "hello")
		equal(t, "ps", strings.Count(exec1(p, t, r, "ps"), "\n"), 4)
		// What it mounts, the container sees.
		exec1(p, t, r, "mount", "-t", "tmpfs", "more", "/mnt")
		equal(t, "mounted", on(mountsOf(r.container), "/mnt").fstype,
			"tmpfs")
		equal(t, "the host's mounts", mountinfo(us), before)
		second.signal(unix.SIGTERM)
		equal(t, "status of exec", second.wait(t), 128+15)
		equal(t, "run's end", r.ended(), false)
	})
}

// Without --rootfs, too: the /tmp that exec sees is the container's.
func TestExecJoinsHostsRoot(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		r, name := p.begun(t), newName()
		exec1(p, t, r, "touch", "/tmp/"+name)
		equal(t, "inside", exec1(p, t, r, "ls", "/tmp"), name)
		equal(t, "outside", exists("/tmp/"+name), false)
	})
}

// A file is one namespace: the others stay the host's.
func TestExecFile(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		write(t, root+"/marker", "hello")
		r := p.begun(t, "--rootfs", root)
		file := fmt.Sprintf("/proc/%d/ns/mnt", r.container)
		equal(t, "its root", p.must(t, "exec", file, "cat", "/marker"),
			"hello")
		second := p.begin(t, "exec", file, "sleep", "1000")
		child := onlyChild(t, second.pid)
		runs(t, child, "sleep")
		equal(t, "apart from the host", differ(t, us, child), []string{"mnt"})
		second.signal(unix.SIGTERM)
		second.wait(t)
	})
}

// unshare(2): each option is one namespace.
func TestUnshare(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root")
		for option, want := range map[string][]string{"-u": {"uts"},
			"-i": {"ipc"}, "-p": {"pid", "pid_for_children"},
			"-m": {"mnt"}, "-uipm": isolated} {
			r := p.begin(t, "unshare", option, "sleep", "1000")
			child := onlyChild(t, r.pid)
			runs(t, child, "sleep")
			equal(t, option, differ(t, us, child), want)
			unix.Kill(child, unix.SIGKILL)
			r.wait(t)
		}
		// Without -m it must not touch the host's propagation.
		before := mountinfo(us)
		p.must(t, "unshare", "-u", "true")
		equal(t, "the host's mounts", mountinfo(us), before)
	})
}

// tools are busybox programs under their own names, in a place that no tmpfs
// on /tmp hides from unshare -m.
func tools(t *testing.T, names ...string) string {
	t.Helper()
	needs(t, "rootfs")
	dir := scratch(t, 0)
	check(t, output("cp", rootfsDir()+"/bin/busybox", dir+"/busybox"))
	for _, name := range names {
		check(t, os.Link(dir+"/busybox", dir+"/"+name))
	}
	return dir
}

// pstree is the tree of processes that a /proc shows, from one PID on.
func pstree(proc string, pid string) string {
	name := strings.TrimSpace(read(proc + "/" + pid + "/comm"))
	var below []string
	files, _ := filepath.Glob(proc + "/[0-9]*")
	for _, file := range files {
		for line := range strings.Lines(read(file + "/status")) {
			if line == "PPid:\t"+pid+"\n" {
				below = append(below, pstree(proc, filepath.Base(file)))
			}
		}
	}
	slices.Sort(below)
	if len(below) == 0 {
		return name
	}
	return name + "(" + strings.Join(below, " ") + ")"
}

// The classic: unshare -p -m, with a /proc of its own, twice. Each level sees
// itself and what is below it.
func TestUnshareTwice(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root")
		before := mountinfo(us)
		bin := tools(t, "sh", "sleep", "mount", "tail")
		level := func(next ...string) []string {
			return p.argv("unshare", "-p", "-m", bin+"/sh", "-c", bin+
				"/mount -t proc proc /proc && "+strings.Join(next, " "))
		}
		second := level("exec", bin+"/sleep", "1000")
		second[len(second)-1] = "'" + second[len(second)-1] + "'"
		first := level(append([]string{"{", bin + "/tail", "-f", "/dev/null",
			"& exec"}, append(second, "; }")...)...)
		r := p.begin(t, append([]string{"unshare"}, first[len(p.argv(
			"unshare")):]...)...)
		me := filepath.Base(p.argv("unshare")[0])
		eventually(t, "the second level: "+r.stderr(), func() bool {
			return pstree("/proc", strconv.Itoa(r.pid)) ==
				me+"("+me+"(sleep tail))"
		})
		one := onlyChild(t, r.pid)
		for _, child := range children(one) {
			want := "sleep"
			if read(fmt.Sprintf("/proc/%d/comm", child)) == "tail\n" {
				want = me + "(sleep tail)"
			}
			proc := fmt.Sprintf("/proc/%d/root/proc", child)
			equal(t, "pstree", pstree(proc, "1"), want)
			files, _ := filepath.Glob(proc + "/[0-9]*")
			equal(t, "processes in "+proc, len(files),
				1+strings.Count(want, " ")+strings.Count(want, "("))
		}
		equal(t, "host's mounts", mountinfo(us), before)
		unix.Kill(one, unix.SIGKILL)
		equal(t, "exit status", r.wait(t), 128+9)
		gone(t)
		// Without the mount, /proc is the host's.
		comm := fmt.Sprintf("/proc/%d/comm", us)
		equal(t, "the host's process", p.must(t, "unshare", "-p", "-m", "cat",
			comm), strings.TrimSpace(read(comm)))
	})
}

// Ctrl-C, or worse, to run: nothing stays behind, not even a directory.
func TestNothingOutlivesRun(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root, dir := copyRootfs(t, 0), share(t)
		check(t, os.Mkdir(root+"/v", 0o755))
		before, mounts := tree(t, root), mountinfo(us)
		for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM,
			unix.SIGKILL} {
			p.dies(t, s, "--rootfs", root, "--volume", dir+":/v", "sh", "-c",
				"sleep 1000 & exec sleep 999")
			equal(t, "the root filesystem", tree(t, root), before)
			equal(t, "the host's mounts", mountinfo(us), mounts)
		}
		_, _, status := p.run(t, "run", "--rootfs", root, "--volume",
			dir+":/v", "sh", "-c", "sleep 1000 & exit 3")
		equal(t, "exit status", status, 3)
		gone(t)
		equal(t, "the root filesystem", tree(t, root), before)
		// Nothing holds it: it can be moved away.
		check(t, os.Rename(root+"/v", root+"/w"))
	})
}

// Killed while it mounts, at any moment.
func TestKilledAtAnyMoment(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		before := tree(t, root)
		for n := range 20 {
			r := p.begin(t, "run", "--rootfs", root, "sleep", "1000")
			if n > 0 {
				eventually(t, "Container", func() bool {
					return strings.Contains(r.stderr(), "Container[") ||
						r.ended()
				})
			}
			r.signal(unix.SIGKILL)
			r.wait(t)
		}
		gone(t)
		equal(t, "the root filesystem", tree(t, root), before)
	})
}

// The command's own status, 128+n, 126 and 127: what Docker does.
func TestExitStatus(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, 0)
		r := p.begun(t, "--rootfs", root)
		pid := strconv.Itoa(r.container)
		for _, verb := range [][]string{{"run"}, {"run", "--rootfs", root},
			{"exec", pid}, {"exec", "/proc/" + pid + "/ns/mnt"},
			{"unshare", "-m"}, {"unshare", "-m", "--no-fork"}} {
			exitStatus(t, p, verb)
		}
	})
}

func exitStatus(t *testing.T, p program, verb []string) {
	t.Helper()
	for script, want := range map[string]int{"exit 0": 0, "exit 42": 42,
		"exit 255": 255, "kill -TERM $$": 128 + 15} {
		_, stderr, got := p.run(t, append(verb, "sh", "-c", script)...)
		if got != want {
			t.Errorf("%q %s: status %d, want %d; stderr:\n%s", verb, script,
				got, want, stderr)
		}
	}
	p.refuses(t, 127, []string{"nonesuch"}, append(verb, "nonesuch")...)
	p.refuses(t, 127, []string{"/no/such", "ENOENT"},
		append(verb, "/no/such")...)
	p.refuses(t, 126, []string{"/etc/passwd", "EACCES"},
		append(verb, "/etc/passwd")...)
	p.refuses(t, 125, []string{"COMMAND"}, verb...)
}

// Each bad input is one line and 125, and leaves nothing.
func TestBadInput(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		p.refuses(t, 125, []string{"nonesuch"}, "run", "--nonesuch", "true")
		p.refuses(t, 125, nil, "run", "--volume")
		p.refuses(t, 125, nil, "unshare", "-x", "true")
		p.refuses(t, 125, nil, "exec")
		p.refuses(t, 125, []string{"/no/such", "ENOENT"}, "exec", "/no/such",
			"true")
		if p.name == "go" { // in C each verb is a program
			p.refuses(t, 125, []string{"nonesuch"}, "nonesuch")
		}
		needs(t, "root")
		root := copyRootfs(t, 0)
		p.refuses(t, 125, []string{"sethostname", "EINVAL"}, "run",
			"--rootfs", root, "--hostname", strings.Repeat("n", 65), "true")
	})
}

// A PID that nobody has any more, and one that is in no container.
func TestExecOfNoContainer(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		other := command(os.Getuid(), "sleep", "1000")
		check(t, other.Start())
		pid := strconv.Itoa(other.Process.Pid)
		p.refuses(t, 125, []string{pid, "container"}, "exec", pid, "true")
		check(t, other.Process.Kill())
		other.Wait()
		p.refuses(t, 125, []string{pid, "ESRCH"}, "exec", pid, "true")
	})
}

// An ordinary user may not do any of this: step 4 changes that.
func TestOrdinaryUserIsRefused(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		user := p.as(nobody)
		user.refuses(t, 125, []string{"clone", "EPERM", "root"}, "run", "true")
		user.refuses(t, 125, []string{"unshare", "EPERM", "root"}, "unshare",
			"-m", "true")
		needs(t, "root")
		r := p.begun(t)
		pid := strconv.Itoa(r.container)
		user.refuses(t, 125, []string{pid, "EACCES", "sudo"}, "exec", pid,
			"true")
		held, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", r.container))
		check(t, err)
		defer held.Close()
		// Whoever gets the file some other way may still not join.
		user.stdin = held
		user.refuses(t, 125, []string{"fd/0", "EPERM", "root"},
			"exec", "/proc/self/fd/0", "true")
	})
}

// The program dies between clone(2) and prctl(2), by which the container asks
// to be told.
func TestOrphanEnds(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		p.orphan(t, "run", "sleep", "1000")
	})
}
