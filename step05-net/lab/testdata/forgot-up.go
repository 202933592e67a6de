// Forgot to set eth0 up: the route has no link to go by.
//
// bad: world
// says: ENETUNREACH
// good: loopback
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
	err = netlink.LinkSetUp(named("lo"))
	if ip != nil {
		gateway := netip.MustParsePrefix(network).Masked().Addr().Next()
		err = cmp.Or(err, netlink.AddrAdd(named("eth0"), ip),
			netlink.RouteAdd(&netlink.Route{Gw: gateway.AsSlice()}))
	}
	return failed("set up", "network", cmp.Or(err,
		unix.Mount("sysfs", "/sys", "sysfs", unix.MS_RDONLY, "")))
}
