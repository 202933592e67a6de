// Package nat writes the nf_tables rules of a network's bridge.
package nat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"container-workshop/final/network/names"
	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Each bridge has a table of its own, minidocker-BRIDGE, that speaks of no
// other bridge: `nft list ruleset` shows it. It goes as a whole.
const tablePrefix = "minidocker-"

func table(bridge string) *nft.Table {
	return &nft.Table{Name: tablePrefix + bridge, Family: nft.TableFamilyIPv4}
}

// Protocol is the number in an IP header of one that has ports, or 0.
func Protocol(name string) byte {
	return map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP,
		"sctp": unix.IPPROTO_SCTP}[name]
}

// published is the table's map from a port of the host (its address, or
// 0.0.0.0, the Protocol, the port) to a container's address and port. In a
// concatenation each part takes a multiple of four bytes.
func published(t *nft.Table) *nft.Set {
	return &nft.Set{Table: t, Name: "published", IsMap: true,
		Concatenation: true, KeyType: nft.MustConcatSetType(nft.TypeIPAddr,
			nft.TypeInetProto, nft.TypeInetService),
		DataType: nft.MustConcatSetType(nft.TypeIPAddr, nft.TypeInetService)}
}

func elements(e *names.Endpoint) (all []nft.SetElement) {
	for _, p := range e.Ports {
		key := append(p.HostIP.AsSlice(), Protocol(p.Proto), 0, 0, 0,
			byte(p.HostPort>>8), byte(p.HostPort), 0, 0)
		all = append(all, nft.SetElement{Key: key, Val: append(
			e.IP.AsSlice(), byte(p.Port>>8), byte(p.Port), 0, 0),
			Comment: e.Container})
	}
	return all
}

// A rule is a list of conditions, and then what to do. Each loads something
// into register 1 and compares it.
type rule = []expr.Any

func is(load expr.Any, op expr.CmpOp, data []byte) rule {
	return rule{load, &expr.Cmp{Op: op, Register: 1, Data: data}}
}

// link compares the name of the link by which a packet comes or goes.
func link(key expr.MetaKey, op expr.CmpOp, name string) rule {
	return is(&expr.Meta{Key: key, Register: 1}, op, append([]byte(name), 0))
}

// at compares a part of the IP header: at 12 is the source's address, at
// 16 the destination's.
func at(offset uint32, p netip.Prefix) rule {
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
	return rule{&expr.Payload{DestRegister: 1, Offset: offset, Len: 4,
		Base: expr.PayloadBaseNetworkHeader}, &expr.Bitwise{Len: 4, Mask: mask,
		SourceRegister: 1, DestRegister: 1, Xor: make([]byte, 4)},
		&expr.Cmp{Register: 1, Data: p.Addr().AsSlice()}}
}

// ct wants one of some bits of what conntrack knows of a packet's connection.
func ct(key expr.CtKey, bits uint32) rule {
	return rule{&expr.Ct{Key: key, Register: 1}, &expr.Bitwise{Len: 4,
		SourceRegister: 1, DestRegister: 1, Xor: make([]byte, 4),
		Mask: binary.NativeEndian.AppendUint32(nil, bits)}, &expr.Cmp{
		Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)}}
}

// dnat looks up in published the bits in mask of the destination's address,
// with the Protocol and port of what is sent to this host. Registers 8 to 10
// are the first three words of register 1.
func dnat(mask byte) rule {
	local := is(&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		expr.CmpOpEq, binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL))
	return append(local, &expr.Payload{DestRegister: 8, Offset: 16, Len: 4,
		Base: expr.PayloadBaseNetworkHeader}, &expr.Bitwise{Len: 4,
		SourceRegister: 8, DestRegister: 8, Xor: make([]byte, 4),
		Mask: []byte{mask, mask, mask, mask}},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 9},
		&expr.Payload{DestRegister: 10, Base: expr.PayloadBaseTransportHeader,
			Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true,
			SetName: "published"},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.AF_INET,
			RegAddrMin: 8, RegProtoMin: 9, Specified: true})
}

// Write writes a network's rules at once, in place of what there may be.
//
// What leaves the subnet gets the host's address (masquerade): outside, nobody
// knows the subnet. A connection to a published port gets the container's
// (dnat), in prerouting if it arrives, in output if the host makes it, from
// 127.0.0.1 perhaps: for that the bridge has route_localnet, and what arrives
// by the bridge for 127.0.0.1 is dropped. Who comes by a published port from
// the same subnet must be answered by way of us, so it is masqueraded too.
// Nothing else passes the bridge from outside, other networks included.
func Write(n *names.Network) error {
	c, t := &nft.Conn{}, table(n.Bridge)
	c.AddTable(t)
	c.DelTable(t)
	c.AddTable(t)
	var all []nft.SetElement
	for _, e := range n.Endpoints {
		all = append(all, elements(e)...)
	}
	if err := c.AddSet(published(t), all); err != nil {
		return err
	}
	chain := func(kind nft.ChainType, hook *nft.ChainHook,
		priority *nft.ChainPriority, name string, rules ...[]rule) {
		ch := c.AddChain(&nft.Chain{Name: name, Table: t, Type: kind,
			Hooknum: hook, Priority: priority})
		for _, r := range rules {
			c.AddRule(&nft.Rule{Table: t, Chain: ch,
				Exprs: slices.Concat(r...)})
		}
	}
	accept := rule{&expr.Verdict{Kind: expr.VerdictAccept}}
	drop, masquerade := rule{&expr.Verdict{}}, rule{&expr.Masq{}}
	in := link(expr.MetaKeyIIFNAME, expr.CmpOpEq, n.Bridge)
	out := link(expr.MetaKeyOIFNAME, expr.CmpOpEq, n.Bridge)
	away := link(expr.MetaKeyOIFNAME, expr.CmpOpNeq, n.Bridge)
	dnated := ct(expr.CtKeySTATUS, 0x20) // IPS_DST_NAT
	known := ct(expr.CtKeySTATE,
		expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	byIP, byAny := dnat(255), dnat(0)

	const nat, filter = nft.ChainTypeNAT, nft.ChainTypeFilter
	chain(filter, nft.ChainHookPrerouting, nft.ChainPriorityRaw, "loopback",
		[]rule{in, at(16, loopback), drop})
	if n.Internal {
		chain(filter, nft.ChainHookForward, nft.ChainPriorityFilter, "forward",
			[]rule{in, out, accept}, []rule{in, drop}, []rule{out, drop})
		return flush(c, t)
	}
	chain(nat, nft.ChainHookPrerouting, nft.ChainPriorityNATDest,
		"prerouting", []rule{byIP}, []rule{byAny})
	chain(nat, nft.ChainHookOutput, nft.ChainPriorityNATDest,
		"output", []rule{byIP}, []rule{byAny})
	chain(nat, nft.ChainHookPostrouting, nft.ChainPriorityNATSource,
		"postrouting", []rule{at(12, n.Subnet), away, masquerade},
		[]rule{at(12, n.Subnet), out, dnated, masquerade},
		[]rule{at(12, loopback), out, masquerade})
	chain(filter, nft.ChainHookForward, nft.ChainPriorityFilter, "forward",
		[]rule{in, out, accept}, []rule{out, known, accept},
		[]rule{out, dnated, accept}, []rule{out, drop})
	return flush(c, t)
}

func flush(c *nft.Conn, t *nft.Table) error {
	if err := c.Flush(); err != nil {
		return fmt.Errorf("write nft table %s: %w", t.Name, err)
	}
	return admit(strings.TrimPrefix(t.Name, tablePrefix), true)
}

// forward finds the chain in which iptables drops what no rule has accepted,
// if it does so, as it does once Docker has started; and the rules there that
// we have written for a bridge.
func forward(c *nft.Conn, bridge string) (drops *nft.Chain, ours []*nft.Rule,
	tag []byte) {
	tag = userdata.AppendString(nil, userdata.TypeComment, tablePrefix+bridge)
	chains, _ := c.ListChainsOfTableFamily(nft.TableFamilyIPv4)
	for _, ch := range chains {
		if !iptables(ch) {
			continue
		}
		if ch.Policy != nil && *ch.Policy == nft.ChainPolicyDrop {
			drops = ch
		}
		ours, _ = c.GetRules(ch.Table, ch)
		ours = slices.DeleteFunc(ours, func(r *nft.Rule) bool {
			return !bytes.Equal(r.UserData, tag)
		})
	}
	return drops, ours, tag
}

func iptables(ch *nft.Chain) bool {
	return ch.Table.Family == nft.TableFamilyIPv4 &&
		ch.Table.Name == "filter" && ch.Name == "FORWARD"
}

// admit lets a bridge's packets pass there: a packet must pass all tables. Ours
// decides what may. What others drop by a rule is dropped: see Others.
func admit(bridge string, in bool) error {
	c := &nft.Conn{}
	ch, ours, tag := forward(c, bridge)
	for _, r := range ours {
		c.DelRule(r)
	}
	for _, key := range []expr.MetaKey{expr.MetaKeyIIFNAME,
		expr.MetaKeyOIFNAME} {
		if in && ch != nil {
			c.AddRule(&nft.Rule{Table: ch.Table, Chain: ch, UserData: tag,
				Exprs: append(link(key, expr.CmpOpEq, bridge),
					&expr.Verdict{Kind: expr.VerdictAccept})})
		}
	}
	return c.Flush()
}

// Others are the chains that drop what they do not know, by their policy or
// their last rule, and whose table, firewalld's perhaps, does not know a
// bridge. Only who has made them can tell what belongs before that rule.
func Others(bridge string) (list []string) {
	c := &nft.Conn{}
	chains, _ := c.ListChains()
	for _, ch := range chains {
		family := map[nft.TableFamily]string{nft.TableFamilyIPv4: "ip",
			nft.TableFamilyINet: "inet"}[ch.Table.Family]
		if family == "" || ch.Hooknum == nil ||
			*ch.Hooknum != *nft.ChainHookForward ||
			strings.HasPrefix(ch.Table.Name, tablePrefix) {
			continue
		}
		rules, _ := c.GetRules(ch.Table, ch)
		drops := len(rules) > 0 && isDrop(rules[len(rules)-1])
		if !iptables(ch) && ch.Policy != nil {
			drops = drops || *ch.Policy == nft.ChainPolicyDrop
		}
		if drops && !knows(c, chains, ch.Table, bridge) {
			list = append(list, family+" "+ch.Table.Name+" "+ch.Name)
		}
	}
	return list
}

// isDrop says whether a rule drops everything.
func isDrop(r *nft.Rule) bool {
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter:
			continue
		case *expr.Verdict:
			return e.Kind == expr.VerdictDrop
		case *expr.Reject:
			return true
		}
		break
	}
	return false
}

// knows says whether a rule of somebody else names a bridge.
func knows(c *nft.Conn, chains []*nft.Chain, t *nft.Table, bridge string) bool {
	name := link(expr.MetaKeyIIFNAME, expr.CmpOpEq, bridge)[1].(*expr.Cmp).Data
	for _, ch := range chains {
		if ch.Table.Name != t.Name || ch.Table.Family != t.Family {
			continue
		}
		rules, _ := c.GetRules(ch.Table, ch)
		for _, r := range rules {
			for _, e := range r.Exprs {
				cmp, is := e.(*expr.Cmp)
				if is && bytes.HasPrefix(cmp.Data, name) {
					return true
				}
			}
		}
	}
	return false
}

// Has notices that someone has flushed all rules, or that iptables has come to
// drop since they were written.
func Has(n *names.Network) bool {
	c := &nft.Conn{}
	t, err := c.ListTableOfFamily(tablePrefix+n.Bridge, nft.TableFamilyIPv4)
	drops, ours, _ := forward(c, n.Bridge)
	return err == nil && t != nil && (drops == nil || len(ours) > 0)
}

// Remove removes a bridge's table.
func Remove(bridge string) {
	c := &nft.Conn{}
	c.DelTable(table(bridge))
	c.Flush() // ENOENT: it is not there
	admit(bridge, false)
}

// Sweep removes those whose bridge is not there.
func Sweep() error {
	tables, err := (&nft.Conn{}).ListTablesOfFamily(nft.TableFamilyIPv4)
	for _, t := range tables {
		bridge, ok := strings.CutPrefix(t.Name, tablePrefix)
		if _, bad := netlink.LinkByName(bridge); ok &&
			errors.As(bad, &netlink.LinkNotFoundError{}) {
			Remove(bridge)
		}
	}
	return err
}

// Publish adds an endpoint's ports to the table, Unpublish removes them. If
// that fails, the table is not as we left it, and is written again.
func Publish(n *names.Network, e *names.Endpoint) error {
	return change(n, e, (*nft.Conn).SetAddElements)
}

func Unpublish(n *names.Network, e *names.Endpoint) error {
	return change(n, e, (*nft.Conn).SetDeleteElements)
}

// change also makes conntrack forget UDP's connections to these ports: as long
// as packets come, they would go where the first one went.
func change(n *names.Network, e *names.Endpoint, do func(*nft.Conn, *nft.Set,
	[]nft.SetElement) error) error {
	if len(e.Ports) == 0 {
		return nil
	}
	c := &nft.Conn{}
	err := do(c, published(table(n.Bridge)), elements(e))
	if err == nil && c.Flush() != nil && Has(n) {
		err = Write(n)
	}
	if slices.ContainsFunc(e.Ports, func(p names.Port) bool {
		return p.Proto == "udp"
	}) {
		netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET,
			flows{e})
	}
	return err
}

// flows are the connections to an endpoint's UDP ports, or to the same ports
// of another without translation: the host's, before the rules came.
type flows struct{ *names.Endpoint }

func (e flows) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	to := f.Reverse.SrcIP
	return f.Forward.Protocol == unix.IPPROTO_UDP &&
		(to.Equal(f.Forward.DstIP) || to.Equal(e.IP.AsSlice())) &&
		slices.ContainsFunc(e.Ports, func(p names.Port) bool {
			return p.HostPort == f.Forward.DstPort
		})
}
