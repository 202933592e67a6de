package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Each bridge has a table of its own, minidocker-BRIDGE, that speaks of no
// other bridge: `nft list ruleset` shows it. It goes as a whole.
const tablePrefix = "minidocker-"

func table(bridge string) *nft.Table {
	return &nft.Table{Name: tablePrefix + bridge, Family: nft.TableFamilyIPv4}
}

// protocols are those that have ports: their numbers in an IP header.
func protocol(name string) byte {
	switch name {
	case "tcp":
		return unix.IPPROTO_TCP
	case "udp":
		return unix.IPPROTO_UDP
	case "sctp":
		return unix.IPPROTO_SCTP
	}
	return 0
}

// published is the table's map from a port of the host (its address, or
// 0.0.0.0, the protocol, the port) to a container's address and port. In a
// concatenation each part takes a multiple of four bytes.
func published(t *nft.Table) *nft.Set {
	return &nft.Set{Table: t, Name: "published", IsMap: true,
		Concatenation: true, KeyType: nft.MustConcatSetType(nft.TypeIPAddr,
			nft.TypeInetProto, nft.TypeInetService),
		DataType: nft.MustConcatSetType(nft.TypeIPAddr, nft.TypeInetService)}
}

func elements(e *Endpoint) (all []nft.SetElement) {
	for _, p := range e.Ports {
		host := p.HostIP
		if !host.IsValid() {
			host = netip.IPv4Unspecified()
		}
		key := append(host.AsSlice(), protocol(p.Proto), 0, 0, 0,
			byte(p.HostPort>>8), byte(p.HostPort), 0, 0)
		all = append(all, nft.SetElement{Key: key, Val: append(
			e.IP.AsSlice(), byte(p.Port>>8), byte(p.Port), 0, 0),
			Comment: e.Container})
	}
	return all
}

// An exprs is the conditions of a rule; each method adds one.
type exprs []expr.Any

func (x exprs) equal(load expr.Any, data []byte) exprs {
	return append(x, load, &expr.Cmp{Register: 1, Data: data})
}

func link(name string) []byte { return append([]byte(name), 0) }

// in and out: by which link a packet comes and goes.
func (x exprs) in(name string) exprs {
	return x.equal(&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		link(name))
}

func (x exprs) out(name string) exprs {
	return x.equal(&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		link(name))
}

func (x exprs) notOut(name string) exprs {
	return append(x, &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: link(name)})
}

// An IP header has the source's address at 12, the destination's at 16.
func (x exprs) address(at uint32, p netip.Prefix) exprs {
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
	return append(x, &expr.Payload{DestRegister: 1, Offset: at, Len: 4,
		Base: expr.PayloadBaseNetworkHeader}, &expr.Bitwise{Len: 4,
		SourceRegister: 1, DestRegister: 1, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Register: 1, Data: p.Addr().AsSlice()})
}

func (x exprs) from(p netip.Prefix) exprs { return x.address(12, p) }
func (x exprs) to(p netip.Prefix) exprs   { return x.address(16, p) }

// local: the destination is an address of the host.
func (x exprs) local() exprs {
	return x.equal(&expr.Fib{Register: 1, FlagDADDR: true,
		ResultADDRTYPE: true}, binary.NativeEndian.AppendUint32(nil,
		unix.RTN_LOCAL))
}

// ct wants one of some bits of what conntrack knows of a packet's connection.
func (x exprs) ct(key expr.CtKey, bits uint32) exprs {
	return append(x, &expr.Ct{Key: key, Register: 1}, &expr.Bitwise{Len: 4,
		SourceRegister: 1, DestRegister: 1, Xor: make([]byte, 4),
		Mask: binary.NativeEndian.AppendUint32(nil, bits)}, &expr.Cmp{
		Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)})
}

// dnat looks host, which loads an address, the protocol and the port up in
// published, and sends the connection to what it finds. Registers 8 to 11 are
// the first 16 bytes, 4 each; 1 is all of them.
func (x exprs) dnat(host expr.Any) exprs {
	return append(x, host, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 9},
		&expr.Payload{DestRegister: 10, Base: expr.PayloadBaseTransportHeader,
			Offset: 2, Len: 2}, &expr.Lookup{SourceRegister: 1,
			DestRegister: 1, IsDestRegSet: true, SetName: "published"},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.AF_INET,
			RegAddrMin: 8, RegProtoMin: 9, Specified: true})
}

func (x exprs) accept() exprs { return append(x, verdict(expr.VerdictAccept)) }
func (x exprs) drop() exprs   { return append(x, verdict(expr.VerdictDrop)) }
func verdict(kind expr.VerdictKind) expr.Any {
	return &expr.Verdict{Kind: kind}
}

// setTable writes a network's rules at once, in place of what there may be.
//
// What leaves the subnet gets the host's address (masquerade): outside, nobody
// knows the subnet. A connection to a published port gets the container's
// (dnat), in prerouting if it arrives, in output if the host makes it, from
// 127.0.0.1 perhaps: for that the bridge has route_localnet, and what arrives
// by the bridge for 127.0.0.1 is dropped. Who comes by a published port from
// the same subnet must be answered by way of us, so it is masqueraded too.
// Nothing else passes the bridge from outside, other networks included.
func setTable(n *Network) error {
	c, t, b := &nft.Conn{}, table(n.Bridge), n.Bridge
	c.AddTable(t)
	c.DelTable(t)
	c.AddTable(t)
	set := published(t)
	var all []nft.SetElement
	for _, e := range n.Endpoints {
		all = append(all, elements(e)...)
	}
	if err := c.AddSet(set, all); err != nil {
		return err
	}
	chain := func(name string, kind nft.ChainType, hook *nft.ChainHook,
		priority *nft.ChainPriority, rules ...exprs) {
		ch := c.AddChain(&nft.Chain{Name: name, Table: t, Type: kind,
			Hooknum: hook, Priority: priority})
		for _, r := range rules {
			c.AddRule(&nft.Rule{Table: t, Chain: ch, Exprs: r})
		}
	}
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	const nat, filter = nft.ChainTypeNAT, nft.ChainTypeFilter
	chain("loopback", filter, nft.ChainHookPrerouting, nft.ChainPriorityRaw,
		exprs{}.in(b).to(loopback).drop())
	dnat := []exprs{
		exprs{}.local().dnat(&expr.Payload{DestRegister: 8, Offset: 16, Len: 4,
			Base: expr.PayloadBaseNetworkHeader}),
		exprs{}.local().dnat(&expr.Immediate{Register: 8,
			Data: make([]byte, 4)})}
	chain("prerouting", nat, nft.ChainHookPrerouting, nft.ChainPriorityNATDest,
		dnat...)
	chain("output", nat, nft.ChainHookOutput, nft.ChainPriorityNATDest, dnat...)
	forward := []exprs{exprs{}.in(b).out(b).accept()}
	if n.Internal {
		forward = append(forward, exprs{}.in(b).drop(), exprs{}.out(b).drop())
	} else {
		chain("postrouting", nat, nft.ChainHookPostrouting,
			nft.ChainPriorityNATSource,
			append(exprs{}.from(n.Subnet).notOut(b), &expr.Masq{}),
			append(exprs{}.from(n.Subnet).out(b).ct(expr.CtKeySTATUS, 0x20),
				&expr.Masq{}), // IPS_DST_NAT
			append(exprs{}.from(loopback).out(b), &expr.Masq{}))
		forward = append(forward,
			exprs{}.out(b).ct(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|
				expr.CtStateBitRELATED).accept(),
			exprs{}.out(b).ct(expr.CtKeySTATUS, 0x20).accept(),
			exprs{}.out(b).drop())
	}
	chain("forward", filter, nft.ChainHookForward, nft.ChainPriorityFilter,
		forward...)
	return failed("write nft table "+t.Name, c.Flush())
}

func failed(what string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// hasTable notices that someone has flushed all rules.
func hasTable(n *Network) bool {
	t, err := (&nft.Conn{}).ListTableOfFamily(tablePrefix+n.Bridge,
		nft.TableFamilyIPv4)
	return err == nil && t != nil
}

func removeTable(bridge string) {
	c := &nft.Conn{}
	c.DelTable(table(bridge))
	c.Flush() // ENOENT: it is not there
}

// sweepTables removes those whose bridge is not there.
func sweepTables(h *netlink.Handle) error {
	tables, err := (&nft.Conn{}).ListTablesOfFamily(nft.TableFamilyIPv4)
	for _, t := range tables {
		bridge, ok := strings.CutPrefix(t.Name, tablePrefix)
		if _, bad := h.LinkByName(bridge); ok &&
			errors.As(bad, &netlink.LinkNotFoundError{}) {
			removeTable(bridge)
		}
	}
	return failed("list nft tables", err)
}

// publish adds an endpoint's ports to the table, unpublish removes them. If
// that fails, the table is not as we left it, and is written again.
func publish(n *Network, e *Endpoint) error {
	return change(n, e, (*nft.Conn).SetAddElements)
}

func unpublish(n *Network, e *Endpoint) error {
	return change(n, e, (*nft.Conn).SetDeleteElements)
}

func change(n *Network, e *Endpoint, do func(*nft.Conn, *nft.Set,
	[]nft.SetElement) error) error {
	if len(e.Ports) == 0 {
		return nil
	}
	c := &nft.Conn{}
	err := do(c, published(table(n.Bridge)), elements(e))
	if err == nil && c.Flush() != nil && hasTable(n) {
		err = setTable(n)
	}
	if slices.ContainsFunc(e.Ports, func(p Port) bool {
		return p.Proto == "udp"
	}) {
		forget(e)
	}
	return err
}

// forget makes conntrack forget UDP's connections to an endpoint's ports, or
// those to the same port that go straight to the host: as long as packets
// come, they would go where the first one went.
func forget(e *Endpoint) {
	netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, flows{e})
}

type flows struct{ *Endpoint }

func (e flows) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	to := f.Reverse.SrcIP
	return f.Forward.Protocol == unix.IPPROTO_UDP &&
		(to.Equal(f.Forward.DstIP) || to.Equal(e.IP.AsSlice())) &&
		slices.ContainsFunc(e.Ports, func(p Port) bool {
			return p.HostPort == f.Forward.DstPort
		})
}
