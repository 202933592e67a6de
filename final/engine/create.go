package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/bundle"
	"container-workshop/final/flags"
	"container-workshop/final/image"
	"container-workshop/final/layers"
	"container-workshop/final/monitor"
	"container-workshop/final/network"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Create makes a container that has not started: its record, its upper
// directory, its volumes. The record comes last; without one, what is there
// does not count and Prune removes it. The warnings are the kernel's limits,
// and firewalls.
func (e *Engine) Create(o Options) (c *Container, warnings []string,
	err error) {
	images, err := e.Images()
	if err != nil {
		return nil, nil, err
	}
	img, err := images.Get(o.Image)
	if err != nil {
		return nil, nil, err
	}
	return e.createFrom(img, o)
}

// createFrom is Create for an image that need not be in the store.
func (e *Engine) createFrom(img *image.Image, o Options) (c *Container,
	warnings []string, err error) {
	c = &Container{ID: newID(), Name: o.Name, Created: time.Now().UTC(),
		ImageID: img.ID, Options: o, Config: img.Config.Config,
		Layers: img.Layers, State: monitor.State{Status: "created",
			Restart: cmp.Or(o.Restart, "no")}}
	c.dir, c.run = e.containers()+"/"+c.ID, e.Run+"/"+c.ID
	defer func() {
		if err != nil {
			e.forget(c, true)
		}
	}()
	if err = e.check(c, &o); err != nil {
		return c, nil, err
	}
	for _, name := range []string{"", "/upper", "/work", "/merged"} {
		if err := os.Mkdir(c.dir+name, 0o755); err != nil {
			return c, nil, err
		}
	}
	release, err := e.hold(c)
	if err != nil {
		return c, nil, err
	}
	defer release()
	for _, name := range []string{"/hostname", "/hosts", "/resolv.conf"} {
		if err := os.WriteFile(c.dir+name, nil, 0o644); err != nil {
			return c, nil, err
		}
	}
	fresh, err := e.makeVolumes(c)
	if err != nil {
		return c, nil, err
	}
	if warnings, err = e.makeSpec(c, false); err != nil {
		return c, nil, err
	}
	for _, a := range c.Networks {
		warnings = append(warnings, e.Networks.Warnings(a.Network)...)
	}
	if err = e.give(c, fresh); err == nil {
		err = e.name(c)
	}
	if err == nil {
		err = monitor.Write(c.file(), c)
	}
	if err == nil {
		e.Event("container", "create", c)
	}
	return c, warnings, err
}

// check refuses what would only fail later on, and fills in what the image and
// the caller's environment say.
func (e *Engine) check(c *Container, o *Options) (err error) {
	c.Labels = maps.Clone(c.Config.Labels)
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	for _, label := range o.Labels {
		key, value, _ := strings.Cut(label, "=")
		c.Labels[key] = value
	}
	if c.Options.Env, err = bundle.Env(nil, &o.Options); err != nil {
		return err
	}
	c.Options.EnvFile = nil
	if err = checkRestart(c.State.Restart); err != nil {
		return err
	}
	if o.Remove && c.State.Restart != "no" {
		return errors.New("conflicting options: cannot specify both " +
			"--restart and --rm")
	}
	if _, _, err = logLimits(o.LogOpt); err != nil {
		return err
	}
	if _, err = c.ports(); err != nil {
		return err
	}
	if c.Command, err = bundle.Command(&o.Options, &c.Config); err != nil {
		return err
	}
	if o.Name != "" && !flags.IsName(strings.TrimPrefix(o.Name, "/")) {
		return fmt.Errorf("invalid container name (%s), only "+
			"[a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", o.Name)
	}
	return e.checkNetwork(c, o)
}

// checkRestart accepts no, always, unless-stopped, on-failure[:N].
func checkRestart(policy string) error {
	name, count, limited := strings.Cut(policy, ":")
	n, err := strconv.Atoi(count)
	switch {
	case slices.Contains([]string{"no", "always", "unless-stopped"}, policy),
		name == "on-failure" && (!limited || err == nil && n >= 0):
		return nil
	case name == "on-failure":
		return fmt.Errorf("invalid restart policy format: maximum retry "+
			"count must be a positive integer: %s", policy)
	}
	return fmt.Errorf("invalid restart policy: unknown policy '%s'; use one "+
		"of 'no', 'always', 'on-failure', or 'unless-stopped'", policy)
}

// logLimits reads --log-opt: max-size=10m, max-file=3.
func logLimits(options []string) (size int64, files int, err error) {
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "max-size":
			if size, err = bundle.Bytes(value); err == nil && size <= 0 {
				err = errors.New("it must be positive")
			}
		case "max-file":
			if files, err = strconv.Atoi(value); err == nil && files < 1 {
				err = errors.New("it must be positive")
			}
		default:
			return 0, 0, fmt.Errorf("unknown log opt '%s' for json-file log "+
				"driver", key)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("log opt %s: %w", option, err)
		}
	}
	return size, files, nil
}

// name gives the container its name, or one of its own choice.
func (e *Engine) name(c *Container) error {
	if c.Name != "" {
		c.Name = strings.TrimPrefix(c.Name, "/")
		return e.claimName(c.Name, c.ID)
	}
	var err error
	for try := range 20 {
		c.Name = randomName(try)
		if err = e.claimName(c.Name, c.ID); err == nil {
			return nil
		}
	}
	return err
}

// makeSpec makes config.json. Only at start must the containers run whose
// namespaces it joins.
func (e *Engine) makeSpec(c *Container, start bool) (warnings []string,
	err error) {
	p := bundle.Paths{ID: c.ID, Root: c.dir + "/merged", Mounts: c.Mounts,
		Layers:   append(slices.Clone(c.Layers), c.dir+"/upper"),
		Hostname: c.dir + "/hostname", Hosts: c.dir + "/hosts",
		Resolv: c.dir + "/resolv.conf", Cgroup: "/minidocker-" + c.ID,
		Namespaces: map[specs.LinuxNamespaceType]string{},
		Rootless:   e.Rootless}
	if p.Exe, err = os.Executable(); err != nil {
		return nil, err
	}
	for kind, mode := range map[specs.LinuxNamespaceType]string{
		specs.NetworkNamespace: c.Options.Network,
		specs.PIDNamespace:     c.Options.Pid,
		specs.IPCNamespace:     c.Options.Ipc} {
		name, joins := strings.CutPrefix(mode, "container:")
		if !joins {
			continue
		}
		other, err := e.Find(name)
		if err == nil && start && other.State.Pid == 0 {
			err = fmt.Errorf("cannot join the %s namespace of a non running "+
				"container: %s", kind, name)
		}
		if err != nil {
			return nil, err
		}
		e.join(&p, kind, other)
	}
	c.spec, warnings, err = bundle.Spec(&c.Options.Options, &c.Config, p)
	if err != nil {
		return nil, err
	}
	if c.spec.Annotations == nil {
		c.spec.Annotations = map[string]string{}
	}
	layers, _ := json.Marshal(c.Layers)
	c.spec.Annotations["minidocker.lowerdir"] = string(layers)
	c.spec.Annotations["minidocker.upperdir"] = c.dir + "/upper"
	c.spec.Annotations["minidocker.workdir"] = c.dir + "/work"
	if c.Options.Remove {
		c.spec.Annotations["minidocker.volatile"] = "yes"
	}
	return warnings, nil
}

// give lets the root of a user namespace, who is not the host's, pass to its
// container's files, and makes the new volumes his users'.
func (e *Engine) give(c *Container, volumes []string) error {
	linux := c.spec.Linux
	if e.Rootless || len(linux.UIDMappings) == 0 {
		return nil
	}
	uid := int(linux.UIDMappings[0].HostID)
	gid := int(linux.GIDMappings[0].HostID)
	err := os.Chown(e.Data, -1, gid)
	for _, dir := range volumes {
		err = cmp.Or(err, layers.Shift(dir, uid, gid))
	}
	return err
}

// join makes the container share one namespace, and what belongs to it, with
// another one: with root's powers over it, those of the other's user namespace.
func (e *Engine) join(p *bundle.Paths, kind specs.LinuxNamespaceType,
	other *Container) {
	file := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net",
		specs.PIDNamespace: "pid", specs.IPCNamespace: "ipc"}[kind]
	path := fmt.Sprintf("/proc/%d/ns/", other.State.Pid)
	p.Namespaces[kind] = path + file
	ours, _ := os.Readlink("/proc/self/ns/user")
	theirs, err := os.Readlink(path + "user")
	if err == nil && theirs != ours {
		p.Namespaces[specs.UserNamespace] = path + "user"
	}
	switch kind {
	case specs.NetworkNamespace:
		p.Hosts, p.Resolv = other.dir+"/hosts", other.dir+"/resolv.conf"
	case specs.IPCNamespace:
		p.Shm = fmt.Sprintf("/proc/%d/root/dev/shm", other.State.Pid)
	}
}

// ports are those the container publishes.
func (c *Container) ports() (ports []network.Port, err error) {
	list := c.Options.Publish
	if c.Options.PublishAll {
		list = append(slices.Clone(list), c.Options.Expose...)
		list = append(list, slices.Sorted(maps.Keys(c.Config.ExposedPorts))...)
	}
	for _, text := range list {
		some, err := network.ParsePorts(text)
		if err != nil {
			return nil, err
		}
		ports = append(ports, some...)
	}
	return ports, nil
}
