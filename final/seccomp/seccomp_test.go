package seccomp

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/capabilities"
	"container-workshop/final/seccomp/profile"
)

// The test binary is also the process under the filter: it reads the profile
// and makes the calls that its arguments name.
const inside = "seccomp-test-inside"

func TestMain(m *testing.M) {
	if os.Args[0] == inside {
		under()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func under() {
	var c specs.LinuxSeccomp
	if err := json.Unmarshal([]byte(os.Args[1]), &c); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	filter, flags, err := Compile(&c)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	runtime.LockOSThread()
	listener, err := install(filter, flags)
	if err != nil {
		fmt.Println("seccomp:", err)
		os.Exit(1)
	}
	if flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 {
		go answerOne(listener)
	}
	if os.Args[2] == "exec" {
		err = unix.Exec(os.Args[3], os.Args[3:], os.Environ())
		fmt.Println("exec:", err)
		os.Exit(1)
	}
	for _, probe := range os.Args[2:] {
		var a [7]uintptr
		for i, field := range strings.Fields(probe)[1:] {
			n, err := strconv.ParseUint(field, 0, 64)
			if err != nil {
				panic(err)
			}
			a[i] = uintptr(n)
		}
		r, _, errno := unix.RawSyscall6(a[0], a[1], a[2], a[3], a[4], a[5],
			a[6])
		if errno != 0 {
			fmt.Println(strings.Fields(probe)[0], unix.ErrnoName(errno))
		} else if r > 1 {
			fmt.Println(strings.Fields(probe)[0], "ok")
		} else {
			fmt.Println(strings.Fields(probe)[0], r)
		}
	}
}

func install(filter []unix.SockFilter, flags uint) (int, error) {
	unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP,
		unix.SECCOMP_SET_MODE_FILTER, uintptr(flags),
		uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// answerOne tells the first call that comes to fail with EXDEV.
func answerOne(fd int) {
	request, response := make([]byte, 80), make([]byte, 24)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd),
		0xc0502100, uintptr(unsafe.Pointer(&request[0])))
	copy(response, request[:8])
	*(*int32)(unsafe.Pointer(&response[16])) = -int32(unix.EXDEV)
	unix.Syscall(unix.SYS_IOCTL, uintptr(fd), 0xc0182101,
		uintptr(unsafe.Pointer(&response[0])))
	_ = errno
}

func child(t *testing.T, c *specs.LinuxSeccomp, args ...string) (string,
	syscall.WaitStatus) {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	exe, _ := os.Executable()
	cmd := exec.Command(exe, append([]string{string(text)}, args...)...)
	cmd.Args[0] = inside
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.Sys().(syscall.WaitStatus)
}

func p(name string, nr int, args ...uint64) string {
	text := fmt.Sprint(name, " ", nr)
	for _, a := range args {
		text += fmt.Sprintf(" %#x", a)
	}
	return text
}

func number(n uint) *uint { return &n }

func TestActions(t *testing.T) {
	allow := specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for _, c := range []struct {
		action specs.LinuxSeccompAction
		errno  *uint
		want   string
		signal syscall.Signal
	}{
		{specs.ActAllow, nil, "getpgid ok\n", 0},
		{specs.ActLog, nil, "getpgid ok\n", 0},
		{specs.ActErrno, nil, "getpgid EPERM\n", 0},
		{specs.ActErrno, number(uint(unix.EXDEV)), "getpgid EXDEV\n", 0},
		{specs.ActErrno, number(0), "getpgid 0\n", 0},
		{specs.ActTrace, nil, "getpgid ENOSYS\n", 0}, // nobody traces
		{specs.ActNotify, nil, "getpgid EXDEV\n", 0},
		{specs.ActTrap, nil, "", unix.SIGSYS},
		{specs.ActKillProcess, nil, "", unix.SIGSYS},
		{specs.ActKill, nil, "", unix.SIGSYS},
		{specs.ActKillThread, nil, "", unix.SIGSYS},
	} {
		profile := allow
		profile.Syscalls = []specs.LinuxSyscall{{Names: []string{"getpgid"},
			Action: c.action, ErrnoRet: c.errno}}
		if c.action == specs.ActKill || c.action == specs.ActKillThread {
			continue // one thread is killed: the Go runtime waits for ever
		}
		out, status := child(t, &profile, p("getpgid", unix.SYS_GETPGID))
		ended := status.Signaled() && status.Signal() == c.signal ||
			status.ExitStatus() == 2 // the Go runtime reports SIGSYS itself
		if c.signal != 0 && !ended || c.signal == 0 && out != c.want {
			t.Errorf("%s: %q, %v", c.action, out, status)
		}
	}
}

func TestArguments(t *testing.T) {
	const big = 0x1_0000_0005
	for _, c := range []struct {
		op         specs.LinuxSeccompOperator
		value, two uint64
		yes, no    []uint64
	}{
		{specs.OpEqualTo, big, 0, []uint64{big}, []uint64{5, big + 1, 1 << 32}},
		{specs.OpNotEqual, big, 0, []uint64{5, big - 1, 1 << 32},
			[]uint64{big}},
		{specs.OpLessThan, big, 0, []uint64{5, 0, big - 1, 0xffffffff},
			[]uint64{big, big + 1, 2 << 32}},
		{specs.OpLessEqual, big, 0, []uint64{5, big},
			[]uint64{big + 1, 2 << 32}},
		{specs.OpGreaterEqual, big, 0, []uint64{big, 2 << 32, big + 1},
			[]uint64{big - 1, 0xffffffff, 0}},
		{specs.OpGreaterThan, big, 0, []uint64{big + 1, 2 << 32},
			[]uint64{big, 0xffffffff}},
		{specs.OpMaskedEqual, 0xf_0000_000f, 0x1_0000_00f5,
			[]uint64{0x1_0000_0005, 0x71_0000_ff05},
			[]uint64{0x5, 0x1_0000_0004}},
	} {
		profile := specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
			Syscalls: []specs.LinuxSyscall{{Names: []string{"kcmp"},
				Action: specs.ActErrno, ErrnoRet: number(uint(unix.EXDEV)),
				Args: []specs.LinuxSeccompArg{{Index: 3, Value: c.value,
					ValueTwo: c.two, Op: c.op}}}}}
		var probes []string
		want := ""
		for _, v := range c.yes {
			probes = append(probes, p("yes", unix.SYS_KCMP, 0, 0, 99, v))
			want += "yes EXDEV\n"
		}
		for _, v := range c.no { // process 0 does not exist
			probes = append(probes, p("no", unix.SYS_KCMP, 0, 0, 99, v))
			want += "no ESRCH\n"
		}
		out, _ := child(t, &profile, probes...)
		if out != want {
			t.Errorf("%s %#x: %q", c.op, c.value, out)
		}
	}
}

// Docker's own profile, for the container that most people start.
func TestDocker(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("numbers of calls are amd64's here")
	}
	c, err := profile.Default(capabilities.Default())
	if err != nil {
		t.Fatal(err)
	}
	out, _ := child(t, c,
		p("getpid", unix.SYS_GETPID),
		p("mount", unix.SYS_MOUNT), p("keyctl", unix.SYS_KEYCTL),
		p("clone-user", unix.SYS_CLONE, unix.CLONE_NEWUSER),
		p("clone3", unix.SYS_CLONE3, 0, 0),
		p("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWNS),
		p("socket-unix", unix.SYS_SOCKET, 9999, 1, 0),
		p("socket-vsock", unix.SYS_SOCKET, unix.AF_VSOCK, 1, 0),
		p("personality", unix.SYS_PERSONALITY, 0xffffffff),
		p("personality-x", unix.SYS_PERSONALITY, 0x1234),
		p("newest", 467), p("future", 999), p("x32-future", 1<<30|999),
		p("bpf", unix.SYS_BPF, 99))
	want := `getpid ok
mount EPERM
keyctl EPERM
clone-user EPERM
clone3 ENOSYS
unshare EPERM
socket-unix EAFNOSUPPORT
socket-vsock EPERM
personality 0
personality-x EPERM
newest ENOSYS
future ENOSYS
x32-future ENOSYS
bpf EPERM
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	out, status := child(t, c, "exec", "/bin/sh", "-c",
		"ls / >/dev/null && (echo text | cat) && unshare -U true; echo $?")
	if !strings.Contains(out, "text\n") || strings.HasSuffix(out, "\n0\n") ||
		status.ExitStatus() != 0 {
		t.Errorf("sh: %s %v", out, status)
	}
	privileged, err := profile.Default(capabilities.All())
	if err != nil {
		t.Fatal(err)
	}
	out, _ = child(t, privileged, p("bpf", unix.SYS_BPF, 99, 0, 8))
	if strings.Contains(out, "EPERM") {
		t.Errorf("with all capabilities: %s", out)
	}
}

// vm runs a filter as the kernel does.
func vm(t *testing.T, code []unix.SockFilter, audit, nr uint32,
	args [6]uint64) uint32 {
	data := []uint32{nr, audit, 0, 0}
	for _, a := range args {
		data = append(data, uint32(a), uint32(a>>32))
	}
	acc := uint32(0)
	for i := 0; i < len(code); i++ {
		f, yes := code[i], false
		switch f.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			acc = data[f.K/4]
			continue
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= f.K
			continue
		case unix.BPF_RET | unix.BPF_K:
			return f.K
		case unix.BPF_JMP | unix.BPF_JA:
			i += int(f.K)
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			yes = acc == f.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			yes = acc >= f.K
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			yes = acc > f.K
		default:
			t.Fatalf("instruction %+v", f)
		}
		if yes {
			i += int(f.Jt)
		} else {
			i += int(f.Jf)
		}
	}
	t.Fatal("ran off the end")
	return 0
}

// meets is what an operator means, for programs of a number of bits.
func meets(a specs.LinuxSeccompArg, v uint64, bits int) bool {
	value, two := a.Value, a.ValueTwo
	if bits == 32 {
		v, value, two = v&0xffffffff, value&0xffffffff, two&0xffffffff
	}
	switch a.Op {
	case specs.OpEqualTo:
		return v == value
	case specs.OpNotEqual:
		return v != value
	case specs.OpLessThan:
		return v < value
	case specs.OpLessEqual:
		return v <= value
	case specs.OpGreaterThan:
		return v > value
	case specs.OpGreaterEqual:
		return v >= value
	}
	return v&value == two&value
}

// Random profiles, held against the plain meaning of their rules.
func TestMeaning(t *testing.T) {
	var names []string
	for _, a := range arches() {
		for _, line := range strings.Split(a.table, "\n") {
			if f := strings.Fields(line); len(f) == 2 {
				names = append(names, f[0])
			}
		}
	}
	ops := []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpNotEqual,
		specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan,
		specs.OpGreaterEqual, specs.OpMaskedEqual}
	values := []uint64{0, 1, 5, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 5, 1 << 63,
		1<<64 - 1}
	pick := func() uint64 { return values[rand.IntN(len(values))] }
	actions := []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno,
		specs.ActLog, specs.ActKillProcess}
	for n := 0; n < 60; n++ {
		c := specs.LinuxSeccomp{DefaultAction: actions[rand.IntN(4)]}
		if n%2 == 0 {
			for _, a := range arches() {
				c.Architectures = append(c.Architectures, specs.Arch(a.name))
			}
		}
		for m := rand.IntN(200); m > 0; m-- {
			call := specs.LinuxSyscall{Action: actions[rand.IntN(4)]}
			for k := rand.IntN(4) + 1; k > 0; k-- {
				call.Names = append(call.Names, names[rand.IntN(len(names))])
			}
			for _, i := range rand.Perm(6)[:max(0, rand.IntN(9)-5)] {
				call.Args = append(call.Args, specs.LinuxSeccompArg{
					Index: uint(i), Value: pick(), ValueTwo: pick(),
					Op: ops[rand.IntN(7)]})
			}
			c.Syscalls = append(c.Syscalls, call)
		}
		filter, _, err := Compile(&c)
		if err != nil {
			if strings.Contains(err.Error(), "instructions") {
				continue
			}
			t.Fatal(err)
		}
		for k := 0; k < 3000; k++ {
			a := arches()[rand.IntN(len(arches()))]
			nr := uint32(rand.IntN(520))
			bits := a.bits
			if strings.HasSuffix(a.name, "X32") {
				nr, bits = nr|1<<30, 64
			}
			args := [6]uint64{pick(), pick(), pick(), pick(), pick(), pick()}
			got := vm(t, filter, a.audit, nr, args)
			if want := meaning(&c, a, nr, args, bits); got != want {
				t.Fatalf("%s %d %x: %#x, not %#x", a.name, nr, args, got, want)
			}
		}
	}
}

var tables = map[string]map[string][][]string{}

// lines returns the fields of the lines that a name has in a table.
func lines(a arch) map[string][][]string {
	if tables[a.name] == nil {
		tables[a.name] = map[string][][]string{}
		for line := range strings.Lines(a.table) {
			f := strings.Fields(line)
			tables[a.name][f[0]] = append(tables[a.name][f[0]], f)
		}
	}
	return tables[a.name]
}

func meaning(c *specs.LinuxSeccomp, a arch, nr uint32, args [6]uint64,
	bits int) uint32 {
	if a.name != arches()[0].name &&
		!slices.Contains(c.Architectures, specs.Arch(a.name)) {
		return killThread
	}
	action, _ := parseAction(c.DefaultAction, nil)
	newest := uint32(0)
	var conditional, always []uint32
	for _, call := range c.Syscalls {
		act, _ := parseAction(call.Action, nil)
		for _, name := range call.Names {
			for _, f := range lines(a)[name] {
				n, _ := strconv.ParseUint(f[1], 10, 32)
				if len(f) == 2 {
					newest = max(newest, uint32(n))
				}
				if uint32(n) != nr || act == action {
					continue
				}
				ok := true
				if len(f) == 3 {
					first, _ := strconv.ParseUint(f[2], 10, 32)
					ok = args[0]&0xffffffff == first && len(call.Args) == 0
				}
				for _, arg := range call.Args {
					ok = ok && meets(arg, args[arg.Index], bits)
				}
				if len(call.Args) == 0 && len(f) == 2 {
					always = append(always, act)
				} else if ok {
					conditional = append(conditional, act)
				}
			}
		}
	}
	if len(always) > 0 {
		return always[0]
	}
	if len(conditional) > 0 && nr != 102 && nr != 117 {
		return conditional[0]
	} else if len(conditional) > 0 {
		return firstInTable(c, a, nr, args, action)
	}
	if newest > 0 && nr > newest && c.DefaultAction != specs.ActAllow &&
		c.DefaultAction != specs.ActLog {
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	}
	return action
}

// firstInTable is for the two calls that hold others: the order is the table's.
func firstInTable(c *specs.LinuxSeccomp, a arch, nr uint32, args [6]uint64,
	action uint32) uint32 {
	for _, line := range strings.Split(a.table, "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || f[1] != fmt.Sprint(nr) {
			continue
		}
		for _, call := range c.Syscalls {
			act, _ := parseAction(call.Action, nil)
			ok := slices.Contains(call.Names, f[0]) && act != action
			if len(f) == 3 {
				ok = ok && len(call.Args) == 0 &&
					f[2] == fmt.Sprint(args[0]&0xffffffff)
			}
			for _, arg := range call.Args {
				ok = ok && meets(arg, args[arg.Index], a.bits)
			}
			if ok {
				return act
			}
		}
	}
	return action
}

func TestErrors(t *testing.T) {
	rule := func(name string,
		change func(*specs.LinuxSyscall)) specs.LinuxSeccomp {
		call := specs.LinuxSyscall{Names: []string{name},
			Action: specs.ActErrno}
		change(&call)
		return specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
			Syscalls: []specs.LinuxSyscall{call}}
	}
	many := specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for i := 0; i < 900; i++ {
		many.Syscalls = append(many.Syscalls, specs.LinuxSyscall{
			Names: []string{"kill"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Value: uint64(i),
				Op: specs.OpEqualTo}}})
	}
	for word, c := range map[string]specs.LinuxSeccomp{
		`"SCMP_ACT_FROB"`:  {DefaultAction: "SCMP_ACT_FROB"},
		`action ""`:        {},
		"cannot be the de": {DefaultAction: specs.ActNotify},
		`"FROB"`: {DefaultAction: specs.ActAllow,
			Flags: []specs.LinuxSeccompFlag{"FROB"}},
		`"SCMP_ARCH_VAX"`: {DefaultAction: specs.ActAllow,
			Architectures: []specs.Arch{"SCMP_ARCH_VAX"}},
		"rule for kill: action": rule("kill", func(c *specs.LinuxSyscall) {
			c.Action = "x"
		}),
		"argument 6": rule("kill", func(c *specs.LinuxSyscall) {
			c.Args = []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}
		}),
		`"SCMP_CMP_FROB"`: rule("kill", func(c *specs.LinuxSyscall) {
			c.Args = []specs.LinuxSeccompArg{{Op: "SCMP_CMP_FROB"}}
		}),
		"no errno 5": rule("kill", func(c *specs.LinuxSyscall) {
			c.Action, c.ErrnoRet = specs.ActKill, number(5)
		}),
		"rule for write": rule("write", func(c *specs.LinuxSyscall) {
			c.Action = specs.ActNotify
		}),
		"no name": rule("x", func(c *specs.LinuxSyscall) { c.Names = nil }),
		"4096":    many,
	} {
		_, _, err := Compile(&c)
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestFlags(t *testing.T) {
	_, flags, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
		Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC",
			specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagWaitKillableRecv},
		Syscalls: []specs.LinuxSyscall{{Names: []string{"kill"},
			Action: specs.ActNotify}}})
	want := uint(unix.SECCOMP_FILTER_FLAG_LOG |
		unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV |
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	if flags != want || err != nil {
		t.Errorf("flags %#x, not %#x; %v", flags, want, err)
	}
}

func BenchmarkDocker(b *testing.B) {
	c, err := profile.Default(capabilities.Default())
	if err != nil {
		b.Fatal(err)
	}
	size := 0
	for b.Loop() {
		filter, _, err := Compile(c)
		if err != nil {
			b.Fatal(err)
		}
		size = len(filter)
	}
	b.ReportMetric(float64(size), "instructions")
}

func BenchmarkProfile(b *testing.B) {
	for b.Loop() {
		profile.Default(capabilities.Default())
	}
}
