package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"container-workshop/final/monitor"
	"container-workshop/final/network"
	"container-workshop/final/network/names"
)

// netPlan is what a start needs to know of the network before there is one.
type netPlan struct {
	ports    []network.Port
	sockets  []*os.File // that hold the ports
	dns      *names.Server
	rootless string // pasta, slirp4netns, or any of them
}

func (p *netPlan) close() {
	for _, s := range p.sockets {
		s.Close()
	}
}

// alone says that a mode has no endpoint of ours.
func alone(mode string) bool {
	return mode == "none" || mode == "host" ||
		strings.HasPrefix(mode, "container:")
}

// checkNetwork turns --network into attachments.
func (e *Engine) checkNetwork(c *Container, o *Options) error {
	mode := cmp.Or(o.Network, "default")
	if mode == "default" {
		mode = names.Default
		if e.Rootless {
			mode = "rootless"
		}
	}
	c.Options.Network = mode
	user := mode != names.Default
	switch {
	case strings.HasPrefix(mode, "container:"):
		if len(o.Publish) > 0 || o.PublishAll {
			return errors.New("conflicting options: port publishing and the " +
				"container type network mode")
		} else if o.Hostname != "" {
			return errors.New("conflicting options: hostname and the network " +
				"mode")
		}
		_, err := e.Find(strings.TrimPrefix(mode, "container:"))
		return err
	case o.IP != "" && (alone(mode) || !user || e.Rootless):
		return errors.New("user specified IP address is supported on user " +
			"defined networks only")
	case alone(mode):
		return nil
	case e.Rootless:
		if slices.Contains([]string{"rootless", "pasta", "slirp4netns"}, mode) {
			return nil
		}
		return fmt.Errorf("network %s: only root can make a bridge: use none, "+
			"host, pasta, slirp4netns, or sudo", mode)
	}
	n, err := e.Networks.Get(mode)
	if err == nil {
		c.Networks = []Attachment{{n.Name, o.IP, o.Aliases}}
	}
	return err
}

// planNetwork takes the ports of the host and prepares names.
func (e *Engine) planNetwork(c *Container) (p *netPlan, err error) {
	p = &netPlan{}
	mode := c.Options.Network
	if e.Rootless && !alone(mode) {
		p.rootless = mode
	}
	if p.ports, err = c.ports(); err != nil || alone(mode) {
		return p, err
	}
	if p.rootless == "" {
		p.ports, p.sockets, err = network.Open(p.ports)
	}
	if err == nil && c.kind() == "user" {
		p.dns, err = e.dnsServer(c)
	}
	return p, err
}

// kind is that of the container's networks: see network.ResolvConf.
func (c *Container) kind() string {
	kind := "host"
	for _, a := range c.Networks {
		if a.Network != names.Default {
			return "user"
		}
		kind = "bridge"
	}
	return kind
}

func (e *Engine) dnsServer(c *Container) (s *names.Server, err error) {
	s = &names.Server{Dir: e.Networks.Dir, Container: c.ID}
	s.Upstream, err = network.Upstream(c.dnsOptions())
	return s, err
}

func (c *Container) dnsOptions() network.DNS {
	return network.DNS{Servers: c.Options.DNS}
}

// connect plugs the container's sandbox into its networks, and writes what its
// /etc says of them.
func (e *Engine) connect(c *Container, p *netPlan, pid int) error {
	if strings.HasPrefix(c.Options.Network, "container:") {
		return nil
	}
	var own []netip.Addr
	var gateway netip.Addr
	dns := c.dnsOptions()
	if p.rootless != "" {
		point, server, err := e.Networks.Rootless(c.ID, pid,
			strings.TrimPrefix(p.rootless, "rootless"), p.ports)
		if err != nil {
			return err
		}
		own, gateway = append(own, point.IP), point.Gateway
		if server != "" && len(dns.Servers) == 0 {
			dns.Servers = []string{server}
		}
	}
	for i, a := range c.Networks {
		ports := p.ports
		if i > 0 {
			ports = nil
		}
		point, err := e.attach(c, a, pid, ports)
		if err != nil {
			return err
		}
		own, gateway = append(own, point.IP), cmp.Or(gateway, point.Gateway)
	}
	return e.writeEtc(c, dns, own, gateway)
}

// reconnected brings a running container's /etc up to date with its networks,
// and has names answered there if it has come to the first that has some.
func (e *Engine) reconnected(c *Container) error {
	var own []netip.Addr
	var gateway netip.Addr
	points := e.Endpoints(c)
	for _, a := range c.Networks {
		if point := points[a.Network]; point != nil {
			own, gateway = append(own, point.IP), cmp.Or(gateway, point.Gateway)
		}
	}
	if c.kind() == "user" {
		if err := e.serveNames(c); err != nil {
			return err
		}
	}
	return e.writeEtc(c, c.dnsOptions(), own, gateway)
}

func (e *Engine) attach(c *Container, a Attachment, pid int,
	ports []network.Port) (*network.Endpoint, error) {
	r := network.Request{Network: a.Network, Container: c.ID, Name: c.Name,
		Aliases: a.Aliases, IP: a.IP, Ports: ports}
	if a.Network != names.Default {
		r.Aliases = append([]string{c.Short()}, a.Aliases...)
	}
	return e.Networks.Connect(fmt.Sprintf("/proc/%d/ns/net", pid), r)
}

// serveNames has the monitor of a running container answer for names.
func (e *Engine) serveNames(c *Container) error {
	server, err := e.dnsServer(c)
	if err != nil {
		return err
	}
	conn, err := e.Dial(c)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = monitor.SendJSON(conn, monitor.Names, server)
	for err == nil {
		kind, data, bad := monitor.Receive(conn)
		switch err = bad; kind {
		case monitor.Started:
			return err
		case monitor.Failed:
			failed := &monitor.Failure{}
			if err = json.Unmarshal(data, failed); err == nil {
				err = failed
			}
		}
	}
	return err
}

// writeEtc fills the files that the container sees as /etc/hostname, hosts and
// resolv.conf. They keep their inodes: they are mounted already.
func (e *Engine) writeEtc(c *Container, dns network.DNS, own []netip.Addr,
	gateway netip.Addr) error {
	hostname := cmp.Or(c.Options.Hostname, c.Short())
	if c.Options.Hostname == "" && (c.Options.Uts == "host" ||
		c.Options.Network == "host") {
		hostname, _ = os.Hostname()
	}
	resolv, err := network.ResolvConf(c.kind(), dns)
	if err != nil {
		return err
	}
	hosts, err := network.Hosts(hostname, c.Options.Domainname, own,
		c.Options.AddHost, gateway)
	if c.Options.Network == "host" {
		if text, bad := os.ReadFile("/etc/hosts"); bad == nil {
			hosts = string(text) + strings.Join(hostLines(hosts), "")
		}
	}
	for name, text := range map[string]string{"hostname": hostname + "\n",
		"hosts": hosts, "resolv.conf": resolv} {
		err = cmp.Or(err, os.WriteFile(c.dir+"/"+name, []byte(text), 0o644))
	}
	return err
}

// hostLines are the lines of a hosts file that do not speak of loopback and
// multicast: what --add-host has added.
func hostLines(hosts string) (lines []string) {
	for line := range strings.Lines(hosts) {
		addr, err := netip.ParseAddr(strings.Fields(line + " -")[0])
		if err == nil && !addr.IsLoopback() && !addr.IsMulticast() &&
			addr.As16()[0] != 0xfe {
			lines = append(lines, line)
		}
	}
	return lines
}

// Connect adds a container to a network, at once if it runs.
func (e *Engine) Connect(c *Container, a Attachment) error {
	if alone(c.Options.Network) {
		return fmt.Errorf("container sharing network namespace with another "+
			"container or host cannot be connected to any other network: %s",
			c.Options.Network)
	}
	if slices.ContainsFunc(c.Networks, func(b Attachment) bool {
		return a.Network == b.Network
	}) {
		return fmt.Errorf("endpoint with name %s already exists in network %s",
			c.Name, a.Network)
	}
	if c.State.Pid != 0 {
		if _, err := e.attach(c, a, c.State.Pid, nil); err != nil {
			return err
		}
	}
	err := e.change(c, func() error {
		c.Networks = append(c.Networks, a)
		return nil
	})
	if err == nil && c.State.Pid != 0 {
		err = e.reconnected(c)
	}
	return err
}

// Disconnect takes a container from a network.
func (e *Engine) Disconnect(c *Container, name string) error {
	i := slices.IndexFunc(c.Networks, func(a Attachment) bool {
		return a.Network == name
	})
	if i < 0 {
		return fmt.Errorf("container %s is not connected to network %s", c.ID,
			name)
	}
	if err := e.Networks.Disconnect(c.ID, name); err != nil {
		return err
	}
	err := e.change(c, func() error {
		c.Networks = slices.DeleteFunc(c.Networks, func(a Attachment) bool {
			return a.Network == name
		})
		return nil
	})
	if err == nil && c.State.Pid != 0 {
		err = e.reconnected(c)
	}
	return err
}

// Endpoints are a container's places on networks, as they are now.
func (e *Engine) Endpoints(c *Container) map[string]*network.Endpoint {
	all := map[string]*network.Endpoint{}
	if c.State.Pid == 0 {
		return all
	}
	networks, _ := e.Networks.List()
	for _, n := range networks {
		if point := n.Member(c.ID); point != nil {
			all[n.Name] = point
		}
	}
	return all
}

// Ports are those it has published.
func (e *Engine) Ports(c *Container) (all []network.Port) {
	for _, point := range e.Endpoints(c) {
		all = append(all, point.Ports...)
	}
	return all
}
