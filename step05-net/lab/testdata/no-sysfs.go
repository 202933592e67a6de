// Forgot the sysfs: /sys is still the one of the host.
//
// bad: sys
// says: TestSysShowsOwnNetwork
// good: loopback
package main

import (
	"cmp"
	"net/netip"

	"github.com/vishvananda/netlink"
)

func setNet(network string) error {
	ip, err := netlink.ParseAddr(network)
	if err != nil && network != "none" {
		return nil // the host's, or another container's
	}
	err = netlink.LinkSetUp(named("lo"))
	if ip != nil {
		gateway := netip.MustParsePrefix(network).Masked().Addr().Next()
		err = cmp.Or(err, netlink.AddrAdd(named("eth0"), ip),
			netlink.LinkSetUp(named("eth0")),
			netlink.RouteAdd(&netlink.Route{Gw: gateway.AsSlice()}))
	}
	return failed("set up", "network", err)
}
