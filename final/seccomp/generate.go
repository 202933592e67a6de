//go:build ignore

// Command generate writes the tables of system calls, a line "name number"
// for each, from those of golang.org/x/sys, which come from the kernel's
// headers.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"log"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type call struct {
	name   string
	number int
	first  int // for one of socketcall's or ipc's, its first argument
}

// What x32 has in a place of its own: its pointers have 32 bits. See
// arch/x86/entry/syscalls/syscall_64.tbl in the kernel.
const x32 = "rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg " +
	"recvmsg execve ptrace rt_sigpending rt_sigtimedwait rt_sigqueueinfo " +
	"sigaltstack timer_create mq_notify kexec_load waitid set_robust_list " +
	"get_robust_list vmsplice move_pages preadv pwritev rt_tgsigqueueinfo " +
	"recvmmsg sendmmsg process_vm_readv process_vm_writev setsockopt " +
	"getsockopt io_setup io_submit execveat preadv2 pwritev2"

// The calls that x86 had inside two others, from 1 on: linux/net.h and
// linux/ipc.h.
const (
	socketcall = "socket bind connect listen accept getsockname getpeername " +
		"socketpair send recv sendto recvfrom shutdown setsockopt " +
		"getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg"
	ipc = "semop semget semctl semtimedop - - - - - - msgsnd msgrcv msgget " +
		"msgctl - - - - - - shmat shmdt shmget shmctl"
)

func main() {
	log.SetFlags(0)
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}",
		"golang.org/x/sys").Output()
	if err != nil {
		log.Fatal("go list: ", err)
	}
	for name, goarch := range map[string]string{"x86_64": "amd64",
		"x86": "386", "x32": "amd64", "aarch64": "arm64", "arm": "arm"} {
		calls := read(strings.TrimSpace(string(out)) +
			"/unix/zsysnum_linux_" + goarch + ".go")
		switch name {
		case "x32":
			for i := range calls {
				calls[i].number |= 1 << 30
			}
			for i, name := range strings.Fields(x32) {
				n := slices.IndexFunc(calls, func(c call) bool {
					return c.name == name
				})
				calls[n].number = 1<<30 | (512 + i)
			}
		case "x86":
			for i, name := range strings.Fields(socketcall) {
				calls = append(calls, call{name, 102, i + 1})
			}
			for i, name := range strings.Fields(ipc) {
				if name != "-" {
					calls = append(calls, call{name, 117, i + 1})
				}
			}
		case "arm": // asm/unistd.h: __ARM_NR_BASE
			calls = append(calls, call{"breakpoint", 0xf0001, 0},
				call{"cacheflush", 0xf0002, 0}, call{"usr26", 0xf0003, 0},
				call{"usr32", 0xf0004, 0}, call{"set_tls", 0xf0005, 0})
		}
		write("syscalls/"+name+".txt", calls)
	}
}

func read(file string) (calls []call) {
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\tSYS_(\w+)\s+= (\d+)$`)
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		n, _ := strconv.Atoi(m[2])
		calls = append(calls, call{strings.ToLower(m[1]), n, 0})
	}
	return calls
}

func write(file string, calls []call) {
	slices.SortFunc(calls, func(a, b call) int {
		return cmp.Or(a.number-b.number, a.first-b.first,
			strings.Compare(a.name, b.name))
	})
	var text bytes.Buffer
	for _, c := range calls {
		fmt.Fprint(&text, c.name, " ", c.number)
		if c.first > 0 {
			fmt.Fprint(&text, " ", c.first)
		}
		fmt.Fprintln(&text)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
