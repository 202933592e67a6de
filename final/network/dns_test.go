package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dns "golang.org/x/net/dns/dnsmessage"

	"container-workshop/final/network/names"
)

// resolver asks the server in a sandbox as a program there does.
func (b *box) resolver(network string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context,
		_, _ string) (net.Conn, error) {
		return in(b.ns, func() net.Conn {
			c, err := net.Dial(network, "127.0.0.11:53")
			if err != nil {
				panic(err)
			}
			return c
		}), nil
	}}
}

func (b *box) lookup(name string) string {
	var all []string
	for _, network := range []string{"udp", "tcp"} {
		ctx, cancel := context.WithTimeout(context.Background(),
			3*time.Second)
		defer cancel()
		ips, err := b.resolver(network).LookupNetIP(ctx, "ip4", name)
		var bad *net.DNSError
		if errors.As(err, &bad) {
			all = append(all, bad.Err)
			continue
		}
		slices.SortFunc(ips, netip.Addr.Compare)
		all = append(all, fmt.Sprint(ips))
	}
	if len(slices.Compact(all)) == 1 {
		return all[0]
	}
	return "udp and tcp differ: " + strings.Join(all, ", ")
}

func (s *stage) server(b *box, upstream ...string) {
	s.Helper()
	server := &names.Server{Dir: s.Dir, Container: b.id, Upstream: upstream}
	s.ok(server.Serve(b.path))
	s.Cleanup(server.Close)
}

// upstream is a server on the machine's loopback that knows one name.
func (s *stage) upstream() string {
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	s.ok(err)
	l, err := net.Listen("tcp4", u.LocalAddr().String())
	s.ok(err)
	s.Cleanup(func() { u.Close(); l.Close() })
	answer := func(query []byte) []byte {
		var m dns.Message
		if m.Unpack(query) != nil {
			return nil
		}
		m.Response = true
		name := m.Questions[0].Name
		if name.String() == "far.example." {
			m.Answers = []dns.Resource{{Header: dns.ResourceHeader{Name: name,
				Type: dns.TypeA, Class: dns.ClassINET},
				Body: &dns.AResource{A: [4]byte{192, 0, 2, 7}}}}
		} else {
			m.RCode = dns.RCodeNameError
		}
		m.Additionals = nil
		reply, _ := m.Pack()
		return reply
	}
	go func() {
		for buffer := make([]byte, 4096); ; {
			n, from, err := u.ReadFrom(buffer)
			if err != nil {
				return
			}
			u.WriteTo(answer(buffer[:n]), from)
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4096)
			n, _ := c.Read(buffer)
			reply := answer(buffer[2:max(2, n)])
			c.Write(append([]byte{byte(len(reply) >> 8), byte(len(reply))},
				reply...))
			c.Close()
		}
	}()
	return u.LocalAddr().String()
}

func TestNames(t *testing.T) {
	// The server asks others from the process's network, not the stage's.
	s := newStage(t)
	up := in2(s, s.upstream)
	for _, name := range []string{"red", "blue"} {
		_, err := s.Create(Options{Name: name})
		s.ok(err)
	}
	web, _ := s.connect("red", "web")
	db := s.box()
	for _, network := range []string{"red", "blue"} {
		_, err := s.Connect(db.path, Request{Network: network, Container: db.id,
			Name: "db", Aliases: []string{"data", "both"}})
		s.ok(err)
	}
	two := s.box()
	_, err := s.Connect(two.path, Request{Network: "red", Container: two.id,
		Name: "two", Aliases: []string{"both"}})
	s.ok(err)
	far, _ := s.connect("blue", "far")
	plain, _ := s.connect("bridge", "plain")
	for _, b := range []*box{web, db, far, plain} {
		s.server(b, "127.0.0.1:1", up)
	}
	for _, c := range []struct {
		who        *box
		name, want string
	}{
		{web, "web", "[172.18.0.2]"},
		{web, "db", "[172.18.0.3]"},
		{web, "DB", "[172.18.0.3]"},
		{web, "data", "[172.18.0.3]"},
		{web, "db.red", "[172.18.0.3]"},
		{web, "both", "[172.18.0.3 172.18.0.4]"},
		{web, db.id[:12], "[172.18.0.3]"},
		{web, "far.example", "[192.0.2.7]"},
		{web, "far", "no such host"},
		{web, "db.blue", "no such host"},
		{web, "plain", "no such host"},
		{web, "nonesuch", "no such host"},
		{db, "web", "[172.18.0.2]"},
		{db, "far", "[172.19.0.3]"},
		{far, "db", "[172.19.0.2]"},
		{far, "web", "no such host"},
		{plain, "plain", "no such host"},
		{plain, "far.example", "[192.0.2.7]"},
	} {
		s.equal(c.name, c.who.lookup(c.name), c.want)
	}
	who, err := web.resolver("udp").LookupAddr(context.Background(),
		"172.18.0.3")
	s.ok(err)
	s.equal("reverse", who, "[db.red.]")
	six, err := web.resolver("udp").LookupNetIP(context.Background(), "ip",
		"db")
	s.ok(err)
	s.equal("no IPv6", six, "[172.18.0.3]")
	// Names follow what happens.
	s.ok(s.Rename(db.id, "base"))
	s.equal("renamed", web.lookup("base"), "[172.18.0.3]")
	s.ok(s.Disconnect(db.id, "red"))
	s.equal("gone", web.lookup("base"), "no such host")
}

// in2 runs f on a thread of the process's own network.
func in2[T any](s *stage, f func() T) T {
	result := make(chan T)
	go func() { result <- f() }()
	return <-result
}

// From an internal network, no question gets out.
func TestInternalNames(t *testing.T) {
	s := newStage(t)
	up := in2(s, s.upstream)
	_, err := s.Create(Options{Name: "in", Internal: true})
	s.ok(err)
	a, _ := s.connect("in", "a")
	s.server(a, up)
	s.equal("its own", a.lookup("a"), "[172.18.0.2]")
	s.equal("others", a.lookup("far.example"), "server misbehaving")
	s.join(a, "bridge", "a")
	s.equal("with a way out", a.lookup("far.example"), "[192.0.2.7]")
}

// What is no question hurts nobody.
func TestNoQuestion(t *testing.T) {
	s := newStage(t)
	_, err := s.Create(Options{Name: "net"})
	s.ok(err)
	a, _ := s.connect("net", "a")
	s.server(a)
	c := in(a.ns, func() net.Conn {
		c, err := net.Dial("udp", "127.0.0.11:53")
		s.ok(err)
		return c
	})
	defer c.Close()
	for _, text := range []string{"", "x", strings.Repeat("\xff", 600),
		strings.Repeat("\x00", 12), "\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00" +
			"\x00\x00\xc0\x0c\x00\x01\x00\x01"} {
		c.Write([]byte(text))
	}
	tcp := in(a.ns, func() net.Conn {
		c, err := net.Dial("tcp", "127.0.0.11:53")
		s.ok(err)
		return c
	})
	tcp.Write([]byte("\xff\xff"))
	tcp.Close()
	s.equal("it still works", a.lookup("a"), "[172.18.0.2]")
	s.equal("nobody to ask", a.lookup("x.example"), "server misbehaving")
	_, err = os.Stat(a.path)
	s.ok(err)
	s.refused((&names.Server{}).Serve("/nonesuch"), "/nonesuch")
}
