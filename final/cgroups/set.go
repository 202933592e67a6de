package cgroups

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const delegate = "be root, or have a cgroup delegated to you, " +
	"with the controllers that you need (systemd: Delegate=yes)"

// A value is for one file of one controller, in the version that this machine
// has of it.
type value struct{ controller, dir, file, text string }

// limits are the values to write. The first error that the translation meets
// is kept: nothing is written then.
type limits struct {
	*Cgroup
	list []value
	err  error
}

// Set changes the limits that r names, and leaves the others.
func (c *Cgroup) Set(r *specs.LinuxResources) error {
	if r == nil {
		return nil
	}
	l := &limits{Cgroup: c}
	l.memory(r.Memory)
	l.cpu(r.CPU)
	l.pids(r.Pids)
	l.blockIO(r.BlockIO)
	l.hugepages(r.HugepageLimits)
	l.rdma(r.Rdma)
	l.network(r.Network)
	l.unified(r.Unified)
	if l.err != nil {
		return l.err
	}
	// Devices last: an error before leaves them as they were.
	if err := l.write(); err != nil {
		return err
	}
	return c.devices(r.Devices)
}

// add takes the file and the text of the version at hand. No file means that
// this version has nothing like it, and text says what instead.
func (l *limits) add(controller, file1, text1, file2, text2 string) {
	dir, v2 := l.at(controller)
	file, text, name := file1, text1, "v1"
	if v2 {
		file, text, name = file2, text2, "v2"
	}
	switch {
	case l.err != nil:
	case dir == "" && len(l.paths) > 0:
		l.err = fmt.Errorf("cgroup controller %s: no hierarchy, version 1 or "+
			"2, has it for us: mount it, or %s", controller, delegate)
	case dir == "":
		l.err = fmt.Errorf("cgroup controller %s: cannot limit without a "+
			"cgroup: %s", controller, delegate)
	case file == "":
		l.err = fmt.Errorf("cgroup %s %s: %s", name, controller, text)
	case file != path.Base(file):
		l.err = fmt.Errorf("cgroup %s %s: %q is no file's name", name,
			controller, file)
	default:
		l.list = append(l.list, value{controller, dir, file, text})
	}
}

// write: some pairs have to be written in an order that depends on what was
// there (memory may not exceed memory and swap, nor a burst the quota, and
// version 1 cannot hold more than the cgroup above). So what was refused is
// tried again as long as others went through.
func (l *limits) write() error {
	for todo := l.list; len(todo) > 0; {
		var failed []value
		var first error
		for _, v := range todo {
			err := write(v.dir+"/"+v.file, v.text)
			// Since Linux 5.16 version 1 takes it and does nothing.
			if strings.Contains(v.file, ".kmem.") &&
				parse(read(v.dir+"/"+v.file)) > 1<<62 {
				err = unix.EOPNOTSUPP
			}
			if err != nil {
				failed = append(failed, v)
				if first == nil {
					first = l.explain(v, err)
				}
			} else if first == nil {
				first = missingCPUs(v)
			}
		}
		if first != nil && (len(failed) == len(todo) || len(failed) == 0) {
			return first
		}
		todo = failed
	}
	return nil
}

// missingCPUs: version 2 takes processors that are not there, and goes on
// with all that are above; version 1 refuses, and so do we.
func missingCPUs(v value) error {
	file := v.dir + "/" + v.file
	asked, got := read(file), read(file+".effective")
	if v.controller != "cpuset" || v.text == "" || got == "" || asked == got {
		return nil
	}
	write(file, "")
	return fmt.Errorf("set %s = %s: %w: available: %s", file, asked,
		unix.EINVAL, read(file+".effective"))
}

// explain says which file of which hierarchy, and what helps.
func (l *limits) explain(v value, err error) error {
	key := v.controller
	if dir, v2 := l.at(key); v2 {
		key = ""
		if err == unix.ENOENT && !exists(dir, v.file) {
			if why := notEnabled(dir, v.controller); why != "" {
				return fmt.Errorf("cgroup v2: set %s = %s: controller %s is "+
					"missing in %s: %s", v.file, v.text, v.controller, dir, why)
			}
		}
	}
	return fmt.Errorf("cgroup %s: set %s/%s = %s: %w%s", version(key), v.dir,
		v.file, strings.TrimSpace(v.text), err, hint(err, v.file))
}

// notEnabled finds the cgroup above that does not hand a controller down.
func notEnabled(dir, controller string) string {
	if slices.Contains(words(dir+"/cgroup.controllers"), controller) {
		return ""
	}
	for up := path.Dir(dir); exists(up, "cgroup.controllers"); {
		if !slices.Contains(words(up+"/cgroup.controllers"), controller) {
			up = path.Dir(up)
			continue
		}
		why := "echo +" + controller + " >" + up + "/cgroup.subtree_control"
		if pids := words(up + "/cgroup.procs"); len(pids) > 0 {
			why = fmt.Sprintf("move the %d processes in %s into a cgroup "+
				"below it first, then %s", len(pids), up, why)
		}
		return why
	}
	return "this kernel has it not, version 1 has it, or " + delegate
}

// hint is what helps, as far as an error number tells.
func hint(err error, file string) string {
	text := ""
	switch err {
	case unix.EACCES, unix.EPERM, unix.EROFS:
		text = delegate
		if file == "cgroup.procs" {
			text += "; a process can be moved only below what both its " +
				"cgroups have in common, if that is delegated, too: " +
				"systemd-run --user --scope"
		}
	case unix.EBUSY:
		text = "something in there is in use"
		if strings.HasPrefix(file, "memory.") {
			text = "more than that is in use already"
		}
	case unix.EINVAL, unix.ERANGE:
		text = "not in the range of the kernel, or more than the cgroup " +
			"above allows"
	case unix.EOPNOTSUPP:
		text = "this kernel has no such limit any more"
	case unix.ENODEV, unix.ENXIO:
		text = "there is no such device; disks are whole disks, not partitions"
	case unix.ENOENT:
		text = "this kernel was built or booted without it"
		if strings.Contains(file, "sw") {
			text += " (swapaccount=1)"
		} else if strings.Contains(file, "weight") {
			text += "; weights need the I/O scheduler bfq"
		}
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

func exists(dir, file string) bool {
	return unix.Access(dir+"/"+file, unix.F_OK) == nil
}

// version says which hierarchy is meant.
func version(key string) string {
	if key == "" {
		return "v2"
	}
	return "v1 " + key
}
