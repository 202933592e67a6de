package seccomp

import _ "embed"

var (
	//go:embed syscalls/x86_64.txt
	x86_64 string
	//go:embed syscalls/x86.txt
	x86 string
	//go:embed syscalls/x32.txt
	x32 string
)

// arches are those whose programs this machine runs, its own first. x32 is
// told from x86_64 by bit 30 of the call's number.
func arches() []arch {
	return []arch{{"SCMP_ARCH_X86_64", 0xc000003e, 64, x86_64},
		{"SCMP_ARCH_X32", 0xc000003e, 32, x32},
		{"SCMP_ARCH_X86", 0x40000003, 32, x86}}
}
