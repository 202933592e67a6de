package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"container-workshop/final/terminal"
)

// The scripts in testdata drive the program itself, by the name minidocker: the
// one that $MINIDOCKER names, or one built for them. Each has directories and a
// network namespace of its own; when it has ended, nothing may be left.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"as": runAs, "pty": runTerminal})
}

// runAs is `as UID COMMAND...`, for the scripts of an ordinary user.
func runAs() {
	id, _ := strconv.Atoi(os.Args[1])
	path, err := exec.LookPath(os.Args[2])
	for _, bad := range []error{unix.Setgroups(nil), unix.Setgid(id),
		unix.Setuid(id)} {
		err = errors.Join(err, bad)
	}
	if err == nil {
		err = unix.Exec(path, os.Args[2:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "as:", err)
	os.Exit(99)
}

func TestScripts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("these scripts need root: sudo make test-final")
	}
	program := build(t)
	rootfs := os.Getenv("ROOTFS")
	if rootfs == "" {
		rootfs, _ = filepath.Abs("../rootfs")
	}
	if _, err := os.Stat(rootfs + "/bin/busybox"); err != nil {
		t.Fatal("no root file system: make rootfs")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true,
		UpdateScripts: os.Getenv("UPDATE") != "",
		Condition:     condition,
		Setup: func(env *testscript.Env) error {
			return setUp(env, program, rootfs)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"until": until, "nothing": nothing},
	})
}

func build(t *testing.T) string {
	if program := os.Getenv("MINIDOCKER"); program != "" {
		return program
	}
	program := filepath.Join(t.TempDir(), "minidocker")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags",
		"urfave_cli_no_docs", "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	os.Chmod(filepath.Dir(filepath.Dir(program)), 0o755)
	os.Chmod(filepath.Dir(program), 0o755)
	return program
}

// setUp gives the script's thread a network namespace, which all that it starts
// inherits. The thread ends with the script.
func setUp(env *testscript.Env, program, rootfs string) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
		return fmt.Errorf("ip link set lo up: %w", err)
	}
	for dir := env.WorkDir; dir != os.TempDir() && dir != "/"; {
		os.Chmod(dir, 0o777) // the user of rootless.txtar goes there
		dir = filepath.Dir(dir)
	}
	// By that name package start takes over, which is in this test as well.
	err := os.MkdirAll(env.WorkDir+"/.bin", 0o755)
	if err == nil {
		err = os.Symlink(program, env.WorkDir+"/.bin/minidocker")
	}
	if err != nil {
		return err
	}
	env.Setenv("MINIDOCKER", program)
	env.Setenv("ROOTFS", rootfs)
	env.Setenv("MINIDOCKER_ROOT", env.WorkDir+"/root")
	env.Setenv("MINIDOCKER_STATE", env.WorkDir+"/state")
	env.Setenv("PATH", env.WorkDir+"/.bin:"+
		env.Getenv("PATH")+":/usr/sbin:/sbin:/bin")
	env.Defer(func() {
		for range 2 {
			cmd := exec.Command("sh", "-c", `$MINIDOCKER ps -aq |
				xargs -r $MINIDOCKER rm -f; $MINIDOCKER system prune -af`)
			cmd.Env = env.Vars
			cmd.Run()
		}
		if left := leftovers(env.WorkDir); left != "" {
			env.T().Log("LEFT BEHIND:\n" + left)
			env.T().FailNow()
		}
	})
	return nil
}

// condition knows what a script may need: [cgroup2], [gnu].
func condition(name string) (bool, error) {
	switch name {
	case "gnu": // programs of more than busybox
		out, err := exec.Command("tar", "--version").Output()
		_, missing := exec.LookPath("dpkg-deb")
		return err == nil && missing == nil &&
			strings.Contains(string(out), "GNU"), nil
	case "cgroup2":
		_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
		return err == nil, nil
	}
	return false, fmt.Errorf("no condition %s", name)
}

// until runs a command again and again until it succeeds, for forty seconds:
// until exec COMMAND..., then stdout and stderr are those of the last one.
func until(ts *testscript.TestScript, neg bool, args []string) {
	var err error
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); {
		err = ts.Exec("sh", "-c", strings.Join(args, " "))
		if (err != nil) == neg {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("until %v: %v", args, err)
}

// nothing is left: processes, mounts, cgroups, links. A bridge may stay for the
// next container; after prune, at the end, that has gone, too.
func nothing(ts *testscript.TestScript, neg bool, args []string) {
	if left := leftovers(ts.Getenv("WORK"), "minidocker0", "br-"); left != "" {
		ts.Fatalf("left behind:\n%s", left)
	}
}

func leftovers(work string, bridges ...string) string {
	var left []string
	for end := time.Now().Add(10 * time.Second); ; {
		left = leftNow(work, bridges)
		if len(left) == 0 || time.Now().After(end) {
			return strings.Join(left, "\n")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func leftNow(work string, bridges []string) (left []string) {
	environ, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environ {
		pid := strings.Split(file, "/")[2]
		data, _ := os.ReadFile(file)
		line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		if pid != strconv.Itoa(os.Getpid()) && strings.Contains(string(data),
			"MINIDOCKER_ROOT="+work) {
			left = append(left, "process "+pid+" "+
				strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	for _, file := range []string{"/proc/self/mountinfo"} {
		data, _ := os.ReadFile(file)
		for line := range strings.Lines(string(data)) {
			if strings.Contains(line, work) {
				left = append(left, "mount "+line)
			}
		}
	}
	for _, id := range created(work) {
		for _, pattern := range []string{"/sys/fs/cgroup/*/*",
			"/sys/fs/cgroup/*"} {
			found, _ := filepath.Glob(pattern + id)
			left = append(left, found...)
		}
	}
	links, _ := filepath.Glob("/proc/thread-self/net/dev")
	for _, file := range links {
		data, _ := os.ReadFile(file)
		for line := range strings.Lines(string(data)) {
			name, _, is := strings.Cut(strings.TrimSpace(line), ":")
			may := slices.ContainsFunc(bridges, func(bridge string) bool {
				return strings.HasPrefix(name, bridge)
			})
			if is && name != "lo" && !may {
				left = append(left, "link "+name)
			}
		}
	}
	return left
}

// created are the IDs of all containers that the script has made.
func created(work string) (ids []string) {
	f, err := os.Open(work + "/state/events")
	if err != nil {
		return nil
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var event struct {
			Type, Action string
			Actor        struct{ ID string }
		}
		if d.Decode(&event) != nil {
			return ids
		}
		if event.Type == "container" && event.Action == "create" {
			ids = append(ids, event.Actor.ID)
		}
	}
}

// runTerminal is `pty FILE COMMAND...`: it runs the command on a terminal of 80
// columns and 24 rows and acts as the lines of the file say: expect TEXT, send
// TEXT (in Go's notation), size COLUMNS ROWS, signal N, wait. What the terminal
// shows is on stdout, and at the end whether the terminal is raw.
func runTerminal() {
	script, err := os.ReadFile(os.Args[1])
	check(err)
	master, slave, err := terminal.New()
	check(err)
	check(terminal.Resize(master, 80, 24))
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(cmd.Start())
	shown := make(chan []byte, 100)
	go func() {
		for {
			buf := make([]byte, 4096)
			n, err := master.Read(buf)
			if err != nil {
				close(shown)
				return
			}
			shown <- buf[:n]
		}
	}()
	play(string(script), master, cmd.Process, shown)
	cmd.Wait()
	io.WriteString(os.Stdout, "\nexit status "+
		strconv.Itoa(cmd.ProcessState.ExitCode())+"\n")
	t, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	check(err)
	fmt.Println("raw:", t.Lflag&unix.ICANON == 0)
}

func play(script string, master *os.File, p *os.Process, shown chan []byte) {
	seen := ""
	for line := range strings.Lines(script) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "expect":
			limit := time.After(40 * time.Second)
			for !strings.Contains(seen, rest) {
				select {
				case data, ok := <-shown:
					os.Stdout.Write(data)
					seen += string(data)
					if !ok {
						check(fmt.Errorf("ended before %q", rest))
					}
				case <-limit:
					p.Kill()
					check(fmt.Errorf("no %q", rest))
				}
			}
			_, seen, _ = strings.Cut(seen, rest)
		case "send":
			text, err := strconv.Unquote(`"` + rest + `"`)
			check(err)
			master.WriteString(text)
		case "size":
			var w, h uint16
			fmt.Sscan(rest, &w, &h)
			check(terminal.Resize(master, w, h))
		case "signal":
			n, _ := strconv.Atoi(rest)
			p.Signal(syscall.Signal(n))
		case "sleep":
			d, err := time.ParseDuration(rest)
			check(err)
			time.Sleep(d)
		}
	}
	go func() {
		for data := range shown {
			os.Stdout.Write(data)
		}
	}()
}

func check(err error) {
	if err != nil {
		fmt.Println("pty:", err)
		os.Exit(99)
	}
}
