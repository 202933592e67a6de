package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	nft "github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A stage is a host with a network of its own, on whose thread the test runs,
// and a store. Around it is nothing: the machine's network is not touched.
type stage struct {
	*testing.T
	*Store
	ns    *os.File
	files []*os.File // sockets that hold ports
	boxes []*box
}

func newStage(t *testing.T) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces, bridges, nf_tables")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	s := &stage{T: t, Store: &Store{Dir: t.TempDir()}}
	s.ok(unix.Unshare(unix.CLONE_NEWNET))
	var err error
	s.ns, err = os.Open("/proc/thread-self/ns/net")
	s.ok(err)
	t.Cleanup(func() {
		for _, f := range append(s.files, s.ns) {
			f.Close()
		}
	})
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	s.ok(err)
	defer h.Close()
	lo, err := h.LinkByName("lo")
	s.ok(err)
	s.ok(h.LinkSetUp(lo))
	s.ok(set("ip_forward", "0"))
	return s
}

func (s *stage) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) equal(what string, got, want any) {
	s.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		s.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// refused wants an error that says something.
func (s *stage) refused(err error, says string) {
	s.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		s.Errorf("got %v, want an error with %q", err, says)
	}
}

// A box is a process in a network namespace of its own: a sandbox.
type box struct {
	*exec.Cmd
	id, path string
	ns       *os.File
}

var boxes int

func (s *stage) box() *box {
	s.Helper()
	c := exec.Command("sleep", "1000")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET,
		Pdeathsig: unix.SIGKILL}
	s.ok(c.Start())
	boxes++
	b := &box{Cmd: c, id: fmt.Sprintf("c%011x%052x", boxes, 0)}
	b.path = fmt.Sprintf("/proc/%d/ns/net", c.Process.Pid)
	var err error
	b.ns, err = os.Open(b.path)
	s.ok(err)
	s.boxes = append(s.boxes, b)
	s.Cleanup(b.end)
	return b
}

// end kills it; its namespace goes, too.
func (b *box) end() {
	b.ns.Close()
	b.Process.Kill()
	b.Wait()
}

// crash ends all boxes, and sweeps.
func (s *stage) crash() {
	s.Helper()
	for _, b := range s.boxes {
		b.end()
	}
	s.ok(s.Sweep(func(string) bool { return false }))
}

// connect makes a box and connects it.
func (s *stage) connect(network, name string, ports ...string) (*box,
	*Endpoint) {
	s.Helper()
	b := s.box()
	return b, s.join(b, network, name, ports...)
}

func (s *stage) join(b *box, network, name string, specs ...string) *Endpoint {
	s.Helper()
	var ports []Port
	for _, spec := range specs {
		p, err := ParsePorts(spec)
		s.ok(err)
		ports = append(ports, p...)
	}
	ports, files, err := Open(ports)
	s.ok(err)
	s.files = append(s.files, files...)
	e, err := s.Connect(b.path, Request{Network: network, Container: b.id,
		Name: name, Ports: ports})
	s.ok(err)
	return e
}

// in runs f in a network namespace, on a thread that is not used again; nil is
// the one we are in.
func in[T any](ns *os.File, f func() T) T {
	if ns == nil {
		return f()
	}
	result := make(chan T)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err)
		}
		result <- f()
	}()
	return <-result
}

// serve answers at a port, TCP and UDP, with a name and the caller's address.
func (s *stage) serve(ns *os.File, name, port string) {
	s.Helper()
	s.ok(in(ns, func() error {
		l, err := net.Listen("tcp4", ":"+port)
		if err != nil {
			return err
		}
		u, err := net.ListenPacket("udp4", ":"+port)
		if err != nil {
			return err
		}
		s.Cleanup(func() { l.Close(); u.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, name, " ", host(c.RemoteAddr()))
				c.Close()
			}
		}()
		go func() {
			for buffer := make([]byte, 100); ; {
				_, from, err := u.ReadFrom(buffer)
				if err != nil {
					return
				}
				u.WriteTo([]byte(name+" "+host(from)), from)
			}
		}()
		return nil
	}))
}

func host(a net.Addr) string {
	h, _, _ := net.SplitHostPort(a.String())
	return h
}

// ask calls an address and returns the answer or the errno's name.
func ask(ns *os.File, network, address string) string {
	return in(ns, func() string {
		c, err := net.DialTimeout(network, address, 500*time.Millisecond)
		if err != nil {
			return errName(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(500 * time.Millisecond))
		if network == "udp" {
			io.WriteString(c, "hello")
		}
		buffer := make([]byte, 100)
		n, err := c.Read(buffer)
		if err != nil {
			return errName(err)
		}
		return string(buffer[:n])
	})
}

func errName(err error) string {
	var errno unix.Errno
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return "timeout"
	} else if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// outside is a machine at 198.51.100.2; the host gets 198.51.100.1.
func (s *stage) outside() *box {
	s.Helper()
	b := s.box()
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	s.ok(err)
	defer h.Close()
	cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "world0"},
		PeerName: "cable", PeerNamespace: netlink.NsFd(b.ns.Fd())}
	ip, _ := netlink.ParseAddr("198.51.100.1/24")
	s.ok(h.LinkAdd(cable))
	s.ok(h.AddrAdd(cable, ip))
	s.ok(h.LinkSetUp(cable))
	s.ok(in(b.ns, func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		s.ok(err)
		defer h.Close()
		end, err := h.LinkByName("cable")
		s.ok(err)
		ip, _ := netlink.ParseAddr("198.51.100.2/24")
		return errors.Join(h.AddrAdd(end, ip), h.LinkSetUp(end))
	}))
	s.serve(b.ns, "outside", "7")
	s.eventually("the machine outside", func() bool {
		return ask(s.ns, "tcp", "198.51.100.2:7") == "outside 198.51.100.1"
	})
	return b
}

// left are the links and tables of the host, but for what a test made.
func (s *stage) left() (all []string) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	s.ok(err)
	defer h.Close()
	links, err := dump(h.LinkList)
	s.ok(err)
	for _, l := range links {
		name := l.Attrs().Name
		if name != "lo" && name != "world0" && name != "sit0" {
			all = append(all, name)
		}
	}
	tables, err := (&nft.Conn{}).ListTables()
	s.ok(err)
	for _, t := range tables {
		all = append(all, t.Name)
	}
	return all
}

// eventually waits for what the kernel does later.
func (s *stage) eventually(what string, f func() bool) {
	s.Helper()
	for range 200 {
		if f() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.Errorf("%s: not within 4 seconds", what)
}

// shows is what ip(8) would print about a namespace.
func (s *stage) shows(ns *os.File) (all []string) {
	return in(ns, func() (all []string) {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		s.ok(err)
		defer h.Close()
		links, err := dump(h.LinkList)
		s.ok(err)
		for _, l := range links {
			a := l.Attrs()
			if a.Name == "sit0" {
				continue
			}
			text := fmt.Sprint(a.Name, " up=", a.Flags&net.FlagUp != 0)
			addresses, _ := dump(func() ([]netlink.Addr, error) {
				return h.AddrList(l, unix.AF_INET)
			})
			for _, ip := range addresses {
				text += " " + ip.IPNet.String()
			}
			all = append(all, text)
		}
		routes, _ := dump(func() ([]netlink.Route, error) {
			return h.RouteList(nil, unix.AF_INET)
		})
		for _, r := range routes {
			if r.Gw != nil {
				all = append(all, "via "+r.Gw.String())
			}
		}
		return all
	})
}

// defaultVia gives the host a way to the world.
func defaultVia(gateway string) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	return defaultRoute(h, &Endpoint{Gateway: netip.MustParseAddr(gateway)})
}
