// Left the bridge on the host.
//
// bad: sweep
// says: TestLastContainerTakesTheBridge
// good: loopback
package main

import (
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
	return nil
}
