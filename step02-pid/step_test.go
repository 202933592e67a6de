package main_test

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The C programs do all that this step does.
var inC = []string{"run", "exec", "unshare"}

func init() {
	helpers["names"] = func([]string) {
		fmt.Println(strings.Join(names(), " "))
	}
	// queue sysv|posix KEY makes a message queue that must be new, and stays.
	helpers["queue"] = func(args []string) {
		fatal(makeQueue(args[0], args[1]))
		fmt.Println("made")
		select {}
	}
	// find sysv|posix KEY says whether there is such a queue.
	helpers["find"] = func(args []string) {
		fmt.Println(findQueue(args[0], args[1]))
	}
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(99)
	}
}

// names are the host name and the NIS domain name that uname(2) tells us.
func names() []string {
	var u unix.Utsname
	unix.Uname(&u)
	return []string{unix.ByteSliceToString(u.Nodename[:]),
		unix.ByteSliceToString(u.Domainname[:])}
}

// newName is random: no program can know it beforehand.
func newName() string { return "w" + strings.ToLower(rand.Text()[:12]) }

// exec1 runs a command in a running container.
func exec1(p program, t *testing.T, r *running, args ...string) string {
	t.Helper()
	pid := strconv.Itoa(r.container)
	return p.must(t, append([]string{"exec", pid}, args...)...)
}

// The namespaces that are new in this step, and the one of step 1. A process
// has a file for the PID namespace that its children get, too.
var isolated = []string{"ipc", "pid", "pid_for_children", "uts"}

func TestNamespacesThatDiffer(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		before := ns(us, "pid")
		r := p.start(t, "sleep", "1000")
		equal(t, "inside", differ(t, us, r.container), isolated)
		equal(t, "the parent", len(differ(t, us, r.pid)), 0)
		unix.Kill(r.container, unix.SIGKILL)
		equal(t, "exit status", r.wait(t), 128+9)
		equal(t, "container after", ns(r.container, "pid"), "")
		equal(t, "host before and after", ns(us, "pid"), before)
	})
}

// What step 1 taught holds.
func TestNames(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		before, host, domain := names(), newName(), newName()
		got := p.must(t, append([]string{"run", "--hostname", host,
			"--domainname", domain}, helper("names")...)...)
		equal(t, "names inside", got, host+" "+domain)
		equal(t, "default", p.must(t, "run", "uname", "-n"), "container")
		equal(t, "names outside", names(), before)
	})
}

// One process, two numbers. The program is PID 1 inside, the command is the
// next: PID 2, unless the program has threads. They have taken numbers, too.
func TestPIDInsideAndOutside(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		small := number(t, p.must(t, "run", "sh", "-c", "echo $$"))
		if p.name == "c" && small != 2 || small < 2 || small > 99 {
			t.Errorf("the command says it is PID %d, want 2, or a few more "+
				"if the program has threads", small)
		}
		r := p.start(t, "sleep", "1000")
		equal(t, "what the container printed", r.inside, 1)
		equal(t, "the parent's children", children(r.pid),
			[]int{r.container})
		equal(t, "both numbers of PID 1", status(r.container, "NSpid"),
			[]string{strconv.Itoa(r.container), "1"})
		command := onlyChild(t, r.container)
		got := status(command, "NSpid")
		equal(t, "the command's outer number", got[0], strconv.Itoa(command))
		equal(t, "how many numbers it has", len(got), 2)
		if p.name == "c" {
			equal(t, "the command's inner number", got[1], "2")
		}
	})
}

// onlyChild waits until a process has a child that is more than a copy of it:
// another program, or in other namespaces. Go makes and ends such a copy to
// find out what clone(2) can do.
func onlyChild(t *testing.T, pid int) (child int) {
	t.Helper()
	eventually(t, fmt.Sprint("a child of ", pid), func() bool {
		list := children(pid)
		if len(list) != 1 {
			return false
		}
		child = list[0]
		cmdline := fmt.Sprintf("/proc/%d/cmdline", child)
		return ns(child, "uts") != ns(pid, "uts") || read(cmdline) !=
			read(fmt.Sprintf("/proc/%d/cmdline", pid))
	})
	return child
}

// runs waits until a process has executed the program called name.
func runs(t *testing.T, pid int, name string) {
	t.Helper()
	eventually(t, name, func() bool {
		return read(fmt.Sprintf("/proc/%d/comm", pid)) == name+"\n"
	})
}

// A container in a container: every level sees its own and those below.
func TestNested(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		outer, inner := newName(), newName()
		args := append([]string{"--hostname", outer},
			p.argv("run", "--hostname", inner, "sleep", "1000")...)
		r := p.start(t, args...)
		second := onlyChild(t, r.container) // run, as the outer's command
		init := onlyChild(t, second)        // PID 1 of the inner one
		command := onlyChild(t, init)
		runs(t, command, "sleep")
		seen := status(init, "NSpid")
		equal(t, "numbers of the inner PID 1", []int{len(seen), init},
			[]int{3, number(t, seen[0])})
		equal(t, "the innermost number", seen[2], "1")
		got := status(command, "NSpid")
		says := fmt.Sprintf("Parent[%s] - the container is PID %s",
			status(second, "NSpid")[1], seen[1])
		eventually(t, "the inner run's "+says, func() bool {
			return strings.Contains(r.stderr(), says)
		})
		// kill -0 asks whether there is such a process.
		in := &running{container: init}
		exec1(p, t, r, "kill", "-0", seen[1])
		exec1(p, t, r, "kill", "-0", got[1])
		p.refuses1(t, "exec", strconv.Itoa(init), "kill", "-0", got[1])
		equal(t, "name of the outer", exec1(p, t, r, "uname", "-n"), outer)
		equal(t, "name of the inner", exec1(p, t, in, "uname", "-n"), inner)
		unix.Kill(r.container, unix.SIGKILL)
		equal(t, "exit status", r.wait(t), 128+9)
		gone(t)
	})
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	check(t, err)
	return n
}

// refuses1 is for a command that has to fail by itself.
func (p program) refuses1(t *testing.T, args ...string) {
	t.Helper()
	if _, stderr, status := p.run(t, args...); status != 1 {
		t.Errorf("%q: status %d, want 1; stderr:\n%s", args, status, stderr)
	}
}

// gone waits until all that this test has started is gone.
func gone(t *testing.T) {
	t.Helper()
	eventually(t, "the end of all processes", func() bool {
		return len(tagged(seen.tag)) == 0
	})
}

// zombies are the children of a process that it has not reaped.
func zombies(pid int) (pids []int) {
	for _, child := range processes() {
		if slices.Equal(status(child, "PPid"), []string{strconv.Itoa(pid)}) &&
			strings.Join(status(child, "State"), "") == "Z(zombie)" {
			pids = append(pids, child)
		}
	}
	return pids
}

// sleepers are the children of a process that have become sleep(1): between
// fork(2) and execve(2) a child looks like its parent.
func sleepers(pid int) (n int) {
	for _, child := range children(pid) {
		if read(fmt.Sprintf("/proc/%d/comm", child)) == "sleep\n" {
			n++
		}
	}
	return n
}

// leave100 is a command that leaves a hundred orphans behind.
const leave100 = `i=0
while [ $i -lt 100 ]; do (sleep 1000 &); i=$((i + 1)); done
exec sleep 999`

// Orphans become PID 1's children. It reaps them when they end.
func TestPID1ReapsOrphans(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "sh", "-c", leave100)
		eventually(t, "100 orphans", func() bool {
			return sleepers(r.container) == 101
		})
		killAllBut(t, r.container, "999")
		eventually(t, "the command to be alone", func() bool {
			return len(children(r.container))+len(zombies(r.container)) == 1
		})
		exec1(p, t, r, "true")
		equal(t, "the container's state", r.ended(), false)
	})
}

// killAllBut kills all children of pid but the one with this last argument.
func killAllBut(t *testing.T, pid int, last string) {
	t.Helper()
	for _, child := range children(pid) {
		cmdline := read(fmt.Sprintf("/proc/%d/cmdline", child))
		if !strings.HasSuffix(cmdline, "\x00"+last+"\x00") {
			check(t, unix.Kill(child, unix.SIGKILL))
		}
	}
}

// The other way: sleep as PID 1 does not reap. unshare leaves the duty to
// the command.
func TestWithoutReaperThereAreZombies(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.begin(t, "unshare", "-p", "sh", "-c", leave100)
		pid1 := onlyChild(t, r.pid)
		eventually(t, "100 orphans", func() bool {
			return len(children(pid1)) == 100
		})
		runs(t, pid1, "sleep")
		killAllBut(t, pid1, "")
		eventually(t, "100 zombies", func() bool {
			return len(zombies(pid1)) == 100
		})
		unix.Kill(pid1, unix.SIGKILL)
		equal(t, "exit status", r.wait(t), 128+9)
	})
}

// trap is a command that says which signal it got, and exits with 7.
func trap(name string) []string {
	return []string{"sh", "-c", "trap 'echo got " + name + "; exit 7' " + name +
		"; echo ready; while :; do sleep 0.05; done"}
}

func ready(t *testing.T, r *running) {
	t.Helper()
	eventually(t, "the command to be ready", func() bool {
		return strings.Contains(r.stdout(), "ready")
	})
}

var forwarded = map[string]unix.Signal{"HUP": unix.SIGHUP,
	"INT": unix.SIGINT, "QUIT": unix.SIGQUIT, "TERM": unix.SIGTERM,
	"USR1": unix.SIGUSR1, "USR2": unix.SIGUSR2}

// A signal to run, and one to PID 1 from inside or outside, get to the
// command. Without a handler the kernel drops what is sent to PID 1.
func TestSignalsAreForwarded(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		for name, number := range forwarded {
			for from, send := range map[string]func(r *running){
				"run":     func(r *running) { r.signal(number) },
				"outside": func(r *running) { unix.Kill(r.container, number) },
				"inside":  func(r *running) { killPID1(t, p, r, name) }} {
				r := p.start(t, trap(name)...)
				ready(t, r)
				send(r)
				equal(t, name+" from "+from+": status", r.wait(t), 7)
				equal(t, name+" from "+from, r.stdout(),
					"ready\ngot "+name+"\n")
			}
		}
	})
}

// killPID1 sends a signal to PID 1 from inside. Should the program have failed
// to isolate us, that one is the host's: hence we look first. The end of the
// container may overtake exec, so its status says nothing.
func killPID1(t *testing.T, p program, r *running, name string) {
	t.Helper()
	script := fmt.Sprintf(`[ "$(readlink /proc/self/ns/pid)" != '%s' ] &&
		echo isolated && kill -%s 1`, ns(us, "pid"), name)
	stdout, stderr, _ := p.run(t, "exec", strconv.Itoa(r.container), "sh", "-c",
		script)
	if stdout != "isolated\n" {
		t.Fatalf("exec is in our own PID namespace; stderr:\n%s", stderr)
	}
}

// A terminal sends ^C and ^\ to every process in front itself: forwarding
// would make them two.
func TestTerminalSignalsAreNotForwarded(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		p.stdin = terminal(t)
		r := p.start(t, "sh", "-c", `trap "echo INT" INT; trap "echo QUIT" QUIT
			trap "echo TERM; exit 7" TERM; trap "echo USR1" USR1
			echo ready; while :; do sleep 0.05; done`)
		ready(t, r)
		r.signal(unix.SIGINT)
		r.signal(unix.SIGQUIT)
		r.signal(unix.SIGUSR1)
		eventually(t, "USR1", func() bool {
			return strings.Contains(r.stdout(), "USR1")
		})
		r.signal(unix.SIGTERM)
		equal(t, "exit status", r.wait(t), 7)
		equal(t, "signals that arrived", r.stdout(), "ready\nUSR1\nTERM\n")
	})
}

// terminal is the slave of a new pseudoterminal: pts(4).
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	check(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	check(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n),
		os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	t.Cleanup(func() { slave.Close() })
	return slave
}

// Without a handler a signal ends the command, and so the container.
func TestSignalEndsContainer(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "sleep", "1000")
		onlyChild(t, r.container)
		r.signal(unix.SIGTERM)
		equal(t, "exit status", r.wait(t), 128+15)
	})
}

// When PID 1 dies, the kernel kills all that is in its namespace.
func TestDeathOfPID1KillsAll(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "sh", "-c", leave100)
		eventually(t, "100 orphans", func() bool {
			return sleepers(r.container) == 101
		})
		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "1000")
		runs(t, onlyChild(t, second.pid), "sleep")
		// From inside not even SIGKILL reaches PID 1.
		killPID1(t, p, r, "KILL")
		exec1(p, t, r, "true")
		check(t, unix.Kill(r.container, unix.SIGKILL))
		equal(t, "status of run", r.wait(t), 128+9)
		equal(t, "status of exec", second.wait(t), 128+9)
		gone(t)
	})
}

// The command's end is PID 1's end: what it left in the background goes too.
func TestEndOfCommandKillsBackground(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		_, _, status := p.run(t, "run", "sh", "-c", "sleep 1000 & exit 3")
		equal(t, "exit status", status, 3)
		gone(t)
	})
}

// Ctrl-C, or worse, to run: nothing stays behind.
func TestNothingOutlivesRun(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM,
			unix.SIGKILL} {
			p.dies(t, s, "sh", "-c", "sleep 1000 & exec sleep 999")
		}
	})
}

// Step 1's hole is closed, and the next is open: the host's process is still
// in sight, because /proc is the host's. Its number means nothing in here.
func TestHoleShowsHostProcesses(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		victim := exec.Command("sleep", "1000")
		check(t, victim.Start())
		defer victim.Wait()
		defer victim.Process.Kill()
		pid := strconv.Itoa(victim.Process.Pid)
		saw := p.must(t, "run", "cat", "/proc/"+pid+"/cmdline")
		equal(t, "what the container sees", saw, "sleep\x001000\x00")
		p.refuses1(t, "run", "sh", "-c", "kill -KILL "+pid)
		alive(t, victim.Process.Pid)
		equal(t, "the victim's state", status(victim.Process.Pid,
			"State")[0] != "Z", true)
		// From outside it can be killed: it existed, and was not immune.
		check(t, victim.Process.Kill())
	})
}

// setns(2) on a PID: a second process in all of the container's namespaces.
func TestExecJoins(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		name, before := newName(), names()
		r := p.start(t, "--hostname", name, "sleep", "1000")
		onlyChild(t, r.container)
		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
		child := onlyChild(t, second.pid)
		runs(t, child, "sleep")
		equal(t, "exec's command and the host", differ(t, us, child), isolated)
		equal(t, "exec's command and the container",
			len(differ(t, r.container, child)), 0)
		nspid := status(child, "NSpid")
		equal(t, "PIDs of exec's command", []string{nspid[0], nspid[1]},
			[]string{strconv.Itoa(child), nspid[len(nspid)-1]})
		// The container sees the newcomer by its number.
		exec1(p, t, r, "kill", "-0", nspid[1])
		equal(t, "name inside", exec1(p, t, r, "uname", "-n"), name)
		equal(t, "names outside", names(), before)

		second.signal(unix.SIGTERM)
		equal(t, "status of exec", second.wait(t), 128+15)
		equal(t, "run's end", r.ended(), false)
	})
}

// What exec has started belongs to the container: it goes on when exec is
// killed, and ends with PID 1.
func TestExecKilled(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "sleep", "1000")
		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
		child := onlyChild(t, second.pid)
		runs(t, child, "sleep")
		second.signal(unix.SIGKILL)
		second.wait(t)
		alive(t, child)
		r.signal(unix.SIGTERM)
		r.wait(t)
		gone(t)
	})
}

// A file is one namespace: the others stay the host's.
func TestExecFile(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "--hostname", newName(), "sleep", "1000")
		for _, kind := range []string{"uts", "ipc", "pid"} {
			file := fmt.Sprintf("/proc/%d/ns/%s", r.container, kind)
			second := p.begin(t, "exec", file, "sleep", "1000")
			child := onlyChild(t, second.pid)
			runs(t, child, "sleep")
			equal(t, kind, ns(child, kind), ns(r.container, kind))
			want := []string{kind}
			if kind == "pid" {
				want = []string{kind, "pid_for_children"}
			}
			equal(t, "apart from the host", differ(t, us, child), want)
			second.signal(unix.SIGTERM)
			second.wait(t)
		}
	})
}

// A file keeps a PID namespace, but without its PID 1 it is of no use.
func TestBoundPIDNamespaceIsDead(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		file := scratch(t, 0) + "/pid"
		check(t, os.WriteFile(file, nil, 0o600))
		p.refuses(t, 125, []string{file, "EINVAL"}, "exec", file, "true")
		r := p.start(t, "sleep", "1000")
		from := fmt.Sprintf("/proc/%d/ns/pid", r.container)
		check(t, unix.Mount(from, file, "", unix.MS_BIND, ""))
		t.Cleanup(func() { unix.Unmount(file, unix.MNT_DETACH) })
		p.must(t, "exec", file, "true")
		unix.Kill(r.container, unix.SIGKILL)
		r.wait(t)
		p.refuses(t, 126, []string{"ENOMEM"}, "exec", file, "true")
	})
}

// unshare(2): each option is one namespace; the command is PID 1 with -p.
func TestUnshare(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root")
		before := names()
		for option, want := range map[string][]string{"-u": {"uts"},
			"-i": {"ipc"}, "-p": {"pid", "pid_for_children"},
			"-uip": isolated} {
			r := p.begin(t, "unshare", option, "sleep", "1000")
			child := onlyChild(t, r.pid)
			runs(t, child, "sleep")
			equal(t, option, differ(t, us, child), want)
			check(t, unix.Kill(child, unix.SIGTERM)) // PID 1 ignores it
			unix.Kill(child, unix.SIGKILL)
			r.wait(t)
		}
		got := p.must(t, "unshare", "-p", "sh", "-c", "echo $$")
		equal(t, "$$ with -p", got, "1")
		p.must(t, "unshare", "-u", "sh", "-c", "hostname "+newName())
		equal(t, "names outside", names(), before)
	})
}

// Why unshare forks: a process keeps its PID. The first child is PID 1, and
// when that has ended, the kernel lets nobody be born in the namespace.
func TestUnshareWithoutFork(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root")
		// xargs forks, and unlike dash it says why it cannot.
		twice := []string{"sh", "-c",
			"/bin/true; exec xargs sh -c : </proc/uptime"}
		p.must(t, append([]string{"unshare", "-p"}, twice...)...)
		_, stderr, status := p.run(t, append([]string{"unshare", "-p",
			"--no-fork"}, twice...)...)
		if status == 0 || !strings.Contains(stderr, "Cannot allocate memory") {
			t.Errorf("second fork: status %d, stderr:\n%s\nwant a failure "+
				"and: Cannot allocate memory", status, stderr)
		}
		r := p.begin(t, "unshare", "-p", "--no-fork", "sh", "-c",
			"echo $$; exec sleep 1000")
		eventually(t, "the PID", func() bool { return r.stdout() != "" })
		equal(t, "PID", strings.TrimSpace(r.stdout()), strconv.Itoa(r.pid))
		equal(t, "apart from the host", differ(t, us, r.pid),
			[]string{"pid_for_children"})
	})
}

// unshare's child outlives it, unless --kill-child says otherwise.
func TestKillChild(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.begin(t, "unshare", "-p", "sleep", "1000")
		child := onlyChild(t, r.pid)
		runs(t, child, "sleep")
		r.signal(unix.SIGKILL)
		r.wait(t)
		alive(t, child)
		check(t, unix.Kill(child, unix.SIGKILL))

		for _, signal := range []string{"KILL", "SIGKILL"} {
			r = p.begin(t, "unshare", "-p", "--kill-child", signal, "sleep",
				"1000")
			runs(t, onlyChild(t, r.pid), "sleep")
			r.signal(unix.SIGKILL)
			r.wait(t)
			gone(t)
		}
		// Any signal will do: here one that PID 1 handles.
		for name := range forwarded {
			r = p.begin(t, append([]string{"unshare", "-p", "--kill-child",
				name}, trap(name)...)...)
			ready(t, r)
			r.signal(unix.SIGKILL)
			r.wait(t)
			gone(t)
			equal(t, "stdout", r.stdout(), "ready\ngot "+name+"\n")
		}
		p.refuses(t, 125, []string{"NONESUCH"}, "unshare", "--kill-child",
			"NONESUCH", "true")
	})
}

// Message queues of both kinds. The host's and the container's have the same
// name, and are two.
func TestMessageQueuesArePrivate(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		for _, kind := range []string{"sysv", "posix"} {
			n, err := rand.Int(rand.Reader, big.NewInt(1e8))
			check(t, err)
			key := fmt.Sprint(n.Int64() + 1)
			find := helper("find", kind, key)

			equal(t, kind+" at first", findQueue(kind, key), false)
			r := p.start(t, helper("queue", kind, key)...)
			eventually(t, "the queue inside", func() bool {
				return r.stdout() == "made\n"
			})
			equal(t, kind+" inside", exec1(p, t, r, find...), "true")
			equal(t, kind+" outside", findQueue(kind, key), false)
			got := p.must(t, append([]string{"run"}, find...)...)
			equal(t, kind+" in another container", got, "false")

			// And the reverse.
			check(t, makeQueue(kind, key+"1"))
			find = helper("find", kind, key+"1")
			equal(t, kind+" outside", findQueue(kind, key+"1"), true)
			equal(t, kind+" inside", exec1(p, t, r, find...), "false")
			got = p.must(t, append([]string{"unshare", "-u"}, find...)...)
			equal(t, kind+" with the host's IPC", got, "true")
			got = p.must(t, append([]string{"unshare", "-i"}, find...)...)
			equal(t, kind+" after unshare -i", got, "false")
			removeQueue(kind, key+"1")
			r.signal(unix.SIGKILL)
			r.wait(t)
		}
	})
}

// msgget(2) has a number for a name, mq_open(3) a word.
func queue(kind, key string, flags int) (int, error) {
	var id uintptr
	var errno unix.Errno
	if kind == "sysv" {
		n, _ := strconv.Atoi(key)
		id, _, errno = unix.Syscall(unix.SYS_MSGGET, uintptr(uint32(n)),
			uintptr(flags|0o600), 0)
	} else {
		name, _ := unix.BytePtrFromString("w" + key)
		if flags != 0 {
			flags = unix.O_CREAT | unix.O_EXCL
		}
		// struct mq_attr: room for one message of 16 bytes. All queues of a
		// user share RLIMIT_MSGQUEUE, in whatever namespace they are.
		attr := [8]int{1: 1, 2: 16}
		id, _, errno = unix.Syscall6(unix.SYS_MQ_OPEN,
			uintptr(unsafe.Pointer(name)), uintptr(flags|unix.O_RDWR), 0o600,
			uintptr(unsafe.Pointer(&attr)), 0, 0)
	}
	if errno != 0 {
		return -1, errno
	}
	return int(id), nil
}

// ipcCreate and ipcExclusive are in sys/ipc.h.
const ipcCreate, ipcExclusive = 0o1000, 0o2000

func makeQueue(kind, key string) error {
	id, err := queue(kind, key, ipcCreate|ipcExclusive)
	if err == nil && kind == "posix" {
		unix.Close(id)
	}
	return err
}

func findQueue(kind, key string) bool {
	id, err := queue(kind, key, 0)
	if err == nil && kind == "posix" {
		unix.Close(id)
	}
	return err == nil
}

func removeQueue(kind, key string) {
	if kind == "posix" {
		name, _ := unix.BytePtrFromString("w" + key)
		unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(name)), 0, 0)
	} else if id, err := queue(kind, key, 0); err == nil {
		unix.Syscall(unix.SYS_MSGCTL, uintptr(id), 0, 0) // 0 is IPC_RMID
	}
}

// The command's own status, 128+n, 126 and 127: what Docker does.
func TestExitStatus(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "sleep", "1000")
		pid := strconv.Itoa(r.container)
		for _, verb := range [][]string{{"run"}, {"exec", pid},
			{"exec", "/proc/" + pid + "/ns/pid"}, {"unshare"},
			{"unshare", "-u"}, {"unshare", "--no-fork"}} {
			exitStatus(t, p, verb)
		}
	})
}

func exitStatus(t *testing.T, p program, verb []string) {
	t.Helper()
	for script, want := range map[string]int{"exit 0": 0, "exit 1": 1,
		"exit 42": 42, "exit 255": 255, "kill -TERM $$": 128 + 15,
		"kill -KILL $$": 128 + 9} {
		_, stderr, got := p.run(t, append(verb, "sh", "-c", script)...)
		if got != want {
			t.Errorf("%q %s: status %d, want %d; stderr:\n%s", verb, script,
				got, want, stderr)
		}
	}
	p.refuses(t, 127, []string{"nonesuch"}, append(verb, "nonesuch")...)
	p.refuses(t, 127, []string{"/no/such", "ENOENT"},
		append(verb, "/no/such")...)
	text := scratch(t, 0) + "/text"
	check(t, os.WriteFile(text, []byte("#!/bin/sh\n"), 0o644))
	p.refuses(t, 126, []string{text, "EACCES"}, append(verb, text)...)
	p.refuses(t, 125, []string{"COMMAND"}, verb...)
}

// Each bad input is one line and 125, and leaves nothing.
func TestBadInput(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		p.refuses(t, 125, []string{"nonesuch"}, "run", "--nonesuch", "true")
		p.refuses(t, 125, nil, "run", "--hostname")
		p.refuses(t, 125, nil, "unshare", "-x", "true")
		p.refuses(t, 125, nil, "unshare", "--kill-child")
		p.refuses(t, 125, nil, "exec")
		p.refuses(t, 125, []string{"/no/such", "ENOENT"}, "exec", "/no/such",
			"true")
		p.refuses(t, 125, []string{"nonesuch"}, "exec", "nonesuch", "true")
		p.refuses(t, 125, []string{"99999999999999999999"}, "exec",
			"99999999999999999999", "true")
		if p.name == "go" { // in C each verb is a program
			p.refuses(t, 125, []string{"nonesuch"}, "nonesuch")
		}
		needs(t, "root")
		long := strings.Repeat("n", 65)
		p.refuses(t, 125, []string{"sethostname", long, "EINVAL"}, "run",
			"--hostname", long, "true")
		p.refuses(t, 125, []string{"setdomainname", long, "EINVAL"}, "run",
			"--domainname", long, "true")
	})
}

// A PID that nobody has any more, and one that is in no container.
func TestExecOfNoContainer(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		other := command(os.Getuid(), "sleep", "1000")
		check(t, other.Start())
		pid := strconv.Itoa(other.Process.Pid)
		p.refuses(t, 125, []string{pid, "container"}, "exec", pid, "true")
		check(t, other.Process.Kill())
		other.Wait()
		p.refuses(t, 125, []string{pid, "no such process"}, "exec", pid, "true")
	})
}

// An ordinary user may not do any of this: step 4 changes that.
func TestOrdinaryUserIsRefused(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		user := p.as(nobody)
		user.refuses(t, 125, []string{"clone", "EPERM", "root"}, "run", "true")
		for _, option := range []string{"-u", "-i", "-p"} {
			user.refuses(t, 125, []string{"unshare", "EPERM", "root"},
				"unshare", option, "true")
		}
		needs(t, "root")
		r := p.start(t, "sleep", "1000")
		pid := strconv.Itoa(r.container)
		user.refuses(t, 125, []string{pid, "EACCES"}, "exec", pid, "true")
		held, err := os.Open(fmt.Sprintf("/proc/%d/ns/pid", r.container))
		check(t, err)
		defer held.Close()
		// Whoever gets the file some other way may still not join.
		user.stdin = held
		user.refuses(t, 125, []string{"fd/0", "EPERM", "root"},
			"exec", "/proc/self/fd/0", "true")
		alive(t, r.container)
	})
}

// The program dies between clone(2) and prctl(2), by which the container asks
// to be told.
func TestOrphanEnds(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		p.orphan(t, "run", "sleep", "1000")
	})
}
