// Package inside is the first process of a container, up to the container's
// own program. Importing it is enough: its init runs before everything else
// when the program is called by one of its names, and never returns.
package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/rootfs"
)

// Init and Joined are the names, argv[0], of a container's PID 1 and of a
// process that Exec adds to it. argv[1] is the number of the socket to the
// runtime, which is behind all files that the container's program shall have.
const (
	Init   = "minidocker-init"
	Joined = "minidocker-joined"
)

// Config is what the runtime sends first; then, the container's config.json,
// or, for Joined, one that has process alone.
type Config struct {
	ID          string
	Root        string
	NoPivot     bool
	KeepKeyring bool // the caller's
	Mounted     bool // the overlay at Root, by the runtime
	// New namespaces that need something done from inside.
	NewNet, NewCgroup bool
	Seccomp           []byte // struct sock_filter, as the kernel has it
	SeccompFlags      uint
	Console, Start    int // files: socket for the pty; from it we get the start
	State             specs.State
}

// Message is what we say, and what we are answered. The end of file means that
// the other side is gone, or, after Ready, that we have become the container's
// program.
type Message struct {
	Step  string // Hooks, Ready, or nothing: then Error tells why we end
	Error string
	Code  int // 127: the program is not there, 126: it cannot be executed
}

const (
	Hooks = "hooks"
	Ready = "ready"
)

// Namespaces, capabilities, ids and labels belong to threads. The one that
// runs init is the process's first.
func init() {
	if os.Args[0] != Init && os.Args[0] != Joined || len(os.Args) != 2 {
		return
	}
	runtime.LockOSThread()
	// Who is in here already shall not look into our memory: ptrace(2).
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil {
		os.Exit(125)
	}
	unix.CloseRange(uint(fd), ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	p := &process{socket: os.NewFile(uintptr(fd), "runtime")}
	p.in, p.out = json.NewDecoder(p.socket), json.NewEncoder(p.socket)
	err = p.run()
	code := 1
	var failed *execError
	if errors.As(err, &failed) {
		code = failed.code
	}
	p.out.Encode(Message{Error: err.Error(), Code: code})
	os.Exit(code)
}

type process struct {
	Config
	Spec   specs.Spec
	socket *os.File
	in     *json.Decoder
	out    *json.Encoder
	spec   *specs.Process
	here   bool // we are in its working directory
}

func (p *process) run() error {
	if p.in.Decode(&p.Config) != nil || p.receive() != nil {
		os.Exit(125) // the runtime has died, and there is nobody to tell
	}
	unix.Setsid()
	// The caller's keys are not the container's: session-keyring(7). No error:
	// a kernel may have none, a user too many.
	if !p.KeepKeyring {
		unix.KeyctlJoinSessionKeyring("_ses." + p.ID)
	}
	if os.Args[0] == Init {
		if err := p.enter(); err != nil {
			return err
		}
	}
	if err := p.console(); err != nil {
		return err
	}
	path, err := p.find()
	if err != nil {
		return err
	}
	p.say(Ready)
	if os.Args[0] == Init {
		if err := p.wait(); err != nil {
			return err
		}
	}
	return p.become(path)
}

func (p *process) receive() error {
	if os.Args[0] == Joined {
		var one Process
		err := p.in.Decode(&one)
		p.spec = one.Process
		return err
	}
	var all needed
	err := p.in.Decode(&all)
	p.Spec, p.Spec.Linux = all.Spec.Spec, &specs.Linux{}
	if all.Linux != nil {
		p.Spec.Linux = &all.Linux.Linux
	}
	p.spec = p.Spec.Process
	return err
}

// say waits until the runtime has done its part. A runtime that has died does
// not answer; then we are not wanted, either.
func (p *process) say(step string) {
	err := p.out.Encode(Message{Step: step})
	if err == nil {
		err = p.in.Decode(&Message{})
	}
	if err != nil {
		os.Exit(125)
	}
}

// enter makes the container around us.
func (p *process) enter() error {
	if p.NewCgroup {
		// clone(2) would do it too early: the root would be our parent's.
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("unshare cgroup namespace: %w", err)
		}
	}
	if err := p.names(); err != nil {
		return err
	}
	if p.NewNet {
		if err := loopback(); err != nil {
			return fmt.Errorf("bring up lo: %w", err)
		}
	}
	if p.Mounted {
		delete(p.Spec.Annotations, rootfs.Lowerdir)
	}
	if err := rootfs.Prepare(&p.Spec, p.Root); err != nil {
		return err
	}
	if h := p.Spec.Hooks; h != nil {
		p.say(Hooks)
		err := RunHooks("createContainer", h.CreateContainer, p.State)
		if err != nil {
			return err
		}
	}
	return rootfs.Enter(&p.Spec, p.Root, !p.NoPivot)
}

func (p *process) names() (err error) {
	if name := p.Spec.Hostname; name != "" {
		err = unix.Sethostname([]byte(name))
	}
	if name := p.Spec.Domainname; name != "" && err == nil {
		err = unix.Setdomainname([]byte(name))
	}
	if err != nil {
		err = fmt.Errorf("set host name %q, domain name %q: %w",
			p.Spec.Hostname, p.Spec.Domainname, err)
	}
	return err
}

// loopback sets the flag IFF_UP: netdevice(7).
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// execError is about the container's program.
type execError struct {
	path string
	err  error
	code int
}

func (e *execError) Error() string {
	return fmt.Sprintf("exec %s: %v", strconv.Quote(e.path), e.err)
}

func notRun(path string, err error) error {
	if errors.Is(err, unix.ENOENT) {
		return &execError{path, err, 127}
	}
	return &execError{path, err, 126}
}

// find looks for the program as a shell would, in the container's own PATH.
// What only the container's user may not do shows later, when we are him.
func (p *process) find() (string, error) {
	// As root, who may enter what the user may not: become tells why not.
	p.here = unix.Chdir(p.spec.Cwd) == nil
	name := p.spec.Args[0]
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	for _, v := range p.spec.Env {
		list, isPath := strings.CutPrefix(v, "PATH=")
		for _, dir := range filepath.SplitList(list) {
			path := filepath.Join(dir, name)
			if isPath && executable(path) == nil {
				return path, nil
			}
		}
	}
	return "", &execError{name, errors.New("executable file not found in " +
		"$PATH: no such file or directory"), 127}
}

func executable(path string) error {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = unix.EISDIR
	} else if err == nil {
		err = unix.Access(path, unix.X_OK)
	}
	if err != nil {
		return notRun(path, err)
	}
	return nil
}
