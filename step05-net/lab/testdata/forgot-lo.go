// Forgot that the loopback, too, is down in a new namespace.
//
// bad: loopback
// says: TestNoneHasOnlyLoopback
// good: sys
package main

import (
	"cmp"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func setNet(network string) error {
	ip, err := netlink.ParseAddr(network)
	if err != nil && network != "none" {
		return nil // the host's, or another container's
	}
	err = nil
	if ip != nil {
		gateway := netip.MustParsePrefix(network).Masked().Addr().Next()
		err = cmp.Or(err, netlink.AddrAdd(named("eth0"), ip),
			netlink.LinkSetUp(named("eth0")),
			netlink.RouteAdd(&netlink.Route{Gw: gateway.AsSlice()}))
	}
	return failed("set up", "network", cmp.Or(err,
		unix.Mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY, "")))
}
