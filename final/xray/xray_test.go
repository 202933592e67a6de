package xray

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"container-workshop/final/capabilities"
)

// stage runs minidocker itself, with directories and a network namespace of
// the test's own. The thread ends with the test.
type stage struct {
	*testing.T
	program, dir string
	env          []string
	user         uint32
}

var program string

func TestMain(m *testing.M) {
	program = os.Getenv("MINIDOCKER")
	dir, err := os.MkdirTemp("", "xray")
	if err != nil {
		panic(err)
	}
	os.Chmod(dir, 0o755)
	if program == "" && os.Geteuid() == 0 {
		program = dir + "/minidocker"
		cmd := exec.Command("go", "build", "-buildvcs=false", "-tags",
			"urfave_cli_no_docs", "-o", program, "..")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			os.Exit(1)
		}
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newStage(t *testing.T, user uint32) *stage {
	if os.Geteuid() != 0 {
		t.Skip("needs root: sudo make test-final FINAL=final/xray")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	s := &stage{T: t, program: program, user: user}
	dir, err := os.MkdirTemp("", "xray")
	s.ok(err)
	s.dir = dir
	s.ok(os.Chown(dir, int(user), int(user)))
	s.env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin",
		"HOME=" + dir, "MINIDOCKER_ROOT=" + dir + "/root",
		"MINIDOCKER_STATE=" + dir + "/state"}
	t.Cleanup(func() {
		for _, id := range strings.Fields(s.sh("ps -aq")) {
			s.sh("rm", "-f", id)
		}
		s.sh("system", "prune", "-af")
		os.RemoveAll(dir)
	})
	s.host("ip", "link", "set", "lo", "up")
	s.run("import", rootfs(), "box")
	return s
}

func rootfs() string {
	dir := os.Getenv("ROOTFS")
	if dir == "" {
		dir, _ = filepath.Abs("../../rootfs")
	}
	return dir
}

func (s *stage) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) equal(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("%s: -the other way +xray\n%s", what, diff)
	}
}

func (s *stage) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = s.env
	if name == s.program && s.user != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{
			Uid: s.user, Gid: s.user}}
	}
	return cmd
}

// run runs minidocker, host a program of the host; both must succeed.
func (s *stage) run(args ...string) string {
	s.Helper()
	return s.host(s.program, args...)
}

func (s *stage) host(name string, args ...string) string {
	s.Helper()
	out, err := s.command(name, args...).CombinedOutput()
	if err != nil {
		s.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// sh runs minidocker, which may fail.
func (s *stage) sh(args ...string) string {
	out, _ := s.command(s.program, strings.Fields(strings.Join(args,
		" "))...).Output()
	return string(out)
}

// inside asks in the container.
func (s *stage) inside(name, script string) string {
	s.Helper()
	return s.run("exec", name, "sh", "-c", script)
}

func (s *stage) report(name string) *Report {
	s.Helper()
	r := &Report{}
	s.ok(json.Unmarshal([]byte(s.run("xray", "--format", "json", name)), r))
	return r
}

// UnmarshalJSON is the inverse of MarshalJSON, for our eyes only.
func (c *Caps) UnmarshalJSON(data []byte) error {
	var names []string
	err := json.Unmarshal(data, &names)
	if err == nil {
		var mask uint64
		mask, err = capabilities.Parse(names)
		*c = Caps(mask)
	}
	return err
}

func (s *stage) process(r *Report, command string) *Process {
	s.Helper()
	for _, p := range r.Processes {
		if p.Command == command {
			return p
		}
	}
	s.Fatalf("no process %q among %d", command, len(r.Processes))
	return nil
}

// status is a field of a process's status, asked for inside.
func (s *stage) status(name string, pid int, field string) string {
	s.Helper()
	return strings.TrimSpace(s.inside(name, fmt.Sprintf(
		"sed -n 's/^%s:[\t ]*//p' /proc/%d/status", field, pid)))
}

// TestProcesses: both PIDs, seen from both sides.
func TestProcesses(t *testing.T) {
	s := newStage(t, 0)
	s.run("run", "-d", "--name", "aa", "--network", "none", "-u", "7", "box",
		"sh", "-c", "sleep 1001 & exec sleep 1002")
	s.run("exec", "-d", "aa", "sleep", "1003")
	seconds := []string{"1001", "1002", "1003"}
	s.wait(func() bool {
		return strings.Count(s.inside("aa",
			"cat /proc/[0-9]*/cmdline"), "sleep") >= 3
	})
	r := s.report("aa")
	s.equal("number of processes", len(r.Processes), 3)
	for _, n := range seconds {
		p := s.process(r, "sleep "+n)
		there := s.inside("aa", "for f in /proc/[0-9]*/cmdline; do [ \"$("+
			"tr '\\0' ' ' <$f)\" != 'sleep "+n+" ' ] || echo $f; done")
		s.equal("PID inside", fmt.Sprintf("/proc/%d/cmdline", p.Inside[0]),
			there)
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Pid))
		s.ok(err)
		s.equal("command here", string(line), "sleep\x00"+n+"\x00")
		s.equal("uid", fmt.Sprint(p.UID), strings.Fields(s.status("aa",
			p.Inside[0], "Uid"))[1])
		s.equal("threads", fmt.Sprint(p.Threads), s.status("aa", p.Inside[0],
			"Threads"))
	}
	init := s.process(r, "sleep 1002")
	s.equal("PID of init", fmt.Sprint(init.Pid), s.run("inspect", "-f",
		"{{.State.Pid}}", "aa"))
	s.equal("parent", s.process(r, "sleep 1001").Parent, init.Pid)
	// The program that runs xray is not in there.
	s.equal("others", r.Pid, init.Pid)
}

// TestHostPID: a container without a PID namespace of its own is its cgroup.
func TestHostPID(t *testing.T) {
	s := newStage(t, 0)
	s.run("run", "-d", "--name", "aa", "--network", "none", "--pid", "host",
		"box", "sh", "-c", "sleep 1004 & exec sleep 1005")
	s.wait(func() bool { return len(s.report("aa").Processes) == 2 })
	r := s.report("aa")
	p := s.process(r, "sleep 1004")
	s.equal("PIDs below", len(p.Inside), 0)
	s.equal("its command here", s.host("cat", fmt.Sprintf("/proc/%d/comm",
		p.Pid)), "sleep")
}

func (s *stage) wait(done func() bool) {
	s.Helper()
	for end := time.Now().Add(60 * time.Second); !done(); {
		if time.Now().After(end) {
			s.Fatal("it does not come")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestNamespaces: what the container calls them, and who else is there.
func TestNamespaces(t *testing.T) {
	s := newStage(t, 0)
	s.run("run", "-d", "--name", "aa", "--network", "none", "box", "sleep",
		"1000")
	s.run("run", "-d", "--name", "bb", "--network", "container:aa", "--uts",
		"host", "box", "sleep", "1000")
	for _, name := range []string{"aa", "bb"} {
		r := s.report(name)
		s.equal("number", len(r.Namespaces), 8)
		for _, n := range r.Namespaces {
			s.equal(n.Kind, n.Kind+":["+n.ID+"]", s.inside(name,
				"readlink /proc/1/ns/"+n.Kind))
			here, err := os.Readlink("/proc/thread-self/ns/" + n.Kind)
			s.ok(err)
			s.equal("host has "+n.Kind, n.Host, n.Kind+":["+n.ID+"]" == here)
			other := map[string]string{"aa": "bb", "bb": "aa"}[name]
			same := s.inside(other, "readlink /proc/1/ns/"+n.Kind) ==
				n.Kind+":["+n.ID+"]"
			s.equal("shared "+n.Kind, slices.Contains(n.With, other), same)
			want := n.Kind == "net" || n.Kind == "time" || n.Kind == "user"
			s.equal("and it is meant to be shared", same, want)
		}
	}
}

// TestMounts: the same table as the container reads.
func TestMounts(t *testing.T) {
	s := newStage(t, 0)
	s.ok(os.MkdirAll(s.dir+"/with blank", 0o755))
	s.run("run", "-d", "--name", "aa", "--network", "none", "-v",
		s.dir+"/with blank:/a b:ro,rshared", "--tmpfs", "/t:size=1m", "box",
		"sleep", "1000")
	r := s.report("aa")
	var got []string
	for _, m := range r.Mounts.Table {
		got = append(got, fmt.Sprintln(m.ID, m.Parent, m.Device,
			strings.ReplaceAll(m.Target, " ", `\040`), m.Options, m.Type))
	}
	there := s.inside("aa", "cat /proc/1/mountinfo")
	var want []string
	for line := range strings.Lines(there) {
		f := strings.Fields(line)
		want = append(want, fmt.Sprintln(f[0], f[1], f[2], f[4], f[5],
			f[slices.Index(f, "-")+1]))
	}
	s.equal("mounts", got, want)
	i := slices.IndexFunc(r.Mounts.Table, func(m Mount) bool {
		return m.Target == "/a b"
	})
	m := r.Mounts.Table[i]
	if !strings.HasPrefix(m.Propagation, "shared:") ||
		!strings.HasPrefix(m.Options, "ro") ||
		!strings.HasSuffix(m.Root, filepath.Base(s.dir)+"/with blank") {
		s.Errorf("volume: %+v", m)
	}
	// What is written inside arrives in the directory that we call upper.
	s.inside("aa", "echo it is >/proof")
	text, err := os.ReadFile(r.Mounts.Overlay.Upper.Dir + "/proof")
	s.ok(err)
	s.equal("upper", string(text), "it is\n")
	// And what is in the lower one is seen inside.
	s.equal("lower layers", len(r.Mounts.Overlay.Lower), 1)
	list, err := os.ReadDir(r.Mounts.Overlay.Lower[0].Dir + "/bin")
	s.ok(err)
	s.equal("/bin", strconv.Itoa(len(list)), s.inside("aa", "ls /bin | wc -l"))
}

// TestLayers: which of several is which, where the names say nothing.
func TestLayers(t *testing.T) {
	s := newStage(t, 0)
	dir := func(name string) string {
		s.ok(os.MkdirAll(s.dir+"/"+name, 0o755))
		return s.dir + "/" + name
	}
	bottom, middle, top := dir("bottom"), dir("middle"), dir("top")
	upper, work, merged := dir("upper"), dir("work"), dir("merged")
	s.host("cp", "/proc/self/exe", bottom+"/all-hidden")
	s.host("cp", rootfs()+"/bin/busybox", bottom+"/busybox")
	for i, layer := range []string{bottom, middle, top} {
		file := fmt.Sprintf("%s/from%d", layer, i)
		s.ok(os.WriteFile(file, nil, 0o644))
	}
	s.ok(os.WriteFile(top+"/all-hidden", nil, 0o644))
	cmd := s.command("unshare", "-m", "sh", "-c", fmt.Sprintf("exec 5<%s 6<%s "+
		"7<%s; mount -t overlay -o lowerdir=/proc/self/fd/7:/proc/self/fd/6:"+
		"/proc/self/fd/5,upperdir=%s,workdir=%s overlay %s && exec chroot %s "+
		"/busybox sleep 1000", bottom, middle, top, upper, work, merged,
		merged))
	s.ok(cmd.Start())
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	c := Container{Pid: cmd.Process.Pid, Upper: upper,
		Layers: []string{bottom, middle, top}}
	s.wait(func() bool { return mounts(c).Overlay != nil })
	o := mounts(c).Overlay
	var got []string
	for _, l := range append(o.Lower, o.Upper) {
		got = append(got, filepath.Base(l.Dir))
	}
	s.equal("layers", got, []string{"top", "middle", "bottom", "upper"})
	s.equal("work", o.Work.Name, work)
	// A record that is not true is not believed.
	s.ok(os.WriteFile(work+"/elsewhere", nil, 0o644))
	c.Layers, c.Upper = []string{bottom, s.dir + "/work", top}, middle
	o = mounts(c).Overlay
	s.equal("proven", o.Lower[1].Dir+o.Upper.Dir, "")
	c.Layers = []string{bottom, top}
	s.equal("one is missing", mounts(c).Overlay.Lower[0].Dir, "")
}
