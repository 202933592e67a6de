// Package flags reads what users write for `run` and `create`: Docker's rules,
// and Docker's words for what breaks them.
package flags

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
