// Package names reads what package network writes: who is on which network,
// and by which names. It is all that a container's DNS server needs, so it is
// kept free of netlink and nftables.
package names

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Network is a Linux bridge with a subnet; its endpoints are the containers
// on it now. The bridge exists while there are endpoints.
type Network struct {
	ID, Name, Driver string
	Subnet, IPRange  netip.Prefix `json:",omitzero"`
	Gateway          netip.Addr   `json:",omitzero"`
	Bridge           string       `json:",omitempty"`
	Internal         bool
	Isolated         bool // enable_icc=false: its containers do not meet
	MTU              int  `json:",omitzero"`
	Labels, Options  map[string]string
	Created          time.Time
	Endpoints        []*Endpoint
}

// An Endpoint is one container's place on one network.
type Endpoint struct {
	Network, Container, Name string
	Aliases                  []string
	IP, Gateway              netip.Addr
	MAC                      string
	Link                     string // inside the sandbox: eth0
	Sandbox                  string // /proc/PID/ns/net
	Inode                    uint64 // of that namespace: a PID may be reused
	Ports                    []Port
}

// A Port of a container that is published on the host. HostPort 0 stands for
// any; a HostEnd above it for the first free one from HostPort to HostEnd.
type Port struct {
	HostIP            netip.Addr
	HostPort, HostEnd uint16 `json:",omitzero"`
	Port              uint16
	Proto             string // tcp, udp, sctp
}

// String is how `ps` shows it: 0.0.0.0:8080->80/tcp.
func (p Port) String() string {
	host := netip.AddrPortFrom(p.HostIP, p.HostPort)
	return fmt.Sprintf("%s->%d/%s", host, p.Port, p.Proto)
}

// Default is the network of who asks for none; it knows no names, as Docker's.
const Default = "bridge"

// Load reads the networks of a store, by name.
func Load(dir string) (all []*Network, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, file := range files {
		text, bad := os.ReadFile(file)
		if errors.Is(bad, os.ErrNotExist) {
			continue // removed since
		}
		n := &Network{}
		if bad == nil {
			bad = json.Unmarshal(text, n)
		}
		if bad == nil && (n.Name+".json" != filepath.Base(file) ||
			slices.Contains(n.Endpoints, nil)) {
			bad = errors.New("this is not what was written")
		}
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("read network %s: %w", file, bad))
			continue
		}
		all = append(all, n)
	}
	return all, err
}

// Member finds a container's endpoint, or nil.
func (n *Network) Member(container string) *Endpoint {
	for _, e := range n.Endpoints {
		if e.Container == container {
			return e
		}
	}
	return nil
}

// joined are the networks that a container is on.
func joined(dir, container string) []*Network {
	all, _ := Load(dir)
	return slices.DeleteFunc(all, func(n *Network) bool {
		return n.Member(container) == nil
	})
}

// find finds who has a name on the networks: a container's name, its alias, or
// the first 12 digits of its ID, alone or followed by the network's name.
func find(on []*Network, name string) (found []netip.Addr) {
	for _, n := range on {
		if n.Name == Default {
			continue
		}
		short := strings.TrimSuffix(name, "."+n.Name)
		for _, e := range n.Endpoints {
			for _, s := range append(e.Aliases, e.Name) {
				if strings.EqualFold(s, name) || strings.EqualFold(s, short) {
					found = append(found, e.IP)
					break
				}
			}
		}
	}
	return found
}

// owner is the full name of an address.
func owner(on []*Network, ip netip.Addr) string {
	for _, n := range on {
		for _, e := range n.Endpoints {
			if e.IP == ip {
				return e.Name + "." + n.Name
			}
		}
	}
	return ""
}
