package names

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	dns "golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// Server is the DNS server of one container. It knows the containers of the
// user networks that this one is on, and asks others for the rest.
type Server struct {
	Dir, Container string
	Upstream       []string // ADDRESS:PORT of the servers to ask
	udp            net.PacketConn
	tcp            net.Listener
	busy           chan bool
}

// Serve answers at 127.0.0.11:53 in the network namespace in the file sandbox.
// It returns as soon as its sockets are open, and works until the process ends
// or Close.
func (s *Server) Serve(sandbox string) error {
	s.busy = make(chan bool, 100)
	err := inside(sandbox, func() (err error) {
		s.udp, err = net.ListenPacket("udp4", "127.0.0.11:53")
		if err == nil {
			s.tcp, err = net.Listen("tcp4", "127.0.0.11:53")
		}
		return err
	})
	if err != nil {
		s.Close()
		return fmt.Errorf("DNS server in %s: %w", sandbox, err)
	}
	go s.serveUDP()
	go s.serveTCP()
	return nil
}

// Close ends it.
func (s *Server) Close() {
	if s.udp != nil {
		s.udp.Close()
	}
	if s.tcp != nil {
		s.tcp.Close()
	}
}

// inside runs f in a network namespace: a socket stays in that of the thread
// that makes it. A thread that does not come back must not be used again: it
// ends with a goroutine that stays locked to it.
func inside(sandbox string, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		own, err := os.Open("/proc/thread-self/ns/net")
		if err == nil {
			defer own.Close()
			var box *os.File
			if box, err = os.Open(sandbox); err == nil {
				defer box.Close()
				err = unix.Setns(int(box.Fd()), unix.CLONE_NEWNET)
			}
		}
		if err == nil {
			err = f()
			if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
		}
		result <- err
	}()
	return <-result
}

func (s *Server) serveUDP() {
	buffer := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue
		}
		query := slices.Clone(buffer[:n])
		s.busy <- true
		go func() {
			defer func() { <-s.busy }()
			if reply := s.answer("udp", query); reply != nil {
				s.udp.WriteTo(reply, from)
			}
		}()
	}
}

// serveTCP: there each message has its length before it, in two bytes.
func (s *Server) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			time.Sleep(100 * time.Millisecond) // no file left, perhaps
			continue
		}
		s.busy <- true
		go func() {
			defer func() { c.Close(); <-s.busy }()
			for {
				c.SetDeadline(time.Now().Add(10 * time.Second))
				query, err := readTCP(c)
				if err != nil {
					return
				}
				reply := s.answer("tcp", query)
				if reply == nil || writeTCP(c, reply) != nil {
					return
				}
			}
		}()
	}
}

func readTCP(c net.Conn) ([]byte, error) {
	size := make([]byte, 2)
	if _, err := io.ReadFull(c, size); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(size))
	_, err := io.ReadFull(c, message)
	return message, err
}

func writeTCP(c net.Conn, message []byte) error {
	size := binary.BigEndian.AppendUint16(nil, uint16(len(message)))
	_, err := c.Write(append(size, message...))
	return err
}

// answer is nil for what is no query.
func (s *Server) answer(network string, query []byte) []byte {
	var p dns.Parser
	h, err := p.Start(query)
	if err != nil || h.Response {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	reply := dns.Message{Questions: []dns.Question{q}, Header: dns.Header{
		ID: h.ID, OpCode: h.OpCode, Response: true,
		RecursionDesired: h.RecursionDesired, RecursionAvailable: true}}
	on := joined(s.Dir, s.Container)
	bodies, known := lookup(on, q)
	for _, body := range bodies {
		reply.Answers = append(reply.Answers, dns.Resource{Body: body,
			Header: dns.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 600}})
	}
	if !known {
		if message := s.forward(network, query, on); message != nil {
			return message
		}
		reply.RCode = dns.RCodeServerFailure
	}
	message, _ := reply.Pack()
	return message
}

// lookup answers a question about our names: IPv4 addresses in random order,
// or the name of one: 2.0.18.172.in-addr.arpa. A name of ours may have no
// answer: it is known, but has no IPv6 address, say.
func lookup(on []*Network, q dns.Question) (all []dns.ResourceBody,
	known bool) {
	name := strings.TrimSuffix(q.Name.String(), ".")
	if text, ok := strings.CutSuffix(strings.ToLower(name),
		".in-addr.arpa"); ok && q.Type == dns.TypePTR {
		parts := strings.Split(text, ".")
		slices.Reverse(parts)
		ip, _ := netip.ParseAddr(strings.Join(parts, "."))
		target, err := dns.NewName(owner(on, ip) + ".")
		if err != nil || target.Length == 1 {
			return nil, false
		}
		return []dns.ResourceBody{&dns.PTRResource{PTR: target}}, true
	}
	found := find(on, name)
	rand.Shuffle(len(found), func(i, j int) {
		found[i], found[j] = found[j], found[i]
	})
	for _, ip := range found {
		if q.Type == dns.TypeA {
			all = append(all, &dns.AResource{A: ip.As4()})
		}
	}
	return all, len(found) > 0
}

// forward asks the other servers, one after the other. They are asked from the
// host's network, so a container that has no way out must not get that far.
func (s *Server) forward(network string, query []byte,
	on []*Network) []byte {
	if len(on) > 0 && !slices.ContainsFunc(on, func(n *Network) bool {
		return !n.Internal
	}) {
		return nil
	}
	for _, server := range s.Upstream {
		if reply, err := ask(network, server, query); err == nil {
			return reply
		}
	}
	return nil
}

func ask(network, server string, query []byte) ([]byte, error) {
	c, err := net.DialTimeout(network, server, 4*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(4 * time.Second))
	if network == "tcp" {
		if err := writeTCP(c, query); err != nil {
			return nil, err
		}
		return readTCP(c)
	}
	if _, err := c.Write(query); err != nil {
		return nil, err
	}
	buffer := make([]byte, 65535)
	n := 0
	for err == nil && (n < 2 || !bytes.Equal(buffer[:2], query[:2])) { // its ID
		n, err = c.Read(buffer)
	}
	return buffer[:n], err
}
