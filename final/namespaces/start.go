package namespaces

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Joint is a namespace to join, or, as a pidfd, several of a process.
type Joint struct {
	File  *os.File
	Flags uintptr // CLONE_NEW*
}

// Plan tells what Start starts, and where.
type Plan struct {
	Join   []Joint
	New    uintptr  // CLONE_NEW* of those to make
	Time   string   // for /proc/self/timens_offsets, of a new time namespace
	Cgroup *os.File // of version 2, or nil
	Dir    string   // working directory, by its path before all that

	// Ready, if there, is called while the process waits in its new user
	// namespace, for its maps to be written and for cgroups of version 1.
	Ready func(pid int) error

	Exe   *os.File   // our program
	Args  []string   // what it is called with
	Files []*os.File // its files 0, 1, 2 and so on; it gets no others

	calls []call
	keep  []any // what the calls' arguments point to
}

// A call is a system call that the copy of us makes. All of them together are
// a program without branches, but: one that may fail, one that is made only if
// the one that it replaces has failed, and one that must return want.
type call struct {
	what      string
	nr        uintptr
	args      [5]uintptr
	may, last bool // last: the first argument is what the last call returned
	replaces  int
	want      uintptr
}

// report is in memory that we share with the copy.
type report struct{ pid, failed, errno int32 }

// Start runs our program in other namespaces, as a child of ours. Who enters a
// user namespace must have a single thread, and Go starts with several; a PID
// or time namespace is for one's children. So a raw clone3(2) makes a copy of
// us with one thread, in which the Go runtime is dead: all it can do is make
// system calls, on memory that is there already. It enters the namespaces and
// makes the child that executes; CLONE_PARENT makes that child ours. runc has C
// code for all this, nsexec.c, which runs before its Go runtime starts.
func (p *Plan) Start() (int, error) {
	if p.New&(unix.CLONE_NEWUSER|unix.CLONE_NEWTIME) == 0 && p.Join == nil {
		return p.simply()
	}
	shared, err1 := unix.Mmap(-1, 0, int(unsafe.Sizeof(report{})),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
	gate, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|
		unix.SOCK_CLOEXEC, 0)
	if err1 != nil || err != nil {
		return 0, fmt.Errorf("mmap: %v, socketpair: %v", err1, err)
	}
	defer unix.Munmap(shared)
	r := (*report)(unsafe.Pointer(&shared[0]))
	mask := new(uint64)
	files, err := p.plan(gate, r, mask)
	pid, errno := 0, syscall.Errno(0)
	if err == nil {
		pid, errno = p.clone(r, mask)
	}
	for _, fd := range append(files, gate[1]) {
		unix.Close(fd)
	}
	if err == nil && errno == 0 && p.Ready != nil {
		err = p.open(gate[0], pid)
	}
	unix.Close(gate[0])
	if err == nil && errno != 0 {
		return 0, fmt.Errorf("clone3: %w", errno)
	}
	waitFor(pid)
	runtime.KeepAlive(p)
	if r.errno != 0 && err == nil {
		err = fmt.Errorf("%s: %w", p.calls[r.failed].what,
			syscall.Errno(r.errno))
	}
	if r.pid > 0 && err != nil {
		unix.Kill(int(r.pid), unix.SIGKILL)
		waitFor(int(r.pid))
	}
	return int(r.pid), err
}

// simply starts it where there is nothing to do between clone(2) and execve(2):
// then it needs no copy of our memory, and Go's library knows how. Our program
// must not have a number that one of the files shall have.
func (p *Plan) simply() (int, error) {
	exe, err := unix.FcntlInt(p.Exe.Fd(), unix.F_DUPFD_CLOEXEC, len(p.Files))
	if err != nil {
		return 0, fmt.Errorf("dup %s: %w", p.Exe.Name(), err)
	}
	defer unix.Close(exe)
	err = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("close_range: %w", err)
	}
	attr := &syscall.ProcAttr{Dir: p.Dir, Env: env,
		Sys: &syscall.SysProcAttr{Cloneflags: p.New}}
	for _, f := range p.Files {
		attr.Files = append(attr.Files, f.Fd())
	}
	if p.Cgroup != nil {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(p.Cgroup.Fd())
	}
	pid, err := syscall.ForkExec(fmt.Sprint("/proc/self/fd/", exe), p.Args,
		attr)
	if err != nil {
		return 0, fmt.Errorf("start %s in new namespaces: %w", p.Exe.Name(),
			err)
	}
	return pid, nil
}

// With a second processor idle, Go does not take the first away at each call
// that lasts; no garbage is collected in so short a life.
var env = []string{"GOMAXPROCS=2", "GOGC=off"}

// open lets the copy through the gate when Ready has done its work. At the
// gate's end of file, without a word, it gives up.
func (p *Plan) open(gate, pid int) error {
	var b [1]byte
	if n, _ := unix.Read(gate, b[:]); n != 1 {
		return nil // it has failed, and says why
	}
	err := p.Ready(pid)
	if err == nil {
		unix.Write(gate, b[:])
	}
	return err
}

// waitFor reaps a child. It is a "clone" child, __WALL in wait(2): one that no
// SIGCHLD announces, and for which nobody else waits by chance.
func waitFor(pid int) {
	for pid > 0 {
		if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != unix.EINTR {
			return
		}
	}
}

// plan lists the calls, in an order that matters: what belongs to the host can
// be joined only before a user namespace, what belongs to that only after it.
// Our files are copied high up first, out of the way of each other's numbers.
func (p *Plan) plan(gate [2]int, r *report, mask *uint64) ([]int, error) {
	p.calls = []call{{}} // number 0 is none
	if p.Dir != "" {
		p.add("chdir to "+p.Dir, unix.SYS_CHDIR, p.text(p.Dir))
	}
	// Whom we join could look into our memory: ptrace(2).
	p.add("prctl", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	ids := p.planJoin() | p.New&unix.CLONE_NEWUSER
	p.add("prctl", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
	if p.New&unix.CLONE_NEWUSER != 0 {
		p.add("unshare user namespace", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	}
	if b := p.text("-"); p.Ready != nil {
		// Our copy of the other end would keep the end of the file from us.
		p.add("close", unix.SYS_CLOSE, uintptr(gate[0]))
		p.add("gate", unix.SYS_WRITE, uintptr(gate[1]), b, 1)
		p.add("gate", unix.SYS_READ, uintptr(gate[1]), b, 1).want = 1
	}
	if ids != 0 {
		what := "user and group ID 0 of the user namespace: is 0 mapped?"
		p.add("setgroups", unix.SYS_SETGROUPS).may = true
		p.add(what, unix.SYS_SETRESGID)
		p.add(what, unix.SYS_SETRESUID)
		p.add("prctl", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
	}
	if flags := p.New &^ unix.CLONE_NEWUSER; flags != 0 {
		p.add("unshare namespaces", unix.SYS_UNSHARE, flags)
	}
	if here := unix.AT_FDCWD; p.Time != "" {
		file := "/proc/self/timens_offsets"
		p.add("open "+file, unix.SYS_OPENAT, uintptr(here), p.text(file),
			unix.O_WRONLY|unix.O_CLOEXEC)
		p.add("set time offsets", unix.SYS_WRITE, 0, p.text(p.Time),
			uintptr(len(p.Time))).last = true
	}
	p.add("clone", unix.SYS_CLONE, unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID,
		0, uintptr(unsafe.Pointer(&r.pid)))
	return p.planExec(mask)
}

// planJoin tries each namespace before and, if that failed, after the user
// namespace; it returns CLONE_NEWUSER if there is one.
func (p *Plan) planJoin() (user uintptr) {
	tried := make([]int, len(p.Join))
	for turn := range 3 {
		for i, j := range p.Join {
			if (j.Flags&unix.CLONE_NEWUSER != 0) != (turn == 1) {
				continue
			}
			c := p.add("setns "+j.File.Name(), unix.SYS_SETNS, j.File.Fd(),
				j.Flags)
			c.may, c.replaces = turn == 0, tried[i]
			tried[i] = len(p.calls) - 1
			user |= j.Flags & unix.CLONE_NEWUSER
		}
	}
	return user
}

// planExec is for the child of the copy. A file of the host's that is still
// open would lead out of the container.
func (p *Plan) planExec(mask *uint64) (high []int, err error) {
	for to, f := range p.Files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, len(p.Files))
		if err != nil {
			return high, fmt.Errorf("pass on %s: %w", f.Name(), err)
		}
		high = append(high, fd)
		p.add("dup3", unix.SYS_DUP3, uintptr(fd), uintptr(to))
	}
	p.add("close_range", unix.SYS_CLOSE_RANGE, uintptr(len(p.Files)),
		uintptr(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC)
	p.keep = append(p.keep, mask)
	p.add("sigprocmask", unix.SYS_RT_SIGPROCMASK, sigSetmask,
		uintptr(unsafe.Pointer(mask)), 0, 8)
	argv, err := syscall.SlicePtrFromStrings(p.Args)
	if err != nil {
		return high, fmt.Errorf("arguments %q: %w", p.Args, err)
	}
	envv, _ := syscall.SlicePtrFromStrings(env)
	p.keep = append(p.keep, argv, envv)
	p.add("execveat "+p.Exe.Name(), unix.SYS_EXECVEAT, p.Exe.Fd(), p.text(""),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])),
		unix.AT_EMPTY_PATH)
	return high, nil
}

func (p *Plan) add(what string, nr uintptr, args ...uintptr) *call {
	c := call{what: what, nr: nr}
	copy(c.args[:], args)
	p.calls = append(p.calls, c)
	return &p.calls[len(p.calls)-1]
}

// text puts a string, and a 0, where nothing moves it.
func (p *Plan) text(s string) uintptr {
	b := append([]byte(s), 0)
	p.keep = append(p.keep, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// cloneArgs is struct clone_args of linux/sched.h.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls,
	setTID, setTIDSize, cgroup uint64
}

const sigSetmask = 2 // SIG_SETMASK

// clone makes the copy, with all signals blocked: a handler would be Go code.
func (p *Plan) clone(r *report, mask *uint64) (int, syscall.Errno) {
	args := &cloneArgs{flags: unix.CLONE_CLEAR_SIGHAND}
	if p.Cgroup != nil {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(p.Cgroup.Fd())
	}
	all := ^uint64(0)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, sigSetmask, uintptr(
		unsafe.Pointer(&all)), uintptr(unsafe.Pointer(mask)), 8, 0, 0)
	pid, errno := fork(args, p.calls, r)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, sigSetmask, uintptr(
		unsafe.Pointer(mask)), 0, 8, 0, 0)
	return int(pid), errno
}

// fork returns in the parent only. The copy must not grow its stack, which is
// the Go runtime's work.
//
//go:nosplit
//go:norace
func fork(args *cloneArgs, calls []call, r *report) (uintptr, syscall.Errno) {
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3,
		uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	got := uintptr(0)
	for i := 1; i < len(calls); i++ {
		c := &calls[i]
		if c.replaces != 0 && calls[c.replaces].want == 1 {
			continue
		}
		if c.last {
			c.args[0] = got
		}
		got, _, errno = unix.RawSyscall6(c.nr, c.args[0], c.args[1],
			c.args[2], c.args[3], c.args[4], 0)
		if c.may && errno == 0 {
			c.want = 1 // done
		} else if errno == 0 && c.want != 0 && got != c.want {
			errno = unix.ECANCELED
		}
		if errno != 0 && !c.may {
			r.failed, r.errno = int32(i), int32(errno)
			break
		}
		if c.nr == unix.SYS_CLONE && got != 0 {
			break
		}
	}
	for {
		unix.RawSyscall(unix.SYS_EXIT, uintptr(errno), 0, 0)
	}
}
