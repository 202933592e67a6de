package cgroups

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// devices replaces the list of devices: all are denied but what the rules
// allow, of which the last that fits decides. A user without root cannot set
// it, and needs it not: he can make no device, and open those that he may.
func (c *Cgroup) devices(list []specs.LinuxDeviceCgroup) error {
	rules, err := complete(list)
	if err != nil || len(list) == 0 || len(c.paths) == 0 {
		return err
	}
	dir, v2 := c.at("devices")
	if dir == "" {
		err = errors.New("no hierarchy has them: " + delegate)
	} else if v2 {
		err = attach(dir, program(rules))
	} else {
		err = c.devices1(dir, rules)
	}
	if err != nil && privileged() {
		return fmt.Errorf("cgroup controller devices: %s: %w", dir, err)
	}
	return nil
}

// complete checks rules, since version 1 takes much and ignores it, and says
// what they leave out: -1 is every number.
func complete(list []specs.LinuxDeviceCgroup) (
	rules []specs.LinuxDeviceCgroup, err error) {
	all := int64(-1)
	for _, r := range list {
		r.Major, r.Minor = cmp.Or(r.Major, &all), cmp.Or(r.Minor, &all)
		major, minor := *r.Major, *r.Minor
		r.Type, r.Access = cmp.Or(r.Type, "a"), cmp.Or(r.Access, "rwm")
		// 12 and 20 bits: makedev(3) as the kernel does it.
		if len(r.Type) != 1 || !strings.Contains("abc", r.Type) ||
			strings.Trim(r.Access, "rwm") != "" || min(major, minor) < -1 ||
			major >= 1<<12 || minor >= 1<<20 ||
			r.Type == "a" && max(major, minor) != -1 {
			return nil, fmt.Errorf("device rule %q %d:%d %q: not a, b or c, "+
				"numbers, rwm", r.Type, major, minor, r.Access)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// devices1 cannot replace a list at once: nobody in there may run meanwhile.
func (c *Cgroup) devices1(dir string, list []specs.LinuxDeviceCgroup) error {
	pids, _ := c.Procs()
	if frozen, _ := c.Frozen(); len(pids) > 0 && !frozen {
		if err := c.Freeze(true); err != nil {
			return err
		}
		defer c.Freeze(false)
	}
	err := write(dir+"/devices.deny", "a")
	for _, r := range list {
		file, kinds := "/devices.deny", []string{r.Type}
		if r.Allow {
			file = "/devices.allow"
		}
		if r.Type == "a" && len(r.Access) < 3 { // it would mean rwm
			kinds = []string{"b", "c"}
		}
		for _, kind := range kinds {
			rule := fmt.Sprintf("%s %d:%d %s", kind, *r.Major, *r.Minor,
				r.Access)
			err = cmp.Or(err, write(dir+file, strings.ReplaceAll(rule, "-1",
				"*")))
		}
	}
	if err != nil {
		return fmt.Errorf("a device of the list: %w: %s", err, hint(err, ""))
	}
	return nil
}

// Version 2 has no file for devices. The kernel runs a program at each mknod
// and open of a device; a result of 0 forbids it. See bpf(2), and struct
// bpf_cgroup_dev_ctx in linux/bpf.h for what the program is told.

// An instruction of BPF. The registers here: 1 the context, 2 the type, 3 what
// is asked for and not yet allowed, 4 and 5 the numbers, 0 the result.
type instruction struct {
	code      uint8
	registers uint8 // source<<4 | destination
	offset    int16
	value     int32
}

// Instructions: class, operation, and whether the operand is a register (X) or
// a value (K).
const (
	load    = 0x61 // BPF_LDX | BPF_MEM | BPF_W
	and     = 0x54 // BPF_ALU | BPF_AND | BPF_K
	shift   = 0x74 // BPF_ALU | BPF_RSH | BPF_K
	move    = 0xbc // BPF_ALU | BPF_MOV | BPF_X
	result  = 0xb7 // BPF_ALU64 | BPF_MOV | BPF_K
	exit    = 0x95 // BPF_JMP | BPF_EXIT
	equal   = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
	unequal = 0x55 // BPF_JMP | BPF_JNE | BPF_K
)

// program: the last rule that fits decides, so they are asked from the last to
// the first, for each of r, w and m. An allowing one crosses out what it
// allows; when nothing remains, all is allowed. A denying one denies if any of
// it remains, and so does the end.
func program(rules []specs.LinuxDeviceCgroup) []instruction {
	p := []instruction{
		{load, 0x12, 0, 0}, // access<<16 | type
		{move, 0x23, 0, 0},
		{and, 2, 0, 0xffff},
		{shift, 3, 0, 16},
		{load, 0x14, 4, 0},
		{load, 0x15, 8, 0},
	}
	for i := len(rules) - 1; i >= 0; i-- {
		// BPF_DEVCG_DEV_BLOCK is 1, BPF_DEVCG_DEV_CHAR is 2.
		kind := strings.Index("abc", rules[i].Type)
		r, access, verdict := rules[i], int32(0), int32(0)
		var one []instruction
		for _, is := range []struct {
			register uint8
			value    int64
		}{{2, cmp.Or(int64(kind), -1)}, {4, *r.Major}, {5, *r.Minor}} {
			if is.value >= 0 {
				one = append(one, instruction{unequal, is.register, 0,
					int32(is.value)})
			}
		}
		for bit, letter := range "mrw" { // BPF_DEVCG_ACC_MKNOD, READ, WRITE
			if strings.ContainsRune(r.Access, letter) {
				access |= 1 << bit
			}
		}
		if r.Allow {
			verdict = 1
			one = append(one, instruction{and, 3, 0, ^access},
				instruction{unequal, 3, 0, 0})
		} else {
			one = append(one, instruction{move, 0x30, 0, 0},
				instruction{and, 0, 0, access}, instruction{equal, 0, 0, 0})
		}
		one = append(one, instruction{result, 0, 0, verdict},
			instruction{exit, 0, 0, 0})
		for at := range one {
			if one[at].code == equal || one[at].code == unequal {
				one[at].offset = int16(len(one) - 1 - at) // the next rule
			}
		}
		p = append(p, one...)
	}
	return append(p, instruction{result, 0, 0, 0}, instruction{exit, 0, 0, 0})
}

// The name of our programs, as bpftool(8) shows it.
var programName = [16]byte{'m', 'i', 'n', 'i', 'd', 'o', 'c', 'k', 'e', 'r'}

// bpf is bpf(2); attr is one of the structs in its union. A signal, of which Go
// sends itself many, makes the verifier give up: EAGAIN.
func bpf[T any](command int, attr *T) (int, error) {
	n, errno := uintptr(0), unix.EAGAIN
	for try := 0; errno == unix.EAGAIN && try < 20; try++ {
		n, _, errno = unix.Syscall(unix.SYS_BPF, uintptr(command),
			uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	}
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// attach puts the program in the place of ours, in one step; others that are
// there, such as systemd's, stay and have to agree.
func attach(dir string, p []instruction) error {
	target, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	load := struct {
		kind, count           uint32
		instructions, license unsafe.Pointer
		log                   [2]uint64
		version, flags        uint32
		name                  [16]byte
	}{kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(p)),
		instructions: unsafe.Pointer(&p[0]), name: programName,
		license: unsafe.Pointer(unsafe.StringData("Apache\x00"))}
	loaded, err := bpf(unix.BPF_PROG_LOAD, &load)
	if err != nil {
		return fmt.Errorf("load a BPF program: %w: it needs root and "+
			"CONFIG_CGROUP_BPF", err)
	}
	defer unix.Close(loaded)
	put := struct{ target, program, kind, flags, old uint32 }{uint32(target),
		uint32(loaded), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI, 0}
	if old := ours(target); old >= 0 {
		defer unix.Close(old)
		put.flags |= unix.BPF_F_REPLACE
		put.old = uint32(old)
	}
	if _, err = bpf(unix.BPF_PROG_ATTACH, &put); err != nil {
		err = fmt.Errorf("attach a BPF program: %w: %s", err, hint(err, ""))
	}
	return err
}

// ours finds the program that an earlier attach left, -1 without.
func ours(target int) int {
	var ids [64]uint32
	list := struct {
		target, kind, query, flags uint32
		ids                        unsafe.Pointer
		count                      uint64
	}{uint32(target), unix.BPF_CGROUP_DEVICE, 0, 0, unsafe.Pointer(&ids),
		uint64(len(ids))}
	bpf(unix.BPF_PROG_QUERY, &list)
	for _, id := range ids {
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, &[3]uint32{id})
		if id == 0 || err != nil {
			continue
		}
		var about [128]byte // struct bpf_prog_info; the name is at 64
		bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &struct {
			fd, size uint32
			about    unsafe.Pointer
		}{uint32(fd), uint32(len(about)), unsafe.Pointer(&about)})
		if [16]byte(about[64:]) == programName {
			return fd
		}
		unix.Close(fd)
	}
	return -1
}
