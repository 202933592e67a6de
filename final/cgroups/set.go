package cgroups

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const delegate = "be root, or have a cgroup delegated to you, with the " +
	"controllers that you need (systemd: Delegate=yes)"

// limits are values for files of the version that this machine has of each
// controller. After an error in the translation nothing is written.
type limits struct {
	*Cgroup
	list []value
	err  error
}

type value struct{ key, dir, file, text string }

// Set changes the limits that r names, and leaves the others. Devices come
// last, so that an error leaves them as they were.
func (c *Cgroup) Set(r *specs.LinuxResources) error {
	if r == nil {
		return nil
	}
	l := &limits{Cgroup: c}
	l.memory(cmp.Or(r.Memory, &specs.LinuxMemory{}))
	l.cpu(cmp.Or(r.CPU, &specs.LinuxCPU{}))
	l.blockIO(cmp.Or(r.BlockIO, &specs.LinuxBlockIO{}))
	l.others(r)
	if err := cmp.Or(l.err, l.write()); err != nil {
		return err
	}
	return c.devices(r.Devices)
}

func (l *limits) fail(format string, args ...any) {
	l.err = cmp.Or(l.err, fmt.Errorf(format, args...))
}

// add takes text for a file of version 1 or of version 2, "" for none, whose
// name begins with the controller's; no text is no limit. Who asks for none
// needs no cgroup.
func (l *limits) add(file1, file2, text string) {
	controller, _, dot := strings.Cut(cmp.Or(file1, file2), ".")
	dir, v2 := l.at(strings.Replace(controller, "blkio", "io", 1))
	if v2 && text != "" && text[0] == '-' {
		text = "max"
	}
	file, key := file1, "v1 "+controller
	if v2 {
		file, key = file2, "v2"
	}
	switch {
	case text == "" || dir == "" && text == "max":
	case !dot || controller == "cgroup" || file != "" && (controller == "" ||
		file != path.Base(file)):
		l.fail("cgroup %s: %q is no file of a controller", key, file)
	case dir == "":
		l.fail("cgroup controller %s: no cgroup, of version 1 or 2, has it "+
			"for us: %s", controller, delegate)
	case file == "":
		l.fail("cgroup %s: %s exists only in the other version", key,
			cmp.Or(file1, file2))
	default:
		l.list = append(l.list, value{key, dir, file, text})
	}
}

// write: some pairs have to be written in an order that depends on what was
// there (memory may not exceed memory and swap, nor a burst the quota). So what
// was refused is tried again as long as others went through.
func (l *limits) write() error {
	for todo := l.list; len(todo) > 0; {
		var failed []value
		var first error
		for _, v := range todo {
			if err := v.write(); err != nil {
				failed, first = append(failed, v), cmp.Or(first, err)
			}
		}
		if len(failed) == len(todo) {
			return first
		}
		todo = failed
	}
	return nil
}

// write, and say which file of which hierarchy was refused. Some values are
// taken without a word although nothing comes of them: in version 2 processors
// that are not there, in version 1 shares out of range and, since Linux 5.16,
// the kernel's memory.
func (v value) write() error {
	file := v.dir + "/" + v.file
	err := write(file, v.text)
	got, now := read(file), read(file+".effective")
	if err == nil && (now != "" && got != now || v.file == "cpu.shares" &&
		got != v.text) {
		write(file, "")
		err = unix.ERANGE
	} else if strings.Contains(file, ".kmem.") && parse(got) > 1<<62 {
		err = unix.EOPNOTSUPP
	}
	if err == nil {
		return nil
	}
	why := hint(err, v.file)
	if err == unix.ENOENT && v.key == "v2" {
		controller, _, _ := strings.Cut(v.file, ".")
		why = notEnabled(v.dir, controller)
	}
	return fmt.Errorf("cgroup %s: set %s = %s: %w: %s", v.key, file, v.text,
		err, why)
}

// notEnabled says how a controller gets to a cgroup of version 2: the one above
// has to hand it down, for which no process may be in there.
func notEnabled(dir, controller string) string {
	if slices.Contains(words(dir+"/cgroup.controllers"), controller) {
		return hint(unix.ENOENT, controller)
	}
	for up := path.Dir(dir); exists(up, "cgroup.controllers"); up =
		path.Dir(up) {
		if slices.Contains(words(up+"/cgroup.controllers"), controller) {
			return fmt.Sprintf("%s has %d processes, but a controller is "+
				"handed down only where none is: move them into a cgroup "+
				"below it, then echo +%s >%[1]s/cgroup.subtree_control", up,
				len(words(up+"/cgroup.procs")), controller)
		}
	}
	return "controller " + controller + " is not in this hierarchy: this " +
		"kernel has it not, version 1 has it, or " + delegate
}

// hint is what helps, as far as an error number tells.
func hint(err error, file string) string {
	switch err {
	case unix.EACCES, unix.EPERM, unix.EROFS:
		return delegate
	case unix.EBUSY:
		return "more than that is in use already"
	case unix.EINVAL, unix.ERANGE:
		return "out of range, or not available, or not in the cgroup above"
	case unix.ENODEV, unix.ENXIO:
		return "there is no such device; disks are whole disks, not partitions"
	case unix.ENOENT, unix.EOPNOTSUPP:
		if strings.Contains(file, "sw") {
			return "boot with swapaccount=1 to count swap"
		} else if strings.Contains(file, "weight") {
			return "weights need the I/O scheduler bfq"
		}
		return "this kernel has no such limit"
	}
	return "see cgroups(7)"
}
