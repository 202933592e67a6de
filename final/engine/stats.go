package engine

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/cgroups"
)

// Sample is what a container uses at one moment.
type Sample struct {
	At                                time.Time
	CPU                               uint64 // nanoseconds
	Memory, Limit, Pids               uint64
	Received, Sent, BlockIn, BlockOut uint64 // bytes
}

// Sample reads the counters of a container that runs.
func (e *Engine) Sample(c *Container) (s Sample, err error) {
	rt, err := e.runtime(c)
	if err != nil {
		return s, err
	}
	stats, err := rt.Cgroup().Stats()
	if err != nil {
		return s, err
	}
	s = Sample{At: time.Now(), CPU: stats.CPU.Usage.Total,
		Memory: working(stats), Limit: stats.Memory.Usage.Limit,
		Pids: stats.Pids.Current}
	if total := Memory(); s.Limit > total {
		s.Limit = total
	}
	for _, entry := range stats.Blkio.IoServiceBytesRecursive {
		switch strings.ToLower(entry.Op) {
		case "read":
			s.BlockIn += entry.Value
		case "write":
			s.BlockOut += entry.Value
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", c.State.Pid))
	for line := range strings.Lines(string(text)) {
		name, counts, _ := strings.Cut(line, ":")
		fields := strings.Fields(counts)
		if len(fields) > 8 && strings.TrimSpace(name) != "lo" {
			in, _ := strconv.ParseUint(fields[0], 10, 64)
			out, _ := strconv.ParseUint(fields[8], 10, 64)
			s.Received, s.Sent = s.Received+in, s.Sent+out
		}
	}
	return s, err
}

// working is the memory without the page cache that the kernel can drop at
// once, as Docker counts.
func working(stats *cgroups.Stats) uint64 {
	m := stats.Memory
	for _, key := range []string{"total_inactive_file", "inactive_file"} {
		if cache, ok := m.Raw[key]; ok && cache < m.Usage.Usage {
			return m.Usage.Usage - cache
		}
	}
	return m.Usage.Usage
}

// CPUPercent is what was used between two samples; one whole CPU is 100.
func (s Sample) CPUPercent(before Sample) float64 {
	span := float64(s.At.Sub(before.At))
	if span <= 0 || s.CPU < before.CPU {
		return 0
	}
	return float64(s.CPU-before.CPU) / span * 100
}

// Memory is how much this machine has, in bytes.
func Memory() uint64 {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemTotal:" {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			return n << 10
		}
	}
	return math.MaxUint64
}

// Top asks ps(1) of the host for the processes of a container, as Docker does.
// Its options must leave the column PID in.
func (e *Engine) Top(c *Container, options []string) (title []string,
	rows [][]string, err error) {
	if c.State.Pid == 0 {
		return nil, nil, fmt.Errorf("container %s is not running", c.ID)
	}
	rt, err := e.runtime(c)
	if err != nil {
		return nil, nil, err
	}
	pids, err := rt.Processes()
	if err != nil {
		return nil, nil, err
	}
	standard := len(options) == 0
	if standard {
		options = []string{"-ef"}
	}
	out, err := exec.Command("ps", options...).Output()
	if err != nil && standard { // busybox
		out, err = exec.Command("ps", "-o",
			"user,pid,ppid,tty,time,args").Output()
	}
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return nil, nil, fmt.Errorf("ps %s: %w", strings.Join(options, " "),
			err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	title = strings.Fields(lines[0])
	column := slices.Index(title, "PID")
	if column < 0 {
		return nil, nil, errors.New("ps prints no field PID")
	}
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) <= column {
			continue
		}
		pid, _ := strconv.Atoi(fields[column])
		if slices.Contains(pids, pid) {
			last := min(len(title), len(fields)) - 1
			rows = append(rows, append(fields[:last:last],
				strings.Join(fields[last:], " ")))
		}
	}
	return title, rows, nil
}
