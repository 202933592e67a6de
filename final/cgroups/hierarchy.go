package cgroups

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// V2 tells whether this machine has version 2 alone.
func V2() bool {
	found := hierarchies()
	return len(found) == 1 && found[""] != ""
}

// Controllers are the roots of the hierarchies by controller; the key of
// version 2 is "", beside the controllers that it has.
func Controllers() map[string]string {
	found := hierarchies()
	if root := found[""]; root != "" {
		for _, name := range words(root + "/cgroup.controllers") {
			found[name] = root
		}
	}
	return found
}

// hierarchies finds the mount points: for version 1 by controller, for version
// 2 as "". Version 1 names its controllers, among other things, in the options
// of the mount; see proc_pid_mountinfo(5). What is mounted twice counts where
// it was mounted first.
func hierarchies() map[string]string {
	found := map[string]string{}
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(strings.TrimSpace(line), " - cgroup")
		where, what := strings.Fields(before), strings.Fields(after)
		if len(what) < 2 || len(where) < 5 {
			continue
		}
		names := []string{""}
		if !strings.HasPrefix(after, "2 ") {
			names = strings.Split(what[len(what)-1], ",")
		}
		for _, name := range names {
			if found[name] == "" && !mountOption(name) {
				found[name] = where[4]
			}
		}
	}
	return found
}

func mountOption(name string) bool {
	switch name {
	case "rw", "ro", "xattr", "noprefix", "clone_children", "seclabel",
		"cpuset_v2_mode", "favordynmods":
		return true
	}
	return strings.HasPrefix(name, "release_agent=")
}

// Path is where a container's cgroup is, below the root of each hierarchy.
// systemd's form is SLICE:PREFIX:NAME; the slice a-b.slice lies in a.slice. The
// cgroup is made here, not by systemd, at the place where it would be.
func cgroupPath(name string) (string, error) {
	slice, unit, systemd := strings.Cut(name, ":")
	clean := path.Clean("/" + name)
	if prefix, id, ok := strings.Cut(unit, ":"); systemd && ok {
		if slice == "" {
			slice = "system.slice"
		}
		part, ok := strings.CutSuffix(slice, ".slice")
		if !ok || id == "" || strings.Contains(name, "/") {
			return "", fmt.Errorf("cgroup path %q: not SLICE.slice:PREFIX:NAME",
				name)
		}
		dir := "/"
		for i := range part {
			if part != "-" && part[i] == '-' {
				dir += part[:i] + ".slice/"
			}
		}
		if part != "-" {
			dir += slice + "/"
		}
		if strings.HasSuffix(id, ".slice") {
			return dir + id, nil
		}
		clean = dir + strings.TrimPrefix(prefix+"-"+id, "-") + ".scope"
	}
	if clean == "/" || strings.ContainsAny(clean, "\n\x00") {
		return "", fmt.Errorf("cgroup path %q: a container needs one below "+
			"the root, such as /minidocker-ID", name)
	}
	return clean, nil
}

// makeDirs makes a directory in one hierarchy and returns where it is, "" if we
// may not. Version 1 has no safe way to let a user manage cgroups, version 2
// has: he owns the directory. We take the highest one then that we are in.
func makeDirs(key, root, sub string) (string, error) {
	top := root
	if !writable(root) {
		if top = delegated(root); top == "" || key != "" {
			return "", nil
		}
	}
	dir := root + sub
	if !strings.HasPrefix(dir, top+"/") {
		dir = top + sub
	}
	at := top
	for name := range strings.SplitSeq(dir[len(top)+1:], "/") {
		if key == "" {
			enable(at)
		}
		at += "/" + name
		if err := unix.Mkdir(at, 0o755); err != nil && err != unix.EEXIST {
			return "", fmt.Errorf("cgroup %s: mkdir %s: %w%s", version(key),
				at, err, hint(err, ""))
		}
		if key == "cpuset" {
			inherit(at)
		}
	}
	return dir, nil
}

// enable lets the cgroups below have every controller that there is. Where one
// is refused, as all are where processes are (EBUSY: version 2 has them in
// leaves only), the others may work: a limit that then lacks its file says so.
func enable(dir string) {
	have := words(dir + "/cgroup.subtree_control")
	missing := words(dir + "/cgroup.controllers")
	missing = slices.DeleteFunc(missing, func(name string) bool {
		return slices.Contains(have, name)
	})
	file := dir + "/cgroup.subtree_control"
	all := "+" + strings.Join(missing, " +")
	if len(missing) > 0 && write(file, all) != nil {
		for _, name := range missing {
			write(file, "+"+name)
		}
	}
}

// inherit copies from the cgroup above: cpuset of version 1 takes no process
// while it has no processors or no memory nodes.
func inherit(dir string) {
	for _, name := range []string{"/cpuset.cpus", "/cpuset.mems"} {
		if own, err := os.ReadFile(dir + name); err == nil && len(own) < 2 {
			above, _ := os.ReadFile(path.Dir(dir) + name)
			write(dir+name, strings.TrimSpace(string(above)))
		}
	}
}

// delegated is the highest cgroup above us that we may manage, "" without.
func delegated(root string) (found string) {
	for _, line := range strings.Split(read("/proc/self/cgroup"), "\n") {
		if own, ok := strings.CutPrefix(line, "0::/"); ok {
			at := path.Join(root, own)
			for ; at != root && writable(at); at = path.Dir(at) {
				found = at
			}
		}
	}
	return found
}

func writable(dir string) bool {
	for _, file := range []string{dir, dir + "/cgroup.procs"} {
		if unix.Faccessat(unix.AT_FDCWD, file, unix.W_OK,
			unix.AT_EACCESS) != nil {
			return false
		}
	}
	return true
}

// privileged: root of the machine, not of a user namespace.
func privileged() bool {
	return os.Geteuid() == 0 && strings.HasSuffix(
		strings.TrimSpace(read("/proc/self/uid_map")), " 4294967295")
}

// write sets a file that is there; os.WriteFile would try to make it.
func write(file, text string) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(fd, []byte(text))
		unix.Close(fd)
	}
	return err
}

func read(file string) string {
	text, _ := os.ReadFile(file)
	return strings.TrimSpace(string(text))
}

func words(file string) []string { return strings.Fields(read(file)) }

func sorted(paths map[string]string) []string {
	return slices.Sorted(maps.Keys(paths))
}
