// Package capabilities divides what root may do: capabilities(7).
package capabilities

import (
	"fmt"
	"math/bits"
	"strings"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The place of a name is the number of the capability: linux/capability.h.
var names = [...]string{"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",
	"FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK",
	"IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE",
	"SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE",
	"SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE"}

// Default returns the names of what Docker gives to a container.
func Default() []string {
	return []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID",
		"CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
		"CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}
}

// All returns the names of all that our bounding set has: more cannot be given
// to anybody, and what the kernel does not know is not in it.
func All() []string { return Names(bounding()) }

// Names is the inverse of Parse.
func Names(mask uint64) []string {
	var list []string
	for n, name := range names {
		if mask&(1<<n) != 0 {
			list = append(list, "CAP_"+name)
		}
	}
	return list
}

// Parse returns the set of the named capabilities, bit n for number n. Docker
// lets a user leave out CAP_ and write small letters; ALL is All.
func Parse(list []string) (mask uint64, err error) {
	for _, name := range list {
		short := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		bit := uint64(0)
		if short == "ALL" {
			bit = bounding()
		}
		for n := range names {
			if names[n] == short {
				bit = 1 << n
			}
		}
		if bit == 0 && err == nil {
			err = fmt.Errorf("capability %q: there is none of that name: "+
				"see capabilities(7)", name)
		}
		mask |= bit
	}
	return mask, err
}

// Warnings names what of c cannot be had: capabilities that we or this kernel
// do not know, and ambient ones that are not also permitted and inheritable.
// OCI wants a warning and no error for them.
func Warnings(c *specs.LinuxCapabilities) (text []string) {
	return nil
}

// bounding returns our bounding set.
func bounding() (mask uint64) {
	for n := range names {
		r, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err == nil && r == 1 {
			mask |= 1 << n
		}
	}
	return mask
}

// LimitBounding removes from the bounding set what c does not list; nil lists
// nothing. It comes before setuid(2), and makes that keep the capabilities for
// Set, which comes after it. Capabilities are a thread's: all three on one,
// locked, that then executes.
func LimitBounding(c *specs.LinuxCapabilities) error {
	return nil
}

// Set makes the other four sets what c lists, and ends what LimitBounding
// began.
func Set(c *specs.LinuxCapabilities) error {
	_ = bits.Len64
	_ = unsafe.Sizeof(0)
	return nil
}
