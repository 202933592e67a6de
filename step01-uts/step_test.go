package main_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The C programs do all that this step does.
var inC = []string{"run", "exec", "unshare"}

func init() {
	// names [HOST DOMAIN] changes the names if asked to, and prints them.
	helpers["names"] = func(args []string) {
		if len(args) == 2 {
			fatal(unix.Sethostname([]byte(args[0])))
			fatal(unix.Setdomainname([]byte(args[1])))
		}
		fmt.Println(strings.Join(names(), " "))
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

// First without a flag: clone(2) makes a process, and nothing else is new.
// Only the C program can show it: Go's run would be like any exec.Command.
func TestPlainChildSharesAllNamespaces(t *testing.T) {
	with(t, "c", func(t *testing.T, p program) {
		r := p.start(t, "--plain", "sleep", "1000")
		equal(t, "namespaces that differ", len(differ(t, us, r.container)), 0)
		got := p.must(t, append([]string{"run", "--plain"},
			helper("names")...)...)
		equal(t, "names inside", got, strings.Join(names(), " "))
	})
}

// A container needs root, a mere process does not.
func TestPlainNeedsNoRoot(t *testing.T) {
	with(t, "c", func(t *testing.T, p program) {
		got := p.as(nobody).must(t, "run", "--plain", "id", "-u")
		equal(t, "user inside", got, strconv.Itoa(nobody))
	})
}

// One flag, one difference. The host's side is the same before and after.
func TestOnlyUTSDiffers(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		before := ns(us, "uts")
		r := p.start(t, "sleep", "1000")
		equal(t, "inside", differ(t, us, r.container), []string{"uts"})
		equal(t, "the parent", len(differ(t, us, r.pid)), 0)
		equal(t, "host before and inside", ns(us, "uts"), before)
		unix.Kill(r.container, unix.SIGKILL)
		equal(t, "exit status", r.wait(t), 128+9)
		equal(t, "container after", ns(r.container, "uts"), "")
		equal(t, "host before and after", ns(us, "uts"), before)
	})
}

// What run prints is true: the PIDs are those of parent and child.
func TestLines(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "sleep", "1000")
		equal(t, "children", children(r.pid), []int{r.container})
		equal(t, "PID inside and outside", r.inside, r.container)
		unix.Kill(r.container, unix.SIGTERM)
		equal(t, "exit status", r.wait(t), 128+15)
		lines := strings.Split(r.stderr(), "\n")
		slices.Sort(lines[1:3]) // these two may come in either order
		equal(t, "stderr", lines, []string{
			fmt.Sprintf("Parent[%d] - create a container!", r.pid),
			fmt.Sprintf("Container[%d] - inside the container!", r.inside),
			fmt.Sprintf("Parent[%d] - the container is PID %d", r.pid,
				r.container),
			fmt.Sprintf("Parent[%d] - container exited!", r.pid), ""})
	})
}

// stdin and stdout belong to the command alone.
func TestStandardStreams(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		in, out, err := os.Pipe()
		check(t, err)
		word := newName()
		fmt.Fprintln(out, word)
		out.Close()
		p.stdin = in
		equal(t, "output of cat", p.must(t, "run", "cat"), word)
		in.Close()
	})
}

func TestHostname(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		before, name := names(), newName()
		if before[0] == "container" {
			t.Fatal("the host must not have the default name")
		}
		equal(t, "default", p.must(t, "run", "uname", "-n"), "container")
		got := p.must(t, "run", "--hostname", name, "uname", "-n")
		equal(t, "name inside", got, name)
		equal(t, "names outside", names(), before)
	})
}

func TestDomainname(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		before, host, domain := names(), newName(), newName()
		got := p.must(t, append([]string{"run", "--hostname", host,
			"--domainname", domain}, helper("names")...)...)
		equal(t, "names inside", got, host+" "+domain)
		got = p.must(t, append([]string{"run", "--hostname", host},
			helper("names")...)...)
		equal(t, "domain that nobody set", got,
			strings.TrimSpace(host+" "+before[1]))
		equal(t, "names outside", names(), before)
	})
}

// The kernel takes 64 characters: sethostname(2).
func TestNamesAreAtMost64Characters(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		name := strings.Repeat("n", 64)
		got := p.must(t, "run", "--hostname", name, "uname", "-n")
		equal(t, "name inside", got, name)
		p.refuses(t, 125, []string{"sethostname", name + "n", "EINVAL"},
			"run", "--hostname", name+"n", "true")
		p.refuses(t, 125, []string{"setdomainname", name + "n", "EINVAL"},
			"run", "--domainname", name+"n", "true")
	})
}

// The names are two from then on: neither side sees the other's change.
func TestChangesStayOnTheirSide(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		before := names()
		r := p.start(t, "--hostname", newName(), "sleep", "1000")
		host, domain := newName(), newName()
		changed := exec1(p, t, r, helper("names", host, domain)...)
		equal(t, "change inside", changed, host+" "+domain)
		equal(t, "host", names(), before)

		check(t, unix.Sethostname([]byte(newName())))
		equal(t, "container after a change outside",
			exec1(p, t, r, "uname", "-n"), host)
		check(t, unix.Sethostname([]byte(before[0])))
	})
}

// exec1 runs a command in a running container.
func exec1(p program, t *testing.T, r *running, args ...string) string {
	t.Helper()
	pid := strconv.Itoa(r.container)
	return p.must(t, append([]string{"exec", pid}, args...)...)
}

// setns(2): a second process in the container, by its PID and by its file.
func TestExecJoins(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		name, before := newName(), names()
		r := p.start(t, "--hostname", name, "sleep", "1000")
		eventually(t, "the name inside", func() bool {
			return exec1(p, t, r, "uname", "-n") == name
		})
		file := fmt.Sprintf("/proc/%d/ns/uts", r.container)
		equal(t, "by file", p.must(t, "exec", file, "uname", "-n"), name)

		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
		eventually(t, "exec to join", func() bool {
			return ns(second.pid, "uts") == ns(r.container, "uts")
		})
		equal(t, "exec's process and ours", differ(t, us, second.pid),
			[]string{"uts"})
		equal(t, "exec's process and the container's",
			len(differ(t, r.container, second.pid)), 0)
		equal(t, "names outside", names(), before)
	})
}

// A namespace ends with its last process, unless a file holds it.
func TestBindMountKeepsNamespace(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		name, file := newName(), scratch(t, 0)+"/uts"
		check(t, os.WriteFile(file, nil, 0o600))
		words := []string{file, "EINVAL"}
		p.refuses(t, 125, words, "exec", file, "true")

		r := p.start(t, "--hostname", name, "sleep", "1000")
		id := ns(r.container, "uts")
		from := fmt.Sprintf("/proc/%d/ns/uts", r.container)
		eventually(t, "the name inside", func() bool {
			return exec1(p, t, r, "uname", "-n") == name
		})
		check(t, unix.Mount(from, file, "", unix.MS_BIND, ""))
		mounted := true
		t.Cleanup(func() {
			if mounted {
				unix.Unmount(file, unix.MNT_DETACH)
			}
		})
		unix.Kill(r.container, unix.SIGKILL)
		r.wait(t)
		equal(t, "processes that are left", len(tagged(seen.tag)), 0)

		equal(t, "by file", p.must(t, "exec", file, "uname", "-n"), name)
		got := p.must(t, "exec", file, "readlink", "/proc/self/ns/uts")
		equal(t, "the namespace", got, id)
		check(t, unix.Unmount(file, 0))
		mounted = false
		p.refuses(t, 125, words, "exec", file, "true")
	})
}

// unshare(2): the process itself leaves. The names are copies at first.
func TestUnshare(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root")
		before, host, domain := names(), newName(), newName()
		r := p.begin(t, "unshare", "-u", "sleep", "1000")
		eventually(t, "unshare to leave", func() bool {
			return ns(r.pid, "uts") != ns(us, "uts")
		})
		equal(t, "inside", differ(t, us, r.pid), []string{"uts"})

		u := []string{"unshare", "-u"}
		equal(t, "names at first", p.must(t, append(u, helper("names")...)...),
			strings.TrimSpace(strings.Join(before, " ")))
		got := p.must(t, append(u, helper("names", host, domain)...)...)
		equal(t, "names inside", got, host+" "+domain)
		equal(t, "names outside", names(), before)

		got = p.must(t, "unshare", "readlink", "/proc/self/ns/uts")
		equal(t, "without -u", got, ns(us, "uts"))
	})
}

// Containers in a container: each has its own name.
func TestNested(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		before, outer, inner := names(), newName(), newName()
		args := append([]string{"run", "--hostname", outer},
			p.argv("run", "--hostname", inner, "uname", "-n")...)
		equal(t, "inner name", p.must(t, args...), inner)
		equal(t, "names outside", names(), before)
	})
}

// The hole: the container sees the host's processes, and can kill them.
func TestHoleKillsHostProcess(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		victim := exec.Command("sleep", "1000")
		victim.Env = []string{"WORKSHOP_TEST=" + seen.tag}
		check(t, victim.Start())
		t.Cleanup(func() { victim.Process.Kill() })
		alive(t, victim.Process.Pid)
		pid := strconv.Itoa(victim.Process.Pid)
		saw := p.must(t, "run", "cat", "/proc/"+pid+"/cmdline")
		equal(t, "what the container sees", saw, "sleep\x001000\x00")
		p.must(t, "run", "sh", "-c", "kill -KILL "+pid)
		victim.Wait()
		equal(t, "the victim's end", victim.ProcessState.String(),
			"signal: killed")
	})
}

// The command's own status, 128+n, 126 and 127: what Docker does.
func TestExitStatus(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "sleep", "1000")
		pid := strconv.Itoa(r.container)
		for _, verb := range [][]string{{"run"}, {"exec", pid}, {"unshare"},
			{"unshare", "-u"}} {
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
		p.refuses(t, 125, []string{}, "run", "--hostname")
		p.refuses(t, 125, []string{}, "unshare", "-x", "true")
		p.refuses(t, 125, []string{}, "exec")
		p.refuses(t, 125, []string{"/no/such", "ENOENT"}, "exec", "/no/such",
			"true")
		p.refuses(t, 125, []string{"nonesuch"}, "exec", "nonesuch", "true")
		if p.name == "go" { // in C each verb is a program
			p.refuses(t, 125, []string{"nonesuch"}, "nonesuch")
			p.refuses(t, 125, []string{}, "--nonesuch")
		}
	})
}

// A PID that nobody has any more.
func TestExecOfDeadProcess(t *testing.T) {
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root")
		r := p.start(t, "sleep", "1000")
		exec1(p, t, r, "true")
		unix.Kill(r.container, unix.SIGKILL)
		r.wait(t)
		pid := strconv.Itoa(r.container)
		p.refuses(t, 125, []string{pid, "ENOENT"}, "exec", pid, "true")
	})
}

// An ordinary user may not do any of this: step 4 changes that.
func TestOrdinaryUserIsRefused(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		user := p.as(nobody)
		user.refuses(t, 125, []string{"clone", "EPERM", "root"}, "run", "true")
		user.refuses(t, 125, []string{"unshare", "EPERM", "root"},
			"unshare", "-u", "true")
		needs(t, "root")
		r := p.start(t, "sleep", "1000")
		pid := strconv.Itoa(r.container)
		user.refuses(t, 125, []string{pid, "EACCES"}, "exec", pid, "true")
		held, err := os.Open(fmt.Sprintf("/proc/%d/ns/uts", r.container))
		check(t, err)
		defer held.Close()
		// Whoever gets the file some other way may still not join.
		user.stdin = held
		user.refuses(t, 125, []string{"fd/0", "EPERM", "root"},
			"exec", "/proc/self/fd/0", "true")
	})
}

// Ctrl-C, or worse, to run: nothing stays behind.
func TestNothingOutlivesRun(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		for _, s := range []unix.Signal{unix.SIGINT, unix.SIGTERM,
			unix.SIGKILL} {
			p.dies(t, s, "sleep", "1000")
		}
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
