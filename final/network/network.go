// Package network connects containers. Its words are libnetwork's: a Network
// is a bridge with a subnet, a Sandbox is a container's network namespace, and
// an Endpoint joins the two: a veth pair with an address.
package network

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
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
	"container-workshop/final/network/rootless"
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

// locked runs f as the only one who changes this store.
func (s *Store) locked(f func() error) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(s.Dir, "lock"),
		os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return failed("lock "+lock.Name(), err)
	}
	return f()
}

func failed(what string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// save writes a network's file; who reads sees the old one or the new one.
func (s *Store) save(n *Network) error {
	temp := filepath.Join(s.Dir, "."+n.Name+".new")
	text, err := json.Marshal(n)
	if err == nil {
		err = os.WriteFile(temp, text, 0o600)
	}
	if err == nil {
		err = os.Rename(temp, s.file(n))
	}
	if err != nil {
		os.Remove(temp)
	}
	return failed("save network "+n.Name, err)
}

func (s *Store) file(n *Network) string {
	return filepath.Join(s.Dir, n.Name+".json")
}

// predefined are the networks that are there without being created. The
// bridge gets a file when someone joins.
var predefined = []string{names.Default, "host", "none"}

// List returns all networks, the predefined ones too, and pasta or slirp4netns
// if a container has it, by name.
func (s *Store) List() ([]*Network, error) {
	all, err := names.Load(s.Dir)
	drivers := []string{"bridge", "host", "null"}
	for i, name := range predefined {
		if slices.ContainsFunc(all, func(n *Network) bool {
			return n.Name == name
		}) {
			continue
		}
		n := &Network{ID: id(name), Name: name, Driver: drivers[i]}
		if name == names.Default {
			n.Bridge = "minidocker0"
			err = cmp.Or(err, choose(n, all, 17))
		}
		all = append(all, n)
	}
	for _, e := range rootless.List(s.rootlessDir("")) {
		i := slices.IndexFunc(all, func(n *Network) bool {
			return n.Name == e.Network
		})
		if i < 0 {
			i, all = len(all), append(all, &Network{ID: id(e.Network),
				Name: e.Network, Driver: e.Network})
		}
		all[i].Endpoints = append(all[i].Endpoints, e)
	}
	slices.SortFunc(all, func(a, b *Network) int {
		return strings.Compare(a.Name, b.Name)
	})
	return all, err
}

func id(name string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
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
	if len(found) == 1 && err == nil {
		return found[0], nil
	} else if len(found) > 1 {
		err = fmt.Errorf("network %s is ambiguous (%d networks found)", name,
			len(found))
	}
	return nil, cmp.Or(err, fmt.Errorf("network %s not found", name))
}

// Create records a network. Its bridge comes with the first endpoint.
func (s *Store) Create(o Options) (n *Network, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("network create %s: a bridge on the host is "+
			"for root; an ordinary user has the networks none, host, pasta "+
			"and slirp4netns", o.Name)
	}
	err = s.locked(func() error {
		all, err := s.List()
		if err != nil {
			return err
		} else if slices.ContainsFunc(all, func(n *Network) bool {
			return n.Name == o.Name
		}) {
			return fmt.Errorf("network with name %s already exists", o.Name)
		}
		if n, err = newNetwork(o, all); err != nil {
			return failed("network create "+o.Name, err)
		}
		return s.save(n)
	})
	return n, err
}

// newNetwork checks the options of `network create`.
func newNetwork(o Options, all []*Network) (*Network, error) {
	id := make([]byte, 32)
	rand.Read(id)
	n := &Network{ID: fmt.Sprintf("%x", id), Name: o.Name, Driver: "bridge",
		Internal: o.Internal, Labels: o.Labels, Options: o.Options,
		Bridge: fmt.Sprintf("md-%x", id[:6]), Created: time.Now()}
	const pattern = "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}"
	if ok, _ := regexp.MatchString("^"+pattern+"$", o.Name); !ok {
		return nil, errors.New("invalid name: only " + pattern + " is allowed")
	} else if o.Driver == "host" || o.Driver == "null" {
		return nil, fmt.Errorf("only one instance of %q network is allowed",
			o.Driver)
	} else if cmp.Or(o.Driver, "bridge") != "bridge" {
		return nil, fmt.Errorf("driver %s: there is only bridge", o.Driver)
	}
	for key, value := range o.Options {
		if err := setOption(n, key, value, all); err != nil {
			return nil, fmt.Errorf("option %s=%s: %w", key, value, err)
		}
	}
	return n, setSubnet(n, o, all)
}

func setOption(n *Network, key, value string, all []*Network) (err error) {
	switch strings.TrimPrefix(key, "com.docker.network.") {
	case "bridge.name":
		n.Bridge = value
		if ok, _ := regexp.MatchString(`^[^./:\s][^/:\s]{0,14}$`, value); !ok {
			return errors.New("not the name of a link, 1 to 15 bytes")
		} else if slices.ContainsFunc(all, func(n *Network) bool {
			return n.Bridge == value
		}) {
			return errors.New("another network has this bridge")
		}
	case "bridge.enable_icc":
		var icc bool
		icc, err = strconv.ParseBool(value)
		n.Isolated = !icc
	case "driver.mtu":
		n.MTU, err = strconv.Atoi(value)
		if err == nil && (n.MTU < 68 || n.MTU > 65535) {
			return errors.New("not from 68 to 65535")
		}
	default:
		return errors.New("unknown option")
	}
	return err
}

// Remove forgets a network that has no endpoints.
func (s *Store) Remove(name string) error {
	return s.locked(func() error {
		n, err := s.Get(name)
		if err != nil {
			return err
		} else if slices.Contains(predefined, n.Name) {
			return fmt.Errorf("%s is a pre-defined network and cannot be "+
				"removed", n.Name)
		}
		var who []string
		for _, e := range n.Endpoints {
			who = append(who, fmt.Sprintf("name:%q id:%q", e.Name,
				e.Container[:min(12, len(e.Container))]))
		}
		if len(who) > 0 {
			return fmt.Errorf("error while removing network: network %s has "+
				"active endpoints (%s)", n.Name, strings.Join(who, ", "))
		}
		return cmp.Or(s.removeBridge(n.Bridge), os.Remove(s.file(n)))
	})
}

// Rename gives a container's endpoints another name.
func (s *Store) Rename(container, name string) error {
	return s.locked(func() error {
		all, err := names.Load(s.Dir)
		for _, n := range all {
			if e := n.Member(container); e != nil {
				e.Name = name
				err = errors.Join(err, s.save(n))
			}
		}
		return err
	})
}

// Rootless connects the network namespace of a process without root, see
// rootless.Start. Disconnect ends it.
func (s *Store) Rootless(container string, pid int, mode string,
	ports []Port) (e *Endpoint, dns string, err error) {
	if os.Geteuid() == 0 {
		return nil, "", fmt.Errorf("network %s is for ordinary users: root "+
			"has bridge", cmp.Or(mode, "pasta"))
	}
	ports, files, err := Open(ports) // to choose the numbers
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		return nil, "", err
	}
	return rootless.Start(s.rootlessDir(container), pid, mode, ports)
}

func (s *Store) rootlessDir(container string) string {
	return filepath.Join(s.Dir, "rootless", container)
}

func cidr(p netip.Prefix, ip netip.Addr) string {
	return netip.PrefixFrom(ip, p.Bits()).String()
}
