// Forgot what ip_forward was before.
//
// bad: sweep
// says: TestLastContainerTakesTheBridge
// good: loopback
package main

import (
	"cmp"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func sweepNet(id string) error {
	unix.Flock(netns, unix.LOCK_EX)
	c := &nft.Conn{}
	c.DelTable(&nft.Table{Name: ours + id, Family: nft.TableFamilyIPv4})
	c.Flush()
	netlink.LinkDel(named("ws" + id))
	hub, err := netlink.LinkByName(bridge)
	tables, err2 := c.ListTablesOfFamily(nft.TableFamilyIPv4)
	if cmp.Or(err, err2) != nil || slices.ContainsFunc(tables,
		func(t *nft.Table) bool { return strings.HasPrefix(t.Name, ours) }) {
		return nil
	}
	return failed("remove", bridge, netlink.LinkDel(hub))
}
