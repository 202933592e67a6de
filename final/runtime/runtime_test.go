package runtime_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The suite drives the program as engines do, by the name minirunc, and looks
// at the containers from outside as well as from inside.

var minirunc, rootfs string

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Println("skipped: this suite needs root: sudo")
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "minirunc-test-")
	if err != nil {
		panic(err)
	}
	code := 1
	if err = build(dir); err == nil {
		code = m.Run()
	} else {
		fmt.Println(err)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// build makes the program, or takes the one in MINIRUNC.
func build(dir string) (err error) {
	rootfs, _ = filepath.Abs(cmp.Or(os.Getenv("ROOTFS"), "../../rootfs"))
	if _, missing := os.Stat(rootfs + "/bin/busybox"); missing != nil {
		return fmt.Errorf("%s: no busybox there: make rootfs", rootfs)
	}
	minirunc = filepath.Join(dir, "minirunc")
	given := os.Getenv("MINIRUNC")
	if _, err := exec.LookPath("go"); err != nil && given == "" {
		given, _ = filepath.Abs("../../bin/minidocker")
	}
	if given != "" {
		return os.Symlink(given, minirunc)
	}
	cmd := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-o",
		minirunc, "container-workshop/final")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %v\n%s", err, out)
	}
	return nil
}

// bench is a place for one test's bundles and containers.
type bench struct {
	*testing.T
	dir, id string
	spec    specs.Spec
}

// newBench has a bundle as `spec` makes it, of a writable copy of nothing: the
// root filesystem is shared, and read-only.
func newBench(t *testing.T, change ...func(*specs.Spec)) *bench {
	t.Helper()
	b := &bench{T: t, dir: t.TempDir(),
		id: fmt.Sprintf("test-%d-%d", os.Getpid(), rand.Int31())}
	os.Chmod(b.dir, 0o711)
	os.Chmod(filepath.Dir(b.dir), 0o711)
	b.must("spec", "-b", b.dir)
	data, err := os.ReadFile(b.dir + "/config.json")
	b.check(err)
	b.check(json.Unmarshal(data, &b.spec))
	b.spec.Process.Terminal = false
	b.spec.Root.Path = rootfs
	for _, f := range change {
		f(&b.spec)
	}
	b.write()
	t.Cleanup(func() {
		b.run("delete", "--force", b.id)
		if left := b.leftovers(); left != "" {
			t.Errorf("left behind: %s", left)
		}
	})
	return b
}

func (b *bench) write() {
	b.Helper()
	data, err := json.Marshal(b.spec)
	b.check(err)
	b.check(os.WriteFile(b.dir+"/config.json", data, 0o644))
}

// leftovers are cgroups, processes, and files of the container.
func (b *bench) leftovers() (left string) {
	for _, pattern := range []string{"/sys/fs/cgroup/*/" + b.id,
		"/sys/fs/cgroup/" + b.id, b.dir + "/state/*"} {
		found, _ := filepath.Glob(pattern)
		left += strings.Join(found, " ")
	}
	info, _ := os.ReadFile("/proc/self/mountinfo")
	if strings.Contains(string(info), b.dir) {
		left += " a mount"
	}
	return left
}

func (b *bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) command(args ...string) *exec.Cmd {
	args = append([]string{"--root", b.dir + "/state"}, args...)
	cmd := exec.Command(minirunc, args...)
	cmd.Dir = b.dir
	return cmd
}

func (b *bench) run(args ...string) (stdout, stderr string, code int) {
	b.Helper()
	// Files, not pipes: what is left in the background would keep them open.
	out, err1 := os.CreateTemp(b.dir, "stdout")
	errs, err2 := os.CreateTemp(b.dir, "stderr")
	b.check(errors.Join(err1, err2))
	defer out.Close()
	defer errs.Close()
	cmd := b.command(args...)
	cmd.Stdout, cmd.Stderr = out, errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.Fatalf("%q: %v", args, err)
	}
	text1, _ := os.ReadFile(out.Name())
	text2, _ := os.ReadFile(errs.Name())
	os.Remove(out.Name())
	os.Remove(errs.Name())
	return string(text1), string(text2), cmd.ProcessState.ExitCode()
}

func (b *bench) must(args ...string) string {
	b.Helper()
	stdout, stderr, code := b.run(args...)
	if code != 0 {
		b.Fatalf("%q: exit status %d: %s", args, code, stderr)
	}
	return strings.TrimSpace(stdout)
}

// refuse wants a failure with one line that has all words, and nothing left.
func (b *bench) refuse(code int, words []string, args ...string) {
	b.Helper()
	_, stderr, got := b.run(args...)
	bad := got != code || strings.Count(stderr, "\n") != 1
	for _, w := range words {
		bad = bad || !strings.Contains(stderr, w)
	}
	if bad {
		b.Errorf("%q: exit status %d, %q; want %d and one line with %q",
			args, got, stderr, code, words)
	}
}

// sh runs a script as the container's program and returns its output.
func (b *bench) sh(script string) string {
	b.Helper()
	b.spec.Process.Args = []string{"/bin/sh", "-c", script}
	b.write()
	return b.must("run", b.id)
}

func (b *bench) status() string {
	b.Helper()
	var s specs.State
	b.check(json.Unmarshal([]byte(b.must("state", b.id)), &s))
	return string(s.Status)
}

func (b *bench) pid() int {
	b.Helper()
	var s specs.State
	b.check(json.Unmarshal([]byte(b.must("state", b.id)), &s))
	return s.Pid
}

func (b *bench) want(what, got, want string) {
	b.Helper()
	if got != want {
		b.Errorf("%s: %q, want %q", what, got, want)
	}
}

func (b *bench) eventually(what string, f func() bool) {
	b.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(end) {
			b.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// background starts the container with a program that stays.
func (b *bench) background(script string) {
	b.Helper()
	b.spec.Process.Args = []string{"/bin/sh", "-c", script}
	b.write()
	b.must("run", "--detach", b.id)
}

const sleep = "trap 'exit 3' TERM; while :; do sleep 0.05; done"

func TestLifecycle(t *testing.T) {
	b := newBench(t)
	b.spec.Process.Args = []string{"/bin/sh", "-c", sleep}
	b.write()
	b.must("create", "--pid-file", b.dir+"/pid", b.id)
	b.want("status", b.status(), "created")
	pid, _ := os.ReadFile(b.dir + "/pid")
	b.want("pid file", string(pid), strconv.Itoa(b.pid()))
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%s/cgroup", pid))
	if !strings.Contains(string(comm), b.id) {
		b.Errorf("created process is not in its cgroup: %s", comm)
	}
	b.refuse(1, []string{"exists already"}, "create", b.id)
	b.refuse(1, []string{"created"}, "resume", b.id)
	b.must("start", b.id)
	b.want("status", b.status(), "running")
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%s/cmdline", pid))
	if !strings.HasPrefix(string(cmdline), "/bin/sh\x00") {
		b.Errorf("after start the program is not executed: %q", cmdline)
	}
	b.refuse(1, []string{"cannot start", "running"}, "start", b.id)
	b.refuse(1, []string{"not stopped: running"}, "delete", b.id)
	if list := b.must("list"); !strings.Contains(list, "running") {
		b.Errorf("list: %s", list)
	}
	b.want("list -q", b.must("list", "-q"), b.id)
	b.must("kill", b.id, "15")
	b.eventually("the end", func() bool { return b.status() == "stopped" })
	b.refuse(1, []string{"container not running"}, "kill", b.id, "KILL")
	b.must("delete", b.id)
	b.refuse(1, []string{"does not exist"}, "state", b.id)
	b.refuse(1, []string{"does not exist"}, "delete", b.id)
	b.must("delete", "--force", b.id)
}

func TestDeleteCreated(t *testing.T) {
	b := newBench(t)
	b.must("create", b.id)
	b.must("delete", b.id)
	b.want("left", b.leftovers(), "")
}

// TestRuncSpec runs what `runc spec` makes, of version 1.1.5.
func TestRuncSpec(t *testing.T) {
	b := newBench(t)
	data, err := os.ReadFile("testdata/runc-spec.json")
	b.check(err)
	b.check(json.Unmarshal(data, &b.spec))
	b.spec.Process.Terminal, b.spec.Root.Path = false, rootfs
	b.want("output", b.sh("hostname; id -u; echo $$"), "runc\n0\n1")
}

func TestExitStatus(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		args  []string
		code  int
		words []string
	}{
		{[]string{"sh", "-c", "exit 42"}, 42, nil},
		{[]string{"sh", "-c", "kill -9 $$"}, 0, nil}, // PID 1 is immune
		{[]string{"/no/such"}, 127, []string{"no such file or directory"}},
		{[]string{"nosuch"}, 127,
			[]string{"executable file not found in $PATH"}},
		{[]string{"/etc"}, 126, []string{"is a directory"}},
		{[]string{"/etc/passwd"}, 126, []string{"permission denied"}},
	} {
		b.spec.Process.Args = c.args
		b.write()
		log := b.dir + "/log"
		_, stderr, code := b.run("--log", log, "--log-format", "json", "run",
			b.id)
		if code != c.code {
			b.Errorf("%q: exit status %d, want %d: %s", c.args, code, c.code,
				stderr)
		}
		for _, w := range c.words {
			text, _ := os.ReadFile(log)
			var line struct{ Level, Msg string }
			err := json.Unmarshal(text, &line)
			if err != nil || line.Level != "error" ||
				!strings.Contains(line.Msg, w) || !strings.Contains(stderr, w) {
				b.Errorf("%q: log %s, stderr %s; want %q", c.args, text,
					stderr, w)
			}
		}
		os.Remove(log)
		b.want("left", b.leftovers(), "")
	}
}

// A capability that is not there is worth a warning, on the log too.
func TestCapabilityWarning(t *testing.T) {
	b := newBench(t)
	b.spec.Process.Args = []string{"grep", "CapBnd", "/proc/self/status"}
	b.spec.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: []string{"CAP_KILL", "CAP_FROB"}}
	b.write()
	log := b.dir + "/log"
	out, stderr, code := b.run("--log", log, "run", b.id)
	text, _ := os.ReadFile(log)
	b.want("output", out, "CapBnd:\t0000000000000020\n")
	if code != 0 || !strings.Contains(stderr, "capability CAP_FROB: this "+
		"kernel does not know it") || !strings.Contains(string(text),
		"level=warning") {
		b.Errorf("%d: %s, log %s", code, stderr, text)
	}
	b.want("left", b.leftovers(), "")
}

func TestExec(t *testing.T) {
	b := newBench(t)
	b.background(sleep)
	pid := b.pid()
	for _, ns := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		out := b.must("exec", b.id, "readlink", "/proc/self/ns/"+ns)
		outside, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns))
		host, _ := os.Readlink("/proc/self/ns/" + ns)
		b.want(ns, out, outside)
		if out == host {
			b.Errorf("%s namespace is the host's", ns)
		}
	}
	b.want("cgroups that are not the container's", b.must("exec", b.id, "sh",
		"-c", "grep -vc ':/$' /proc/self/cgroup; :"), "0")
	_, _, code := b.run("exec", b.id, "sh", "-c", "exit 7")
	b.want("status", fmt.Sprint(code), "7")
	_, _, code = b.run("exec", b.id, "sh", "-c", "kill -9 $$")
	b.want("status", fmt.Sprint(code), "137")
	b.refuse(127, []string{"no such file or directory"}, "exec", b.id,
		"/nosuch")
	b.refuse(127, []string{"executable file not found"}, "exec", b.id, "nosuch")
	b.refuse(126, []string{"permission denied"}, "exec", b.id, "/etc/passwd")
	b.want("user", b.must("exec", "-u", "5:6", "-e", "A=b c", "--cwd", "/tmp",
		b.id, "sh", "-c", "id -u; id -g; echo $A; pwd"), "5\n6\nb c\n/tmp")
	status := []string{b.id, "grep", "-E", "Groups|CapEff|NoNew",
		"/proc/self/status"}
	b.want("plain", b.must(append([]string{"exec"}, status...)...),
		"Groups:\t \nCapEff:\t0000000020000420\nNoNewPrivs:\t1")
	b.want("more", b.must(append([]string{"exec", "-g", "7",
		"--additional-gids", "8", "--cap", "CAP_CHOWN", "--no-new-privs"},
		status...)...),
		"Groups:\t7 8 \nCapEff:\t0000000020000421\nNoNewPrivs:\t1")
	b.refuse(1, []string{"group x: not a GID"}, "exec", "-g", "x", b.id, "true")
	b.refuse(1, []string{"SELinux is not supported"}, "exec",
		"--process-label", "a", b.id, "true")
	b.must("exec", "--detach", "--pid-file", b.dir+"/pid", b.id, "sleep", "77")
	exec, _ := os.ReadFile(b.dir + "/pid")
	if !strings.Contains(b.must("ps", "--format", "json", b.id), string(exec)) {
		b.Errorf("exec'ed process %s is not in ps", exec)
	}
	b.must("kill", b.id, "KILL")
	b.eventually("its end", func() bool {
		return exec_gone(string(exec))
	})
	b.refuse(1, []string{"not running"}, "exec", b.id, "true")
}

func exec_gone(pid string) bool {
	data, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || strings.Contains(string(data), ") Z ")
}

// A container has a session keyring of its own, unless it shall keep ours.
func TestKeyring(t *testing.T) {
	b := newBench(t)
	b.spec.Process.Args = []string{"sh", "-c", "grep -c _ses." + b.id +
		": /proc/keys; :"}
	b.spec.Linux.MaskedPaths = nil
	b.write()
	b.want("ours", b.must("run", "--no-new-keyring", b.id), "0")
	b.want("its own", b.must("run", b.id), "1")
}

func TestPauseResumeUpdate(t *testing.T) {
	b := newBench(t)
	b.background(sleep)
	b.must("pause", b.id)
	b.want("status", b.status(), "paused")
	b.refuse(1, []string{"paused"}, "exec", b.id, "true")
	b.must("resume", b.id)
	b.want("status", b.status(), "running")
	b.must("update", "--memory", "33554432", "--pids-limit", "50", b.id)
	stats := b.must("events", "--stats", b.id)
	if !strings.Contains(stats, `"limit":33554432`) || !strings.Contains(stats,
		`"pids":{"current":`) {
		b.Errorf("stats: %s", stats)
	}
	cmd := b.command("update", "--resources", "-", b.id)
	cmd.Stdin = strings.NewReader(`{"memory":{"limit":44040192},` +
		`"cpu":{"shares":0},"blockIO":{"weight":0}}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Errorf("update: %s", out)
	}
	stats = b.must("events", "--stats", b.id)
	if !strings.Contains(stats, "44040192") {
		b.Errorf("stats: %s", stats)
	}
	b.must("pause", b.id)
	b.must("delete", "--force", b.id)
}

func TestHooks(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	hook := func(name string) []specs.Hook {
		script := `echo $H $(sed 's/.*"status":"\([a-z]*\)".*/\1/') >>` + log
		return []specs.Hook{{Path: "/bin/sh",
			Args: []string{"sh", "-c", script},
			Env:  []string{"H=" + name, "PATH=/bin:/usr/bin"}}}
	}
	b := newBench(t, func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Prestart: hook("prestart"),
			CreateRuntime:   hook("createRuntime"),
			CreateContainer: hook("createContainer"),
			StartContainer:  hook("startContainer"),
			Poststart:       hook("poststart"), Poststop: hook("poststop")}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/tmp",
			Type: "bind", Source: "/tmp", Options: []string{"rbind"}})
	})
	b.spec.Process.Args = []string{"sh", "-c", "echo program >>" + log}
	b.write()
	b.must("create", b.id)
	got, _ := os.ReadFile(log)
	b.want("hooks of create", string(got), "prestart creating\n"+
		"createRuntime creating\ncreateContainer creating\n")
	os.Remove(log)
	b.must("start", b.id)
	b.eventually("the end", func() bool { return b.status() == "stopped" })
	b.must("delete", b.id)
	got, _ = os.ReadFile(log)
	lines := strings.Split(string(got), "\n")
	if lines[0] != "startContainer created" || lines[3] != "poststop stopped" ||
		!strings.Contains(string(got), "poststart") {
		b.Errorf("hooks of start: %q", lines)
	}
	one := 1
	b.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sleep",
		Args: []string{"sleep", "20"}, Timeout: &one}}}
	b.write()
	b.refuse(1, []string{"createRuntime hook 0", "within 1s"}, "run", b.id)
	b.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{
		Path: "/bin/sh", Args: []string{"sh", "-c", "echo no way; exit 3"}}}}
	b.write()
	b.refuse(1, []string{"startContainer", "status 3", "no way"}, "run", b.id)
	b.want("left", b.leftovers(), "")
}

func nsFile(pid int, name string) string {
	return fmt.Sprintf("/proc/%d/ns/%s", pid, name)
}

func TestUserNamespace(t *testing.T) {
	b := newBench(t, func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces,
			specs.LinuxNamespace{Type: specs.UserNamespace})
		m := []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = m, m
	})
	b.background(sleep)
	pid := b.pid()
	var st syscall.Stat_t
	b.check(syscall.Stat(fmt.Sprintf("/proc/%d", pid), &st))
	b.want("owner", fmt.Sprint(st.Uid, st.Gid), "100000 100000")
	b.want("inside", b.must("exec", b.id, "sh", "-c",
		"id -u; cat /proc/self/uid_map | tr -s ' '"), "0\n 0 100000 65536")
	outside, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", pid))
	b.want("namespace", b.must("exec", b.id, "readlink", "/proc/self/ns/user"),
		outside)
	// Another container joins the namespaces of the first.
	c := newBench(t, func(s *specs.Spec) {
		s.Linux.Namespaces = []specs.LinuxNamespace{
			{Type: specs.MountNamespace}, {Type: specs.PIDNamespace},
			{Type: specs.NetworkNamespace, Path: nsFile(pid, "net")},
			{Type: specs.UserNamespace, Path: nsFile(pid, "user")},
			{Type: specs.UTSNamespace, Path: nsFile(pid, "uts")},
			{Type: specs.IPCNamespace, Path: nsFile(pid, "ipc")}}
	})
	net, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	c.want("joined", c.sh("id -u; readlink /proc/self/ns/user; "+
		"readlink /proc/self/ns/net"),
		"0\n"+outside+"\n"+net)
}

func TestJoinNamespaces(t *testing.T) {
	a := newBench(t)
	a.background(sleep)
	pid := a.pid()
	b := newBench(t, func(s *specs.Spec) {
		s.Hostname = ""
		s.Linux.Namespaces = []specs.LinuxNamespace{
			{Type: specs.MountNamespace},
			{Type: specs.PIDNamespace, Path: nsFile(pid, "pid")},
			{Type: specs.NetworkNamespace, Path: nsFile(pid, "net")},
			{Type: specs.UTSNamespace, Path: nsFile(pid, "uts")},
			{Type: specs.IPCNamespace, Path: nsFile(pid, "ipc")}}
	})
	for _, ns := range []string{"net", "uts", "ipc", "pid"} {
		theirs, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns))
		b.want(ns, b.sh("readlink /proc/self/ns/"+ns), theirs)
	}
	if !strings.Contains(b.sh("ps"), "while :; do") {
		b.Error("PID namespace is not shared")
	}
}

func TestTimeNamespace(t *testing.T) {
	b := newBench(t, func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces,
			specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{
			"boottime": {Secs: 1000000}, "monotonic": {Secs: 5}}
	})
	up, _ := strconv.ParseFloat(strings.Fields(b.sh("cat /proc/uptime"))[0], 64)
	if up < 1000000 {
		b.Errorf("uptime is %f", up)
	}
}

func TestSecurity(t *testing.T) {
	b := newBench(t, func(s *specs.Spec) {
		number := uint(1)
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
			Architectures: []specs.Arch{specs.ArchX86_64},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"},
				Action: specs.ActErrno, ErrnoRet: &number}}}
		umask := uint32(0o27)
		s.Process.User = specs.User{UID: 1000, GID: 1001,
			AdditionalGids: []uint32{5, 6}, Umask: &umask}
		s.Process.Capabilities = &specs.LinuxCapabilities{
			Bounding:    []string{"CAP_CHOWN", "CAP_NET_RAW"},
			Permitted:   []string{"CAP_NET_RAW"},
			Effective:   []string{"CAP_NET_RAW"},
			Inheritable: []string{"CAP_NET_RAW"},
			Ambient:     []string{"CAP_NET_RAW"}}
		s.Process.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200},
			{Type: "RLIMIT_CORE", Soft: 1, Hard: 2}}
		score := 77
		s.Process.OOMScoreAdj = &score
	})
	for _, nnp := range []bool{true, false} {
		b.spec.Process.NoNewPrivileges = nnp
		out := b.sh("mkdir /tmp/x 2>&1; echo $(id -u) $(id -g) $(id -G);" +
			"umask; ulimit -Sn; ulimit -Hn;" +
			"cat /proc/self/oom_score_adj; grep -e Cap -e Seccomp: -e NoNew " +
			"/proc/self/status; cat /proc/kcore | wc -c;" +
			"echo x >/proc/sysrq-trigger;" +
			"ls /proc/self/fd | wc -l; readlink /proc/self/cwd; echo $0")
		for _, w := range []string{"mkdir: can't create directory '/tmp/x': " +
			"Operation not permitted", "1000 1001 1001 5 6",
			"0027\n100\n200\n77\n", "CapInh:\t0000000000002000",
			"CapPrm:\t0000000000002000", "CapEff:\t0000000000002000",
			"CapBnd:\t0000000000002001", "CapAmb:\t0000000000002000",
			"Seccomp:\t2", map[bool]string{true: "NoNewPrivs:\t1",
				false: "NoNewPrivs:\t0"}[nnp], "\n0\n4\n/\n"} {
			if !strings.Contains(out, w) {
				b.Errorf("no_new_privs %v: no %q in %s", nnp, w, out)
			}
		}
	}
}

// Who asks for no capabilities has none; the working directory may be one that
// only root enters; and HOME is what the container's passwd(5) says.
func TestNothingAsked(t *testing.T) {
	b := newBench(t, func(s *specs.Spec) {
		s.Process.Capabilities = nil
		s.Process.User = specs.User{UID: 1000}
		s.Process.Cwd, s.Process.Env = "/root", []string{"PATH=/bin"}
	})
	passwd := b.dir + "/passwd"
	b.check(os.WriteFile(passwd, []byte("root:x:0:0::/root:/bin/sh\n"+
		"u:x:1000:1000::/home/u:/bin/sh\n"), 0o644))
	b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: "/root",
		Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=700"}},
		specs.Mount{Destination: "/etc/passwd", Type: "bind", Source: passwd,
			Options: []string{"bind", "ro"}})
	none := "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n" +
		"CapBnd:\t0000000000000000"
	show := "grep -e CapPrm -e CapEff -e CapBnd /proc/self/status; " +
		"readlink /proc/self/cwd; echo $HOME"
	b.want("run", b.sh(show), none+"\n/root\n/home/u")
	b.background(sleep)
	b.want("exec", b.must("exec", "--user", "0", b.id, "sh", "-c", show),
		none+"\n/root\n/root")
}

func TestRefused(t *testing.T) {
	b := newBench(t)
	good, _ := json.Marshal(b.spec)
	for what, change := range map[string]func(*specs.Spec){
		"root.path":    func(s *specs.Spec) { s.Root = nil },
		"process is":   func(s *specs.Spec) { s.Process = nil },
		"process.args": func(s *specs.Spec) { s.Process.Args = nil },
		"process.cwd":  func(s *specs.Spec) { s.Process.Cwd = "x" },
		"ociVersion":   func(s *specs.Spec) { s.Version = "2.0" },
		"AppArmor":     func(s *specs.Spec) { s.Process.ApparmorProfile = "x" },
		"SELinux":      func(s *specs.Spec) { s.Process.SelinuxLabel = "x" },
		"rlimit": func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}}
		},
		"mount is missing": func(s *specs.Spec) { s.Linux.Namespaces = nil },
		"twice": func(s *specs.Spec) {
			l := s.Linux
			l.Namespaces = append(l.Namespaces, l.Namespaces...)
		},
		"no such file or directory": func(s *specs.Spec) {
			s.Root.Path = "/nosuch"
		},
		"uidMappings": func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces,
				specs.LinuxNamespace{Type: specs.UserNamespace})
		},
		"sysctl": func(s *specs.Spec) {
			s.Linux.Sysctl = map[string]string{"kernel.panic": "1"}
		},
		"setns /dev/null": func(s *specs.Spec) {
			s.Linux.Namespaces[1].Path = "/dev/null"
		},
	} {
		b.spec = specs.Spec{}
		b.check(json.Unmarshal(good, &b.spec))
		change(&b.spec)
		b.write()
		b.refuse(1, []string{what}, "run", b.id)
		b.want("left after "+what, b.leftovers(), "")
	}
	b.check(os.WriteFile(b.dir+"/config.json", []byte(`{"ociVersion":`), 0o644))
	b.refuse(1, []string{"config.json", "unexpected end"}, "run", b.id)
	for _, id := range []string{"..", "a/b", "", "a b", "é"} {
		b.refuse(1, []string{"container ID"}, "run", id)
	}
}

// TestCrash kills create, run and start at random moments. What is left is
// listed, and delete --force clears it.
func TestCrash(t *testing.T) {
	b := newBench(t)
	b.spec.Process.Args = []string{"sleep", "1000"}
	b.write()
	for i := range 40 {
		b.id = fmt.Sprintf("crash-%d-%d", os.Getpid(), i)
		cmd := b.command("run", b.id)
		b.check(cmd.Start())
		time.Sleep(time.Duration(rand.Intn(60_000)) * time.Microsecond)
		cmd.Process.Kill()
		cmd.Wait()
		if dirs, _ := os.ReadDir(b.dir + "/state"); len(dirs) > 0 {
			b.must("state", b.id)
		}
		b.must("list")
		b.must("delete", "--force", b.id)
		b.eventually("no trace", func() bool {
			out, _ := exec.Command("pgrep", "-f", b.id).Output()
			return b.leftovers() == "" && len(out) == 0
		})
	}
}

// TestInitKilled: create notices that init has died, and start does.
func TestInitKilled(t *testing.T) {
	b := newBench(t)
	b.must("create", b.id)
	b.check(syscall.Kill(b.pid(), syscall.SIGKILL))
	b.eventually("stopped", func() bool { return b.status() == "stopped" })
	b.refuse(1, []string{"container not running"}, "start", b.id)
	b.must("delete", b.id)
}

// TestPreserved: no file of the caller is inherited but those it names.
func TestPreserved(t *testing.T) {
	b := newBench(t)
	b.spec.Process.Args = []string{"sh", "-c", "cat <&3; ls /proc/self/fd"}
	b.write()
	in, out, err := os.Pipe()
	b.check(err)
	out.WriteString("hello\n")
	out.Close()
	host, err := os.Open("/")
	b.check(err)
	cmd := b.command("run", "--preserve-fds", "1", b.id)
	cmd.ExtraFiles = []*os.File{in, host}
	text, err := cmd.CombinedOutput()
	b.check(err)
	b.want("files", string(text), "hello\n0\n1\n2\n3\n4\n")
	b.spec.Process.Args = []string{"ls", "/proc/self/fd"}
	b.write()
	cmd = b.command("run", b.id)
	cmd.ExtraFiles = []*os.File{in, host}
	text, err = cmd.CombinedOutput()
	b.check(err)
	b.want("files", string(text), "0\n1\n2\n3\n")
}

// TestExeProtected: CVE-2019-5736. The container's program is /proc/self/exe,
// which is the runtime; it can be read, not written.
func TestExeProtected(t *testing.T) {
	b := newBench(t)
	before, _ := os.ReadFile(minirunc)
	b.background(sleep)
	b.spec.Process.Args = []string{"/proc/self/exe"}
	b.write()
	// The process that joins is ours until it executes.
	out, _, _ := b.run("exec", b.id, "sh", "-c",
		"for i in $(seq 200); do for p in /proc/[0-9]*; do "+
			"echo x 2>/dev/null >$p/exe && echo wrote; done; done")
	_ = out
	after, _ := os.ReadFile(minirunc)
	if !bytes.Equal(before, after) {
		b.Error("the container has changed the runtime")
	}
}
