package bundle

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

const least = 6 << 20 // bytes that a container needs, says Docker

// A host is what this machine's cgroups offer, and what they do not and was
// asked for.
type host struct {
	found    map[string]string
	v2       bool
	warnings []string
}

// lacks says whether a file of a controller is missing; then it warns as
// Docker does, that what was asked for is discarded. The file's name is that
// of version 1; version 2 has all of a controller, or it has nothing like it.
func (h *host) lacks(asked bool, controller, file, what string) bool {
	dir, ok := h.found[controller]
	if ok && !(h.v2 && dir == h.found[""]) {
		_, err := os.Stat(dir + "/" + file)
		ok = err == nil || !os.IsNotExist(err)
	} else if file == "memory.swappiness" || file == "memory.oom_control" ||
		file == "memory.kmem.limit_in_bytes" {
		ok = false
	}
	if asked && !ok {
		h.warnings = append(h.warnings, what)
	}
	return asked && !ok
}

// Resources are the cgroup's limits, without devices: for Spec and for update.
// The warnings tell what this kernel cannot do; the spec has it not.
func Resources(l *Limits) (*specs.LinuxResources, []string, error) {
	h := &host{found: cgroups.Controllers()}
	_, h.v2 = h.found[""]
	r := &specs.LinuxResources{}
	var err error
	if r.Memory, err = h.memory(l); err != nil {
		return nil, h.warnings, err
	}
	if r.CPU, err = h.cpu(l); err != nil {
		return nil, h.warnings, err
	}
	if r.BlockIO, err = h.blockIO(l); err != nil {
		return nil, h.warnings, err
	}
	pids, err := whole("pids-limit", l.PidsLimit)
	if pids != 0 && err == nil && !h.lacks(true, "pids", ".", "Your kernel "+
		"does not support PIDs limit capabilities or the cgroup is not "+
		"mounted. PIDs limit discarded.") {
		pids = max(pids, -1)
		r.Pids = &specs.LinuxPids{Limit: &pids}
	}
	return r, h.warnings, err
}

const (
	noCgroup = " or the cgroup is not mounted. "
	noKernel = "Your kernel does not support "
)

func (h *host) memory(l *Limits) (*specs.LinuxMemory, error) {
	limit, err1 := size("memory", l.Memory)
	soft, err2 := size("memory-reservation", l.MemoryReservation)
	kernel, err3 := size("kernel-memory", l.KernelMemory)
	swap, err4 := int64(-1), error(nil)
	if l.MemorySwap != "-1" {
		swap, err4 = size("memory-swap", l.MemorySwap)
	}
	swappiness, err5 := whole("memory-swappiness", l.MemorySwappiness)
	if err := cmp.Or(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	if h.lacks(limit > 0, "memory", "memory.limit_in_bytes", noKernel+
		"memory limit capabilities"+noCgroup+"Limitation discarded.") {
		limit, swap = 0, -1
	}
	if limit > 0 && swap != -1 && h.lacks(true, "memory",
		"memory.memsw.limit_in_bytes", noKernel+"swap limit capabilities"+
			noCgroup+"Memory limited without swap.") {
		swap = -1
	}
	if h.lacks(kernel > 0, "memory", "memory.kmem.limit_in_bytes", noKernel+
		"kernel memory limit capabilities"+noCgroup+"Limitation discarded.") {
		kernel = 0
	}
	switch {
	case limit != 0 && limit < least:
		return nil, errors.New("Minimum memory limit allowed is 6MB")
	case limit > 0 && swap > 0 && swap < limit:
		return nil, errors.New("Minimum memoryswap limit should be larger " +
			"than memory limit, see usage")
	case limit == 0 && swap > 0:
		return nil, errors.New("You should always set the Memory limit when " +
			"using Memoryswap limit, see usage")
	case soft > 0 && soft < least:
		return nil, errors.New("Minimum memory reservation allowed is 6MB")
	case limit > 0 && limit < soft:
		return nil, errors.New("Minimum memory limit can not be less than " +
			"memory reservation limit, see usage")
	case kernel > 0 && kernel < least:
		return nil, errors.New("Minimum kernel memory limit allowed is 6MB")
	case swappiness < -1 || swappiness > 100:
		return nil, fmt.Errorf("invalid value: %d. Valid memory swappiness "+
			"range is 0-100", swappiness)
	}
	m := &specs.LinuxMemory{}
	if limit > 0 {
		if swap == 0 { // as much swap as memory
			swap = 2 * limit
		}
		m.Limit, m.Swap = &limit, &swap
	}
	if soft > 0 {
		m.Reservation = &soft
	}
	if kernel > 0 {
		m.Kernel = &kernel
	}
	if l.MemorySwappiness != "" && swappiness >= 0 && !h.lacks(true, "memory",
		"memory.swappiness", noKernel+"memory swappiness capabilities"+
			noCgroup+"Memory swappiness discarded.") {
		value := uint64(swappiness)
		m.Swappiness = &value
	}
	if l.OomKillDisable && !h.lacks(true, "memory", "memory.oom_control",
		noKernel+"OomKillDisable. OomKillDisable discarded.") {
		if m.DisableOOMKiller = &l.OomKillDisable; limit == 0 {
			h.warnings = append(h.warnings, "OOM killer is disabled for the "+
				"container, but no memory limit is set, this can result in "+
				"the system running out of resources.")
		}
	}
	return m, nil
}

func (h *host) cpu(l *Limits) (*specs.LinuxCPU, error) {
	shares, err1 := whole("cpu-shares", l.CPUShares)
	period, err2 := whole("cpu-period", l.CPUPeriod)
	quota, err3 := whole("cpu-quota", l.CPUQuota)
	nano, err4 := cpus(l.Cpus)
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	noQuota := h.lacks(nano > 0 || period != 0 || quota != 0, "cpu",
		"cpu.cfs_quota_us", noKernel+
			"CPU CFS scheduler. CPU period/quota discarded.")
	switch n := runtime.NumCPU(); {
	case nano > 0 && period > 0:
		return nil, errors.New("Conflicting options: Nano CPUs and CPU " +
			"Period cannot both be set")
	case nano > 0 && quota > 0:
		return nil, errors.New("Conflicting options: Nano CPUs and CPU " +
			"Quota cannot both be set")
	case nano > 0 && noQuota:
		return nil, errors.New("NanoCPUs can not be set, as your kernel does " +
			"not support CPU CFS scheduler or the cgroup is not mounted")
	case nano < 0 || nano > int64(n)*1e9:
		return nil, fmt.Errorf("range of CPUs is from 0.01 to %[1]d.00, as "+
			"there are only %[1]d CPUs available", n)
	case shares < 0:
		return nil, fmt.Errorf("invalid CPU shares (%d): value must be a "+
			"positive integer", shares)
	case period != 0 && (period < 1000 || period > 1000000):
		return nil, errors.New("CPU cfs period can not be less than 1ms " +
			"(i.e. 1000) or larger than 1s (i.e. 1000000)")
	case quota > 0 && quota < 1000:
		return nil, errors.New("CPU cfs quota can not be less than 1ms " +
			"(i.e. 1000)")
	}
	c := &specs.LinuxCPU{}
	if nano > 0 {
		period, quota = 100000, nano/10000
	}
	if period > 0 && !noQuota {
		value := uint64(period)
		c.Period = &value
	}
	if quota != 0 && !noQuota {
		c.Quota = &quota
	}
	if shares > 0 && !h.lacks(true, "cpu", "cpu.shares", noKernel+
		"CPU shares"+noCgroup+"Shares discarded.") {
		value := uint64(shares)
		c.Shares = &value
	}
	if h.lacks(l.CpusetCpus != "" || l.CpusetMems != "", "cpuset",
		"cpuset.cpus", noKernel+"cpuset"+noCgroup+"Cpuset discarded.") {
		return c, nil
	}
	c.Cpus, c.Mems = l.CpusetCpus, l.CpusetMems
	return c, cmp.Or(available(c.Cpus, "cpu", "CPUs"),
		available(c.Mems, "node", "memory nodes"))
}

// available checks a list such as 0-2,7 against what the machine has.
func available(list, kind, what string) error {
	want, err := set(list)
	if err != nil {
		return fmt.Errorf("Invalid value %s for cpuset %ss: %w", list,
			strings.Replace(kind, "node", "mem", 1), err)
	}
	text, err := os.ReadFile("/sys/devices/system/" + kind + "/online")
	have, bad := set(strings.TrimSpace(string(text)))
	if err != nil || bad != nil { // without NUMA there is but node 0
		text, have = []byte("0"), map[int]bool{0: true}
	}
	for n := range want {
		if !have[n] {
			return fmt.Errorf("Requested %s are not available - requested "+
				"%s, available: %s", what, list, strings.TrimSpace(string(text)))
		}
	}
	return nil
}

func set(list string) (map[int]bool, error) {
	found := map[int]bool{}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 13)
		b, bad := strconv.ParseUint(last, 10, 13)
		if err = cmp.Or(err, bad); list != "" && (err != nil || a > b) {
			return nil, fmt.Errorf("not a list: %q", part)
		}
		for ; list != "" && a <= b; a++ {
			found[int(a)] = true
		}
	}
	return found, nil
}

func (h *host) blockIO(l *Limits) (*specs.LinuxBlockIO, error) {
	b := &specs.LinuxBlockIO{}
	weight, err := whole("blkio-weight", l.BlkioWeight)
	if err == nil && weight != 0 && (weight < 10 || weight > 1000) {
		err = errors.New("Range of blkio weight is from 10 to 1000")
	}
	if err != nil {
		return nil, err
	}
	file := "blkio.weight"
	if _, err := os.Stat(h.found["blkio"] + "/blkio.bfq.weight"); err == nil {
		file = "blkio.bfq.weight"
	}
	io := "blkio"
	if h.found[io] == "" {
		io = "io"
	}
	if weight != 0 && !h.lacks(true, io, file, noKernel+
		"Block I/O weight"+noCgroup+"Weight discarded.") {
		value := uint16(weight)
		b.Weight = &value
	}
	for _, t := range []struct {
		list       []string
		file, what string
		to         *[]specs.LinuxThrottleDevice
	}{
		{l.DeviceReadBps, "read_bps", "BPS Block I/O read limit",
			&b.ThrottleReadBpsDevice},
		{l.DeviceWriteBps, "write_bps", "BPS Block I/O write limit",
			&b.ThrottleWriteBpsDevice},
		{l.DeviceReadIOPS, "read_iops", "IOPS Block read limit",
			&b.ThrottleReadIOPSDevice},
		{l.DeviceWriteIOPS, "write_iops", "IOPS Block write limit",
			&b.ThrottleWriteIOPSDevice},
	} {
		lacks := h.lacks(len(t.list) > 0, io, "blkio.throttle."+t.file+
			"_device", noKernel+t.what+noCgroup+"Limit discarded.")
		for _, text := range t.list {
			one, err := throttle(text, strings.HasSuffix(t.file, "bps"))
			if err != nil {
				return nil, err
			} else if !lacks {
				*t.to = append(*t.to, one)
			}
		}
	}
	return b, nil
}

// throttle reads DEVICE:RATE.
func throttle(text string, bytes bool) (t specs.LinuxThrottleDevice,
	err error) {
	path, rate, ok := strings.Cut(text, ":")
	if !ok || !strings.HasPrefix(path, "/dev/") {
		return t, fmt.Errorf("bad format for device path: %s", text)
	}
	if bytes {
		var n int64
		n, err = Bytes(rate)
		t.Rate = uint64(n)
	} else {
		t.Rate, err = strconv.ParseUint(rate, 10, 64)
	}
	if err != nil {
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
	t.Major, t.Minor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	return t, nil
}

// size and whole read a flag's number; an empty text is 0.
func size(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := Bytes(text)
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
