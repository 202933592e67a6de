package cgroups

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// number is what a pointer of the specification says; nil is 0, which means
// unset, as in Docker's API.
func number[T int64 | uint64 | uint16 | uint32](p *T) T {
	if p == nil {
		return 0
	}
	return *p
}

func isTrue(p *bool) bool { return p != nil && *p }

// limit is a number in version 2, where none is "max".
func limit(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// memory: version 1 counts memory and swap together, as Docker does, version 2
// swap alone.
func (l *limits) memory(m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	max, low, swap := number(m.Limit), number(m.Reservation), number(m.Swap)
	if max < 0 && swap == 0 {
		swap = -1
	}
	if max != 0 {
		l.checkUsage(m, max)
		l.add("memory", "memory.limit_in_bytes", fmt.Sprint(max),
			"memory.max", limit(max))
	}
	if swap != 0 {
		l.swap(max, swap)
	}
	if low != 0 {
		l.add("memory", "memory.soft_limit_in_bytes", fmt.Sprint(low),
			"memory.low", strings.Replace(limit(low), "max", "0", 1))
	}
	const none = "memory.max counts the kernel's memory, too: no limit for it"
	if n := number(m.Kernel); n != 0 {
		l.add("memory", "memory.kmem.limit_in_bytes", fmt.Sprint(n), "", none)
	}
	if n := number(m.KernelTCP); n != 0 {
		l.add("memory", "memory.kmem.tcp.limit_in_bytes", fmt.Sprint(n),
			"", none)
	}
	if m.Swappiness != nil {
		l.add("memory", "memory.swappiness", fmt.Sprint(*m.Swappiness),
			"", "swappiness is the machine's: sysctl vm.swappiness")
	}
	if isTrue(m.DisableOOMKiller) {
		l.add("memory", "memory.oom_control", "1",
			"", "the OOM killer cannot be disabled")
	} else if _, v2 := l.at("memory"); m.DisableOOMKiller != nil && !v2 {
		l.add("memory", "memory.oom_control", "0", "", "")
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		l.add("memory", "memory.use_hierarchy", "0",
			"", "memory is always counted with that of the cgroups below")
	}
}

// checkUsage: where version 1 refuses a limit below what is in use, version 2
// makes room by killing.
func (l *limits) checkUsage(m *specs.LinuxMemory, max int64) {
	dir, v2 := l.at("memory")
	if isTrue(m.CheckBeforeUpdate) && v2 && max > 0 && l.err == nil {
		used := parse(read(dir + "/memory.current"))
		if used > uint64(max) {
			l.err = fmt.Errorf("cgroup v2: set %s/memory.max = %d: "+
				"%d bytes are in use already", dir, max, used)
		}
	}
}

func (l *limits) swap(max, swap int64) {
	dir, v2 := l.at("memory")
	if max == 0 && v2 && swap > 0 {
		max, _ = strconv.ParseInt(read(dir+"/memory.max"), 10, 64)
	}
	if swap > 0 && v2 && max <= 0 || swap > 0 && swap < max {
		l.err = fmt.Errorf("memory and swap: %d bytes: it must be a limit of "+
			"both, so set one of memory that is not larger", swap)
		return
	}
	text := limit(swap)
	if swap > 0 {
		text = limit(swap - max)
	}
	// A kernel that swaps nothing keeps this limit anyway.
	file := map[bool]string{false: "memory.memsw.limit_in_bytes",
		true: "memory.swap.max"}[v2]
	if dir != "" && !exists(dir, file) && exists(dir, "memory.stat") &&
		(swap < 0 || text == "0" && v2) {
		return
	}
	l.add("memory", "memory.memsw.limit_in_bytes", fmt.Sprint(swap),
		"memory.swap.max", text)
}

func (l *limits) cpu(p *specs.LinuxCPU) {
	if p == nil {
		return
	}
	if p.Idle != nil {
		l.add("cpu", "cpu.idle", fmt.Sprint(*p.Idle), "cpu.idle",
			fmt.Sprint(*p.Idle))
	}
	if n := number(p.Shares); n != 0 {
		// Version 1 would round without a word.
		if _, v2 := l.at("cpu"); !v2 && (n < 2 || n > 262144) {
			l.err = fmt.Errorf("cgroup v1 cpu: cpu.shares = %d: "+
				"not 2 to 262144", n)
		}
		l.add("cpu", "cpu.shares", fmt.Sprint(n), "cpu.weight", weight(n))
	}
	quota, period := number(p.Quota), number(p.Period)
	if dir, v2 := l.at("cpu"); v2 && (quota != 0 || period != 0) {
		text := limit(quota)
		if quota == 0 {
			text, _, _ = strings.Cut(read(dir+"/cpu.max"), " ")
		}
		if period != 0 {
			text += fmt.Sprint(" ", period)
		}
		l.add("cpu", "", "", "cpu.max", text)
	} else {
		if period != 0 {
			l.add("cpu", "cpu.cfs_period_us", fmt.Sprint(period), "", "")
		}
		if quota != 0 {
			l.add("cpu", "cpu.cfs_quota_us", fmt.Sprint(quota), "", "")
		}
	}
	if p.Burst != nil {
		l.add("cpu", "cpu.cfs_burst_us", fmt.Sprint(*p.Burst),
			"cpu.max.burst", fmt.Sprint(*p.Burst))
	}
	const none = "real-time time cannot be limited"
	if n := number(p.RealtimePeriod); n != 0 {
		l.add("cpu", "cpu.rt_period_us", fmt.Sprint(n), "", none)
	}
	if n := number(p.RealtimeRuntime); n != 0 {
		l.add("cpu", "cpu.rt_runtime_us", fmt.Sprint(n), "", none)
	}
	if p.Cpus != "" {
		l.add("cpuset", "cpuset.cpus", p.Cpus, "cpuset.cpus", p.Cpus)
	}
	if p.Mems != "" {
		l.add("cpuset", "cpuset.mems", p.Mems, "cpuset.mems", p.Mems)
	}
}

// weight is version 2's for version 1's shares, by the curve that runc and crun
// use: 2, 1024 and 262144 shares, least, usual and most, are 1, 100 and 10000.
func weight(shares uint64) string {
	x := math.Log2(float64(min(max(shares, 2), 262144)))
	return fmt.Sprint(math.Ceil(math.Pow(10, (x*x+125*x)/612-7.0/34)))
}

func (l *limits) pids(p *specs.LinuxPids) {
	if p == nil || p.Limit == nil {
		return
	}
	text := limit(*p.Limit)
	if *p.Limit == 0 {
		text = "max"
	}
	// Who asks for no limit needs no cgroup.
	if dir, _ := l.at("pids"); text != "max" || dir != "" &&
		exists(dir, "pids.max") {
		l.add("pids", "pids.max", text, "pids.max", text)
	}
}

func (l *limits) blockIO(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	weigh := func(device string, w uint16) {
		if w == 0 {
			return
		}
		dir, _ := l.at("io")
		one, two, n := "blkio.weight", "io.weight", uint64(w)
		if device != "" {
			one = "blkio.weight_device"
		}
		// The scheduler bfq has files of its own. Version 2 by itself goes
		// from 1 to 10000.
		if exists(dir, "blkio.bfq.weight") {
			one = strings.Replace(one, "blkio.", "blkio.bfq.", 1)
		} else if exists(dir, "io.bfq.weight") {
			two = "io.bfq.weight"
		} else if w >= 10 && w <= 1000 {
			n = 1 + (n-10)*9999/990
		}
		l.add("io", one, fmt.Sprint(device, w), two, fmt.Sprint(device, n))
	}
	weigh("", number(b.Weight))
	for _, d := range b.WeightDevice {
		weigh(fmt.Sprintf("%d:%d ", d.Major, d.Minor), number(d.Weight))
		if number(d.LeafWeight) != 0 {
			b.LeafWeight = d.LeafWeight
		}
	}
	if n := number(b.LeafWeight); n != 0 {
		l.add("io", "blkio.leaf_weight", fmt.Sprint(n), "",
			"there is no leaf weight")
	}
	throttle := func(list []specs.LinuxThrottleDevice, file, key string) {
		for _, d := range list {
			disk := fmt.Sprintf("%d:%d ", d.Major, d.Minor)
			rate := fmt.Sprint(d.Rate)
			l.add("io", "blkio.throttle."+file, disk+rate, "io.max", disk+
				key+"="+map[bool]string{false: rate, true: "max"}[d.Rate == 0])
		}
	}
	throttle(b.ThrottleReadBpsDevice, "read_bps_device", "rbps")
	throttle(b.ThrottleWriteBpsDevice, "write_bps_device", "wbps")
	throttle(b.ThrottleReadIOPSDevice, "read_iops_device", "riops")
	throttle(b.ThrottleWriteIOPSDevice, "write_iops_device", "wiops")
}

// hugepages limits their use, and, where the kernel counts it, how many may be
// reserved: a mapping fails then instead of the program that uses it.
func (l *limits) hugepages(list []specs.LinuxHugepageLimit) {
	for _, h := range list {
		name, text := "hugetlb."+h.Pagesize, fmt.Sprint(h.Limit)
		l.add("hugetlb", name+".limit_in_bytes", text, name+".max", text)
		dir, _ := l.at("hugetlb")
		if exists(dir, name+".rsvd.current") ||
			exists(dir, name+".rsvd.usage_in_bytes") {
			name += ".rsvd"
			l.add("hugetlb", name+".limit_in_bytes", text, name+".max", text)
		}
	}
}

func (l *limits) rdma(devices map[string]specs.LinuxRdma) {
	for name, r := range devices {
		for key, n := range map[string]*uint32{"hca_handle": r.HcaHandles,
			"hca_object": r.HcaObjects} {
			if n != nil {
				text := fmt.Sprintf("%s %s=%d", name, key, *n)
				l.add("rdma", "rdma.max", text, "rdma.max", text)
			}
		}
	}
}

func (l *limits) network(n *specs.LinuxNetwork) {
	if n == nil {
		return
	}
	const none = "packets have no class or priority: use nftables"
	if id := number(n.ClassID); id != 0 {
		l.add("net_cls", "net_cls.classid", fmt.Sprint(id), "", none)
	}
	for _, p := range n.Priorities {
		l.add("net_prio", "net_prio.ifpriomap",
			fmt.Sprint(p.Name, " ", p.Priority), "", none)
	}
}

// unified names files of version 2. Those of the cgroup itself are not limits.
func (l *limits) unified(files map[string]string) {
	for _, file := range sorted(files) {
		controller, _, dot := strings.Cut(file, ".")
		if !dot || controller == "cgroup" {
			l.err = fmt.Errorf("unified: %q is no file of a controller", file)
		}
		for text := range strings.SplitSeq(files[file], "\n") {
			l.add(controller, "", "unified "+file+" is for version 2",
				file, text)
		}
	}
}
