package network

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Rootless connects the network namespace of a process by a program that needs
// no privilege, for it speaks for the container as any of the user's programs:
// mode is pasta, slirp4netns, or empty for either. Disconnect ends it. dns is
// the address of a server that the container can ask.
func (s *Store) Rootless(container string, pid int, mode string,
	ports []Port) (e *Endpoint, dns string, err error) {
	if os.Geteuid() == 0 {
		return nil, "", fmt.Errorf("network %s is for ordinary users: root "+
			"has bridge", cmp.Or(mode, "pasta"))
	}
	program, err := lookRootless(mode)
	if err != nil {
		return nil, "", err
	}
	// The program opens the ports itself: that takes no privilege. What we
	// have opened only chose the numbers.
	ports, files, err := Open(ports)
	if err != nil {
		return nil, "", err
	}
	for _, f := range files {
		f.Close()
	}
	e = &Endpoint{Network: filepath.Base(program), Container: container,
		Link: "eth0", Sandbox: fmt.Sprintf("/proc/%d/ns/net", pid),
		Ports: ports}
	e.Inode = inode(e.Sandbox)
	var args []string
	if e.Network == "pasta" {
		dns = "169.254.1.1"
		args = pastaArgs(pid, dns, ports)
	} else {
		dns, e.IP = "10.0.2.3", netip.MustParseAddr("10.0.2.100")
		e.Gateway = netip.MustParseAddr("10.0.2.2")
		args = slirpArgs(pid)
	}
	dir := s.rootlessDir(container)
	if err = s.startRootless(dir, pid, program, args); err == nil &&
		e.Network != "pasta" {
		err = slirpPorts(dir, e)
	}
	if err != nil {
		err = errors.Join(err, s.endRootless(container))
	}
	return e, dns, err
}

func lookRootless(mode string) (string, error) {
	try := []string{"pasta", "slirp4netns"}
	if mode != "" {
		try = []string{mode}
	}
	for _, name := range try {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", fmt.Errorf("network: without root it takes a program that is "+
		"not installed: %s (apt install passt slirp4netns, dnf install passt "+
		"slirp4netns); --network none and host work without",
		strings.Join(try, " or "))
}

func pastaArgs(pid int, dns string, ports []Port) []string {
	args := []string{"--foreground", "--quiet", "--config-net", "--no-map-gw",
		"--ns-ifname", "eth0", "--dns-forward", dns}
	flag := map[string][]string{"tcp": {"-t"}, "udp": {"-u"}}
	for _, p := range ports {
		f := flag[p.Proto]
		if f == nil {
			f = []string{"-t"} // and pasta says that it has no sctp
		}
		spec := fmt.Sprintf("%d:%d", p.HostPort, p.Port)
		if !p.HostIP.IsUnspecified() {
			spec = p.HostIP.String() + "/" + spec
		}
		args = append(args, f[0], spec)
	}
	for _, f := range []string{"-t", "-u"} {
		if !strings.Contains(strings.Join(args, " "), " "+f+" ") {
			args = append(args, f, "none")
		}
	}
	return append(args, "-T", "none", "-U", "none", strconv.Itoa(pid))
}

func slirpArgs(pid int) []string {
	return []string{"--configure", "--mtu=65520", "--disable-host-loopback",
		"--api-socket=api", fmt.Sprintf("--userns-path=/proc/%d/ns/user", pid),
		"--netns-type=path", fmt.Sprintf("/proc/%d/ns/net", pid), "eth0"}
}

func (s *Store) rootlessDir(container string) string {
	return filepath.Join(s.Dir, "rootless", container)
}

// startRootless returns when the container has a default route.
func (s *Store) startRootless(dir string, pid int, program string,
	args []string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command(program, args...)
	c.Dir, c.Stdout, c.Stderr = dir, log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	record := fmt.Sprint(c.Process.Pid, " ", startTime(c.Process.Pid))
	err = os.WriteFile(filepath.Join(dir, "pid"), []byte(record), 0o600)
	routes := fmt.Sprintf("/proc/%d/net/route", pid)
	for range 1000 {
		if err != nil {
			break
		}
		text, _ := os.ReadFile(routes)
		if bytes.Contains(text, []byte("eth0\t00000000\t")) {
			return nil
		}
		select {
		case err = <-ended:
			if err == nil {
				err = errors.New("it ended at once")
			}
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err == nil {
		err = errors.New("no route after 5 seconds")
	}
	said, _ := os.ReadFile(log.Name())
	return fmt.Errorf("%s: %w: %s", filepath.Base(program), err,
		strings.Join(strings.Fields(string(said)), " "))
}

// slirpPorts asks slirp4netns to publish ports. The address of its socket is
// too long where the directory's name is.
func slirpPorts(dir string, e *Endpoint) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, p := range e.Ports {
		api := fmt.Sprintf("/proc/self/fd/%d/api", d.Fd())
		c, err := net.Dial("unix", api)
		for i := 0; err != nil && i < 200; i++ { // it comes after the route
			time.Sleep(5 * time.Millisecond)
			c, err = net.Dial("unix", api)
		}
		if err != nil {
			return fmt.Errorf("slirp4netns: %w", err)
		}
		defer c.Close()
		request := map[string]any{"execute": "add_hostfwd",
			"arguments": map[string]any{"proto": p.Proto,
				"host_addr": p.HostIP, "host_port": p.HostPort,
				"guest_addr": e.IP, "guest_port": p.Port}}
		var answer struct{ Error struct{ Desc string } }
		c.SetDeadline(time.Now().Add(5 * time.Second))
		err = json.NewEncoder(c).Encode(request)
		if err == nil {
			c.(*net.UnixConn).CloseWrite()
			err = json.NewDecoder(c).Decode(&answer)
		}
		if err == nil && answer.Error.Desc != "" {
			err = errors.New(answer.Error.Desc)
		}
		if err != nil {
			return fmt.Errorf("slirp4netns: publish %s: %w", p, err)
		}
	}
	return nil
}

// startTime is field 22 of proc_pid_stat(5): with it, a PID means one process.
func startTime(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	words := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(words) < 20 {
		return ""
	}
	return words[19]
}

// endRootless ends a container's program, if there is one.
func (s *Store) endRootless(container string) error {
	dir := s.rootlessDir(container)
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err == nil {
		first, start, _ := strings.Cut(string(text), " ")
		pid, _ := strconv.Atoi(first)
		if pid > 1 && start != "" && start == startTime(pid) {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	return os.RemoveAll(dir)
}

func (s *Store) sweepRootless(alive func(string) bool) (err error) {
	list, _ := os.ReadDir(filepath.Join(s.Dir, "rootless"))
	for _, d := range list {
		if !alive(d.Name()) {
			err = errors.Join(err, s.endRootless(d.Name()))
		}
	}
	return err
}
