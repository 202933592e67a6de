package network

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"container-workshop/final/network/names"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Request is what a container wants of a network. Network is a name or an ID,
// Container an ID, Name and Aliases are for the DNS.
type Request struct {
	Network, Container, Name string
	Aliases                  []string
	IP, MAC                  string // empty: chosen
	Ports                    []Port // as Open returned them
}

// Connect puts the network namespace in the file sandbox, /proc/PID/ns/net, on
// a network of driver bridge. The record is written first: whatever happens
// then, Sweep finds what there may be.
func (s *Store) Connect(sandbox string, r Request) (*Endpoint, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	n, err := s.Get(r.Network)
	if err != nil {
		return nil, err
	}
	h, err := hostHandle()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	e, err := s.join(h, n, sandbox, r)
	if err != nil {
		return nil, fmt.Errorf("connect %s to network %s: %w", cmp.Or(r.Name,
			r.Container), n.Name, err)
	}
	return e, nil
}

func (s *Store) join(h *netlink.Handle, n *Network, sandbox string,
	r Request) (*Endpoint, error) {
	if n.Driver != "bridge" {
		return nil, fmt.Errorf("driver %s has no endpoints", n.Driver)
	} else if member(n, r.Container) >= 0 {
		return nil, errors.New("it is there already")
	} else if n.Internal && len(r.Ports) > 0 {
		return nil, errors.New("an internal network publishes no ports")
	} else if n.Name == names.Default && len(r.Aliases) > 0 {
		return nil, errors.New("network-scoped alias is supported only for " +
			"containers in user defined networks")
	}
	box, err := os.Open(sandbox)
	if err != nil {
		return nil, err
	}
	defer box.Close()
	if err := s.addBridge(h, n); err != nil {
		return nil, err
	}
	ip, err := address(h, n, r.IP)
	if err != nil {
		return nil, err
	}
	mac := net.HardwareAddr(append([]byte{2, 0x42}, ip.AsSlice()...))
	if r.MAC != "" {
		if mac, err = net.ParseMAC(r.MAC); err != nil || len(mac) != 6 {
			return nil, fmt.Errorf("%s is not a valid mac address", r.MAC)
		}
	}
	e := &Endpoint{Network: n.Name, Container: r.Container, Name: r.Name,
		Aliases: append(slices.Clone(r.Aliases),
			r.Container[:min(12, len(r.Container))]), IP: ip,
		Gateway: n.Gateway, MAC: mac.String(), Sandbox: sandbox,
		Inode: inode(sandbox), Ports: r.Ports}
	n.Endpoints = append(n.Endpoints, e)
	if err := s.save(n); err != nil {
		return nil, err
	}
	err = plug(h, n, e, box)
	if err == nil {
		err = publish(n, e)
	}
	if err == nil {
		err = s.save(n) // now with the link's name
	}
	if err != nil {
		return nil, errors.Join(err, s.leave(h, n, e, true))
	}
	return e, nil
}

// inode tells one namespace from another; 0 if there is none.
func inode(file string) uint64 {
	var st unix.Stat_t
	if unix.Stat(file, &st) != nil {
		return 0
	}
	return st.Ino
}

// plug makes a veth pair, a cable from the bridge to the sandbox's eth0, and
// gives the end in there its address. Hairpin lets a container reach itself by
// its published port where br_netfilter is on; isolated keeps two containers
// apart. No IPv6 address is made up: we would not filter it.
func plug(h *netlink.Handle, n *Network, e *Endpoint, box *os.File) error {
	b, err := netlink.NewHandleAt(netns.NsHandle(box.Fd()),
		unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter %s: %w", e.Sandbox, err)
	}
	defer b.Close()
	for i := 0; ; i++ {
		e.Link = fmt.Sprint("eth", i)
		if _, err := b.LinkByName(e.Link); err != nil {
			break
		}
	}
	hub, err := h.LinkByName(n.Bridge)
	if err != nil {
		return err
	}
	mac, _ := net.ParseMAC(e.MAC)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = hostLink(e.IP), n.MTU
	attrs.MasterIndex = hub.Attrs().Index
	cable := &netlink.Veth{LinkAttrs: attrs, PeerName: e.Link,
		PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(box.Fd())}
	if err := h.LinkAdd(cable); err != nil {
		return fmt.Errorf("add veth pair %s, %s: %w", attrs.Name, e.Link, err)
	}
	h.LinkSetIP6AddrGenMode(cable, 1) // IN6_ADDR_GEN_MODE_NONE
	if n.Isolated {
		err = h.LinkSetIsolated(cable, true)
	}
	err = cmp.Or(err, h.LinkSetHairpin(cable, true), h.LinkSetUp(cable))
	if err != nil {
		return fmt.Errorf("set up %s: %w", attrs.Name, err)
	}
	end, err := b.LinkByName(e.Link)
	if err != nil {
		return err
	}
	b.LinkSetIP6AddrGenMode(end, 1)
	ip, err := netlink.ParseAddr(addr(n.Subnet, e.IP))
	err = cmp.Or(err, b.AddrAdd(end, ip), b.LinkSetUp(end), loopback(b))
	if err == nil && !n.Internal {
		err = defaultRoute(b, e)
	}
	if err != nil {
		return fmt.Errorf("set up %s in the container: %w", e.Link, err)
	}
	return nil
}

func loopback(b *netlink.Handle) error {
	lo, err := b.LinkByName("lo")
	if err == nil {
		err = b.LinkSetUp(lo)
	}
	return err
}

// defaultRoute goes by the network that came first.
func defaultRoute(b *netlink.Handle, e *Endpoint) error {
	err := b.RouteAdd(&netlink.Route{Gw: e.Gateway.AsSlice()})
	if errors.Is(err, unix.EEXIST) {
		err = nil
	}
	return err
}

// Disconnect takes a container from a network, or from all if network is "".
func (s *Store) Disconnect(container, network string) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	h, err := hostHandle()
	if err != nil {
		return err
	}
	defer h.Close()
	all, err := names.Load(s.Dir)
	if network != "" {
		n, err := s.Get(network)
		if err != nil {
			return err
		} else if member(n, container) < 0 {
			return fmt.Errorf("container %s is not connected to network %s",
				container, network)
		}
		all = []*Network{n}
	}
	for _, n := range all {
		if i := member(n, container); i >= 0 {
			err = errors.Join(err, s.leave(h, n, n.Endpoints[i], false))
		}
	}
	if network == "" {
		return errors.Join(err, s.endRootless(container))
	}
	return errors.Join(err, s.reroute(container))
}

// leave ends an endpoint. To delete a veth pair takes the kernel 30 ms; that
// of a namespace which has gone goes by itself, and so we need not wait.
func (s *Store) leave(h *netlink.Handle, n *Network, e *Endpoint,
	force bool) (err error) {
	if force || live(e) {
		err = removeLink(h, hostLink(e.IP))
	}
	n.Endpoints = slices.DeleteFunc(n.Endpoints, func(other *Endpoint) bool {
		return other == e
	})
	return errors.Join(err, unpublish(n, e), s.save(n))
}

// reroute gives a container another default route, if its own has gone and
// there is another network.
func (s *Store) reroute(container string) error {
	all, err := names.Load(s.Dir)
	for _, n := range all {
		i := member(n, container)
		if i < 0 || n.Internal || !live(n.Endpoints[i]) {
			continue
		}
		box, bad := netns.GetFromPath(n.Endpoints[i].Sandbox)
		if bad == nil {
			defer box.Close()
			var b *netlink.Handle
			b, bad = netlink.NewHandleAt(box, unix.NETLINK_ROUTE)
			if bad == nil {
				defer b.Close()
				bad = defaultRoute(b, n.Endpoints[i])
			}
		}
		return errors.Join(err, bad)
	}
	return err
}

// live says whether the sandbox is still the one that was connected.
func live(e *Endpoint) bool { return e.Inode != 0 && inode(e.Sandbox) == e.Inode }

// removeLink removes a link if there is one.
func removeLink(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err == nil {
		err = h.LinkDel(link)
	}
	if errors.As(err, &netlink.LinkNotFoundError{}) ||
		errors.Is(err, unix.ENODEV) {
		return nil
	} else if err != nil {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}
