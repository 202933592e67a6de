package cgroups

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// text is what a pointer of the specification says. Nothing, and 0 as in
// Docker's API, mean that it is not set.
func text[T int64 | uint64 | uint16 | uint32](n *T) string {
	if n == nil || *n == 0 {
		return ""
	}
	return fmt.Sprint(*n)
}

// memory: version 1 counts memory and swap together, as Docker does, version 2
// swap alone, so there it is the difference. A kernel that swaps nothing has no
// file, and keeps the limits 0 and max anyway.
func (l *limits) memory(m *specs.LinuxMemory) {
	dir, v2 := l.at("memory")
	limit, swap := text(m.Limit), text(m.Swap)
	if limit == "-1" {
		swap = cmp.Or(swap, limit)
	}
	most, _ := strconv.Atoi(cmp.Or(limit, read(dir+"/memory.max")))
	both, _ := strconv.Atoi(swap)
	if both > 0 && (v2 && most <= 0 || both < most) {
		l.fail("memory and swap: %d bytes: it is the limit of both, so set "+
			"one of memory, too, that is not larger", both)
	} else if both > 0 && v2 {
		swap = strconv.Itoa(both - most)
	}
	// Version 1 refuses by itself what version 2 makes room for by killing.
	if used := parse(read(dir + "/memory.current")); limit != "" && most > 0 &&
		isTrue(m.CheckBeforeUpdate) && used > uint64(most) {
		l.fail("cgroup v2: set %s/memory.max = %s: %d bytes are in use already",
			dir, limit, used)
	}
	l.add("memory.limit_in_bytes", "memory.max", limit)
	if swap != "0" && swap != "-1" || exists(dir, "memory.swap.max") ||
		exists(dir, "memory.memsw.limit_in_bytes") {
		l.add("memory.memsw.limit_in_bytes", "memory.swap.max", swap)
	}
	l.add("memory.soft_limit_in_bytes", "memory.low", text(m.Reservation))
	l.add("memory.kmem.limit_in_bytes", "", text(m.Kernel))
	l.add("memory.kmem.tcp.limit_in_bytes", "", text(m.KernelTCP))
	if m.Swappiness != nil {
		l.add("memory.swappiness", "", fmt.Sprint(*m.Swappiness))
	}
	if isTrue(m.DisableOOMKiller) {
		l.add("memory.oom_control", "", "1")
	} else if m.DisableOOMKiller != nil && !v2 {
		l.add("memory.oom_control", "", "0")
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		l.add("memory.use_hierarchy", "", "0")
	}
}

func isTrue(p *bool) bool { return p != nil && *p }

func (l *limits) cpu(p *specs.LinuxCPU) {
	dir, v2 := l.at("cpu")
	quota, period := text(p.Quota), text(p.Period)
	if p.Idle != nil {
		l.add("cpu.idle", "cpu.idle", fmt.Sprint(*p.Idle))
	}
	l.add("cpu.shares", "cpu.weight", map[bool]string{false: text(p.Shares),
		true: weight(text(p.Shares))}[v2])
	if v2 && quota+period != "" { // one file for both
		before, _, _ := strings.Cut(read(dir+"/cpu.max"), " ")
		if quota = cmp.Or(quota, before); quota[0] == '-' {
			quota = "max"
		}
		l.add("", "cpu.max", strings.TrimSpace(quota+" "+period))
	} else {
		l.add("cpu.cfs_period_us", "", period)
		l.add("cpu.cfs_quota_us", "", quota)
	}
	if p.Burst != nil {
		l.add("cpu.cfs_burst_us", "cpu.max.burst", fmt.Sprint(*p.Burst))
	}
	l.add("cpu.rt_period_us", "", text(p.RealtimePeriod))
	l.add("cpu.rt_runtime_us", "", text(p.RealtimeRuntime))
	l.add("cpuset.cpus", "cpuset.cpus", p.Cpus)
	l.add("cpuset.mems", "cpuset.mems", p.Mems)
}

// weight is version 2's for version 1's shares, by the curve that runc and crun
// use: 2, 1024 and 262144 shares, least, usual and most, are 1, 100 and 10000.
func weight(shares string) string {
	if shares == "" {
		return ""
	}
	x := math.Log2(float64(min(max(parse(shares), 2), 262144)))
	return fmt.Sprint(math.Ceil(math.Pow(10, (x*x+125*x)/612-7.0/34)))
}

func (l *limits) blockIO(b *specs.LinuxBlockIO) {
	l.weigh("", b.Weight, b.LeafWeight)
	for _, d := range b.WeightDevice {
		l.weigh(fmt.Sprintf("%d:%d ", d.Major, d.Minor), d.Weight, d.LeafWeight)
	}
	for _, limit := range []struct {
		file1, key string
		list       []specs.LinuxThrottleDevice
	}{
		{"read_bps", "rbps", b.ThrottleReadBpsDevice},
		{"write_bps", "wbps", b.ThrottleWriteBpsDevice},
		{"read_iops", "riops", b.ThrottleReadIOPSDevice},
		{"write_iops", "wiops", b.ThrottleWriteIOPSDevice},
	} {
		for _, d := range limit.list {
			disk := fmt.Sprintf("%d:%d ", d.Major, d.Minor)
			if _, v2 := l.at("io"); v2 {
				l.add("", "io.max", disk+limit.key+"="+
					cmp.Or(text(&d.Rate), "max"))
			} else {
				l.add("blkio.throttle."+limit.file1+"_device", "",
					disk+fmt.Sprint(d.Rate))
			}
		}
	}
}

// weigh: the I/O scheduler bfq has files of its own; version 2 by itself goes
// from 1 to 10000, not from 10 to 1000.
func (l *limits) weigh(disk string, weight, leaf *uint16) {
	l.add("blkio.leaf_weight", "", text(leaf))
	if text(weight) == "" {
		return
	}
	dir, v2 := l.at("io")
	n, file1, file2 := int(*weight), "blkio.weight", "io.weight"
	if exists(dir, "blkio.bfq.weight") || exists(dir, "io.bfq.weight") {
		file1, file2 = "blkio.bfq.weight", "io.bfq.weight"
	} else if v2 {
		n = 1 + (n-10)*9999/990
	}
	if disk != "" {
		file1 += "_device"
	}
	l.add(file1, file2, disk+fmt.Sprint(n))
}

// others: huge pages are limited in use and, where the kernel counts it, in
// reservation, too: then a mapping fails, not the program that uses it.
func (l *limits) others(r *specs.LinuxResources) {
	if r.Pids != nil && r.Pids.Limit != nil {
		l.add("pids.max", "pids.max", cmp.Or(text(r.Pids.Limit), "-1"))
	}
	for _, h := range r.HugepageLimits {
		dir, _ := l.at("hugetlb")
		for _, name := range []string{h.Pagesize, h.Pagesize + ".rsvd"} {
			file1 := "hugetlb." + name + ".limit_in_bytes"
			file2 := "hugetlb." + name + ".max"
			if name == h.Pagesize || exists(dir, file1) || exists(dir, file2) {
				l.add(file1, file2, fmt.Sprint(h.Limit))
			}
		}
	}
	for device, limit := range r.Rdma {
		if limit.HcaHandles != nil {
			l.add("rdma.max", "rdma.max",
				fmt.Sprint(device, " hca_handle=", *limit.HcaHandles))
		}
		if limit.HcaObjects != nil {
			l.add("rdma.max", "rdma.max",
				fmt.Sprint(device, " hca_object=", *limit.HcaObjects))
		}
	}
	if r.Network != nil {
		l.add("net_cls.classid", "", text(r.Network.ClassID))
		for _, p := range r.Network.Priorities {
			l.add("net_prio.ifpriomap", "", fmt.Sprint(p.Name, " ", p.Priority))
		}
	}
	// Files of version 2; those of the cgroup itself are no limits.
	for _, file := range sorted(r.Unified) {
		for line := range strings.Lines(r.Unified[file]) {
			l.add("", file, strings.TrimSpace(line))
		}
	}
}
