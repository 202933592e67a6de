package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// hireJanitor starts a process of ours that outlives us, however we die. It
// comes before the first thing that we leave on the host. It reads from a pipe
// of which we alone have the other end, until the kernel closes that one. Its
// own session keeps it from the terminal's signals. The function returned lets
// it go, and waits until all is swept.
func hireJanitor() func() {
	cmd := self("janitor")
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Pdeathsig = true, 0
	cmd.Stdin = nil
	leash, _ := cmd.StdinPipe()
	cmd.Start()
	fmt.Fprint(leash, os.Getpid())
	return func() { leash.Close(); cmd.Wait() }
}

// janitor waits. Then it removes from the host what has the number of its
// master in its name.
func janitor() error {
	var id string
	fmt.Scan(&id)
	return sweepNet(id)
}

// sweepNet removes the container's rules and its cable, unless the kernel was
// faster. The last container takes the bridge with it.
func sweepNet(id string) error {
	defer lockNet().Close()
	c := &nft.Conn{}
	c.DelTable(&nft.Table{Name: "workshop-" + id, Family: nft.TableFamilyIPv4})
	c.Flush()
	netlink.LinkDel(named("ws" + id))
	hub, err := netlink.LinkByName(bridge)
	tables, err2 := c.ListTablesOfFamily(nft.TableFamilyIPv4)
	if cmp.Or(err, err2) != nil || slices.ContainsFunc(tables,
		func(t *nft.Table) bool { return strings.HasPrefix(t.Name, "workshop-") }) {
		return nil
	}
	return failed("remove", bridge, cmp.Or(netlink.LinkDel(hub),
		os.WriteFile(sysctl+"ip_forward", []byte(hub.Attrs().Alias), 0)))
}
