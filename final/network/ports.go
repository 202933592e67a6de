package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"container-workshop/final/network/nat"
	"golang.org/x/sys/unix"
)

// ParsePorts reads one -p, --publish, or EXPOSE: [[IP:][HOST]:]PORT[/PROTO],
// where HOST and PORT may be ranges. There are as many ports as PORT says; one
// PORT and several HOST mean the first of them that is free.
func ParsePorts(text string) ([]Port, error) {
	rest, proto, slash := strings.Cut(text, "/")
	proto = strings.ToLower(proto)
	if !slash {
		proto = "tcp"
	} else if nat.Protocol(proto) == 0 {
		return nil, fmt.Errorf("invalid proto: %s", proto)
	}
	ip, host := netip.IPv4Unspecified(), ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host, rest = rest[:i], rest[i+1:]
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			name := strings.Trim(host[:i], "[]")
			host = host[i+1:]
			var err error
			if ip, err = netip.ParseAddr(name); err != nil {
				return nil, fmt.Errorf("invalid IP address: %s", name)
			} else if !ip.Is4() {
				return nil, fmt.Errorf("publish %s: only on IPv4", text)
			}
		}
	}
	first, last := portRange(rest)
	low, high := portRange(host)
	if rest == "" {
		return nil, fmt.Errorf("no port specified: %s<empty>", text)
	} else if first == 0 {
		return nil, fmt.Errorf("invalid containerPort: %s", rest)
	} else if low == 0 && host != "" {
		return nil, fmt.Errorf("invalid hostPort: %s", host)
	} else if low > 0 && first != last && high-low != last-first {
		return nil, fmt.Errorf("invalid ranges specified for container and "+
			"host Ports: %s and %s", rest, host)
	}
	p := Port{HostIP: ip, HostPort: uint16(low), Port: uint16(first),
		Proto: proto}
	if first == last {
		p.HostEnd = uint16(high)
	}
	all := []Port{p}
	for p.Port < uint16(last) {
		p.Port++
		if low > 0 {
			p.HostPort++
		}
		all = append(all, p)
	}
	return all, nil
}

// portRange reads N or N-M; 0 is no port.
func portRange(text string) (first, last int) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	a, err := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(to, 10, 16)
	if err != nil || err2 != nil || b < a {
		return 0, 0
	}
	return int(a), int(b)
}

// Open takes ports of the host, by sockets that must stay open as long as the
// ports are published, and returns them with all numbers chosen. No connection
// reaches the sockets: the rules send them on before.
func Open(ports []Port) (open []Port, files []*os.File, err error) {
	for _, p := range ports {
		f, err := hold(&p)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, nil, err
		}
		open, files = append(open, p), append(files, f)
	}
	return open, files, nil
}

// hold takes the first free one of a port's choices, or any.
func hold(p *Port) (*os.File, error) {
	kind := unix.SOCK_STREAM
	if p.Proto == "udp" {
		kind = unix.SOCK_DGRAM
	}
	for last := max(p.HostEnd, p.HostPort); ; p.HostPort++ {
		host := netip.AddrPortFrom(p.HostIP, p.HostPort)
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC,
			int(nat.Protocol(p.Proto)))
		if err != nil {
			return nil, fmt.Errorf("publish %s: socket: %w", p, err)
		}
		f := os.NewFile(uintptr(fd), host.String())
		if kind == unix.SOCK_STREAM {
			// Old connections of a server before us, in TIME_WAIT, are no
			// hindrance; another server is, but only if we listen, too.
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		}
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(p.HostPort),
			Addr: p.HostIP.As4()})
		if err == nil && kind == unix.SOCK_STREAM {
			err = unix.Listen(fd, 0)
		}
		if err == nil {
			name, _ := unix.Getsockname(fd)
			in, _ := name.(*unix.SockaddrInet4)
			p.HostPort, p.HostEnd = uint16(in.Port), 0
			return f, nil
		}
		f.Close()
		if err == unix.EADDRINUSE && p.HostPort < last {
			continue
		} else if err == unix.EADDRINUSE {
			err = errors.New("port is already allocated")
		}
		return nil, fmt.Errorf("driver failed programming external "+
			"connectivity: Bind for %s failed: %w", host, err)
	}
}
