package main_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The C programs do all that this step does.
var inC = []string{"run", "rootfs", "exec", "unshare"}

// everyone runs a test as root and as an ordinary user: who starts it must
// make no difference inside.
func everyone(t *testing.T, feature string, f func(*testing.T, program)) {
	t.Helper()
	each(t, feature, func(t *testing.T, p program) {
		t.Run("root", func(t *testing.T) {
			needs(t, "root")
			f(t, p)
		})
		t.Run("user", func(t *testing.T) {
			needs(t, "userns")
			f(t, p.as(nobody))
		})
	})
}

func init() {
	requirements["uidmap"] = func() string {
		for _, tool := range []string{"newuidmap", "newgidmap"} {
			if _, err := exec.LookPath(tool); err != nil {
				return tool + ": install the package uidmap"
			}
		}
		return ""
	}
	helpers["names"] = func([]string) {
		fmt.Println(strings.Join(names(), " "))
	}
	helpers["try"] = func(args []string) {
		for _, name := range args {
			fmt.Println(name, tries[name]())
		}
	}
	helpers["outside"] = outside
	helpers["reboot"] = rebootInside
	helpers["loopback"] = callHost
	helpers["groups"] = withGroups
	helpers["without"] = withoutNamespaces
	helpers["chroot"] = inChroot
	helpers["deny"] = denySethostname
}

// names are the host name and the NIS domain name that uname(2) tells us.
func names() []string {
	var u unix.Utsname
	unix.Uname(&u)
	return []string{unix.ByteSliceToString(u.Nodename[:]),
		unix.ByteSliceToString(u.Domainname[:])}
}

// newName is random: no program can know it beforehand.
func newName() string { return "w" + strings.ToLower(rand.Text()[:12]) }

// random is a number in [0, n).
func random(n int64) int {
	r, _ := rand.Int(rand.Reader, big.NewInt(n))
	return int(r.Int64())
}

// exec1 runs a command in a running container.
func exec1(p program, t *testing.T, r *running, args ...string) string {
	t.Helper()
	pid := strconv.Itoa(r.container)
	return p.must(t, append([]string{"exec", pid}, args...)...)
}

// below waits until a process that is below pid has executed the program name.
// Others may come and go there: exec makes a copy of itself, and Go's library
// tries a system call out in a child.
func below(t *testing.T, pid int, name string) (found int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s below %d", name, pid), func() bool {
		found = descendant(pid, name)
		return found != 0
	})
	return found
}

func descendant(pid int, name string) int {
	for _, child := range children(pid) {
		if read(fmt.Sprintf("/proc/%d/comm", child)) == name+"\n" {
			return child
		}
		if found := descendant(child, name); found != 0 {
			return found
		}
	}
	return 0
}

// gone waits until all that this test has started is gone.
func gone(t *testing.T) {
	t.Helper()
	eventually(t, "the end of all processes", func() bool {
		return len(tagged(seen.tag)) == 0
	})
}

// outcome runs any command as uid.
func outcome(t *testing.T, uid int, args ...string) (string, string, int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := command(uid, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	c.WaitDelay = patience
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}

// complains checks that a command failed with 125 and one line with all words.
func complains(t *testing.T, stderr string, status int, words ...string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "Parent[") &&
			!strings.HasPrefix(line, "Container[") {
			lines = append(lines, line)
		}
	}
	good := status == 125 && len(lines) == 1 && errorLine.MatchString(lines[0])
	for _, word := range words {
		good = good && strings.Contains(lines[0], word)
	}
	if !good {
		t.Errorf("status %d, stderr:\n%s\nwant status 125 and one line with %q",
			status, stderr, words)
	}
}

// box is the option for a root filesystem that belongs to uid.
func box(t *testing.T, uid int) []string {
	t.Helper()
	return []string{"--rootfs", copyRootfs(t, uid)}
}

// helped is the program with our own as its standard input. A container may
// have another root: /proc/self/fd/0 leads to the helper in any.
func (p program) helped(t *testing.T) program {
	t.Helper()
	self, err := os.Open(work + "/test")
	check(t, err)
	t.Cleanup(func() { self.Close() })
	p.stdin = self
	return p
}

// byHelper is the command for such a program.
func byHelper(name string, args ...string) []string {
	return append([]string{"/proc/self/fd/0", "helper:" + name}, args...)
}

func join(parts ...[]string) []string { return slices.Concat(parts...) }

// ids4 is the line of status that has the real, effective, saved and file
// system id, if all four are id.
func ids4(id int) []string {
	return slices.Repeat([]string{strconv.Itoa(id)}, 4)
}

// The namespaces that a container of this step has to itself.
var isolated = []string{"ipc", "mnt", "pid", "pid_for_children", "user", "uts"}

func TestNamespacesThatDiffer(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		before := ns(us, "user")
		r := p.start(t, "sleep", "1000")
		equal(t, "inside", differ(t, us, r.container), isolated)
		equal(t, "the parent", len(differ(t, us, r.pid)), 0)
		equal(t, "the command", differ(t, us, below(t, r.container, "sleep")),
			isolated)
		unix.Kill(r.container, unix.SIGKILL)
		equal(t, "exit status", r.wait(t), 128+9)
		equal(t, "host before and after", ns(us, "user"), before)
	})
}

// Root inside, the caller outside: one process, two ids.
func TestRootInsideIsCallerOutside(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		got := p.must(t, "run", "sh", "-c", "id -u; id -g; whoami")
		equal(t, "ids inside", got, "0\n0\nroot")
		r := p.start(t, "sleep", "1000")
		for _, pid := range []int{r.container, below(t, r.container, "sleep")} {
			equal(t, "Uid outside", status(pid, "Uid"), ids4(p.uid))
			equal(t, "Gid outside", status(pid, "Gid"), ids4(p.uid))
		}
		// The host has not changed its mind about who we are.
		equal(t, "Uid of the parent", status(r.pid, "Uid"), ids4(p.uid))
		equal(t, "our own Uid", status(us, "Uid"), ids4(os.Getuid()))
	})
}

// A file made by root inside belongs to the caller; what belongs to somebody
// who has no id inside is shown as nobody's.
func TestOwnersOfFiles(t *testing.T) {
	each(t, "rootfs", func(t *testing.T, p program) {
		needs(t, "userns", "rootfs")
		p = p.as(nobody)
		shared := scratch(t, nobody)
		got := p.must(t, join([]string{"run"}, box(t, nobody), []string{
			"--volume", shared + ":/shared", "sh", "-c",
			"touch /shared/new; stat -c %u:%g /shared/new /proc/1"})...)
		equal(t, "owners inside", got, "0:0\n0:0")
		equal(t, "owner outside", owner(t, shared+"/new"),
			[]int{nobody, nobody})
		if os.Getuid() == 0 {
			check(t, os.WriteFile(shared+"/roots", nil, 0o644))
			got = p.must(t, join([]string{"run"}, box(t, nobody), []string{
				"--volume", shared + ":/shared", "stat", "-c", "%u:%g",
				"/shared/roots"})...)
			equal(t, "the host's root inside", got, "65534:65534")
		}
	})
}

func owner(t *testing.T, path string) []int {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(path, &st))
	return []int{int(st.Uid), int(st.Gid)}
}

// fields is the words of a map file.
func fields(pid int, file string) []string {
	return strings.Fields(read(fmt.Sprintf("/proc/%d/%s", pid, file)))
}

// The default maps are one line each, and setgroups(2) is given up for them.
func TestDefaultMaps(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		before := read("/proc/self/uid_map")
		r := p.start(t, "sleep", "1000")
		want := []string{"0", strconv.Itoa(p.uid), "1"}
		equal(t, "uid_map", fields(r.container, "uid_map"), want)
		equal(t, "gid_map", fields(r.container, "gid_map"), want)
		equal(t, "setgroups", fields(r.container, "setgroups"),
			[]string{"deny"})
		equal(t, "our own uid_map", read("/proc/self/uid_map"), before)
		got := p.must(t, "run", "sh", "-c",
			"cat /proc/self/uid_map /proc/self/setgroups")
		equal(t, "seen from inside", strings.Fields(got), append(want, "deny"))
	})
}

// Why the caller has to give it up: a group can also keep people out. Whoever
// could leave such a group in a namespace of his own would get in.
func TestSetgroupsIsDenied(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		try := append([]string{"run"}, byHelper("try", "setgroups")...)
		needs(t, "userns")
		if os.Getuid() == 0 {
			got := p.helped(t).must(t, slices.Insert(slices.Clone(try), 1,
				ranges(100000+random(1e8))...)...)
			equal(t, "with a range that root maps", got, "setgroups OK")
		}
		got := p.as(nobody).helped(t).must(t, try...)
		equal(t, "with the default maps", got, "setgroups EPERM")
	})
}

// The order of the files, as the kernel wants it. Who has no capability over
// the namespace above maps one id, his own, once; and a group only after
// setgroups(2) is given up.
func TestOrderOfTheMaps(t *testing.T) {
	needs(t, "userns")
	watch(t)
	got, err := command(nobody, helper("maps")...).Output()
	check(t, err)
	equal(t, "answers", strings.Fields(string(got)), []string{
		"gid_map", "EPERM", "setgroups", "OK", "gid_map", "OK",
		"gid_map", "EPERM", "uid_map", "EPERM", "uid_map", "OK"})
}

// The helper maps writes the maps of a child that it makes.
func init() {
	helpers["maps"] = func([]string) {
		c := command(os.Getuid(), "sleep", "1000")
		c.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
		c.SysProcAttr.Pdeathsig = unix.SIGKILL
		if c.Start() != nil {
			os.Exit(1)
		}
		defer c.Process.Kill()
		own := fmt.Sprintf("0 %d 1", os.Getuid())
		for _, row := range [][2]string{{"gid_map", own}, {"setgroups", "deny"},
			{"gid_map", own}, {"gid_map", own}, {"uid_map", "0 0 1"},
			{"uid_map", own}} {
			file := fmt.Sprintf("/proc/%d/%s", c.Process.Pid, row[0])
			fmt.Println(row[0], name(os.WriteFile(file, []byte(row[1]), 0)))
		}
	}
}

// ranges maps a thousand ids from base on.
func ranges(base int) []string {
	m := fmt.Sprintf("0:%d:1000", base)
	return []string{"--uid-map", m, "--gid-map", m}
}

// Root may map any ids: here those that belong to nobody on this machine.
func TestRangeMapsAsRoot(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		base := 100000 + random(1e8)
		wide := join(ranges(base), []string{"--uid-map",
			fmt.Sprintf("5000:%d:7", base+5000)})
		got := p.must(t, join([]string{"run"}, wide, []string{"sh", "-c",
			"id -u; id -g; cat /proc/self/uid_map"})...)
		b := strconv.Itoa(base)
		equal(t, "inside", strings.Fields(got), []string{"0", "0", "0", b,
			"1000", "5000", strconv.Itoa(base + 5000), "7"})
		r := p.start(t, append(ranges(base), "sleep", "1000")...)
		for _, pid := range []int{r.container, below(t, r.container, "sleep")} {
			equal(t, "Uid outside", status(pid, "Uid"), ids4(base))
			equal(t, "Gid outside", status(pid, "Gid"), ids4(base))
		}
		equal(t, "uid_map", fields(r.container, "uid_map"),
			[]string{"0", b, "1000"})
		equal(t, "gid_map", fields(r.container, "gid_map"),
			[]string{"0", b, "1000"})
		// One of the two options is enough: the other map is the default.
		r = p.start(t, "--uid-map", "0:"+b+":1000", "sleep", "1000")
		equal(t, "gid_map by default", fields(r.container, "gid_map"),
			[]string{"0", "0", "1"})
		equal(t, "Gid outside", status(r.container, "Gid"), ids4(0))
	})
}

// With a range, root inside can give files away: to ids of the range only.
func TestChownWithinRange(t *testing.T) {
	each(t, "rootfs", func(t *testing.T, p program) {
		needs(t, "root", "rootfs")
		base, id := 100000+random(1e8), random(1000)
		shared := scratch(t, base)
		script := fmt.Sprintf("touch /shared/f && chown %d:%d /shared/f && "+
			"stat -c %%u:%%g /shared/f; chown 1000 /shared/f; "+
			"stat -c %%u:%%g /shared/f", id, id)
		stdout, stderr, status := p.run(t, join([]string{"run"}, ranges(base),
			box(t, base), []string{"--volume", shared + ":/shared", "sh", "-c",
				script})...)
		line := fmt.Sprintf("%d:%d\n", id, id)
		equal(t, "owners inside", stdout, line+line)
		equal(t, "owner outside", owner(t, shared+"/f"),
			[]int{base + id, base + id})
		if status != 0 || !strings.Contains(stderr, "Invalid argument") {
			t.Errorf("chown to an id outside of the range: status %d, "+
				"want EINVAL:\n%s", status, stderr)
		}
	})
}

// subids makes the test's ordinary user one who has a name and a range of
// subordinate ids: in an /etc that only we see.
func subids(t *testing.T) (base int) {
	t.Helper()
	needs(t, "root", "uidmap", "userns")
	base = 100000 + 70000*random(1000)
	etc := scratch(t, 0)
	for name, text := range map[string]string{
		"passwd": "root:x:0:0::/root:/bin/sh\n" +
			fmt.Sprintf("tester:x:%d:%[1]d::/:/bin/sh\n", nobody),
		"group":         fmt.Sprintf("root:x:0:\ntester:x:%d:\n", nobody),
		"subuid":        fmt.Sprintf("tester:%d:65536\n", base),
		"subgid":        fmt.Sprintf("tester:%d:65536\n", base),
		"nsswitch.conf": "passwd: files\ngroup: files\n",
		"ld.so.cache":   read("/etc/ld.so.cache")} {
		check(t, os.WriteFile(etc+"/"+name, []byte(text), 0o644))
	}
	check(t, unix.Mount(etc, "/etc", "", unix.MS_BIND, ""))
	t.Cleanup(func() { check(t, unix.Unmount("/etc", unix.MNT_DETACH)) })
	return base
}

// An ordinary user gets the range that /etc/subuid has for him, from
// newuidmap and newgidmap, which are allowed to write such maps.
func TestRangeMapsThroughNewuidmap(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		base := subids(t)
		p = p.as(nobody)
		me, b := fmt.Sprintf("0:%d:1", nobody), strconv.Itoa(base)
		more := []string{"--uid-map", me, "--uid-map", "1:" + b + ":65536",
			"--gid-map", me, "--gid-map", "1:" + b + ":65536"}
		r := p.start(t, append(more, "sleep", "1000")...)
		want := []string{"0", strconv.Itoa(nobody), "1", "1", b, "65536"}
		equal(t, "uid_map", fields(r.container, "uid_map"), want)
		equal(t, "gid_map", fields(r.container, "gid_map"), want)
		equal(t, "Uid outside", status(below(t, r.container, "sleep"), "Uid"),
			ids4(nobody))
		equal(t, "ids by exec", exec1(p, t, r, "sh", "-c", "id -u; id -g"),
			"0\n0")

		// Root inside may be one of them, too: it is not the caller then.
		r = p.start(t, "--uid-map", "0:"+b+":1000", "--gid-map",
			"0:"+b+":1000", "sleep", "1000")
		command := below(t, r.container, "sleep")
		equal(t, "Uid outside", status(command, "Uid"), ids4(base))
		equal(t, "Gid outside", status(command, "Gid"), ids4(base))
		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
		joined := below(t, second.pid, "sleep")
		equal(t, "Uid of exec's command", status(joined, "Uid"), ids4(base))
		equal(t, "Gid of exec's command", status(joined, "Gid"), ids4(base))
		r.signal(unix.SIGKILL)
		r.wait(t)
		equal(t, "exec ends with the container", second.wait(t), 128+9)
	})
}

// A file that root inside makes belongs to an id of the range.
func TestOwnersThroughNewuidmap(t *testing.T) {
	each(t, "rootfs", func(t *testing.T, p program) {
		base := subids(t)
		shared := scratch(t, nobody)
		m := fmt.Sprintf("1:%d:65536", base)
		me := fmt.Sprintf("0:%d:1", nobody)
		p.as(nobody).must(t, join([]string{"run", "--uid-map", me, "--uid-map",
			m, "--gid-map", me, "--gid-map", m}, box(t, nobody), []string{
			"--volume", shared + ":/shared", "sh", "-c",
			"touch /shared/mine /shared/his; chown 7:9 /shared/his"})...)
		equal(t, "root's file", owner(t, shared+"/mine"),
			[]int{nobody, nobody})
		equal(t, "user 7's file", owner(t, shared+"/his"),
			[]int{base + 7 - 1, base + 9 - 1})
	})
}

// newuidmap says no to ids that are not the caller's. So do we, and pass on
// what it says.
func TestNewuidmapRefuses(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		base := subids(t)
		p = p.as(nobody)
		other := fmt.Sprintf("0:%d:1000", base+65536-999)
		p.refuses(t, 125, []string{"newuidmap", "not allowed"}, "run",
			"--uid-map", other, "true")
		p.refuses(t, 125, []string{"newgidmap", "not allowed"}, "run",
			"--gid-map", other, "true")
		p.refuses(t, 125, []string{"newuidmap"}, "run", "--uid-map", "0:0:1",
			"true")
		gone(t)
	})
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "userns")
		p = p.as(nobody)
		path := os.Getenv("PATH")
		defer os.Setenv("PATH", path)
		os.Setenv("PATH", scratch(t, nobody))
		p.refuses(t, 125, []string{"newuidmap", "uidmap"}, "run", "--uid-map",
			"0:100000:1", "true")
	})
}

// What tries tells about a call is OK or the errno's name.
var tries = map[string]func() string{
	"setgroups": func() string { return name(unix.Setgroups([]int{0})) },
	"disk": func() string { // there is no such device: ENODEV or worse later
		return name(unix.Mount("/dev/nonesuch", "/mnt", blockFS(), 0, ""))
	},
	"devtmpfs": func() string {
		err := unix.Mount("none", "/mnt", "devtmpfs", 0, "")
		if err == nil {
			unix.Unmount("/mnt", unix.MNT_DETACH)
		}
		return name(err)
	},
	"mknod": func() string {
		err := unix.Mknod("/mnt/disk", unix.S_IFCHR|0o600, 1<<8|3)
		unix.Unlink("/mnt/disk")
		return name(err)
	},
	"sysctl": func() string { // writes what is there
		return name(os.WriteFile("/proc/sys/kernel/panic",
			[]byte(read("/proc/sys/kernel/panic")), 0))
	},
	"nice": func() string {
		return name(unix.Setpriority(unix.PRIO_PROCESS, 0, -1))
	},
	"swapon": func() string {
		path, _ := unix.BytePtrFromString("/nonesuch")
		_, _, errno := unix.Syscall(unix.SYS_SWAPON,
			uintptr(unsafe.Pointer(path)), 0, 0)
		return name(errno)
	},
	"clock": func() string { // sets it to what it is
		var now unix.Timeval
		unix.Gettimeofday(&now)
		return name(unix.Settimeofday(&now))
	},
	"tmpfs": func() string {
		return name(unix.Mount("tmpfs", "/mnt", "tmpfs", 0, ""))
	},
	"bind": func() string {
		return name(unix.Mount("/etc", "/mnt", "", unix.MS_BIND|unix.MS_REC,
			""))
	},
	"unmount": func() string {
		return name(unix.Unmount("/mnt", unix.MNT_DETACH))
	},
	"sethostname": func() string {
		return name(unix.Sethostname([]byte("renamed")))
	},
	"chown":    func() string { return name(os.Chown("/tmp", 0, 0)) },
	"chown 77": func() string { return name(os.Chown("/tmp", 77, 77)) },
	"setuid":   func() string { return name(unix.Setuid(0)) },
	"setuid 77": func() string {
		return name(unix.Setresuid(77, 0, 0))
	},
	"kill":   func() string { return name(unix.Kill(1, 0)) },
	"chroot": func() string { return name(unix.Chroot("/")) },
	"user namespace": func() string {
		c := exec.Command("true")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
		return name(c.Run())
	},
}

// name is the errno's, or OK.
func name(err error) string {
	var errno unix.Errno
	if err == nil || errors.As(err, &errno) && errno == 0 {
		return "OK"
	}
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// blockFS is a filesystem that is on disks, if the kernel has one at hand.
func blockFS() string {
	for line := range strings.Lines(read("/proc/filesystems")) {
		if !strings.HasPrefix(line, "nodev") {
			return strings.TrimSpace(line)
		}
	}
	return "ext4"
}

// tried runs the helper try, and returns a map from name to result.
func tried(text string) map[string]string {
	got := map[string]string{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		last := len(words) - 1
		got[strings.Join(words[:last], " ")] = words[last]
	}
	return got
}

// keys are a map's, in order.
func keys(m map[string]string) (names []string) {
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// Root inside has every capability over what its namespaces own.
func TestWhatRootInsideMay(t *testing.T) {
	list := []string{"tmpfs", "unmount", "bind", "unmount", "sethostname",
		"chown", "setuid", "kill", "chroot", "user namespace", "chown 77",
		"setuid 77"}
	want := map[string]string{}
	for _, name := range list {
		want[name] = "OK"
	}
	// Ids that have no map cannot be named at all.
	want["chown 77"], want["setuid 77"] = "EINVAL", "EINVAL"
	everyone(t, "run", func(t *testing.T, p program) {
		before, mounts := names(), mountinfo(us)
		got := p.helped(t).must(t, join([]string{"run"}, byHelper("try",
			list...))...)
		equal(t, "what root inside may", tried(got), want)
		equal(t, "names outside", names(), before)
		equal(t, "mounts outside", mountinfo(us), mounts)
		equal(t, "capabilities", p.must(t, "run", "grep", "CapEff",
			"/proc/self/status"), "CapEff:\t"+allCaps(t))
	})
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	check(t, err)
	return n
}

// allCaps is the mask of all capabilities that the kernel knows.
func allCaps(t *testing.T) string {
	t.Helper()
	text := strings.TrimSpace(read("/proc/sys/kernel/cap_last_cap"))
	last := number(t, text)
	return fmt.Sprintf("%016x", uint64(1)<<(last+1)-1)
}

// What belongs to the machine: the capabilities inside are worth nothing.
var forbidden = map[string]string{"disk": "EPERM", "devtmpfs": "EPERM",
	"mknod": "EPERM", "sysctl": "EACCES", "nice": "EACCES", "swapon": "EPERM",
	"clock": "EPERM"}

func TestWhatRootInsideMayNot(t *testing.T) {
	try := byHelper("try", append([]string{"tmpfs"}, keys(forbidden)...)...)
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "userns")
		want := maps.Clone(forbidden)
		want["tmpfs"] = "OK"
		p = p.helped(t)
		got := p.as(nobody).must(t, join([]string{"run"}, try)...)
		equal(t, "what root inside may not", tried(got), want)
		needs(t, "root")
		got = p.must(t, join([]string{"run"}, ranges(100000+random(1e8)),
			try)...)
		equal(t, "the same with a range that root maps", tried(got), want)
	})
}

// The same calls do something when the host's root makes them: here in a mount
// namespace, so that /mnt is the test's.
func TestWhatRootOutsideMay(t *testing.T) {
	watch(t)
	needs(t, "root")
	out, stderr, status := outcome(t, 0, helper("outside", helper("try",
		"tmpfs", "devtmpfs", "mknod", "swapon", "disk", "nice")...)...)
	got := tried(out)
	equal(t, "exit status", []any{status, stderr}, []any{0, ""})
	equal(t, "a disk's errno is another", got["disk"] == "EPERM", false)
	delete(got, "disk")
	equal(t, "outside", got, map[string]string{"tmpfs": "OK",
		"devtmpfs": "OK", "mknod": "OK", "swapon": "ENOENT", "nice": "OK"})
}

// outside runs a command with a copy of our mounts, which may be changed.
func outside(args []string) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	become(args, err)
}

// The last step's hole is closed. Root inside reads what its user outside may
// read, and kills what its user outside may kill.
func TestRootInsideIsNotRootOutside(t *testing.T) {
	each(t, "rootfs", func(t *testing.T, p program) {
		needs(t, "root", "rootfs", "userns")
		secret, shared := newName(), scratch(t, 0)
		check(t, os.WriteFile(shared+"/shadow", []byte(secret), 0o600))
		equal(t, "outside, root reads it", read(shared+"/shadow"), secret)
		base := 100000 + random(1e8)
		notOutside(t, p, shared, append(ranges(base), box(t, base)...))
		notOutside(t, p.as(nobody), shared, box(t, nobody))
		equal(t, "the file outside", read(shared+"/shadow"), secret)
		equal(t, "its owner", owner(t, shared+"/shadow"), []int{0, 0})
	})
}

func notOutside(t *testing.T, p program, shared string, options []string) {
	t.Helper()
	for _, script := range []string{"cat /shared/shadow",
		"echo x >/shared/shadow", "rm /shared/shadow",
		"chown 0 /shared/shadow", "chmod 666 /shared/shadow",
		"touch /shared/new", "mount -o remount,rw /sys"} {
		stdout, stderr, status := p.run(t, join([]string{"run"}, options,
			[]string{"--volume", shared + ":/shared", "sh", "-c", script})...)
		if status == 0 || stdout != "" {
			t.Errorf("uid %d: %s: status %d, stdout %q, stderr:\n%s",
				p.uid, script, status, stdout, stderr)
		}
	}
}

// And what --uid-map is for: root who runs a container without it is not root
// inside only. It has no capabilities outside, but still owns root's files.
func TestCallerRootStillOwnsItsFiles(t *testing.T) {
	each(t, "rootfs", func(t *testing.T, p program) {
		needs(t, "root", "rootfs")
		secret, shared := newName(), scratch(t, 0)
		check(t, os.WriteFile(shared+"/shadow", []byte(secret), 0o600))
		got := p.must(t, join([]string{"run"}, box(t, 0), []string{"--volume",
			shared + ":/shared", "cat", "/shared/shadow"})...)
		equal(t, "with the default map", got, secret)
		stdout, _, status := p.run(t, join([]string{"run"}, ranges(100000),
			box(t, 100000), []string{"--volume", shared + ":/shared", "cat",
				"/shared/shadow"})...)
		equal(t, "with a range", []any{stdout, status}, []any{"", 1})
	})
}

// A user namespace alone is enough: no PID namespace hides the host's process
// here, and its number is known.
func TestHostProcessIsOutOfReach(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root", "userns")
		victim := command(0, "sleep", "1000")
		check(t, victim.Start())
		defer victim.Wait()
		defer victim.Process.Kill()
		pid := strconv.Itoa(victim.Process.Pid)
		_, stderr, status := p.as(nobody).run(t, "unshare", "-U", "sh", "-c",
			"id -u; kill -KILL "+pid)
		if status != 1 || !strings.Contains(stderr, "not permitted") {
			t.Errorf("kill: status %d, want EPERM:\n%s", status, stderr)
		}
		_, _, status = p.as(nobody).run(t, "run", "sh", "-c", "kill -0 "+pid)
		equal(t, "from a container", status, 1)
		alive(t, victim.Process.Pid)
	})
}

// reboot(2) by root inside ends the container: the kernel kills its PID 1
// with SIGHUP. rebootInside is given the host's namespaces: should the program
// have isolated nothing, it must not reboot this machine.
func TestRebootEndsTheContainer(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "userns")
		stdout, stderr, status := p.as(nobody).helped(t).run(t, join(
			[]string{"run"}, byHelper("reboot", ns(us, "pid"),
				ns(us, "user")))...)
		equal(t, "status", status, 128+int(unix.SIGHUP))
		equal(t, "stdout", stdout, "")
		equal(t, "stderr has no error", strings.Contains(stderr, "helper"),
			false)
		gone(t)
	})
}

func rebootInside(host []string) {
	for i, kind := range []string{"pid", "user"} {
		id, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil || id == host[i] {
			fmt.Println("not isolated:", kind)
			os.Exit(99)
		}
	}
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	fmt.Fprintln(os.Stderr, "helper: reboot:", name(err))
	time.Sleep(time.Second)
}

// The gate: the child does nothing before its maps are there. A newuidmap of
// our own gives it time, and then no map.
func TestChildWaitsForItsMaps(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "userns")
		dir := scratch(t, nobody)
		script := "#!/bin/sh\nsleep 0.3; echo no map >&2; exit 7\n"
		for _, name := range []string{"newuidmap", "newgidmap"} {
			check(t, os.WriteFile(dir+"/"+name, []byte(script), 0o755))
		}
		path := os.Getenv("PATH")
		defer os.Setenv("PATH", path)
		check(t, os.Setenv("PATH", dir+":"+path))
		r := p.as(nobody).begin(t, "run", "--uid-map", "0:100000:5", "echo",
			"started")
		equal(t, "status", r.wait(t), 125)
		if strings.Contains(r.stderr(), "Container[") {
			t.Errorf("the child did not wait:\n%s", r.stderr())
		}
		equal(t, "stdout", r.stdout(), "")
		gone(t)
	})
}

// Who only pretends to be the child stands before the gate as well: nothing
// may be set up, for this is the host.
func TestPretenderIsStoppedAtTheGate(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		before, mounts := names(), mountinfo(us)
		closed, write, err := os.Pipe()
		check(t, err)
		defer closed.Close()
		write.Close()
		for _, uid := range []int{os.Getuid(), nobody} {
			for _, gate := range [][]*os.File{nil, {closed}} {
				c := command(uid, work+"/step", "run", "--hostname",
					newName(), "echo", "in")
				c.Args[0], c.ExtraFiles = "container", gate
				out, _ := c.CombinedOutput()
				// Without a gate our own /tmp and /proc are covered now.
				for _, dir := range []string{"/tmp", "/proc"} {
					if len(mountinfo(us)) > len(mounts) {
						t.Errorf("%s was mounted on", dir)
						unix.Unmount(dir, unix.MNT_DETACH)
					}
				}
				equal(t, "outcome", []any{c.ProcessState.ExitCode(),
					string(out)}, []any{125, ""})
			}
		}
		equal(t, "names", names(), before)
		equal(t, "mounts", mountinfo(us), mounts)
	})
}

// Each bad map is one line and 125, and leaves nothing.
func TestBadMaps(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		for what, maps := range map[string][]string{
			"no numbers":          {"x"},
			"two fields":          {"0:100000"},
			"four fields":         {"0:100000:1:1"},
			"no ids":              {"0:100000:0"},
			"negative":            {"0:-1:1"},
			"out of range":        {"0:4294967295:1"},
			"too long":            {"0:1:4294967295"},
			"overlap inside":      {"0:100000:10", "9:200000:10"},
			"overlap outside":     {"0:100000:10", "10:100009:10"},
			"more than the limit": slices.Repeat([]string{"0:1:1"}, 341),
		} {
			for _, kind := range []string{"uid", "gid"} {
				args := []string{"run"}
				for _, m := range maps {
					args = append(args, "--"+kind+"-map", m)
				}
				_, stderr, status := p.run(t, append(args, "true")...)
				t.Run(what, func(t *testing.T) {
					complains(t, stderr, status, kind+"_map", "EINVAL",
						"INSIDE:HOST:N")
					if strings.Contains(stderr, "Container[") {
						t.Errorf("the child did not wait:\n%s", stderr)
					}
				})
			}
		}
		for _, kind := range []string{"uid", "gid"} {
			p.refuses(t, 125, []string{"setuid", "EINVAL", "0 inside"}, "run",
				"--"+kind+"-map", "1:100000:1", "true")
		}
		p.refuses(t, 125, nil, "run", "--uid-map")
		gone(t)
	})
}

// Ctrl-C, or worse, to run: nothing stays behind, whatever the maps are. A
// change of ids would make the kernel forget that the child dies with us.
func TestNothingOutlivesRun(t *testing.T) {
	command := []string{"sh", "-c", "sleep 1000 & exec sleep 999"}
	// A shell's background job ignores ^C, and so does what it starts: unless
	// it has a handler in between.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGINT)
	defer signal.Stop(caught)
	everyone(t, "run", func(t *testing.T, p program) {
		for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM,
			unix.SIGKILL} {
			p.dies(t, s, command...)
		}
	})
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		p.dies(t, unix.SIGKILL, append(ranges(100000+random(1e8)),
			command...)...)
		base := subids(t)
		m := fmt.Sprintf("0:%d:1000", base)
		p.as(nobody).dies(t, unix.SIGKILL, append([]string{"--uid-map", m,
			"--gid-map", m}, command...)...)
	})
}

// The gate's pipe, the pidfd and the program itself stay ours. So do all files
// that we were given: one could lead out of the container.
func TestNoFileLeaksToTheCommand(t *testing.T) {
	files := func(pid int) (names []string) {
		pid = below(t, pid, "sleep")
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		check(t, err)
		for _, f := range list {
			names = append(names, f.Name())
		}
		return names
	}
	everyone(t, "run", func(t *testing.T, p program) {
		root, err := os.Open("/")
		check(t, err)
		defer root.Close()
		fd, err := unix.Dup(int(root.Fd())) // not close-on-exec
		check(t, err)
		defer unix.Close(fd)
		want := []string{"0", "1", "2"}
		r := p.start(t, "sleep", "1000")
		equal(t, "files of run's command", files(r.container), want)
		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
		equal(t, "files of exec's command", files(second.pid), want)
	})
}

// What exec starts is one more process of the container: its ids are, and its
// capabilities are the container's. Root that joined the other namespaces only
// would be the host's root in there.
func TestExecJoinsUserNamespace(t *testing.T) {
	everyone(t, "exec", func(t *testing.T, p program) {
		name, before := newName(), names()
		r := p.start(t, "--hostname", name, "sleep", "1000")
		joins(t, p, r, p.uid)
		equal(t, "ids", exec1(p, t, r, "sh", "-c", "id -u; id -g"), "0\n0")
		equal(t, "name inside", exec1(p, t, r, "uname", "-n"), name)
		equal(t, "names outside", names(), before)
	})
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root", "userns")
		// Root joins another user's container: it is that user there.
		joins(t, p, p.as(nobody).start(t, "sleep", "1000"), nobody)
		base := 100000 + random(1e8)
		joins(t, p, p.start(t, append(ranges(base), "sleep", "1000")...), base)
	})
}

// joins checks a process that exec starts in a container whose root is uid.
func joins(t *testing.T, p program, r *running, uid int) {
	t.Helper()
	second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
	child := below(t, second.pid, "sleep")
	equal(t, "exec's command and the host", differ(t, us, child), isolated)
	equal(t, "exec's command and the container",
		len(differ(t, r.container, child)), 0)
	equal(t, "Uid outside", status(child, "Uid"), ids4(uid))
	equal(t, "Gid outside", status(child, "Gid"), ids4(uid))
	for _, field := range []string{"CapEff", "CapPrm"} {
		equal(t, field, status(child, field), status(r.container, field))
	}
	nspid := status(child, "NSpid")
	equal(t, "its PIDs", len(nspid), 2)
	exec1(p, t, r, "kill", "-0", nspid[1])
	second.signal(unix.SIGTERM)
	equal(t, "status of exec", second.wait(t), 128+15)
	equal(t, "run's end", r.ended(), false)
}

// Root has no power over the host in there, and no group of the host either.
func TestExecLeavesPowerOutside(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root", "userns")
		secret, dir := newName(), scratch(t, 0)
		check(t, os.WriteFile(dir+"/shadow", []byte(secret), 0o600))
		check(t, os.WriteFile(dir+"/group", []byte(secret), 0o640))
		check(t, os.Chown(dir+"/group", 0, 4242))
		file, err := os.Open(dir)
		check(t, err)
		defer file.Close()
		p.stdin = file // leads out of any container
		for _, r := range []*running{p.as(nobody).start(t, "sleep", "1000"),
			p.start(t, append(ranges(100000), "sleep", "1000")...)} {
			pid := strconv.Itoa(r.container)
			for _, name := range []string{"shadow", "group"} {
				argv := join(helper("groups", "4242", "4243"), p.argv("exec",
					pid, "cat", "/proc/self/fd/0/"+name))
				c := command(0, argv...)
				c.Stdin = file
				out, err := c.Output()
				if err == nil || len(out) > 0 {
					t.Errorf("root in the container has read %s: %q", name,
						out)
				}
			}
			groups := helper("groups", "4242", "4243")
			out, stderr, status := outcome(t, 0, join(groups, p.argv("exec",
				pid, "grep", "Groups", "/proc/self/status"))...)
			equal(t, "groups inside", []any{strings.Fields(out), status},
				[]any{[]string{"Groups:"}, 0})
			equal(t, "stderr", stderr, "")
			got := exec1(p, t, r, "sh", "-c",
				"echo 0 2>/dev/null >/proc/sys/kernel/panic || echo refused")
			equal(t, "a sysctl of the host", got, "refused")
		}
		// The same file, the same descriptor: outside root reads it.
		equal(t, "outside", read(dir+"/shadow"), secret)
	})
}

// run drops the groups as well, where the maps allow it.
func TestRunDropsGroups(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		show := []string{"grep", "Groups", "/proc/self/status"}
		groups := helper("groups", "4242", "4243")
		out, _, _ := outcome(t, 0, append(groups, show...)...)
		equal(t, "outside", strings.Fields(out), []string{"Groups:", "4242",
			"4243"})
		out, stderr, status := outcome(t, 0, join(groups, p.argv(join(
			[]string{"run"}, ranges(100000), show)...))...)
		equal(t, "inside", []any{strings.Fields(out), status},
			[]any{[]string{"Groups:"}, 0})
		if status != 0 {
			t.Error(stderr)
		}
	})
}

// withGroups GROUP GROUP COMMAND... runs a command with two groups more.
func withGroups(args []string) {
	var groups []int
	for _, a := range args[:2] {
		n, _ := strconv.Atoi(a)
		groups = append(groups, n)
	}
	become(args[2:], unix.Setgroups(groups))
}

// become executes the command, if err is nil.
func become(args []string, err error) {
	path, err2 := exec.LookPath(args[0])
	if err = errors.Join(err, err2); err == nil {
		err = unix.Exec(path, args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "helper:", err)
	os.Exit(99)
}

// The copy of a Go process that joins must not trip over a signal or the
// garbage collector: a terminal that changes its size signals the whole group.
func TestExecUnderSignals(t *testing.T) {
	everyone(t, "exec", func(t *testing.T, p program) {
		t.Setenv("GOGC", "1")
		r := p.start(t, "sleep", "1000")
		for _, s := range []unix.Signal{unix.SIGWINCH, unix.SIGUSR1} {
			results := make(chan string)
			for range 3 {
				go func() { results <- storm(p, r.container, s, 25) }()
			}
			for range 3 {
				if bad := <-results; bad != "" {
					t.Errorf("under %v: %s", s, bad)
				}
			}
		}
	})
}

// storm joins n times, while the process group of exec gets signals. It says
// what went wrong. USR1 is passed on to the command, which may die of it.
func storm(p program, container int, s unix.Signal, n int) string {
	for range n {
		c := command(p.uid, p.argv("exec", strconv.Itoa(container), "echo",
			"hello")...)
		c.SysProcAttr.Setpgid = true
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr, c.WaitDelay = &stdout, &stderr, patience
		if err := c.Start(); err != nil {
			return err.Error()
		}
		// Before it is ours to handle, USR1 kills anyone.
		runtimeStarted(c.Process.Pid)
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			case <-time.After(200 * time.Microsecond):
				unix.Kill(-c.Process.Pid, s)
			}
		}
		code := c.ProcessState.ExitCode()
		killed := s == unix.SIGUSR1 && code == 128+int(s)
		if !killed && (code != 0 || stdout.String() != "hello\n") {
			return fmt.Sprintf("%v, stdout %q, stderr %q", c.ProcessState,
				stdout.String(), stderr.String())
		}
	}
	return ""
}

// runtimeStarted waits until a process handles USR1, or has ended.
func runtimeStarted(pid int) {
	for range 1000 {
		caught := status(pid, "SigCgt")
		if caught == nil {
			return
		}
		mask, _ := strconv.ParseUint(caught[0], 16, 64)
		if mask&(1<<(unix.SIGUSR1-1)) != 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// exec of another user's container: refused.
func TestExecOfAnothersContainer(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root", "userns")
		for _, r := range []*running{p.start(t, "sleep", "1000"),
			p.as(nobody+1).start(t, "sleep", "1000")} {
			pid := strconv.Itoa(r.container)
			user := p.as(nobody)
			user.refuses(t, 125, []string{pid, "EACCES"}, "exec", pid, "true")
			// Whoever gets the file some other way may still not join.
			held, err := os.Open("/proc/" + pid + "/ns/user")
			check(t, err)
			user.stdin = held
			user.refuses(t, 125, []string{"setns", "EPERM"}, "exec",
				"/proc/self/fd/0", "true")
			held.Close()
			alive(t, r.container)
		}
	})
}

// A file is one namespace. The user namespace makes its joiner root in it.
func TestExecFile(t *testing.T) {
	everyone(t, "exec", func(t *testing.T, p program) {
		r := p.start(t, "--hostname", newName(), "sleep", "1000")
		file := fmt.Sprintf("/proc/%d/ns/user", r.container)
		second := p.begin(t, "exec", file, "sleep", "1000")
		child := below(t, second.pid, "sleep")
		equal(t, "apart from the host", differ(t, us, child), []string{"user"})
		equal(t, "user", ns(child, "user"), ns(r.container, "user"))
		second.signal(unix.SIGTERM)
		second.wait(t)
		equal(t, "id", p.must(t, "exec", file, "id", "-u"), "0")

		uts := fmt.Sprintf("/proc/%d/ns/uts", r.container)
		if p.uid == 0 {
			got := p.must(t, "exec", uts, "uname", "-n")
			equal(t, "name", got, exec1(p, t, r, "uname", "-n"))
		} else {
			// Its owner is the user namespace, in which we have no power
			// until we have joined it.
			p.refuses(t, 125, []string{"setns", "EPERM"}, "exec", uts, "true")
		}
		empty := scratch(t, p.uid) + "/empty"
		check(t, os.WriteFile(empty, nil, 0o644))
		p.refuses(t, 125, []string{"setns", "EINVAL"}, "exec", empty, "true")
	})
}

// A PID that nobody has any more, and one that is in no container.
func TestExecOfNoContainer(t *testing.T) {
	everyone(t, "exec", func(t *testing.T, p program) {
		other := command(p.uid, "sleep", "1000")
		check(t, other.Start())
		pid := strconv.Itoa(other.Process.Pid)
		eventually(t, "sleep", func() bool {
			return read("/proc/"+pid+"/comm") == "sleep\n"
		})
		p.refuses(t, 125, []string{pid, "container"}, "exec", pid, "true")
		check(t, other.Process.Kill())
		other.Wait()
		p.refuses(t, 125, []string{pid, "ESRCH"}, "exec", pid, "true")
	})
}

// What exec has started goes on when exec is killed, and ends with PID 1.
func TestExecKilled(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "userns")
		p = p.as(nobody)
		r := p.start(t, "sleep", "1000")
		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
		child := below(t, second.pid, "sleep")
		second.signal(unix.SIGKILL)
		second.wait(t)
		alive(t, child)
		r.signal(unix.SIGTERM)
		r.wait(t)
		gone(t)
	})
}

// unshare(2) of a user namespace makes an ordinary user root in it, and so the
// other namespaces are there for everybody.
func TestUnshare(t *testing.T) {
	everyone(t, "unshare", func(t *testing.T, p program) {
		before := names()
		for option, want := range map[string][]string{
			"-U":     {"user"},
			"-Uu":    {"user", "uts"},
			"-Ui":    {"ipc", "user"},
			"-Um":    {"mnt", "user"},
			"-Up":    {"pid", "pid_for_children", "user"},
			"-Upmui": isolated} {
			r := p.begin(t, "unshare", option, "sleep", "1000")
			child := below(t, r.pid, "sleep")
			equal(t, option, differ(t, us, child), want)
			equal(t, "uid_map", fields(child, "uid_map"), []string{"0",
				strconv.Itoa(p.uid), "1"})
			equal(t, "gid_map", fields(child, "gid_map"), []string{"0",
				strconv.Itoa(p.uid), "1"})
			equal(t, "setgroups", fields(child, "setgroups"), []string{"deny"})
			equal(t, "Uid outside", status(child, "Uid"), ids4(p.uid))
			unix.Kill(child, unix.SIGKILL)
			equal(t, "exit status", r.wait(t), 128+9)
		}
		got := p.must(t, "unshare", "-Upmui", "sh", "-c",
			"id -u; id -g; echo $$; hostname "+newName())
		equal(t, "inside", got, "0\n0\n1")
		equal(t, "names outside", names(), before)
		got = p.must(t, "unshare", "-U", "--no-fork", "sh", "-c", "id -u")
		equal(t, "without a fork", got, "0")
		_, stderr, status := p.run(t, "unshare", "-Up", "--no-fork", "sh", "-c",
			"/bin/true; exec xargs sh -c : </proc/uptime")
		if status == 0 || !strings.Contains(stderr, "memory") {
			t.Errorf("second fork: status %d, want a failure; stderr, want "+
				"Cannot allocate memory:\n%s", status, stderr)
		}
	})
}

// Without -U it takes root: the line says what else would help.
func TestUnshareWithoutUserNamespace(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		user := p.as(nobody)
		for _, option := range []string{"-u", "-i", "-p", "-m"} {
			user.refuses(t, 125, []string{"unshare", "EPERM", "-U", "sudo"},
				"unshare", option, "true")
		}
		needs(t, "root")
		for option, want := range map[string][]string{"-u": {"uts"},
			"-i": {"ipc"}, "-m": {"mnt"}, "-p": {"pid", "pid_for_children"}} {
			r := p.begin(t, "unshare", option, "sleep", "1000")
			child := below(t, r.pid, "sleep")
			equal(t, option, differ(t, us, child), want)
			unix.Kill(child, unix.SIGKILL)
			r.wait(t)
		}
		before, dir := mountinfo(us), scratch(t, 0)
		got := p.must(t, "unshare", "-m", "sh", "-c", "mount -t tmpfs none "+
			dir+" && grep -c "+dir+" /proc/self/mountinfo")
		equal(t, "a mount inside", got, "1")
		equal(t, "mounts outside", mountinfo(us), before)
	})
}

// unshare's child outlives it, unless --kill-child says otherwise: with -U too.
func TestKillChild(t *testing.T) {
	everyone(t, "unshare", func(t *testing.T, p program) {
		r := p.begin(t, "unshare", "-Up", "sleep", "1000")
		child := below(t, r.pid, "sleep")
		r.signal(unix.SIGKILL)
		r.wait(t)
		alive(t, child)
		check(t, unix.Kill(child, unix.SIGKILL))
		gone(t)

		for _, signal := range []string{"KILL", "SIGKILL"} {
			r = p.begin(t, "unshare", "-Up", "--kill-child", signal, "sleep",
				"1000")
			below(t, r.pid, "sleep")
			r.signal(unix.SIGKILL)
			r.wait(t)
			gone(t)
		}
		p.refuses(t, 125, []string{"NONESUCH"}, "unshare", "-U",
			"--kill-child", "NONESUCH", "true")
	})
}

// The switches by which a host forbids user namespaces: each is detected by
// its errno, and the line says which it is.

// One: sysctl user.max_user_namespaces. Every user namespace has its own.
func TestNoUserNamespacesLeft(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		for _, verb := range [][]string{{"run"}, {"unshare", "-U"}} {
			_, stderr, status := outcome(t, p.uid, join(helper("without"),
				p.argv(append(verb, "true")...))...)
			complains(t, stderr, status, "ENOSPC",
				"sysctl user.max_user_namespaces")
		}
		gone(t)
	})
}

// withoutNamespaces runs a command in a user namespace that allows no more.
func withoutNamespaces(args []string) {
	if args[0] != "inside" {
		c := command(os.Getuid(), append(helper("without", "inside"),
			args...)...)
		c.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{
			{HostID: os.Getuid(), Size: 1}}
		c.Env, c.Stdout, c.Stderr = os.Environ(), os.Stdout, os.Stderr
		c.Run()
		os.Exit(c.ProcessState.ExitCode())
	}
	become(args[1:], os.WriteFile("/proc/sys/user/max_user_namespaces",
		[]byte("0"), 0))
}

// Two: EPERM from clone. A sysctl of Debian and Docker's seccomp filter do
// that; so does a chroot, which the kernel lets nobody escape in this way.
func TestCloneIsForbidden(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		for _, uid := range []int{0, nobody} {
			for _, verb := range [][]string{{"run"}, {"unshare", "-U"}} {
				_, stderr, status := outcome(t, 0, join(helper("chroot",
					scratch(t, 0), strconv.Itoa(uid)),
					p.argv(append(verb, "true")...))...)
				words := []string{"EPERM", "make doctor", "sysctl", "chroot",
					"seccomp"}
				complains(t, stderr, status, words...)
			}
		}
	})
}

// inChroot DIR UID COMMAND... runs a command in a chroot that has all there is.
func inChroot(args []string) {
	runtime.LockOSThread()
	dir := args[0]
	uid, _ := strconv.Atoi(args[1])
	err := unix.Unshare(unix.CLONE_NEWNS)
	for _, m := range []struct {
		from, on string
		flags    uintptr
	}{{"", "/", unix.MS_REC | unix.MS_PRIVATE},
		{"/", dir, unix.MS_REC | unix.MS_BIND}} {
		if err == nil {
			err = unix.Mount(m.from, m.on, "", m.flags, "")
		}
	}
	if err == nil {
		err = errors.Join(unix.Chroot(dir), unix.Chdir("/"),
			unix.Setresuid(uid, uid, uid))
	}
	become(args[2:], err)
}

// Three: AppArmor lets Ubuntu's users make a namespace, and then forbids to do
// anything in it: EPERM from the first call. A seccomp filter acts its part.
func TestAppArmor(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		_, stderr, status := outcome(t, p.uid, join(helper("deny"),
			p.argv("run", "true"))...)
		complains(t, stderr, status, "sethostname", "EPERM", "AppArmor",
			"make doctor")
		gone(t)
	})
}

// denySethostname runs a command for which sethostname(2) fails with EPERM.
func denySethostname(args []string) {
	runtime.LockOSThread()
	const load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	const equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	const ret = unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: load}, // the call's number
		{Code: equal, K: unix.SYS_SETHOSTNAME, Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER,
			uintptr(unsafe.Pointer(&prog)), 0, 0)
	}
	become(args, err)
}

// The hole: the network is the host's. Step 5 closes it.
func TestHoleSharesTheNetwork(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		r := p.start(t, "sleep", "1000")
		equal(t, "network namespace", ns(r.container, "net"), ns(us, "net"))
		links := watched["network links"]()
		got := p.must(t, "run", "cat", "/proc/self/net/dev")
		for _, link := range links {
			if !strings.Contains(got, link+":") {
				t.Errorf("the container does not see %s:\n%s", link, got)
			}
		}
		secret, name := newName(), "@"+newName()
		tcp := answer(t, "tcp4", "127.0.0.1:0", secret)
		answer(t, "unix", name, secret)
		got = p.helped(t).must(t, join([]string{"run"}, byHelper("loopback",
			"tcp4", tcp, "unix", name))...)
		equal(t, "what the host's own sockets told", got, secret+"\n"+secret)
	})
}

// answer listens, and says secret to whoever comes. It returns its address.
func answer(t *testing.T, network, address, secret string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	check(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, secret)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// callHost NETWORK ADDRESS... prints what each of these says.
func callHost(args []string) {
	for ; len(args) > 1; args = args[2:] {
		conn, err := net.DialTimeout(args[0], args[1], patience)
		if err != nil {
			fmt.Println(err)
			continue
		}
		said, _ := io.ReadAll(conn)
		fmt.Println(string(said))
	}
}

// What the steps before taught holds, also without root.

func TestNames(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		before, host, domain := names(), newName(), newName()
		got := p.helped(t).must(t, join([]string{"run", "--hostname", host,
			"--domainname", domain}, byHelper("names"))...)
		equal(t, "names inside", got, host+" "+domain)
		equal(t, "default", p.must(t, "run", "uname", "-n"), "container")
		equal(t, "names outside", names(), before)
	})
}

// A container in a container: each maps its caller, who is root already.
func TestNested(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		self, err := os.Open(p.argv("run")[0])
		check(t, err)
		defer self.Close()
		p.stdin = self
		verb := []string{"/proc/self/fd/0"} // /tmp is another one in there
		if p.name == "go" {
			verb = append(verb, "run")
		}
		r := p.start(t, append(verb, "--hostname", "inner", "sh", "-c",
			"id -u; cat /proc/self/uid_map; exec sleep 1000")...)
		eventually(t, "the inner container", func() bool {
			return strings.Count(r.stdout(), "\n") == 2
		})
		equal(t, "inside", strings.Fields(r.stdout()), []string{"0", "0", "0",
			"1"})
		command := below(t, r.container, "sleep")
		inner := number(t, status(command, "PPid")[0])
		equal(t, "PIDs", len(status(inner, "NSpid")), 3)
		equal(t, "Uid outside", status(inner, "Uid"), ids4(p.uid))
		equal(t, "user namespaces", ns(inner, "user") != ns(r.container,
			"user"), true)
		in := &running{container: inner}
		equal(t, "name of the inner", exec1(p, t, in, "uname", "-n"), "inner")
		unix.Kill(r.container, unix.SIGKILL)
		r.wait(t)
		gone(t)
	})
}

// Own /proc and /tmp; what is mounted inside stays inside.
func TestOwnMounts(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		before := mountinfo(us)
		r := p.start(t, "sh", "-c", "mkdir /tmp/m && mount -t tmpfs none "+
			"/tmp/m && touch /tmp/m/f && echo done; exec sleep 1000")
		eventually(t, "a mount", func() bool { return r.stdout() != "" })
		equal(t, "mounts outside", mountinfo(us), before)
		root := fmt.Sprintf("/proc/%d/root", r.container)
		got, _ := filepath.Glob(root + "/tmp/*")
		equal(t, "the container's /tmp", got, []string{root + "/tmp/m"})
		all := exec1(p, t, r, "sh", "-c", "ls -d /proc/[0-9]*; ls /tmp/m")
		equal(t, "exec sees the file", strings.HasSuffix(all, "\nf"), true)
		if n := strings.Count(all, "/proc/"); n < 3 || n > 5 {
			t.Errorf("%d processes inside, want init, sleep, sh, ls:\n%s", n,
				all)
		}
		for _, m := range mountinfo(r.container) {
			if strings.Contains(m, " shared:") || strings.Contains(m,
				" master:") {
				t.Errorf("a mount is not private: %s", m)
			}
		}
	})
}

// All of step 3's root filesystem works without root.
func TestRootfs(t *testing.T) {
	everyone(t, "rootfs", func(t *testing.T, p program) {
		needs(t, "rootfs")
		root, data, ro := copyRootfs(t, p.uid), scratch(t, p.uid),
			scratch(t, p.uid)
		mark := newName()
		check(t, os.WriteFile(root+"/"+mark, nil, 0o644))
		check(t, os.WriteFile(ro+"/f", []byte(mark), 0o644))
		got := p.must(t, "run", "--rootfs", root, "--volume", data+":/data",
			"--volume", ro+":/ro:ro", "sh", "-c", `set -e
			ls /`+mark+`; cat /ro/f; echo; echo `+mark+` >/data/new
			! echo x 2>/dev/null >/ro/f; ! touch /sys/x 2>/dev/null
			echo x >/dev/null; head -c 3 /dev/zero | wc -c; touch /tmp/t
			ls /dev; stat -c %n /dev/pts/ptmx; echo x >/dev/shm/x
			ls -d /work /boot 2>/dev/null || echo no host
			grep -c " / / " /proc/self/mountinfo || true
			readlink /dev/fd`)
		want := []string{"/" + mark, mark, "3", "fd", "full", "mqueue", "null",
			"ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
			"tty", "urandom", "zero", "/dev/pts/ptmx", "no", "host", "0",
			"/proc/self/fd"}
		equal(t, "inside", strings.Fields(got), want)
		equal(t, "volume outside", read(data+"/new"), mark+"\n")
		equal(t, "its owner", owner(t, data+"/new"), []int{p.uid, p.uid})
		got = p.must(t, "run", "--rootfs", root, "ps", "-o", "pid,comm")
		equal(t, "ps", len(strings.Split(got, "\n")), 3)
		p.must(t, "run", "--rootfs", root, "--chroot", "true")
		p.refuses(t, 125, []string{"mount", "ENOENT", "make rootfs"}, "run",
			"--rootfs", "/no/such", "true")
	})
}

// Whoever escapes from a chroot is still the caller outside: from pivot_root(2)
// there is no escape, and out there no more than before.
func TestEscape(t *testing.T) {
	with(t, "c", func(t *testing.T, p program) {
		needs(t, "root", "userns", "rootfs")
		root, dir := copyRootfs(t, nobody), scratch(t, nobody)
		check(t, os.WriteFile(dir+"/mine", []byte("mine"), 0o644))
		check(t, os.WriteFile(dir+"/roots", []byte("root's"), 0o600))
		script := "cat " + dir + "/mine " + dir + "/roots 2>/dev/null; true"
		for _, name := range []string{"go", "c"} {
			p.name = name
			for option, want := range map[string]string{"--chroot": "mine",
				"--hostname=h": ""} {
				got := p.as(nobody).must(t, "run", "--rootfs", root,
					"--volume", work+"/c/escape:/escape:ro", option,
					"/escape", "sh", "-c", script)
				equal(t, name+" with "+option, got, want)
			}
		}
	})
}

// The command's own status, 128+n, 126 and 127: what Docker does.
func TestExitStatus(t *testing.T) {
	// A directory in PATH that one may not search would be EACCES.
	t.Setenv("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	everyone(t, "run", func(t *testing.T, p program) {
		r := p.start(t, "sleep", "1000")
		pid := strconv.Itoa(r.container)
		for _, verb := range [][]string{{"run"}, {"exec", pid},
			{"exec", "/proc/" + pid + "/ns/user"}, {"unshare", "-U"},
			{"unshare", "-U", "--no-fork"}} {
			exitStatus(t, p, verb)
		}
	})
}

func exitStatus(t *testing.T, p program, verb []string) {
	t.Helper()
	for script, want := range map[string]int{"exit 0": 0, "exit 42": 42,
		"exit 255": 255, "kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9} {
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

// Signals reach the command: through run, and through exec.
func TestSignalsAreForwarded(t *testing.T) {
	trap := []string{"sh", "-c", "trap 'echo got; exit 7' TERM; echo ready; " +
		"while :; do sleep 0.05; done"}
	everyone(t, "run", func(t *testing.T, p program) {
		r := p.start(t, trap...)
		second := p.begin(t, join([]string{"exec",
			strconv.Itoa(r.container)}, trap)...)
		third := p.begin(t, join([]string{"unshare", "-U"}, trap)...)
		for _, r := range []*running{second, third, r} {
			eventually(t, "the command to be ready", func() bool {
				return strings.Contains(r.stdout(), "ready")
			})
			r.signal(unix.SIGTERM)
			equal(t, "status", r.wait(t), 7)
			equal(t, "stdout", r.stdout(), "ready\ngot\n")
		}
	})
}

// Orphans become PID 1's children, and are reaped when they end.
func TestPID1ReapsOrphans(t *testing.T) {
	everyone(t, "run", func(t *testing.T, p program) {
		r := p.start(t, "sh", "-c",
			"(sleep 0 &); (sleep 0 &); echo ready; exec sleep 999")
		eventually(t, "two orphans", func() bool { return r.stdout() != "" })
		eventually(t, "the command to be alone", func() bool {
			return len(processesOf(r.container)) == 1
		})
	})
}

// processesOf are a process's children, zombies too.
func processesOf(pid int) (pids []int) {
	for _, child := range processes() {
		if slices.Equal(status(child, "PPid"), []string{strconv.Itoa(pid)}) {
			pids = append(pids, child)
		}
	}
	return pids
}

// Each bad input is one line and 125, and leaves nothing.
func TestBadInput(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "userns")
		p = p.as(nobody)
		p.refuses(t, 125, []string{"nonesuch"}, "run", "--nonesuch", "true")
		p.refuses(t, 125, nil, "run", "--hostname")
		p.refuses(t, 125, nil, "unshare", "-x", "true")
		p.refuses(t, 125, nil, "exec")
		p.refuses(t, 125, []string{"/no/such", "ENOENT"}, "exec", "/no/such",
			"true")
		p.refuses(t, 125, []string{"99999999999999999999"}, "exec",
			"99999999999999999999", "true")
		if p.name == "go" { // in C each verb is a program
			p.refuses(t, 125, []string{"nonesuch"}, "nonesuch")
		}
		long := strings.Repeat("n", 65)
		p.refuses(t, 125, []string{"sethostname", long, "EINVAL"}, "run",
			"--hostname", long, "true")
		p.refuses(t, 125, []string{"setdomainname", long, "EINVAL"}, "run",
			"--domainname", long, "true")
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
