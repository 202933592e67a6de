package bundle

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"container-workshop/final/capabilities"
	"container-workshop/final/flags"
	"container-workshop/final/reaper"
	"container-workshop/final/seccomp/profile"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// A maker fills s step by step.
type maker struct {
	o        *Options
	img      *v1.ImageConfig
	p        Paths
	s        *specs.Spec
	security security
	warnings []string
}

// Spec makes config.json. The warnings are Docker's. o.Env has to come from
// Env; a path in o.SecurityOpt becomes absolute.
func Spec(o *Options, img *v1.ImageConfig, p Paths) (*specs.Spec, []string,
	error) {
	m := &maker{o: o, img: img, p: p, s: &specs.Spec{Version: specs.Version,
		Root:    &specs.Root{Path: p.Root, Readonly: o.ReadOnly},
		Process: &specs.Process{Terminal: o.Tty},
		Linux:   &specs.Linux{CgroupsPath: p.Cgroup}}}
	for _, step := range []func() error{m.setSecurity, m.setNamespaces,
		m.setResources, m.setDevices, m.setProcess, m.setUser,
		m.setCapabilities, m.setSysctl, m.setMounts, m.setPaths} {
		if err := step(); err != nil {
			return nil, m.warnings, err
		}
	}
	return m.s, m.warnings, nil
}

func (m *maker) setResources() (err error) {
	m.s.Linux.Resources, m.warnings, err = flags.Resources(&m.o.Limits)
	return err
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:" +
	"/usr/bin:/sbin:/bin"

func (m *maker) setProcess() (err error) {
	p := m.s.Process
	if p.Args, err = flags.Command(m.o, m.img); err != nil {
		return err
	}
	p.Cwd = path.Clean(cmp.Or(m.o.Workdir, m.img.WorkingDir, "/"))
	if m.o.Workdir != "" && !path.IsAbs(m.o.Workdir) {
		return fmt.Errorf("the working directory '%s' is invalid, it needs "+
			"to be an absolute path", m.o.Workdir)
	} else if !path.IsAbs(p.Cwd) {
		p.Cwd = path.Join("/", p.Cwd)
	}
	host, _ := os.Hostname()
	p.Env = []string{defaultPath, "HOSTNAME=" + cmp.Or(m.s.Hostname, host)}
	if m.o.Tty {
		p.Env = append(p.Env, "TERM=xterm")
	}
	for _, pair := range slices.Concat(m.img.Env, m.o.Env) {
		p.Env = flags.SetEnv(p.Env, pair, false)
	}
	for _, text := range m.o.Ulimit {
		limit, err := flags.Ulimit(text)
		if err != nil {
			return err
		}
		p.Rlimits = slices.DeleteFunc(p.Rlimits,
			func(r specs.POSIXRlimit) bool { return r.Type == limit.Type })
		p.Rlimits = append(p.Rlimits, limit)
	}
	if score := m.o.OomScoreAdj; score < -1000 || score > 1000 {
		return fmt.Errorf("invalid value %d, range for oom score adj is "+
			"[-1000, 1000]", score)
	} else if score != 0 {
		p.OOMScoreAdj = &score
	}
	if m.o.Init && m.o.Pid == "" {
		p.Args = append([]string{reaper.Path, "--"}, p.Args...)
	}
	p.NoNewPrivileges = m.security.noNewPrivileges
	return nil
}

// setUser comes after the maps: ids that they lack cannot be had.
func (m *maker) setUser() error {
	p, l := m.s.Process, m.s.Linux
	user, home, err := LookUp(m.p.Layers, cmp.Or(m.o.User, m.img.User),
		m.o.GroupAdd)
	if err != nil {
		return err
	}
	if l.UIDMappings != nil {
		if !mapped(l.UIDMappings, user.UID) ||
			!mapped(l.GIDMappings, user.GID) {
			return fmt.Errorf("user %d:%d is not in the maps of the user "+
				"namespace: /etc/subuid and /etc/subgid, see newuidmap(1), "+
				"give more", user.UID, user.GID)
		}
		user.AdditionalGids = slices.DeleteFunc(user.AdditionalGids,
			func(gid uint32) bool { return !mapped(l.GIDMappings, gid) })
		if m.p.Rootless && len(l.GIDMappings) == 1 { // setgroups is denied
			if len(m.o.GroupAdd) > 0 {
				return errors.New("--group-add needs a range in /etc/subgid " +
					"and newgidmap(1)")
			}
			user.AdditionalGids = nil
		}
	}
	p.User = user
	if !slices.ContainsFunc(p.Env, func(pair string) bool {
		return strings.HasPrefix(pair, "HOME=") && pair != "HOME="
	}) {
		p.Env = flags.SetEnv(p.Env, "HOME="+home, false)
	}
	return nil
}

// setCapabilities follows Docker's order: ALL added wins over ALL dropped. A
// user who is not root gets none in effect: execve(2) would take them anyway.
func (m *maker) setCapabilities() error {
	all := func(name string) bool { return strings.EqualFold(name, "ALL") }
	add, err := capabilities.Parse(m.o.CapAdd)
	if err != nil {
		return err
	}
	drop, err := capabilities.Parse(slices.DeleteFunc(slices.Clone(
		m.o.CapDrop), all))
	if err != nil {
		return err
	}
	have, _ := capabilities.Parse(capabilities.All())
	set, _ := capabilities.Parse(capabilities.Default())
	if m.s.Linux.UIDMappings != nil { // a new user namespace has them all
		have = ^uint64(0)
	}
	switch {
	case m.o.Privileged:
		set = have
	case slices.ContainsFunc(m.o.CapAdd, all):
		set = have &^ drop
	case slices.ContainsFunc(m.o.CapDrop, all):
		set = add
	default:
		set = set&^drop | add
	}
	if lacking := add &^ have; lacking != 0 {
		return fmt.Errorf("capability not supported by your kernel or not "+
			"available in the current environment: %q",
			capabilities.Names(lacking)[0])
	}
	names := capabilities.Names(set & have)
	c := &specs.LinuxCapabilities{Bounding: names}
	if m.s.Process.User.UID == 0 {
		c.Effective, c.Permitted = names, names
	}
	m.s.Process.Capabilities = c
	return m.setSeccomp(names)
}

func (m *maker) setSeccomp(caps []string) (err error) {
	switch file := m.security.seccomp; {
	case file == "unconfined" || file == "" && m.o.Privileged:
	case file == "" || file == "builtin":
		m.s.Linux.Seccomp, err = profile.Default(caps)
	default:
		m.s.Linux.Seccomp, err = profile.Read(file, caps)
	}
	return err
}

// security is what --security-opt says.
type security struct {
	seccomp                      string // a path, unconfined, builtin or ""
	noNewPrivileges, systemPaths bool
}

func (m *maker) setSecurity() error {
	for i, text := range m.o.SecurityOpt {
		key, value, valued := strings.Cut(text, "=")
		if !valued && key != "no-new-privileges" {
			key, value, valued = strings.Cut(text, ":")
		}
		switch {
		case key == "no-new-privileges" && (!valued || value == "true"):
			m.security.noNewPrivileges = true
		case key == "no-new-privileges" && value == "false":
			m.security.noNewPrivileges = false
		case key == "seccomp" && (value == "unconfined" || value == "builtin"):
			m.security.seccomp = value
		case key == "seccomp" && value != "":
			file, err := filepath.Abs(value)
			if err != nil {
				return err
			}
			m.security.seccomp = file
			m.o.SecurityOpt[i] = "seccomp=" + file
		case key == "systempaths" && value == "unconfined":
			m.security.systemPaths = true
		case key == "apparmor" && value != "":
			if value != "unconfined" {
				m.s.Process.ApparmorProfile = value
			}
		case key == "label" && value == "disable":
		case key == "label" && value != "":
			return fmt.Errorf("--security-opt %s: SELinux labels are not "+
				"supported, but label=disable", text)
		default:
			return fmt.Errorf("invalid --security-opt: %q", text)
		}
	}
	return nil
}

// setSysctl takes what belongs to a namespace of the container's own. The
// first two are Docker's: every user may ping and open ports below 1024.
func (m *maker) setSysctl() error {
	values := map[string]string{}
	own := func(t specs.LinuxNamespaceType) bool {
		return slices.ContainsFunc(m.s.Linux.Namespaces,
			func(n specs.LinuxNamespace) bool {
				return n.Type == t && n.Path == ""
			})
	}
	if own(specs.NetworkNamespace) {
		values["net.ipv4.ip_unprivileged_port_start"] = "0"
		if m.s.Linux.UIDMappings == nil {
			values["net.ipv4.ping_group_range"] = "0 2147483647"
		}
	}
	for key := range values {
		file := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		if _, err := os.Stat(file); err != nil {
			delete(values, key)
		}
	}
	for _, text := range m.o.Sysctl {
		key, value, ok := strings.Cut(text, "=")
		key = strings.ReplaceAll(key, "/", ".")
		kind := specs.LinuxNamespaceType("")
		switch {
		case strings.HasPrefix(key, "net."):
			kind = specs.NetworkNamespace
		case strings.HasPrefix(key, "fs.mqueue."), slices.Contains([]string{
			"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
			"kernel.shmall", "kernel.shmmax", "kernel.shmmni",
			"kernel.shm_rmid_forced"}, key):
			kind = specs.IPCNamespace
		}
		if !ok || kind == "" || strings.Contains(key, "..") {
			return fmt.Errorf("sysctl '%s' is not allowed", text)
		} else if !own(kind) {
			return fmt.Errorf("sysctl '%s' is not allowed in a %s namespace "+
				"that is not the container's own", text, kind)
		}
		values[key] = value
	}
	m.s.Linux.Sysctl = values
	return nil
}
