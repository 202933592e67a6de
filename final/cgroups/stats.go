package cgroups

import (
	"math"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Stats is what `events --stats` prints, in runc's JSON. Times are
// nanoseconds, sizes bytes. As in version 1, swap is memory and swap together.
type Stats struct {
	CPU     CPU                    `json:"cpu"`
	Memory  Memory                 `json:"memory"`
	Pids    Pids                   `json:"pids"`
	Blkio   Blkio                  `json:"blkio"`
	Hugetlb map[string]MemoryEntry `json:"hugetlb"`
}

type CPU struct {
	Usage      CPUUsage   `json:"usage"`
	Throttling Throttling `json:"throttling"`
}

type CPUUsage struct {
	Total  uint64   `json:"total"`
	Percpu []uint64 `json:"percpu,omitempty"`
	Kernel uint64   `json:"kernel"`
	User   uint64   `json:"user"`
}

type Throttling struct {
	Periods          uint64 `json:"periods"`
	ThrottledPeriods uint64 `json:"throttledPeriods"`
	ThrottledTime    uint64 `json:"throttledTime"`
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

// Pids: no limit is 0.
type Pids struct {
	Current uint64 `json:"current"`
	Limit   uint64 `json:"limit"`
}

type Blkio struct {
	IoServiceBytesRecursive []BlkioEntry `json:"ioServiceBytesRecursive"`
	IoServicedRecursive     []BlkioEntry `json:"ioServicedRecursive"`
}

type BlkioEntry struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}

// Stats reads all counters. What this machine does not count is 0.
func (c *Cgroup) Stats() (*Stats, error) {
	s := &Stats{Hugetlb: map[string]MemoryEntry{}}
	c.cpuStats(&s.CPU)
	c.memoryStats(&s.Memory)
	c.blkioStats(&s.Blkio)
	dir, _ := c.at("pids")
	s.Pids.Current = parse(read(dir + "/pids.current"))
	if n := parse(read(dir + "/pids.max")); n != math.MaxUint64 {
		s.Pids.Limit = n
	}
	dir, _ = c.at("hugetlb")
	files, _ := filepath.Glob(dir + "/hugetlb.*B.*current")
	files1, _ := filepath.Glob(dir + "/hugetlb.*B.usage_in_bytes")
	for _, file := range append(files, files1...) {
		size := strings.Split(path.Base(file), ".")[1]
		name := "/hugetlb." + size
		s.Hugetlb[size] = MemoryEntry{Usage: parse(read(file)),
			Max:     parse(read(dir + name + ".max_usage_in_bytes")),
			Failcnt: parse(read(dir + name + ".failcnt"))}
	}
	return s, nil
}

func (c *Cgroup) cpuStats(s *CPU) {
	dir, v2 := c.at("cpu")
	n := pairs(dir + "/cpu.stat")
	s.Throttling = Throttling{n["nr_periods"], n["nr_throttled"],
		n["throttled_time"] + n["throttled_usec"]*1000}
	if v2 {
		s.Usage = CPUUsage{Total: n["usage_usec"] * 1000,
			Kernel: n["system_usec"] * 1000, User: n["user_usec"] * 1000}
		return
	}
	dir, _ = c.at("cpuacct")
	s.Usage = CPUUsage{Total: parse(read(dir + "/cpuacct.usage")),
		Kernel: parse(read(dir + "/cpuacct.usage_sys")),
		User:   parse(read(dir + "/cpuacct.usage_user"))}
	for _, word := range words(dir + "/cpuacct.usage_percpu") {
		s.Usage.Percpu = append(s.Usage.Percpu, parse(word))
	}
}

func (c *Cgroup) memoryStats(s *Memory) {
	dir, v2 := c.at("memory")
	s.Raw = pairs(dir + "/memory.stat")
	if !v2 {
		entry := func(name string) MemoryEntry {
			n := func(file string) uint64 {
				return parse(read(dir + "/memory." + name + file))
			}
			return MemoryEntry{n("limit_in_bytes"), n("usage_in_bytes"),
				n("max_usage_in_bytes"), n("failcnt")}
		}
		s.Usage, s.Swap, s.Kernel = entry(""), entry("memsw."), entry("kmem.")
		s.Cache = s.Raw["cache"]
		return
	}
	n := func(file string) uint64 { return parse(read(dir + "/memory." + file)) }
	s.Cache = s.Raw["file"]
	s.Usage = MemoryEntry{n("max"), n("current"), n("peak"),
		pairs(dir + "/memory.events")["max"]}
	s.Swap = MemoryEntry{Usage: s.Usage.Usage + n("swap.current"),
		Limit: math.MaxUint64, Failcnt: pairs(dir + "/memory.swap.events")["max"]}
	if swap := n("swap.max"); max(swap, s.Usage.Limit) != math.MaxUint64 {
		s.Swap.Limit = swap + s.Usage.Limit
	}
	s.Kernel.Usage = s.Raw["kernel"]
}

// blkioStats: "8:0 Read 4096" a line in version 1, "8:0 rbytes=4096 ..." in
// version 2.
func (c *Cgroup) blkioStats(s *Blkio) {
	dir, v2 := c.at("io")
	parts := func(file string, f func(disk BlkioEntry, words []string)) {
		for line := range strings.Lines(read(dir + "/" + file)) {
			words := strings.Fields(line)
			major, minor, ok := strings.Cut(words[0], ":")
			if ok {
				f(BlkioEntry{Major: parse(major), Minor: parse(minor)}, words[1:])
			}
		}
	}
	add := func(list *[]BlkioEntry, disk BlkioEntry, op, n string) {
		disk.Op, disk.Value = op, parse(n)
		*list = append(*list, disk)
	}
	if !v2 {
		const file = "blkio.throttle.io_service"
		parts(file+"_bytes_recursive", func(disk BlkioEntry, w []string) {
			add(&s.IoServiceBytesRecursive, disk, w[0], w[1])
		})
		parts(file+"d_recursive", func(disk BlkioEntry, w []string) {
			add(&s.IoServicedRecursive, disk, w[0], w[1])
		})
		return
	}
	parts("io.stat", func(disk BlkioEntry, words []string) {
		for _, word := range words {
			key, n, _ := strings.Cut(word, "=")
			switch key {
			case "rbytes":
				add(&s.IoServiceBytesRecursive, disk, "Read", n)
			case "wbytes":
				add(&s.IoServiceBytesRecursive, disk, "Write", n)
			case "rios":
				add(&s.IoServicedRecursive, disk, "Read", n)
			case "wios":
				add(&s.IoServicedRecursive, disk, "Write", n)
			}
		}
	})
}

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
