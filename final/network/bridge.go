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
	"github.com/vishvananda/netlink"
)

// Sweep removes what belongs to containers that are not alive, and links and
// rules that belong to nobody. It holds the lock while it calls alive.
func (s *Store) Sweep(alive func(container string) bool) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	all, err := names.Load(s.Dir)
	if err != nil {
		return err // of whom we cannot read, everything may be
	}
	err = s.sweepRootless(alive)
	if os.Geteuid() != 0 {
		return err
	}
	h, bad := hostHandle()
	if bad != nil {
		return errors.Join(err, bad)
	}
	defer h.Close()
	busy := map[string]bool{}
	for _, n := range all {
		for _, e := range slices.Clone(n.Endpoints) {
			if alive(e.Container) {
				busy[n.Bridge], busy[hostLink(e.IP)] = true, true
			} else {
				err = errors.Join(err, s.leave(h, n, e, true))
			}
		}
	}
	links, bad := dump(h.LinkList)
	ours := map[int]bool{}
	for _, l := range links {
		if s.ours(l) || l.Attrs().Name == newBridge {
			ours[l.Attrs().Index] = true
		}
	}
	for _, l := range links {
		if ours[l.Attrs().MasterIndex] && !busy[l.Attrs().Name] {
			err = errors.Join(err, removeLink(h, l.Attrs().Name))
		}
	}
	for _, l := range links {
		if ours[l.Attrs().Index] && !busy[l.Attrs().Name] {
			err = errors.Join(err, s.removeBridge(h, l.Attrs().Name))
		}
	}
	return errors.Join(err, bad, sweepTables(h))
}

// A bridge's alias remembers that it is ours, and what ip_forward was.
const alias, newBridge = "minidocker ", "md-new"

// ours says whether a bridge is of this store.
func (s *Store) ours(l netlink.Link) bool {
	return l.Type() == "bridge" && strings.HasPrefix(l.Attrs().Alias, alias) &&
		strings.HasSuffix(l.Attrs().Alias, " "+s.mark())
}

// mark is the store's directory: the end of it, if it is too long for an alias.
func (s *Store) mark() string {
	dir, _ := filepath.Abs(s.Dir)
	return dir[max(0, len(dir)-200):]
}

// addBridge makes the bridge, and the host a router, unless it is done. Under
// another name it gets its alias; it is up when all is there.
func (s *Store) addBridge(h *netlink.Handle, n *Network) error {
	hub, err := h.LinkByName(n.Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		hub, err = s.newBridge(h, n)
	}
	if err != nil {
		return fmt.Errorf("bridge %s: %w", n.Bridge, err)
	} else if !s.ours(hub) {
		return fmt.Errorf("bridge %s exists and belongs to %s", n.Bridge,
			cmp.Or(strings.TrimPrefix(hub.Attrs().Alias, alias), "another"))
	}
	if hub.Attrs().Flags&net.FlagUp != 0 && hasTable(n) {
		return nil
	}
	gateway, err := netlink.ParseAddr(addr(n.Subnet, n.Gateway))
	conf := "/proc/sys/net/ipv4/conf/" + n.Bridge + "/route_localnet"
	h.LinkSetIP6AddrGenMode(hub, 1)
	err = cmp.Or(err, h.AddrReplace(hub, gateway), setTable(n),
		os.WriteFile(conf, []byte("1"), 0), setForward("1"),
		h.LinkSetUp(hub))
	if err != nil {
		return fmt.Errorf("bridge %s: %w", n.Bridge, err)
	}
	return nil
}

// newBridge checks the subnet once more: others may have come. The default
// network then takes another.
func (s *Store) newBridge(h *netlink.Handle, n *Network) (netlink.Link, error) {
	all, _ := names.Load(s.Dir)
	used, err := taken(n.Bridge, all)
	if err == nil {
		err = clash(used, n.Subnet)
	}
	if err != nil && n.Name == names.Default && len(n.Endpoints) == 0 {
		err = choose(n, all, 17)
	}
	if err == nil {
		err = removeLink(h, newBridge)
	}
	if err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = newBridge, n.MTU
	// Left to itself, a bridge has the lowest address of its cables.
	attrs.HardwareAddr = append([]byte{2, 0x42}, n.Gateway.AsSlice()...)
	hub := &netlink.Bridge{LinkAttrs: attrs}
	links, err := dump(h.LinkList)
	was := forward()
	for _, l := range links {
		if v, ok := strings.CutPrefix(l.Attrs().Alias, alias); ok {
			was = v[:1] // what it was before the first of us
		}
	}
	err = cmp.Or(err, h.LinkAdd(hub), h.LinkSetAlias(hub, alias+was+" "+
		s.mark()), h.LinkSetName(hub, n.Bridge))
	if err != nil {
		return nil, err
	}
	return h.LinkByName(n.Bridge)
}

// removeBridge removes a bridge of ours and its rules. The last one takes the
// host's forwarding with it, if it was off before and no other bridge is there
// that may count on it.
func (s *Store) removeBridge(h *netlink.Handle, name string) error {
	hub, err := h.LinkByName(name)
	if err != nil || !s.ours(hub) && name != newBridge {
		return nil
	}
	removeTable(name)
	err = removeLink(h, name)
	links, bad := dump(h.LinkList)
	if err = cmp.Or(err, bad); err != nil {
		return err
	}
	if slices.ContainsFunc(links, func(l netlink.Link) bool {
		return l.Type() == "bridge"
	}) || !strings.HasPrefix(hub.Attrs().Alias, alias+"0") {
		return nil
	}
	return setForward("0")
}

const forwardFile = "/proc/sys/net/ipv4/ip_forward"

func forward() string {
	was, _ := os.ReadFile(forwardFile)
	return strings.TrimSpace(string(was))
}

func setForward(value string) error {
	if forward() == value {
		return nil
	}
	return os.WriteFile(forwardFile, []byte(value), 0)
}
