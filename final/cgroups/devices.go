package cgroups

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A rule of the list of devices, in version 1's words: type a, b or c, numbers
// or *, and which of r, w and m (mknod).
type rule struct {
	allow        bool
	kind         byte
	major, minor int64 // -1: all
	access       string
}

// rules are checked here, since version 1 takes much and ignores it.
func rules(list []specs.LinuxDeviceCgroup) (checked []rule, err error) {
	for _, d := range list {
		r := rule{d.Allow, 'a', -1, -1, d.Access}
		if d.Type != "" {
			r.kind = d.Type[0]
		}
		if d.Major != nil {
			r.major = max(*d.Major, -1)
		}
		if d.Minor != nil {
			r.minor = max(*d.Minor, -1)
		}
		if r.access == "" {
			r.access = "rwm"
		}
		// 12 and 20 bits: makedev(3) as the kernel does it.
		if len(d.Type) > 1 || !strings.Contains("abc", string(r.kind)) ||
			strings.Trim(r.access, "rwm") != "" || r.major >= 1<<12 ||
			r.minor >= 1<<20 || r.kind == 'a' && r.major+r.minor != -2 {
			return nil, fmt.Errorf("device rule %s: not a, b or c, "+
				"MAJOR:MINOR, rwm", r)
		}
		checked = append(checked, r)
	}
	return checked, nil
}

func (r rule) String() string {
	return fmt.Sprintf("%c %s:%s %s", r.kind, star(r.major), star(r.minor),
		r.access)
}

func star(n int64) string {
	if n < 0 {
		return "*"
	}
	return fmt.Sprint(n)
}

// devices replaces the list of devices: all are denied but what the rules
// allow, of which the last that fits decides. A user without root cannot set
// it, and needs it not: he can make no device, and open those that he may.
func (c *Cgroup) devices(list []specs.LinuxDeviceCgroup) error {
	checked, err := rules(list)
	if err != nil || len(list) == 0 || len(c.paths) == 0 {
		return err
	}
	dir, v2 := c.at("devices")
	if dir == "" {
		err = errors.New("no hierarchy, version 1 or 2, has them: " + delegate)
	} else if v2 {
		if err = attach(dir, program(checked)); err == unix.EINVAL {
			err = fmt.Errorf("%w: the kernel needs CONFIG_CGROUP_BPF", err)
		}
	} else {
		err = c.devices1(dir, checked)
	}
	if err != nil && privileged() {
		return fmt.Errorf("cgroup %s: devices of %s: %w",
			map[bool]string{false: "v1 devices", true: "v2"}[v2], dir, err)
	}
	return nil
}

// devices1 cannot replace a list at once: nobody in there may run meanwhile.
func (c *Cgroup) devices1(dir string, list []rule) error {
	pids, _ := c.Procs()
	if frozen, _ := c.Frozen(); len(pids) > 0 && !frozen {
		if err := c.Freeze(true); err != nil {
			return err
		}
		defer c.Freeze(false)
	}
	if err := write(dir+"/devices.deny", "a"); err != nil {
		return err
	}
	for _, r := range list {
		file, text := "/devices.deny", r.String()
		if r.allow {
			file = "/devices.allow"
		}
		if r.kind == 'a' && len(r.access) == 3 {
			text = "a"
		}
		if err := write(dir+file, text); err != nil {
			return fmt.Errorf("write %s to %s: %w%s", text, file[1:], err,
				hint(err, ""))
		}
	}
	return nil
}
