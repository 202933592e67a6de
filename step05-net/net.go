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

const bridge, sysctl = "workshop0", "/proc/sys/net/ipv4/"

// newNet chooses the network. A new network namespace has nothing but a
// loopback that is down. To share another container's we enter it ourselves:
// a child starts where its parent is.
func newNet(c *cli.Context) (flags uintptr, err error) {
	if !c.IsSet("network") && os.Getuid() != 0 {
		say("Parent", "network none: a bridge on the host is for root")
		c.Set("network", "none")
	}
	switch mode := c.String("network"); mode {
	case "none", "bridge":
		return unix.CLONE_NEWNET, nil
	case "host":
		return 0, nil
	default:
		fd, _, err := target(strings.TrimPrefix(mode, "container:"))
		err = cmp.Or(err, unix.Setns(fd, unix.CLONE_NEWNET))
		return 0, failed("network", mode, err)
	}
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

// named is a link to find by its name, or a bridge to make. A bridge changes
// its hardware address with its cables, unless it has been given one.
func named(name string) netlink.Link {
	return &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name,
		HardwareAddr: []byte{2, 0, 172, 29, 0, 1}}}
}

// lockNet locks the network namespace, until the file is closed: that is what
// the containers of one bridge share, whatever else they do not.
func lockNet() *os.File {
	file, _ := os.Open("/proc/self/ns/net")
	unix.Flock(int(file.Fd()), unix.LOCK_EX)
	return file
}

// connect plugs the container into the bridge, if that is its network, and
// tells it what it has. A veth pair is a cable: one end is plugged in here, the
// other is the container's eth0. Its address is the first that no cable has as
// its other name, so that nobody keeps a list. Hairpin lets a packet leave by
// the cable that it came from.
func connect(c *cli.Context, pid int, gate *os.File) error {
	subnet, err := netip.ParsePrefix(c.String("subnet"))
	network, ports := c.String("network"), c.StringSlice("publish")
	if network != "bridge" && len(ports) == 0 {
		gate.WriteString(network)
		return nil
	} else if network != "bridge" || err != nil || !subnet.Addr().Is4() {
		return fmt.Errorf("network %s: --publish needs a bridge, and the "+
			"bridge a --subnet such as 172.29.0.0/24", network)
	}
	defer lockNet().Close()
	ip, taken := subnet.Masked().Addr().Next(), error(unix.EEXIST)
	hub, err := addBridge(netip.PrefixFrom(ip, subnet.Bits()))
	cable := &netlink.Veth{PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
	cable.Name = fmt.Sprint("ws", os.Getpid())
	err = cmp.Or(err, netlink.LinkAdd(cable))
	for taken == unix.EEXIST && subnet.Contains(ip.Next().Next()) {
		ip = ip.Next()
		taken = netlink.LinkAddAltName(cable, ip.String())
	}
	err = cmp.Or(failed("plug into", bridge, cmp.Or(err, taken,
		netlink.LinkSetMaster(cable, hub), netlink.LinkSetHairpin(cable, true),
		netlink.LinkSetUp(cable))), addNAT(ip.AsSlice(), ports))
	if err == nil {
		gate.WriteString(netip.PrefixFrom(ip, subnet.Bits()).String())
	}
	return err
}

// addBridge finds the bridge, or makes it if we are the first. Its alias
// remembers whether the host was a router before.
func addBridge(gateway netip.Prefix) (netlink.Link, error) {
	hub, missing := netlink.LinkByName(bridge)
	if missing != nil {
		was, _ := os.ReadFile(sysctl + "ip_forward")
		hub = named(bridge)
		missing = cmp.Or(netlink.LinkAdd(hub),
			netlink.LinkSetAlias(hub, string(was)))
	}
	routes, err := netlink.RouteList(nil, unix.AF_INET)
	for _, r := range routes {
		dst, _ := netip.ParsePrefix(r.Dst.String())
		if dst.Bits() > 0 && dst.Overlaps(gateway) &&
			r.LinkIndex != hub.Attrs().Index {
			missing = cmp.Or(missing, fmt.Errorf("the host has a route to %s: "+
				"choose another --subnet", dst))
		}
	}
	ip, _ := netlink.ParseAddr(gateway.String())
	localnet := sysctl + "conf/" + bridge + "/route_localnet"
	return hub, cmp.Or(missing, err, netlink.AddrReplace(hub, ip),
		netlink.LinkSetUp(hub), os.WriteFile(localnet, []byte("1"), 0),
		os.WriteFile(sysctl+"ip_forward", []byte("1"), 0))
}

// addNAT writes this container's rules, in a table of its own. On its way out
// a packet loses the container's address for the host's (masquerade): outside,
// nobody knows the subnet. The first packet to a published port of the host,
// and with it the connection, gets the container's address (dnat): in
// prerouting if it arrives, in output if it is the host's own. That one may
// come from 127.0.0.1. The bridge has route_localnet for it, and so the host's
// 127.0.0.1 must be closed to what arrives from there. A bound socket keeps
// the port for us as long as we live.
func addNAT(ip []byte, ports []string) (err error) {
	c, pre, post := &nft.Conn{}, nft.ChainHookPrerouting, nft.ChainHookPostrouting
	table := c.AddTable(&nft.Table{Name: fmt.Sprint("workshop-", os.Getpid()),
		Family: nft.TableFamilyIPv4})
	rule := func(hook *nft.ChainHook, parts ...[]expr.Any) {
		chain := c.AddChain(&nft.Chain{Name: fmt.Sprint("hook", *hook),
			Table: table, Type: nft.ChainTypeNAT, Hooknum: hook,
			Priority: nft.ChainPriorityNATDest})
		c.AddRule(&nft.Rule{Table: table, Chain: chain,
			Exprs: slices.Concat(parts...)})
	}
	masquerade := []expr.Any{&expr.Masq{}}
	rule(post, match(12, ip...), masquerade)
	rule(post, match(12, 127), match(16, ip...), masquerade)
	rule(pre, match(16, 127), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Register: 1, Data: []byte(bridge + "\x00")},
		&expr.Verdict{Kind: expr.VerdictDrop}})
	for _, arg := range ports {
		var host, inside uint16
		var name string
		fmt.Sscanf(arg+"/tcp", "%d:%d/%s", &host, &inside, &name)
		if kinds[name] == nil || min(host, inside) == 0 {
			return fmt.Errorf("publish %s: not HOST:INSIDE[/udp]", arg)
		}
		fd, bad := unix.Socket(unix.AF_INET, kinds[name][0], 0)
		err = cmp.Or(err, bad, failed("bind", "port "+arg,
			unix.Bind(fd, &unix.SockaddrInet4{Port: int(host)})))
		for _, hook := range []*nft.ChainHook{pre, nft.ChainHookOutput} {
			rule(hook, match(9, byte(kinds[name][1])), []expr.Any{
				&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
				&expr.Cmp{Register: 1, Data: []byte{unix.RTN_LOCAL, 0, 0, 0}},
				&expr.Payload{DestRegister: 1, Offset: 2, Len: 2,
					Base: expr.PayloadBaseTransportHeader},
				&expr.Cmp{Register: 1, Data: binary(host)},
				&expr.Immediate{Register: 1, Data: ip},
				&expr.Immediate{Register: 2, Data: binary(inside)},
				&expr.NAT{Type: expr.NATTypeDestNAT, RegAddrMin: 1,
					RegProtoMin: 2, Family: unix.NFPROTO_IPV4}})
		}
	}
	return cmp.Or(err, failed("write", "nftables", c.Flush()))
}

var kinds = map[string][]int{"tcp": {unix.SOCK_STREAM, unix.IPPROTO_TCP},
	"udp/tcp": {unix.SOCK_DGRAM, unix.IPPROTO_UDP}}

func binary(port uint16) []byte { return []byte{byte(port >> 8), byte(port)} }

// match compares bytes of the IP header: 9 is the protocol, 12 the source's
// address, 16 the destination's.
func match(at uint32, data ...byte) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Offset: at, Len: uint32(
		len(data)), Base: expr.PayloadBaseNetworkHeader},
		&expr.Cmp{Register: 1, Data: data}}
}
