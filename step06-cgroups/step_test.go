package main_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the C programs do too: three of the limits, and the namespace.
var inC = []string{"memory", "cpus", "pids", "namespace"}

// A tree is where a controller lives on this machine.
type tree struct {
	dir string
	v2  bool
}

// treeOf finds a controller. In version 1, io is called blkio.
func treeOf(controller string) (found tree) {
	old := controller
	if old == "io" {
		old = "blkio"
	}
	for _, line := range mountinfo(us) {
		f := strings.Fields(line)
		kind, options := f[len(f)-3], strings.Split(f[len(f)-1], ",")
		list := strings.Fields(read(f[4] + "/cgroup.controllers"))
		if kind == "cgroup2" && slices.Contains(list, controller) {
			return tree{f[4], true}
		}
		if kind == "cgroup" && slices.Contains(options, old) {
			found = tree{f[4], false}
		}
	}
	return found
}

// file is one of a container's files: what it is called in version 1 and in
// version 2. Its name begins with the controller's.
func (r *running) file(name1, name2 string) string {
	controller, _, _ := strings.Cut(name2, ".")
	where, name := treeOf(controller), name1
	if where.v2 {
		name = name2
	}
	return fmt.Sprintf("%s/workshop-%d/%s", where.dir, r.pid, name)
}

// value is what a container's file says.
func (r *running) value(name1, name2 string) string {
	return strings.TrimSpace(read(r.file(name1, name2)))
}

// count is a number in a line "NAME NUMBER" of a container's file.
func (r *running) count(name1, name2, name string) (n int) {
	for line := range strings.Lines(read(r.file(name1, name2))) {
		if _, err := fmt.Sscanf(line, name+" %d", &n); err == nil {
			return n
		}
	}
	return -1
}

func init() {
	for _, name := range []string{"memory", "cpu", "cpuset", "pids", "io"} {
		requirements["cgroup:"+name] = func() string {
			if treeOf(name).dir == "" {
				return "cgroup controller " + name + ": make doctor"
			}
			return ""
		}
	}
	requirements["swap"] = func() string {
		if strings.Count(read("/proc/swaps"), "\n") < 2 {
			return "swap: swapon a disk or a file, or make test-vm"
		}
		return ""
	}
	requirements["2 cpus"] = func() string {
		if len(cpus()) < 2 {
			return "a second processor: make test-vm"
		}
		return ""
	}
	requirements["cgroup2"] = func() string {
		if !treeOf("memory").v2 {
			return "the memory controller in cgroup version 2: make test-vm"
		}
		return ""
	}
	requirements["a cpu that is off"] = func() string {
		if absent() == "" {
			return "a processor that is switched off: make test-vm"
		}
		return ""
	}
	requirements["disk"] = func() string {
		if _, _, err := disk(os.TempDir()); err != nil {
			return "a disk under TMPDIR: " + err.Error()
		}
		return ""
	}
	helpers["direct"] = direct
	helpers["eat"] = eat
	helpers["hiding"] = hiding
	helpers["fresh"] = fresh
	helpers["pretending"] = pretending
	watched["the machine's cgroups"] = machine
}

// machine is what no container may change: where we are, and the limits at
// the top of each tree. What version 2 enables there may grow.
func machine() (seen []string) {
	seen = strings.Split(read("/proc/self/cgroup"), "\n")
	for _, controller := range []string{"memory", "cpu", "cpuset", "pids",
		"io"} {
		dir := treeOf(controller).dir
		for _, name := range []string{"memory.limit_in_bytes",
			"memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes",
			"cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us",
			"cpuset.cpus", "cpuset.mems", "pids.max"} {
			seen = append(seen, name+" "+read(dir+"/"+name))
		}
	}
	return seen
}

// random is a number in [from, to).
func random(from, to int) int {
	n, _ := rand.Int(rand.Reader, big.NewInt(int64(to-from)))
	return from + int(n.Int64())
}

// cpus are the numbers of the processors that we may use.
func cpus() (list []int) {
	var set unix.CPUSet
	unix.SchedGetaffinity(0, &set)
	for n := range 1024 {
		if set.IsSet(n) {
			list = append(list, n)
		}
	}
	return list
}

// alone is the option for a container without a network, which is there
// faster. The C programs never give it one.
func (p program) alone(args ...string) []string {
	if p.name == "go" {
		return append([]string{"--network", "none"}, args...)
	}
	return args
}

// limited starts a container as start does.
func (p program) limited(t *testing.T, args ...string) *running {
	t.Helper()
	return p.start(t, p.alone(args...)...)
}

// once runs a container to its end.
func (p program) once(t *testing.T, args ...string) (string, string, int) {
	t.Helper()
	return p.run(t, append([]string{"run"}, p.alone(args...)...)...)
}

// command waits for the first child of the container's PID 1.
func (r *running) command(t *testing.T) (pid int) {
	t.Helper()
	eventually(t, "a command", func() bool {
		list := children(r.container)
		if len(list) > 0 {
			pid = list[0]
		}
		return len(list) > 0
	})
	return pid
}

// says waits until the command has written want.
func (r *running) says(t *testing.T, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q", want), func() bool {
		return strings.Contains(r.stdout(), want)
	})
}

// cgroup is the path of a process in a controller's tree, as we see it.
func cgroup(pid int, controller string) string {
	where := treeOf(controller)
	if controller == "io" && !where.v2 {
		controller = "blkio"
	}
	for line := range strings.Lines(read(fmt.Sprintf("/proc/%d/cgroup", pid))) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if where.v2 && f[1] == "" ||
			slices.Contains(strings.Split(f[1], ","), controller) {
			return f[2]
		}
	}
	return ""
}

// spent is the processor time of a process, in seconds; proc(5).
func spent(pid int) float64 {
	text := read(fmt.Sprintf("/proc/%d/schedstat", pid))
	ns, _, _ := strings.Cut(text, " ")
	n, _ := strconv.ParseFloat(ns, 64)
	return n / 1e9
}

const spin = "while :; do :; done"

// Memory.

// dd wants a buffer of so many bytes, and fills it.
func dd(size int) string {
	return fmt.Sprintf("dd if=/dev/zero of=/dev/null bs=%dk count=1 "+
		"2>/dev/null; echo status $?", size/1024)
}

const mib = 1 << 20

func TestKilledAtTheMemoryLimit(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		limit := random(40, 60) * mib
		out, _, _ := p.once(t, "sh", "-c", dd(2*limit))
		equal(t, "without a limit", out, "status 0\n")
		r := p.limited(t, "--memory", fmt.Sprint(limit), "--memory-swap",
			fmt.Sprint(limit), "sh", "-c", dd(limit/2)+";"+dd(2*limit)+
				"; sleep 1000")
		r.says(t, "status 137\n")
		equal(t, "below and above the limit", r.stdout(),
			"status 0\nstatus 137\n")
		equal(t, "limit", r.value("memory.limit_in_bytes", "memory.max"),
			fmt.Sprint(limit&^0xfff))
		n := r.count("memory.oom_control", "memory.events", "oom_kill")
		equal(t, "oom_kill", n, 1)
		alive(t, r.container)
	})
}

// The command's own end is the container's.
func TestStatusOfTheKilled(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		_, stderr, status := p.once(t, "--memory", "32m", "--memory-swap",
			"32m", "dd", "if=/dev/zero", "of=/dev/null", "bs=128M", "count=1")
		equal(t, "status", status, 137)
		if !strings.Contains(stderr, "container exited!") {
			t.Errorf("stderr:\n%s", stderr)
		}
	})
}

func TestMemoryReservation(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		low := random(6, 30)
		r := p.limited(t, "--memory", "64m", "--memory-reservation",
			fmt.Sprintf("%dm", low), "sleep", "1000")
		equal(t, "reservation", r.value("memory.soft_limit_in_bytes",
			"memory.low"), fmt.Sprint(low*mib))
	})
}

// Sizes are in bytes, or in Docker's units, large or small.
func TestSizes(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		n := random(6, 60)
		for text, want := range map[string]int{
			fmt.Sprint(n * mib):        n * mib,
			fmt.Sprintf("%db", n*mib):  n * mib,
			fmt.Sprintf("%dK", n*1024): n * mib,
			fmt.Sprintf("%dMB", n):     n * mib,
			fmt.Sprintf("%d.5m", n):    n*mib + mib/2,
			fmt.Sprintf("%dg", n):      n * 1024 * mib,
		} {
			r := p.limited(t, "--memory", text, "sleep", "1000")
			equal(t, text, r.value("memory.limit_in_bytes", "memory.max"),
				fmt.Sprint(want))
			r.signal(unix.SIGKILL)
		}
	})
}

// Docker's meaning of every pair. Version 1 counts memory and swap together,
// version 2 swap alone.
func TestMemoryAndSwap(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		memory, more := random(16, 64)*mib, random(1, 64)*mib
		all := memory + more
		for i, c := range []struct {
			name, swap string
			v1, v2     any
		}{
			{"more than memory", fmt.Sprint(all), all, more},
			{"as much", fmt.Sprintf("%dk", memory/1024), memory, 0},
			{"zero", "0", 2 * memory, memory},
			{"without a limit", "-1", "9223372036854771712", "max"},
			{"by default", "", 2 * memory, memory},
		} {
			if p.name == "c" && i > 1 {
				continue // it takes what it is given
			}
			t.Run(c.name, func(t *testing.T) {
				options := []string{"--memory", fmt.Sprint(memory)}
				if c.swap != "" {
					options = append(options, "--memory-swap", c.swap)
				}
				r := p.limited(t, append(options, "sleep", "1000")...)
				want := c.v1
				if treeOf("memory").v2 {
					want = c.v2
				}
				equal(t, "swap", r.value("memory.memsw.limit_in_bytes",
					"memory.swap.max"), fmt.Sprint(want))
				equal(t, "memory", r.value("memory.limit_in_bytes",
					"memory.max"), fmt.Sprint(memory))
			})
		}
	})
}

// With swap, what does not fit is moved there; without, somebody dies.
func TestSwapIsUsed(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory", "swap")
		box := []string{"--rootfs", copyRootfs(t, p.uid), "--volume",
			work + "/test:/helper"}
		eat := []string{"/helper", "helper:eat", "100"}
		for swap, want := range map[string]int{"48m": 137, "200m": 0, "-1": 0} {
			_, stderr, status := p.once(t, slices.Concat(box,
				[]string{"--memory", "48m", "--memory-swap", swap}, eat)...)
			if status != want {
				t.Errorf("swap %s: status %d, stderr:\n%s", swap, status,
					stderr)
			}
		}
	})
}

// eat touches so many MiB, one after the other.
func eat(args []string) {
	n, _ := strconv.Atoi(args[0])
	var kept [][]byte
	for range n {
		block := make([]byte, mib)
		for i := 0; i < mib; i += 4096 {
			block[i] = byte(rand.Text()[0]) // not all the same: no merging
		}
		kept = append(kept, block)
	}
	fmt.Println(len(kept))
}

// /proc is not the cgroup's: free(1) shows the machine's memory.
func TestFreeShowsTheMachine(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		out, _, _ := p.once(t, "--memory", "32m", "head", "-n", "1",
			"/proc/meminfo")
		total, _, _ := strings.Cut(read("/proc/meminfo"), "\n")
		equal(t, "inside", strings.TrimSpace(out), total)
	})
}

// Processors.

// A busy loop gets its quota and no more. The quota is low, so that it is the
// quota that holds it back, not other suites.
func TestQuota(t *testing.T) {
	each(t, "cpus", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:cpu")
		percent := random(10, 20)
		for _, options := range [][]string{
			{"--cpus", fmt.Sprint(float64(percent) / 100)},
			{"--cpu-quota", fmt.Sprint(percent * 400), "--cpu-period", "40000"},
		} {
			if p.name == "c" && options[0] != "--cpus" {
				continue
			}
			r := p.limited(t, append(options, "sh", "-c", spin)...)
			pid := r.command(t)
			before, since := spent(pid), time.Now()
			time.Sleep(2 * time.Second)
			share := (spent(pid) - before) / time.Since(since).Seconds() * 100
			if share > float64(percent)*1.5 || share < float64(percent)/3 {
				t.Errorf("%q: %.0f %% of a processor", options, share)
			}
			eventually(t, "nr_throttled", func() bool {
				return r.count("cpu.stat", "cpu.stat", "nr_throttled") > 0
			})
			r.signal(unix.SIGKILL)
		}
	})
}

// What Docker's options are in the kernel's files.
func TestProcessorFiles(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:cpu")
		q, period := random(1, 9)*10000, random(20, 90)*1000
		for _, c := range []struct{ options, v1, v2 string }{
			{fmt.Sprintf("--cpus %.2f", float64(q)/100000),
				fmt.Sprintf("%d 100000", q), fmt.Sprintf("%d 100000", q)},
			{"--cpus 1.5", "150000 100000", "150000 100000"},
			{"--cpus 0.29", "29000 100000", "29000 100000"},
			{fmt.Sprintf("--cpu-quota %d", q), fmt.Sprintf("%d 100000", q),
				fmt.Sprintf("%d 100000", q)},
			{fmt.Sprintf("--cpu-quota %d --cpu-period %d", q, period),
				fmt.Sprint(q, " ", period), fmt.Sprint(q, " ", period)},
			{fmt.Sprintf("--cpu-period %d", period),
				fmt.Sprintf("-1 %d", period), fmt.Sprintf("max %d", period)},
		} {
			r := p.limited(t, append(strings.Fields(c.options), "sleep",
				"1000")...)
			got, want := r.value("cpu.cfs_quota_us", "cpu.max"), c.v2
			if !treeOf("cpu").v2 {
				got += " " + r.value("cpu.cfs_period_us", "cpu.max")
				want = c.v1
			}
			equal(t, c.options, got, want)
			r.signal(unix.SIGKILL)
		}
	})
}

// Two busy loops on one processor share it as their shares say, whoever else
// is there. Where no one else wants it, shares are no limit.
func TestShares(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:cpu", "cgroup:cpuset")
		all := cpus()
		cpu := fmt.Sprint(all[random(0, len(all))])
		var pids [2]int
		for i, shares := range []string{"1024", "2048"} {
			r := p.limited(t, "--cpuset-cpus", cpu, "--cpu-shares", shares,
				"sh", "-c", spin)
			want := map[bool]string{false: shares,
				true: []string{"100", "200"}[i]}[treeOf("cpu").v2]
			equal(t, "file", r.value("cpu.shares", "cpu.weight"), want)
			pids[i] = r.command(t)
		}
		small, big := spent(pids[0]), spent(pids[1])
		eventually(t, "enough time", func() bool {
			return spent(pids[1])-big > 0.8
		})
		ratio := (spent(pids[1]) - big) / (spent(pids[0]) - small)
		if ratio < 1.5 || ratio > 2.7 {
			t.Errorf("1024 and 2048 shares: 1 to %.2f", ratio)
		}
	})
}

// Shares that the two versions count differently, at both ends.
func TestWeights(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:cpu")
		for shares, weight := range map[string]string{"2": "1", "512": "50",
			"10240": "1000", "262144": "10000"} {
			r := p.limited(t, "--cpu-shares", shares, "sleep", "1000")
			want := map[bool]string{false: shares, true: weight}
			equal(t, shares, r.value("cpu.shares", "cpu.weight"),
				want[treeOf("cpu").v2])
			r.signal(unix.SIGKILL)
		}
	})
}

func TestCpuset(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:cpuset", "2 cpus")
		all := cpus()
		first, second := fmt.Sprint(all[0]), fmt.Sprint(all[1])
		both := first + "," + second
		for list, want := range map[string]string{first: first,
			second: second, both: strings.Join(status(us,
				"Cpus_allowed_list"), "")} {
			if list == both && len(all) > 2 {
				continue
			}
			out, _, _ := p.once(t, "--cpuset-cpus", list, "grep",
				"Cpus_allowed_list", "/proc/self/status")
			equal(t, list, strings.Join(strings.Fields(out)[1:], ""), want)
		}
	})
}

// Processes.

func TestForkIsRefused(t *testing.T) {
	each(t, "pids", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:pids")
		limit := random(40, 60)
		// A shell whose fork fails gives up: the loop is in a second one.
		loop := "(i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); " +
			"done); echo done; exec sleep 1000"
		for _, options := range [][]string{nil, {"--pids-limit",
			fmt.Sprint(limit)}} {
			r := p.limited(t, append(options, "sh", "-c", loop)...)
			r.says(t, "done")
			n := len(tagged(seen.tag))
			if options == nil {
				if n < 100 {
					t.Errorf("without a limit: %d processes", n)
				}
				unix.Kill(r.container, unix.SIGKILL)
				r.wait(t)
				continue
			}
			// EAGAIN: some shells say what that means, others "Cannot fork".
			if !strings.Contains(r.stderr(), "fork") {
				t.Errorf("stderr:\n%s", r.stderr())
			}
			// Our own PID 1 counts, each of its threads.
			if n > limit+5 || n < limit-20 {
				t.Errorf("limit %d: %d processes", limit, n)
			}
			equal(t, "limit", r.value("pids.max", "pids.max"),
				fmt.Sprint(limit))
			if n := r.count("pids.events", "pids.events", "max"); n < 1 {
				t.Errorf("refused %d times", n)
			}
			check(t, output("true")) // the machine itself can fork
		}
	})
}

// A fork bomb in one container is nothing to the next.
func TestForkBombIsContained(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:pids")
		r := p.limited(t, "--pids-limit", "40", "sh", "-c",
			"bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done")
		eventually(t, "a full cgroup", func() bool {
			return r.count("pids.events", "pids.events", "max") > 0
		})
		out, _, _ := p.once(t, "--pids-limit", "40", "echo", "well")
		equal(t, "another container", out, "well\n")
		n, _ := strconv.Atoi(r.value("pids.current", "pids.current"))
		if n > 40 {
			t.Errorf("%d processes and threads", n)
		}
		unix.Kill(r.container, unix.SIGKILL)
		r.wait(t)
		if stderr := r.stderr(); strings.Contains(stderr, "goroutine") {
			t.Errorf("stderr:\n%s", stderr)
		}
	})
}

// Disks.

// disk is the whole disk that a directory is on: its numbers and its file.
func disk(dir string) (number, file string, err error) {
	var st unix.Stat_t
	if err = unix.Stat(dir, &st); err != nil {
		return "", "", err
	}
	path, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d",
		unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return "", "", errors.New("it is on no block device: set TMPDIR")
	}
	if read(path+"/partition") != "" {
		path = filepath.Dir(path)
	}
	number = strings.TrimSpace(read(path + "/dev"))
	file = "/dev/" + filepath.Base(path)
	_, err = os.Stat(file)
	return number, file, err
}

// direct reads or writes FILE in COUNT blocks of SIZE bytes, past all caches,
// and says how many milliseconds it took.
func direct(args []string) {
	size, _ := strconv.Atoi(args[2])
	count, _ := strconv.Atoi(args[3])
	fd, err := unix.Open(args[1], unix.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	// O_DIRECT wants an aligned buffer: open(2).
	room := make([]byte, size+4096)
	skip := -int(uintptr(unsafe.Pointer(&room[0]))) & 4095
	block, since := room[skip:skip+size], time.Now()
	for i := range count {
		if args[0] == "read" {
			_, err = unix.Pread(fd, block, int64(i*size))
		} else {
			_, err = unix.Pwrite(fd, block, int64(i*size))
		}
		if err != nil {
			fmt.Println(args[0]+":", err)
			os.Exit(1)
		}
	}
	fmt.Println(time.Since(since).Milliseconds())
}

// Bytes and operations in a second, seen on a disk. The file is there before:
// what we measure is only its data.
func TestDiskLimits(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:io", "disk", "rootfs")
		number, device, _ := disk(work)
		data := scratch(t, p.uid)
		check(t, os.WriteFile(data+"/file", []byte(rand.Text()), 0o644))
		check(t, output("dd", "if=/dev/zero", "of="+data+"/file", "bs=1M",
			"count=4"))
		unix.Sync()
		box := []string{"--rootfs", copyRootfs(t, p.uid), "--volume",
			work + "/test:/helper", "--volume", data + ":/data"}
		for _, c := range []struct {
			way, unit   string
			rate        int
			size, count int
		}{
			{"read", "bps", random(20, 30) * 100000, 64 << 10, 48},
			{"write", "bps", random(20, 30) * 100000, 64 << 10, 48},
			{"read", "iops", random(20, 30), 4096, 36},
			{"write", "iops", random(20, 30), 4096, 36},
		} {
			t.Run(c.way+" "+c.unit, func(t *testing.T) {
				run := []string{"/helper", "helper:direct", c.way,
					"/data/file", fmt.Sprint(c.size), fmt.Sprint(c.count)}
				limit := []string{"--device-" + c.way + "-" + c.unit,
					fmt.Sprintf("%s:%d", device, c.rate)}
				free := milliseconds(t, p, box, run)
				took := milliseconds(t, p, box, limit, run)
				want := 1000 * c.count / c.rate
				if c.unit == "bps" {
					want = 1000 * c.count * c.size / c.rate
				}
				t.Logf("%s: %d ms, limited %d ms of %d ms", number, free,
					took, want)
				if took < want*7/10 {
					t.Errorf("took %d ms, %d expected", took, want)
				}
				if free > want/2 && took < free*3/2 {
					t.Errorf("%d ms without a limit, %d with", free, took)
				}
			})
		}
	})
}

func milliseconds(t *testing.T, p program, args ...[]string) int {
	t.Helper()
	out, stderr, status := p.once(t, slices.Concat(args...)...)
	n, err := strconv.Atoi(strings.TrimSpace(out))
	if status != 0 || err != nil {
		t.Fatalf("status %d: %s%s", status, out, stderr)
	}
	return n
}

// Two limits on two ways share a line in version 2, not a file in version 1.
func TestDiskFiles(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:io", "disk")
		number, device, _ := disk(work)
		bps, iops := random(100, 900), random(100, 900)
		r := p.limited(t, "--device-read-bps", fmt.Sprintf("%s:%dk", device,
			bps), "--device-write-iops", fmt.Sprintf("%s:%d", device, iops),
			"sleep", "1000")
		got := r.value("blkio.throttle.read_bps_device", "io.max")
		want := fmt.Sprintf("%s rbps=%d wbps=max riops=max wiops=%d", number,
			bps*1024, iops)
		if !treeOf("io").v2 {
			got += "\n" + r.value("blkio.throttle.write_iops_device", "io.max")
			want = fmt.Sprintf("%s %d\n%s %d", number, bps*1024, number, iops)
		}
		equal(t, "io", got, want)
	})
}

// Where the container is, and what it sees of that.

// Only the trees that are needed have a cgroup, and the process is in it from
// its first instruction: a move after the namespace was made would show as a
// path that begins with /.. inside.
func TestFirstInstruction(t *testing.T) {
	each(t, "namespace", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:pids", "cgroup:memory")
		before := cgroup(us, "memory")
		for range 5 {
			r := p.limited(t, "--pids-limit", "100", "sh", "-c",
				"cat /proc/self/cgroup; echo end; exec sleep 1000")
			r.says(t, "end\n")
			name := fmt.Sprintf("/workshop-%d", r.pid)
			for line := range strings.Lines(r.stdout()) {
				f := strings.SplitN(strings.TrimSpace(line), ":", 3)
				if len(f) == 3 && f[2] != "/" {
					t.Errorf("inside: %s", line)
				}
			}
			for _, pid := range []int{r.container, r.command(t)} {
				equal(t, "pids", cgroup(pid, "pids"), name)
				if !treeOf("memory").v2 {
					equal(t, "memory", cgroup(pid, "memory"), before)
				}
			}
			equal(t, "the program", cgroup(r.pid, "pids"), cgroup(us, "pids"))
			r.signal(unix.SIGKILL)
		}
	})
}

func TestCgroupNamespace(t *testing.T) {
	each(t, "namespace", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.limited(t, "sleep", "1000")
		r.command(t) // by now all is set up
		got := differ(t, us, r.container)
		for _, kind := range []string{"cgroup", "ipc", "mnt", "pid", "uts"} {
			if !slices.Contains(got, kind) {
				t.Errorf("no %s namespace of its own: %q", kind, got)
			}
		}
		out := p.must(t, "exec", fmt.Sprint(r.container), "readlink",
			"/proc/self/ns/cgroup")
		equal(t, "exec joins", out, ns(r.container, "cgroup"))
		out = p.must(t, "exec", fmt.Sprint(r.container), "readlink",
			"/proc/1/ns/cgroup")
		equal(t, "PID 1 in its /proc", out, ns(r.container, "cgroup"))
		equal(t, "the program", ns(r.pid, "cgroup"), ns(us, "cgroup"))
	})
}

// unshare -C makes the caller's own cgroup the root of what it sees.
func TestUnshare(t *testing.T) {
	each(t, "namespace", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:pids")
		dir := treeOf("pids").dir + fmt.Sprint("/workshop-test-", us)
		check(t, os.Mkdir(dir, 0o755))
		defer os.Remove(dir)
		script := "echo $$ >" + dir + "/cgroup.procs; cat /proc/self/cgroup;" +
			` echo; exec "$@" sh -c "cat /proc/self/cgroup;` +
			` readlink /proc/self/ns/cgroup"`
		var out strings.Builder
		c := command(p.uid, append([]string{"sh", "-c", script, "-"},
			p.argv("unshare", "-C")...)...)
		c.Stdout, c.Stderr = &out, &out
		check(t, c.Run())
		before, after, _ := strings.Cut(out.String(), "\n\n")
		name := filepath.Base(dir)
		if !strings.Contains(before, ":/"+name) ||
			strings.Contains(after, name) || !strings.Contains(after, ":/\n") ||
			strings.Contains(after, ns(us, "cgroup")) {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
}

// In /sys the container has version 2, from its own cgroup down, and cannot
// write there.
func TestSysShowsVersion2(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:pids")
		out, stderr, _ := p.once(t, "--pids-limit", "77", "sh", "-c",
			"grep ' /sys/fs/cgroup' /proc/self/mounts | tail -n 1; "+
				"cat /sys/fs/cgroup/pids.max 2>/dev/null; "+
				"mkdir /sys/fs/cgroup/x 2>/dev/null || echo no")
		want := "no\n"
		if treeOf("pids").v2 {
			want = "77\nno\n"
		}
		mount, rest, _ := strings.Cut(out, "\n")
		equal(t, "files", rest, want)
		if !strings.HasPrefix(mount, "cgroup2 /sys/fs/cgroup cgroup2 ro") {
			t.Errorf("mount: %s\nstderr: %s", mount, stderr)
		}
	})
}

// What joins a container is in its cgroups: its limits hold for both.
func TestExecIsLimited(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory", "cgroup:pids")
		r := p.limited(t, "--memory", "48m", "--memory-swap", "48m",
			"--pids-limit", "100", "sleep", "1000")
		r.command(t) // by now all is set up
		pid := fmt.Sprint(r.container)
		out := p.must(t, "exec", pid, "sh", "-c", dd(128*mib)+
			"; cat /proc/self/cgroup")
		first, rest, _ := strings.Cut(out, "\n")
		equal(t, "more than the limit", first, "status 137")
		if strings.Contains(rest, "/..") || strings.Contains(rest, "workshop") {
			t.Errorf("inside:\n%s", rest)
		}
		x := p.begin(t, "exec", pid, "sleep", "1001")
		eventually(t, "the command", func() bool {
			return len(children(x.pid)) == 1
		})
		for _, controller := range []string{"memory", "pids"} {
			equal(t, controller, cgroup(children(x.pid)[0], controller),
				cgroup(r.container, controller))
		}
	})
}

// A program that does nothing to cgroups but join: exec of no container.
func TestExecOfTheUnlimited(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		r := p.limited(t, "sleep", "1000")
		equal(t, "memory", cgroup(r.container, "memory"), cgroup(us, "memory"))
		p.must(t, "exec", fmt.Sprint(r.container), "true")
	})
}

// absent is a processor that this machine could have, and has not.
func absent() string {
	list := func(name string) string {
		text := strings.TrimSpace(read("/sys/devices/system/cpu/" + name))
		return text[strings.LastIndexAny(text, "-,")+1:]
	}
	if list("possible") == list("online") {
		return ""
	}
	return list("possible")
}

// Version 2 would take it, and go on without.
func TestAbsentProcessor(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:cpuset", "a cpu that is off")
		out, stderr, status := p.once(t, "--cpuset-cpus", absent(), "echo",
			"started")
		nothing(t, out+stderr, status, "cpuset.cpus", "EINVAL")
	})
}

// The end, and what never began.

// watch looks for what is left behind; here is that there was something.
func TestRemovedAfterwards(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory", "cgroup:pids")
		options := []string{"--memory", "64m", "--pids-limit", "100"}
		for _, end := range []unix.Signal{0, unix.SIGINT, unix.SIGTERM,
			unix.SIGKILL} {
			r := p.limited(t, append(options, "sh", "-c", "trap 'exit 3' INT "+
				"TERM; echo up; while :; do sleep 0.1; done")...)
			r.says(t, "up")
			x := p.begin(t, "exec", fmt.Sprint(r.container), "sleep", "1000")
			eventually(t, "exec", func() bool {
				return len(children(x.pid)) == 1
			})
			dirs := []string{filepath.Dir(r.file("memory.limit_in_bytes",
				"memory.max")), filepath.Dir(r.file("pids.max", "pids.max"))}
			for _, dir := range dirs { // it is there, and somebody is in it
				equal(t, "rmdir "+dir, unix.Rmdir(dir), error(unix.EBUSY))
			}
			if end == 0 {
				unix.Kill(r.container, unix.SIGKILL)
			}
			r.signal(end)
			r.wait(t)
			eventually(t, "the end of all processes", func() bool {
				return len(tagged(seen.tag)) == 0
			})
			for _, dir := range dirs {
				eventually(t, "rmdir "+dir, func() bool {
					_, err := os.Stat(dir)
					return errors.Is(err, os.ErrNotExist)
				})
			}
		}
	})
}

// Who has entered the cgroups but not yet the container, as exec does in that
// order, does not hold them for ever.
func TestNobodyHoldsTheCgroups(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		r := p.limited(t, "--memory", "64m", "sleep", "1000")
		r.command(t) // by now all is set up
		late := command(0, "sleep", "999")
		check(t, late.Start())
		file := filepath.Dir(r.file("memory.limit_in_bytes", "memory.max")) +
			"/cgroup.procs"
		check(t, os.WriteFile(file, fmt.Append(nil, late.Process.Pid), 0))
		r.signal(unix.SIGTERM)
		r.wait(t)
		late.Process.Signal(unix.SIGTERM) // too late
		late.Wait()
		equal(t, "how it ended", late.ProcessState.String(), "signal: killed")
		_, err := os.Stat(file)
		equal(t, "the cgroup is gone", errors.Is(err, os.ErrNotExist), true)
	})
}

// When the program ends by itself it has cleaned up already.
func TestRemovedBeforeTheEnd(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory", "cgroup:pids")
		for _, name := range []string{"true", "no-such-command"} {
			r := p.begin(t, append([]string{"run"}, p.alone("--memory", "64m",
				"--pids-limit", "100", name)...)...)
			status := r.wait(t)
			equal(t, name, status, map[string]int{"true": 0}[name]+
				127*strings.Count(name, "no-such"))
			for _, file := range []string{r.file("memory.limit_in_bytes",
				"memory.max"), r.file("pids.max", "pids.max")} {
				if _, err := os.Stat(filepath.Dir(file)); err == nil {
					t.Errorf("%s: %s is still there", name, file)
				}
			}
		}
	})
}

// nothing checks that a run ended with 125 and one line, and started nothing.
func nothing(t *testing.T, stderr string, status int, words ...string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "Parent[") {
			lines = append(lines, line)
		}
	}
	good := status == 125 && len(lines) == 1 &&
		errorLine.MatchString(lines[0]) &&
		!strings.Contains(stderr, "the container is PID")
	for _, word := range words {
		good = good && strings.Contains(lines[0], word)
	}
	if !good {
		t.Errorf("status %d, stderr:\n%s\nwant status 125, one line with %q, "+
			"and nothing started", status, stderr, words)
	}
}

// What Docker refuses, and what the kernel refuses.
func TestBadLimits(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory", "cgroup:cpu", "cgroup:cpuset",
			"cgroup:pids")
		// Processor 1000 is ERANGE where the kernel's masks are as long as the
		// machine has processors, EINVAL where they are longer.
		for _, line := range []string{
			"--memory x", "--memory 5k", "--memory -1", "--memory 64x",
			"--memory m", "--memory 64kk", "--memory 1e30",
			"--memory 64m --memory-swap 32m",
			"--memory-swap 64m", "--memory 64m --memory-swap -2",
			"--memory-reservation x", "--memory-reservation -1",
			"--cpus x", "--cpus -1", "--cpus 0.001", "--cpus nan",
			"--cpus 0.5 --cpu-quota 50000", "--cpus 0.5 --cpu-period 50000",
			"--cpu-shares 1", "--cpu-shares 262145", "--cpu-shares x",
			"--cpu-period 999", "--cpu-period x", "--cpu-quota x",
			"--cpu-quota 999", "--cpu-period 2000000 EINVAL",
			"--cpuset-cpus x EINVAL", "--cpuset-cpus 1000 E",
			"--cpuset-cpus 0-1000 E", "--pids-limit x", "--pids-limit 40.5",
			"--pids-limit -2",
			"--pids-limit 31",
		} {
			words := strings.Fields(line)
			option := strings.TrimPrefix(words[len(words)-2], "--")
			want := []string{option}
			if last := words[len(words)-1]; strings.HasPrefix(last, "E") {
				words, want = words[:len(words)-1], []string{"set", last}
			}
			if strings.HasPrefix(line, "--cpus 0.5") {
				want = []string{"cpus", "--cpu-quota or --cpu-period"}
			}
			_, stderr, got := p.once(t, append(words, "true")...)
			nothing(t, stderr, got, want...)
		}
	})
}

func TestBadDisks(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:io", "disk")
		_, device, _ := disk(work)
		for arg, want := range map[string]string{
			device:                    "DISK:NUMBER",
			device + ":":              "DISK:NUMBER",
			device + ":x":             "DISK:NUMBER",
			device + ":-5":            "DISK:NUMBER",
			"/dev/no-such-disk:1m":    "ENOENT",
			"/dev/null:1m":            "ENODEV): name a whole disk",
			"/proc/self/environ:1000": "ENODEV",
		} {
			_, stderr, status := p.once(t, "--device-read-bps", arg, "true")
			nothing(t, stderr, status, want)
		}
	})
}

// 0 and -1 mean what they mean to Docker: no limit.
func TestNoLimits(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:pids")
		r := p.limited(t, "--memory", "0", "--memory-swap", "0", "--cpus", "0",
			"--cpu-quota", "-1", "--cpu-shares", "0", "--pids-limit", "-1",
			"sleep", "1000")
		for _, name := range []string{"memory", "cpu", "pids"} {
			equal(t, name, cgroup(r.container, name), cgroup(us, name))
		}
	})
}

// hiding starts a command that does not see the mount that its first argument
// names, or, with a second one, sees it there.
func hiding(args []string) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil && args[1] != "" {
		err = unix.Mount(args[0], args[1], "", unix.MS_BIND, "")
	}
	if err == nil {
		err = unix.Unmount(args[0], unix.MNT_DETACH)
	}
	if err == nil {
		err = unix.Exec(args[2], args[2:], os.Environ())
	}
	fmt.Println(args, err)
	os.Exit(99)
}

// without runs the program where a controller's tree is not mounted.
func without(t *testing.T, p program, controller string,
	args ...string) (string, int) {
	t.Helper()
	return elsewhere(t, p, controller, "", args...)
}

// elsewhere runs it where that tree is mounted at another place, if at all.
func elsewhere(t *testing.T, p program, controller, place string,
	args ...string) (string, int) {
	t.Helper()
	hide := helper("hiding", treeOf(controller).dir, place)
	c := command(p.uid, append(hide, p.argv(append([]string{"run"},
		p.alone(args...)...)...)...)...)
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	c.Run()
	return out.String(), c.ProcessState.ExitCode()
}

// fresh starts a command that sees the cgroup of its first argument, which is
// new, as the top of version 2. Itself it is one below: who enables controllers
// must have no process of his own, cgroups(7).
func fresh(args []string) {
	const top = "/sys/fs/cgroup"
	runtime.LockOSThread()
	err := os.WriteFile(args[0]+"/cgroup.procs", []byte("0"), 0)
	if err == nil {
		err = unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP)
	}
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Unmount(top, unix.MNT_DETACH) // or EBUSY
	}
	if err == nil {
		err = unix.Mount("cgroup2", top, "cgroup2", 0, "")
	}
	if err == nil {
		err = os.Mkdir(top+"/us", 0o755)
	}
	if err == nil {
		err = os.WriteFile(top+"/us/cgroup.procs", []byte("0"), 0)
	}
	if err == nil {
		err = unix.Exec(args[1], args[1:], os.Environ())
	}
	fmt.Println(args, err)
	os.Exit(99)
}

// Version 2 has a controller's files where the cgroup above enables it. Others
// may have done so at the top; here is one where nobody has.
func TestEnablesControllers(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup2")
		top := treeOf("memory").dir
		check(t, os.WriteFile(top+"/cgroup.subtree_control",
			[]byte("+memory"), 0)) // offered to the new one
		dir := fmt.Sprintf("%s/workshop-test-%d", top, us)
		check(t, os.Mkdir(dir, 0o755))
		defer eventually(t, "an empty "+dir, func() bool {
			os.Remove(dir + "/us")
			return os.Remove(dir) == nil
		})
		enabled := dir + "/cgroup.subtree_control"
		equal(t, "enabled before", read(enabled), "")
		c := command(p.uid, append(helper("fresh", dir), p.argv(append(
			[]string{"run"}, p.alone("--memory", "64m", "true")...)...)...)...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		equal(t, "enabled after", read(enabled), "memory\n")
	})
}

// pretending starts a command to which the file of its first argument is the
// table of mounts.
func pretending(args []string) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount(args[0], fmt.Sprintf("/proc/%d/mounts", os.Getpid()),
			"", unix.MS_BIND, "")
	}
	if err == nil {
		err = unix.Exec(args[1], args[1:], os.Environ())
	}
	fmt.Println(args, err)
	os.Exit(99)
}

// A kernel may have a controller without all of its files: one built without
// them, or started without swapaccount. Here it is a directory that has none.
func TestMissingFile(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root")
		tree := scratch(t, 0)
		check(t, os.WriteFile(tree+"/mounts", fmt.Appendf(nil,
			"none %s cgroup rw,memory 0 0\n", tree), 0o644))
		c := command(p.uid, append(helper("pretending", tree+"/mounts"),
			p.argv(append([]string{"run"}, p.alone("--memory", "64m", "echo",
				"started")...)...)...)...)
		out, _ := c.CombinedOutput()
		nothing(t, string(out), c.ProcessState.ExitCode(), "limit_in_bytes",
			"ENOENT", "swapaccount=1")
	})
}

func TestMissingController(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory", "cgroup:cpu", "cgroup:pids")
		for _, c := range [][3]string{{"memory", "--memory", "64m"},
			{"cpu", "--cpus", "0.5"}, {"pids", "--pids-limit", "50"}} {
			out, status := without(t, p, c[0], c[1], c[2], "echo", "started")
			nothing(t, out, status, c[0], "mount -t cgroup", "version")
			// The others are where they were, unless all are in one tree.
			other := []string{"--memory", "64m"}
			if c[0] == "memory" {
				other = []string{"--pids-limit", "50"}
			}
			out, status = without(t, p, c[0], append(other, "true")...)
			if treeOf(c[0]).v2 {
				nothing(t, out, status, "mount -t cgroup")
			} else {
				equal(t, "another limit", status, 0)
			}
		}
	})
}

// A tree is where it is mounted, and not where it is on most machines.
func TestTreeElsewhere(t *testing.T) {
	each(t, "memory", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory")
		out, status := elsewhere(t, p, "memory", scratch(t, 0), "--memory",
			"48m", "--memory-swap", "48m", "sh", "-c", dd(128*mib))
		if status != 0 || !strings.Contains(out, "status 137\n") {
			t.Errorf("status %d:\n%s", status, out)
		}
	})
}

func TestMissingDisksAndSets(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:cpuset", "cgroup:io", "disk")
		_, device, _ := disk(work)
		out, status := without(t, p, "cpuset", "--cpuset-cpus", "0", "true")
		nothing(t, out, status, "cpuset", "mount -t cgroup")
		out, status = without(t, p, "io", "--device-read-bps", device+":1m",
			"true")
		nothing(t, out, status, " io: ", "mount -t cgroup -o blkio")
	})
}

// Limits are root's; a cgroup namespace is for everyone.
func TestOrdinaryUser(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "userns", "cgroup:memory")
		user := p.as(nobody)
		for _, option := range []string{"--memory=64m", "--pids-limit=50"} {
			_, stderr, status := user.once(t, option, "true")
			nothing(t, stderr, status, "EACCES", "root")
		}
		r := user.limited(t, "sleep", "1000")
		r.command(t)
		if ns(us, "cgroup") == ns(r.container, "cgroup") {
			t.Error("the host's cgroup namespace")
		}
		out := user.must(t, "exec", fmt.Sprint(r.container), "readlink",
			"/proc/self/ns/cgroup")
		equal(t, "exec joins", out, ns(r.container, "cgroup"))
	})
}

// The hole of the last step, closed: one container cannot take all.
func TestOneContainerLeavesRoomForOthers(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "cgroup:memory", "cgroup:cpu", "cgroup:pids")
		r := p.limited(t, "--memory", "64m", "--cpus", "0.2", "--pids-limit",
			"40", "sh", "-c", "bomb() { bomb | bomb & }; bomb; "+spin)
		eventually(t, "a full cgroup", func() bool {
			return r.count("pids.events", "pids.events", "max") > 0
		})
		out, _, status := p.once(t, "sh", "-c", dd(128*mib))
		equal(t, "the next container", out+fmt.Sprint(status), "status 0\n0")
		unix.Kill(r.container, unix.SIGKILL)
		r.wait(t)
	})
}

// The hole of this step: two containers write to one root filesystem, and so
// change it for each other, and for all that come later.
func TestHoleSharedRootfs(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root")
		root := copyRootfs(t, p.uid)
		secret := rand.Text()
		r := p.limited(t, "--rootfs", root, "sleep", "1000")
		out, _, _ := p.once(t, "--rootfs", root, "sh", "-c", "echo "+secret+
			" >/etc/motd; rm /bin/vi; echo done")
		equal(t, "the other container", out, "done\n")
		got := p.must(t, "exec", fmt.Sprint(r.container), "sh", "-c",
			"cat /etc/motd; ls /bin/vi 2>/dev/null || echo no vi")
		equal(t, "the first one", got, secret+"\nno vi")
		equal(t, "the host", strings.TrimSpace(read(root+"/etc/motd")), secret)
	})
}

// The program dies between clone(2) and prctl(2), by which the container asks
// to be told. The janitor kills only whom a cgroup holds.
func TestOrphanEnds(t *testing.T) {
	each(t, "namespace", func(t *testing.T, p program) {
		needs(t, "root")
		p.orphan(t, "run", "sleep", "1000")
	})
}
