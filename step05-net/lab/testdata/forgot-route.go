// Forgot the default route: there is only the own subnet.
//
// bad: bridge
// says: TestBridge
// good: loopback
package main

import (
	"cmp"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func setNet(network string) error {
	ip, err := netlink.ParseAddr(network)
	if err != nil && network != "none" {
		return nil // the host's, or another container's
	}
	err = netlink.LinkSetUp(named("lo"))
	if ip != nil {
		err = cmp.Or(err, netlink.AddrAdd(named("eth0"), ip),
			netlink.LinkSetUp(named("eth0")))
	}
	return failed("set up", "network", cmp.Or(err,
		unix.Mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY, "")))
}
