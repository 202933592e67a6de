package network

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"container-workshop/final/network/nat"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// One container, seen from inside and from outside, and nothing left of it.
func TestConnect(t *testing.T) {
	s := newStage(t)
	s.equal("before", s.left(), []string{})
	b, e := s.connect("bridge", "web")
	s.equal("inside", strings.Join(s.shows(b.ns), "; "),
		"lo up=true 127.0.0.1/8; eth0 up=true 172.17.0.2/16; via 172.17.0.1")
	s.equal("endpoint", []any{e.IP, e.Gateway, e.MAC, e.Link},
		[]any{"172.17.0.2", "172.17.0.1", "02:42:ac:11:00:02", "eth0"})
	s.equal("outside", s.left(), []string{"minidocker0", "vethac110002",
		"minidocker-minidocker0"})
	s.equal("the bridge", slices.Contains(s.shows(s.ns),
		"minidocker0 up=true 172.17.0.1/16"), true)
	s.equal("ip_forward", get("ip_forward"), "1")
	_, err := s.Connect(b.path, Request{Network: "bridge", Container: b.id})
	s.refused(err, "there already")

	n, err := s.Get("bridge")
	s.ok(err)
	s.equal("inspect", n.Endpoints[0].Name, "web")
	s.ok(s.Disconnect(b.id, "bridge"))
	s.equal("inside, afterwards", s.shows(b.ns), []string{
		"lo up=true 127.0.0.1/8"})
	s.refused(s.Disconnect(b.id, "bridge"), "is not connected to network")
	s.ok(s.Sweep(func(string) bool { return true }))
	s.equal("after", s.left(), []string{})
	s.equal("ip_forward", get("ip_forward"), "0")
}

// NAT: the world outside knows no subnet of ours.
func TestOutside(t *testing.T) {
	s := newStage(t)
	out := s.outside()
	b, e := s.connect("bridge", "web")
	s.serve(b.ns, "web", "80")
	for _, network := range []string{"tcp", "udp"} {
		s.equal("to the world", ask(b.ns, network, "198.51.100.2:7"),
			"outside 198.51.100.1")
		s.equal("from the host", ask(s.ns, network, e.IP.String()+":80"),
			"web 172.17.0.1")
	}
	// A neighbour who knows the way is not let in.
	s.ok(in(out.ns, func() error {
		h, _ := netlink.NewHandle(unix.NETLINK_ROUTE)
		defer h.Close()
		_, dst, _ := net.ParseCIDR("172.17.0.0/16")
		return h.RouteAdd(&netlink.Route{Dst: dst,
			Gw: netip.MustParseAddr("198.51.100.1").AsSlice()})
	}))
	s.equal("from a neighbour", ask(out.ns, "tcp", e.IP.String()+":80"),
		"timeout")
}

// Every way leads to a published port.
func TestPublish(t *testing.T) {
	s := newStage(t)
	out := s.outside()
	b, e := s.connect("bridge", "web", "8080:80", "8080:80/udp",
		"127.0.0.1:81:80", "198.51.100.1:82:80", "80")
	s.serve(b.ns, "web", "80")
	other, _ := s.connect("bridge", "other")
	_, err := s.Create(Options{Name: "net1"})
	s.ok(err)
	far, _ := s.connect("net1", "far")
	for _, network := range strings.Fields("tcp tcp udp udp") {
		s.toggleFilter()
		for _, way := range []struct {
			who  *os.File
			at   string
			want string
		}{
			{s.ns, "127.0.0.1:8080", "web 172.17.0.1"},
			{s.ns, "198.51.100.1:8080", "web 198.51.100.1"},
			{s.ns, "172.17.0.1:8080", "web 172.17.0.1"},
			{out.ns, "198.51.100.1:8080", "web 198.51.100.2"},
			{other.ns, "198.51.100.1:8080", "web 172.17.0.1"},
			{other.ns, "172.17.0.1:8080", "web 172.17.0.1"},
			{b.ns, "198.51.100.1:8080", "web 172.17.0.1"},
			{far.ns, "198.51.100.1:8080", "web 172.17.0.1"},
			{far.ns, "172.18.0.1:8080", "web 172.17.0.1"},
		} {
			s.equal(network+" "+way.at, ask(way.who, network, way.at), way.want)
		}
	}
	for at, want := range map[string]string{
		"127.0.0.1:81": "web 172.17.0.1", "198.51.100.1:81": "ECONNREFUSED",
		"198.51.100.1:82": "web 198.51.100.1", "127.0.0.1:82": "ECONNREFUSED",
	} {
		s.equal(at, ask(s.ns, "tcp", at), want)
	}
	random := e.Ports[4]
	s.equal("a random port", random.HostPort > 1024, true)
	s.equal("a random port", ask(s.ns, "tcp", fmt.Sprint("127.0.0.1:",
		random.HostPort)), "web 172.17.0.1")
	s.equal("as ps shows it", e.Ports[0], "0.0.0.0:8080->80/tcp")

	_, _, err = Open([]Port{e.Ports[0]})
	s.refused(err, "Bind for 0.0.0.0:8080 failed: port is already allocated")
	s.equal("in the rules", strings.Contains(s.ruleset(), "8080"), true)
	s.ok(s.Disconnect(b.id, "bridge"))
	s.equal("afterwards", strings.Contains(s.ruleset(), "8080"), false)
}

// toggleFilter switches br_netfilter, which shows the bridge's packets to our
// rules. Docker loads it, others do not; where it is missing there is no file.
func (s *stage) toggleFilter() {
	const file = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	value := []byte("1")
	if text, _ := os.ReadFile(file); bytes.HasPrefix(text, value) {
		value[0] = '0'
	}
	os.WriteFile(file, value, 0)
}

// ruleset is all of nft's tables, as nft(8) shows them, and reads them: who
// saves the rules of a host with ours among them can restore them.
func (s *stage) ruleset() string {
	out, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		s.Skip("needs nft: apt install nftables")
	}
	s.ok(err)
	c := exec.Command("nft", "-c", "-f", "-")
	c.Stdin = bytes.NewReader(append([]byte("flush ruleset\n"), out...))
	if said, err := c.CombinedOutput(); err != nil {
		s.Errorf("nft cannot read its own list: %s", said)
	}
	return string(out)
}

// UDP has no end that conntrack sees: a client that goes on must reach the
// next container that publishes the port.
func TestUDPFollows(t *testing.T) {
	s := newStage(t)
	s.connect("bridge", "zero")
	c := in(s.ns, func() net.Conn {
		c, err := net.Dial("udp", "127.0.0.1:5353")
		s.ok(err)
		return c
	})
	defer c.Close()
	ask := func() string {
		c.SetDeadline(time.Now().Add(500 * time.Millisecond))
		c.Write([]byte("hello"))
		buffer := make([]byte, 100)
		n, _ := c.Read(buffer)
		return string(buffer[:n])
	}
	ask() // nobody: conntrack knows it as one to the host itself
	b, _ := s.connect("bridge", "one", "5353:80/udp")
	s.serve(b.ns, "one", "80")
	s.equal("first", ask(), "one 172.17.0.1")
	s.ok(s.Disconnect(b.id, "bridge"))
	s.connect("bridge", "other") // has its address now
	for _, f := range s.files {
		f.Close()
	}
	b, _ = s.connect("bridge", "two", "5353:80/udp")
	s.serve(b.ns, "two", "80")
	s.equal("second", ask(), "two 172.17.0.1")
}

// Networks of users do not see each other; the containers of one do.
func TestIsolation(t *testing.T) {
	s := newStage(t)
	for _, name := range []string{"red", "blue"} {
		_, err := s.Create(Options{Name: name})
		s.ok(err)
	}
	a, _ := s.connect("red", "a")
	b, eb := s.connect("red", "b")
	c, ec := s.connect("blue", "c")
	d, ed := s.connect("bridge", "d")
	for name, x := range map[string]*box{"b": b, "c": c, "d": d} {
		s.serve(x.ns, name, "80")
	}
	s.equal("the same network", ask(a.ns, "tcp", eb.IP.String()+":80"),
		"b 172.18.0.2")
	s.equal("another", ask(a.ns, "tcp", ec.IP.String()+":80"), "timeout")
	s.equal("the default", ask(a.ns, "tcp", ed.IP.String()+":80"), "timeout")
	s.equal("from the default", ask(d.ns, "tcp", ec.IP.String()+":80"),
		"timeout")
	// In both networks, a container reaches both.
	s.join(a, "blue", "a")
	s.equal("its links", strings.Join(s.shows(a.ns), "; "),
		"lo up=true 127.0.0.1/8; eth0 up=true 172.18.0.2/16; "+
			"eth1 up=true 172.19.0.3/16; via 172.18.0.1")
	s.equal("another", ask(a.ns, "tcp", ec.IP.String()+":80"), "c 172.19.0.3")
	// And when it leaves the first, it goes out by the other.
	s.ok(s.Disconnect(a.id, "red"))
	s.equal("its links", strings.Join(s.shows(a.ns), "; "),
		"lo up=true 127.0.0.1/8; eth1 up=true 172.19.0.3/16; via 172.19.0.1")
}

func TestInternal(t *testing.T) {
	s := newStage(t)
	s.outside()
	_, err := s.Create(Options{Name: "in", Internal: true,
		Subnet: "10.9.0.0/24"})
	s.ok(err)
	a, _ := s.connect("in", "a")
	b, eb := s.connect("in", "b")
	c, _ := s.connect("bridge", "c", "80:80")
	s.serve(b.ns, "b", "80")
	s.serve(c.ns, "c", "80")
	s.equal("each other", ask(a.ns, "tcp", eb.IP.String()+":80"),
		"b 10.9.0.2")
	s.equal("outside", ask(a.ns, "tcp", "198.51.100.2:7"), "ENETUNREACH")
	s.ok(in(a.ns, func() error {
		h, _ := netlink.NewHandle(unix.NETLINK_ROUTE)
		defer h.Close()
		return defaultRoute(h, &Endpoint{Gateway: netip.MustParseAddr(
			"10.9.0.1")})
	}))
	s.equal("by a route of its own", ask(a.ns, "tcp", "198.51.100.2:7"),
		"timeout")
	s.equal("another's port", ask(a.ns, "tcp", "198.51.100.1:80"), "timeout")
	_, err = s.Connect(s.box().path, Request{Network: "in", Container: "x",
		Ports: []Port{{Port: 80}}})
	s.refused(err, "publishes no ports")
}

func TestNoICC(t *testing.T) {
	s := newStage(t)
	_, err := s.Create(Options{Name: "apart", Options: map[string]string{
		"com.docker.network.bridge.enable_icc": "false",
		"com.docker.network.bridge.name":       "br-apart",
		"com.docker.network.driver.mtu":        "1400"}})
	s.ok(err)
	s.outside()
	// With br_netfilter, a DNATed packet would stay on the bridge.
	os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables",
		[]byte("0"), 0)
	a, _ := s.connect("apart", "a")
	b, eb := s.connect("apart", "b", "80:80")
	s.serve(b.ns, "b", "80")
	s.equal("each other", ask(a.ns, "tcp", eb.IP.String()+":80"),
		"timeout")
	s.equal("the world", ask(a.ns, "tcp", "198.51.100.2:7"),
		"outside 198.51.100.1")
	s.equal("a published port", ask(a.ns, "tcp", "198.51.100.1:80"),
		"b 172.18.0.1")
	s.equal("the bridge", slices.Contains(s.left(), "br-apart"), true)
	mtu := in(a.ns, func() int {
		h, _ := netlink.NewHandle(unix.NETLINK_ROUTE)
		defer h.Close()
		l, _ := h.LinkByName("eth0")
		return l.Attrs().MTU
	})
	s.equal("mtu", mtu, 1400)
}

// The bridge lets packets of 127.0.0.1 pass, for published ports: but not from
// a container, though its root can send them.
func TestLoopbackIsClosed(t *testing.T) {
	s := newStage(t)
	s.serve(s.ns, "secret", "9")
	b, _ := s.connect("bridge", "evil")
	s.ok(in(b.ns, func() error {
		h, _ := netlink.NewHandle(unix.NETLINK_ROUTE)
		defer h.Close()
		lo, _ := h.LinkByName("lo")
		own, _ := netlink.ParseAddr("127.0.0.1/8")
		_, dst, _ := net.ParseCIDR("127.0.0.0/8")
		eth0, _ := h.LinkByName("eth0")
		s.ok(h.AddrDel(lo, own))
		s.ok(os.WriteFile("/proc/sys/net/ipv4/conf/eth0/route_localnet",
			[]byte("1"), 0))
		return h.RouteAdd(&netlink.Route{Dst: dst, LinkIndex: eth0.Attrs().
			Index, Gw: netip.MustParseAddr("172.17.0.1").AsSlice()})
	}))
	s.equal("by way of the gateway", ask(b.ns, "tcp", "127.0.0.1:9"),
		"timeout")
	nat.Remove("minidocker0")
	s.eventually("without our rules it would", func() bool {
		return ask(b.ns, "tcp", "127.0.0.1:9") == "secret 172.17.0.2"
	})
}

// No two addresses are alike, also when 30 come at once.
func TestManyAtOnce(t *testing.T) {
	s := newStage(t)
	const many = 30
	ips := make(chan string, many)
	for range many {
		b := s.box()
		go func() {
			ips <- in(s.ns, func() string {
				e, err := s.Connect(b.path, Request{Network: "bridge",
					Container: b.id})
				if err != nil {
					return err.Error()
				}
				return e.IP.String()
			})
		}()
	}
	var all []string
	for range many {
		all = append(all, <-ips)
	}
	slices.Sort(all)
	s.equal("different addresses", len(slices.Compact(all)), many)
	n, err := s.Get("bridge")
	s.ok(err)
	s.equal("endpoints", len(n.Endpoints), many)
	for _, e := range n.Endpoints {
		s.equal("all are of the subnet", n.Subnet.Contains(e.IP), true)
	}
}

func TestAddresses(t *testing.T) {
	s := newStage(t)
	_, err := s.Create(Options{Name: "small", Subnet: "10.1.2.0/29",
		Gateway: "10.1.2.6"})
	s.ok(err)
	var all []*box
	for i := range 5 {
		b, e := s.connect("small", fmt.Sprint("c", i))
		s.equal("address", e.IP, fmt.Sprint("10.1.2.", i+1))
		all = append(all, b)
	}
	full := s.box()
	ask := func(network, ip string) (*Endpoint, error) {
		return s.Connect(full.path, Request{Network: network,
			Container: full.id, IP: ip})
	}
	_, err = ask("small", "")
	s.refused(err, "no available IPv4 addresses on this network's address "+
		"pools: small")
	_, err = ask("small", "10.1.2.3")
	s.refused(err, "Address already in use")
	for _, ip := range []string{"10.1.2.0", "10.1.2.7", "10.1.3.1", "x",
		"::1"} {
		_, err = ask("small", ip)
		s.refused(err, "no address of subnet 10.1.2.0/29")
	}
	_, err = ask("bridge", "172.17.0.9")
	s.refused(err, "user specified IP address is supported on user defined "+
		"networks only")
	s.ok(s.Disconnect(all[2].id, "small"))
	e, err := ask("small", "10.1.2.3")
	s.ok(err)
	s.equal("--ip", e.IP, "10.1.2.3")
	// The address of who has just died is not free before its link has gone.
	all[0].end()
	s.ok(s.Disconnect(all[0].id, ""))
	s.eventually("its address", func() bool {
		_, err := s.Connect(s.box().path, Request{Network: "small",
			Container: "late"})
		return err == nil
	})
	_, err = s.Create(Options{Name: "range", Subnet: "10.4.0.0/16",
		IPRange: "10.4.5.0/24"})
	s.ok(err)
	_, e = s.connect("range", "r")
	s.equal("ip-range", []any{e.IP, e.Gateway}, []any{"10.4.5.1", "10.4.5.0"})
}

func TestCreate(t *testing.T) {
	s := newStage(t)
	s.outside() // has a route to 198.51.100.0/24
	n, err := s.Create(Options{Name: "one"})
	s.ok(err)
	s.equal("automatic", []any{n.Subnet, n.Gateway, n.Driver, len(n.ID)},
		[]any{"172.18.0.0/16", "172.18.0.1", "bridge", 64})
	two, err := s.Create(Options{Name: "two"})
	s.ok(err)
	s.equal("the next", two.Subnet, "172.19.0.0/16")
	_, err = s.Create(Options{Name: "one"})
	s.refused(err, "network with name one already exists")
	for _, name := range []string{"bridge", "host", "none"} {
		_, err = s.Create(Options{Name: name})
		s.refused(err, "already exists")
		s.refused(s.Remove(name), "is a pre-defined network and cannot be "+
			"removed")
	}
	for _, name := range []string{"", "a/b", "..", ".x", "a b",
		strings.Repeat("x", 200), "container:x"} {
		_, err = s.Create(Options{Name: name})
		s.refused(err, "invalid name")
	}
	for _, o := range []Options{{Subnet: "x"}, {Subnet: "10.0.0.0"},
		{Subnet: "10.0.0.0/31"}, {Subnet: "10.0.0.1/24"}, {Subnet: "fd00::/64"},
		{Gateway: "10.0.0.1"}, {Subnet: "10.0.0.0/24", Gateway: "10.0.1.1"},
		{Subnet: "10.0.0.0/24", Gateway: "10.0.0.0"}, {IPRange: "10.0.0.0/24"},
		{Subnet: "10.0.0.0/24", IPRange: "10.0.0.0/16"},
		{Subnet: "10.0.0.0/24", IPRange: "10.1.0.0/26"},
		{Subnet: "172.18.5.0/24"}, {Subnet: "198.51.0.0/16"},
		{Subnet: "198.51.100.0/28"}, {Driver: "overlay"}, {Driver: "host"},
		{Options: map[string]string{"x": "y"}},
		{Options: map[string]string{"com.docker.network.bridge.name": "a/b"}},
		{Options: map[string]string{
			"com.docker.network.bridge.name": n.Bridge}},
		{Options: map[string]string{
			"com.docker.network.bridge.enable_icc": "x"}},
		{Options: map[string]string{"com.docker.network.driver.mtu": "1"}},
	} {
		o.Name = "bad"
		_, err := s.Create(o)
		if s.refused(err, "network create bad"); err != nil &&
			strings.Contains(err.Error(), "\n") {
			t.Errorf("two lines: %v", err)
		}
	}
	all, err := s.List()
	s.ok(err)
	var names []string
	for _, n := range all {
		names = append(names, n.Name)
	}
	s.equal("list", names, []string{"bridge", "host", "none", "one", "two"})
	got, err := s.Get(n.ID[:12])
	s.ok(err)
	s.equal("by ID", got.Name, "one")
	_, err = s.Get("nonesuch")
	s.refused(err, "network nonesuch not found")

	b, _ := s.connect("one", "web")
	s.refused(s.Remove("one"), `network one has active endpoints (name:"web"`)
	s.ok(s.Disconnect(b.id, "one"))
	s.ok(s.Remove("one"))
	s.equal("left", s.left(), []string{})
	s.equal("ip_forward", get("ip_forward"), "0")
	_, err = s.Get("one")
	s.refused(err, "not found")
}

// Docker may have come meanwhile, and taken our default subnet.
func TestDefaultSubnetMoves(t *testing.T) {
	s := newStage(t)
	b, e := s.connect("bridge", "a")
	s.equal("first", e.IP, "172.17.0.2")
	s.ok(s.Disconnect(b.id, "bridge"))
	s.ok(s.Sweep(func(string) bool { return false }))
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	s.ok(err)
	defer h.Close()
	docker := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "docker0"}}
	ip, _ := netlink.ParseAddr("172.17.0.1/16")
	s.ok(h.LinkAdd(docker))
	s.ok(h.AddrAdd(docker, ip))
	s.ok(h.LinkSetUp(docker))
	_, e = s.connect("bridge", "b")
	s.equal("then", e.IP, "172.18.0.2")
	// And forwarding is docker's as well.
	s.crash()
	s.equal("ip_forward", get("ip_forward"), "1")
}

// What crashed containers left goes, whatever it is; what lives stays.
func TestSweep(t *testing.T) {
	s := newStage(t)
	_, err := s.Create(Options{Name: "one"})
	s.ok(err)
	dead, _ := s.connect("one", "dead", "80:80")
	s.join(dead, "bridge", "dead", "81:80")
	live, e := s.connect("bridge", "live", "82:80")
	s.serve(live.ns, "live", "80")
	ns := dead.ns // somebody may still hold the namespace
	dead.ns, _ = os.Open(os.DevNull)
	defer ns.Close()
	dead.end()
	// One that is just starting is not known yet, but its sandbox is there.
	s.connect("bridge", "early")
	s.ok(s.Sweep(func(id string) bool { return id == live.id }))
	s.boxes[2].end()
	s.ok(s.Disconnect(s.boxes[2].id, "bridge"))
	s.eventually("its link", func() bool {
		return !slices.Contains(s.left(), "vethac110004")
	})
	s.equal("left", s.left(), []string{"minidocker0", "vethac110003",
		"minidocker-minidocker0"})
	s.equal("the port of the dead", ask(s.ns, "tcp", "127.0.0.1:81"),
		"timeout") // its socket is still ours
	s.equal("that of the living", ask(s.ns, "tcp", "127.0.0.1:82"),
		"live 172.17.0.1")
	s.equal("it is", e.IP, "172.17.0.3")
	// A reboot: only the files are left.
	s.ok(unix.Unshare(unix.CLONE_NEWNET))
	s.ok(set("ip_forward", "0"))
	s.crash()
	n, err := s.Get("bridge")
	s.ok(err)
	s.equal("endpoints", len(n.Endpoints), 0)
	_, e = s.connect("one", "again")
	s.equal("it works again", e.IP, "172.18.0.2")
	// The files are lost: only links and rules are left.
	s.ok(os.Remove(filepath.Join(s.Dir, "one.json")))
	s.ok(s.Sweep(func(string) bool { return true }))
	s.equal("left", s.left(), []string{})
	s.equal("ip_forward", get("ip_forward"), "0")
}

// A bridge that is half done, for its maker was killed, is made again.
func TestHalfDone(t *testing.T) {
	s := newStage(t)
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	s.ok(err)
	defer h.Close()
	s.ok(h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{
		Name: newBridge}}))
	b, _ := s.connect("bridge", "a")
	s.serve(b.ns, "a", "80")
	hub, _ := h.LinkByName("minidocker0")
	s.ok(h.LinkSetDown(hub))
	_, e := s.connect("bridge", "b")
	s.equal("it is up again", ask(b.ns, "tcp", "172.17.0.2:80"),
		"a 172.17.0.2")
	s.equal("b", e.IP, "172.17.0.3")
	// And so are rules that somebody has flushed.
	out := s.outside()
	_ = out
	nat.Remove("minidocker0")
	c, _ := s.connect("bridge", "c")
	s.equal("rules", ask(c.ns, "tcp", "198.51.100.2:7"),
		"outside 198.51.100.1")
	// What is not ours is not touched.
	s.ok(h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{
		Name: "br-theirs"}}))
	_, err = s.Create(Options{Name: "x", Options: map[string]string{
		"com.docker.network.bridge.name": "br-theirs"}})
	s.ok(err)
	_, err = s.Connect(s.box().path, Request{Network: "x", Container: "x"})
	s.refused(err, "bridge br-theirs exists and belongs to another")
	s.ok(s.Remove("x"))
	s.crash()
	s.equal("left", s.left(), []string{"br-theirs"})
}

// Where Docker has been, iptables drops what it does not know.
func TestOtherFirewall(t *testing.T) {
	s := newStage(t)
	iptables := func(args ...string) string {
		out, err := exec.Command("iptables", args...).CombinedOutput()
		if err != nil {
			s.Skipf("needs iptables: apt install iptables: %s", out)
		}
		return string(out)
	}
	iptables("-P", "FORWARD", "DROP")
	before := iptables("-S")
	if strings.Contains(s.ruleset(), "FORWARD") == false {
		s.Skip("needs iptables with nf_tables, not the legacy one")
	}
	s.outside()
	b, at := s.connect("bridge", "a", "80:80")
	s.serve(b.ns, "a", "80")
	s.equal("out", ask(b.ns, "tcp", "198.51.100.2:7"), "outside 198.51.100.1")
	s.equal("iptables can read it", strings.Contains(iptables("-S"),
		"-i minidocker0"), true)
	// It starts anew when containers run already: the next one mends it.
	iptables("-F", "FORWARD")
	c, from := s.connect("bridge", "c")
	s.equal("in", ask(c.ns, "tcp", at.IP.String()+":80"),
		"a "+from.IP.String())
	s.equal("out", ask(b.ns, "tcp", "198.51.100.2:7"), "outside 198.51.100.1")
	rules := iptables("-S", "FORWARD")
	s.connect("bridge", "d")
	s.equal("no more", iptables("-S", "FORWARD"), rules)
	s.crash()
	s.equal("afterwards", iptables("-S"), before)
}

// A firewall that drops by a rule is one to tell of, until it knows the bridge.
func TestStrictFirewall(t *testing.T) {
	s := newStage(t)
	nft := func(script string) {
		out, err := exec.Command("nft", script).CombinedOutput()
		if err != nil {
			s.Skipf("needs nft: apt install nftables: %s", out)
		}
	}
	const add = "add rule inet firewalld "
	nft("add table inet firewalld")
	nft("add chain inet firewalld filter_FORWARD " +
		"{ type filter hook forward priority 10; policy accept; }")
	nft(add + "filter_FORWARD ct state established accept")
	s.connect("bridge", "a")
	s.equal("accepts", s.Warnings("bridge"), "[]")
	nft(add + "filter_FORWARD counter reject with icmpx admin-prohibited")
	list := s.Warnings("bridge")
	s.equal("warnings", len(list), 1)
	s.equal("says", strings.Contains(list[0],
		"chain inet firewalld filter_FORWARD drops"), true)
	s.equal("none", s.Warnings("nonesuch"), "[]")
	nft("add chain inet firewalld zone")
	nft(add + "zone iifname minidocker0 accept")
	s.equal("told", s.Warnings("bridge"), "[]")
	nft("flush chain inet firewalld zone")
	nft("flush chain inet firewalld filter_FORWARD")
	nft("add chain inet firewalld filter_FORWARD { policy drop; }")
	s.equal("policy", len(s.Warnings("bridge")), 1)
}

// A failed Connect leaves nothing.
func TestFailedConnect(t *testing.T) {
	s := newStage(t)
	b, _ := s.connect("bridge", "other")
	before := s.left()
	for _, r := range []Request{{Network: "nonesuch"}, {Network: "host"},
		{Network: "none"},
		{Network: "bridge", IP: "1.2.3.4"},
	} {
		r.Container = "c"
		if _, err := s.Connect(s.box().path, r); err == nil ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, path := range []string{"/nonesuch", "/dev/null",
		"/proc/self/ns/uts"} {
		_, err := s.Connect(path, Request{Network: "bridge", Container: "c"})
		s.refused(err, path)
	}
	s.equal("left", s.left(), before)
	n, _ := s.Get("bridge")
	s.equal("endpoints", len(n.Endpoints), 1)
	s.equal("endpoints", n.Endpoints[0].Container, b.id)
}

// A file that is damaged is named, and hurts no other network.
func TestDamagedFile(t *testing.T) {
	s := newStage(t)
	_, err := s.Create(Options{Name: "good"})
	s.ok(err)
	bad := filepath.Join(s.Dir, "bad.json")
	for _, text := range []string{"", "{", "[]", `{"Subnet":"x"}`,
		`{"Endpoints":[{"IP":"1"}]}`, `{"Name":"other"}`,
		`{"Name":"bad","Endpoints":[null]}`} {
		s.ok(os.WriteFile(bad, []byte(text), 0o600))
		_, err = s.Get("bad")
		s.refused(err, "bad.json")
		_, err = s.Get("good")
		s.ok(err)
		s.connect("good", "x")
		s.refused(s.Sweep(func(string) bool { return true }), "bad.json")
	}
}

// Rename and the firewall of somebody else.
func TestRename(t *testing.T) {
	s := newStage(t)
	b, _ := s.connect("bridge", "old")
	s.ok(s.Rename(b.id, "new"))
	n, _ := s.Get("bridge")
	s.equal("name", n.Endpoints[0].Name, "new")
}

// How long it takes, on a bridge that is there, the median: milliseconds.
func TestSpeed(t *testing.T) {
	s := newStage(t)
	s.connect("bridge", "first", "80:80")
	for _, ports := range [][]Port{nil, {{HostIP: netip.IPv4Unspecified(),
		HostPort: 1000, Port: 80, Proto: "tcp"}}} {
		var in, out []time.Duration
		for range 31 {
			b := s.box()
			t0 := time.Now()
			_, err := s.Connect(b.path, Request{Network: "bridge",
				Container: b.id, Ports: ports})
			s.ok(err)
			in = append(in, time.Since(t0))
			b.end()
			t0 = time.Now()
			s.ok(s.Disconnect(b.id, ""))
			out = append(out, time.Since(t0))
			time.Sleep(30 * time.Millisecond) // the kernel cleans up
		}
		slices.Sort(in)
		slices.Sort(out)
		t.Logf("%d ports: connect %v, disconnect %v", len(ports), in[15],
			out[15])
	}
}
