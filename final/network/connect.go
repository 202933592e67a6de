package network

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"container-workshop/final/network/names"
	"container-workshop/final/network/nat"
	"container-workshop/final/network/rootless"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Request is what a container wants of a network. Network is a name or an ID,
// Container an ID, Name and Aliases are for the DNS.
type Request struct {
	Network, Container, Name string
	Aliases                  []string
	IP                       string // empty: chosen
	Ports                    []Port // as Open returned them
}

// Connect puts the network namespace in the file sandbox, /proc/PID/ns/net, on
// a network of driver bridge.
func (s *Store) Connect(sandbox string, r Request) (e *Endpoint, err error) {
	err = s.locked(func() error {
		n, err := s.Get(r.Network)
		if err == nil {
			e, err = s.join(n, sandbox, r)
			err = failed(fmt.Sprintf("connect %s to network %s",
				cmp.Or(r.Name, r.Container), n.Name), err)
		}
		return err
	})
	return e, err
}

// join writes the record first: whatever happens then, Sweep finds what there
// may be.
func (s *Store) join(n *Network, sandbox string, r Request) (*Endpoint,
	error) {
	if n.Driver != "bridge" {
		return nil, fmt.Errorf("driver %s has no endpoints", n.Driver)
	} else if n.Member(r.Container) != nil {
		return nil, errors.New("it is there already")
	} else if n.Internal && len(r.Ports) > 0 {
		return nil, errors.New("an internal network publishes no ports")
	}
	box, b, err := enter(sandbox)
	if err != nil {
		return nil, err
	}
	defer box.Close()
	defer b.Close()
	if err := s.addBridge(n); err != nil {
		return nil, err
	}
	ip, err := address(n, r.IP)
	if err != nil {
		return nil, err
	}
	mac := net.HardwareAddr(append([]byte{2, 0x42}, ip.AsSlice()...))
	e := &Endpoint{Network: n.Name, Container: r.Container, Name: r.Name,
		Aliases: append(slices.Clone(r.Aliases),
			r.Container[:min(12, len(r.Container))]), IP: ip, Ports: r.Ports,
		Gateway: n.Gateway, MAC: mac.String(), Sandbox: sandbox,
		Inode: inode(sandbox)}
	for i := 0; ; i++ {
		e.Link = fmt.Sprint("eth", i)
		if _, err := b.LinkByName(e.Link); err != nil {
			break
		}
	}
	n.Endpoints = append(n.Endpoints, e)
	err = s.save(n)
	if err == nil {
		err = plug(n, e, mac, int(box), b)
	}
	if err == nil {
		err = nat.Publish(n, e)
	}
	if err != nil {
		return nil, errors.Join(err, s.leave(n, e, true))
	}
	return e, nil
}

// enter opens a sandbox: the file, and a netlink socket inside.
func enter(sandbox string) (netns.NsHandle, *netlink.Handle, error) {
	box, err := netns.GetFromPath(sandbox)
	if err != nil {
		return box, nil, failed("open "+sandbox, err)
	}
	b, err := netlink.NewHandleAt(box, unix.NETLINK_ROUTE)
	if err != nil {
		box.Close()
	}
	return box, b, failed("enter "+sandbox, err)
}

// live says whether the sandbox is still the one that was connected.
func live(e *Endpoint) bool {
	return e.Inode != 0 && inode(e.Sandbox) == e.Inode
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
func plug(n *Network, e *Endpoint, mac net.HardwareAddr, box int,
	b *netlink.Handle) error {
	hub, err := netlink.LinkByName(n.Bridge)
	if err != nil {
		return err
	}
	cable := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: e.Link,
		PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(box)}
	cable.Name, cable.MTU = hostLink(e.IP), n.MTU
	cable.MasterIndex = hub.Attrs().Index
	if err := netlink.LinkAdd(cable); err != nil {
		return failed("add veth pair "+cable.Name+", "+e.Link, err)
	}
	const none = 1 // IN6_ADDR_GEN_MODE_NONE; fails where there is no IPv6
	netlink.LinkSetIP6AddrGenMode(cable, none)
	err = cmp.Or(netlink.LinkSetIsolated(cable, n.Isolated),
		netlink.LinkSetHairpin(cable, true), netlink.LinkSetUp(cable))
	end, err2 := b.LinkByName(e.Link)
	if err = cmp.Or(err, err2); err != nil {
		return failed("set up "+cable.Name, err)
	}
	b.LinkSetIP6AddrGenMode(end, none)
	lo, err := b.LinkByName("lo")
	ip, err2 := netlink.ParseAddr(cidr(n.Subnet, e.IP))
	if err = cmp.Or(err, err2); err == nil {
		err = cmp.Or(b.AddrAdd(end, ip), b.LinkSetUp(end), b.LinkSetUp(lo))
	}
	if err == nil && !n.Internal {
		err = defaultRoute(b, e)
	}
	// A link carries its first packet when the kernel's linkwatch has seen it
	// up. Who sends before loses it, and waits a second for the next.
	up := func(l netlink.Link, err error) bool {
		return err != nil || l.Attrs().OperState == netlink.OperUp
	}
	for i := 0; i < 100 && err == nil && !(up(b.LinkByName(e.Link)) &&
		up(netlink.LinkByName(cable.Name)) &&
		up(netlink.LinkByName(n.Bridge))); i++ {
		time.Sleep(time.Millisecond)
	}
	return failed("set up "+e.Link+" in the container", err)
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
	return s.locked(func() error {
		all, err := names.Load(s.Dir)
		if network == "" {
			err = errors.Join(err, rootless.End(s.rootlessDir(container)))
		} else if n, err := s.Get(network); err != nil {
			return err
		} else if e := n.Member(container); e == nil {
			return fmt.Errorf("container %s is not connected to network %s",
				container, network)
		} else {
			return errors.Join(s.leave(n, e, false), s.reroute(container))
		}
		for _, n := range all {
			if e := n.Member(container); e != nil {
				err = errors.Join(err, s.leave(n, e, false))
			}
		}
		return err
	})
}

// leave ends an endpoint. To delete a veth pair takes the kernel 30 ms; that
// of a namespace which has gone goes by itself, and so we need not wait.
func (s *Store) leave(n *Network, e *Endpoint, force bool) (err error) {
	if force || live(e) {
		err = removeLink(hostLink(e.IP))
	}
	n.Endpoints = slices.DeleteFunc(n.Endpoints, func(other *Endpoint) bool {
		return other == e
	})
	return errors.Join(err, nat.Unpublish(n, e), s.save(n))
}

// reroute gives a container another default route, if its own has gone and
// there is another network.
func (s *Store) reroute(container string) error {
	all, _ := names.Load(s.Dir)
	for _, n := range all {
		if e := n.Member(container); e != nil && !n.Internal && live(e) {
			box, b, err := enter(e.Sandbox)
			if err == nil {
				defer box.Close()
				defer b.Close()
				err = defaultRoute(b, e)
			}
			return err
		}
	}
	return nil
}

// removeLink removes a link if there is one.
func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if errors.As(err, &netlink.LinkNotFoundError{}) ||
		errors.Is(err, unix.ENODEV) {
		return nil
	}
	return failed("remove link "+name, err)
}
