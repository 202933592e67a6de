package seccomp

import _ "embed"

var (
	//go:embed syscalls/aarch64.txt
	aarch64 string
	//go:embed syscalls/arm.txt
	arm string
)

// arches are those whose programs this machine runs, its own first.
func arches() []arch {
	return []arch{{"SCMP_ARCH_AARCH64", 0xc00000b7, 64, aarch64},
		{"SCMP_ARCH_ARM", 0x40000028, 32, arm}}
}
