// Package seccomp compiles OCI's list of system calls to a filter that the
// kernel runs before each call: seccomp(2). The filter looks for the number of
// the call by halves, in ranges of numbers that have the same answer.
package seccomp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

//go:generate go run generate.go

// arch is what OCI calls an architecture and linux/audit.h numbers.
type arch struct {
	name  string
	audit uint32
	bits  int
	table string // "name number" lines, by number
}

// Every architecture of OCI. Programs for one that this machine does not run
// make no calls, so there is nothing to do for it.
const known = " X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL " +
	"MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 " +
	"RISCV64 LOONGARCH64 M68K SH SHEB "

// rule is an action, for calls whose arguments meet all the conditions.
type rule struct {
	action uint32
	args   []specs.LinuxSeccompArg
}

// span is the calls from a number on, up to the next span: they have an
// action, or rules to try before.
type span struct {
	from   uint32
	action uint32
	rules  []rule
}

// Compile returns the program for seccomp(SECCOMP_SET_MODE_FILTER, flags).
// Flags holds SECCOMP_FILTER_FLAG_NEW_LISTENER if an action is
// SCMP_ACT_NOTIFY: the call then returns the file for c.ListenerPath.
func Compile(c *specs.LinuxSeccomp) (
	filter []unix.SockFilter, flags uint, err error) {
	if flags, err = parseFlags(c); err != nil {
		return nil, 0, err
	}
	action, err := parseAction(c.DefaultAction, c.DefaultErrnoRet)
	if err != nil {
		return nil, 0, fmt.Errorf("seccomp: default action: %w", err)
	}
	rules, notify, err := parseRules(c, action)
	if err != nil {
		return nil, 0, fmt.Errorf("seccomp: %w", err)
	}
	if notify {
		flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	for _, name := range c.Architectures {
		short, ok := strings.CutPrefix(string(name), "SCMP_ARCH_")
		if !ok || !strings.Contains(known, " "+short+" ") {
			return nil, 0, fmt.Errorf("seccomp: architecture %q: there is "+
				"none of that name", name)
		}
	}
	filter = []unix.SockFilter{load(4)} // of struct seccomp_data: arch
	for i, a := range arches() {
		given := slices.Contains(c.Architectures, specs.Arch(a.name))
		if i > 0 && !given || strings.HasSuffix(a.name, "X32") {
			continue // x32 comes with x86_64
		}
		spans := a.spans(rules, action)
		if a.bits == 64 && len(arches()) == 3 {
			spans = append(spans, span{from: 1 << 30, action: killThread})
			x := arches()[1]
			if slices.Contains(c.Architectures, specs.Arch(x.name)) {
				spans = append(spans[:len(spans)-1], x.spans(rules, action)...)
			}
			// What a tracer wants skipped: ptrace(2).
			spans = append(spans, span{from: 1<<32 - 1, action: action})
		}
		code := search(merge(spans), a.bits)
		filter = append(filter, jump(unix.BPF_JEQ, a.audit, 1, 0),
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA,
				K: uint32(len(code) + 1)}, load(0)) // the number
		filter = append(filter, code...)
	}
	filter = append(filter, ret(killThread))
	if len(filter) > unix.BPF_MAXINSNS {
		return nil, 0, fmt.Errorf("seccomp: %d instructions: the kernel takes "+
			"%d, so leave out rules or architectures", len(filter),
			unix.BPF_MAXINSNS)
	}
	return filter, flags, nil
}

const killThread = unix.SECCOMP_RET_KILL_THREAD

// spans divides the numbers of an architecture's calls. A call that is newer
// than all that the profile speaks of is one that its author did not know:
// libraries that try it fall back on an older one if it is ENOSYS, but not if
// it is EPERM.
func (a *arch) spans(rules map[string][]rule, action uint32) []span {
	list := []span{{action: action}}
	if strings.HasSuffix(a.name, "X32") {
		list[0].from = 1 << 30
	}
	newer := uint32(0)
	for table := a.table; table != ""; {
		var line string
		line, table, _ = strings.Cut(table, "\n")
		name, number, _ := strings.Cut(line, " ")
		found, ok := rules[name]
		if !ok {
			continue
		}
		number, first, inside := strings.Cut(number, " ")
		n, _ := strconv.ParseUint(number, 10, 32)
		s := span{from: uint32(n), action: action, rules: found}
		if inside { // socketcall(2) has the call's number as its argument
			s.rules = nil
			value, _ := strconv.ParseUint(first, 10, 32)
			for _, r := range found {
				if len(r.args) == 0 {
					s.rules = append(s.rules, rule{r.action,
						[]specs.LinuxSeccompArg{{Value: value,
							Op: specs.OpEqualTo}}})
				}
			}
		} else {
			newer = s.from + 1
		}
		if len(s.rules) > 0 {
			list = add(list, s)
		}
	}
	permissive := action == unix.SECCOMP_RET_ALLOW ||
		action == unix.SECCOMP_RET_LOG
	if newer > 0 && !permissive {
		if list[len(list)-1].from == newer {
			list = list[:len(list)-1]
		}
		list = append(list, span{from: newer,
			action: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	}
	return list
}

// add appends a call to the spans, and one for the numbers after it. A rule
// without conditions is the answer, wherever it stands.
func add(list []span, s span) []span {
	last := len(list) - 1
	if last > 0 && list[last-1].from == s.from {
		s.rules = slices.Concat(list[last-1].rules, s.rules)
		if list[last-1].rules == nil {
			return list // the answer is there
		}
		list = list[:last-1]
	} else if list[last].from == s.from {
		list = list[:last]
	}
	rest := span{from: s.from + 1, action: s.action}
	for _, r := range s.rules {
		if len(r.args) == 0 {
			s.action, s.rules = r.action, nil
			break
		}
	}
	return append(list, s, rest)
}

// parseRules returns the rules for each name. One that does what is done
// anyway is none, but its name is one that the profile speaks of.
func parseRules(c *specs.LinuxSeccomp, action uint32) (
	rules map[string][]rule, notify bool, err error) {
	rules = make(map[string][]rule, 512)
	for _, call := range c.Syscalls {
		r := rule{args: call.Args}
		r.action, err = parseAction(call.Action, call.ErrnoRet)
		if len(call.Names) == 0 && err == nil {
			err = fmt.Errorf("no name")
		}
		for i, a := range call.Args {
			if a.Index > 5 || compare(&call.Args[i], 64, 0) == nil {
				err = fmt.Errorf("argument %d %q: no such argument or "+
					"operator", a.Index, a.Op)
			}
		}
		if err != nil {
			return nil, false, fmt.Errorf("rule for %s: %w",
				strings.Join(call.Names, ","), err)
		}
		for _, name := range call.Names {
			if r.action == unix.SECCOMP_RET_USER_NOTIF {
				notify = true
				if name == "write" { // whoever sends the listener calls it
					return nil, false, fmt.Errorf("rule for write: " +
						"SCMP_ACT_NOTIFY is not possible there")
				}
			}
			rules[name] = append(rules[name], r.split(action)...)
		}
	}
	return rules, notify, nil
}

// split makes one rule of each condition if two are on the same argument, as
// Docker has always done: such conditions are alternatives.
func (r rule) split(action uint32) (list []rule) {
	if r.action == action {
		return nil
	}
	for i, a := range r.args {
		for _, b := range r.args[:i] {
			if a.Index == b.Index {
				for _, arg := range r.args {
					list = append(list, rule{r.action,
						[]specs.LinuxSeccompArg{arg}})
				}
				return list
			}
		}
	}
	return []rule{r}
}

// parseAction returns what a filter is to return. See seccomp(2).
func parseAction(a specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	action, data := uint32(0), false
	switch a {
	case specs.ActKill, specs.ActKillThread:
		action = unix.SECCOMP_RET_KILL_THREAD
	case specs.ActKillProcess:
		action = unix.SECCOMP_RET_KILL_PROCESS
	case specs.ActTrap:
		action = unix.SECCOMP_RET_TRAP
	case specs.ActErrno:
		action, data = unix.SECCOMP_RET_ERRNO, true
	case specs.ActTrace:
		action, data = unix.SECCOMP_RET_TRACE, true
	case specs.ActAllow:
		action = unix.SECCOMP_RET_ALLOW
	case specs.ActLog:
		action = unix.SECCOMP_RET_LOG
	case specs.ActNotify:
		action = unix.SECCOMP_RET_USER_NOTIF
	default:
		return 0, fmt.Errorf("action %q: there is none of that name", a)
	}
	number := uint(0)
	if errno != nil {
		number = *errno
	} else if data {
		number = uint(unix.EPERM)
	}
	if number != 0 && !data || number > unix.SECCOMP_RET_DATA {
		return 0, fmt.Errorf("action %s: it has no errno %d", a, number)
	}
	return action | uint32(number), nil
}

func parseFlags(c *specs.LinuxSeccomp) (flags uint, err error) {
	if c.Flags == nil { // as runc: the mitigation is slow, prctl(2) turns it on
		flags = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	}
	for _, flag := range c.Flags {
		switch flag {
		case "SECCOMP_FILTER_FLAG_TSYNC": // execve ends the other threads
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case specs.LinuxSeccompFlagWaitKillableRecv:
			flags |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
		default:
			return 0, fmt.Errorf("seccomp: flag %q: there is none of that name",
				flag)
		}
	}
	if c.DefaultAction == specs.ActNotify {
		return 0, fmt.Errorf("seccomp: %s cannot be the default action",
			specs.ActNotify)
	}
	return flags, nil
}
