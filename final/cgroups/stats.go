package cgroups

import (
	"cmp"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Stats is what `events --stats` prints, in runc's JSON. Times are
// nanoseconds, sizes bytes. As in version 1, swap is memory and swap together.
type Stats struct {
	CPU    CPU    `json:"cpu"`
	Memory Memory `json:"memory"`
	Pids   struct {
		Current uint64 `json:"current"`
		Limit   uint64 `json:"limit"` // 0: none
	} `json:"pids"`
	Blkio struct {
		IoServiceBytesRecursive []BlkioEntry `json:"ioServiceBytesRecursive"`
		IoServicedRecursive     []BlkioEntry `json:"ioServicedRecursive"`
	} `json:"blkio"`
	Hugetlb map[string]MemoryEntry `json:"hugetlb"`
}

type CPU struct {
	Usage struct {
		Total  uint64   `json:"total"`
		Percpu []uint64 `json:"percpu,omitempty"`
		Kernel uint64   `json:"kernel"`
		User   uint64   `json:"user"`
	} `json:"usage"`
	Throttling struct {
		Periods          uint64 `json:"periods"`
		ThrottledPeriods uint64 `json:"throttledPeriods"`
		ThrottledTime    uint64 `json:"throttledTime"`
	} `json:"throttling"`
}

// Memory: no limit is math.MaxUint64.
type Memory struct {
	Cache  uint64            `json:"cache"`
	Usage  MemoryEntry       `json:"usage"`
	Swap   MemoryEntry       `json:"swap"`
	Kernel MemoryEntry       `json:"kernel"`
	Raw    map[string]uint64 `json:"raw,omitempty"`
}

type MemoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage"`
	Max     uint64 `json:"max"`
	Failcnt uint64 `json:"failcnt"`
}

type BlkioEntry struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}

// Stats reads all counters. What this machine does not count is 0.
func (c *Cgroup) Stats() (*Stats, error) {
	s := &Stats{CPU: c.cpuStats(), Memory: c.memoryStats(),
		Hugetlb: map[string]MemoryEntry{}}
	s.Blkio.IoServiceBytesRecursive = []BlkioEntry{} // not null in JSON
	s.Blkio.IoServicedRecursive = []BlkioEntry{}
	pids, _ := c.at("pids")
	s.Pids.Current = number(pids, "pids.current")
	s.Pids.Limit = number(pids, "pids.max") % math.MaxUint64 // no limit: 0
	c.blkioStats(s)
	dir, _ := c.at("hugetlb")
	files, _ := filepath.Glob(dir + "/hugetlb.*B.[cu]*") // current, usage
	for _, file := range files {
		size := strings.Split(filepath.Base(file), ".")[1]
		name := "hugetlb." + size
		s.Hugetlb[size] = MemoryEntry{Usage: parse(read(file)),
			Max:     number(dir, name+".max_usage_in_bytes"),
			Failcnt: number(dir, name+".failcnt")}
	}
	return s, nil
}

func (c *Cgroup) cpuStats() (s CPU) {
	dir, _ := c.at("cpu")
	n := pairs(dir + "/cpu.stat") // nanoseconds in version 1
	s.Throttling.Periods = n["nr_periods"]
	s.Throttling.ThrottledPeriods = n["nr_throttled"]
	s.Throttling.ThrottledTime = n["throttled_time"] + n["throttled_usec"]*1000
	dir, _ = c.at("cpuacct")
	s.Usage.Total = n["usage_usec"]*1000 + number(dir, "cpuacct.usage")
	s.Usage.Kernel = n["system_usec"]*1000 + number(dir, "cpuacct.usage_sys")
	s.Usage.User = n["user_usec"]*1000 + number(dir, "cpuacct.usage_user")
	for _, word := range words(dir + "/cpuacct.usage_percpu") {
		s.Usage.Percpu = append(s.Usage.Percpu, parse(word))
	}
	return s
}

func (c *Cgroup) memoryStats() (s Memory) {
	dir, v2 := c.at("memory")
	s.Raw = pairs(dir + "/memory.stat")
	s.Cache = s.Raw["cache"] + s.Raw["file"] // version 1, version 2
	if !v2 {
		entry := func(name string) MemoryEntry {
			return MemoryEntry{number(dir, name+".limit_in_bytes"),
				number(dir, name+".usage_in_bytes"),
				number(dir, name+".max_usage_in_bytes"),
				number(dir, name+".failcnt")}
		}
		s.Usage, s.Swap = entry("memory"), entry("memory.memsw")
		s.Kernel = entry("memory.kmem")
		return s
	}
	s.Usage = MemoryEntry{number(dir, "memory.max"),
		number(dir, "memory.current"), number(dir, "memory.peak"),
		pairs(dir + "/memory.events")["max"]}
	s.Swap = MemoryEntry{Limit: math.MaxUint64,
		Usage: s.Usage.Usage + number(dir, "memory.swap.current")}
	if swap := number(dir, "memory.swap.max"); swap < math.MaxUint64-
		s.Usage.Limit {
		s.Swap.Limit = swap + s.Usage.Limit
	}
	s.Kernel.Usage = s.Raw["kernel"]
	return s
}

// blkioStats: lines such as "8:0 Read 4096" in version 1, and one line for a
// disk in version 2, "8:0 rbytes=4096 wbytes=0 rios=1 wios=0".
func (c *Cgroup) blkioStats(s *Stats) {
	dir, _ := c.at("io")
	ops := map[byte]string{'r': "Read", 'w': "Write", 'd': "Discard"}
	for _, file := range []string{"io.stat",
		"blkio.throttle.io_service_bytes_recursive",
		"blkio.throttle.io_serviced_recursive"} {
		for line := range strings.Lines(read(dir + "/" + file)) {
			f := strings.Fields(strings.ReplaceAll(line, "=", " "))
			major, minor, disk := strings.Cut(f[0], ":")
			for i := 1; disk && i+1 < len(f); i += 2 {
				e := BlkioEntry{parse(major), parse(minor), cmp.Or(
					ops[f[i][0]], f[i]), parse(f[i+1])}
				list := &s.Blkio.IoServicedRecursive
				if strings.Contains(file+f[i], "bytes") {
					list = &s.Blkio.IoServiceBytesRecursive
				}
				*list = append(*list, e)
			}
		}
	}
}

func number(dir, file string) uint64 { return parse(read(dir + "/" + file)) }

// parse: "max" is no limit. What is not there is 0.
func parse(text string) uint64 {
	if text == "max" {
		return math.MaxUint64
	}
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// pairs reads a file of lines "NAME NUMBER".
func pairs(file string) map[string]uint64 {
	found := map[string]uint64{}
	for line := range strings.Lines(read(file)) {
		name, n, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[name] = parse(n)
	}
	return found
}

// OOMKills is how many processes the kernel has killed for want of memory.
func (c *Cgroup) OOMKills() (int, error) {
	dir, _ := c.at("memory")
	return int(pairs(dir + "/memory.events")["oom_kill"] +
		pairs(dir + "/memory.oom_control")["oom_kill"]), nil
}

// OOM calls event when memory has run out, until the cgroup is removed or stop
// is closed. Version 1 says so with under_oom where nobody is killed.
func (c *Cgroup) OOM(stop <-chan struct{}, event func()) error {
	dir, _ := c.at("memory")
	count := func() uint64 {
		v1 := pairs(dir + "/memory.oom_control")
		return v1["oom_kill"] + v1["under_oom"] +
			pairs(dir + "/memory.events")["oom"]
	}
	for last := count(); exists(dir, "cgroup.procs"); {
		select {
		case <-stop:
			return nil
		case <-time.After(100 * time.Millisecond):
		}
		now := count()
		if now > last {
			event()
		}
		last = now
	}
	return nil
}
