// Package bundle turns what `run` was asked, and what the image says, into an
// OCI runtime configuration: config.json.
package bundle

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Options are the flags of run and create, as the user wrote them; a field has
// its flag's name. The zero value of each is "not given".
type Options struct {
	// The process.
	Entrypoint  *string // nil: the image's; "" clears it
	Args        []string
	Env         []string // NAME=VALUE, or NAME: the caller's
	EnvFile     []string
	Workdir     string
	User        string
	GroupAdd    []string
	Tty         bool
	Interactive bool
	Init        bool
	Hostname    string
	Domainname  string
	StopSignal  string

	// The file system.
	Volume   []string // -v
	Mount    []string
	Tmpfs    []string
	ReadOnly bool
	ShmSize  string

	// Namespaces: "", host, private, container:ID and what Docker has.
	Network, Pid, Ipc, Uts, Userns, Cgroupns string
	TimeOffset                               []string // boottime=SECONDS

	// Security. Spec makes the path of a seccomp profile absolute.
	Privileged      bool
	CapAdd, CapDrop []string
	SecurityOpt     []string
	Sysctl          []string
	Ulimit          []string
	Device          []string
	OomScoreAdj     int

	Limits
}

// Limits are the flags that update has as well.
type Limits struct {
	Memory, MemoryReservation, MemorySwap, KernelMemory string
	MemorySwappiness                                    string
	OomKillDisable                                      bool
	CPUShares, Cpus, CPUPeriod, CPUQuota                string
	CpusetCpus, CpusetMems                              string
	PidsLimit                                           string
	BlkioWeight                                         string
	DeviceReadBps, DeviceWriteBps                       []string
	DeviceReadIOPS, DeviceWriteIOPS                     []string
}

// Paths is what only the engine knows.
type Paths struct {
	ID       string
	Root     string   // the root directory, for config.json
	Layers   []string // to look up users in: lowest first, the upper is last
	Mounts   []Mount  // of Mounts, with all Sources
	Hostname string   // files of the engine's to bind into /etc; "": none
	Hosts    string
	Resolv   string
	Cgroup   string // cgroupsPath
	// Namespaces to join, by type: /proc/PID/ns/pid for --pid container:ID.
	Namespaces map[specs.LinuxNamespaceType]string
	Shm        string // --ipc container:ID: its /dev/shm, /proc/PID/root/dev/shm
	Rootless   bool
	Exe        string // our program, for --init
}
