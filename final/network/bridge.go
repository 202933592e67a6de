package network

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"container-workshop/final/network/names"
	"container-workshop/final/network/nat"
	"container-workshop/final/network/rootless"
	"github.com/vishvananda/netlink"
)

// A bridge's alias says that it is ours, what ip_forward was before the first
// one came, and of which store it is: "minidocker 0 /var/lib/...".
const alias, newBridge = "minidocker ", "md-new"

const ipv4 = "/proc/sys/net/ipv4/"

func (s *Store) ours(l netlink.Link) bool {
	return l.Type() == "bridge" && strings.HasPrefix(l.Attrs().Alias, alias) &&
		strings.HasSuffix(l.Attrs().Alias, " "+s.mark())
}

// mark is the store's directory, or what of it an alias can hold.
func (s *Store) mark() string {
	dir, _ := filepath.Abs(s.Dir)
	return dir[max(0, len(dir)-200):]
}

// addBridge makes the bridge, and the host a router, unless it is done. It is
// up when all is there.
func (s *Store) addBridge(n *Network) error {
	hub, err := netlink.LinkByName(n.Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		hub, err = s.newBridge(n)
	}
	if err != nil {
		return failed("bridge "+n.Bridge, err)
	} else if !s.ours(hub) {
		return fmt.Errorf("bridge %s exists and belongs to %s", n.Bridge,
			cmp.Or(strings.TrimPrefix(hub.Attrs().Alias, alias), "another"))
	} else if hub.Attrs().Flags&net.FlagUp != 0 && nat.Has(n) {
		return nil
	}
	gateway, err := netlink.ParseAddr(cidr(n.Subnet, n.Gateway))
	netlink.LinkSetIP6AddrGenMode(hub, 1)
	err = cmp.Or(err, netlink.AddrReplace(hub, gateway), nat.Write(n),
		set("conf/"+n.Bridge+"/route_localnet", "1"), set("ip_forward", "1"))
	if err == nil {
		err = netlink.LinkSetUp(hub)
	}
	return failed("bridge "+n.Bridge, err)
}

// Warnings name the firewalls that may keep a network's containers from each
// other and from the outside.
func (s *Store) Warnings(network string) (list []string) {
	n, err := s.Get(network)
	if err != nil || n.Bridge == "" {
		return nil
	}
	for _, chain := range nat.Others(n.Bridge) {
		list = append(list, fmt.Sprintf("nf_tables chain %s drops what it "+
			"does not know: its firewall must accept %s, as firewall-cmd "+
			"--zone=trusted --add-interface=%s does", chain, n.Bridge,
			n.Bridge))
	}
	return list
}

// newBridge checks the subnet once more: others may have come. The default
// network then takes another. Under another name the bridge gets its alias.
func (s *Store) newBridge(n *Network) (netlink.Link, error) {
	all, _ := names.Load(s.Dir)
	err := clash(n, n.Subnet, all)
	if err != nil && n.Name == names.Default && len(n.Endpoints) == 0 {
		err = choose(n, all, 17)
	}
	if err = cmp.Or(err, removeLink(newBridge)); err != nil {
		return nil, err
	}
	hub := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	hub.Name, hub.MTU = newBridge, n.MTU
	// Left to itself, a bridge has the lowest address of its cables.
	hub.HardwareAddr = append([]byte{2, 0x42}, n.Gateway.AsSlice()...)
	was := get("ip_forward")
	links, err := dump(netlink.LinkList)
	for _, l := range links {
		if text, ok := strings.CutPrefix(l.Attrs().Alias, alias); ok {
			was = text[:1]
		}
	}
	err = cmp.Or(err, netlink.LinkAdd(hub), netlink.LinkSetAlias(hub,
		alias+was+" "+s.mark()), netlink.LinkSetName(hub, n.Bridge))
	if err != nil {
		return nil, err
	}
	return netlink.LinkByName(n.Bridge)
}

// removeBridge removes a bridge of ours and its rules. The last one takes the
// host's forwarding with it, if it was off before and no other bridge is there
// that may count on it.
func (s *Store) removeBridge(name string) error {
	hub, err := netlink.LinkByName(name)
	if err != nil || !s.ours(hub) && name != newBridge {
		return nil
	}
	nat.Remove(name)
	err = removeLink(name)
	links, err2 := dump(netlink.LinkList)
	if !slices.ContainsFunc(links, func(l netlink.Link) bool {
		return l.Type() == "bridge"
	}) && strings.HasPrefix(hub.Attrs().Alias, alias+"0") && err2 == nil {
		err2 = set("ip_forward", "0")
	}
	return cmp.Or(err, err2)
}

func get(name string) string {
	text, _ := os.ReadFile(ipv4 + name)
	return strings.TrimSpace(string(text))
}

// set writes only what differs: /proc/sys may be read-only.
func set(name, value string) error {
	if get(name) == value {
		return nil
	}
	return os.WriteFile(ipv4+name, []byte(value), 0)
}

// Sweep removes what belongs to containers that are not alive and whose sandbox
// has gone, and links and rules that belong to nobody. It holds the lock while
// it calls alive.
func (s *Store) Sweep(alive func(container string) bool) error {
	return s.locked(func() error {
		var err error
		list, _ := os.ReadDir(s.rootlessDir(""))
		for _, d := range list {
			if !alive(d.Name()) {
				err = errors.Join(err, rootless.End(s.rootlessDir(d.Name())))
			}
		}
		all, bad := names.Load(s.Dir)
		if bad != nil || os.Geteuid() != 0 {
			return errors.Join(err, bad) // whom we cannot read may have it all
		}
		busy := map[string]bool{}
		for _, n := range all {
			for _, e := range slices.Clone(n.Endpoints) {
				if alive(e.Container) || live(e) { // it may just be starting
					busy[n.Bridge], busy[hostLink(e.IP)] = true, true
				} else {
					err = errors.Join(err, s.leave(n, e, true))
				}
			}
		}
		return errors.Join(err, s.sweepLinks(busy), nat.Sweep())
	})
}

// sweepLinks removes our bridges and what is plugged in there, unless busy.
func (s *Store) sweepLinks(busy map[string]bool) error {
	links, err := dump(netlink.LinkList)
	ours := map[int]bool{}
	for _, l := range links {
		a := l.Attrs()
		ours[a.Index] = s.ours(l) || a.Name == newBridge
	}
	for _, l := range links {
		if a := l.Attrs(); ours[a.MasterIndex] && !busy[a.Name] {
			err = errors.Join(err, removeLink(a.Name))
		}
	}
	for _, l := range links {
		if a := l.Attrs(); ours[a.Index] && !busy[a.Name] {
			err = errors.Join(err, s.removeBridge(a.Name))
		}
	}
	return err
}
