package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// cgroup mounts the container's own part of the hierarchies. Version 2 has
// one; version 1 has one for each controller or pair of them, all in a tmpfs.
// In a cgroup namespace a new mount shows the part by itself; without one, it
// is a bind of the part. See cgroup_namespaces(7).
func (r *root) cgroup(m *mount, private bool) error {
	text, err := os.ReadFile("/proc/thread-self/cgroup")
	if err != nil {
		return err
	}
	if strings.HasPrefix(string(text), "0::") { // the only line
		return r.cgroup2(m)
	}
	top := &mount{Mount: specs.Mount{Destination: m.Destination,
		Type: "tmpfs", Source: "tmpfs"}, data: []string{"mode=755"},
		propagation: m.propagation}
	top.one.Attr_set = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV |
		unix.MOUNT_ATTR_NOEXEC
	err = r.mount(top)
	dir, bad := r.lookup(m.Destination, 0)
	if err = cmp.Or(err, bad); err != nil {
		return err
	}
	table, err := os.ReadFile("/proc/thread-self/mountinfo")
	for _, line := range strings.Split(string(text), "\n") {
		field := strings.SplitN(line, ":", 3)
		if len(field) < 3 || field[1] == "" {
			continue // version 2, in a hybrid
		}
		source := ""
		if !private && err == nil {
			source, err = ownCgroup(string(table), field[1], field[2])
		}
		err = cmp.Or(err, r.hierarchy(m, dir, field[1], source))
		if err != nil {
			return fmt.Errorf("%s: %w", field[1], err)
		}
	}
	return setattr(dir, 0, &unix.MountAttr{
		Attr_set: m.one.Attr_set & unix.MOUNT_ATTR_RDONLY})
}

// hierarchy mounts one of version 1 in dir, or binds the source if there is
// one. For cpu,cpuacct there are links.
func (r *root) hierarchy(m *mount, dir int, controllers, source string) (
	err error) {
	name := strings.TrimPrefix(controllers, "name=")
	one := &mount{Mount: specs.Mount{Type: "cgroup", Source: "cgroup"},
		data: strings.Split(controllers, ",")}
	tree := -1
	if source == "" {
		tree, err = r.make(one, dir, false)
	} else {
		tree, err = r.tree(unix.AT_FDCWD, source, 0)
	}
	if err != nil {
		return err
	}
	err = cmp.Or(setattr(tree, 0, &m.one), unix.Mkdirat(dir, name, 0o755),
		unix.MoveMount(tree, "", dir, name, unix.MOVE_MOUNT_F_EMPTY_PATH))
	for _, link := range strings.Split(name, ",") {
		if link != name {
			err = cmp.Or(err, unix.Symlinkat(name, dir, link))
		}
	}
	return err
}

// ownCgroup finds where the host has mounted a hierarchy, and our cgroup there.
func ownCgroup(table, controllers, own string) (string, error) {
	for _, line := range strings.Split(table, "\n") {
		mount, fs, _ := strings.Cut(line, " - cgroup ")
		field, options := strings.Fields(mount), strings.Fields(fs)
		if len(field) < 5 || len(options) < 2 ||
			!strings.Contains(","+options[1]+",", ","+controllers+",") {
			continue
		}
		below, err := filepath.Rel(field[3], own)
		if err == nil && !strings.HasPrefix(below, "..") {
			return filepath.Join(field[4], below), nil
		}
	}
	return "", errors.New("the host has not mounted it")
}

// cgroup2 binds the whole hierarchy where there is no mounting it: a user
// namespace has to have a cgroup namespace as well for that.
func (r *root) cgroup2(m *mount) error {
	m.Type = "cgroup2"
	err := r.mount(m)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
		m.bind, m.rbind, m.Source = true, true, "/sys/fs/cgroup"
		err = r.mount(m)
	}
	return err
}
