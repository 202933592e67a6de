package network

import (
	"errors"
	"fmt"
	"net/netip"

	"container-workshop/final/network/names"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hostHandle is a socket to the host's network. Its dumps are repeated if the
// network changes meanwhile, see dump.
func hostHandle() (*netlink.Handle, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return h, nil
}

// dump repeats a list that was cut short because something changed.
func dump[T any](list func() (T, error)) (all T, err error) {
	for range 100 {
		all, err = list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// taken are the subnets that lead elsewhere: routes of the host, but for a
// bridge's own, and the other networks. A route shorter than /8 is half the
// world, as some VPNs have it, and like a default route no clash.
func taken(bridge string, all []*Network) (map[netip.Prefix]string, error) {
	h, err := hostHandle()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	routes, err := dump(func() ([]netlink.Route, error) {
		return h.RouteList(nil, unix.AF_INET)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	used, own := map[netip.Prefix]string{}, -1
	if link, err := h.LinkByName(bridge); err == nil {
		own = link.Attrs().Index
	}
	for _, r := range routes {
		dst, err := netip.ParsePrefix(r.Dst.String())
		if err == nil && dst.Bits() >= 8 && r.LinkIndex != own {
			used[dst] = "the host's route to it"
		}
	}
	for _, n := range all {
		if n.Bridge != bridge && n.Subnet.IsValid() {
			used[n.Subnet] = "network " + n.Name
		}
	}
	return used, nil
}

// clash says who else has addresses of a subnet.
func clash(used map[netip.Prefix]string, subnet netip.Prefix) error {
	for other, who := range used {
		if other.Overlaps(subnet) {
			return fmt.Errorf("subnet %s overlaps %s, %s: choose another "+
				"with --subnet", subnet, other, who)
		}
	}
	return nil
}

// choose gives a network the first subnet that is free of Docker's default
// pools: 172.17.0.0/16 (18 for a user's network) to 172.31.0.0/16, and then
// 192.168.0.0/20 to 192.168.240.0/20.
func choose(n *Network, all []*Network, first byte) error {
	used, err := taken(n.Bridge, all)
	if err != nil {
		return err
	}
	var pools []netip.Prefix
	for i := first; i < 32; i++ {
		pools = append(pools, netip.PrefixFrom(
			netip.AddrFrom4([4]byte{172, i, 0, 0}), 16))
	}
	for i := range 16 {
		pools = append(pools, netip.PrefixFrom(
			netip.AddrFrom4([4]byte{192, 168, byte(i * 16), 0}), 20))
	}
	for _, p := range pools {
		if clash(used, p) == nil {
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
		n.Subnet.Bits() > 30 {
		return fmt.Errorf("invalid subnet %s: not A.B.C.D/N of IPv4 with N "+
			"from 8 to 30", o.Subnet)
	} else if n.Subnet != n.Subnet.Masked() {
		return fmt.Errorf("invalid subnet %s: it should be %s", o.Subnet,
			n.Subnet.Masked())
	}
	n.IPRange = n.Subnet
	if o.IPRange != "" {
		n.IPRange, err = netip.ParsePrefix(o.IPRange)
		if err != nil || n.IPRange.Bits() < n.Subnet.Bits() ||
			!n.Subnet.Contains(n.IPRange.Addr()) {
			return fmt.Errorf("invalid ip-range %s: not a part of %s",
				o.IPRange, o.Subnet)
		}
		n.IPRange = n.IPRange.Masked()
	}
	n.Gateway = n.IPRange.Addr()
	if n.Gateway == n.Subnet.Addr() {
		n.Gateway = n.Gateway.Next()
	}
	if o.Gateway != "" {
		n.Gateway, err = netip.ParseAddr(o.Gateway)
		if err != nil || !usable(n.Subnet, n.Gateway) {
			return fmt.Errorf("invalid gateway %s: no address of %s",
				o.Gateway, o.Subnet)
		}
	}
	used, err := taken(n.Bridge, all)
	if err != nil {
		return err
	}
	return clash(used, n.Subnet)
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
func address(h *netlink.Handle, n *Network, want string) (ip netip.Addr,
	err error) {
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
		return ip, removeLink(h, hostLink(ip))
	}
	pool := n.Subnet
	if n.IPRange.IsValid() {
		pool = n.IPRange
	}
	for ip = pool.Addr(); pool.Contains(ip); ip = ip.Next() {
		if used[ip] || !usable(n.Subnet, ip) {
			continue
		}
		_, err := h.LinkByName(hostLink(ip))
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return ip, nil
		} else if err != nil {
			return ip, fmt.Errorf("look up link %s: %w", hostLink(ip), err)
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
