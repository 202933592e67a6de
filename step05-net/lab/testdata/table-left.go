// Left the table: its rules stay, and the bridge seems to be in use.
//
// bad: sweep
// says: TestLastContainerTakesTheBridge
// good: loopback
package main

import (
	"cmp"
	"os"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func sweepNet(id string) error {
	unix.Flock(netns, unix.LOCK_EX)
	c := &nft.Conn{}
	netlink.LinkDel(named("ws" + id))
	hub, err := netlink.LinkByName(bridge)
	tables, err2 := c.ListTablesOfFamily(nft.TableFamilyIPv4)
	if cmp.Or(err, err2) != nil || slices.ContainsFunc(tables,
		func(t *nft.Table) bool { return strings.HasPrefix(t.Name, ours) }) {
		return nil
	}
	return failed("remove", bridge, cmp.Or(netlink.LinkDel(hub),
		os.WriteFile(ipv4+"ip_forward", []byte(hub.Attrs().Alias), 0)))
}
