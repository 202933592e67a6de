package cgroups

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// V2 tells whether this machine has version 2 alone.
func V2() bool {
	return len(hierarchies()) == 1 && hierarchies()[""] != ""
}

// Controllers are the roots of the hierarchies by controller; the key of
// version 2 is "", beside the controllers that it has.
func Controllers() map[string]string {
	found := maps.Clone(hierarchies())
	for _, name := range words(found[""] + "/cgroup.controllers") {
		found[name] = found[""]
	}
	return found
}

var controllers = strings.Fields("cpu cpuacct cpuset memory devices freezer " +
	"blkio pids hugetlb net_cls net_prio perf_event rdma misc")

// hierarchies finds the mount points: for version 1 by controller, for version
// 2 as "". Version 1 names its controllers, among other things, in the options
// of the mount; see proc_pid_mountinfo(5). They stay as they are while we run.
var hierarchies = sync.OnceValue(func() map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(read("/proc/self/mountinfo")) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - cgroup")
		if ok && after[0] == '2' {
			found[""] = cmp.Or(found[""], strings.Fields(before)[4])
		}
		options := after[strings.LastIndex(after, " ")+1:]
		for name := range strings.SplitSeq(options, ",") {
			if found[name] == "" && (strings.HasPrefix(name, "name=") ||
				slices.Contains(controllers, name)) {
				found[name] = strings.Fields(before)[4]
			}
		}
	}
	return found
})

// cgroupPath is where a container's cgroup is, below the root of a hierarchy.
// systemd's form is SLICE:PREFIX:NAME; the slice a-b.slice lies in a.slice. The
// cgroup is made here, not by systemd, at the place where it would be.
func cgroupPath(name string) (string, error) {
	clean := path.Clean("/" + name)
	part := strings.Split(name, ":")
	if len(part) == 3 && !strings.Contains(name, "/") {
		slice := cmp.Or(part[0], "system.slice")
		clean = "/"
		for i, r := range slice {
			if i > 0 && r == '-' {
				clean += slice[:i] + ".slice/"
			}
		}
		clean += strings.TrimPrefix(slice+"/", "-.slice/")
		if strings.HasSuffix(part[2], ".slice") {
			clean += part[2]
		} else {
			clean += strings.TrimPrefix(part[1]+"-"+part[2], "-") + ".scope"
		}
		if !strings.HasSuffix(slice, ".slice") || part[2] == "" {
			clean = "/"
		}
	}
	if clean == "/" || strings.ContainsAny(clean, "\n\x00") {
		return "", fmt.Errorf("cgroup path %q: a container needs one below "+
			"the root: /minidocker-ID, or x.slice:PREFIX:ID", name)
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
		err := unix.Mkdir(at, 0o755)
		if err == unix.EEXIST {
			// Its limits, and its end, would be those of others as well.
			err = nil
			if pids := procs(dir); len(pids) > 0 {
				return "", fmt.Errorf("cgroup %s: process %d is in it: choose "+
					"another path, or end that container", dir, pids[0])
			}
		}
		if err != nil {
			return "", fmt.Errorf("cgroup: mkdir %s: %w: %s", at, err,
				hint(err, ""))
		}
		if key == "cpuset" {
			inherit(at)
		}
	}
	return dir, nil
}

// enable lets the cgroups below have every controller that there is. One may be
// refused, and all are where processes are (EBUSY: version 2 has them in leaves
// only): a limit that then lacks its file says so.
func enable(dir string) {
	file := dir + "/cgroup.subtree_control"
	missing, have := "", words(file)
	for _, name := range words(dir + "/cgroup.controllers") {
		if !slices.Contains(have, name) {
			missing += " +" + name
		}
	}
	if missing != "" && write(file, missing) != nil {
		for _, name := range strings.Fields(missing) {
			write(file, name)
		}
	}
}

// inherit copies from the cgroup above: cpuset of version 1 takes no process
// while it has no processors or no memory nodes.
func inherit(dir string) {
	for _, name := range []string{"/cpuset.cpus", "/cpuset.mems"} {
		if read(dir+name) == "" {
			write(dir+name, read(path.Dir(dir)+name))
		}
	}
}

// delegated is the highest cgroup above us that we may manage, "" without.
func delegated(root string) (found string) {
	_, own, _ := strings.Cut("\n"+read("/proc/self/cgroup"), "\n0::")
	own, _, _ = strings.Cut(own, "\n")
	at := path.Join(root, own)
	for ; at != root && writable(at); at = path.Dir(at) {
		found = at
	}
	return found
}

func writable(dir string) bool {
	return unix.Access(dir, unix.W_OK) == nil &&
		unix.Access(dir+"/cgroup.procs", unix.W_OK) == nil
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

func exists(dir, file string) bool {
	return unix.Access(dir+"/"+file, unix.F_OK) == nil
}
