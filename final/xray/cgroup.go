package xray

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Cgroup is the container's place in one hierarchy: a line of
// /proc/PID/cgroup, and the files there.
type Cgroup struct {
	Version     int
	Controllers []string
	Path, Dir   string // as the kernel has it, and where it is mounted
	Callers     bool   // we are in it as well: it is not the container's
	Files       []Value
	Error       string `json:",omitempty"`
}

// Value is a file of a cgroup, as it is.
type Value struct{ Name, Text string }

// files are limits, and then what is used, of version 1 and of version 2.
const files = "memory.limit_in_bytes memory.memsw.limit_in_bytes " +
	"memory.soft_limit_in_bytes memory.usage_in_bytes " +
	"memory.max_usage_in_bytes memory.failcnt " +
	"memory.max memory.high memory.low memory.swap.max memory.current " +
	"memory.peak memory.swap.current " +
	"cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpuacct.usage " +
	"cpu.weight cpu.max cpu.stat cpuset.cpus cpuset.cpus.effective " +
	"cpuset.mems cpuset.mems.effective pids.max pids.current pids.peak " +
	"blkio.throttle.read_bps_device blkio.throttle.write_bps_device " +
	"blkio.throttle.read_iops_device blkio.throttle.write_iops_device " +
	"io.weight io.max io.stat devices.list freezer.state cgroup.controllers " +
	"cgroup.freeze cgroup.events"

// control finds the cgroups, by the mounts that we see.
func control(pid int) (all []Cgroup) {
	text, err := proc(pid, "cgroup")
	if err != nil {
		return []Cgroup{{Error: reason(err)}}
	}
	ours, _ := os.ReadFile("/proc/self/cgroup")
	own, _ := os.ReadFile("/proc/self/mountinfo")
	table := parseMountinfo(string(own))
	for line := range strings.Lines(text) {
		part := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(part) < 3 {
			continue
		}
		c := Cgroup{Version: 1, Path: part[2],
			Controllers: strings.Split(part[1], ","),
			Callers:     strings.Contains("\n"+string(ours), "\n"+line)}
		if part[1] == "" {
			c.Version, c.Controllers = 2, []string{}
		}
		if c.Dir = c.find(table); c.Dir == "" {
			c.Error = "not mounted where we are"
		} else if _, err := os.Stat(c.Dir); err != nil {
			c.Error = reason(err)
		}
		for name := range strings.FieldsSeq(files) {
			text, err := os.ReadFile(c.Dir + "/" + name)
			value := strings.TrimSpace(string(text))
			if c.Error == "" && !c.Callers && err == nil && value != "" {
				c.Files = append(c.Files, Value{name, value})
			}
		}
		all = append(all, c)
	}
	return all
}

// find is where the cgroup's hierarchy is mounted: a part of it, perhaps.
func (c *Cgroup) find(table []Mount) string {
	for _, m := range table {
		names := strings.Split(m.Super, ",")
		missing := slices.ContainsFunc(c.Controllers, func(name string) bool {
			return !slices.Contains(names, name)
		})
		rest, below := strings.CutPrefix(c.Path+"/",
			strings.TrimSuffix(m.Root, "/")+"/")
		if below && (c.Version == 2 && m.Type == "cgroup2" ||
			c.Version == 1 && m.Type == "cgroup" && !missing) {
			return filepath.Join(m.Target, rest)
		}
	}
	return ""
}
