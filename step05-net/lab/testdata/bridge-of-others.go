// Took the bridge from those who still use it.
//
// bad: sweep
// says: TestLastContainerTakesTheBridge
// good: loopback
package main

import (
	"cmp"
	"os"

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
	if err != nil {
		return nil
	}
	return failed("remove", bridge, cmp.Or(netlink.LinkDel(hub),
		os.WriteFile(ipv4+"ip_forward", []byte(hub.Attrs().Alias), 0)))
}
