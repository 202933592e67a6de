package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/cgroups"
	"container-workshop/final/inside"
	"container-workshop/final/namespaces"
	"container-workshop/final/rootfs"
	"container-workshop/final/seccomp"
)

// Options are what the caller of Create decides and config.json does not.
type Options struct {
	Root, Bundle, PidFile  string
	ConsoleSocket          string   // path of a listening socket, or
	Console                *os.File // a connected one: it gets the pty master
	Stdin, Stdout, Stderr  *os.File // nil: those of this process
	PreserveFDs            int      // beyond 0, 1 and 2
	NoPivot, SystemdCgroup bool
	KeepKeyring            bool // no session keyring of its own
	Rootless               bool

	Begun func(pid int) // called when the namespaces are there, if not nil
}

// Create makes the container, up to its program, which waits for Start. Its
// init is a child of the caller. The state is saved before there is anything
// that would have to be cleaned up, and when init is known: one that has heard
// nothing from us yet ends itself when we die.
func Create(id string, o Options) (c *Container, err error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	bundle, err := filepath.Abs(o.Bundle)
	if err != nil {
		return nil, err
	}
	spec, data, err := readSpec(filepath.Join(bundle, configFile))
	if err != nil {
		return nil, err
	}
	if err := validate(spec, &o); err != nil {
		return nil, err
	}
	c = &Container{ID: id, Bundle: bundle, Rootfs: spec.Root.Path,
		Created: time.Now().UTC(), Owner: os.Getuid(),
		CgroupsPath: spec.Linux.CgroupsPath, Annotations: spec.Annotations,
		Terminal: spec.Process.Terminal, dir: filepath.Join(o.Root, id)}
	if h := spec.Hooks; h != nil {
		c.Hooks = &specs.Hooks{Poststart: h.Poststart, Poststop: h.Poststop}
	}
	if !filepath.IsAbs(c.Rootfs) {
		c.Rootfs = filepath.Join(bundle, c.Rootfs)
	}
	if c.CgroupsPath == "" {
		c.CgroupsPath = id
	}
	if err := os.MkdirAll(o.Root, 0o711); err != nil {
		return nil, err
	}
	if err := os.Mkdir(c.dir, 0o700); errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s: %w", id, ErrExists)
	} else if err != nil {
		return nil, err
	}
	if err = c.save(); err == nil {
		if err = c.write(configFile, data); err == nil {
			err = c.create(spec, data, o)
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.Delete(true))
	}
	return c, nil
}

func (c *Container) create(spec *specs.Spec, data []byte, o Options) error {
	config := &inside.Config{ID: c.ID, Root: c.Rootfs,
		NoPivot: o.NoPivot, KeepKeyring: o.KeepKeyring}
	plan := &namespaces.Plan{Dir: c.Bundle, Args: []string{inside.Init}}
	defer func() {
		for _, j := range plan.Join {
			j.File.Close()
		}
	}()
	if err := setNamespaces(spec, plan, config, c); err != nil {
		return err
	}
	config.Mounted = len(spec.Linux.UIDMappings) > 0 && !o.Rootless &&
		spec.Annotations[rootfs.Lowerdir] != ""
	start, err := c.listen()
	if err != nil {
		return err
	}
	defer start.Close()
	cgroup := func() (*cgroups.Cgroup, error) {
		g, err := cgroups.Create(c.CgroupsPath, allowDevices(spec))
		if err != nil {
			c.CgroupsPath = "" // nothing is there, or it is another's
			return nil, err
		}
		c.Cgroups = g.Paths()
		return g, nil
	}
	l := launch{c: c, plan: plan, config: config, cgroup: cgroup,
		io: o, start: start, spec: spec, data: data}
	_, err = l.run()
	return err
}

// allowDevices adds to the rules for devices, in the end, those that every
// container has: runtime-spec, "Default Devices", and terminals; and all may be
// made, if not opened. Without any rule all others are denied, as runc does.
func allowDevices(spec *specs.Spec) *specs.LinuxResources {
	r := specs.LinuxResources{}
	if spec.Linux.Resources != nil {
		r = *spec.Linux.Resources
	}
	rules := r.Devices
	if len(rules) == 0 {
		rules = []specs.LinuxDeviceCgroup{{Access: "rwm"}}
	}
	r.Devices = append([]specs.LinuxDeviceCgroup{}, rules...)
	for _, d := range []struct {
		kind, access string
		number       []int64
	}{{"c", "m", nil}, {"b", "m", nil}, {"c", "rwm", []int64{1, 3}},
		{"c", "rwm", []int64{1, 5}}, {"c", "rwm", []int64{1, 7}},
		{"c", "rwm", []int64{1, 8}}, {"c", "rwm", []int64{1, 9}},
		{"c", "rwm", []int64{5, 0}}, {"c", "rwm", []int64{5, 2}},
		{"c", "rwm", []int64{136}}} { // null ... urandom, tty, ptmx, pts
		rule := specs.LinuxDeviceCgroup{Allow: true, Type: d.kind,
			Access: d.access}
		if len(d.number) > 0 {
			rule.Major = &d.number[0]
		}
		if len(d.number) > 1 {
			rule.Minor = &d.number[1]
		}
		r.Devices = append(r.Devices, rule)
	}
	return &r
}

// compile saves the seccomp filter as the kernel takes it.
func (c *Container) compile(s *specs.LinuxSeccomp) error {
	if s == nil {
		return nil
	}
	filter, flags, err := seccomp.Compile(s)
	if err != nil {
		return err
	}
	if flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 {
		return errors.New("seccomp action SCMP_ACT_NOTIFY: not supported")
	}
	if len(filter) == 0 {
		return nil
	}
	c.SeccompFlags = flags
	return c.write(seccompFile, unsafe.Slice((*byte)(unsafe.Pointer(
		&filter[0])), len(filter)*int(unsafe.Sizeof(filter[0]))))
}

// listen makes the socket on which init waits for the start. It says itself
// that somebody waits, and no longer does so when init executes or dies.
func (c *Container) listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), startSocket)
	err = c.socket(func(a unix.Sockaddr) error { return unix.Bind(fd, a) })
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// setNamespaces translates the list of config.json: a namespace with a path is
// joined, one without is new, and what is not listed is shared with us. Ours is
// not joined: there is no such thing for a user namespace, setns(2).
func setNamespaces(spec *specs.Spec, plan *namespaces.Plan,
	config *inside.Config, c *Container) error {
	c.SharedPid = true
	for _, n := range spec.Linux.Namespaces {
		flag, err := namespaces.Flag(n.Type)
		if err != nil {
			return err
		}
		if n.Path != "" {
			f, err := os.Open(n.Path)
			if err != nil {
				return fmt.Errorf("%s namespace: %w", n.Type, err)
			}
			if flag == unix.CLONE_NEWUSER &&
				same(n.Path, "/proc/self/ns/user") {
				f.Close()
				continue
			}
			plan.Join = append(plan.Join, namespaces.Joint{File: f,
				Flags: flag})
			continue
		}
		switch flag {
		case unix.CLONE_NEWPID:
			c.SharedPid = false
		case unix.CLONE_NEWNET:
			config.NewNet = true
		case unix.CLONE_NEWCGROUP: // when it is in its cgroup
			config.NewCgroup = true
			continue
		}
		plan.New |= flag
	}
	for clock, o := range spec.Linux.TimeOffsets { // time_namespaces(7)
		plan.Time += fmt.Sprintln(clock, o.Secs, o.Nanosecs)
	}
	return nil
}

func same(a, b string) bool {
	sa, err1 := os.Stat(a)
	sb, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(sa, sb)
}
