// What the suites of all steps share: these bytes are the same in every step.
//
// The suites are black box. They run a program (ours, the C one, or yours) and
// look at what the kernel says about it, from inside and from outside.
//
//	STEP_BIN=FILE  test this program; else the suite builds the step
//	STEP_C=DIR     the C programs; else the suite compiles c/*.c
//	ROOTFS=DIR     the busybox root filesystem; else ../rootfs
//	STRICT=1       a test that cannot run here fails instead of skipping
package main_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A suite adds here the small programs that it wants to run in a container.
// The command for one is helper(NAME, ARG...): the test binary itself.
var helpers = map[string]func(args []string){}

// work is the suite's directory. It holds copies of all that we run, because
// an ordinary user may not be able to reach the places they came from.
var work = os.Getenv("WORKSHOP_WORK")

func TestMain(m *testing.M) {
	signal.Reset() // the step's own init has run: it is in the test binary
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "helper:") {
		helpers[strings.TrimPrefix(os.Args[1], "helper:")](os.Args[2:])
		os.Exit(0)
	}
	err := prepare()
	if err == nil {
		err = enterStage()
	}
	status := 1
	if err == nil {
		hear()
		status = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "harness:", err)
	}
	os.RemoveAll(work)
	os.Exit(status)
}

// hear lets the commands that we start hear signals. A shell ignores SIGINT for
// what it puts in the background, nohup(1) ignores SIGHUP. Both are inherited,
// and a command cannot trap what was ignored when it began. A handler that
// does nothing ignores as well, but does not survive execve(2).
func hear() {
	mask := strings.Join(status(us, "SigIgn"), "")
	ignored, _ := strconv.ParseUint(mask, 16, 64)
	for _, s := range []syscall.Signal{unix.SIGHUP, unix.SIGINT} {
		if ignored>>(s-1)&1 == 1 {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// prepare builds and copies the programs, once: enterStage starts us again.
func prepare() (err error) {
	if work != "" {
		return nil
	}
	work, err = os.MkdirTemp("", "workshop-test-")
	if err != nil {
		return err
	}
	os.Setenv("WORKSHOP_WORK", work)
	unix.Umask(0o022)
	os.Chmod(work, 0o755)
	os.Mkdir(work+"/c", 0o755)
	if given := os.Getenv("STEP_BIN"); given != "" {
		err = output("cp", given, work+"/step")
	} else {
		os.Setenv("CGO_ENABLED", "0")
		err = output("go", "build", "-buildvcs=false", "-tags",
			"urfave_cli_no_docs", "-o", work+"/step", ".")
	}
	self, _ := os.Executable()
	return errors.Join(err, prepareC(), output("cp", self, work+"/test"))
}

// prepareC leaves work/c empty when there is no compiler: see requirements.
func prepareC() error {
	sources, _ := filepath.Glob("c/*.c")
	if dir := os.Getenv("STEP_C"); dir != "" {
		return output("cp", "-r", dir+"/.", work+"/c")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		return nil
	}
	var err error
	for _, c := range sources {
		name := strings.TrimSuffix(filepath.Base(c), ".c")
		err = errors.Join(err, output("gcc", "-std=gnu11", "-O2", "-Wall",
			"-Wextra", "-Werror", "-static", "-o", work+"/c/"+name, c))
	}
	return err
}

// output runs a command of the host; its output is part of the error.
func output(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// enterStage gives the suite a host of its own: namespaces that nobody else
// changes while we compare, and that a broken program may ruin. What it still
// shares with the machine is the PID namespace, the files and the cgroups.
// Mounts are shared there, as systemd leaves them: a program that forgets to
// make its own private is found out.
func enterStage() error {
	if os.Getenv("WORKSHOP_STAGE") != "" {
		return loopbackUp()
	}
	runtime.LockOSThread() // unshare(2) moves this thread alone
	err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS |
		unix.CLONE_NEWIPC | unix.CLONE_NEWNET)
	if err != nil {
		runtime.UnlockOSThread()
		return nil // an ordinary user: can do no harm, needs no stage
	}
	for _, how := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		err = unix.Mount("", "/", "", unix.MS_REC|how, "")
		if err != nil {
			return fmt.Errorf("change propagation of /: %w", err)
		}
	}
	os.Setenv("WORKSHOP_STAGE", "1")
	// execve(2) ends all other threads; the new program is in our namespaces.
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// requirements says what is missing and how to get it, or "" if all is well.
// A suite may add its own.
var requirements = map[string]func() string{
	"root": func() string {
		if os.Getenv("WORKSHOP_STAGE") == "" {
			return "CAP_SYS_ADMIN: run the suite as root (sudo)"
		}
		return ""
	},
	"c": func() string {
		if found, _ := os.ReadDir(work + "/c"); len(found) == 0 {
			return "C programs: install gcc, or set STEP_C"
		}
		return ""
	},
	"rootfs": func() string {
		if _, err := os.Stat(rootfsDir() + "/bin/busybox"); err != nil {
			return "root filesystem: make rootfs, or set ROOTFS"
		}
		return ""
	},
	"userns": func() string {
		if command(nobody, helper("userns")...).Run() != nil {
			return "user namespaces for an ordinary user: " +
				"make doctor names the switch that forbids them"
		}
		return ""
	},
}

// needs skips a test that cannot run here. This is the only place that skips.
func needs(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		reason := requirements[name]()
		if reason != "" && os.Getenv("STRICT") == "1" {
			t.Fatal(reason)
		}
		if reason != "" {
			t.Skip(reason)
		}
	}
}

// rootfsDir is the original: tests work on copies (copyRootfs).
func rootfsDir() string {
	if dir := os.Getenv("ROOTFS"); dir != "" {
		return dir
	}
	return "../rootfs"
}

// copyRootfs is a root filesystem of the test's own, which belongs to uid.
func copyRootfs(t *testing.T, uid int) string {
	t.Helper()
	needs(t, "rootfs")
	dir := scratch(t, uid)
	check(t, output("cp", "-a", rootfsDir()+"/.", dir))
	check(t, os.Chmod(dir, 0o755))
	if os.Getuid() == 0 {
		owner := fmt.Sprintf("%d:%d", uid, uid)
		check(t, output("chown", "-R", "-h", owner, dir))
	}
	return dir
}

// scratch is a new directory that belongs to uid and goes with the test.
func scratch(t *testing.T, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp(work, "scratch-")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	check(t, os.Chown(dir, uid, uid))
	return dir
}

// nobody is an ordinary user: one without a name if the suite is root.
var nobody = map[bool]int{true: 54321, false: os.Getuid()}[os.Getuid() == 0]

// program is one implementation of the step: the same tests run each.
type program struct {
	name  string // "go" or "c"
	uid   int    // who runs it
	stdin *os.File
}

// each runs a test once per program. feature is what the test is about: the
// C programs take part if the step's suite lists it in inC.
func each(t *testing.T, feature string, f func(*testing.T, program)) {
	t.Helper()
	with(t, "go", f)
	if slices.Contains(inC, feature) {
		with(t, "c", f)
	}
}

// with runs a test with one of the two programs.
func with(t *testing.T, name string, f func(*testing.T, program)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		if name == "c" {
			needs(t, "c")
		}
		watch(t)
		f(t, program{name: name, uid: os.Getuid()})
	})
}

// as is the same program, run by another user.
func (p program) as(uid int) program {
	p.uid = uid
	return p
}

// argv is the command line for a verb and its arguments. In C, each verb is
// a program.
func (p program) argv(args ...string) []string {
	if p.name == "go" {
		return append([]string{work + "/step"}, args...)
	}
	c := map[string]string{"run": "clone", "exec": "setns"}[args[0]]
	if c == "" {
		c = args[0]
	}
	return append([]string{work + "/c/" + c}, args[1:]...)
}

func helper(name string, args ...string) []string {
	return append([]string{work + "/test", "helper:" + name}, args...)
}

// The helper userns ends well if its user may make a user namespace, and may
// do something in it (AppArmor can allow the first and forbid the second).
func init() {
	helpers["userns"] = func(args []string) {
		c := command(os.Getuid(), helper("userns", "inside")...)
		c.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWUTS
		if len(args) == 0 && c.Run() != nil {
			os.Exit(1)
		}
	}
}

// command is args as uid would start them, marked so that watch finds them.
func command(uid int, args ...string) *exec.Cmd {
	c := exec.Command(args[0], args[1:]...)
	c.Dir = "/"
	// The mark comes first: an execve(2) cuts short what we read of the rest.
	c.Env = append([]string{"WORKSHOP_TEST=" + seen.tag}, os.Environ()...)
	c.Env = append(c.Env, "TMPDIR="+seen.tmp)
	c.SysProcAttr = &syscall.SysProcAttr{}
	if uid != os.Getuid() {
		id := uint32(uid)
		c.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id}
	}
	return c
}

// running is a program that has been started.
type running struct {
	pid       int // of the program: the container's ID
	container int // the container's PID as the host sees it
	inside    int // and as the container sees it
	state     *os.ProcessState
	out       string // files with its stdout (.1) and stderr (.2)
	done      chan struct{}
}

// begin starts the program: args[0] is the verb, the options follow.
func (p program) begin(t *testing.T, args ...string) *running {
	t.Helper()
	c := command(p.uid, p.argv(args...)...)
	if p.stdin != nil {
		c.Stdin = p.stdin
	}
	// Files, not pipes: nothing that stays behind can keep us waiting.
	seen.count++
	r := &running{out: fmt.Sprintf("%s.%d", seen.tmp, seen.count),
		done: make(chan struct{})}
	stdout, err := os.Create(r.out + ".1")
	check(t, err)
	defer stdout.Close()
	stderr, err := os.Create(r.out + ".2")
	check(t, err)
	defer stderr.Close()
	c.Stdout, c.Stderr = stdout, stderr
	check(t, c.Start())
	r.pid = c.Process.Pid
	seen.ids = append(seen.ids, r.pid)
	go func() { c.Wait(); r.state = c.ProcessState; close(r.done) }()
	t.Cleanup(func() { r.signal(unix.SIGKILL); <-r.done })
	return r
}

var inside = regexp.MustCompile(`Container\[(\d+)\] - inside`)

// start does `run` with args and waits until the container is inside.
func (p program) start(t *testing.T, args ...string) *running {
	t.Helper()
	r := p.begin(t, append([]string{"run"}, args...)...)
	outside := regexp.MustCompile(fmt.Sprintf(
		`Parent\[%d\] - the container is PID (\d+)`, r.pid))
	eventually(t, "two PIDs on stderr", func() bool {
		ended := r.ended()
		o := outside.FindStringSubmatch(r.stderr())
		i := inside.FindStringSubmatch(r.stderr())
		if o != nil && i != nil {
			r.container, _ = strconv.Atoi(o[1])
			r.inside, _ = strconv.Atoi(i[1])
			ours(t, r.container)
			return true
		}
		if ended {
			t.Fatalf("status %d, stderr:\n%s", r.wait(t), r.stderr())
		}
		return false
	})
	return r
}

// ours ends a test whose program has named a process that is not its own: the
// tests send signals to that PID.
func ours(t *testing.T, pid int) {
	t.Helper()
	env := read(fmt.Sprintf("/proc/%d/environ", pid)) // "" if it has ended
	if pid < 2 || env != "" && !strings.Contains(env, mark(seen.tag)) {
		t.Fatalf("PID %d is not the container", pid)
	}
}

func (r *running) stdout() string { return read(r.out + ".1") }
func (r *running) stderr() string { return read(r.out + ".2") }

func (r *running) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *running) signal(s syscall.Signal) {
	if !r.ended() {
		unix.Kill(r.pid, s)
	}
}

// wait returns the exit status as a shell would show it.
func (r *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Fatalf("still runs; stdout:\n%s\nstderr:\n%s",
			r.stdout(), r.stderr())
	}
	s := r.state.Sys().(syscall.WaitStatus)
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// run waits for the program's end. It returns the output and exit status.
func (p program) run(t *testing.T, args ...string) (string, string, int) {
	t.Helper()
	r := p.begin(t, args...)
	status := r.wait(t)
	return r.stdout(), r.stderr(), status
}

// must is run for commands that have to succeed: it returns their output.
func (p program) must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, status := p.run(t, args...)
	if status != 0 {
		t.Fatalf("%q: status %d, stderr:\n%s", args, status, stderr)
	}
	return strings.TrimSpace(stdout)
}

var errorLine = regexp.MustCompile(`^[a-z0-9-]+: \S.*\n$`)

// refuses runs what must fail with status and one line that has all words.
func (p program) refuses(t *testing.T, status int, words []string,
	args ...string) {
	t.Helper()
	_, stderr, got := p.run(t, args...)
	var lines []string
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "Parent[") &&
			!strings.HasPrefix(line, "Container[") {
			lines = append(lines, line)
		}
	}
	good := got == status && len(lines) == 1 &&
		errorLine.MatchString(lines[0])
	for _, word := range words {
		good = good && strings.Contains(lines[0], word)
	}
	if !good {
		t.Errorf("%q: status %d, stderr:\n%s\nwant status %d and one line "+
			"\"PROGRAM: ...\" with %q", args, got, stderr, status, words)
	}
}

// dies shows that nothing of a container outlives a signal to its program.
func (p program) dies(t *testing.T, s syscall.Signal, args ...string) {
	t.Helper()
	r := p.start(t, args...)
	alive(t, r.container)
	r.signal(s)
	r.wait(t)
	eventually(t, "the end of all processes", func() bool {
		return len(tagged(seen.tag)) == 0
	})
}

// orphan kills the program when it has made the container and sleeps, before
// the container has done anything. For a tracer a process begins with a stop,
// see ptrace(2); at the end this one goes on.
func (p program) orphan(t *testing.T, args ...string) {
	t.Helper()
	runtime.LockOSThread() // one thread is the tracer
	defer runtime.UnlockOSThread()
	c := command(p.uid, p.argv(args...)...)
	c.SysProcAttr.Ptrace = true
	check(t, c.Start())
	parent, container := c.Process.Pid, 0
	next := func() (pid int, ws unix.WaitStatus) { // what the tracer hears
		pid, _ = unix.Wait4(-1, &ws, unix.WALL|unix.WNOHANG, nil)
		if pid > 0 && ws.Stopped() && ns(pid, "uts") != ns(us, "uts") {
			container = pid
		} else if pid > 0 && ws.Stopped() {
			unix.PtraceCont(pid, 0)
		}
		return pid, ws
	}
	_, err := unix.Wait4(parent, nil, unix.WALL, nil) // its execve(2)
	check(t, err)
	check(t, unix.PtraceSetOptions(parent, unix.PTRACE_O_TRACECLONE|
		unix.PTRACE_O_TRACEFORK|unix.PTRACE_O_TRACEVFORK))
	check(t, unix.PtraceCont(parent, 0))
	still := 0 // a moment of sleep may be for the disk
	eventually(t, "a container, and a parent that waits", func() bool {
		next()
		state := strings.Join(append(status(parent, "State"), "Z"), "")
		if still++; container == 0 || !strings.ContainsAny(state[:1], "SD") {
			still = 0
		}
		return still == 30
	})
	check(t, unix.Kill(parent, unix.SIGKILL))
	eventually(t, "the parent's end", func() bool {
		pid, ws := next()
		return pid == parent && ws.Signaled()
	})
	check(t, unix.PtraceDetach(container))
	eventually(t, "the container's end", func() bool {
		next() // a janitor may be there
		return len(tagged(seen.tag)) == 0
	})
}

const patience = 30 * time.Second // 8 suites may share two slow cores

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// equal fails the test if the two differ.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// The kernel's view from outside. us is the host's side of a comparison.
var us = os.Getpid()

// ns is a namespace's identity, such as "uts:[4026531838]"; "" if it is gone.
func ns(pid int, kind string) string {
	id, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	return id
}

// differ lists the kinds of namespace in which two processes are apart.
func differ(t *testing.T, a, b int) (kinds []string) {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/ns", b))
	check(t, err)
	for _, f := range files {
		if kind := f.Name(); ns(a, kind) != ns(b, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func alive(t *testing.T, pid int) {
	t.Helper()
	if unix.Kill(pid, 0) != nil || ns(pid, "uts") == "" {
		t.Fatalf("process %d does not run", pid)
	}
}

// status is the words of one line of /proc/PID/status, such as "NSpid".
func status(pid int, field string) []string {
	for line := range strings.Lines(read(fmt.Sprintf("/proc/%d/status", pid))) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.Fields(rest)
		}
	}
	return nil
}

// mountinfo is /proc/PID/mountinfo, a line an element.
func mountinfo(pid int) []string {
	text := read(fmt.Sprintf("/proc/%d/mountinfo", pid))
	return strings.Split(strings.TrimSpace(text), "\n")
}

// children are the PIDs of a process's children that are not zombies.
func children(pid int) (pids []int) {
	parent := []string{strconv.Itoa(pid)}
	for _, child := range processes() {
		state := strings.Join(status(child, "State"), "")
		if slices.Equal(status(child, "PPid"), parent) &&
			!strings.HasPrefix(state, "Z") {
			pids = append(pids, child)
		}
	}
	return pids
}

func processes() (pids []int) {
	files, _ := os.ReadDir("/proc")
	for _, f := range files {
		if pid, err := strconv.Atoi(f.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// mark is in the environment of all that a test starts.
func mark(tag string) string { return "WORKSHOP_TEST=" + tag + "\x00" }

// tagged are the processes that a test has started, and their descendants.
func tagged(tag string) (pids []int) {
	for _, pid := range processes() {
		env := read(fmt.Sprintf("/proc/%d/environ", pid))
		if strings.Contains(env, mark(tag)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// seen belongs to the test that runs now. There is one at a time: no
// t.Parallel, or the tests would find each other's traces.
var seen struct {
	tag, tmp string // what marks its processes; TMPDIR of what it runs
	ids      []int  // of the programs it has started
	count    int
}

// watched is what must look the same after a test as before it. A suite may
// add what only its programs can change.
var watched = map[string]func() []string{
	"mounts": func() []string {
		if os.Getenv("WORKSHOP_STAGE") == "" {
			return nil // not ours alone; an ordinary user changes nothing
		}
		return mountinfo(us)
	},
	"network links": func() (names []string) {
		for line := range strings.Lines(read("/proc/self/net/dev")) {
			if name, _, ok := strings.Cut(line, ":"); ok {
				names = append(names, strings.TrimSpace(name))
			}
		}
		return names
	},
	"processes": func() (left []string) {
		for _, pid := range tagged(seen.tag) {
			cmdline := read(fmt.Sprintf("/proc/%d/cmdline", pid))
			left = append(left, fmt.Sprintf("%d %q", pid, cmdline))
		}
		return left
	},
	"cgroups and files": func() (left []string) {
		left, _ = filepath.Glob(seen.tmp + "/*")
		for _, id := range seen.ids {
			// Our programs have ended: who has the number now is another's.
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", id)); err == nil {
				continue
			}
			for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*",
				"/sys/fs/cgroup/*/*", "/run", os.TempDir()} {
				name := fmt.Sprintf("%s/workshop-%d", dir, id)
				exact, _ := filepath.Glob(name)
				more, _ := filepath.Glob(name + "[^0-9]*")
				left = slices.Concat(left, exact, more)
			}
		}
		return left
	},
}

// watch fails the test if it leaves anything behind on the host. It is the
// first line of a test; each does it by itself.
func watch(t *testing.T) {
	t.Helper()
	outer := seen
	tmp, err := os.MkdirTemp(work, "tmp-")
	check(t, err)
	check(t, os.Chmod(tmp, 0o777|os.ModeSticky))
	seen.tag, seen.tmp = filepath.Base(work)+filepath.Base(tmp), tmp
	seen.ids = nil
	before := map[string][]string{}
	for what, list := range watched {
		before[what] = list()
	}
	t.Cleanup(func() {
		for _, what := range slices.Sorted(maps.Keys(watched)) {
			same(t, what, before[what])
		}
		for _, pid := range tagged(seen.tag) {
			unix.Kill(pid, unix.SIGKILL) // the next test starts clean
		}
		output("sh", "-c", `rm -rf "$0" "$0".*`, tmp)
		seen = outer
	})
}

// same waits: the kernel, or a janitor, may need a moment to clean up.
func same(t *testing.T, what string, before []string) {
	after := watched[what]()
	for range 100 {
		if slices.Equal(before, after) {
			return
		}
		time.Sleep(50 * time.Millisecond)
		after = watched[what]()
	}
	equal(t, what+" before and after the test", after, before)
}

// No step needs all of the above.
var _ = []any{copyRootfs, differ, children, status, program.dies,
	program.as, program.must, program.refuses, program.orphan}
