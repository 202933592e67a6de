// Package profile reads Docker's form of seccomp profiles, in which rules
// depend on capabilities, architecture and kernel.
package profile

import (
	"fmt"
	"os"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// with is all that the profiles ask about a container: its bounding set.
func with(capabilities []string) *specs.Spec {
	return &specs.Spec{Process: &specs.Process{
		Capabilities: &specs.LinuxCapabilities{Bounding: capabilities}}}
}

// Default returns Docker's profile for a container with these capabilities.
func Default(capabilities []string) (*specs.LinuxSeccomp, error) {
	return seccomp.GetDefaultProfile(with(capabilities))
}

// Read returns the profile in a file, as for --security-opt seccomp=FILE.
func Read(file string, caps []string) (*specs.LinuxSeccomp, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read seccomp profile: %w", err)
	}
	profile, err := seccomp.LoadProfile(string(text), with(caps))
	if err != nil {
		return nil, fmt.Errorf("seccomp profile %s: %w", file, err)
	}
	return profile, nil
}
