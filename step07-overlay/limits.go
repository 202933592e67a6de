package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// A limit is an option of Docker's, the least that it takes, and the file for
// it in version 1 and in version 2 of cgroups. A file's name begins with its
// controller's.
type limit struct{ option, least, file1, file2 string }

var limits = []limit{
	{"memory", "6m", "memory.limit_in_bytes", "memory.max"},
	{"memory-swap", "0", "memory.memsw.limit_in_bytes", "memory.swap.max"},
	{"memory-reservation", "1", "memory.soft_limit_in_bytes", "memory.low"},
	{"cpus", "0.01", "cpu.cfs_quota_us", "cpu.max"},
	{"cpu-period", "1000", "cpu.cfs_period_us", "cpu.max"},
	{"cpu-quota", "1000", "cpu.cfs_quota_us", "cpu.max"},
	{"cpu-shares", "2", "cpu.shares", "cpu.weight"},
	{"cpuset-cpus", "0", "cpuset.cpus", "cpuset.cpus"},
	{"pids-limit", "32", "pids.max", "pids.max"},
	{"device-read-bps", "1", "blkio.throttle.read_bps_device", "io.max"},
	{"device-write-bps", "1", "blkio.throttle.write_bps_device", "io.max"},
	{"device-read-iops", "1", "blkio.throttle.read_iops_device", "io.max"},
	{"device-write-iops", "1", "blkio.throttle.write_iops_device", "io.max"},
}

func init() {
	for _, l := range limits {
		runFlags = append(runFlags, &cli.StringSliceFlag{Name: l.option,
			Usage: "for " + l.file2, Value: cli.NewStringSlice("")})
	}
}

// values translates text for version 1 and for version 2; what is no limit, 0
// or -1, to nothing. Version 1 counts memory and swap together, and by default
// there is as much of one as of the other. A weight of 100 is 1024 shares,
// which is what everybody has who does not ask. --cpus is a quota in the usual
// period, 0.1 seconds. A disk is known by its numbers, makedev(3). Of the
// processes, a dozen are threads of our PID 1.
func (l limit) values(c *cli.Context, text string) (v1, v2 string, err error) {
	want, size, least, most := l.least+" or more", text, number(l.least), 1e15
	if l.file2 == "io.max" && text != "" {
		var disk unix.Stat_t
		path, rate, _ := strings.Cut(text, ":")
		err = failed("stat", path, unix.Stat(path, &disk))
		want, size = "DISK:NUMBER", cmp.Or(rate, "none")
		v1 = fmt.Sprint(unix.Major(disk.Rdev), ":", unix.Minor(disk.Rdev), " ")
		v2 = v1 + l.option[7:8] + strings.Split(l.option, "-")[2] + "="
	}
	memory := number(c.StringSlice("memory")[0])
	n, n2 := number(size), number(size)
	switch l.option {
	case "memory-swap":
		n, want = cmp.Or(n, 2*memory), "--memory or more, or -1"
		n2, least, most = n-memory, memory, memory*1e6 // without memory, 0
	case "cpus":
		n, n2, least = float64(int64(n*1e5+.5)), float64(int64(n*1e5+.5)), 1000
		if c.IsSet("cpu-quota") || c.IsSet("cpu-period") {
			most, want = 0, "together with --cpu-quota or --cpu-period"
		}
	case "cpu-period":
		v2 = "max "
	case "cpu-shares":
		n2, most, want = min(max(n*100/1024, 1), 1e4), 262144, "2 to 262144"
	case "cpuset-cpus":
		return text, text, nil
	}
	if n == 0 || n == -1 && strings.Contains("memory-swap,cpu-quota,"+
		"pids-limit,", l.option+",") {
		return "", "", nil
	} else if err == nil && (n < least || n > most || n != float64(int64(n))) {
		err = fmt.Errorf("%s %s: not %s", l.option, text, want)
	}
	return fmt.Sprint(v1, int64(n)), fmt.Sprint(v2, int64(n2)), err
}

var units = map[string]float64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

// number is 67108864 for 64m, 0 for nothing, and -2 for what is no number.
func number(text string) float64 {
	text = strings.TrimSuffix(strings.ToLower(cmp.Or(text, "0")), "b")
	digits := strings.TrimRight(text, "kmg")
	n, err := strconv.ParseFloat(digits, 64)
	if unit, known := units[text[len(digits):]]; err == nil && known {
		return n * unit
	}
	return -2
}
