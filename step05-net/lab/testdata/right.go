// The variation.
package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func init() {
	runFlags = append(runFlags, &cli.StringSliceFlag{Name: "publish-local",
		Usage: "port `HOST:INSIDE` of 127.0.0.1"})
}

func connect(c *cli.Context, pid int, gate *os.File) error {
	network, ports := c.String("network"), c.StringSlice("publish")
	for _, port := range c.StringSlice("publish-local") {
		ports = append(ports, "local "+port)
	}
	if network == "" || network == "bridge" {
		subnet, _ := netip.ParsePrefix(c.String("subnet"))
		if !subnet.Addr().Is4() {
			return fmt.Errorf("subnet %s: not A.B.C.D/N", c.String("subnet"))
		}
		unix.Flock(netns, unix.LOCK_EX)
		defer unix.Flock(netns, unix.LOCK_UN)
		ip, err := plug(subnet.Masked(), pid)
		if err = cmp.Or(err, addNAT(ip.AsSlice(), ports)); err != nil {
			return err
		}
		network = netip.PrefixFrom(ip, subnet.Bits()).String()
	} else if len(ports) > 0 {
		return fmt.Errorf("publish: needs --network bridge, not %s", network)
	}
	gate.WriteString(network)
	return nil
}

func addNAT(ip []byte, ports []string) (err error) {
	in, out, c := nft.ChainHookPrerouting, nft.ChainHookPostrouting, nft.Conn{}
	table := c.AddTable(&nft.Table{Name: fmt.Sprint(ours, os.Getpid()),
		Family: nft.TableFamilyIPv4})
	rule := func(hook *nft.ChainHook, do expr.Any, when ...[]expr.Any) {
		c.AddRule(&nft.Rule{Table: table, Chain: c.AddChain(&nft.Chain{
			Name: fmt.Sprint("hook", *hook), Table: table, Hooknum: hook,
			Type: nft.ChainTypeNAT, Priority: nft.ChainPriorityNATDest}),
			Exprs: append(slices.Concat(when...), do)})
	}
	rule(in, &expr.Verdict{Kind: expr.VerdictDrop}, match(l3, 16, 127),
		[]expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, hub})
	rule(out, &expr.Verdict{Kind: expr.VerdictReturn}, along)
	rule(out, &expr.Masq{}, match(l3, 12, ip...))
	rule(out, &expr.Masq{}, match(l3, 12, 127), match(l3, 16, ip...))
	for _, arg := range ports {
		arg, local := strings.CutPrefix(arg, "local ")
		h, i, name := uint16(0), uint16(0), ""
		fmt.Sscanf(arg+"/tcp", "%d:%d/%s", &h, &i, &name)
		if kinds[name] == nil || min(h, i) == 0 {
			return fmt.Errorf("publish %s: not HOST:INSIDE[/udp]", arg)
		}
		at, hooks := &unix.SockaddrInet4{Port: int(h)}, []*nft.ChainHook{in,
			nft.ChainHookOutput}
		dst := []expr.Any{}
		if local {
			at.Addr, hooks = [4]byte{127, 0, 0, 1}, hooks[1:]
			dst = match(l3, 16, 127, 0, 0, 1)
		}
		fd, bad := unix.Socket(unix.AF_INET, kinds[name][0], 0)
		err = cmp.Or(err, bad, failed("bind", "port "+arg,
			unix.Bind(fd, at)))
		to := append(slices.Concat(match(l3, 9, byte(kinds[name][1])),
			match(l4, 2, byte(h>>8), byte(h))),
			&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
			&expr.Cmp{Register: 1, Data: []byte{unix.RTN_LOCAL}},
			&expr.Immediate{Register: 1, Data: ip},
			&expr.Immediate{Register: 2, Data: []byte{byte(i >> 8), byte(i)}})
		for _, hook := range hooks {
			rule(hook, &expr.NAT{Type: expr.NATTypeDestNAT, RegAddrMin: 1,
				RegProtoMin: 2, Family: unix.AF_INET}, dst, to)
		}
	}
	return cmp.Or(err, failed("add", "nft rules", c.Flush()))
}
