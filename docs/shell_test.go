package docs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// shell is one bash that runs the commands of a block, one after the other.
type shell struct {
	cmd      *exec.Cmd
	tag      string   // in the environment of everything it starts
	out      *os.File // stdout and stderr, merged in the order of writing
	read     int64    // how much of out has been looked at
	commands *os.File // to the shell, each ends with a zero byte
	status   *os.File // from the shell, a line after each command
	lines    *bufio.Reader
}

// The loop takes commands from descriptor 9 and tells on 8 that one is done,
// so that neither gets in the way of what the commands read and print. The
// commands themselves do not inherit the two.
const shellLoop = `
s=0
while IFS= read -r -d '' c <&9; do
  eval "(exit $s)
$c" 8>&- 9<&-
  s=$?
  echo "$s" >&8
done`

// shellOptions say where and as whom a block runs.
type shellOptions struct {
	dir   string
	env   []string
	uid   int               // -1: as we are
	stage bool              // in namespaces that stand for the host's
	net   bool              // the network namespace among them
	files map[string]string // mounted there, by the place
}

func startShell(o shellOptions) (*shell, error) {
	tag := fmt.Sprintf("WORKSHOP_BLOCK=%d-%d", os.Getpid(),
		time.Now().UnixNano())
	name, err := exec.LookPath("bash")
	if err != nil {
		name = "sh" // busybox's understands the loop too
	}
	s := &shell{tag: tag, cmd: exec.Command(name, "-c", shellLoop)}
	if s.out, err = outputFile(); err != nil {
		return nil, err
	}
	commandsIn, commands, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	status, statusOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.commands, s.status = commands, status
	s.lines = bufio.NewReader(status)
	s.cmd.Dir, s.cmd.Env = o.dir, append(o.env, tag)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	// Descriptors 3 to 9: bash finds the two it uses at 8 and 9.
	s.cmd.ExtraFiles = []*os.File{nil, nil, nil, nil, nil, statusOut,
		commandsIn}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if o.uid >= 0 {
		id := uint32(o.uid)
		s.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id}
	}
	start := s.cmd.Start
	if o.stage {
		start = func() error {
			return onStage(o.net, func() error {
				if err := mountFiles(o.files); err != nil {
					return err
				}
				return s.cmd.Start()
			})
		}
	}
	err = start()
	commandsIn.Close()
	statusOut.Close()
	return s, err
}

// outputFile makes a file for what several processes write in turn. It needs
// no name: it goes when the last process lets go of it.
func outputFile() (*os.File, error) {
	f, err := os.CreateTemp("", "workshop-out-")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_APPEND|unix.O_RDWR)
	return f, err
}

// onStage calls f in namespaces of its own, so that nothing which a transcript
// mounts, names or connects is the machine's. Mounts are shared there, as
// systemd leaves them on every usual host.
func onStage(net bool, f func() error) error {
	result := make(chan error)
	go func() {
		// Never unlocked: the thread ends with this function, and nothing
		// else of ours ever runs in those namespaces.
		runtime.LockOSThread()
		result <- func() error {
			flags := unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
			if net {
				flags |= unix.CLONE_NEWNET
			}
			if err := unix.Unshare(flags); err != nil {
				return err
			}
			for _, how := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
				err := unix.Mount("", "/", "", unix.MS_REC|how, "")
				if err != nil {
					return err
				}
			}
			if net {
				if err := loopbackUp(); err != nil {
					return err
				}
			}
			return f()
		}()
	}()
	return <-result
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

var errShellGone = errors.New("the shell has ended")

// run gives the shell one command and returns what was printed until it ended.
func (s *shell) run(command string, limit time.Duration) ([]string, error) {
	if _, err := io.WriteString(s.commands, command+"\x00"); err != nil {
		return nil, errShellGone
	}
	s.status.SetReadDeadline(time.Now().Add(limit))
	_, err := s.lines.ReadString('\n')
	printed, readErr := s.printed()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return printed, fmt.Errorf("not done after %v", limit)
	case err == io.EOF:
		return printed, errShellGone
	case err != nil:
		return printed, err
	}
	return printed, readErr
}

// A shell that is not interactive reports jobs that a signal ended; the
// reader's shell words it differently.
var jobReport = regexp.MustCompile(`^bash: line \d+: +\d+ `)

// printed returns the lines that were written since the last call.
func (s *shell) printed() ([]string, error) {
	text, err := io.ReadAll(io.NewSectionReader(s.out, s.read, 1<<20))
	s.read += int64(len(text))
	var lines []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if !jobReport.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines, err
}

// end stops everything that the block started: first politely, so that
// containers clean up behind themselves.
func (s *shell) end() error {
	seen := map[int]bool{}
	s.gather(seen) // while the shell still is their parent
	s.commands.Close()
	defer func() {
		s.status.Close()
		s.out.Close()
		s.cmd.Wait()
	}()
	for i := range 100 {
		s.gather(seen)
		if len(seen) == 0 {
			return nil
		}
		sig := unix.Signal(0)
		if i == 2 {
			sig = unix.SIGTERM
		} else if i > 40 {
			sig = unix.SIGKILL
		}
		for pid := range seen {
			if err := unix.Kill(pid, sig); err == unix.ESRCH || zombie(pid) {
				delete(seen, pid)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("processes do not end: %v", seen)
}

// mounted lists what is mounted below dir where the shell is.
func (s *shell) mounted(dir string) (found []string) {
	table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo",
		s.cmd.Process.Pid))
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			found = append(found, f[4])
		}
	}
	return found
}

// gather adds the processes that carry the block's tag, and their children:
// a container may have started with an empty environment.
func (s *shell) gather(seen map[int]bool) {
	parents := map[int]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		env, _ := os.ReadFile(dir + "/environ")
		if strings.Contains("\x00"+string(env), "\x00"+s.tag+"\x00") {
			seen[pid] = true
		}
		parents[pid] = parentOf(pid)
	}
	for again := true; again; {
		again = false
		for pid, parent := range parents {
			if seen[parent] && !seen[pid] {
				seen[pid], again = true, true
			}
		}
	}
}

// statFields returns /proc/PID/stat from the state on: proc_pid_stat(5).
func statFields(pid int) []string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.Fields(rest)
}

func parentOf(pid int) int {
	if f := statFields(pid); len(f) > 1 {
		parent, _ := strconv.Atoi(f[1])
		return parent
	}
	return 0
}

func zombie(pid int) bool {
	f := statFields(pid)
	return len(f) == 0 || f[0] == "Z"
}
