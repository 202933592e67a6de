// Package network connects containers. Its words are libnetwork's: a Network
// is a bridge with a subnet, a Sandbox is a container's network namespace, and
// an Endpoint joins the two: a veth pair with an address.
package network

import (
	"errors"
	"net/netip"
	"os"

	"container-workshop/final/network/names"
)

type (
	Network  = names.Network
	Endpoint = names.Endpoint
	Port     = names.Port
)

// Store keeps the networks in a directory, one file each.
type Store struct{ Dir string }

// Options are those of `network create`; empty ones are chosen.
type Options struct {
	Name, Driver             string
	Subnet, Gateway, IPRange string
	Internal                 bool
	Labels, Options          map[string]string
}

// Request is what a container wants of a network. Network is a name or an ID,
// Container an ID, Name and Aliases are for the DNS.
type Request struct {
	Network, Container, Name string
	Aliases                  []string
	IP, MAC                  string // empty: chosen
	Ports                    []Port // as Open returned them
}

var errTODO = errors.New("not yet")

// Create records a network. Its bridge comes with the first endpoint.
func (s *Store) Create(o Options) (*Network, error) { return nil, errTODO }

// List returns all networks, the predefined ones too, by name.
func (s *Store) List() ([]*Network, error) { return nil, errTODO }

// Get finds a network by name, ID, or the beginning of an ID.
func (s *Store) Get(name string) (*Network, error) { return nil, errTODO }

// Remove forgets a network that has no endpoints.
func (s *Store) Remove(name string) error { return errTODO }

// Connect puts the network namespace in the file sandbox, /proc/PID/ns/net, on
// a network of driver bridge.
func (s *Store) Connect(sandbox string, r Request) (*Endpoint, error) {
	return nil, errTODO
}

// Disconnect takes a container from a network, or from all if network is "".
func (s *Store) Disconnect(container, network string) error { return errTODO }

// Rename gives a container's endpoints another name.
func (s *Store) Rename(container, name string) error { return errTODO }

// Sweep removes what belongs to containers that are not alive, and links and
// rules that belong to nobody. It holds the lock while it calls alive.
func (s *Store) Sweep(alive func(container string) bool) error { return errTODO }

// ParsePorts reads one -p, --publish, or EXPOSE: [[IP:][HOST]:]PORT[/PROTO],
// where HOST and PORT may be ranges.
func ParsePorts(text string) ([]Port, error) { return nil, errTODO }

// Open takes ports of the host, by sockets that must stay open as long as the
// ports are published, and returns them with all numbers chosen.
func Open(ports []Port) ([]Port, []*os.File, error) { return nil, nil, errTODO }

// DNS holds --dns, --dns-search and --dns-option.
type DNS struct{ Servers, Search, Options []string }

// ResolvConf is a container's /etc/resolv.conf. kind is that of its network:
// user, whose containers ask the DNS server at 127.0.0.11; bridge, from where
// the host's own loopback cannot be reached; or host, for anything else.
func ResolvConf(kind string, d DNS) (string, error) { return "", errTODO }

// Upstream are the servers that the DNS server of a user network asks.
func Upstream(d DNS) ([]string, error) { return nil, errTODO }

// Hosts is a container's /etc/hosts: its own addresses, and what --add-host
// says, where gateway is the address for the word host-gateway.
func Hosts(hostname, domainname string, own []netip.Addr, add []string,
	gateway netip.Addr) (string, error) {
	return "", errTODO
}

// Rootless connects the network namespace of a process by a program that needs
// no privilege: mode is pasta, slirp4netns, or empty for either. Disconnect
// ends it. dns is a server's address that the container can ask.
func (s *Store) Rootless(container string, pid int, mode string,
	ports []Port) (e *Endpoint, dns string, err error) {
	return nil, "", errTODO
}
