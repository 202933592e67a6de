package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// runIn runs a command in dir and returns what it said and its exit status.
func runIn(t *testing.T, dir string, env []string, args ...string) (
	string, int) {
	t.Helper()
	c := exec.Command(args[0], args[1:]...)
	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), c.ProcessState.ExitCode()
}

// Each kind of ending that a suite can have, and how it is counted.
func TestCounts(t *testing.T) {
	const pass = "=== RUN   TestA\n--- PASS: TestA (0.00s)\n"
	for name, c := range map[string]struct {
		log, status, counts, says string
	}{
		"pass": {pass + "PASS\n", "0", "1 0 0", ""},
		"leaves only": {"=== RUN   TestA\n=== RUN   TestA/x\n" +
			"=== RUN   TestA/y_z\n--- PASS: TestA (0.00s)\n" +
			"    --- PASS: TestA/x (0.00s)\n" +
			"    --- PASS: TestA/y_z (0.00s)\nPASS\n", "0", "2 0 0", ""},
		"failed leaf": {"=== RUN   TestA\n=== RUN   TestA/x\n" +
			"    a_test.go:7: broken here\n--- FAIL: TestA (0.00s)\n" +
			"    --- FAIL: TestA/x (0.00s)\nFAIL\n", "1", "0 1 0",
			"--- FAIL: s: TestA/x\n        a_test.go:7: broken here"},
		"failed parent": {"=== RUN   TestA\n=== RUN   TestA/x\n" +
			"=== NAME  TestA\n    a_test.go:9: left behind\n" +
			"--- FAIL: TestA (0.00s)\n    --- PASS: TestA/x (0.00s)\nFAIL\n",
			"1", "1 1 0", "--- FAIL: s: TestA\n        a_test.go:9: left"},
		"panic": {pass + "=== RUN   TestB\npanic: oh\n\ngoroutine 1\n", "2",
			"1 1 0", "--- DIED: s: TestB\n    panic: oh"},
		"no verdict":  {pass, "0", "1 1 0", "it ended with"},
		"killed":      {pass + "PASS\n", "9", "1 1 0", "status 9"},
		"nothing ran": {"PASS\n", "0", "0 1 0", "no test ran"},
		"no output":   {"", "1", "0 1 0", "no test ran"},
		"half a line": {"=== RUN   TestA\nx--- PASS: TestA (0.00s)\nPASS\n",
			"0", "0 1 0", "--- DIED: s: TestA"},
	} {
		t.Run(name, func(t *testing.T) {
			counts, skips, said := count(t, c.log, c.status)
			if counts != c.counts || skips != "" {
				t.Errorf("counts %q, want %q; skips %q", counts, c.counts,
					skips)
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("it said:\n%s\nwant %q", said, c.says)
			}
		})
	}
}

// A skip comes with its reason, also when two tests take turns.
func TestCountsSkips(t *testing.T) {
	counts, skips, _ := count(t, "=== RUN   TestA\n=== RUN   TestA/x\n"+
		"=== PAUSE TestA/x\n=== RUN   TestA/y\n=== PAUSE TestA/y\n"+
		"=== CONT  TestA/x\n    a_test.go:3: CAP_SYS_ADMIN: run as root\n"+
		"=== CONT  TestA/y\n    a_test.go:5: gcc: apt-get install gcc\n"+
		"--- PASS: TestA (0.00s)\n    --- SKIP: TestA/x (0.00s)\n"+
		"    --- SKIP: TestA/y (0.00s)\nPASS\n", "0")
	want := "s: TestA/x: CAP_SYS_ADMIN: run as root\n" +
		"s: TestA/y: gcc: apt-get install gcc\n"
	if counts != "0 0 2" {
		t.Errorf("counts %q", counts)
	}
	if diff := cmp.Diff(want, skips); diff != "" {
		t.Error(diff)
	}
}

func count(t *testing.T, log, status string) (counts, skips, said string) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir+"/log", log, 0o644)
	said, code := runIn(t, ".", nil, "awk", "-v", "suite=s",
		"-v", "status="+status, "-v", "skips="+dir+"/skips",
		"-v", "counts="+dir+"/counts", "-f", "scripts/counts.awk", dir+"/log")
	if code != 0 {
		t.Fatalf("awk: %s", said)
	}
	a, _ := os.ReadFile(dir + "/counts")
	b, _ := os.ReadFile(dir + "/skips")
	return strings.TrimSpace(string(a)), string(b), said
}

// make test as a whole, on a small step of our own: last line and status.
func TestMakeTest(t *testing.T) {
	const head = "package main\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\n" +
		"var _ = os.Exit\n\nfunc TestA(t *testing.T) {}\n\n" +
		"func TestB(t *testing.T) { "
	for name, c := range map[string]struct {
		body, last string
		status     int
	}{
		"pass":    {"", "2 passed, 0 failed, 0 skipped", 0},
		"fail":    {"t.Error(1)", "1 passed, 1 failed, 0 skipped", 1},
		"skip":    {"t.Skip(`x: y`)", "1 passed, 0 failed, 1 skipped", 0},
		"panic":   {"panic(1)", "1 passed, 1 failed, 0 skipped", 1},
		"exit":    {"os.Exit(0)", "1 passed, 1 failed, 0 skipped", 1},
		"compile": {"no such thing", "0 passed, 1 failed, 0 skipped", 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range []string{"test.sh", "counts.awk"} {
				copyScript(t, dir, f)
			}
			writeFile(t, dir+"/go.mod", "module m\n\ngo 1.24\n", 0o644)
			writeFile(t, dir+"/step01-x/main.go",
				"package main\n\nfunc main() {}\n", 0o644)
			writeFile(t, dir+"/step01-x/x_test.go", head+c.body+" }\n", 0o644)
			out, status := runIn(t, dir, []string{"SUDO=", "STRICT=", "RUN=",
				"V=", "GOFLAGS=-mod=mod"}, "./test.sh", "1")
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if got := lines[len(lines)-1]; got != c.last || status != c.status {
				t.Errorf("status %d, last line %q; want %d, %q\n%s", status,
					got, c.status, c.last, out)
			}
			if name == "skip" && !strings.Contains(out,
				"Skipped:\n  x: y\n    step01-x: TestB\n") {
				t.Errorf("no reason for the skip:\n%s", out)
			}
		})
	}
}

// make test is the steps and what stands beside them: docs, vagrant and final.
// One that does not compile counts as failed, and one that is not there not at
// all. Each package of final is a suite.
func TestMakeTestAll(t *testing.T) {
	const good = "package p\n\nimport \"testing\"\n\n" +
		"func TestA(t *testing.T) {}\n"
	const bad = "package p\n\nvar x y\n"
	for name, c := range map[string]struct {
		dir, body, last string
		status          int
	}{
		"none":    {"", "", "2 passed, 0 failed, 0 skipped", 0},
		"pass":    {"vagrant", good, "3 passed, 0 failed, 0 skipped", 0},
		"final":   {"final/a", good, "3 passed, 0 failed, 0 skipped", 0},
		"compile": {"vagrant", bad, "2 passed, 2 failed", 1},
		"broken":  {"final/a/b", bad, "2 passed, 2 failed", 1},
		"skip": {"final/a", strings.Replace(good, "{}", "{ t.Skip(1) }", 1),
			"2 passed, 0 failed, 1 skipped", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range []string{"test.sh", "counts.awk", "lint.sh"} {
				copyScript(t, dir, f)
			}
			writeFile(t, dir+"/go.mod", "module m\n\ngo 1.24\n", 0o644)
			writeFile(t, dir+"/step01-x/main.go",
				"package main\n\nfunc main() {}\n", 0o644)
			writeFile(t, dir+"/step01-x/x_test.go", strings.Replace(good,
				"package p", "package main", 1), 0o644)
			writeFile(t, dir+"/docs/x_test.go", good, 0o644)
			if c.dir != "" {
				writeFile(t, dir+"/"+c.dir+"/x_test.go", c.body, 0o644)
			}
			out, status := runIn(t, dir, []string{"SUDO=", "STRICT=", "RUN=",
				"V=", "GOFLAGS=-mod=mod"}, "./test.sh", "all")
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if got := lines[len(lines)-1]; !strings.HasPrefix(got, c.last) ||
				status != c.status {
				t.Errorf("status %d, last line %q; want %d, %q\n%s", status,
					got, c.status, c.last, out)
			}
		})
	}
}

// The root filesystem: whole, readable by all, made once, never half made.
func TestRootfs(t *testing.T) {
	busybox := os.Getenv("ROOTFS") + "/bin/busybox"
	if _, err := os.Stat(busybox); err != nil {
		busybox = "../rootfs/bin/busybox"
	}
	busybox, _ = filepath.Abs(busybox)
	if _, err := os.Stat(busybox); err != nil {
		skip(t, "root filesystem: make rootfs")
	}
	dir := t.TempDir()
	copyScript(t, dir, "rootfs.sh")
	env := []string{"BUSYBOX=" + busybox, "OFFLINE=1"}
	if out, status := runIn(t, dir, env, "./rootfs.sh", "fs"); status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	for _, d := range strings.Fields("bin sbin usr/bin usr/sbin etc proc sys " +
		"dev tmp root var/tmp home mnt run lib") {
		info, err := os.Stat(filepath.Join(dir, "fs", d))
		if err != nil || !info.IsDir() || info.Mode()&0o005 != 0o005 {
			t.Errorf("%s: %v, %v", d, info, err)
		}
	}
	for _, f := range strings.Fields("bin/sh bin/ps bin/mount etc/passwd " +
		"etc/group etc/hosts etc/resolv.conf etc/profile") {
		if _, err := os.Lstat(filepath.Join(dir, "fs", f)); err != nil {
			t.Error(err)
		}
	}
	before, _ := os.Stat(dir + "/fs")
	out, status := runIn(t, dir, env, "./rootfs.sh", "fs")
	after, _ := os.Stat(dir + "/fs")
	if out != "" || status != 0 || !os.SameFile(before, after) {
		t.Errorf("the second time: status %d, %q", status, out)
	}
	left, _ := filepath.Glob(dir + "/.rootfs*")
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Without a busybox there is one line that says what to do, and no directory.
func TestRootfsWithoutBusybox(t *testing.T) {
	dir := t.TempDir()
	copyScript(t, dir, "rootfs.sh")
	path := filepath.Join(dir, "path")
	os.Mkdir(path, 0o755)
	for _, name := range strings.Fields("sh sed grep cut head mkdir mktemp " +
		"dirname rm ldd true") {
		if file, err := exec.LookPath(name); err == nil {
			os.Symlink(file, filepath.Join(path, name))
		}
	}
	for name, c := range map[string]struct {
		env  string
		want string
	}{
		"offline":    {"OFFLINE=1", "make rootfs BUSYBOX="},
		"no apt":     {"OFFLINE=", "could not be downloaded"},
		"not one":    {"BUSYBOX=/bin/sh", "BUSYBOX=/bin/sh is not a static"},
		"no such":    {"BUSYBOX=/no/such", "BUSYBOX=/no/such is not a static"},
		"not static": {"BUSYBOX=/usr/bin/env", "is not a static busybox"},
	} {
		t.Run(name, func(t *testing.T) {
			out, status := runIn(t, dir, []string{"PATH=" + path, "BUSYBOX=",
				c.env}, "./rootfs.sh", "fs")
			if status != 1 || !strings.Contains(out, c.want) ||
				strings.Count(out, "\n") != 1 {
				t.Errorf("status %d, %q; want 1, one line with %q", status,
					out, c.want)
			}
			if _, err := os.Stat(dir + "/fs"); err == nil {
				t.Error("there is a root filesystem")
			}
		})
	}
}

// A busybox that needs libraries is refused: the root filesystem has none.
func TestRootfsDynamicBusybox(t *testing.T) {
	dir := t.TempDir()
	copyScript(t, dir, "rootfs.sh")
	writeFile(t, dir+"/busybox", "#!/bin/sh\nif [ $1 = --list ]; then "+
		"printf 'sh\nps\nmount\nid\nip\nnc\n'; fi\n", 0o755)
	for libraries, want := range map[string]int{
		"not a dynamic executable":         0,
		"libc.so.6 => /lib/libc.so.6 (0x)": 1,
	} {
		writeFile(t, dir+"/path/ldd", "#!/bin/sh\necho '"+libraries+"'\n",
			0o755)
		out, status := runIn(t, dir, []string{"BUSYBOX=" + dir + "/busybox",
			"PATH=" + dir + "/path:" + os.Getenv("PATH")}, "./rootfs.sh", "fs")
		if status != want {
			t.Errorf("%s: status %d, %s", libraries, status, out)
		}
		os.RemoveAll(dir + "/fs")
	}
}

// deadPID is a number that a process had a moment ago.
func deadPID(t *testing.T) string {
	t.Helper()
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(c.Process.Pid)
}

// What belongs to a dead process goes, what belongs to a living one stays.
func TestCleanHost(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "root: run the check with sudo")
	}
	tool := filepath.Join(t.TempDir(), "clean-host")
	out, status := runIn(t, ".", []string{"CGO_ENABLED=0"}, "go", "build",
		"-buildvcs=false", "-o", tool, "./scripts/clean-host")
	if status != 0 {
		t.Fatal(out)
	}
	dead, alive := deadPID(t), fmt.Sprint(os.Getpid())
	t.Run("cgroups", func(t *testing.T) { cleanCgroups(t, tool, dead, alive) })
	t.Run("network", func(t *testing.T) { cleanNetwork(t, tool, dead, alive) })
	t.Run("directories", func(t *testing.T) {
		cleanDirectories(t, tool, dead, alive)
	})
	t.Run("user", func(t *testing.T) { cleanAsUser(t, tool, dead, alive) })
}

func cleanCgroups(t *testing.T, tool, dead, alive string) {
	top := "/sys/fs/cgroup"
	if _, err := os.Stat(top + "/cgroup.procs"); err != nil {
		top += "/pids" // version 1: one hierarchy per controller
	}
	gone, stays := top+"/workshop-"+dead, top+"/workshop-"+alive
	suite := top + "/workshop-test-" + dead
	for _, d := range []string{gone, gone + "/inside", suite, stays} {
		if err := os.Mkdir(d, 0o755); err != nil {
			skip(t, "a cgroup tree that can be written: "+err.Error())
		}
		t.Cleanup(func() { os.Remove(d) })
	}
	out, status := runIn(t, ".", nil, tool, dead, alive)
	if status != 0 || !strings.Contains(out, "removed cgroup "+gone+"\n") {
		t.Errorf("status %d: %s", status, out)
	}
	for _, d := range []string{gone, suite} {
		if _, err := os.Stat(d); err == nil {
			t.Errorf("%s is still there", d)
		}
	}
	if _, err := os.Stat(stays); err != nil {
		t.Errorf("%s is gone: its process lives", stays)
	}
}

// ownHost gives this goroutine a network namespace of its own, and hides the
// cgroups and /tmp, where tmp is instead: other suites may be at work. Its
// thread ends with the goroutine, but the test removes its directories before
// that: they have to be under their names again.
func ownHost(t *testing.T, tmp string) {
	t.Helper()
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("none", "/sys/fs/cgroup", "tmpfs", 0, "")
	}
	if err == nil {
		err = unix.Mount(tmp, "/tmp", "", unix.MS_BIND, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount("/tmp", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func cleanNetwork(t *testing.T, tool, dead, alive string) {
	tmp := t.TempDir()
	copyTool(t, tool, tmp)
	ownHost(t, tmp)
	addNetwork(t, dead, alive)
	clean := func() []string {
		out, status := runIn(t, "/", nil, "/tmp/tool")
		if status != 0 {
			t.Errorf("status %d: %s", status, out)
		}
		return networkNames(t)
	}
	want := []string{"lo", "workshop0", "ws" + alive, "other",
		"table other", "table workshop-" + alive}
	if diff := cmp.Diff(want, clean()); diff != "" {
		t.Error("with a living container:", diff)
	}
	l, err := netlink.LinkByName("ws" + alive)
	if err == nil {
		err = netlink.LinkDel(l)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := clean(); !slices.Contains(got, "workshop0") {
		t.Error("a living container has a table, the bridge is gone:", got)
	}
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	c.DelTable(&nftables.Table{Name: "workshop-" + alive,
		Family: nftables.TableFamilyIPv4})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lo", "other", "table other"},
		clean()); diff != "" {
		t.Error("without one:", diff)
	}
	if got := readText(t, forward); got != "0\n" {
		t.Errorf("ip_forward %q, and it was 0", got)
	}
}

const forward = "/proc/sys/net/ipv4/ip_forward"

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func copyTool(t *testing.T, tool, dir string) {
	t.Helper()
	if out, status := runIn(t, ".", nil, "cp", tool, dir+"/tool"); status != 0 {
		t.Fatal(out)
	}
}

func addNetwork(t *testing.T, dead, alive string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "workshop0"}}
	must(netlink.LinkAdd(bridge))
	must(netlink.LinkSetAlias(bridge, "0\n")) // what ip_forward was
	must(os.WriteFile(forward, []byte("1"), 0))
	// A bridge whose maker died before it had its name.
	must(netlink.LinkAdd(&netlink.Bridge{
		LinkAttrs: netlink.LinkAttrs{Name: "ws" + deadPID(t)}}))
	for i, id := range []string{dead, alive} {
		must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{
			Name: "ws" + id, MasterIndex: bridge.Index},
			PeerName: fmt.Sprint("peer", i)}))
	}
	// A namesake that is not of ours: another kind of link.
	must(netlink.LinkAdd(&netlink.Bridge{
		LinkAttrs: netlink.LinkAttrs{Name: "other"}}))
	c, err := nftables.New()
	must(err)
	for _, name := range []string{"other", "workshop-" + dead,
		"workshop-" + alive} {
		c.AddTable(&nftables.Table{Name: name,
			Family: nftables.TableFamilyIPv4})
	}
	must(c.Flush())
}

// networkNames: the links but the veths' other ends, then the tables.
func networkNames(t *testing.T) (names []string) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if !strings.HasPrefix(l.Attrs().Name, "peer") {
			names = append(names, l.Attrs().Name)
		}
	}
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		names = append(names, "table "+table.Name)
	}
	return names
}

// cleanDirectories puts some into /tmp and some into another TMPDIR.
func cleanDirectories(t *testing.T, tool, dead, alive string) {
	tmp := t.TempDir()
	copyTool(t, tool, tmp)
	old := unix.NsecToTimeval(0)
	for _, name := range []string{"workshop-old", "workshop-used",
		"workshop-new", "others", "mine/workshop-old", "workshop-" + dead,
		"mine/workshop-" + dead + "/upper", "workshop-" + alive,
		"mine/workshop-" + dead + "/work/work"} {
		dir := filepath.Join(tmp, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "-new") && !strings.HasSuffix(name, dead) {
			unix.Utimes(dir, []unix.Timeval{old, old})
		}
	}
	sleep := exec.Command("sleep", "60")
	sleep.Env = []string{"USES=/tmp/workshop-used"}
	sleep.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleep.Wait()
	defer sleep.Process.Kill()
	ownHost(t, tmp)
	clean := func(args ...string) (left []string) {
		out, status := runIn(t, "/", []string{"TMPDIR=/tmp/mine"},
			append([]string{"/tmp/tool"}, args...)...)
		if status != 0 {
			t.Errorf("status %d: %s", status, out)
		}
		for _, pattern := range []string{"/tmp/*", "/tmp/mine/*"} {
			found, _ := filepath.Glob(pattern)
			left = append(left, found...)
		}
		return left
	}
	if got := clean(alive); len(got) != 10 {
		t.Error("with an ID, of what lives:", got)
	}
	// The new one of the dead is no container's: it has no layers.
	want := []string{"/tmp/mine", "/tmp/others", "/tmp/tool",
		"/tmp/workshop-" + alive, "/tmp/workshop-" + dead, "/tmp/workshop-new",
		"/tmp/workshop-used"}
	got := clean()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// An ordinary user removes his own, which overlayfs has left closed.
func cleanAsUser(t *testing.T, tool, dead, alive string) {
	tmp := t.TempDir()
	copyTool(t, tool, tmp)
	dir := tmp + "/workshop-" + dead
	for _, d := range []string{"", "/upper", "/work", "/work/work"} {
		if err := os.Mkdir(dir+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir+"/work/work", 0); err != nil {
		t.Fatal(err)
	}
	roots := tmp + "/workshop-roots"
	if err := os.Mkdir(roots, 0o755); err != nil {
		t.Fatal(err)
	}
	old := unix.NsecToTimeval(0)
	unix.Utimes(roots, []unix.Timeval{old, old})
	id := fmt.Sprint(ordinaryUser)
	if err := execute("chown", "-R", id+":"+id, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	ownHost(t, tmp)
	tool = "/tmp/tool"
	out, status := runIn(t, "/", nil, "setpriv", "--reuid="+id, "--regid="+id,
		"--clear-groups", tool)
	left, _ := filepath.Glob("/tmp/workshop-*")
	if diff := cmp.Diff([]string{"/tmp/workshop-roots"}, left); diff != "" ||
		status != 0 || !strings.Contains(out, "root alone sees them") {
		t.Error(diff, status, out)
	}
	addNetwork(t, dead, alive)
	out, status = runIn(t, "/", nil, "setpriv", "--reuid="+id, "--regid="+id,
		"--clear-groups", tool)
	if status != 1 || !strings.Contains(out, "link ws"+dead) ||
		!strings.Contains(out, "run it as root") {
		t.Error("what is root's:", status, out)
	}
}

// make run drops what this machine refuses, says so, and starts the rest.
func TestRunOptions(t *testing.T) {
	root := os.Getuid() == 0
	const base = "--rootfs fs --hostname workshop "
	for refused, c := range map[string]struct{ says, args string }{
		"nothing": {"", base + "--network bridge --memory 64m --cpus 0.5 " +
			"--pids-limit 64"},
		"bridge": {"no bridge here: step07-x: refused bridge", base +
			"--network none --memory 64m --cpus 0.5 --pids-limit 64"},
		"--cpus": {"no CPU limit here: step07-x: refused --cpus", base +
			"--network bridge --memory 64m --pids-limit 64"},
	} {
		t.Run(refused, func(t *testing.T) {
			if !root {
				c.says = "Not root: no network"
				c.args = base + "--network none"
			}
			dir := t.TempDir()
			copyScript(t, dir+"/docs/scripts", "run.sh")
			writeFile(t, dir+"/docs/scripts/tour.sh",
				"#!/bin/sh\necho \"tour $*\"\n", 0o755)
			writeFile(t, dir+"/bin/step06-x", "#!/bin/sh\nexit 9\n", 0o755)
			writeFile(t, dir+"/bin/step07-x", "#!/bin/sh\n"+
				"echo 'Parent[1] - create a container!' >&2\n"+
				"for a; do if [ \"$a\" = "+refused+" ]; then\n"+
				"echo 'step07-x: refused "+refused+"' >&2; exit 125\n"+
				"fi; done\n", 0o755)
			out, status := runIn(t, dir, []string{"ROOTFS=fs", "STEP="},
				"docs/scripts/run.sh")
			want := "tour bin/step07-x 7 " + c.args + "\n"
			if status != 0 || !strings.Contains(out, want) ||
				!strings.Contains(out, c.says) {
				t.Errorf("status %d, it said:\n%swant %q and %q", status, out,
					c.says, want)
			}
		})
	}
}

// make run starts minidocker where there is one, with what this machine allows,
// and leaves nothing of it.
func TestRunMinidocker(t *testing.T) {
	limits := "--memory 64m --cpus 0.5 --pids-limit 64"
	for refused, c := range map[string]struct{ says, args string }{
		"nothing": {"", "--network NET " + limits},
		"--network": {"no network here: it refused --network",
			"--network none " + limits},
		"--cpus": {"no CPU limit here: it refused --cpus",
			"--network NET --memory 64m --pids-limit 64"},
	} {
		t.Run(refused, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"run.sh", "minidocker.sh",
				"beside.sh"} {
				copyScript(t, dir+"/docs/scripts", name)
			}
			writeFile(t, dir+"/bin/minidocker", `#!/bin/sh
echo "$*" >>calls
case $1 in
ps) if [ "$2" = -a ]; then echo workshop-4194305; fi ;;
inspect) echo $PPID ;;
exec) echo inside ;;
run)
	for a; do
		if [ "$a" = `+refused+` ]; then refused=1; fi
		if [ "$a" = none ]; then refused=; fi
	done
	if [ "$refused" ]; then echo 'it refused `+refused+`' >&2; exit 125; fi
esac
`, 0o755)
			out, status := runIn(t, dir, []string{"ROOTFS=fs", "STEP="},
				"docs/scripts/run.sh")
			calls := strings.Split(strings.TrimSpace(readText(t,
				dir+"/calls")), "\n")
			began := ""
			for _, call := range calls {
				if strings.HasPrefix(call, "run -d --rm --name ") {
					began = call
				}
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(began,
				"run -d --rm --name "), " ")
			network := name
			if os.Getuid() != 0 {
				network = "slirp4netns"
				if _, err := exec.LookPath("pasta"); err == nil {
					network = "pasta"
				}
			}
			want := "run -d --rm --name " + name + " --hostname workshop " +
				strings.Replace(c.args, "NET", network, 1) +
				" workshop sleep 300"
			if status != 0 || began != want || !strings.Contains(out, c.says) ||
				!strings.Contains(out, "== 7 overlay") {
				t.Errorf("status %d, it said:\n%scalled %q, want %q, %q",
					status, out, began, want, c.says)
			}
			last := calls[max(0, len(calls)-2):]
			if diff := cmp.Diff([]string{"rm -f " + name, "network rm " +
				name}, last); diff != "" {
				t.Error("at the end:", diff)
			}
			if !slices.Contains(calls, "rm -f workshop-4194305") {
				t.Errorf("a killed run's container is left: %q", calls)
			}
		})
	}
}
