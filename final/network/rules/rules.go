// Package rules says the rules of nf_tables in the words of nft(8).
package rules

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Text says one. A rule loads something into a register and compares it; a
// register here holds the words for what was loaded. Registers 1 to 4 have
// sixteen bytes; those from 8 on are the same, four bytes each. What we have
// no words for is the type of the expression, in brackets.
func Text(exprs []expr.Any) string {
	var words []string
	say := func(format string, args ...any) {
		words = append(words, fmt.Sprintf(format, args...))
	}
	reg, mask := map[uint32]string{}, map[uint32][]byte{}
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Meta:
			reg[at(e.Register)] = cmp.Or(map[expr.MetaKey]string{
				expr.MetaKeyIIFNAME: "iifname", expr.MetaKeyOIFNAME: "oifname",
				expr.MetaKeyL4PROTO: "meta l4proto"}[e.Key],
				fmt.Sprintf("meta [%d]", e.Key))
		case *expr.Payload:
			reg[at(e.DestRegister)] = payload(e)
		case *expr.Ct:
			reg[at(e.Register)] = cmp.Or(map[expr.CtKey]string{
				expr.CtKeySTATE:  "ct state",
				expr.CtKeySTATUS: "ct status"}[e.Key],
				fmt.Sprintf("ct [%d]", e.Key))
		case *expr.Fib:
			reg[at(e.Register)] = "fib daddr type"
		case *expr.Bitwise:
			mask[at(e.SourceRegister)] = e.Mask
		case *expr.Cmp:
			n := at(e.Register)
			say("%s%s", reg[n], compared(reg[n], e, mask[n]))
			clear(reg)
			clear(mask)
		case *expr.Lookup:
			var keys []string
			for n := at(e.SourceRegister); reg[n] != ""; n++ {
				keys = append(keys, reg[n]+masked(mask[n]))
			}
			key := strings.Join(keys, " . ")
			if !e.IsDestRegSet {
				say("%s @%s", key, e.SetName)
			}
			reg = map[uint32]string{
				at(e.DestRegister): key + " map @" + e.SetName}
		case *expr.NAT:
			say("%s ip to %s", [2]string{"snat", "dnat"}[e.Type&1],
				reg[at(e.RegAddrMin)])
		case *expr.Masq:
			say("masquerade")
		case *expr.Counter:
			say("counter packets %d bytes %d", e.Packets, e.Bytes)
		case *expr.Verdict:
			say("%s", strings.TrimSpace(cmp.Or(map[expr.VerdictKind]string{
				expr.VerdictDrop: "drop", expr.VerdictAccept: "accept",
				expr.VerdictJump: "jump", expr.VerdictGoto: "goto",
				expr.VerdictReturn: "return"}[e.Kind],
				fmt.Sprintf("verdict [%d]", e.Kind))+" "+e.Chain))
		default:
			say("%s", strings.Replace(fmt.Sprintf("[%T]", e), "*expr.", "", 1))
		}
	}
	return strings.Join(words, " ")
}

// at is the register of four bytes that another begins with.
func at(n uint32) uint32 {
	if n > 0 && n < 5 {
		return 4 + 4*n
	}
	return n
}

// payload: of an address, a prefix of whole bytes may be all that is loaded.
func payload(p *expr.Payload) string {
	base := [4]string{"ll", "nh", "th", "ih"}[p.Base&3]
	if base == "nh" && (p.Offset == 12 || p.Offset == 16) && p.Len <= 4 {
		return map[uint32]string{12: "ip saddr", 16: "ip daddr"}[p.Offset]
	}
	return cmp.Or(map[string]string{"nh 9 1": "ip protocol",
		"th 0 2": "th sport", "th 2 2": "th dport"}[fmt.Sprint(base, " ",
		p.Offset, " ", p.Len)],
		fmt.Sprintf("@%s,%d,%d", base, p.Offset*8, p.Len*8))
}

// masked is " & 0.0.0.0"; a mask of ones takes nothing away.
func masked(mask []byte) string {
	a, ok := netip.AddrFromSlice(mask)
	if !ok || bytes.Count(mask, []byte{255}) == len(mask) {
		return ""
	}
	return " & " + a.String()
}

// compared is what stands right of what was loaded: != "eth0", 10.0.0.0/8.
func compared(what string, e *expr.Cmp, mask []byte) string {
	op := map[expr.CmpOp]string{expr.CmpOpNeq: " !=", expr.CmpOpLt: " <",
		expr.CmpOpLte: " <=", expr.CmpOpGt: " >", expr.CmpOpGte: " >="}[e.Op]
	value := fmt.Sprintf("0x%x", e.Data)
	switch n := len(e.Data); {
	case strings.HasPrefix(what, "ct stat") && len(mask) == 4:
		op, value = "", flags(what, binary.NativeEndian.Uint32(mask))
	case strings.HasSuffix(what, "ifname"):
		name, _, whole := bytes.Cut(e.Data, []byte{0})
		value = fmt.Sprintf("%q", string(name)+map[bool]string{
			false: "*"}[whole])
	case what == "fib daddr type" && n == 4 &&
		binary.NativeEndian.Uint32(e.Data) == unix.RTN_LOCAL:
		value = "local"
	case strings.HasSuffix(what, "addr") && n > 0 && n <= 4:
		bit := n * 8
		if len(mask) == 4 {
			bit = bits.OnesCount32(binary.BigEndian.Uint32(mask))
		}
		a := netip.AddrFrom4([4]byte(append(bytes.Clone(e.Data), 0, 0, 0)))
		value = netip.PrefixFrom(a, bit).String()
		value = strings.TrimSuffix(value, "/32")
	case strings.HasSuffix(what, "port") && n == 2:
		value = fmt.Sprint(binary.BigEndian.Uint16(e.Data))
	case strings.Contains(what, "l4proto") && n == 1,
		what == "ip protocol" && n == 1:
		value = Protocol(e.Data[0])
	}
	return op + " " + value
}

// flags are bits of what conntrack knows of a connection.
func flags(what string, set uint32) string {
	names := map[uint32]string{1 << 4: "snat", 1 << 5: "dnat"}
	if what == "ct state" {
		names = map[uint32]string{expr.CtStateBitINVALID: "invalid",
			expr.CtStateBitESTABLISHED: "established",
			expr.CtStateBitRELATED:     "related", expr.CtStateBitNEW: "new"}
	}
	var all []string
	for ; set != 0; set &= set - 1 {
		bit := set & -set
		all = append(all, cmp.Or(names[bit], fmt.Sprintf("0x%x", bit)))
	}
	return strings.Join(all, ",")
}

// Protocol is the name of one that an IP packet carries, or its number.
func Protocol(n byte) string {
	return cmp.Or(map[byte]string{unix.IPPROTO_TCP: "tcp",
		unix.IPPROTO_UDP: "udp", unix.IPPROTO_SCTP: "sctp",
		unix.IPPROTO_ICMP: "icmp"}[n], fmt.Sprint(n))
}

// Hook is where a chain stands in a packet's way: "nat prerouting -100".
func Hook(ch *nft.Chain) string {
	names := []string{"prerouting", "input", "forward", "output",
		"postrouting"}
	if ch.Hooknum == nil || ch.Priority == nil ||
		int(*ch.Hooknum) >= len(names) {
		return string(ch.Type)
	}
	return fmt.Sprintf("%s %s %d", ch.Type, names[*ch.Hooknum], *ch.Priority)
}

// Forward reads an element of a map from address, protocol and port to address
// and port, as dnat takes it. In a concatenation each part takes a multiple of
// four bytes.
func Forward(e nft.SetElement) (from, to netip.AddrPort, protocol string) {
	if len(e.Key) != 12 || len(e.Val) != 8 {
		return from, to, ""
	}
	port := binary.BigEndian.Uint16
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(e.Key)), port(e.Key[8:])),
		netip.AddrPortFrom(netip.AddrFrom4([4]byte(e.Val)), port(e.Val[4:])),
		Protocol(e.Key[4])
}

// Mentions says whether a text has one of the words, or an address or a subnet
// that one of ours is in.
func Mentions(text string, words []string, ips []netip.Addr) bool {
	for field := range strings.FieldsSeq(text) {
		p, err := netip.ParsePrefix(field)
		if a, bad := netip.ParseAddr(field); bad == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if slices.Contains(words, field) || err == nil &&
			slices.ContainsFunc(ips, p.Contains) {
			return true
		}
	}
	return false
}
