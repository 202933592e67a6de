// Package bundle turns what `run` was asked, and what the image says, into an
// OCI runtime configuration: config.json.
package bundle

import (
	"container-workshop/final/flags"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// What flags says, for those who have a bundle to make.
type (
	Options = flags.Options
	Limits  = flags.Limits
	Mount   = flags.Mount
)

func Bytes(text string) (int64, error) { return flags.Bytes(text) }

func Mounts(o *Options, img *v1.ImageConfig) ([]Mount, error) {
	return flags.Mounts(o, img)
}

func Command(o *Options, img *v1.ImageConfig) ([]string, error) {
	return flags.Command(o, img)
}

func Env(base []string, o *Options) ([]string, error) {
	return flags.Env(base, o)
}

func Resources(l *Limits) (*specs.LinuxResources, []string, error) {
	return flags.Resources(l)
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
	Shm        string // --ipc container:ID: /proc/PID/root/dev/shm of it
	Rootless   bool
	Exe        string // our program, for --init
}
