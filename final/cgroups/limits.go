package cgroups

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const delegate = "be root, or have a cgroup delegated to you, with the " +
	"controllers that you need (systemd: Delegate=yes)"

// limits are values for files of the version that this machine has of each
// controller. After an error in the translation nothing is written.
type limits struct {
	*Cgroup
	list []value
	err  error
}

type value struct{ key, dir, file, text string }

// Set changes the limits that r names, and leaves the others. Devices come
// last, so that an error leaves them as they were.
func (c *Cgroup) Set(r *specs.LinuxResources) error {
	r, l := cmp.Or(r, &specs.LinuxResources{}), &limits{Cgroup: c}
	l.memory(cmp.Or(r.Memory, &specs.LinuxMemory{}))
	l.cpu(cmp.Or(r.CPU, &specs.LinuxCPU{}))
	l.blockIO(cmp.Or(r.BlockIO, &specs.LinuxBlockIO{}))
	l.others(r)
	if err := l.write(); err != nil {
		return err
	}
	return c.devices(r.Devices)
}

func (l *limits) fail(format string, args ...any) {
	l.err = cmp.Or(l.err, fmt.Errorf(format, args...))
}

// add takes text for a file of version 1 or of version 2, "" for none, whose
// name begins with the controller's; no text is no limit. Who asks for none
// needs no cgroup.
func (l *limits) add(file1, file2, text string) {
	controller, _, dot := strings.Cut(cmp.Or(file1, file2), ".")
	dir, v2 := l.at(strings.Replace(controller, "blkio", "io", 1))
	if v2 && strings.HasPrefix(text, "-") {
		text = "max"
	}
	file, key := file1, "v1 "+controller
	if v2 {
		file, key = file2, "v2"
	}
	switch {
	case text == "" || dir == "" && text == "max":
	case !dot || controller == "cgroup" || file != "" && (controller == "" ||
		file != path.Base(file)):
		l.fail("cgroup %s: %q is no file of a controller", key, file)
	case dir == "":
		l.fail("cgroup controller %s: no cgroup, of version 1 or 2, has it "+
			"for us: %s", controller, delegate)
	case file == "":
		l.fail("cgroup %s: %s exists only in the other version", key,
			cmp.Or(file1, file2))
	default:
		l.list = append(l.list, value{key, dir, file, text})
	}
}

// write: some pairs have to be written in an order that depends on what was
// there (memory may not exceed memory and swap, nor a burst the quota). So what
// was refused is tried again as long as others went through.
func (l *limits) write() error {
	for todo := l.list; l.err == nil && len(todo) > 0; {
		var failed []value
		var first error
		for _, v := range todo {
			if err := v.write(); err != nil {
				failed, first = append(failed, v), cmp.Or(first, err)
			}
		}
		if len(failed) == len(todo) {
			return first
		}
		todo = failed
	}
	return l.err
}

// write, and say which file of which hierarchy was refused. Some values are
// taken without a word although nothing comes of them: in version 2 processors
// that are not there, in version 1 shares out of range and, since Linux 5.16,
// the kernel's memory.
func (v value) write() error {
	file := v.dir + "/" + v.file
	err := write(file, v.text)
	got, now := read(file), read(file+".effective")
	if err == nil && (now != "" && got != now || v.file == "cpu.shares" &&
		got != v.text) {
		write(file, "")
		err = unix.ERANGE
	} else if strings.Contains(file, ".kmem.") && parse(got) > 1<<62 {
		err = unix.EOPNOTSUPP
	}
	if err == nil {
		return nil
	}
	why := hint(err, v.file)
	if err == unix.ENOENT && v.key == "v2" {
		controller, _, _ := strings.Cut(v.file, ".")
		why = notEnabled(v.dir, controller)
	}
	return fmt.Errorf("cgroup %s: set %s = %s: %w: %s", v.key, file, v.text,
		err, why)
}

// notEnabled says how a controller gets to a cgroup of version 2: the one above
// has to hand it down, for which no process may be in there.
func notEnabled(dir, controller string) string {
	if slices.Contains(words(dir+"/cgroup.controllers"), controller) {
		return hint(unix.ENOENT, controller)
	}
	for up := path.Dir(dir); exists(up, "cgroup.controllers"); up =
		path.Dir(up) {
		if slices.Contains(words(up+"/cgroup.controllers"), controller) {
			return fmt.Sprintf("%s has %d processes, but a controller is "+
				"handed down only where none is: move them into a cgroup "+
				"below it, then echo +%s >%[1]s/cgroup.subtree_control", up,
				len(words(up+"/cgroup.procs")), controller)
		}
	}
	return "controller " + controller + " is not in this hierarchy: this " +
		"kernel has it not, version 1 has it, or " + delegate
}

// hint is what helps, as far as an error number tells.
func hint(err error, file string) string {
	switch err {
	case unix.EACCES, unix.EPERM, unix.EROFS:
		return delegate
	case unix.EBUSY:
		return "more than that is in use already"
	case unix.EINVAL, unix.ERANGE:
		return "out of range, or not available, or not in the cgroup above"
	case unix.ENODEV, unix.ENXIO:
		return "there is no such device; disks are whole disks, not partitions"
	case unix.ENOENT, unix.EOPNOTSUPP:
		if strings.Contains(file, "sw") {
			return "boot with swapaccount=1 to count swap"
		} else if strings.Contains(file, "weight") {
			return "weights need the I/O scheduler bfq"
		}
		return "this kernel has no such limit"
	}
	return "see cgroups(7)"
}

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
	used, check := number(dir, "memory.current"), m.CheckBeforeUpdate
	if check != nil && *check && limit != "" && most > 0 && used >
		uint64(most) {
		l.fail("cgroup v2: set %s/memory.max = %s: %d bytes are in use already",
			dir, limit, used)
	}
	l.add("memory.limit_in_bytes", "memory.max", limit)
	if swap != "0" && swap != "-1" || exists(dir, "memory.swap.max") ||
		exists(dir, "memory.memsw.limit_in_bytes") {
		l.add("memory.memsw.limit_in_bytes", "memory.swap.max", swap)
	}
	l.add("memory.soft_limit_in_bytes", "memory.low", text(m.Reservation))
	//lint:ignore SA1019 a bundle may ask for it, and is told
	l.add("memory.kmem.limit_in_bytes", "", text(m.Kernel))
	l.add("memory.kmem.tcp.limit_in_bytes", "", text(m.KernelTCP))
	if m.Swappiness != nil {
		l.add("memory.swappiness", "", fmt.Sprint(*m.Swappiness))
	}
	if is := m.DisableOOMKiller; is != nil && (*is || !v2) {
		l.add("memory.oom_control", "", map[bool]string{true: "1",
			false: "0"}[*is])
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		l.add("memory.use_hierarchy", "", "0")
	}
}

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
		if quota = cmp.Or(quota, before); strings.HasPrefix(quota, "-") {
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
	limit := func(list []specs.LinuxThrottleDevice, file1, key string) {
		for _, d := range list {
			disk, rate := fmt.Sprintf("%d:%d ", d.Major, d.Minor), text(&d.Rate)
			if _, v2 := l.at("io"); v2 {
				rate = key + "=" + cmp.Or(rate, "max")
			}
			l.add("blkio.throttle."+file1, "io.max", disk+cmp.Or(rate, "0"))
		}
	}
	limit(b.ThrottleReadBpsDevice, "read_bps_device", "rbps")
	limit(b.ThrottleWriteBpsDevice, "write_bps_device", "wbps")
	limit(b.ThrottleReadIOPSDevice, "read_iops_device", "riops")
	limit(b.ThrottleWriteIOPSDevice, "write_iops_device", "wiops")
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
		for key, n := range map[string]*uint32{"handle": limit.HcaHandles,
			"object": limit.HcaObjects} {
			if n != nil {
				l.add("rdma.max", "rdma.max",
					fmt.Sprintf("%s hca_%s=%d", device, key, *n))
			}
		}
	}
	n := cmp.Or(r.Network, &specs.LinuxNetwork{})
	l.add("net_cls.classid", "", text(n.ClassID))
	for _, p := range n.Priorities {
		l.add("net_prio.ifpriomap", "", fmt.Sprint(p.Name, " ", p.Priority))
	}
	// Files of version 2; those of the cgroup itself are no limits.
	for file, text := range r.Unified {
		for line := range strings.Lines(text) {
			l.add("", file, strings.TrimSpace(line))
		}
	}
}
