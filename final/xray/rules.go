package xray

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/userdata"

	"container-workshop/final/network/rules"
)

// Published is an element of a map that sends a port of ours to the container:
// Tag is its comment, the ID of the container that it was made for.
type Published struct{ Table, Host, To, Tag string }

// Rule is one of nf_tables that speaks of the container's bridge or address.
type Rule struct{ Table, Chain, Hook, Text, Tag string }

// filter reads all tables: what is of interest may be anybody's.
func (n *Network) filter() error {
	words, ips := []string{}, []netip.Addr{}
	for _, i := range n.Interfaces {
		if i.Bridge == "" {
			continue
		}
		words = append(words, `"`+i.Bridge+`"`, "minidocker-"+i.Bridge)
		for _, text := range i.Addresses {
			if p, err := netip.ParsePrefix(text); err == nil {
				ips = append(ips, p.Addr())
			}
		}
	}
	if len(words) == 0 {
		return nil
	}
	c, last := &nft.Conn{}, ""
	chains, err := c.ListChains()
	for _, ch := range chains {
		list, bad := c.GetRules(ch.Table, ch)
		err = cmp.Or(err, bad)
		for _, r := range list {
			text := rules.Text(r.Exprs)
			if rules.Mentions(ch.Table.Name+" "+text, words, ips) {
				tag, _ := userdata.GetString(r.UserData, userdata.TypeComment)
				n.Rules = append(n.Rules, Rule{ch.Table.Name, ch.Name,
					rules.Hook(ch), text, tag})
			}
		}
		if table := fmt.Sprint(ch.Table.Family, ch.Table.Name); table != last {
			last = table
			n.published(c, ch.Table, ips)
		}
	}
	slices.SortFunc(n.Published, func(a, b Published) int {
		return strings.Compare(a.Host, b.Host) // a map has no order
	})
	return err
}

// published finds the elements of maps that lead to the container.
func (n *Network) published(c *nft.Conn, t *nft.Table, ips []netip.Addr) {
	sets, _ := c.GetSets(t)
	for _, s := range sets {
		elements, _ := c.GetSetElements(s)
		for _, e := range elements {
			from, to, protocol := rules.Forward(e)
			if slices.Contains(ips, to.Addr()) {
				n.Published = append(n.Published, Published{t.Name,
					from.String() + "/" + protocol, to.String(), e.Comment})
			}
		}
	}
}
