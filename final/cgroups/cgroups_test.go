package cgroups

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The test program is also what runs in the cgroups.
func TestMain(m *testing.M) {
	if f := helpers[os.Getenv("CGROUP_HELPER")]; f != nil {
		runtime.LockOSThread()
		f(os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var helpers map[string]func([]string)

func init() {
	helpers = map[string]func([]string){
		"wait": waitThenExec, "eat": eat, "open": openDevice, "knock": knock,
		"direct": direct, "spin": spin, "create": create, "huge": huge,
		"sleep": func([]string) { time.Sleep(time.Hour) },
		"bomb":  bomb,
	}
}

const mib = 1 << 20

func p[T any](v T) *T { return &v }

func random(from, to int) int {
	n, _ := rand.Int(rand.Reader, big.NewInt(int64(to-from)))
	return from + int(n.Int64())
}

// name is a path that nobody else has.
func name() string {
	return fmt.Sprintf("/minidocker-test-%d-%d", os.Getpid(),
		random(0, 1e9))
}

// made is a new cgroup that is gone after the test, and proves it.
func made(t *testing.T, r *specs.LinuxResources) *Cgroup {
	t.Helper()
	needRoot(t)
	c, err := Create(name(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, c) })
	return c
}

func remove(t *testing.T, c *Cgroup) {
	t.Helper()
	if err := c.Kill(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := c.Delete(); err != nil {
		t.Error(err)
	}
	for _, dir := range c.Paths() {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is still there", dir)
		}
	}
}

func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("STRICT") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "root: sudo")
	}
}

// need skips where no hierarchy has a controller.
func need(t *testing.T, controller string) {
	t.Helper()
	needRoot(t)
	found := Controllers()
	if found[controller] == "" && (controller != "io" || found["blkio"] == "") {
		skip(t, "cgroup controller %s: make test-vm-final", controller)
	}
}

// needV2: a test of version 2 alone, which the VM has.
func needV2(t *testing.T) {
	t.Helper()
	needRoot(t)
	if !V2() {
		t.Skip("cgroup version 2: make test-vm-final")
	}
}

// A job is a process in a cgroup.
type job struct {
	*exec.Cmd
	out strings.Builder
	in  io.WriteCloser
}

// waitThenExec lets the parent move us first.
func waitThenExec(args []string) {
	os.Stdin.Read(make([]byte, 1))
	os.Setenv("CGROUP_HELPER", args[0])
	self, _ := os.Executable()
	path, argv := self, append([]string{self}, args[1:]...)
	if helpers[args[0]] == nil {
		path, argv = args[0], args
	}
	fmt.Println(syscall.Exec(path, argv, os.Environ()))
	os.Exit(1)
}

// start runs a helper, or a program, in the cgroup.
func (c *Cgroup) start(t *testing.T, args ...string) *job {
	t.Helper()
	self, _ := os.Executable()
	j := &job{Cmd: exec.Command(self, append([]string{"wait"}, args...)...)}
	j.Args = append([]string{self}, args...)
	j.Env = append(os.Environ(), "CGROUP_HELPER=wait")
	j.Stdout, j.Stderr = &j.out, &j.out
	j.in, _ = j.StdinPipe()
	if V2() {
		fd, err := c.Enter()
		if err != nil {
			t.Fatal(err)
		}
		defer fd.Close()
		j.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true,
			CgroupFD: int(fd.Fd())}
	}
	if err := j.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Process.Kill(); j.Wait() })
	if !V2() {
		if err := c.Add(j.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	j.in.Write([]byte{1})
	// A signal that arrives in the middle of its execve(2) can be lost, and so
	// can a new limit. There the environment is empty, as after the end.
	eventually(t, args[0], func() bool {
		proc := fmt.Sprintf("/proc/%d/", j.Process.Pid)
		return strings.Contains(read(proc+"environ"),
			"CGROUP_HELPER="+args[0]) ||
			strings.Contains(read(proc+"status"), "State:\tZ")
	})
	return j
}

// end waits for it: what it said, and its exit status, 137 if killed.
func (j *job) end() (string, int) {
	err := j.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		s := exit.Sys().(syscall.WaitStatus)
		if s.Signaled() {
			return j.out.String(), 128 + int(s.Signal())
		}
		return j.out.String(), s.ExitStatus()
	}
	return j.out.String(), 0
}

func (c *Cgroup) run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	return c.start(t, args...).end()
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); {
		if time.Now().After(end) {
			t.Fatalf("it never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// busy is the processor time of a process so far.
func busy(pid int) time.Duration {
	f := strings.Fields(read(fmt.Sprintf("/proc/%d/schedstat", pid)))
	if len(f) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(f[0], 10, 64)
	return time.Duration(n)
}

// Memory.

// eat touches so many MiB.
func eat(args []string) {
	n, _ := strconv.Atoi(args[0])
	room, err := unix.Mmap(-1, 0, n*mib, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 0; i < len(room); i += 4096 {
		room[i] = byte(i >> 12)
	}
	fmt.Println("eaten")
	if len(args) > 1 {
		time.Sleep(time.Hour)
	}
}

func memory(limit, swap int64) *specs.LinuxResources {
	return &specs.LinuxResources{Memory: &specs.LinuxMemory{
		Limit: &limit, Swap: &swap}}
}

func TestMemoryKilledAtTheLimit(t *testing.T) {
	need(t, "memory")
	c := made(t, memory(40*mib, 40*mib))
	var events atomic.Int32
	stop, done := make(chan struct{}), make(chan error)
	go func() { done <- c.OOM(stop, func() { events.Add(1) }) }()
	time.Sleep(300 * time.Millisecond)
	if out, status := c.run(t, "eat", "20"); status != 0 {
		t.Errorf("below the limit: %d %s", status, out)
	}
	if n, err := c.OOMKills(); n != 0 || err != nil {
		t.Errorf("killed before: %d, %v", n, err)
	}
	if out, status := c.run(t, "eat", "80"); status != 137 {
		t.Errorf("above the limit: %d %s", status, out)
	}
	if n, err := c.OOMKills(); n != 1 || err != nil {
		t.Errorf("killed: %d, %v", n, err)
	}
	eventually(t, "an event", func() bool { return events.Load() > 0 })
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	s, _ := c.Stats()
	if u := s.Memory.Usage; u.Limit != 40*mib || u.Max < 39*mib && u.Max != 0 {
		t.Errorf("%+v", s.Memory.Usage)
	}
}

// The watcher of a cgroup that is removed ends by itself.
func TestOOMEndsWithTheCgroup(t *testing.T) {
	need(t, "memory")
	c := made(t, nil)
	done := make(chan error)
	go func() { done <- c.OOM(nil, func() { t.Error("an event") }) }()
	time.Sleep(100 * time.Millisecond)
	c.Delete()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("still watching")
	}
}

// Up and down, in whatever order version 1 wants; then it still kills.
func TestMemoryUpdate(t *testing.T) {
	need(t, "memory")
	c := made(t, memory(32*mib, 32*mib))
	for _, limit := range []int64{100, 20, 300, 40, 41} {
		if err := c.Set(memory(limit*mib, limit*mib)); err != nil {
			t.Fatalf("%d: %v", limit, err)
		}
		s, _ := c.Stats()
		if s.Memory.Usage.Limit != uint64(limit*mib) ||
			s.Memory.Swap.Limit != uint64(limit*mib) {
			t.Errorf("%d: %+v", limit, s.Memory)
		}
	}
	if err := c.Set(memory(-1, 0)); err != nil {
		t.Fatal(err)
	}
	if out, status := c.run(t, "eat", "60"); status != 0 {
		t.Errorf("without a limit: %d %s", status, out)
	}
}

// Version 1 refuses by itself, version 2 when asked.
func TestMemoryCheckBeforeUpdate(t *testing.T) {
	need(t, "memory")
	c := made(t, memory(-1, -1))
	j := c.start(t, "eat", "50", "and sleep")
	eventually(t, "memory in use", func() bool {
		s, _ := c.Stats()
		return s.Memory.Usage.Usage > 45*mib
	})
	r := memory(20*mib, 20*mib)
	r.Memory.CheckBeforeUpdate = p(true)
	err := c.Set(r)
	if err == nil || !strings.Contains(err.Error(), "in use already") {
		t.Errorf("%v", err)
	}
	if err := j.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("it was killed:", err)
	}
}

func TestSwapIsLimited(t *testing.T) {
	need(t, "memory")
	if strings.Count(read("/proc/swaps"), "\n") < 1 {
		t.Skip("swap: make test-vm-final")
	}
	c := made(t, memory(30*mib, 90*mib))
	if out, status := c.run(t, "eat", "60"); status != 0 {
		t.Errorf("with swap: %d %s", status, out)
	}
	if _, status := c.run(t, "eat", "150"); status != 137 {
		t.Errorf("above both: %d", status)
	}
}

// Processors.

func spin([]string) {
	fmt.Println("spinning")
	for n := 0; ; n++ {
		_ = n
	}
}

func TestCPUQuota(t *testing.T) {
	need(t, "cpu")
	for _, cpu := range []*specs.LinuxCPU{
		{Quota: p(int64(20000)), Period: p(uint64(100000))},
		{Quota: p(int64(4000)), Period: p(uint64(20000))},
	} {
		c := made(t, &specs.LinuxResources{CPU: cpu})
		j := c.start(t, "spin")
		eventually(t, "spinning", func() bool {
			return busy(j.Process.Pid) > 50*time.Millisecond
		})
		before, since := busy(j.Process.Pid), time.Now()
		time.Sleep(2 * time.Second)
		share := float64(busy(j.Process.Pid)-before) /
			float64(time.Since(since))
		if share > 0.27 || share < 0.02 {
			t.Errorf("a fifth of a processor: %.2f", share)
		}
		s, _ := c.Stats()
		if s.CPU.Throttling.ThrottledPeriods == 0 ||
			s.CPU.Throttling.ThrottledTime == 0 || s.CPU.Usage.Total == 0 {
			t.Errorf("%+v", s.CPU)
		}
	}
}

// Quota and period change together and alone.
func TestCPUUpdate(t *testing.T) {
	need(t, "cpu")
	c := made(t, nil)
	for _, cpu := range []specs.LinuxCPU{
		{Quota: p(int64(50000))},
		{Period: p(uint64(50000))},
		{Period: p(uint64(1000000)), Quota: p(int64(900000)),
			Burst: p(uint64(800000))},
		{Period: p(uint64(20000)), Quota: p(int64(10000)),
			Burst: p(uint64(5000))},
		{Quota: p(int64(-1))},
	} {
		if err := c.Set(&specs.LinuxResources{CPU: &cpu}); err != nil {
			t.Errorf("%+v: %v", cpu, err)
		}
	}
	before := time.Now()
	j := c.start(t, "spin")
	eventually(t, "a spinner without a quota", func() bool {
		return busy(j.Process.Pid) > time.Second/2
	})
	t.Log(time.Since(before))
}

// Two in one place get the processor as their shares say.
func TestCPUShares(t *testing.T) {
	need(t, "cpu")
	need(t, "cpuset")
	var spent [2]time.Duration
	var jobs [2]*job
	for i, shares := range []uint64{1024, 6144} {
		c := made(t, &specs.LinuxResources{CPU: &specs.LinuxCPU{
			Shares: &shares, Cpus: "0"}})
		jobs[i] = c.start(t, "spin")
	}
	for i := range jobs {
		eventually(t, "spinning", func() bool {
			return busy(jobs[i].Process.Pid) > 50*time.Millisecond
		})
		spent[i] = busy(jobs[i].Process.Pid)
	}
	time.Sleep(2 * time.Second)
	for i := range jobs {
		spent[i] = busy(jobs[i].Process.Pid) - spent[i]
	}
	ratio := float64(spent[1]) / float64(spent[0])
	if ratio < 2.5 || ratio > 12 {
		t.Errorf("6 to 1: %.1f", ratio)
	}
}

func TestWeightOfShares(t *testing.T) {
	for shares, want := range map[string]string{"1": "1", "2": "1",
		"1024": "100", "262144": "10000", "999999": "10000", "512": "59"} {
		if got := weight(shares); got != want {
			t.Errorf("%s shares: %s, want %s", shares, got, want)
		}
	}
}

func TestCPUIdle(t *testing.T) {
	need(t, "cpu")
	c := made(t, &specs.LinuxResources{CPU: &specs.LinuxCPU{
		Idle: p(int64(1))}})
	if err := c.Set(&specs.LinuxResources{CPU: &specs.LinuxCPU{
		Idle: p(int64(0)), Shares: p(uint64(100))}}); err != nil {
		t.Error(err)
	}
}

func TestCpuset(t *testing.T) {
	need(t, "cpuset")
	all := runtime.NumCPU()
	if all < 2 {
		skip(t, "a second processor")
	}
	for cpu := range all {
		c := made(t, &specs.LinuxResources{CPU: &specs.LinuxCPU{
			Cpus: fmt.Sprint(cpu), Mems: "0"}})
		j := c.start(t, "sleep")
		status := read(fmt.Sprintf("/proc/%d/status", j.Process.Pid))
		want := fmt.Sprintf("Cpus_allowed_list:\t%d\n", cpu)
		if !strings.Contains(status, want) {
			t.Errorf("not %q in %s", want, status)
		}
	}
}

// Processes.

func TestPidsForkRefused(t *testing.T) {
	need(t, "pids")
	busybox := busybox(t)
	c := made(t, nil)
	j := c.start(t, busybox, "sh", "-c", "read go; "+
		"sleep 9 >&- 2>&- & sleep 9 >&- 2>&- & echo two; sleep 9 & echo three")
	if err := c.Set(&specs.LinuxResources{Pids: &specs.LinuxPids{
		Limit: p(int64(3))}}); err != nil {
		t.Fatal(err)
	}
	j.in.Write([]byte("\n"))
	out, _ := j.end()
	if !strings.Contains(out, "two") || strings.Contains(out, "three") ||
		!strings.Contains(out, "temporarily unavailable") {
		t.Errorf("%s", out)
	}
}

func busybox(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{os.Getenv("ROOTFS"), "../../rootfs"} {
		file, _ := filepath.Abs(dir + "/bin/busybox")
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	skip(t, "a busybox: make rootfs")
	return ""
}

// Devices.

// openDevice: DEVICE r|w|rw|m..., and says what happened.
func openDevice(args []string) {
	for i := 0; i+1 < len(args); i += 2 {
		fmt.Println(args[i], args[i+1], try(args[i], args[i+1]))
	}
}

func try(device, how string) error {
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return err
	}
	if how == "m" {
		file := filepath.Join(os.TempDir(), fmt.Sprint("node-", os.Getpid()))
		defer os.Remove(file)
		return wrap(unix.Mknod(file, st.Mode&unix.S_IFMT|0o600,
			int(st.Rdev)))
	}
	flags := map[string]int{"r": unix.O_RDONLY, "w": unix.O_WRONLY,
		"rw": unix.O_RDWR}[how]
	fd, err := unix.Open(device, flags, 0)
	unix.Close(fd)
	return wrap(err)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return err
}

func dev(allow bool, kind string, major, minor int64,
	access string) specs.LinuxDeviceCgroup {
	return specs.LinuxDeviceCgroup{Allow: allow, Type: kind,
		Major: &major, Minor: &minor, Access: access}
}

// The same rules mean the same in version 1 and version 2.
func TestDevices(t *testing.T) {
	needRoot(t)
	none := dev(false, "a", -1, -1, "rwm")
	for _, c := range []struct {
		name  string
		rules []specs.LinuxDeviceCgroup
		want  string
	}{
		{"allowed", []specs.LinuxDeviceCgroup{none,
			dev(true, "c", 1, 3, "rwm")},
			"null r, null w, null rw, null m"},
		{"some of it", []specs.LinuxDeviceCgroup{none,
			dev(true, "c", 1, 3, "r"), dev(true, "c", 1, 5, "m")},
			"null r, zero m"},
		{"in two rules", []specs.LinuxDeviceCgroup{none,
			dev(true, "c", 1, 5, "r"), dev(true, "c", 1, 5, "w")},
			"zero r, zero w, zero rw"},
		{"all", []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}},
			"null r, null w, null rw, null m, " +
				"zero r, zero w, zero rw, zero m"},
		{"a wildcard", []specs.LinuxDeviceCgroup{none,
			dev(true, "c", 1, -1, "rw")},
			"null r, null w, null rw, zero r, zero w, zero rw"},
		{"mknod of all", []specs.LinuxDeviceCgroup{none,
			dev(true, "c", -1, -1, "m"), dev(true, "b", -1, -1, "rwm")},
			"null m, zero m"},
		{"taken back", []specs.LinuxDeviceCgroup{none,
			dev(true, "c", 1, 3, "rwm"), dev(true, "c", 1, 5, "rwm"),
			dev(false, "c", 1, 3, "wm")},
			"null r, zero r, zero w, zero rw, zero m"},
		{"only what is listed", []specs.LinuxDeviceCgroup{
			dev(true, "c", 1, 5, "r")}, "zero r"},
		{"all but one", []specs.LinuxDeviceCgroup{
			{Allow: true, Access: "rwm"}, dev(false, "c", 1, 3, "rwm")},
			"zero r, zero w, zero rw, zero m"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := made(t, &specs.LinuxResources{Devices: c.rules})
			if got := g.probe(t); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			// As an update of another list the same comes out.
			g = made(t, &specs.LinuxResources{Devices: []specs.
				LinuxDeviceCgroup{dev(true, "c", 1, 3, "rwm")}})
			if err := g.Set(&specs.LinuxResources{
				Devices: c.rules}); err != nil {
				t.Fatal(err)
			}
			if got := g.probe(t); got != c.want {
				t.Errorf("update:\ngot  %s\nwant %s", got, c.want)
			}
		})
	}
	if got := made(t, nil).probe(t); strings.Count(got, ",") != 7 {
		t.Errorf("without rules: %s", got)
	}
}

func (c *Cgroup) probe(t *testing.T) string {
	t.Helper()
	args := []string{"open"}
	for _, device := range []string{"/dev/null", "/dev/zero"} {
		for _, how := range []string{"r", "w", "rw", "m"} {
			args = append(args, device, how)
		}
	}
	// The helper's own start must not need a device: no /dev/null.
	out, _ := c.run(t, args...)
	var can []string
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		switch {
		case len(f) == 3 && f[2] == "<nil>":
			can = append(can, filepath.Base(f[0])+" "+f[1])
		case len(f) < 3 || f[2] != "operation not permitted":
			t.Errorf("%q", line)
		}
	}
	return strings.Join(can, ", ")
}

// knock opens a device until somebody ends it, and says if it ever failed.
func knock(args []string) {
	fmt.Println("knocking")
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		if err := try(args[0], "rw"); err != nil {
			fmt.Println("failed:", err)
		}
	}
}

// What stays allowed is never refused while the list is replaced.
func TestDevicesUpdateAtOnce(t *testing.T) {
	needRoot(t)
	rules := func(i int64) *specs.LinuxResources {
		return &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
			dev(false, "a", -1, -1, "rwm"), dev(true, "c", 1, 5, "rwm"),
			dev(true, "c", 200, i, "rwm")}}
	}
	c := made(t, rules(0))
	j := c.start(t, "knock", "/dev/zero")
	n := int64(0)
	for end := time.Now().Add(700 * time.Millisecond); time.Now().
		Before(end); n++ {
		if err := c.Set(rules(n)); err != nil {
			t.Fatal(err)
		}
	}
	if out, _ := j.end(); out != "knocking\n" {
		t.Errorf("%d updates: %.300s", n, out)
	}
	t.Log(n, "updates")
}

// Disks.

func disk(dir string) (major, minor int64, err error) {
	var st unix.Stat_t
	if err = unix.Stat(dir, &st); err != nil {
		return 0, 0, err
	}
	path, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d",
		unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return 0, 0, errors.New("no block device: set TMPDIR")
	}
	if read(path+"/partition") != "" {
		path = filepath.Dir(path)
	}
	_, err = fmt.Sscanf(read(path+"/dev"), "%d:%d", &major, &minor)
	return major, minor, err
}

// direct: FILE read|write SIZE COUNT, past all caches; milliseconds.
func direct(args []string) {
	size, _ := strconv.Atoi(args[2])
	count, _ := strconv.Atoi(args[3])
	fd, err := unix.Open(args[0], unix.O_RDWR|unix.O_DIRECT, 0)
	room := make([]byte, size+4096)
	start := -int(uintptr(unsafe.Pointer(&room[0]))) & 4095
	since := time.Now()
	for i := 0; i < count && err == nil; i++ {
		if args[1] == "read" {
			_, err = unix.Pread(fd, room[start:start+size], int64(i*size))
		} else {
			_, err = unix.Pwrite(fd, room[start:start+size], int64(i*size))
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(time.Since(since).Milliseconds())
}

func TestThrottle(t *testing.T) {
	need(t, "io")
	dir := t.TempDir()
	major, minor, err := disk(dir)
	if err != nil {
		skip(t, "a disk: %v", err)
	}
	file := dir + "/file"
	if err := os.WriteFile(file, make([]byte, 4*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	exec.Command("sync").Run()
	limit := func(rate uint64) []specs.LinuxThrottleDevice {
		d := specs.LinuxThrottleDevice{Rate: rate}
		d.Major, d.Minor = major, minor
		return []specs.LinuxThrottleDevice{d}
	}
	for _, c := range []struct {
		name  string
		limit specs.LinuxBlockIO
		args  []string
		least int // milliseconds
	}{
		{"none", specs.LinuxBlockIO{}, []string{"read", "65536", "32"}, 0},
		{"zero is none", specs.LinuxBlockIO{
			ThrottleReadBpsDevice: limit(0)},
			[]string{"read", "65536", "32"}, 0},
		{"read bytes", specs.LinuxBlockIO{
			ThrottleReadBpsDevice: limit(mib)},
			[]string{"read", "65536", "32"}, 1700},
		{"written bytes", specs.LinuxBlockIO{
			ThrottleWriteBpsDevice: limit(mib)},
			[]string{"write", "65536", "32"}, 1700},
		{"reads", specs.LinuxBlockIO{ThrottleReadIOPSDevice: limit(20)},
			[]string{"read", "4096", "40"}, 1700},
		{"writes", specs.LinuxBlockIO{ThrottleWriteIOPSDevice: limit(20)},
			[]string{"write", "4096", "40"}, 1700},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := made(t, &specs.LinuxResources{BlockIO: &c.limit})
			out, status := g.run(t, append([]string{"direct", file},
				c.args...)...)
			ms, err := strconv.Atoi(strings.TrimSpace(out))
			if status != 0 || err != nil || ms < c.least ||
				c.least == 0 && ms > 1500 {
				t.Errorf("%q ms, at least %d", out, c.least)
			}
			s, _ := g.Stats()
			if c.least > 0 && !slices.ContainsFunc(
				s.Blkio.IoServiceBytesRecursive, func(e BlkioEntry) bool {
					return e.Major == uint64(major) && e.Value >= 4096*40
				}) {
				t.Errorf("%+v", s.Blkio)
			}
		})
	}
}

// Huge pages.

func huge([]string) {
	_, err := unix.Mmap(-1, 0, 4*mib, unix.PROT_READ, unix.MAP_PRIVATE|
		unix.MAP_ANON|unix.MAP_HUGETLB|21<<26) // 2 MiB each
	fmt.Print(err)
}

func TestHugepages(t *testing.T) {
	need(t, "hugetlb")
	file := "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
	before := read(file)
	if before == "" || write(file, "8") != nil {
		skip(t, "huge pages of 2 MiB")
	}
	defer write(file, before)
	if n, _ := strconv.Atoi(read(file)); n < 4 {
		skip(t, "8 huge pages: this machine's memory is in pieces")
	}
	for limit, want := range map[uint64]string{
		2 * mib: "cannot allocate memory", 4 * mib: "<nil>"} {
		c := made(t, &specs.LinuxResources{HugepageLimits: []specs.
			LinuxHugepageLimit{{Pagesize: "2MB", Limit: limit}}})
		if out, _ := c.run(t, "huge"); out != want {
			t.Errorf("%d: %s, want %s", limit, out, want)
		}
		if s, _ := c.Stats(); len(s.Hugetlb) == 0 {
			t.Error("no statistics")
		}
	}
}

// Frozen and killed.

func TestFreeze(t *testing.T) {
	needRoot(t)
	c := made(t, nil)
	j := c.start(t, "spin")
	eventually(t, "spinning", func() bool {
		return busy(j.Process.Pid) > 20*time.Millisecond
	})
	for range 3 {
		if err := c.Freeze(true); err != nil {
			t.Fatal(err)
		}
		if yes, err := c.Frozen(); !yes || err != nil {
			t.Errorf("frozen: %v %v", yes, err)
		}
		before := busy(j.Process.Pid)
		time.Sleep(100 * time.Millisecond)
		if after := busy(j.Process.Pid); after != before {
			t.Errorf("it ran %v", after-before)
		}
		if err := c.Freeze(false); err != nil {
			t.Fatal(err)
		}
		if yes, _ := c.Frozen(); yes {
			t.Error("still frozen")
		}
		eventually(t, "spinning again", func() bool {
			return busy(j.Process.Pid) > before+20*time.Millisecond
		})
	}
}

// bomb forks without an end; each process as well.
func bomb(args []string) {
	self, _ := os.Executable()
	for {
		c := exec.Command(self)
		c.Start()
		time.Sleep(time.Millisecond)
	}
}

// A bomb freezes, and dies at once, also when it is frozen, and also in
// cgroups of its own.
func TestKill(t *testing.T) {
	need(t, "pids")
	for _, file := range []bool{true, false} {
		for _, frozen := range []bool{false, true} {
			c := made(t, &specs.LinuxResources{Pids: &specs.LinuxPids{
				Limit: p(int64(200))}})
			loaded := c
			if !file && !V2() {
				// The way that version 1 alone has.
				paths := map[string]string{}
				for key, dir := range c.Paths() {
					if key != "" {
						paths[key] = dir
					}
				}
				loaded = Load(paths)
			}
			j := c.start(t, "bomb")
			eventually(t, "many processes", func() bool {
				pids, _ := loaded.Procs()
				return len(pids) > 10
			})
			if frozen {
				if err := loaded.Freeze(true); err != nil {
					t.Fatal(err)
				}
			}
			if err := loaded.Kill(unix.SIGKILL); err != nil {
				t.Error(err)
			}
			if _, status := j.end(); status != 137 {
				t.Errorf("status %d", status)
			}
			eventually(t, "no process", func() bool {
				pids, _ := c.Procs()
				return len(pids) == 0
			})
		}
	}
}

// Another signal reaches all as well, and leaves them frozen or not.
func TestKillTerm(t *testing.T) {
	needRoot(t)
	c := made(t, nil)
	a, b := c.start(t, "sleep"), c.start(t, "sleep")
	c.Freeze(true)
	if err := c.Kill(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if yes, _ := c.Frozen(); !yes {
		t.Error("no longer frozen")
	}
	c.Freeze(false)
	for _, j := range []*job{a, b} {
		if _, status := j.end(); status != 128+15 {
			t.Errorf("status %d", status)
		}
	}
}

// Delete waits for the dying, takes the cgroups below with it, and is content
// when there is nothing. It does not take living processes.
func TestDelete(t *testing.T) {
	needRoot(t)
	c := made(t, nil)
	for _, dir := range c.Paths() {
		for _, sub := range []string{"/a", "/a/b", "/c"} {
			if err := os.Mkdir(dir+sub, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	j := c.start(t, "sleep")
	pids, err := c.Procs()
	if len(pids) != 1 || pids[0] != j.Process.Pid || err != nil {
		t.Errorf("%v %v, want %d", pids, err, j.Process.Pid)
	}
	c.Kill(unix.SIGKILL)
	go j.Wait()
	for range 2 {
		if err := c.Delete(); err != nil {
			t.Fatal(err)
		}
	}
	if pids, err := c.Procs(); len(pids) > 0 || err != nil {
		t.Errorf("%v %v", pids, err)
	}
}

func TestDeleteSaysWhoIsThere(t *testing.T) {
	needRoot(t)
	c := made(t, nil)
	j := c.start(t, "sleep")
	err := c.Delete()
	if err == nil || !strings.Contains(err.Error(),
		fmt.Sprint("[", j.Process.Pid, "]")) {
		t.Errorf("%v", err)
	}
}

// A container that has made cgroups of its own can still be joined.
func TestAddBelow(t *testing.T) {
	needV2(t)
	c := made(t, nil)
	dir := c.Paths()[""]
	j := c.start(t, "sleep")
	os.MkdirAll(dir+"/in/side", 0o755)
	for _, step := range [][2]string{
		{"/in/side/cgroup.procs", fmt.Sprint(j.Process.Pid)},
		{"/cgroup.subtree_control", "+memory"},
		{"/in/cgroup.subtree_control", "+memory"}} {
		if err := write(dir+step[0], step[1]); err != nil {
			t.Fatal(step, err)
		}
	}
	other := exec.Command("sleep", "100")
	other.Start()
	defer other.Wait()
	defer other.Process.Kill()
	if err := c.Add(other.Process.Pid); err != nil {
		t.Fatal(err)
	}
	got := read(fmt.Sprintf("/proc/%d/cgroup", other.Process.Pid))
	if !strings.HasSuffix(got, "/in/side") {
		t.Errorf("%s", got)
	}
	if pids, _ := c.Procs(); len(pids) != 2 {
		t.Errorf("%v", pids)
	}
}

// Paths.

func TestPath(t *testing.T) {
	for in, want := range map[string]string{
		"a":                            "/a",
		"/a/b":                         "/a/b",
		"../../a":                      "/a",
		"/a/../..//b/":                 "/b",
		"/":                            "error",
		"":                             "error",
		"..":                           "error",
		"a\nb":                         "error",
		"system.slice:docker:0a":       "/system.slice/docker-0a.scope",
		":docker:0a":                   "/system.slice/docker-0a.scope",
		"u-1.slice:libpod:x":           "/u.slice/u-1.slice/libpod-x.scope",
		"-.slice:p:x":                  "/p-x.scope",
		"a-b.slice::x":                 "/a.slice/a-b.slice/x.scope",
		"a.slice:p:kube.slice":         "/a.slice/kube.slice",
		"nothing:p:x":                  "error",
		"a.slice:p:":                   "error",
		"a.slice:p:../../x":            "/x",
		"/a:b":                         "/a:b",
		"kubepods/besteffort/pod1/abc": "/kubepods/besteffort/pod1/abc",
	} {
		got, err := cgroupPath(in)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s %v, want %s", in, got, err, want)
		}
	}
}

// A path from outside stays below the root, on one line.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"a", "/a/../b", "x.slice:y:z", "::", ":::",
		"-.slice:-:-", "a--b.slice:c:d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := cgroupPath(in)
		if err == nil && (len(got) < 2 || got[0] != '/' ||
			got != filepath.Clean(got) || strings.Contains(got, "\n")) {
			t.Errorf("%q: %q", in, got)
		}
	})
}

func TestCreateBelow(t *testing.T) {
	needRoot(t)
	parent := name()
	c, err := Create(parent+"/a/b", memory(64*mib, 64*mib))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		remove(t, c)
		for _, dir := range c.Paths() {
			os.Remove(filepath.Dir(dir))
			os.Remove(filepath.Dir(filepath.Dir(dir)))
		}
	}()
	if _, status := c.run(t, "eat", "100"); status != 137 {
		t.Errorf("status %d", status)
	}
	for _, dir := range c.Paths() {
		if !strings.HasSuffix(dir, parent+"/a/b") {
			t.Error(dir)
		}
	}
	if len(c.Paths()) != len(hierarchies()) {
		t.Error(c.Paths())
	}
	if again := Load(c.Paths()); again.tree() != c.tree() {
		t.Error("not the same after Load")
	}
}

// Where others are nothing is limited, nor killed at the end.
func TestCreateAmongOthers(t *testing.T) {
	needRoot(t)
	where := name()
	c, err := Create(where, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer remove(t, c)
	j := c.start(t, "sleep")
	d, err := Create(where, memory(mib, mib))
	if err == nil || !strings.Contains(err.Error(), "is in it") {
		t.Errorf("%v %v", d, err)
	}
	if err := j.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.tree()); err != nil {
		t.Error(err)
	}
}

// Errors: one line that says which controller, and nothing is left.
func TestErrors(t *testing.T) {
	needRoot(t)
	type r = specs.LinuxResources
	hot := func(rate uint64) []specs.LinuxThrottleDevice {
		d := specs.LinuxThrottleDevice{Rate: rate}
		d.Major, d.Minor = 4000, 1
		return []specs.LinuxThrottleDevice{d}
	}
	for _, c := range []struct {
		name string
		r    *r
		want string
	}{
		{"quota", &r{CPU: &specs.LinuxCPU{Quota: p(int64(5))}}, "cpu."},
		{"period", &r{CPU: &specs.LinuxCPU{Period: p(uint64(5))}}, "cpu."},
		{"cpus", &r{CPU: &specs.LinuxCPU{Cpus: "999"}}, "cpuset.cpus"},
		{"cpus text", &r{CPU: &specs.LinuxCPU{Cpus: "x"}}, "cpuset.cpus"},
		{"mems", &r{CPU: &specs.LinuxCPU{Mems: "99"}}, "cpuset.mems"},
		{"swap below memory", memory(64*mib, 32*mib), "memory and swap"},
		{"disk", &r{BlockIO: &specs.LinuxBlockIO{
			ThrottleReadBpsDevice: hot(1)}}, "whole disks"},
		{"leaf", &r{BlockIO: &specs.LinuxBlockIO{LeafWeight: p(uint16(9))}},
			"leaf_weight"},
		{"huge", &r{HugepageLimits: []specs.LinuxHugepageLimit{
			{Pagesize: "3MB", Limit: 1}}}, "hugetlb"},
		{"huge path", &r{HugepageLimits: []specs.LinuxHugepageLimit{
			{Pagesize: "../x", Limit: 1}}}, "hugetlb"},
		{"rdma", &r{Rdma: map[string]specs.LinuxRdma{"x": {HcaHandles: p(
			uint32(1))}}}, "rdma"},
		{"class", &r{Network: &specs.LinuxNetwork{ClassID: p(uint32(1))}},
			"net_cls"},
		{"unified", &r{Unified: map[string]string{"../memory.max": "1"}},
			"/memory.max"},
		{"unified cgroup", &r{Unified: map[string]string{"cgroup.kill": "1"}},
			"cgroup.kill"},
		{"kernel", &r{Memory: &specs.LinuxMemory{Kernel: p(int64(mib))}},
			"memory.kmem"},
		{"device type", &r{Devices: []specs.LinuxDeviceCgroup{
			{Type: "x"}}}, "device rule"},
		{"device type m", &r{Devices: []specs.LinuxDeviceCgroup{
			{Type: "m", Allow: true}}}, "device rule"},
		{"all of one", &r{Devices: []specs.LinuxDeviceCgroup{
			dev(true, "a", 1, 3, "r")}}, "device rule"},
		{"device access", &r{Devices: []specs.LinuxDeviceCgroup{
			{Type: "c", Access: "q"}}}, "device rule"},
		{"device number", &r{Devices: []specs.LinuxDeviceCgroup{
			dev(true, "c", 1<<40, 0, "r")}}, "device rule"},
	} {
		t.Run(c.name, func(t *testing.T) {
			where := name()
			g, err := Create(where, c.r)
			if err == nil {
				remove(t, g)
				t.Fatal("no error")
			}
			t.Log(err)
			if !strings.Contains(err.Error(), c.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			for _, root := range hierarchies() {
				if _, err := os.Stat(root + where); err == nil {
					t.Error(root+where, "is left")
				}
			}
		})
	}
}

func TestUnified(t *testing.T) {
	needV2(t)
	c := made(t, &specs.LinuxResources{Unified: map[string]string{
		"memory.max": fmt.Sprint(40 * mib), "memory.swap.max": "0",
		"pids.max": "7"}})
	if _, status := c.run(t, "eat", "80"); status != 137 {
		t.Errorf("status %d", status)
	}
	s, _ := c.Stats()
	if s.Pids.Limit != 7 {
		t.Errorf("%+v", s.Pids)
	}
}

// What has no meaning in version 2 is an error there, as is a cgroup in the
// middle that has processes.
func TestV2Errors(t *testing.T) {
	needV2(t)
	for _, m := range []specs.LinuxMemory{{Swappiness: p(uint64(1))},
		{DisableOOMKiller: p(true)}, {Kernel: p(int64(1))}} {
		if c, err := Create(name(), &specs.LinuxResources{Memory: &m}); err ==
			nil {
			remove(t, c)
			t.Errorf("%+v", m)
		} else {
			t.Log(err)
		}
	}
	top := made(t, nil)
	top.start(t, "sleep")
	sub := strings.TrimPrefix(top.Paths()[""], hierarchies()[""])
	_, err := Create(sub+"/below", memory(64*mib, 64*mib))
	if err == nil || !strings.Contains(err.Error(), top.Paths()[""]+
		" has 1 processes") {
		t.Errorf("%v", err)
	}
	t.Log(err)
}

func TestManyAtOnce(t *testing.T) {
	needRoot(t)
	var all sync.WaitGroup
	for range 20 {
		all.Add(1)
		go func() {
			defer all.Done()
			c, err := Create(name(), memory(64*mib, 64*mib))
			if err != nil {
				t.Error(err)
				return
			}
			remove(t, c)
		}()
	}
	all.Wait()
}

func TestStats(t *testing.T) {
	needRoot(t)
	c := made(t, nil)
	c.start(t, "spin")
	var s *Stats
	eventually(t, "processor time", func() bool {
		s, _ = c.Stats()
		return s.CPU.Usage.Total > 2e8 // user and kernel are sampled
	})
	if s.Pids.Current < 1 || s.Memory.Usage.Usage == 0 ||
		len(s.Memory.Raw) < 10 || s.CPU.Usage.User+s.CPU.Usage.Kernel == 0 ||
		s.Pids.Limit != 0 {
		t.Errorf("%+v", s)
	}
}

// An ordinary user.

// create: makes the cgroup PATH, with a limit if there is a second word, runs
// something in it, and removes it.
func create(args []string) {
	var r *specs.LinuxResources
	if len(args) > 1 {
		r = memory(40*mib, 40*mib)
		r.Devices = []specs.LinuxDeviceCgroup{dev(true, "c", 1, 3, "rwm")}
	}
	c, err := Create(args[0], r)
	if err != nil {
		fmt.Print(err)
		return
	}
	self, _ := os.Executable()
	eater := exec.Command(self, "80")
	eater.Env = append(os.Environ(), "CGROUP_HELPER=eat")
	fd, _ := c.Enter()
	if fd != nil {
		eater.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true,
			CgroupFD: int(fd.Fd())}
	}
	err = eater.Run()
	fmt.Print(len(c.Paths()), " ", err, " ", c.Delete())
}

// asUser runs the helper create.
func asUser(t *testing.T, dir string, args ...string) string {
	t.Helper()
	self, _ := os.Executable()
	copied := filepath.Join(t.TempDir(), "test")
	for at := filepath.Dir(copied); at != "/"; at = filepath.Dir(at) {
		if st, _ := os.Stat(at); st.Mode()&1 == 0 {
			os.Chmod(at, 0o755)
		}
	}
	text, _ := os.ReadFile(self)
	os.WriteFile(copied, text, 0o755)
	c := exec.Command(copied, args...)
	c.Env = append(os.Environ(), "CGROUP_HELPER=create")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{
		Uid: 1000, Gid: 1000}}
	if dir != "" {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c.SysProcAttr.UseCgroupFD = true
		c.SysProcAttr.CgroupFD = int(f.Fd())
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	return string(out)
}

func TestUserWithoutDelegation(t *testing.T) {
	needRoot(t)
	if got := asUser(t, "", name()); got != "0 <nil> <nil>" {
		t.Errorf("nothing asked: %s", got)
	}
	got := asUser(t, "", name(), "limit")
	if !strings.Contains(got, "Delegate=yes") ||
		!strings.Contains(got, "memory") || strings.Contains(got, "\n") {
		t.Errorf("%s", got)
	}
	t.Log(got)
}

func TestUserWithDelegation(t *testing.T) {
	needV2(t)
	c := made(t, nil)
	dir := c.Paths()[""]
	own := func(dir string) {
		for _, file := range []string{"", "/cgroup.procs",
			"/cgroup.subtree_control", "/cgroup.threads"} {
			os.Chown(dir+file, 1000, 1000)
		}
	}
	own(dir)
	os.Mkdir(dir+"/session", 0o755)
	own(dir + "/session")
	got := asUser(t, dir+"/session", name(), "limit")
	if got != "1 signal: killed <nil>" {
		t.Errorf("%s", got)
	}
	// Processes in the middle.
	dir = made(t, nil).Paths()[""]
	own(dir)
	got = asUser(t, dir, name(), "limit")
	if !strings.Contains(got, dir+" has 1 processes") {
		t.Errorf("%s", got)
	}
	t.Log(got)
}

// Weights need a scheduler that has them; where there is none, the error says
// which.
func TestWeight(t *testing.T) {
	need(t, "io")
	for _, b := range []specs.LinuxBlockIO{{Weight: p(uint16(500))},
		{Weight: p(uint16(0))}} {
		c, err := Create(name(), &specs.LinuxResources{BlockIO: &b})
		if err == nil {
			for _, file := range []string{"io.weight", "io.bfq.weight",
				"blkio.bfq.weight", "blkio.weight"} {
				dir, _ := c.at("io")
				t.Log(*b.Weight, file, read(dir+"/"+file))
			}
			remove(t, c)
		} else if *b.Weight == 0 || !strings.Contains(err.Error(), "bfq") {
			t.Error(err)
		}
		t.Log(err)
	}
}
