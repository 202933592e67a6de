package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"container-workshop/final/capabilities"
	"container-workshop/final/inside"
)

func readSpec(file string) (*specs.Spec, []byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	all := &inside.Spec{}
	if err := json.Unmarshal(data, all); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	spec := &all.Spec
	if spec.Linux == nil {
		spec.Linux = &specs.Linux{}
	}
	return spec, data, nil
}

// validate refuses what cannot work, and what would reach beyond the container,
// before anything is made.
func validate(spec *specs.Spec, o *Options) error {
	if !strings.HasPrefix(spec.Version, "1.") {
		return fmt.Errorf("ociVersion %q: 1.x is known", spec.Version)
	}
	if spec.Root == nil || spec.Root.Path == "" {
		return errors.New("config.json: root.path is missing")
	}
	if spec.Process == nil {
		return errors.New("config.json: process is missing")
	}
	if err := validateProcess(spec.Process); err != nil {
		return err
	}
	l := spec.Linux
	if l.IntelRdt != nil || l.MemoryPolicy != nil || l.Personality != nil ||
		len(l.NetDevices) > 0 {
		return errors.New("linux.intelRdt, memoryPolicy, personality and " +
			"netDevices are not supported")
	}
	if o.SystemdCgroup && strings.Count(l.CgroupsPath, ":") != 2 {
		return fmt.Errorf("cgroupsPath %q: with systemd's cgroups it is "+
			"SLICE:PREFIX:NAME", l.CgroupsPath)
	}
	return validateNamespaces(spec)
}

func validateProcess(p *specs.Process) error {
	if len(p.Args) == 0 || p.Args[0] == "" {
		return errors.New("process.args: no program is named")
	}
	if !filepath.IsAbs(p.Cwd) {
		return fmt.Errorf("process.cwd %q: must be an absolute path", p.Cwd)
	}
	on, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if p.ApparmorProfile != "" && !strings.HasPrefix(string(on), "Y") {
		return fmt.Errorf("apparmorProfile %q: AppArmor is not enabled",
			p.ApparmorProfile)
	}
	if p.SelinuxLabel != "" {
		return fmt.Errorf("selinuxLabel %q: SELinux is not supported",
			p.SelinuxLabel)
	}
	if p.Scheduler != nil || p.IOPriority != nil || p.ExecCPUAffinity != nil {
		return errors.New("process.scheduler, ioPriority and execCPUAffinity " +
			"are not supported")
	}
	for _, text := range capabilities.Warnings(p.Capabilities) {
		Warn(text)
	}
	for _, l := range p.Rlimits {
		if _, err := limitNumber(l.Type); err != nil {
			return err
		}
	}
	return nil
}

func validateNamespaces(spec *specs.Spec) error {
	l, has := spec.Linux, map[specs.LinuxNamespaceType]bool{}
	for _, n := range l.Namespaces {
		if has[n.Type] {
			return fmt.Errorf("namespace %q: listed twice", n.Type)
		}
		has[n.Type] = true
		if n.Path != "" && n.Type == specs.MountNamespace {
			return errors.New("mount namespace: it must be a new one")
		}
		if n.Path == "" && n.Type == specs.UserNamespace &&
			(len(l.UIDMappings) == 0 || len(l.GIDMappings) == 0) {
			return errors.New("user namespace: uidMappings and gidMappings " +
				"are missing")
		}
	}
	mapped := len(l.UIDMappings) > 0 || len(l.GIDMappings) > 0
	switch {
	case !has[specs.MountNamespace]:
		return errors.New("namespaces: mount is missing")
	case mapped && !has[specs.UserNamespace]:
		return errors.New("uidMappings: there is no user namespace")
	case len(l.TimeOffsets) > 0 && !has[specs.TimeNamespace]:
		return errors.New("timeOffsets: there is no time namespace")
	case spec.Hostname+spec.Domainname != "" && !has[specs.UTSNamespace]:
		return errors.New("hostname: there is no UTS namespace for it")
	}
	return nil
}
