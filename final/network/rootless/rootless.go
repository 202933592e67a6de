// Package rootless connects a container without privilege: by a program that
// speaks for it as any of the user's programs, pasta or slirp4netns.
package rootless

import (
	"bytes"
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

	"container-workshop/final/network/names"
	"golang.org/x/sys/unix"
)

// Start connects the network namespace of a process: mode is pasta,
// slirp4netns, or empty for either. The program opens the ports itself. Its
// files are in dir, which has the container's ID for a name, until End. dns is
// the address of a server that the container can ask.
func Start(dir string, pid int, mode string, ports []names.Port) (
	e *names.Endpoint, dns string, err error) {
	program, err := look(mode)
	if err != nil {
		return nil, "", err
	}
	const tun = "/dev/net/tun" // that is how they make the container's link
	if err := unix.Access(tun, unix.R_OK|unix.W_OK); err != nil {
		return nil, "", fmt.Errorf("open %s: %w: let root modprobe tun and "+
			"chmod 666 %s", tun, err, tun)
	}
	e = &names.Endpoint{Network: filepath.Base(program), Link: "eth0",
		Container: filepath.Base(dir),
		Sandbox:   fmt.Sprintf("/proc/%d/ns/net", pid), Ports: ports}
	if dns = "169.254.1.1"; e.Network == "pasta" {
		err = start(dir, pid, program, pastaArgs(pid, dns, ports))
	} else {
		dns, e.IP = "10.0.2.3", netip.MustParseAddr("10.0.2.100")
		e.Gateway = netip.MustParseAddr("10.0.2.2")
		err = start(dir, pid, program, []string{"--configure", "--mtu=65520",
			"--disable-host-loopback", "--api-socket=api",
			fmt.Sprintf("--userns-path=/proc/%d/ns/user", pid),
			"--netns-type=path", e.Sandbox, "eth0"})
		for _, p := range ports {
			if err == nil {
				err = slirpPort(dir, e.IP, p)
			}
		}
	}
	if err == nil {
		text, _ := json.Marshal(e)
		err = os.WriteFile(dir+"/endpoint", text, 0o600)
	}
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("network %s: %w", e.Network,
			err), End(dir))
	}
	return e, dns, nil
}

// List returns the endpoints that were started below a directory.
func List(dir string) (all []*names.Endpoint) {
	files, _ := filepath.Glob(dir + "/*/endpoint")
	for _, file := range files {
		e := &names.Endpoint{}
		text, err := os.ReadFile(file)
		if err == nil && json.Unmarshal(text, e) == nil && e.Network != "" {
			all = append(all, e)
		}
	}
	return all
}

func look(mode string) (string, error) {
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

func pastaArgs(pid int, dns string, ports []names.Port) []string {
	args := []string{"--foreground", "--quiet", "--config-net", "--no-map-gw",
		"--ns-ifname", "eth0", "--dns-forward", dns, "-T", "none", "-U", "none"}
	none := map[string]bool{"-t": true, "-u": true}
	for _, p := range ports {
		flag := "-" + p.Proto[:1] // sctp becomes -s: pasta says what it is
		delete(none, flag)
		args = append(args, flag, fmt.Sprintf("%s/%d:%d", p.HostIP, p.HostPort,
			p.Port))
	}
	for flag := range none {
		args = append(args, flag, "none")
	}
	return append(args, strconv.Itoa(pid))
}

// start returns when the container has a default route.
func start(dir string, pid int, program string, args []string) error {
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
	for range 1000 {
		routes, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/route", pid))
		if bytes.Contains(routes, []byte("eth0\t00000000\t")) || err != nil {
			return err
		}
		select {
		case err = <-ended:
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%v: %s", err,
				strings.Join(strings.Fields(string(said)), " "))
		case <-time.After(5 * time.Millisecond):
		}
	}
	return errors.New("no route after 5 seconds")
}

// slirpPort asks slirp4netns to publish a port. Its socket comes a moment after
// the route; as an address, the directory's name may be too long.
func slirpPort(dir string, ip netip.Addr, p names.Port) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	api := fmt.Sprintf("/proc/self/fd/%d/api", d.Fd())
	c, err := net.Dial("unix", api)
	for i := 0; err != nil && i < 200; i++ {
		time.Sleep(5 * time.Millisecond)
		c, err = net.Dial("unix", api)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, `{"execute": "add_hostfwd", "arguments": {"proto": "%s", `+
		`"host_addr": "%s", "host_port": %d, "guest_addr": "%s", `+
		`"guest_port": %d}}`, p.Proto, p.HostIP, p.HostPort, ip, p.Port)
	c.(*net.UnixConn).CloseWrite()
	var answer struct{ Error struct{ Desc string } }
	err = json.NewDecoder(c).Decode(&answer)
	if err == nil && answer.Error.Desc != "" {
		err = fmt.Errorf("publish %s: %s", p, answer.Error.Desc)
	}
	return err
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

// End ends the program that Start started, if it is there.
func End(dir string) error {
	text, _ := os.ReadFile(filepath.Join(dir, "pid"))
	first, start, _ := strings.Cut(string(text), " ")
	pid, _ := strconv.Atoi(first)
	if pid > 1 && start != "" && start == startTime(pid) {
		unix.Kill(pid, unix.SIGKILL)
	}
	return os.RemoveAll(dir)
}
