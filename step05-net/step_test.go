package main_test

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The C programs know the modes none and host, setns and unshare -n. "default"
// stands for what only the Go program does without an option.
var inC = []string{"none", "host", "exec", "unshare", "veth"}

// everyone runs a test as root and as an ordinary user.
func everyone(t *testing.T, feature string, f func(*testing.T, program)) {
	t.Helper()
	each(t, feature, func(t *testing.T, p program) {
		t.Run("root", func(t *testing.T) {
			needs(t, "root")
			f(t, p)
		})
		t.Run("user", func(t *testing.T) {
			needs(t, "userns")
			f(t, p.as(nobody))
		})
	})
}

// onBridge is a test of mode bridge: on a host that was no router before.
func onBridge(t *testing.T, f func(*testing.T, program)) {
	t.Helper()
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "root", "userns", "net")
		sysctl(t, "ipv4/ip_forward", "0")
		f(t, p)
	})
}

func init() {
	requirements["net"] = func() string {
		if command(0, helper("net")...).Run() != nil {
			return "bridges, veth pairs and nf_tables: make doctor " +
				"names the kernel modules"
		}
		return ""
	}
	helpers["net"] = tryNet
	helpers["links"] = showLinks
	helpers["loopback"] = useLoopback
	helpers["serve"] = serve
	helpers["call"] = call
	helpers["outside"] = outside
	helpers["in"] = inNet
	helpers["attack"] = attack

	// What the programs leave on the host's network, if they do.
	watched["nft rules"] = rules
	watched["addresses and routes"] = func() (all []string) {
		addresses, _ := netlink.AddrList(nil, netlink.FAMILY_V4)
		for _, a := range addresses {
			all = append(all, a.String())
		}
		routes, _ := netlink.RouteList(nil, netlink.FAMILY_V4)
		for _, r := range routes {
			all = append(all, r.String())
		}
		return all
	}
	// A new network namespace may begin as a router, if the machine is one. The
	// janitor puts back what was, perhaps after a test has: so all is the same.
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "helper:") {
		if os.Getenv("WORKSHOP_STAGE") != "" {
			os.WriteFile(ipv4+"ip_forward", []byte("0"), 0)
		}
	}
	watched["ip_forward"] = func() []string {
		return []string{read(ipv4 + "ip_forward")}
	}
}

const ipv4 = "/proc/sys/net/ipv4/"

// sysctl sets a switch of the stage's network until the end of the test.
func sysctl(t *testing.T, name, value string) {
	t.Helper()
	file := "/proc/sys/net/" + name
	before := read(file)
	check(t, os.WriteFile(file, []byte(value), 0))
	t.Cleanup(func() { os.WriteFile(file, []byte(before), 0) })
}

// rules are all tables, chains and rules of nf_tables that root may see.
func rules() (all []string) {
	if os.Getenv("WORKSHOP_STAGE") == "" {
		return nil
	}
	conn := &nftables.Conn{}
	tables, _ := conn.ListTables()
	for _, table := range tables {
		all = append(all, fmt.Sprint("table ", table.Family, table.Name))
	}
	chains, _ := conn.ListChains()
	for _, chain := range chains {
		all = append(all, "chain "+chain.Table.Name+" "+chain.Name)
		list, _ := conn.GetRules(chain.Table, chain)
		all = append(all, slices.Repeat([]string{"rule"}, len(list))...)
	}
	return all
}

// tryNet makes in a network namespace of its own what bridges need.
func tryNet([]string) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	hub := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a"},
		PeerName: "b"}
	conn := &nftables.Conn{}
	table := conn.AddTable(&nftables.Table{Name: "try",
		Family: nftables.TableFamilyIPv4})
	conn.AddChain(&nftables.Chain{Name: "try", Table: table,
		Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityNATDest})
	die(cmp.Or(err, netlink.LinkAdd(hub), netlink.LinkAdd(cable),
		conn.Flush()))
}

// die ends a helper that has met an error.
func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(99)
	}
}

// showLinks prints what a namespace has: its links, with their addresses if
// they are up, and its routes.
func showLinks([]string) {
	links, err := netlink.LinkList()
	die(err)
	for _, l := range links {
		name, up := l.Attrs().Name, l.Attrs().Flags&net.FlagUp != 0
		fmt.Print("link ", name, " up=", up)
		addresses, err := netlink.AddrList(l, netlink.FAMILY_V4)
		die(err)
		for _, a := range addresses {
			fmt.Print(" ", a.IPNet)
		}
		fmt.Println()
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	die(err)
	for _, r := range routes {
		if r.Gw != nil {
			fmt.Println("route", r.Dst, "via", r.Gw)
		}
	}
}

// useLoopback says whether 127.0.0.1 works: it serves and calls itself.
func useLoopback([]string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	die(err)
	go answer(l, "itself")
	fmt.Println(ask("tcp", l.Addr().String()))
}

// serve NAME (NETWORK ADDRESS)... answers who calls with its name and the
// caller's address.
func serve(args []string) {
	for rest := args[1:]; len(rest) > 1; rest = rest[2:] {
		if rest[0] == "udp" {
			c, err := net.ListenPacket("udp4", rest[1])
			die(err)
			go answerUDP(c, args[0])
		} else {
			l, err := net.Listen("tcp4", rest[1])
			die(err)
			go answer(l, args[0])
		}
	}
	fmt.Println("ready")
	select {}
}

func answer(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.WriteString(c, name+" "+host(c.RemoteAddr()))
		c.Close()
	}
}

func answerUDP(c net.PacketConn, name string) {
	for buffer := make([]byte, 100); ; {
		_, from, err := c.ReadFrom(buffer)
		if err != nil {
			return
		}
		c.WriteTo([]byte(name+" "+host(from)), from)
	}
}

// host is an address without its port.
func host(a net.Addr) string {
	h, _, _ := net.SplitHostPort(a.String())
	return h
}

// ask calls an address and returns the answer, or the errno's name.
func ask(network, address string) string {
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return name(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if network == "udp" {
		io.WriteString(c, "hello")
	}
	buffer := make([]byte, 100)
	n, err := c.Read(buffer)
	if err != nil {
		return name(err)
	}
	return string(buffer[:n])
}

// call NETWORK ADDRESS prints what ask returns.
func call(args []string) {
	fmt.Println(ask(args[0], args[1]))
}

// name is the errno's, or OK.
func name(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	} else if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
		return "timeout"
	} else if err != nil {
		return err.Error()
	}
	return "OK"
}

// outside ADDRESS is a machine that is not the host: it waits for its cable.
func outside(args []string) {
	var link netlink.Link
	for link == nil {
		time.Sleep(10 * time.Millisecond)
		link, _ = netlink.LinkByName("cable")
	}
	ip, err := netlink.ParseAddr(args[0])
	die(cmp.Or(err, netlink.AddrAdd(link, ip), netlink.LinkSetUp(link)))
	serve([]string{"outside", "tcp", ":7", "udp", ":7"})
}

// inNet PID COMMAND runs a command in the network namespace of a process.
func inNet(args []string) {
	runtime.LockOSThread()
	fd, err := unix.Open("/proc/"+args[0]+"/ns/net", unix.O_CLOEXEC, 0)
	die(cmp.Or(err, unix.Setns(fd, unix.CLONE_NEWNET)))
	die(unix.Exec(args[1], args[1:], os.Environ()))
}

// world is a network that the stage's host has a cable to: 2 is a machine
// there, 1 the host.
type world struct {
	pid     int
	host    string
	machine string
	subnet  netip.Prefix
}

// newWorld makes one with random addresses.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{subnet: randomSubnet(24)}
	ip := w.subnet.Addr().Next()
	w.host, w.machine = ip.String(), ip.Next().String()
	c := command(0, helper("outside", w.machine+"/24")...)
	c.SysProcAttr.Cloneflags = unix.CLONE_NEWNET
	c.Stderr = os.Stderr
	check(t, c.Start())
	w.pid = c.Process.Pid
	t.Cleanup(func() { c.Process.Kill(); c.Wait(); removeLink(t, "world0") })
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "world0"},
		PeerName: "cable", PeerNamespace: netlink.NsPid(w.pid)}
	check(t, netlink.LinkAdd(link))
	address, err := netlink.ParseAddr(w.host + "/24")
	check(t, cmp.Or(err, netlink.AddrAdd(link, address),
		netlink.LinkSetUp(link)))
	eventually(t, "the machine outside", func() bool {
		return ask("tcp", w.machine+":7") == "outside "+w.host
	})
	return w
}

// removeLink also waits: routes and addresses go with the link.
func removeLink(t *testing.T, name string) {
	t.Helper()
	if link, err := netlink.LinkByName(name); err == nil {
		// It goes with the network namespace of its other end, too.
		if err = netlink.LinkDel(link); err != unix.ENODEV {
			check(t, err)
		}
	}
}

// ask lets the machine outside call.
func (w *world) ask(t *testing.T, network, address string) string {
	t.Helper()
	out, err := command(0, helper("in", append([]string{
		strconv.Itoa(w.pid)}, helper("call", network, address)...)...)...).
		CombinedOutput()
	if err != nil {
		t.Fatalf("helper in: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// random is a number in [0, n).
func random(n int64) int {
	r, _ := rand.Int(rand.Reader, big.NewInt(n))
	return int(r.Int64())
}

// newName is random: no program can know it beforehand.
func newName() string { return "w" + strings.ToLower(rand.Text()[:12]) }

// newPort is one that no server of ours uses otherwise.
func newPort() string { return strconv.Itoa(2000 + random(28000)) }

// randomSubnet is somewhere in 10.0.0.0/8.
func randomSubnet(bits int) netip.Prefix {
	p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(random(256)),
		byte(random(256)), byte(random(256))}), bits)
	return p.Masked()
}

// nth is an address of a subnet.
func nth(subnet netip.Prefix, n int) string {
	ip := subnet.Addr()
	for range n {
		ip = ip.Next()
	}
	return ip.String()
}

// helped is the program with our own as its standard input. A container has
// another /tmp, but /proc/self/fd/0 leads to the helper in any.
func (p program) helped(t *testing.T) program {
	t.Helper()
	self, err := os.Open(work + "/test")
	check(t, err)
	t.Cleanup(func() { self.Close() })
	p.stdin = self
	return p
}

// byHelper is the command for such a program.
func byHelper(name string, args ...string) []string {
	return append([]string{"/proc/self/fd/0", "helper:" + name}, args...)
}

func run(args ...[]string) []string {
	return append([]string{"run"}, slices.Concat(args...)...)
}

func words(args ...string) []string { return args }

// exec1 runs a command in a running container.
func exec1(p program, t *testing.T, r *running, args ...string) string {
	t.Helper()
	pid := strconv.Itoa(r.container)
	return p.must(t, append([]string{"exec", pid}, args...)...)
}

// server starts a container that answers to name, and waits until it does.
func server(t *testing.T, p program, name string, options ...string) *running {
	t.Helper()
	r := p.helped(t).start(t, append(options, byHelper("serve", name,
		"tcp", ":80", "udp", ":80")...)...)
	eventually(t, "a server in the container", func() bool {
		return r.stdout() == "ready\n"
	})
	return r
}

// show returns what showLinks prints about a container's network.
func show(t *testing.T, p program, r *running) []string {
	t.Helper()
	return lines(exec1(p.helped(t), t, r, byHelper("links")...))
}

func lines(text string) []string {
	return strings.Split(strings.TrimSpace(text), "\n")
}

// address is that of a container's eth0, as soon as it has one.
func address(t *testing.T, p program, r *running) (ip string) {
	t.Helper()
	eventually(t, "an address on eth0", func() bool {
		for _, line := range show(t, p, r) {
			rest, _ := strings.CutPrefix(line, "link eth0 up=true ")
			if a, err := netip.ParsePrefix(rest); err == nil {
				ip = a.Addr().String()
			}
		}
		return ip != ""
	})
	return ip
}

// clean checks at once, without patience, that a program that has ended has
// taken everything with it.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range watched["network links"]() {
		if name != "lo" && name != "world0" && name != "road0" {
			t.Errorf("link %s is left", name)
		}
	}
	equal(t, "rules left", rules(), []string(nil))
	equal(t, "ip_forward", read(ipv4+"ip_forward"), "0\n")
}

// gone waits until all that this test has started is gone.
func gone(t *testing.T) {
	t.Helper()
	eventually(t, "the end of all processes", func() bool {
		return len(tagged(seen.tag)) == 0
	})
}

// The namespaces that a container of this step has to itself.
var isolated = []string{"ipc", "mnt", "net", "pid", "pid_for_children",
	"user", "uts"}

func TestNamespacesThatDiffer(t *testing.T) {
	before := ns(us, "net")
	everyone(t, "none", func(t *testing.T, p program) {
		r := p.start(t, "--network", "none", "sleep", "1000")
		equal(t, "none", differ(t, us, r.container), isolated)
		equal(t, "the parent", len(differ(t, us, r.pid)), 0)
		equal(t, "our own", ns(us, "net"), before)
	})
	everyone(t, "host", func(t *testing.T, p program) {
		r := p.start(t, "--network", "host", "sleep", "1000")
		equal(t, "host", differ(t, us, r.container), without("net"))
	})
	onBridge(t, func(t *testing.T, p program) {
		r := p.start(t, "sleep", "1000")
		equal(t, "bridge", differ(t, us, r.container), isolated)
		equal(t, "our own", ns(us, "net"), before)
	})
}

// without is isolated, but for one.
func without(kind string) []string {
	return slices.DeleteFunc(slices.Clone(isolated), func(k string) bool {
		return k == kind
	})
}

// Mode none: a loopback of one's own, which works, and nothing else.
func TestNoneHasOnlyLoopback(t *testing.T) {
	everyone(t, "none", func(t *testing.T, p program) {
		p = p.helped(t)
		none := words("--network", "none")
		got := p.must(t, run(none, byHelper("links"))...)
		equal(t, "links", got, "link lo up=true 127.0.0.1/8")
		equal(t, "127.0.0.1", p.must(t, run(none, byHelper("loopback"))...),
			"itself 127.0.0.1")
		far := p.must(t, run(none, byHelper("call", "tcp", "192.0.2.1:7"))...)
		equal(t, "anything else", far, "ENETUNREACH")
	})
}

// The hole of the last step is closed: the host's loopback, and the sockets
// that have a name in place of a file, are no longer those of the container.
func TestHostsServersAreOutOfReach(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	go answer(l, "host")
	abstract := "@" + newName()
	u, err := net.Listen("unix", abstract)
	check(t, err)
	defer u.Close()
	go answer(u, "host")
	address := l.Addr().String()
	equal(t, "the host itself", ask("tcp", address), "host 127.0.0.1")
	equal(t, "the host itself", ask("unix", abstract), "host ")
	everyone(t, "none", func(t *testing.T, p program) {
		p = p.helped(t)
		for _, target := range [][]string{{"tcp", address},
			{"unix", abstract}} {
			got := p.must(t, run(words("--network", "none"),
				byHelper("call", target...))...)
			equal(t, strings.Join(target, " "), got, "ECONNREFUSED")
		}
	})
	onBridge(t, func(t *testing.T, p program) {
		got := p.helped(t).must(t, run(byHelper("call", "tcp", address))...)
		equal(t, "from the bridge", got, "ECONNREFUSED")
	})
}

// Mode host: what the host has, as in the last step.
func TestHostIsTheHosts(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	go answer(l, "host")
	everyone(t, "host", func(t *testing.T, p program) {
		p = p.helped(t)
		got := p.must(t, run(words("--network", "host"), byHelper("call",
			"tcp", l.Addr().String()))...)
		equal(t, "the host's server", got, "host 127.0.0.1")
		got = p.must(t, "run", "--network", "host", "cat", "/proc/net/dev")
		for _, name := range watched["network links"]() {
			if !strings.Contains(got, name+":") {
				t.Errorf("no %s in\n%s", name, got)
			}
		}
		before := read(ipv4 + "ip_forward")
		stdout, stderr, status := p.run(t, "run", "--network", "host", "sh",
			"-c", "echo 2 >/proc/sys/net/ipv4/ip_forward")
		if status == 0 || stdout != "" ||
			read(ipv4+"ip_forward") != before {
			t.Errorf("root inside may change it: status %d\n%s", status,
				stderr)
		}
	})
}

// /sys/class/net is the network of who mounted /sys. The last step had the
// host's there.
func TestSysShowsOwnNetwork(t *testing.T) {
	list := "ls /sys/class/net | xargs; " +
		"(echo 1400 >/sys/class/net/lo/mtu) || echo ro"
	everyone(t, "none", func(t *testing.T, p program) {
		stdout, _, _ := p.run(t, "run", "--network", "none", "sh", "-c", list)
		equal(t, "/sys inside", stdout, "lo\nro\n")
		needs(t, "rootfs")
		root := copyRootfs(t, p.uid)
		stdout, _, _ = p.run(t, "run", "--network", "none", "--rootfs", root,
			"sh", "-c", list)
		equal(t, "with --rootfs", stdout, "lo\nro\n")
	})
	onBridge(t, func(t *testing.T, p program) {
		stdout, _, _ := p.run(t, "run", "sh", "-c", list)
		equal(t, "bridge", stdout, "eth0 lo\nro\n")
	})
}

// Mode bridge, from inside and from outside.
func TestBridge(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		clean(t) // to show that something goes, show first that it came
		subnet := randomSubnet(24)
		r := p.start(t, "--subnet", subnet.String(), "sleep", "1000")
		gateway, ip := nth(subnet, 1), nth(subnet, 2)
		var got []string
		eventually(t, "the network inside", func() bool {
			got = show(t, p, r)
			return len(got) == 3 && strings.Contains(got[1], "up=true")
		})
		equal(t, "inside", got, []string{"link lo up=true 127.0.0.1/8",
			"link eth0 up=true " + ip + "/24",
			"route 0.0.0.0/0 via " + gateway})

		hub, err := netlink.LinkByName("workshop0")
		check(t, err)
		addresses, err := netlink.AddrList(hub, netlink.FAMILY_V4)
		check(t, err)
		equal(t, "the bridge's addresses", len(addresses), 1)
		equal(t, "the bridge's address", addresses[0].IPNet.String(),
			gateway+"/24")
		end, err := netlink.LinkByName(fmt.Sprint("ws", r.pid))
		check(t, err)
		equal(t, "the host's end", []any{end.Type(), end.Attrs().MasterIndex,
			end.Attrs().AltNames}, []any{"veth", hub.Attrs().Index,
			[]string{ip}})
		port, err := netlink.LinkGetProtinfo(end)
		check(t, err)
		equal(t, "hairpin", port.Hairpin, true)
		equal(t, "ip_forward", read(ipv4+"ip_forward"), "1\n")
		equal(t, "tables", slices.ContainsFunc(rules(), func(s string) bool {
			return strings.HasSuffix(s, fmt.Sprint("workshop-", r.pid))
		}), true)

		r.signal(unix.SIGTERM)
		equal(t, "status", r.wait(t), 128+15)
		clean(t)
	})
}

// The default subnet, and a router that stays one.
func TestDefaults(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		sysctl(t, "ipv4/ip_forward", "1")
		r := p.start(t, "sleep", "1000")
		equal(t, "address", address(t, p, r), "172.29.0.2")
		r.signal(unix.SIGTERM)
		r.wait(t)
		equal(t, "ip_forward", read(ipv4+"ip_forward"), "1\n")
		r = p.start(t, "--network", "bridge", "sleep", "1000")
		equal(t, "by name", address(t, p, r), "172.29.0.2")
		r.signal(unix.SIGTERM) // it puts ip_forward back: before sysctl does
		r.wait(t)
	})
}

// The first container makes the bridge, the last removes it. Its hardware
// address stays: who knows it would lose the way for a while.
func TestLastContainerTakesTheBridge(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		mac := func() string {
			hub, err := netlink.LinkByName("workshop0")
			check(t, err)
			return hub.Attrs().HardwareAddr.String()
		}
		first := server(t, p, "first")
		// Left to itself, a bridge has the lowest address of its cables.
		end, err := netlink.LinkByName(fmt.Sprint("ws", first.pid))
		check(t, err)
		check(t, netlink.LinkSetHardwareAddr(end,
			net.HardwareAddr{0xfe, 0xff, 0xff, 0xff, 0xff, 0xfe}))
		before := mac()
		for range 2 {
			other := p.start(t, "sleep", "1000")
			equal(t, "with a second container", mac(), before)
			equal(t, "its address", address(t, p, other), "172.29.0.3")
			other.signal(unix.SIGTERM)
			other.wait(t)
			equal(t, "without it", mac(), before)
		}
		equal(t, "the first still answers", ask("tcp", "172.29.0.2:80"),
			"first 172.29.0.1")
		equal(t, "ip_forward", read(ipv4+"ip_forward"), "1\n")
		first.signal(unix.SIGKILL)
		first.wait(t)
		gone(t)
		clean(t)
	})
}

// Containers reach each other by their addresses, which nobody translates,
// also where br_netfilter (for Docker, say) shows the bridge's packets to us.
func TestContainersReachEachOther(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		server(t, p, "one")
		p = p.helped(t)
		const call = "bridge/bridge-nf-call-iptables"
		for _, value := range []string{"0", "1"} {
			if read("/proc/sys/net/"+call) != "" {
				sysctl(t, call, value)
			}
			for _, network := range []string{"tcp", "udp"} {
				got := p.must(t, run(byHelper("call", network,
					"172.29.0.2:80"))...)
				equal(t, network, got, "one 172.29.0.3")
			}
		}
	})
}

// No two addresses are alike, also when 30 start at once.
func TestManyAtOnce(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		const many = 30
		subnet := randomSubnet(26)
		var all []*running
		for range many {
			all = append(all, p.begin(t, "run", "--subnet", subnet.String(),
				"sh", "-c", "while [ ! -d /sys/class/net/eth0 ]; do "+
					"sleep 0.1; done; cat /proc/net/fib_trie; exec sleep 1000"))
		}
		seen := map[string]bool{}
		for _, r := range all {
			eventually(t, "an address", func() bool {
				if r.ended() {
					t.Fatal(r.stderr())
				}
				return strings.Contains(r.stdout(), "32 host LOCAL")
			})
			for i := 2; i < many+2; i++ {
				if strings.Contains(r.stdout(), "-- "+nth(subnet, i)+"\n") {
					seen[nth(subnet, i)] = true
				}
			}
		}
		equal(t, "different addresses", len(seen), many)
		for _, r := range all {
			r.signal(unix.SIGTERM)
		}
		for _, r := range all {
			equal(t, "status", r.wait(t), 128+15)
		}
		clean(t)
	})
}

// A small subnet is full, and says so; when one leaves there is room again.
func TestSubnetIsFull(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		subnet := randomSubnet(29)
		args := words("--subnet", subnet.String(), "sleep", "1000")
		var all []*running
		for i := range 5 {
			r := p.start(t, args...)
			equal(t, "address", address(t, p, r), nth(subnet, i+2))
			all = append(all, r)
		}
		p.refuses(t, 125, words("workshop0", "EEXIST", "no address"),
			run(args)...)
		all[2].signal(unix.SIGTERM)
		all[2].wait(t)
		r := p.start(t, args...)
		equal(t, "the address that was left", address(t, p, r),
			nth(subnet, 4))
	})
}

// NAT: the world outside has no route to the subnet, and needs none. Without
// it, no answer would come.
func TestNAT(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		w := newWorld(t)
		p = p.helped(t)
		for _, network := range []string{"tcp", "udp"} {
			got := p.must(t, run(byHelper("call", network, w.machine+":7"))...)
			equal(t, network+" outside", got, "outside "+w.host)
		}
		r := server(t, p, "hidden")
		ip := address(t, p, r)
		equal(t, "the host reaches it", ask("tcp", ip+":80"),
			"hidden 172.29.0.1")
		equal(t, "the world does not", w.ask(t, "tcp", ip+":80"),
			"ENETUNREACH")
	})
}

// Published ports: every way leads to the container.
func TestPublish(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		w, tcp, udp := newWorld(t), newPort(), newPort()
		equal(t, "before", ask("tcp", "127.0.0.1:"+tcp), "ECONNREFUSED")
		r := server(t, p, "web", "--publish", tcp+":80", "--publish",
			udp+":80/udp")
		p = p.helped(t)
		for network, port := range map[string]string{"tcp": tcp, "udp": udp} {
			inside := byHelper("call", network, w.host+":"+port)
			for way, got := range map[string][]string{
				"from 127.0.0.1": {ask(network, "127.0.0.1:"+port),
					"web 172.29.0.1"},
				"by the host's address": {ask(network, w.host+":"+port),
					"web " + w.host},
				"by the bridge's address": {ask(network, "172.29.0.1:"+port),
					"web 172.29.0.1"},
				"from outside": {w.ask(t, network, w.host+":"+port),
					"web " + w.machine},
				"from another container": {p.must(t, run(inside)...),
					"web 172.29.0.1"},
				"from itself": {exec1(p, t, r, inside...), "web 172.29.0.1"},
			} {
				equal(t, network+" "+way, got[0], got[1])
			}
		}
		// Only these: the same number of the other protocol is not ours.
		equal(t, "udp is not tcp", ask("tcp", "127.0.0.1:"+udp),
			"ECONNREFUSED")
		// Only this host's: who calls somebody else's port gets that one.
		got := p.must(t, run(words("--publish", "7:80"), byHelper("call",
			"tcp", w.machine+":7"))...)
		equal(t, "port 7 of another machine", got, "outside "+w.host)
		r.signal(unix.SIGTERM)
		r.wait(t)
		equal(t, "afterwards", ask("tcp", "127.0.0.1:"+tcp), "ECONNREFUSED")
		clean(t)
	})
}

// The host's 127.0.0.1 reaches published ports, and for that the bridge lets
// such addresses pass. Not from the container, though its root can send them.
func TestHostsLoopbackIsClosedToTheBridge(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		port := newPort()
		l, err := net.Listen("tcp4", "127.0.0.1:"+port)
		check(t, err)
		defer l.Close()
		go answer(l, "secret")
		equal(t, "the host", ask("tcp", "127.0.0.1:"+port),
			"secret 127.0.0.1")
		server(t, p, "web", "--publish", newPort()+":80")
		p = p.helped(t)
		try := run(byHelper("attack", "172.29.0.1", "127.0.0.1:"+port))
		equal(t, "through the gateway", p.must(t, try...), "timeout")
		// Without our rules it would work: first try, then believe.
		r := p.start(t, append(byHelper("attack", "172.29.0.1",
			"127.0.0.1:"+port), "wait")...)
		conn := &nftables.Conn{}
		conn.FlushRuleset()
		check(t, conn.Flush())
		equal(t, "without rules", func() string {
			r.wait(t)
			return strings.TrimSpace(r.stdout())
		}(), "secret 172.29.0.3")
	})
}

// attack GATEWAY ADDRESS [wait] calls an address 127.x by way of the gateway.
func attack(args []string) {
	lo, err := netlink.LinkByName("lo")
	die(err)
	own, err := netlink.ParseAddr("127.0.0.1/8")
	_, dst, err2 := net.ParseCIDR("127.0.0.0/8")
	die(cmp.Or(err, err2, netlink.AddrDel(lo, own), netlink.RouteAdd(
		&netlink.Route{Dst: dst, Gw: net.ParseIP(args[0])}),
		os.WriteFile(ipv4+"conf/eth0/route_localnet", []byte("1"), 0)))
	for range 3 {
		if len(args) > 2 {
			time.Sleep(time.Second)
		}
		c, err := net.DialTimeout("tcp", args[1], 1500*time.Millisecond)
		if err == nil {
			text, _ := io.ReadAll(c)
			fmt.Println(string(text))
			return
		} else if len(args) < 3 {
			fmt.Println(name(err))
			return
		}
	}
}

// A port belongs to one program of the host, whoever comes first.
func TestPortIsTaken(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		port := newPort()
		publish := words("--publish", port+":80")
		l, err := net.Listen("tcp", ":"+port)
		check(t, err)
		p.refuses(t, 125, words("bind", port, "EADDRINUSE"), run(publish,
			words("true"))...)
		clean(t)
		// UDP has its own numbers.
		p.must(t, run(words("--publish", port+":80/udp", "true"))...)
		check(t, l.Close())

		server(t, p, "first", publish...)
		p.refuses(t, 125, words("bind", port, "EADDRINUSE"), run(publish,
			words("true"))...)
		equal(t, "the first still answers", ask("tcp", "127.0.0.1:"+port),
			"first 172.29.0.1")
		_, err = net.Listen("tcp4", ":"+port)
		equal(t, "the host's programs", name(err), "EADDRINUSE")
	})
	onBridge(t, func(t *testing.T, p program) {
		port := newPort() // free again as soon as run has ended
		for range 3 {
			p.must(t, "run", "--publish", port+":80", "--publish",
				port+":53/udp", "true")
		}
	})
}

// A subnet whose addresses have another use is refused, and nothing is left.
func TestSubnetClash(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		subnet := randomSubnet(20)
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "road0"},
			PeerName: "road1"}
		check(t, netlink.LinkAdd(link))
		t.Cleanup(func() { removeLink(t, "road0") })
		check(t, netlink.LinkSetUp(link))
		_, dst, err := net.ParseCIDR(subnet.String())
		check(t, err)
		check(t, netlink.RouteAdd(&netlink.Route{Dst: dst,
			LinkIndex: link.Index}))
		_, all, _ := net.ParseCIDR("0.0.0.0/0")
		check(t, netlink.RouteAdd(&netlink.Route{Dst: all,
			LinkIndex: link.Index}))
		for _, bits := range []int{16, 20, 24} { // around it, it, in it
			clash := netip.PrefixFrom(subnet.Addr(), bits).Masked().String()
			p.refuses(t, 125, words("--subnet "+clash, "route "+
				subnet.String()), "run", "--subnet", clash, "true")
			equal(t, "rules left", rules(), []string(nil))
		}
		// A default route leads everywhere and is no clash.
		p.must(t, "run", "true")
	})
}

// Containers of two subnets share the bridge.
func TestTwoSubnets(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		subnet := randomSubnet(24)
		server(t, p, "one")
		two := p.start(t, "--subnet", nth(subnet, 77)+"/24", "sleep", "1000")
		equal(t, "address", address(t, p, two), nth(subnet, 2))
		got := exec1(p.helped(t), t, two, byHelper("call", "tcp",
			"172.29.0.2:80")...)
		equal(t, "by way of the host", got, "one "+nth(subnet, 2))
	})
}

// Mode container: two containers, one network.
func TestContainerShares(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		port := newPort()
		one := server(t, p, "one", "--publish", port+":80")
		other := "container:" + strconv.Itoa(one.container)
		two := p.helped(t).start(t, append(words("--network", other),
			byHelper("serve", "two", "tcp", ":8081")...)...)
		equal(t, "the namespace", ns(two.container, "net"),
			ns(one.container, "net"))
		equal(t, "the others", differ(t, one.container, two.container),
			without("net"))
		equal(t, "the parent", ns(two.pid, "net"), ns(one.container, "net"))
		p = p.helped(t)
		got := p.must(t, run(words("--network", other), byHelper("call",
			"tcp", "127.0.0.1:80"))...)
		equal(t, "127.0.0.1 is both's", got, "one 127.0.0.1")
		eventually(t, "the second server", func() bool {
			return two.stdout() == "ready\n"
		})
		equal(t, "one address, two servers", ask("tcp", "172.29.0.2:8081"),
			"two 172.29.0.1")
		equal(t, "exec", exec1(p, t, two, byHelper("call", "tcp",
			"127.0.0.1:80")...), "one 127.0.0.1")
		two.signal(unix.SIGTERM)
		two.wait(t)
		equal(t, "the first still answers", ask("tcp", "127.0.0.1:"+port),
			"one 172.29.0.1")
	})
	onBridge(t, func(t *testing.T, p program) {
		one := p.start(t, "--network", "none", "sleep", "1000")
		below(t, one.container, "sleep") // by then its network is set up
		for _, other := range []string{strconv.Itoa(one.container),
			fmt.Sprintf("/proc/%d/ns/net", one.container)} {
			got := p.helped(t).must(t, run(words("--network",
				"container:"+other), byHelper("links"))...)
			equal(t, "none's, by "+other, got, "link lo up=true 127.0.0.1/8")
		}
		other := "container:" + strconv.Itoa(one.container)
		p.refuses(t, 125, words("publish", "bridge"), "run", "--network",
			other, "--publish", "1:1", "true")
	})
}

// Without root there is no bridge on the host, and run says so once.
func TestUserHasNoBridge(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		needs(t, "userns")
		p = p.as(nobody).helped(t)
		stdout, stderr, status := p.run(t, run(byHelper("links"))...)
		equal(t, "by default", []any{strings.TrimSpace(stdout), status},
			[]any{"link lo up=true 127.0.0.1/8", 0})
		equal(t, "lines about it", strings.Count(stderr, "network none"), 1)
		_, stderr, _ = p.run(t, "run", "--network", "none", "true")
		equal(t, "when it was asked for", strings.Contains(stderr, "network"),
			false)
		p.refuses(t, 125, words("workshop0", "EPERM"), "run", "--network",
			"bridge", "true")
		p.refuses(t, 125, words("publish", "bridge"), "run", "--publish",
			"8080:80", "true")

		one := p.start(t, "--network", "none", "sleep", "1000")
		p.refuses(t, 125, words("network container:", "EPERM"), "run",
			"--network", fmt.Sprint("container:", one.container), "true")
		if os.Getuid() == 0 {
			p.refuses(t, 125, words("network container:", "EACCES"), "run",
				"--network", fmt.Sprint("container:", us), "true")
		}
	})
	onBridge(t, func(t *testing.T, p program) {
		// And root says nothing about it.
		_, stderr, _ := p.run(t, "run", "true")
		equal(t, "lines of root's", strings.Count(stderr, "\n"), 4)
	})
}

func TestBadInput(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		for _, port := range []string{"", "80", "0:80", "80:0", "65536:80",
			"80:65536", "-1:80", "80:80/sctp", "80:80/", "80:80/udp/x", "x:80",
			"80:x", "80:80:80", "127.0.0.1:80:80", "80,81:80"} {
			p.refuses(t, 125, words("publish "+port, "HOST:INSIDE[/udp]"),
				"run", "--publish", port, "true")
		}
		for _, subnet := range []string{"", "x", "10.0.0.0", "10.0.0.0/33",
			"10.0.0.256/24", "fd00::/64"} {
			p.refuses(t, 125, words("subnet "+subnet, "A.B.C.D/N"), "run",
				"--subnet", subnet, "true")
		}
		for _, subnet := range []string{"10.9.8.0/31", "10.9.8.7/32"} {
			p.refuses(t, 125, words("workshop0", "EEXIST", "no address"), "run",
				"--subnet", subnet, "true")
		}
		for _, mode := range []string{"bride", "container:", "BRIDGE"} {
			p.refuses(t, 125, words("network "+mode, "ENOENT",
				"none, host, bridge or container:PID"), "run", "--network",
				mode, "true")
		}
		for _, mode := range []string{"none", "host"} {
			p.refuses(t, 125, words("publish", "bridge", mode), "run",
				"--network", mode, "--publish", "80:80", "true")
		}
		dead := command(0, "true")
		check(t, dead.Run())
		p.refuses(t, 125, words("ESRCH"), "run", "--network",
			fmt.Sprint("container:", dead.Process.Pid), "true")
		p.refuses(t, 125, words("no container"), "run", "--network",
			fmt.Sprint("container:", us), "true")
		p.refuses(t, 125, words("EINVAL"), "run", "--network",
			"container:/proc/self/ns/uts", "true")
		p.refuses(t, 127, words("nonesuch"), "run", "nonesuch")
		p.refuses(t, 125, words("ENOENT"), "run", "--rootfs",
			"/nonesuch",
			"true")
		clean(t)
	})
	each(t, "none", func(t *testing.T, p program) {
		needs(t, "userns")
		p.refuses(t, 125, nil, "run", "--network")
		p.refuses(t, 125, words("bride"), "run", "--network", "bride", "true")
	})
}

// Whatever ends a container, nothing of its network is left: by the time that
// run has ended, if it can still do something about it.
func TestNothingIsLeft(t *testing.T) {
	// A shell's background job ignores ^C, and so does what it starts: unless
	// it has a handler in between.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGINT)
	defer signal.Stop(caught)
	args := words("--publish", newPort()+":80", "sh", "-c",
		"sleep 1000 & exec sleep 999")
	onBridge(t, func(t *testing.T, p program) {
		for _, s := range []syscall.Signal{unix.SIGINT, unix.SIGTERM} {
			r := p.start(t, args...)
			below(t, r.container, "sleep")
			equal(t, "it is there", len(rules()) > 0, true)
			r.signal(s)
			equal(t, "status", r.wait(t), 128+int(s))
			clean(t)
		}
		r := p.start(t, args...)
		unix.Kill(r.container, unix.SIGKILL)
		r.wait(t)
		clean(t)
		p.dies(t, unix.SIGKILL, args...)
		clean(t)
	})
}

// A terminal's signal, or a kill of the whole group, does not reach who cleans.
func TestNothingIsLeftByAGroup(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		for _, s := range []syscall.Signal{unix.SIGKILL, unix.SIGHUP} {
			c := command(0, p.argv("run", "sleep", "1000")...)
			c.SysProcAttr.Setpgid = true
			check(t, c.Start())
			below(t, c.Process.Pid, "sleep")
			check(t, unix.Kill(-c.Process.Pid, s))
			c.Wait()
			gone(t)
			clean(t)
		}
	})
}

// Killed at any moment of its start, run leaves nothing, and those that start
// at the same time do not notice.
func TestKilledWhileStarting(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		port := newPort()
		for i := range 30 {
			var victims []*running
			for _, command := range []string{"true", "nonesuch"} {
				victims = append(victims, p.begin(t, "run", "--publish",
					port+":80", command))
			}
			other := p.begin(t, "run", "sh", "-c", "cat /proc/net/fib_trie")
			time.Sleep(time.Duration(i*2+random(3)) * time.Millisecond)
			for _, v := range victims {
				v.signal(unix.SIGKILL)
				v.wait(t)
			}
			if other.wait(t) != 0 ||
				!strings.Contains(other.stdout(), "-- 172.29.0.") {
				t.Errorf("another container:\n%s", other.stderr())
			}
			gone(t)
			clean(t)
		}
	})
}

// The lock, the sockets that hold ports and the janitor's pipe stay ours.
func TestNoFileLeaksToTheCommand(t *testing.T) {
	files := func(pid int) (names []string) {
		pid = below(t, pid, "sleep")
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		check(t, err)
		for _, f := range list {
			names = append(names, f.Name())
		}
		return names
	}
	want := words("0", "1", "2")
	everyone(t, "none", func(t *testing.T, p program) {
		r := p.start(t, "--network", "none", "sleep", "1000")
		equal(t, "files of run's command", files(r.container), want)
		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
		equal(t, "files of exec's command", files(second.pid), want)
		// unshare keeps what it was given, and adds nothing.
		third := p.begin(t, "unshare", "-Un", "--kill-child", "KILL", "sleep",
			"998")
		dir := fmt.Sprintf("/proc/%d/fd/", below(t, third.pid, "sleep"))
		for _, name := range files(third.pid) {
			link, _ := os.Readlink(dir + name)
			equal(t, "a namespace", strings.HasPrefix(link, "net:"), false)
		}
	})
	onBridge(t, func(t *testing.T, p program) {
		r := p.start(t, "--publish", newPort()+":80", "sleep", "1000")
		equal(t, "files of run's command", files(r.container), want)
	})
}

// below waits until a process that is below pid has executed the program name.
func below(t *testing.T, pid int, name string) (found int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s below %d", name, pid), func() bool {
		found = descendant(pid, name)
		return found != 0
	})
	return found
}

func descendant(pid int, name string) int {
	for _, child := range children(pid) {
		if read(fmt.Sprintf("/proc/%d/comm", child)) == name+"\n" {
			return child
		}
		if found := descendant(child, name); found != 0 {
			return found
		}
	}
	return 0
}

// exec is one more process of the container, in its network too.
func TestExecJoinsNet(t *testing.T) {
	everyone(t, "exec", func(t *testing.T, p program) {
		r := p.start(t, "--network", "none", "sleep", "1000")
		second := p.begin(t, "exec", strconv.Itoa(r.container), "sleep", "999")
		child := below(t, second.pid, "sleep")
		equal(t, "exec's command and the host", differ(t, us, child), isolated)
		equal(t, "exec's command and the container",
			len(differ(t, r.container, child)), 0)
	})
	each(t, "exec", func(t *testing.T, p program) {
		needs(t, "root", "userns")
		p = p.helped(t)
		r := p.start(t, "--network", "none", "sleep", "1000")
		file := fmt.Sprintf("/proc/%d/ns/net", r.container)
		got := p.must(t, append(words("exec", file), byHelper("links")...)...)
		equal(t, "by file", got, "link lo up=true 127.0.0.1/8")
		got = p.must(t, "exec", file, "uname", "-n")
		equal(t, "by file, the host's name", got, hostname())
	})
}

func hostname() string {
	name, _ := os.Hostname()
	return name
}

// A new network namespace as the kernel makes it: run has set its up.
func TestUnshare(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root")
		before, p := ns(us, "net"), p.helped(t)
		got := p.must(t, append(words("unshare", "-n"),
			byHelper("links")...)...)
		equal(t, "links", got, "link lo up=false")
		got = p.must(t, "unshare", "-n", "readlink", "/proc/self/ns/net")
		equal(t, "a namespace of its own", got == before, false)
		got = p.must(t, "unshare", "-u", "readlink", "/proc/self/ns/net")
		equal(t, "without -n", got, before)
		equal(t, "ours", ns(us, "net"), before)
	})
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "userns")
		p = p.as(nobody).helped(t)
		got := p.must(t, append(words("unshare", "-U", "-n"),
			byHelper("links")...)...)
		equal(t, "a user's, with -U", got, "link lo up=false")
		p.refuses(t, 125, words("unshare", "EPERM", "-U"), "unshare", "-n",
			"true")
	})
}

// Who only pretends to be the child, or the janitor, changes nothing: this is
// the host.
func TestPretenders(t *testing.T) {
	with(t, "go", func(t *testing.T, p program) {
		mounts := mountinfo(us)
		null, err := os.Open(os.DevNull)
		check(t, err)
		defer null.Close()
		for _, gate := range [][]*os.File{{null}, nil} { // descriptor 3
			c := command(os.Getuid(), work+"/step", "run", "echo", "in")
			c.Args[0], c.ExtraFiles = "container", gate
			out, _ := c.CombinedOutput()
			equal(t, fmt.Sprint(gate), []any{string(out),
				c.ProcessState.ExitCode()}, []any{"", 125})
		}
		equal(t, "mounts", mountinfo(us), mounts)
	})
	onBridge(t, func(t *testing.T, p program) {
		server(t, p, "one")
		before := rules()
		for _, id := range []string{"", "1", "x"} {
			_, stderr, status := p.run(t, "janitor", id)
			equal(t, "janitor "+id, []any{stderr, status}, []any{"", 0})
		}
		equal(t, "rules", rules(), before)
		equal(t, "the container answers", ask("tcp", "172.29.0.2:80"),
			"one 172.29.0.1")
	})
}

// A container in a container has a bridge there: who owns a network namespace
// is root of it. Two translations lie between it and the world.
func TestNested(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		needs(t, "rootfs")
		w := newWorld(t)
		subnet := randomSubnet(24).String()
		got := p.must(t, run(words("--rootfs", copyRootfs(t, 0), "--volume",
			work+":/mnt", "/mnt/step", "run", "--subnet", subnet, "nc",
			w.machine, "7"))...)
		equal(t, "the world outside", got, "outside "+w.host)
	})
}

// The hole that the next step closes: nothing limits what a container takes.
// It is counted with us, and may have as many processes as we.
func TestHoleNoLimits(t *testing.T) {
	const many = 300
	script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do sleep 1000 & "+
		"i=$((i+1)); done; echo done; wait", many)
	everyone(t, "none", func(t *testing.T, p program) {
		r := p.start(t, "--network", "none", "sh", "-c", script)
		equal(t, "its cgroups", read(fmt.Sprintf("/proc/%d/cgroup",
			r.container)), read("/proc/self/cgroup"))
		eventually(t, "all its processes", func() bool {
			return r.stdout() == "done\n" && len(tagged(seen.tag)) > many
		})
		r.signal(unix.SIGKILL)
		gone(t)
	})
}

// The C program makes the cable that run uses: two links, of which one is in
// the container. They go together.
func TestVethInC(t *testing.T) {
	with(t, "c", func(t *testing.T, p program) {
		needs(t, "root", "userns", "net")
		r := p.helped(t).start(t, "--network", "none", "sleep", "1000")
		name := fmt.Sprint("ws", r.pid)
		p.must(t, "veth", name, strconv.Itoa(r.container))
		link, err := netlink.LinkByName(name)
		check(t, err)
		equal(t, "the host's end", link.Type(), "veth")
		below(t, r.container, "sleep")
		got := show(t, p, r)
		equal(t, "inside", got, words("link lo up=true 127.0.0.1/8",
			"link eth0 up=false"))
		p.refuses(t, 125, words("RTM_NEWLINK", name, "EEXIST"), "veth", name,
			strconv.Itoa(r.container))
		p.refuses(t, 125, words("use veth"), "veth", name)
		dead := command(0, "true")
		check(t, dead.Run())
		p.refuses(t, 125, words("RTM_NEWLINK", "ESRCH"), "veth", "ws0",
			strconv.Itoa(dead.Process.Pid))
		p.as(nobody).refuses(t, 125, words("EPERM", "sudo"), "veth", "ws0",
			strconv.Itoa(r.container))
		r.signal(unix.SIGKILL)
		gone(t)
	})
}

// The program dies between clone(2) and prctl(2), by which the container asks
// to be told.
func TestOrphanEnds(t *testing.T) {
	each(t, "none", func(t *testing.T, p program) {
		needs(t, "root")
		p.orphan(t, "run", "--network", "none", "sleep", "1000")
	})
}
