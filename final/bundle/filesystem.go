package bundle

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"container-workshop/final/cgroups"
	"container-workshop/final/flags"
	"container-workshop/final/reaper"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The mounts that every container has, in this order.
func defaultMounts() []specs.Mount {
	m := func(kind, on, options string) specs.Mount {
		return specs.Mount{Type: kind, Source: kind, Destination: on,
			Options: strings.Split(options, ",")}
	}
	return []specs.Mount{
		m("proc", "/proc", "nosuid,noexec,nodev"),
		m("tmpfs", "/dev", "nosuid,strictatime,mode=755,size=65536k"),
		m("devpts", "/dev/pts",
			"nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
		m("sysfs", "/sys", "nosuid,noexec,nodev,ro"),
		m("cgroup", "/sys/fs/cgroup", "ro,nosuid,noexec,nodev"),
		m("mqueue", "/dev/mqueue", "nosuid,noexec,nodev"),
		m("tmpfs", "/dev/shm", "nosuid,noexec,nodev,mode=1777"),
	}
}

// setMounts lists Docker's mounts without those that the user has something
// else for, and then his.
func (m *maker) setMounts() error {
	users := map[string]bool{}
	for _, mount := range m.p.Mounts {
		users[mount.Destination] = true
	}
	for _, d := range defaultMounts() {
		keep, err := m.adapt(&d)
		if err != nil {
			return err
		} else if keep && !users[d.Destination] && !(users["/dev"] &&
			strings.HasPrefix(d.Destination, "/dev/")) {
			m.s.Mounts = append(m.s.Mounts, d)
		}
	}
	bind := func(source, target string, options ...string) {
		if source != "" && !users[target] {
			m.s.Mounts = append(m.s.Mounts, specs.Mount{Type: "bind",
				Source: source, Destination: target, Options: options})
		}
	}
	access := "rw"
	if m.o.ReadOnly {
		access = "ro"
	}
	bind(m.p.Resolv, "/etc/resolv.conf", "rbind", "rprivate", access)
	bind(m.p.Hostname, "/etc/hostname", "rbind", "rprivate", access)
	bind(m.p.Hosts, "/etc/hosts", "rbind", "rprivate", access)
	for _, mount := range m.p.Mounts {
		if err := m.add(mount); err != nil {
			return err
		}
	}
	if m.o.Init && m.o.Pid == "" {
		bind(m.p.Exe, reaper.Path, "bind", "ro")
	}
	return nil
}

// add adds one of the user's. To a mount that shares what is mounted below it,
// the way from the host must be open: mount_namespaces(7).
func (m *maker) add(mount Mount) error {
	s := specs.Mount{Type: mount.Type, Source: mount.Source,
		Destination: mount.Destination, Options: mount.Options}
	if mount.Type == "volume" {
		s.Type = "bind"
		if mount.Subpath != "" {
			real, err := filepath.EvalSymlinks(filepath.Join(mount.Source,
				mount.Subpath))
			if err != nil || !strings.HasPrefix(real+"/", mount.Source+"/") {
				return fmt.Errorf("cannot access path %s of volume %s: not in "+
					"the volume", mount.Subpath, mount.Name)
			}
			s.Source = real
		}
	}
	if s.Type == "bind" {
		if _, err := os.Stat(s.Source); err != nil && !(mount.MakeSource &&
			os.IsNotExist(err)) {
			return fmt.Errorf("invalid mount config for type \"bind\": bind "+
				"source path does not exist: %s", s.Source)
		}
	}
	for _, word := range mount.Options {
		switch word {
		case "shared", "rshared":
			m.s.Linux.RootfsPropagation = "shared"
		case "slave", "rslave":
			m.s.Linux.RootfsPropagation = cmp.Or(
				m.s.Linux.RootfsPropagation, "rslave")
		}
	}
	m.s.Mounts = append(m.s.Mounts, s)
	return nil
}

// adapt changes one of Docker's mounts to what was asked for, and to what can
// be had: in a user namespace, only the file system of a namespace that belongs
// to it can be mounted, and otherwise is taken from the host.
func (m *maker) adapt(d *specs.Mount) (keep bool, err error) {
	user := len(m.s.Linux.UIDMappings) > 0
	host := func(kind specs.LinuxNamespaceType) bool {
		return !slices.ContainsFunc(m.s.Linux.Namespaces,
			func(n specs.LinuxNamespace) bool {
				return n.Type == kind && (n.Path == "" ||
					m.p.Namespaces[specs.UserNamespace] != "")
			})
	}
	take := func(source string, options ...string) {
		d.Type, d.Source = "bind", source
		d.Options = append([]string{"rbind", "nosuid", "noexec", "nodev"},
			options...)
	}
	drop := func(word string) {
		d.Options = slices.DeleteFunc(d.Options, func(o string) bool {
			return o == word
		})
	}
	switch d.Destination {
	case "/proc":
		if user && host(specs.PIDNamespace) {
			take("/proc")
		}
	case "/dev/pts":
		if user && !mapped(m.s.Linux.GIDMappings, 5) {
			drop("gid=5")
		}
	case "/sys":
		if user && host(specs.NetworkNamespace) {
			take("/sys", "ro")
		}
	case "/sys/fs/cgroup":
		if user && (host(specs.CgroupNamespace) || !cgroups.V2()) {
			return false, nil
		}
	case "/dev/mqueue":
		return !user || !host(specs.IPCNamespace), nil
	case "/dev/shm":
		size, err := flags.Bytes(cmp.Or(m.o.ShmSize, "64m"))
		if err != nil {
			return false, fmt.Errorf("invalid argument %q for --shm-size: %w",
				m.o.ShmSize, err)
		}
		d.Options = append(d.Options, fmt.Sprintf("size=%d", size))
		if d.Source = "shm"; m.o.Ipc == "host" {
			take("/dev/shm")
		} else if m.p.Shm != "" {
			take(m.p.Shm)
		}
		return m.o.Ipc != "none", nil
	}
	if m.o.Privileged && strings.HasPrefix(d.Destination, "/sys") {
		drop("ro")
	}
	return true, nil
}

// setPaths hides parts of /proc and /sys that would tell of the host, or change
// it.
func (m *maker) setPaths() error {
	if m.o.Privileged || m.security.systemPaths {
		return nil
	}
	l := m.s.Linux
	l.MaskedPaths = []string{"/proc/asound", "/proc/acpi", "/proc/interrupts",
		"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
		"/sys/firmware", "/sys/devices/virtual/powercap"}
	throttles, _ := filepath.Glob(
		"/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle")
	l.MaskedPaths = append(l.MaskedPaths, throttles...)
	l.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq",
		"/proc/sys", "/proc/sysrq-trigger"}
	return nil
}
