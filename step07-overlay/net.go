package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/urfave/cli/v2"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const bridge, ipv4, ours = "workshop0", "/proc/sys/net/ipv4/", "workshop-"

// The containers of a bridge share a network namespace: it is their lock.
var netns, _ = unix.Open("/proc/self/ns/net", unix.O_CLOEXEC, 0)

// newNet chooses the network. A new network namespace has only a loopback,
// which is down. To share another's we enter it: a child starts where we are.
func newNet(c *cli.Context) (flags uintptr, err error) {
	if !c.IsSet("network") && os.Getuid() != 0 {
		say("Parent", "network none: a bridge on the host is for root")
		c.Set("network", "none")
	}
	mode := c.String("network")
	flags, ok := map[string]uintptr{"none": unix.CLONE_NEWNET, "host": 0,
		"": unix.CLONE_NEWNET, "bridge": unix.CLONE_NEWNET}[mode]
	if !ok {
		fd, _, bad := target(strings.TrimPrefix(mode, "container:"))
		err = cmp.Or(bad, unix.Setns(fd, unix.CLONE_NEWNET))
	}
	return flags, failed("network", mode, err)
}

// setNet is the container's own part: who owns a network namespace sets it up,
// and may mount the /sys that shows it.
func setNet(network string) error {
	ip, err := netlink.ParseAddr(network)
	if err != nil && network != "none" {
		return nil // the host's, or another container's
	}
	err = netlink.LinkSetUp(named("lo"))
	if ip != nil {
		gateway := netip.MustParsePrefix(network).Masked().Addr().Next()
		err = cmp.Or(err, netlink.AddrAdd(named("eth0"), ip),
			netlink.LinkSetUp(named("eth0")),
			netlink.RouteAdd(&netlink.Route{Gw: gateway.AsSlice()}))
	}
	return failed("set up", "network", cmp.Or(err,
		unix.Mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY, "")))
}

func named(name string) netlink.Link {
	return &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
}

// connect sets up the host's part, and tells the container at the gate.
func connect(c *cli.Context, pid int, gate *os.File) error {
	network, ports := c.String("network"), c.StringSlice("publish")
	if network == "" || network == "bridge" {
		subnet, _ := netip.ParsePrefix(c.String("subnet"))
		if !subnet.Addr().Is4() {
			return fmt.Errorf("subnet %s: not A.B.C.D/N", c.String("subnet"))
		}
		unix.Flock(netns, unix.LOCK_EX)
		defer unix.Flock(netns, unix.LOCK_UN)
		ip, err := plug(subnet.Masked(), pid)
		if err = cmp.Or(err, addNAT(ip.AsSlice(), ports)); err != nil {
			return err
		}
		network = netip.PrefixFrom(ip, subnet.Bits()).String()
	} else if len(ports) > 0 {
		return fmt.Errorf("publish: needs --network bridge, not %s", network)
	}
	gate.WriteString(network)
	return nil
}

// plug makes a veth pair, a cable from the bridge to the container's eth0. The
// first makes the bridge and the host a router: the bridge's alias remembers
// what it was. The first address that is no cable's other name is ours, so
// nobody keeps a list. A bridge without a hardware address borrows a cable's.
func plug(subnet netip.Prefix, pid int) (netip.Addr, error) {
	end, ip := fmt.Sprint("ws", os.Getpid()), subnet.Addr().Next()
	gateway, _ := netlink.ParseAddr(fmt.Sprint(ip, "/", subnet.Bits()))
	hub, err := netlink.LinkByName(bridge)
	if err != nil { // under our name the janitor finds it half done
		was, _ := os.ReadFile(ipv4 + "ip_forward")
		hub = named(end)
		hub.Attrs().HardwareAddr = append([]byte{2, 0}, ip.AsSlice()...)
		err = cmp.Or(netlink.LinkAdd(hub), netlink.LinkSetAlias(hub,
			string(was)), netlink.LinkSetName(hub, bridge))
	}
	routes, err2 := netlink.RouteList(nil, unix.AF_INET)
	for _, r := range routes {
		dst, _ := netip.ParsePrefix(r.Dst.String())
		if dst.Bits() > 0 && dst.Overlaps(subnet) &&
			r.LinkIndex != hub.Attrs().Index {
			return ip, fmt.Errorf("--subnet %s: taken by route %s", subnet, dst)
		}
	}
	cable := &netlink.Veth{PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
	cable.Name, cable.MasterIndex = end, hub.Attrs().Index
	err = cmp.Or(err, err2, netlink.AddrReplace(hub, gateway),
		netlink.LinkSetUp(hub), netlink.LinkAdd(cable),
		netlink.LinkSetHairpin(cable, true), netlink.LinkSetUp(cable),
		os.WriteFile(ipv4+"conf/workshop0/route_localnet", []byte("1"), 0),
		os.WriteFile(ipv4+"conf/workshop0/../../ip_forward", []byte("1"), 0))
	taken := error(unix.EEXIST)
	for taken == unix.EEXIST && subnet.Contains(ip.Next().Next()) {
		ip = ip.Next()
		taken = netlink.LinkAddAltName(cable, ip.String())
	}
	return ip, failed("plug into", bridge, cmp.Or(err, taken))
}

const l3, l4 expr.PayloadBase = 1, 2 // headers: enum nft_payload_bases

// SOCK_STREAM and IPPROTO_TCP, SOCK_DGRAM and IPPROTO_UDP: socket(2).
var kinds = map[string][]int{"tcp": {1, 6}, "udp/tcp": {2, 17}}

// match compares bytes of a header. IP has at 9 the protocol, at 12 the
// source's address, at 16 the destination's; the others at 2 its port.
func match(base expr.PayloadBase, at uint32, data ...byte) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: base, Offset: at,
		Len: uint32(len(data))}, &expr.Cmp{Register: 1, Data: data}}
}

// Along the bridge goes what was not DNATed (0x20): br_netfilter shows us that.
var hub = &expr.Cmp{Register: 1, Data: []byte(bridge + "\x00")}
var along = []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, hub,
	&expr.Ct{Key: expr.CtKeySTATUS, Register: 1}, &expr.Bitwise{Len: 1,
		SourceRegister: 1, DestRegister: 1, Mask: []byte{0x20}, Xor: []byte{0}},
	&expr.Cmp{Register: 1, Data: []byte{0}}}

// addNAT writes this container's rules, in a table of its own. What goes out
// gets the host's address (masquerade): outside, nobody knows the subnet. A
// connection to a published port of the host gets ours (dnat), in prerouting
// if it arrives, in output if the host makes it, from 127.0.0.1 perhaps: for
// that the bridge has route_localnet, and what arrives there for 127.0.0.1 is
// dropped. A bound socket keeps the port ours as long as we live.
func addNAT(ip []byte, ports []string) (err error) {
	in, out, c := nft.ChainHookPrerouting, nft.ChainHookPostrouting, nft.Conn{}
	table := c.AddTable(&nft.Table{Name: fmt.Sprint(ours, os.Getpid()),
		Family: nft.TableFamilyIPv4})
	rule := func(hook *nft.ChainHook, do expr.Any, when ...[]expr.Any) {
		c.AddRule(&nft.Rule{Table: table, Chain: c.AddChain(&nft.Chain{
			Name: fmt.Sprint("hook", *hook), Table: table, Hooknum: hook,
			Type: nft.ChainTypeNAT, Priority: nft.ChainPriorityNATDest}),
			Exprs: append(slices.Concat(when...), do)})
	}
	rule(in, &expr.Verdict{Kind: expr.VerdictDrop}, match(l3, 16, 127),
		[]expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, hub})
	rule(out, &expr.Verdict{Kind: expr.VerdictReturn}, along)
	rule(out, &expr.Masq{}, match(l3, 12, ip...))
	rule(out, &expr.Masq{}, match(l3, 12, 127), match(l3, 16, ip...))
	for _, arg := range ports {
		h, i, name := uint16(0), uint16(0), ""
		fmt.Sscanf(arg+"/tcp", "%d:%d/%s", &h, &i, &name)
		if kinds[name] == nil || min(h, i) == 0 {
			return fmt.Errorf("publish %s: not HOST:INSIDE[/udp]", arg)
		}
		fd, bad := unix.Socket(unix.AF_INET, kinds[name][0], 0)
		err = cmp.Or(err, bad, failed("bind", "port "+arg,
			unix.Bind(fd, &unix.SockaddrInet4{Port: int(h)})))
		to := append(slices.Concat(match(l3, 9, byte(kinds[name][1])),
			match(l4, 2, byte(h>>8), byte(h))),
			&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
			&expr.Cmp{Register: 1, Data: []byte{unix.RTN_LOCAL}},
			&expr.Immediate{Register: 1, Data: ip},
			&expr.Immediate{Register: 2, Data: []byte{byte(i >> 8), byte(i)}})
		for _, hook := range []*nft.ChainHook{in, nft.ChainHookOutput} {
			rule(hook, &expr.NAT{Type: expr.NATTypeDestNAT, RegAddrMin: 1,
				RegProtoMin: 2, Family: unix.AF_INET}, to)
		}
	}
	return cmp.Or(err, failed("add", "nft rules", c.Flush()))
}

// sweepNet is for the janitor. The last container takes the bridge with it.
func sweepNet(id string) error {
	unix.Flock(netns, unix.LOCK_EX)
	c := &nft.Conn{}
	c.DelTable(&nft.Table{Name: ours + id, Family: nft.TableFamilyIPv4})
	c.Flush()
	netlink.LinkDel(named("ws" + id))
	hub, err := netlink.LinkByName(bridge)
	tables, err2 := c.ListTablesOfFamily(nft.TableFamilyIPv4)
	if cmp.Or(err, err2) != nil || slices.ContainsFunc(tables,
		func(t *nft.Table) bool { return strings.HasPrefix(t.Name, ours) }) {
		return nil
	}
	return failed("remove", bridge, cmp.Or(netlink.LinkDel(hub),
		os.WriteFile(ipv4+"ip_forward", []byte(hub.Attrs().Alias), 0)))
}
