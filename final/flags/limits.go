package flags

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"os"
	"runtime"
	"strconv"
	"strings"

	"container-workshop/final/cgroups"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A host is what this machine's cgroups offer, and what was asked for in vain.
type host struct {
	found    map[string]string
	warnings []string
}

// lacks says whether a file of a controller is missing that was asked for, and
// warns as Docker does, that it is discarded. The name is that of version 1;
// version 2 has all of a controller, but for the last three.
func (h *host) lacks(asked bool, name, what string) bool {
	controller, _, _ := strings.Cut(name, ".")
	dir, ok := h.found[controller]
	if controller == "blkio" && !ok {
		dir, ok = h.found["io"]
	}
	if ok && dir != h.found[""] && name != controller {
		_, err := os.Stat(dir + "/" + name)
		ok = err == nil
	} else if ok {
		ok = name != "memory.swappiness" && name != "memory.oom_control" &&
			name != "memory.kmem.limit_in_bytes"
	}
	if name == "memory.kmem.limit_in_bytes" && kernel() >= 5016 {
		ok = false // the file is there, and takes nothing
	}
	if asked && !ok {
		h.warnings = append(h.warnings, "Your kernel does not support "+
			strings.Replace(what, "…", " or the cgroup is not mounted.", 1))
	}
	return asked && !ok
}

// kernel is our kernel's version: 6012 for 6.12.
func kernel() int {
	var name unix.Utsname
	major, minor := 0, 0
	unix.Uname(&name)
	fmt.Sscanf(string(name.Release[:]), "%d.%d", &major, &minor)
	return major*1000 + minor
}

// A rule is something that must not be, and Docker's words for it.
type rule struct {
	broken bool
	text   string
}

func check(rules ...rule) error {
	for _, r := range rules {
		if r.broken {
			return errors.New(r.text)
		}
	}
	return nil
}

// Resources are the cgroup's limits, without devices: for Spec and for update.
// The warnings tell what this kernel cannot do; the spec has it not.
func Resources(l *Limits) (*specs.LinuxResources, []string, error) {
	h := &host{found: cgroups.Controllers()}
	memory, err1 := h.memory(l)
	cpu, err2 := h.cpu(l)
	disks, err3 := h.blockIO(l)
	pids, err4 := whole("pids-limit", l.PidsLimit)
	r := &specs.LinuxResources{Memory: memory, CPU: cpu, BlockIO: disks}
	if pids = max(pids, -1); pids != 0 && !h.lacks(true, "pids", "PIDs limit "+
		"capabilities… PIDs limit discarded.") {
		r.Pids = &specs.LinuxPids{Limit: &pids}
	}
	return r, h.warnings, cmp.Or(err1, err2, err3, err4)
}

func (h *host) memory(l *Limits) (*specs.LinuxMemory, error) {
	limit, err1 := size("memory", l.Memory)
	soft, err2 := size("memory-reservation", l.MemoryReservation)
	kernel, err3 := size("kernel-memory", l.KernelMemory)
	swap, err4 := int64(-1), error(nil)
	if l.MemorySwap != "-1" {
		swap, err4 = size("memory-swap", l.MemorySwap)
	}
	swappiness, err5 := whole("memory-swappiness",
		cmp.Or(l.MemorySwappiness, "-1"))
	if err := cmp.Or(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	if h.lacks(limit > 0, "memory.limit_in_bytes",
		"memory limit capabilities… Limitation discarded.") {
		limit, swap = 0, -1
	}
	if h.lacks(limit > 0 && swap != -1, "memory.memsw.limit_in_bytes",
		"swap limit capabilities… Memory limited without swap.") {
		swap = -1
	}
	if h.lacks(kernel > 0, "memory.kmem.limit_in_bytes",
		"kernel memory limit capabilities… Limitation discarded.") {
		kernel = 0
	}
	const least = 6 << 20
	err := check(rule{limit > 0 && limit < least,
		"Minimum memory limit allowed is 6MB"},
		rule{limit > 0 && swap > 0 && swap < limit, "Minimum memoryswap " +
			"limit should be larger than memory limit, see usage"},
		rule{limit == 0 && swap > 0, "You should always set the Memory limit " +
			"when using Memoryswap limit, see usage"},
		rule{soft > 0 && soft < least,
			"Minimum memory reservation allowed is 6MB"},
		rule{limit > 0 && limit < soft, "Minimum memory limit can not be " +
			"less than memory reservation limit, see usage"},
		rule{kernel > 0 && kernel < least,
			"Minimum kernel memory limit allowed is 6MB"},
		rule{swappiness < -1 || swappiness > 100, fmt.Sprintf("invalid value: "+
			"%d. Valid memory swappiness range is 0-100", swappiness)})
	m := &specs.LinuxMemory{Limit: positive[int64](limit),
		Reservation: positive[int64](soft), Kernel: positive[int64](kernel)}
	if limit > 0 {
		swap = cmp.Or(swap, 2*limit) // as much swap as memory
		m.Swap = &swap
	}
	if swappiness >= 0 && !h.lacks(true, "memory.swappiness",
		"memory swappiness capabilities… Memory swappiness discarded.") {
		value := uint64(swappiness)
		m.Swappiness = &value
	}
	if l.OomKillDisable && !h.lacks(true, "memory.oom_control",
		"OomKillDisable. OomKillDisable discarded.") {
		if m.DisableOOMKiller = &l.OomKillDisable; limit == 0 {
			h.warnings = append(h.warnings, "OOM killer is disabled for the "+
				"container, but no memory limit is set, this can result in "+
				"the system running out of resources.")
		}
	}
	return m, err
}

func (h *host) cpu(l *Limits) (*specs.LinuxCPU, error) {
	shares, err1 := whole("cpu-shares", l.CPUShares)
	period, err2 := whole("cpu-period", l.CPUPeriod)
	quota, err3 := whole("cpu-quota", l.CPUQuota)
	nano, err4 := cpus(l.Cpus)
	n := runtime.NumCPU()
	fixed := h.lacks(nano > 0 || period != 0 || quota != 0, "cpu.cfs_quota_us",
		"CPU CFS scheduler. CPU period/quota discarded.")
	err := cmp.Or(err1, err2, err3, err4, check(
		rule{nano > 0 && period > 0, "Conflicting options: Nano CPUs and CPU " +
			"Period cannot both be set"},
		rule{nano > 0 && quota > 0, "Conflicting options: Nano CPUs and CPU " +
			"Quota cannot both be set"},
		rule{nano > 0 && fixed, "NanoCPUs can not be set, as your kernel " +
			"does not support CPU CFS scheduler or the cgroup is not mounted"},
		rule{nano < 0 || nano > int64(n)*1e9, fmt.Sprintf("range of CPUs "+
			"is from 0.01 to %[1]d.00, as there are only %[1]d CPUs available",
			n)},
		rule{shares < 0, fmt.Sprintf("invalid CPU shares (%d): value must be "+
			"a positive integer", shares)},
		rule{period != 0 && (period < 1000 || period > 1000000), "CPU cfs " +
			"period can not be less than 1ms (i.e. 1000) or larger than 1s " +
			"(i.e. 1000000)"},
		rule{quota > 0 && quota < 1000,
			"CPU cfs quota can not be less than 1ms (i.e. 1000)"}),
		available(l.CpusetCpus, "cpu", "cpuset cpus", "CPUs"),
		available(l.CpusetMems, "node", "cpuset mems", "memory nodes"))
	if nano > 0 {
		period, quota = 100000, nano/10000
	}
	if fixed {
		period, quota = 0, 0
	}
	if h.lacks(shares > 0, "cpu.shares", "CPU shares… Shares discarded.") {
		shares = 0
	}
	c := &specs.LinuxCPU{Period: positive[uint64](period),
		Shares: positive[uint64](shares)}
	if quota != 0 {
		c.Quota = &quota
	}
	if !h.lacks(l.CpusetCpus+l.CpusetMems != "", "cpuset.cpus",
		"cpuset… Cpuset discarded.") {
		c.Cpus, c.Mems = l.CpusetCpus, l.CpusetMems
	}
	return c, err
}

func positive[T int64 | uint64 | uint16](n int64) *T {
	if n <= 0 {
		return nil
	}
	value := T(n)
	return &value
}

// available checks a list such as 0-2,7 against what the machine has.
func available(list, kind, flag, what string) error {
	text, err := os.ReadFile("/sys/devices/system/" + kind + "/online")
	if list == "" {
		return nil
	} else if err != nil { // without NUMA there is but node 0
		text = []byte("0")
	}
	online := strings.TrimSpace(string(text))
	have, _ := numbers(online)
	want, err := numbers(list)
	lacking := false
	for n := range want {
		lacking = lacking || !have[n]
	}
	return check(rule{err != nil, fmt.Sprintf("Invalid value %s for %s: %v",
		list, flag, err)}, rule{lacking, fmt.Sprintf("Requested %s are not "+
		"available - requested %s, available: %s", what, list, online)})
}

func numbers(list string) (map[uint64]bool, error) {
	found := map[uint64]bool{}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseUint(first, 10, 13)
		b, bad := a, error(nil)
		if isRange {
			b, bad = strconv.ParseUint(last, 10, 13)
		}
		if err != nil || bad != nil || a > b {
			return nil, fmt.Errorf("not a list: %q", part)
		}
		for ; a <= b; a++ {
			found[a] = true
		}
	}
	return found, nil
}

func (h *host) blockIO(l *Limits) (*specs.LinuxBlockIO, error) {
	weight, err := whole("blkio-weight", l.BlkioWeight)
	err = cmp.Or(err, check(rule{weight != 0 && (weight < 10 || weight > 1000),
		"Range of blkio weight is from 10 to 1000"}))
	file := "blkio.weight"
	if _, bad := os.Stat(h.found["blkio"] + "/blkio.bfq.weight"); bad == nil {
		file = "blkio.bfq.weight"
	}
	if h.lacks(weight != 0, file, "Block I/O weight… Weight discarded.") {
		weight = 0
	}
	b := &specs.LinuxBlockIO{Weight: positive[uint16](weight)}
	for _, t := range []struct {
		list       []string
		file, what string
		to         *[]specs.LinuxThrottleDevice
	}{
		{l.DeviceReadBps, "read_bps", "BPS Block I/O read",
			&b.ThrottleReadBpsDevice},
		{l.DeviceWriteBps, "write_bps", "BPS Block I/O write",
			&b.ThrottleWriteBpsDevice},
		{l.DeviceReadIOPS, "read_iops", "IOPS Block read",
			&b.ThrottleReadIOPSDevice},
		{l.DeviceWriteIOPS, "write_iops", "IOPS Block write",
			&b.ThrottleWriteIOPSDevice},
	} {
		lacks := h.lacks(len(t.list) > 0, "blkio.throttle."+t.file+"_device",
			t.what+" limit… Limit discarded.")
		for _, text := range t.list {
			one, bad := throttle(text, strings.HasSuffix(t.file, "bps"))
			if err = cmp.Or(err, bad); !lacks {
				*t.to = append(*t.to, one)
			}
		}
	}
	return b, err
}

// throttle reads DEVICE:RATE.
func throttle(text string, bytes bool) (t specs.LinuxThrottleDevice,
	err error) {
	path, rate, _ := strings.Cut(text, ":")
	if !strings.HasPrefix(path, "/dev/") {
		return t, fmt.Errorf("bad format for device path: %s", text)
	}
	n := int64(0)
	if n, err = strconv.ParseInt(rate, 10, 64); bytes {
		n, err = Bytes(rate)
	}
	if err != nil || n < 0 {
		return t, fmt.Errorf("invalid rate for device: %s. The correct "+
			"format is <device-path>:<number>: Number must be a positive "+
			"integer; bytes may have a unit, kb, mb, or gb", text)
	}
	var st unix.Stat_t
	if err = unix.Stat(path, &st); err != nil {
		return t, &os.PathError{Op: "stat", Path: path, Err: err}
	} else if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return t, fmt.Errorf("%s: not a block device", path)
	}
	t.Rate = uint64(n)
	t.Major, t.Minor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	return t, nil
}

// size and whole read a flag's number; an empty text is 0.
func size(flag, text string) (int64, error) {
	n, err := Bytes(cmp.Or(text, "0"))
	if err != nil {
		err = fmt.Errorf("invalid argument %q for --%s: %w", text, flag, err)
	}
	return n, err
}

func whole(flag, text string) (int64, error) {
	n, err := strconv.ParseInt(cmp.Or(text, "0"), 10, 64)
	if err != nil {
		err = fmt.Errorf("invalid argument %q for --%s: not a number", text,
			flag)
	}
	return n, err
}

// cpus reads --cpus, 1.5 for one and a half, as billionths.
func cpus(text string) (int64, error) {
	n, ok := new(big.Rat).SetString(cmp.Or(text, "0"))
	if !ok || len(text) > 30 {
		return 0, fmt.Errorf("failed to parse %.30q as a rational number", text)
	}
	n.Mul(n, big.NewRat(1e9, 1))
	if !n.IsInt() || !n.Num().IsInt64() {
		return 0, fmt.Errorf("value is too precise: --cpus %s", text)
	}
	return n.Num().Int64(), nil
}
