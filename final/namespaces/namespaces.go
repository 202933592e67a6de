// Package namespaces starts our own program in new namespaces, in existing
// ones, or in some of each: clone(2), unshare(2), setns(2).
package namespaces

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Kinds are all types of namespace: the name in config.json, the file's in
// /proc/PID/ns, and clone(2)'s flag.
var Kinds = [...]struct {
	Type specs.LinuxNamespaceType
	File string
	Flag uintptr
}{{specs.CgroupNamespace, "cgroup", unix.CLONE_NEWCGROUP},
	{specs.IPCNamespace, "ipc", unix.CLONE_NEWIPC},
	{specs.MountNamespace, "mnt", unix.CLONE_NEWNS},
	{specs.NetworkNamespace, "net", unix.CLONE_NEWNET},
	{specs.PIDNamespace, "pid", unix.CLONE_NEWPID},
	{specs.TimeNamespace, "time", unix.CLONE_NEWTIME},
	{specs.UserNamespace, "user", unix.CLONE_NEWUSER},
	{specs.UTSNamespace, "uts", unix.CLONE_NEWUTS}}

// Flag is the kernel's flag for a type of namespace.
func Flag(t specs.LinuxNamespaceType) (uintptr, error) {
	for _, k := range Kinds {
		if k.Type == t {
			return k.Flag, nil
		}
	}
	return 0, fmt.Errorf("namespace type %q: there is none of that name", t)
}

// Exe returns an open file of our own program that a container cannot write
// through /proc/PID/exe, CVE-2019-5736: through a mount that is read-only and
// in no namespace, so that nobody can remount it. A user who may not mount
// gets a copy in memory, unless the file is root's, and safe from him anyway.
func Exe() (*os.File, error) {
	const self = "/proc/self/exe"
	fd, err := unix.OpenTree(unix.AT_FDCWD, self, unix.OPEN_TREE_CLONE|
		unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH,
			&unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
		if err == nil {
			return os.NewFile(uintptr(fd), self), nil
		}
		unix.Close(fd)
	}
	var st unix.Stat_t
	if err := unix.Stat(self, &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", self, err)
	}
	if os.Geteuid() != 0 && st.Uid == 0 && st.Mode&0o022 == 0 {
		return os.Open(self)
	}
	return sealed(self)
}

func sealed(path string) (*os.File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("minidocker", flags|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("minidocker", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	copy := os.NewFile(uintptr(fd), path)
	if _, err = copy.ReadFrom(in); err == nil {
		_, err = unix.FcntlInt(copy.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|
			unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		copy.Close()
		return nil, fmt.Errorf("copy %s to memory: %w", path, err)
	}
	return copy, nil
}

// WriteMaps maps the ids of a process's user namespace. Root writes what he
// likes; a user may map himself alone, and asks newuidmap(1) for more.
func WriteMaps(pid int, uids, gids []specs.LinuxIDMapping) error {
	if os.Geteuid() != 0 && len(gids) == 1 && gids[0].Size == 1 {
		file := fmt.Sprintf("/proc/%d/setgroups", pid)
		if err := os.WriteFile(file, []byte("deny"), 0); err != nil {
			return err
		}
	}
	err := writeMap(pid, "uid", uids)
	if err == nil {
		err = writeMap(pid, "gid", gids)
	}
	return err
}

func writeMap(pid int, kind string, maps []specs.LinuxIDMapping) error {
	text := ""
	for _, m := range maps {
		text += fmt.Sprintln(m.ContainerID, m.HostID, m.Size)
	}
	file := fmt.Sprintf("/proc/%d/%s_map", pid, kind)
	err := os.WriteFile(file, []byte(text), 0)
	if err == nil || os.Geteuid() == 0 {
		return err
	}
	args := append([]string{fmt.Sprint(pid)}, strings.Fields(text)...)
	out, err := exec.Command("new"+kind+"map", args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("new%smap %q: %w: %s: is the range in /etc/sub%s?",
			kind, args, err, strings.TrimSpace(string(out)), kind)
	}
	return err
}
