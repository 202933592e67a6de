package network

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"container-workshop/final/network/nat"
)

func TestParsePorts(t *testing.T) {
	for text, want := range map[string]string{
		"80":                "0.0.0.0:0->80/tcp",
		"80/udp":            "0.0.0.0:0->80/udp",
		"8080:80":           "0.0.0.0:8080->80/tcp",
		"8080:80/UDP":       "0.0.0.0:8080->80/udp",
		"53:53/sctp":        "0.0.0.0:53->53/sctp",
		"127.0.0.1:8080:80": "127.0.0.1:8080->80/tcp",
		"127.0.0.1::80":     "127.0.0.1:0->80/tcp",
		"1-2:4-5":           "0.0.0.0:1->4/tcp 0.0.0.0:2->5/tcp",
		"7-8":               "0.0.0.0:0->7/tcp 0.0.0.0:0->8/tcp",
		"65535:65535":       "0.0.0.0:65535->65535/tcp",
		"[127.0.0.1]:1:1":   "127.0.0.1:1->1/tcp",
		"":                  "no port specified: <empty>",
		"80:":               "no port specified: 80:<empty>",
		"x":                 "invalid containerPort: x",
		"0":                 "invalid containerPort: 0",
		"65536":             "invalid containerPort: 65536",
		"-1:80":             "invalid hostPort: -1",
		"0:80":              "invalid hostPort: 0",
		"3-1:80":            "invalid hostPort: 3-1",
		"80:80/icmp":        "invalid proto: icmp",
		"80:80/":            "invalid proto: ",
		"1-2:4-6": "invalid ranges specified for container and host Ports: " +
			"4-6 and 1-2",
		"x:1:1":               "invalid IP address: x",
		"1.2.3.4.5:1:1":       "invalid IP address: 1.2.3.4.5",
		"[::1]:80:80":         "publish [::1]:80:80: only on IPv4",
		"80:80:80":            "invalid IP address: 80",
		"8080:80/tcp/udp":     "invalid proto: tcp/udp",
		"+1:1":                "invalid hostPort: +1",
		"1-2-3:1":             "invalid hostPort: 1-2-3",
		"0x50:80":             "invalid hostPort: 0x50",
		"1000-1002:80":        "0.0.0.0:1000->80/tcp",
		" 80":                 "invalid containerPort:  80",
		"127.0.0.1%eth0:1:80": "invalid IP address: 127.0.0.1%eth0",
	} {
		ports, err := ParsePorts(text)
		got := strings.Trim(fmt.Sprint(ports), "[]")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

// Whatever the text: an error, or ports that are some.
func FuzzParsePorts(f *testing.F) {
	for _, text := range []string{"80", "1-3:4-6/udp", "127.0.0.1::80",
		"[::1]:1:1", "1-65535:1-65535", "::", "a:b:c/d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ports, err := ParsePorts(text)
		if err == nil && len(ports) == 0 {
			t.Error("neither an error nor ports")
		}
		for _, p := range ports {
			if p.Port == 0 || nat.Protocol(p.Proto) == 0 || !p.HostIP.Is4() ||
				p.HostEnd != 0 && p.HostEnd < p.HostPort {
				t.Errorf("%q: %+v", text, p)
			}
		}
	})
}

func TestOpen(t *testing.T) {
	s := newStage(t)
	open := func(spec string) ([]Port, error) {
		ports, err := ParsePorts(spec)
		s.ok(err)
		ports, files, err := Open(ports)
		s.files = append(s.files, files...)
		return ports, err
	}
	theirs, err := net.Listen("tcp4", "127.0.0.1:4000")
	s.ok(err)
	defer theirs.Close()
	ports, err := open("4000-4002:80")
	s.ok(err)
	s.equal("the first free one", ports, "[0.0.0.0:4001->80/tcp]")
	ports, err = open("4000-4002:80")
	s.ok(err)
	s.equal("the next", ports, "[0.0.0.0:4002->80/tcp]")
	_, err = open("4000-4002:80")
	s.refused(err, "Bind for 0.0.0.0:4002 failed: port is already allocated")
	_, err = open("4000:80")
	s.refused(err, "Bind for 0.0.0.0:4000 failed: port is already allocated")
	_, err = open("198.51.100.9:80:80")
	s.refused(err, "Bind for 198.51.100.9:80 failed: cannot assign")
	_, err = open("4001:80/udp")
	s.ok(err) // UDP has its own numbers
	_, err = net.Listen("tcp4", "127.0.0.1:4001")
	s.equal("another program", errName(err), "EADDRINUSE")
	// What fails takes nothing.
	_, err = open("5000-5001:1-2")
	s.ok(err)
	_, _, err = Open([]Port{{HostIP: netip.IPv4Unspecified(), HostPort: 6000,
		Port: 1, Proto: "tcp"}, {HostIP: netip.IPv4Unspecified(),
		HostPort: 5000, Port: 1, Proto: "tcp"}})
	s.refused(err, "already allocated")
	l, err := net.Listen("tcp4", ":6000")
	s.ok(err)
	l.Close()
}
