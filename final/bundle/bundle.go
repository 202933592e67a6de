// Package bundle turns what `run` was asked, and what the image says, into an
// OCI runtime configuration: config.json.
package bundle

import (
	"errors"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

var errLater = errors.New("bundle: not written yet")

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

	// Security.
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

// Mount is one of -v, --mount, --tmpfs or the image's VOLUME. The engine makes
// the directory of a volume and says in Source where it is; an anonymous
// volume has no Name before that either.
type Mount struct {
	Type        string // bind, volume, tmpfs
	Name        string // of a volume
	Source      string
	Destination string
	ReadOnly    bool
	NoCopy      bool     // volume: do not fill it from the image
	Subpath     string   // volume: mount this part of it
	Driver      string   // volume
	Labels      []string // volume, NAME=VALUE
	DriverOpts  []string // volume, NAME=VALUE
	MakeSource  bool     // bind: -v makes a missing directory
	Options     []string // as config.json has them
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

// Mounts is what the container mounts besides Docker's own: volumes to make.
func Mounts(o *Options, img *v1.ImageConfig) ([]Mount, error) {
	return nil, errLater
}

// Spec makes config.json. The warnings are Docker's.
func Spec(o *Options, img *v1.ImageConfig, p Paths) (*specs.Spec, []string,
	error) {
	return nil, nil, errLater
}

// Resources are the cgroup's limits, without devices: for Spec and for update.
func Resources(l *Limits) (*specs.LinuxResources, []string, error) {
	return nil, nil, errLater
}

// LookUp finds a user, as -u has it, and groups in /etc/passwd and /etc/group
// of the layers (the lowest first), or of one /proc/PID/root. home is the
// user's directory.
func LookUp(layers []string, user string, groups []string) (u specs.User,
	home string, err error) {
	return u, "", errLater
}

// Env is the environment of a process: the image's, with the options' over it.
// A name without a value takes the caller's, or goes if there is none.
func Env(base []string, o *Options) ([]string, error) {
	return nil, errLater
}

// Command is what the container runs: Docker's rules for entrypoint and cmd.
func Command(o *Options, img *v1.ImageConfig) ([]string, error) {
	return nil, errLater
}

// Bytes reads a size: 64m, 1.5g, 1024.
func Bytes(text string) (int64, error) { return 0, errLater }
