package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"container-workshop/final/capabilities"
	"container-workshop/final/terminal"
)

// console makes a terminal of the container's own devpts our controlling
// terminal and our files 0, 1 and 2, and sends the master to whoever serves
// it.
func (p *process) console() error {
	if !p.spec.Terminal {
		return nil
	}
	master, slave, err := terminal.New()
	if err != nil {
		return err
	}
	defer master.Close()
	if s := p.spec.ConsoleSize; s != nil {
		err = terminal.Resize(slave, uint16(s.Width), uint16(s.Height))
		if err != nil {
			return err
		}
	}
	fd := int(slave.Fd())
	if os.Args[0] == Init {
		// By the file itself: an image's /proc and links are not asked.
		tree, err := unix.OpenTree(fd, "", unix.AT_EMPTY_PATH|
			unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err == nil {
			err = unix.MoveMount(tree, "", unix.AT_FDCWD, "/dev/console",
				unix.MOVE_MOUNT_F_EMPTY_PATH)
			unix.Close(tree)
		}
		if err != nil {
			return fmt.Errorf("mount %s on /dev/console: %w", slave.Name(),
				err)
		}
	}
	socket := os.NewFile(uintptr(p.Console), "console socket")
	if err := terminal.SendFD(socket, master, slave.Name()); err != nil {
		return err
	}
	socket.Close()
	if err := unix.IoctlSetInt(fd, unix.TIOCSCTTY, 0); err != nil {
		return fmt.Errorf("make %s the controlling terminal: %w",
			slave.Name(), err)
	}
	for to := range 3 {
		if err := unix.Dup3(fd, to, 0); err != nil {
			return fmt.Errorf("dup3: %w", err)
		}
	}
	return slave.Close()
}

// wait sleeps until somebody says start, by a datagram with a pipe in it, on
// which we tell what goes wrong from now on. The end of file there means that
// nothing went wrong: execve(2) closes it.
func (p *process) wait() error {
	p.socket.Close()
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		_, n, _, _, err := unix.Recvmsg(p.Start, make([]byte, 1), oob,
			unix.MSG_CMSG_CLOEXEC)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for start: %w", err)
		}
		list, _ := unix.ParseSocketControlMessage(oob[:max(n, 0)])
		for _, message := range list {
			if fds, err := unix.ParseUnixRights(&message); err == nil {
				p.socket = os.NewFile(uintptr(fds[0]), "start")
				p.out = json.NewEncoder(p.socket)
				return p.out.Encode(Message{Step: Ready})
			}
		}
	}
}

// become takes the user's ids and capabilities and executes his program. Who
// may gain new privileges later needs one to set a filter now, so it comes
// first; otherwise it is the last thing, and forbids us nothing.
func (p *process) become(path string) error {
	if err := p.confine(); err != nil {
		return err
	}
	for _, l := range p.spec.Rlimits {
		// The runtime has set it. Go would put back what it found at its start.
		if l.Type == "RLIMIT_NOFILE" {
			unix.Setrlimit(unix.RLIMIT_NOFILE,
				&unix.Rlimit{Cur: l.Soft, Max: l.Hard})
		}
	}
	if p.spec.NoNewPrivileges {
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	} else if err := p.filter(); err != nil {
		return err
	}
	if err := p.user(); err != nil {
		return err
	}
	if err := unix.Chdir(p.spec.Cwd); err != nil && !p.here {
		return fmt.Errorf("chdir to %s: %w", p.spec.Cwd, err)
	}
	// A directory of the host's has no path in here: CVE-2024-21626.
	if _, err := unix.Getwd(); err != nil {
		return fmt.Errorf("working directory %s is outside of the container:"+
			" %w", p.spec.Cwd, err)
	}
	if h := p.Spec.Hooks; h != nil {
		p.State.Status = specs.StateCreated
		err := RunHooks("startContainer", h.StartContainer, p.State)
		if err != nil {
			return err
		}
	}
	if p.spec.NoNewPrivileges {
		if err := p.filter(); err != nil {
			return err
		}
	}
	return notRun(path, syscall.Exec(path, p.spec.Args, p.env()))
}

// env adds HOME, as the container's own passwd(5) has it, if nobody has.
func (p *process) env() []string {
	home, uid := "/", fmt.Sprint(p.spec.User.UID)
	for _, v := range p.spec.Env {
		if strings.HasPrefix(v, "HOME=") {
			return p.spec.Env
		}
	}
	text, _ := os.ReadFile("/etc/passwd")
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 7 && f[2] == uid && f[5] != "" {
			home = f[5]
			break
		}
	}
	return append(p.spec.Env, "HOME="+home)
}

// confine chooses the AppArmor profile for what we shall execute. In a
// container that exists already, /proc might be something made to look like it.
func (p *process) confine() error {
	if p.spec.ApparmorProfile == "" {
		return nil
	}
	const file = "/proc/thread-self/attr/apparmor/exec"
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	var fs unix.Statfs_t
	if err == nil {
		err = unix.Fstatfs(int(f.Fd()), &fs)
	}
	if err == nil && fs.Type != unix.PROC_SUPER_MAGIC {
		err = errors.New(file + " is not of a proc file system")
	}
	if err == nil {
		_, err = f.WriteString("exec " + p.spec.ApparmorProfile)
	}
	if err != nil {
		err = fmt.Errorf("AppArmor profile %s: %w", p.spec.ApparmorProfile, err)
	}
	return err
}

// user becomes the user. setuid(2) of the Go library would do that to every
// thread; ours is the only one that is left after execve(2).
func (p *process) user() error {
	caps, u := p.spec.Capabilities, p.spec.User
	// Who has asked for no capabilities gets none.
	if err := capabilities.LimitBounding(caps); err != nil {
		return err
	}
	groups := make([]uint32, len(u.AdditionalGids)+1)
	copy(groups, u.AdditionalGids)
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(
		len(u.AdditionalGids)), uintptr(unsafe.Pointer(&groups[0])), 0)
	if errno != 0 && (errno != unix.EPERM || len(u.AdditionalGids) > 0) {
		return fmt.Errorf("setgroups %v: %w", u.AdditionalGids, errno)
	}
	p.own(u.UID)
	for _, id := range []struct {
		name string
		call uintptr
		id   uint32
	}{{"gid", unix.SYS_SETRESGID, u.GID}, {"uid", unix.SYS_SETRESUID, u.UID}} {
		n := uintptr(id.id)
		_, _, errno := unix.RawSyscall(id.call, n, n, n)
		if errno != 0 {
			return fmt.Errorf("set %s %d: %w: is it mapped in the user "+
				"namespace?", id.name, id.id, errno)
		}
	}
	unix.Umask(0o022)
	if u.Umask != nil {
		unix.Umask(int(*u.Umask))
	}
	return capabilities.Set(caps)
}

// own gives the user the pipes and the terminal that are his files 0, 1 and 2:
// he may want to open them again, by /dev/stdout.
func (p *process) own(uid uint32) {
	for fd := range 3 {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		fifo := st.Mode&unix.S_IFMT == unix.S_IFIFO
		if err == nil && (p.spec.Terminal || fifo) && st.Uid != uid {
			unix.Fchown(fd, int(uid), -1)
		}
	}
}

// filter sets the seccomp filter: seccomp(2).
func (p *process) filter() error {
	if len(p.Seccomp) == 0 {
		return nil
	}
	prog := &unix.SockFprog{Len: uint16(len(p.Seccomp) / 8),
		Filter: (*unix.SockFilter)(unsafe.Pointer(&p.Seccomp[0]))}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP,
		unix.SECCOMP_SET_MODE_FILTER, uintptr(p.SeccompFlags),
		uintptr(unsafe.Pointer(prog)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return fmt.Errorf("set seccomp filter: %w", errno)
	}
	return nil
}
