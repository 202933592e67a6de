// Package capabilities divides what root may do: capabilities(7).
package capabilities

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

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
// do not know. OCI wants a warning and no error for them.
func Warnings(c *specs.LinuxCapabilities) (text []string) {
	if c == nil {
		return nil
	}
	for _, name := range slices.Concat(c.Bounding, c.Effective, c.Permitted,
		c.Inheritable, c.Ambient) {
		line := "capability " + name + ": this kernel does not know it"
		if known([]string{name}) == 0 && !slices.Contains(text, line) {
			text = append(text, line)
		}
	}
	return text
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

// known returns the set of those that we and the kernel know.
func known(list []string) (mask uint64) {
	for _, name := range list {
		one, err := Parse([]string{name})
		_, bad := unix.PrctlRetInt(unix.PR_CAPBSET_READ,
			uintptr(bits.TrailingZeros64(one)), 0, 0, 0)
		if err == nil && bad == nil {
			mask |= one
		}
	}
	return mask
}

// LimitBounding removes from the bounding set what c does not list; nil lists
// nothing. It comes before setuid(2), and makes that keep the capabilities for
// Set, which comes after it. Capabilities are a thread's: all three on one,
// locked, that then executes.
func LimitBounding(c *specs.LinuxCapabilities) error {
	if c == nil {
		c = &specs.LinuxCapabilities{}
	}
	for drop := bounding() &^ known(c.Bounding); drop != 0; drop &= drop - 1 {
		n := bits.TrailingZeros64(drop)
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0)
		if err != nil {
			return fmt.Errorf("drop CAP_%s from the bounding set: %w",
				names[n], err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	return nil
}

// Set makes the other four sets what c lists, and ends what LimitBounding
// began. A capability that we ourselves lack is EPERM.
func Set(c *specs.LinuxCapabilities) error {
	if c == nil {
		c = &specs.LinuxCapabilities{}
	}
	e, p, i := known(c.Effective), known(c.Permitted), known(c.Inheritable)
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(e), Permitted: uint32(p), Inheritable: uint32(i)},
		{Effective: uint32(e >> 32), Permitted: uint32(p >> 32),
			Inheritable: uint32(i >> 32)}}
	if err := unix.Capset(&head, &data[0]); err != nil {
		return fmt.Errorf("set capabilities %s: %w: we have not all of them",
			strings.Join(Names(e|p|i), ","), err)
	}
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL,
		0, 0, 0)
	for up := known(c.Ambient) & p & i; up != 0 && err == nil; up &= up - 1 {
		err = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE,
			uintptr(bits.TrailingZeros64(up)), 0, 0)
	}
	if err != nil {
		return fmt.Errorf("set ambient capabilities: %w", err)
	}
	if err = unix.Prctl(unix.PR_SET_KEEPCAPS, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("end keeping capabilities: %w", err)
	}
	return nil
}
