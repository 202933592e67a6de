package network

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pasta and slirp4netns speak for a container that has no root on the host,
// whoever asks them to.
func TestRootless(t *testing.T) {
	for _, program := range []string{"pasta", "slirp4netns"} {
		t.Run(program, func(t *testing.T) {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("needs %s: apt install passt slirp4netns", program)
			}
			s := newStage(t)
			s.outside()
			s.ok(defaultVia("198.51.100.2"))
			tun(s)
			_, _, err := s.Rootless("x", os.Getpid(), program, nil)
			s.refused(err, "for ordinary users")
			c := exec.Command(forAll(s), "-test.run=TestAsUser",
				"-test.timeout=20s")
			c.Env = append(os.Environ(), "ROOTLESS="+program)
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.
				Credential{Uid: 65534, Gid: 65534}}
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// tun gives this stage a /dev/net/tun that everyone may open, as it is on most
// machines.
func tun(s *stage) {
	s.ok(unix.Unshare(unix.CLONE_NEWNS))
	s.ok(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	file := filepath.Join(s.Dir, "tun")
	s.ok(unix.Mknod(file, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))))
	s.ok(os.Chmod(file, 0o666))
	s.ok(unix.Mount(file, "/dev/net/tun", "", unix.MS_BIND, ""))
}

// forAll is our program where everyone may run it.
func forAll(s *stage) string {
	s.ok(os.Chmod(filepath.Dir(s.Dir), 0o755))
	s.ok(os.Chmod(s.Dir, 0o755))
	file := filepath.Join(s.Dir, "network.test")
	text, err := os.ReadFile("/proc/self/exe")
	s.ok(err)
	s.ok(os.WriteFile(file, text, 0o755))
	return file
}

func TestAsUser(t *testing.T) {
	program := os.Getenv("ROOTLESS")
	if program == "" {
		return // TestRootless runs it
	}
	(&stage{T: t, Store: &Store{Dir: t.TempDir()}}).rootless(program)
}

func (s *stage) rootless(program string) {
	c := exec.Command("sleep", "1000")
	own := []syscall.SysProcIDMap{{HostID: 65534, Size: 1}}
	c.SysProcAttr = &syscall.SysProcAttr{UidMappings: own, GidMappings: own,
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		Pdeathsig:  unix.SIGKILL}
	s.ok(c.Start())
	defer func() { c.Process.Kill(); c.Wait() }()
	ports, err := ParsePorts("8080:80")
	s.ok(err)
	udp, err := ParsePorts("127.0.0.1:8080:80/udp")
	s.ok(err)
	e, dns, err := s.Rootless("abc", c.Process.Pid, program,
		append(ports, udp...))
	s.ok(err)
	n, err := s.Get(program)
	s.ok(err)
	s.equal("as the list has it", n.Endpoints[0].Ports[0],
		"0.0.0.0:8080->80/tcp")
	s.equal("endpoint", []any{e.Link, dns != ""}, []any{"eth0", true})
	// A server inside, and a question from there.
	inside := func(args ...string) *exec.Cmd {
		return exec.Command("nsenter", append([]string{"-U", "-n",
			"--preserve-credentials", "-t", fmt.Sprint(c.Process.Pid),
			"busybox"}, args...)...)
	}
	out, _ := inside("timeout", "3", "nc", "198.51.100.2", "7").Output()
	s.equal("to the world", strings.HasPrefix(string(out),
		"outside 198.51.100.1"), true)
	server := inside("nc", "-ll", "-p", "80", "-e", "echo", "web")
	s.ok(server.Start())
	defer func() { server.Process.Kill(); server.Wait() }()
	s.eventually("a published port", func() bool {
		return ask(s.ns, "tcp", "127.0.0.1:8080") == "web\n"
	})
	if serverUDP := inside("nc", "-u", "-l", "-p", "80", "-e", "echo",
		"web"); serverUDP.Start() == nil {
		defer func() { serverUDP.Process.Kill(); serverUDP.Wait() }()
	}
	s.ok(s.Sweep(func(string) bool { return true }))
	s.ok(s.Disconnect("abc", ""))
	time.Sleep(100 * time.Millisecond)
	s.equal("afterwards", ask(s.ns, "tcp", "127.0.0.1:8080"), "ECONNREFUSED")
	_, err = os.Stat(s.rootlessDir("abc"))
	s.equal("left", os.IsNotExist(err), true)
	_, _, err = s.Rootless("abc", 1<<30, program, nil)
	s.refused(err, program)
}
