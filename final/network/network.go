// Package network connects containers. Its words are libnetwork's: a Network
// is a bridge with a subnet, a Sandbox is a container's network namespace, and
// an Endpoint joins the two: a veth pair with an address.
package network

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/network/names"
	"golang.org/x/sys/unix"
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

// Names are like those of containers: they become names of files.
func validName(name string) bool {
	ok, _ := regexp.MatchString(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`, name)
	return ok
}

// lock makes us the only one who changes this store and this host's network,
// which another store may use too: a network namespace is a file as well.
func (s *Store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, err
	}
	var held []*os.File
	unlock = func() {
		for _, f := range held {
			f.Close()
		}
	}
	for _, name := range []string{filepath.Join(s.Dir, "lock"),
		"/proc/thread-self/ns/net"} {
		flags := os.O_RDONLY
		if len(held) == 0 {
			flags |= os.O_CREATE
		}
		f, err := os.OpenFile(name, flags, 0o600)
		if err == nil {
			held = append(held, f)
			for err = unix.EINTR; err == unix.EINTR; {
				err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
			}
		}
		if err != nil {
			unlock()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
	}
	return unlock, nil
}

// save writes a network's file; who reads sees the old one or the new one.
func (s *Store) save(n *Network) error {
	text, err := json.Marshal(n)
	file := filepath.Join(s.Dir, n.Name+".json")
	temp := filepath.Join(s.Dir, "."+n.Name+".new")
	if err == nil {
		err = os.WriteFile(temp, text, 0o600)
	}
	if err == nil {
		err = os.Rename(temp, file)
	}
	if err != nil {
		os.Remove(temp)
		return fmt.Errorf("save network %s: %w", n.Name, err)
	}
	return nil
}

// predefined are the networks that are there without being created. The
// bridge gets its subnet when someone asks, and a file when someone joins.
func predefined(name string) *Network {
	id := sha256.Sum256([]byte(name))
	n := &Network{ID: hex.EncodeToString(id[:]), Name: name, Driver: name}
	if name == names.Default {
		n.Bridge = "minidocker0"
	} else if name == "none" {
		n.Driver = "null"
	}
	return n
}

// List returns all networks, the predefined ones too, by name.
func (s *Store) List() ([]*Network, error) {
	all, err := names.Load(s.Dir)
	for _, name := range []string{names.Default, "host", "none"} {
		if !slices.ContainsFunc(all, func(n *Network) bool {
			return n.Name == name
		}) {
			all = append(all, predefined(name))
		}
	}
	for _, n := range all {
		if n.Driver == "bridge" && !n.Subnet.IsValid() {
			bad := choose(n, all, 17)
			err = cmp.Or(err, bad)
		}
	}
	slices.SortFunc(all, func(a, b *Network) int {
		return strings.Compare(a.Name, b.Name)
	})
	return all, err
}

// Get finds a network by name, ID, or the beginning of an ID.
func (s *Store) Get(name string) (*Network, error) {
	all, err := s.List()
	var found []*Network
	for _, n := range all {
		if n.Name == name || n.ID == name {
			return n, nil
		} else if name != "" && strings.HasPrefix(n.ID, name) {
			found = append(found, n)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("network %s is ambiguous: %d found on prefix",
			name, len(found))
	}
	return nil, fmt.Errorf("network %s not found", name)
}

// Create records a network. Its bridge comes with the first endpoint.
func (s *Store) Create(o Options) (*Network, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("network create %s: a bridge on the host is "+
			"for root; an ordinary user has the networks none, host, pasta "+
			"and slirp4netns", o.Name)
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(all, func(n *Network) bool {
		return n.Name == o.Name
	}) {
		return nil, fmt.Errorf("network with name %s already exists", o.Name)
	}
	n, err := newNetwork(o, all)
	if err == nil {
		err = s.save(n)
	}
	if err != nil {
		return nil, fmt.Errorf("network create %s: %w", o.Name, err)
	}
	return n, nil
}

// newNetwork checks the options of `network create`.
func newNetwork(o Options, all []*Network) (*Network, error) {
	id := make([]byte, 32)
	rand.Read(id)
	n := &Network{ID: hex.EncodeToString(id), Name: o.Name, Driver: "bridge",
		Internal: o.Internal, Labels: o.Labels, Options: o.Options,
		Created: time.Now()}
	n.Bridge = "md-" + n.ID[:12]
	if !validName(o.Name) {
		return nil, errors.New("invalid name: only [a-zA-Z0-9][a-zA-Z0-9_.-] " +
			"are allowed")
	} else if d := cmp.Or(o.Driver, "bridge"); d == "host" || d == "null" {
		return nil, fmt.Errorf("only one instance of %q network is allowed", d)
	} else if d != "bridge" {
		return nil, fmt.Errorf("driver %s: there is only bridge", d)
	}
	for key, value := range o.Options {
		var err error
		switch strings.TrimPrefix(key, "com.docker.network.") {
		case "bridge.name":
			n.Bridge = value
			if value == "" || len(value) > 15 ||
				strings.ContainsAny(value, "/: \t\n") || value[0] == '.' {
				err = errors.New("not the name of a link, 1 to 15 bytes")
			} else if slices.ContainsFunc(all, func(n *Network) bool {
				return n.Bridge == value
			}) {
				err = errors.New("another network has this bridge")
			}
		case "bridge.enable_icc":
			var icc bool
			icc, err = strconv.ParseBool(value)
			n.Isolated = !icc
		case "driver.mtu":
			n.MTU, err = strconv.Atoi(value)
			if err == nil && (n.MTU < 68 || n.MTU > 65535) {
				err = errors.New("not from 68 to 65535")
			}
		default:
			err = errors.New("unknown option")
		}
		if err != nil {
			return nil, fmt.Errorf("option %s=%s: %w", key, value, err)
		}
	}
	return n, setSubnet(n, o, all)
}

// Remove forgets a network that has no endpoints.
func (s *Store) Remove(name string) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	n, err := s.Get(name)
	if err != nil {
		return err
	}
	if slices.Contains([]string{names.Default, "host", "none"}, n.Name) {
		return fmt.Errorf("%s is a pre-defined network and cannot be removed",
			n.Name)
	}
	if len(n.Endpoints) > 0 {
		var who []string
		for _, e := range n.Endpoints {
			who = append(who, fmt.Sprintf("%q", e.Name))
		}
		return fmt.Errorf("network %s has active endpoints: %s", n.Name,
			strings.Join(who, ", "))
	}
	h, err := hostHandle()
	if err != nil {
		return err
	}
	defer h.Close()
	if err := s.removeBridge(h, n.Bridge); err != nil {
		return err
	}
	return os.Remove(filepath.Join(s.Dir, n.Name+".json"))
}

// Rename gives a container's endpoints another name.
func (s *Store) Rename(container, name string) error {
	return s.each(func(n *Network) error {
		for _, e := range n.Endpoints {
			if e.Container == container {
				e.Name = name
				return s.save(n)
			}
		}
		return nil
	})
}

// each calls f with every stored network, under the lock.
func (s *Store) each(f func(n *Network) error) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	all, err := names.Load(s.Dir)
	for _, n := range all {
		err = errors.Join(err, f(n))
	}
	return err
}

// member finds a container's endpoint: its index, or -1.
func member(n *Network, container string) int {
	return slices.IndexFunc(n.Endpoints, func(e *Endpoint) bool {
		return e.Container == container
	})
}

func addr(p netip.Prefix, ip netip.Addr) string {
	return netip.PrefixFrom(ip, p.Bits()).String()
}
