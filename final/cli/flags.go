package cli

import (
	"fmt"
	"strings"

	"container-workshop/final/bundle"
	"container-workshop/final/engine"

	"github.com/urfave/cli/v2"
)

// values is a flag that may be given several times.
type values struct {
	to   *[]string
	keys string // of KEY=VALUE, if only these may be
}

// Set is called once more for each alias, with what String says.
func (v *values) Set(value string) error {
	if value == again {
		return nil
	}
	key, _, _ := strings.Cut(value, "=")
	if v.keys != "" && !strings.Contains(v.keys+" ", key+" ") {
		return fmt.Errorf("invalid filter '%s'", key)
	}
	*v.to = append(*v.to, value)
	return nil
}

const again = "\x00"

func (v *values) String() string {
	if v.to == nil || len(*v.to) == 0 {
		return ""
	}
	return again
}

func names(text string) (name string, aliases []string) {
	all := strings.Split(text, ",")
	return all[0], all[1:]
}

// The four kinds of flags, bound to where their values go; nil is nowhere.
func yes(to *bool, name, usage string) cli.Flag {
	name, more := names(name)
	return &cli.BoolFlag{Name: name, Aliases: more, Usage: usage,
		Destination: to}
}

func text(to *string, name, usage string) cli.Flag {
	name, more := names(name)
	return &cli.StringFlag{Name: name, Aliases: more, Usage: usage,
		Destination: to}
}

func count(to *int, name string, value int, usage string) cli.Flag {
	name, more := names(name)
	return &cli.IntFlag{Name: name, Aliases: more, Usage: usage, Value: value,
		Destination: to}
}

func many(to *[]string, name, usage string) cli.Flag {
	name, more := names(name)
	return &cli.GenericFlag{Name: name, Aliases: more, Usage: usage,
		Value: &values{to: to}}
}

// runFlags are those of run and create.
func runFlags(o *engine.Options) []cli.Flag {
	return append(limitFlags(&o.Limits),
		// The process.
		yes(&o.Interactive, "interactive,i", "keep stdin open"),
		yes(&o.Tty, "tty,t", "give it a terminal"),
		many(&o.Env, "env,e", "set `NAME[=VALUE]` in the environment"),
		many(&o.EnvFile, "env-file", "read the environment from `FILE`"),
		text(&o.Workdir, "workdir,w", "start in `DIR`"),
		text(&o.User, "user,u", "be `USER[:GROUP]`, names or numbers"),
		many(&o.GroupAdd, "group-add", "be in `GROUP`, too"),
		text(nil, "entrypoint", "run `PROGRAM`, not the image's entrypoint"),
		yes(&o.Init, "init", "have a PID 1 that reaps and forwards signals"),
		text(&o.StopSignal, "stop-signal", "have stop send `SIGNAL`"),
		count(&o.StopTimeout, "stop-timeout", 0, "stop kills after `SECONDS`"),
		// The container.
		text(&o.Name, "name", "call it `NAME`"),
		many(&o.Labels, "label,l", "remember `KEY=VALUE`"),
		yes(&o.Remove, "rm", "remove it when it ends"),
		text(&o.Restart, "restart", "start it again when it ends: `POLICY` is "+
			"no, on-failure[:N], always, unless-stopped"),
		many(&o.LogOpt, "log-opt", "`OPTION`: max-size=10m, max-file=3"),
		text(nil, "cidfile", "write its ID to `FILE`"),
		// Files.
		many(&o.Volume, "volume,v", "mount `[SRC:]DST[:OPTIONS]`"),
		many(&o.Mount, "mount", "mount `type=TYPE,src=SRC,dst=DST,...`"),
		many(&o.Tmpfs, "tmpfs", "mount a tmpfs at `DST[:OPTIONS]`"),
		yes(&o.ReadOnly, "read-only", "do not write to its root"),
		text(&o.ShmSize, "shm-size", "`SIZE` of /dev/shm"),
		// Namespaces and the network.
		text(&o.Network, "network,net", "`MODE`: none, host, bridge, NAME, "+
			"container:ID"),
		text(&o.IP, "ip", "have `ADDRESS`"),
		many(&o.Aliases, "network-alias", "have `NAME` on the network, too"),
		many(&o.DNS, "dns", "ask `SERVER` for names"),
		many(&o.AddHost, "add-host", "know `NAME:ADDRESS`"),
		many(&o.Publish, "publish,p", "publish `[[IP:]HOST:]PORT[/PROTO]`"),
		yes(&o.PublishAll, "publish-all,P", "publish all exposed ports"),
		many(&o.Expose, "expose", "expose `PORT`"),
		text(&o.Hostname, "hostname,h", "have host `NAME`"),
		text(&o.Domainname, "domainname", "have NIS domain `NAME`"),
		text(&o.Pid, "pid", "PID namespace: `MODE` host, container:ID"),
		text(&o.Ipc, "ipc", "IPC namespace: `MODE` private, shareable, host, "+
			"container:ID"),
		text(&o.Uts, "uts", "UTS namespace: `MODE` host"),
		text(&o.Userns, "userns", "user namespace: `MODE` host, private"),
		text(&o.Cgroupns, "cgroupns", "cgroup namespace: `MODE` host, private"),
		many(&o.TimeOffset, "time-offset", "set a clock ahead: "+
			"`CLOCK=SECONDS`, monotonic or boottime"),
		// Security.
		yes(&o.Privileged, "privileged", "give it everything"),
		many(&o.CapAdd, "cap-add", "give it `CAPABILITY`"),
		many(&o.CapDrop, "cap-drop", "take `CAPABILITY` away"),
		many(&o.SecurityOpt, "security-opt", "`OPTION`: seccomp=FILE, "+
			"seccomp=unconfined, no-new-privileges"),
		many(&o.Sysctl, "sysctl", "set `NAME=VALUE`"),
		many(&o.Ulimit, "ulimit", "limit `NAME=SOFT[:HARD]`"),
		many(&o.Device, "device", "add device `HOST[:CONTAINER[:rwm]]`"),
		count(&o.OomScoreAdj, "oom-score-adj", 0, "have `SCORE` when memory "+
			"runs out"))
}

// limitFlags are those that update has as well.
func limitFlags(l *bundle.Limits) []cli.Flag {
	return []cli.Flag{
		text(&l.Memory, "memory,m", "limit memory to `SIZE`"),
		text(&l.MemoryReservation, "memory-reservation", "soft limit `SIZE`"),
		text(&l.MemorySwap, "memory-swap", "limit memory and swap to `SIZE`"),
		text(&l.MemorySwappiness, "memory-swappiness", "`N`, 0 to 100"),
		text(&l.KernelMemory, "kernel-memory", "limit kernel memory to `SIZE`"),
		yes(&l.OomKillDisable, "oom-kill-disable", "wait, do not die"),
		text(&l.CPUShares, "cpu-shares,c", "weight `N`, 1024 is normal"),
		text(&l.Cpus, "cpus", "limit to `N` CPUs, such as 1.5"),
		text(&l.CPUPeriod, "cpu-period", "`MICROSECONDS`"),
		text(&l.CPUQuota, "cpu-quota", "`MICROSECONDS` in a period"),
		text(&l.CpusetCpus, "cpuset-cpus", "only run on CPUs `LIST`"),
		text(&l.CpusetMems, "cpuset-mems", "only use memory nodes `LIST`"),
		text(&l.PidsLimit, "pids-limit", "limit processes to `N`"),
		text(&l.BlkioWeight, "blkio-weight", "weight `N`, 10 to 1000"),
		many(&l.DeviceReadBps, "device-read-bps", "limit `DEVICE:RATE`"),
		many(&l.DeviceWriteBps, "device-write-bps", "limit `DEVICE:RATE`"),
		many(&l.DeviceReadIOPS, "device-read-iops", "limit `DEVICE:RATE`"),
		many(&l.DeviceWriteIOPS, "device-write-iops", "limit `DEVICE:RATE`"),
	}
}
