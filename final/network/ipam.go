package network

import (
	"errors"
	"fmt"
	"net/netip"

	"container-workshop/final/network/names"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dump repeats a list that was cut short because something changed.
func dump[T any](list func() (T, error)) (all T, err error) {
	for range 100 {
		all, err = list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, failed("netlink", err)
}

// clash says who else has addresses of a subnet: another network, or a route
// of the host but for the bridge's own. A route shorter than /8 is half the
// world, as some VPNs have it, and like a default route no clash.
func clash(n *Network, subnet netip.Prefix, all []*Network) error {
	overlaps := func(other netip.Prefix, what, name string) error {
		if !other.IsValid() || !other.Overlaps(subnet) {
			return nil
		}
		return fmt.Errorf("subnet %s overlaps %s, %s %s: choose another with "+
			"--subnet", subnet, other, what, name)
	}
	for _, other := range all {
		err := overlaps(other.Subnet, "network", other.Name)
		if err != nil && other.Name != n.Name {
			return err
		}
	}
	routes, err := dump(func() ([]netlink.Route, error) {
		return netlink.RouteList(nil, unix.AF_INET)
	})
	own := -1
	if hub, err := netlink.LinkByName(n.Bridge); err == nil {
		own = hub.Attrs().Index
	}
	for _, r := range routes {
		dst, _ := netip.ParsePrefix(r.Dst.String())
		if dst.Bits() >= 8 && r.LinkIndex != own && err == nil {
			err = overlaps(dst, "a route of", "this host")
		}
	}
	return err
}

// choose gives a network the first subnet that is free of Docker's default
// pools: 172.17.0.0/16 (18 for a user's network) to 172.31.0.0/16, and then
// 192.168.0.0/20 to 192.168.240.0/20.
func choose(n *Network, all []*Network, first byte) error {
	for i := first; i < 32+16; i++ {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, i}), 16)
		if i >= 32 {
			p = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168,
				(i - 32) * 16}), 20)
		}
		if clash(n, p, all) == nil {
			n.Subnet, n.Gateway = p, p.Addr().Next()
			return nil
		}
	}
	return errors.New("no subnet is free: give one with --subnet")
}

// setSubnet checks --subnet, --gateway and --ip-range.
func setSubnet(n *Network, o Options, all []*Network) (err error) {
	if o.Subnet == "" {
		if o.Gateway != "" || o.IPRange != "" {
			return errors.New("--gateway and --ip-range need --subnet")
		}
		return choose(n, all, 18)
	}
	n.Subnet, err = netip.ParsePrefix(o.Subnet)
	if err != nil || !n.Subnet.Addr().Is4() || n.Subnet.Bits() < 8 ||
		n.Subnet.Bits() > 30 || n.Subnet != n.Subnet.Masked() {
		return fmt.Errorf("invalid subnet %s: not A.B.C.D/N of IPv4, N from 8 "+
			"to 30, with nothing after bit N", o.Subnet)
	}
	n.IPRange = n.Subnet
	if o.IPRange != "" {
		n.IPRange, err = netip.ParsePrefix(o.IPRange)
		if n.IPRange = n.IPRange.Masked(); err != nil ||
			n.IPRange.Bits() < n.Subnet.Bits() ||
			!n.Subnet.Contains(n.IPRange.Addr()) {
			return fmt.Errorf("invalid ip-range %s: not a part of %s",
				o.IPRange, o.Subnet)
		}
	}
	n.Gateway = n.IPRange.Addr()
	if o.Gateway != "" {
		n.Gateway, err = netip.ParseAddr(o.Gateway)
		if err != nil || !usable(n.Subnet, n.Gateway) {
			return fmt.Errorf("invalid gateway %s: no address of %s",
				o.Gateway, o.Subnet)
		}
	} else if n.Gateway == n.Subnet.Addr() {
		n.Gateway = n.Gateway.Next()
	}
	return clash(n, n.Subnet, all)
}

// usable: neither the subnet's own address (the first) nor its broadcast
// address (the last) is anybody's.
func usable(subnet netip.Prefix, ip netip.Addr) bool {
	return subnet.Contains(ip) && subnet.Addr() != ip &&
		subnet.Contains(ip.Next())
}

// address finds a free address for an endpoint, the lowest. It belongs to the
// endpoint as soon as the network is saved; when the endpoint has gone its
// link may live on for a moment, and keeps the address from others.
func address(n *Network, want string) (ip netip.Addr, err error) {
	used := map[netip.Addr]bool{n.Gateway: true}
	for _, e := range n.Endpoints {
		used[e.IP] = true
	}
	if want != "" {
		ip, err = netip.ParseAddr(want)
		if n.Name == names.Default {
			return ip, errors.New("user specified IP address is supported " +
				"on user defined networks only")
		} else if err != nil || !usable(n.Subnet, ip) {
			return ip, fmt.Errorf("--ip %s: no address of subnet %s", want,
				n.Subnet)
		} else if used[ip] {
			return ip, fmt.Errorf("--ip %s: Address already in use", want)
		}
		return ip, removeLink(hostLink(ip))
	}
	pool := n.Subnet
	if n.IPRange.IsValid() {
		pool = n.IPRange
	}
	for ip = pool.Addr(); pool.Contains(ip); ip = ip.Next() {
		if !used[ip] && usable(n.Subnet, ip) {
			_, err := netlink.LinkByName(hostLink(ip))
			if errors.As(err, &netlink.LinkNotFoundError{}) {
				return ip, nil
			} else if err != nil {
				return ip, failed("look up link "+hostLink(ip), err)
			}
		}
	}
	return ip, fmt.Errorf("no available IPv4 addresses on this network's "+
		"address pools: %s (%s)", n.Name, n.ID)
}

// hostLink names the host's end of the cable to an address: a name that can
// exist only once.
func hostLink(ip netip.Addr) string {
	return fmt.Sprintf("veth%x", ip.AsSlice())
}
