package inside

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Spec is config.json without what is for other systems. The JSON library
// prepares itself for every type that it might meet, at each start anew.
type Spec struct {
	specs.Spec
	Solaris *struct{} `json:"solaris,omitempty"`
	Windows *struct{} `json:"windows,omitempty"`
	VM      *struct{} `json:"vm,omitempty"`
	ZOS     *struct{} `json:"zos,omitempty"`
	FreeBSD *struct{} `json:"freebsd,omitempty"`
}

// Process is a config.json of which nothing else counts: all that one who joins
// a container gets.
type Process struct {
	Process *specs.Process `json:"process"`
}

// ReadProcess reads no more than that of a config.json.
func ReadProcess(file string) (*specs.Process, error) {
	var spec Process
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &spec)
	}
	if err == nil && spec.Process == nil {
		err = fmt.Errorf("%s: process is missing", file)
	}
	return spec.Process, err
}

// needed is a Spec without what is of no use in here.
type needed struct {
	Spec
	Linux *struct {
		specs.Linux
		Resources    *struct{} `json:"resources"`
		Seccomp      *struct{} `json:"seccomp"`
		IntelRdt     *struct{} `json:"intelRdt"`
		NetDevices   *struct{} `json:"netDevices"`
		MemoryPolicy *struct{} `json:"memoryPolicy"`
	} `json:"linux"`
}
