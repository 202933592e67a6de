package cgroups

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
func program(list []rule) []instruction {
	p := []instruction{
		{load, 0x12, 0, 0}, // access<<16 | type
		{move, 0x23, 0, 0},
		{and, 2, 0, 0xffff},
		{shift, 3, 0, 16},
		{load, 0x14, 4, 0},
		{load, 0x15, 8, 0},
	}
	for i := len(list) - 1; i >= 0; i-- {
		r := list[i]
		var one []instruction
		skip := func(register uint8, value int64) { // unless equal
			one = append(one, instruction{unequal, register, 0, int32(value)})
		}
		switch r.kind {
		case 'b':
			skip(2, unix.BPF_DEVCG_DEV_BLOCK)
		case 'c':
			skip(2, unix.BPF_DEVCG_DEV_CHAR)
		}
		if r.major >= 0 {
			skip(4, r.major)
		}
		if r.minor >= 0 {
			skip(5, r.minor)
		}
		access := int32(0)
		for bit, letter := range "mrw" { // BPF_DEVCG_ACC_MKNOD, READ, WRITE
			if strings.ContainsRune(r.access, letter) {
				access |= 1 << bit
			}
		}
		if r.allow {
			one = append(one, instruction{and, 3, 0, ^access},
				instruction{unequal, 3, 0, 0},
				instruction{result, 0, 0, 1}, instruction{exit, 0, 0, 0})
		} else {
			one = append(one, instruction{move, 0x30, 0, 0},
				instruction{and, 0, 0, access}, instruction{equal, 0, 0, 0},
				instruction{result, 0, 0, 0}, instruction{exit, 0, 0, 0})
		}
		// Every jump leads to the next rule.
		for at := range one {
			if one[at].code == equal || one[at].code == unequal {
				one[at].offset = int16(len(one) - 1 - at)
			}
		}
		p = append(p, one...)
	}
	return append(p, instruction{result, 0, 0, 0}, instruction{exit, 0, 0, 0})
}

// The name of our programs, as bpftool(8) shows it.
var programName = [16]byte{'m', 'i', 'n', 'i', 'd', 'o', 'c', 'k', 'e', 'r'}

// bpf is bpf(2); attr is one of the structs in its union.
func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command),
		uintptr(attr), size)
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
	license := []byte("Apache\x00")
	load := struct {
		kind, count           uint32
		instructions, license unsafe.Pointer
		log                   [2]uint64
		version, flags        uint32
		name                  [16]byte
	}{kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(p)),
		instructions: unsafe.Pointer(&p[0]),
		license:      unsafe.Pointer(&license[0]), name: programName}
	loaded, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&load),
		unsafe.Sizeof(load))
	if err != nil {
		return fmt.Errorf("load a BPF program: %w%s", err, hint(err, ""))
	}
	defer unix.Close(loaded)
	put := struct{ target, program, kind, flags, old uint32 }{uint32(target),
		uint32(loaded), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI, 0}
	if old := ours(target); old >= 0 {
		defer unix.Close(old)
		put.flags |= unix.BPF_F_REPLACE
		put.old = uint32(old)
	}
	if _, err = bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&put),
		unsafe.Sizeof(put)); err != nil {
		return fmt.Errorf("attach a BPF program: %w%s", err, hint(err, ""))
	}
	return nil
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
	bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&list), unsafe.Sizeof(list))
	for _, id := range ids {
		get := struct{ id, next, flags uint32 }{id: id}
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&get),
			unsafe.Sizeof(get))
		if id == 0 || err != nil {
			continue
		}
		var about [128]byte // struct bpf_prog_info; the name is at 64
		info := struct {
			fd, size uint32
			about    unsafe.Pointer
		}{uint32(fd), uint32(len(about)), unsafe.Pointer(&about)}
		bpf(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&info),
			unsafe.Sizeof(info))
		if [16]byte(about[64:]) == programName {
			return fd
		}
		unix.Close(fd)
	}
	return -1
}
