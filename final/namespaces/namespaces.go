// Package namespaces starts our own program in new namespaces, in existing
// ones, or in some of each: clone(2), unshare(2), setns(2).
package namespaces

import (
	"errors"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Flag is the kernel's flag for a type of namespace.
func Flag(t specs.LinuxNamespaceType) (uintptr, error) {
	switch t {
	case specs.PIDNamespace:
		return unix.CLONE_NEWPID, nil
	case specs.NetworkNamespace:
		return unix.CLONE_NEWNET, nil
	case specs.MountNamespace:
		return unix.CLONE_NEWNS, nil
	case specs.IPCNamespace:
		return unix.CLONE_NEWIPC, nil
	case specs.UTSNamespace:
		return unix.CLONE_NEWUTS, nil
	case specs.UserNamespace:
		return unix.CLONE_NEWUSER, nil
	case specs.CgroupNamespace:
		return unix.CLONE_NEWCGROUP, nil
	case specs.TimeNamespace:
		return unix.CLONE_NEWTIME, nil
	}
	return 0, errors.New("namespace type " + string(t) + ": there is none")
}

// Exe returns an open file of our own program that a container cannot write
// through /proc/PID/exe: CVE-2019-5736.
func Exe() (*os.File, error) { return os.Open("/proc/self/exe") }
