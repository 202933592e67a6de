package xray

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"container-workshop/final/namespaces"
)

// Network is what is in the container's network namespace, how it is connected
// with ours, and what our packet filter does with it.
type Network struct {
	Hostname   string
	Interfaces []*Interface
	Routes     []string
	Published  []Published
	Rules      []Rule
	Error      string `json:",omitempty"`
	RuleError  string `json:",omitempty"`
}

// Interface is one in the container. Peer is our end of a veth pair, Bridge
// what that is plugged into.
type Interface struct {
	Index, MTU, PeerIndex  int
	Name, Kind, MAC, State string
	Addresses              []string
	Received, Sent         uint64   // bytes
	Peer, Bridge           string   `json:",omitempty"`
	BridgeAddresses        []string `json:",omitempty"`
}

// joined is what a process is called that looks around in the container's
// network and UTS namespaces. In a user namespace nobody else may, and one of
// Go's threads could not leave it again.
const joined = "minidocker-xray"

func init() {
	if os.Args[0] == joined {
		json.NewEncoder(os.Stdout).Encode(look())
		os.Exit(0)
	}
}

// look describes the network namespace that we are in.
func look() (n Network) {
	var host unix.Utsname
	unix.Uname(&host)
	n.Hostname = unix.ByteSliceToString(host.Nodename[:])
	links, err := netlink.LinkList()
	names := map[int]string{}
	for _, l := range links {
		a := l.Attrs()
		names[a.Index] = a.Name
		i := &Interface{Index: a.Index, MTU: a.MTU, Name: a.Name,
			Kind: l.Type(), MAC: a.HardwareAddr.String(),
			State: a.OperState.String(), PeerIndex: a.ParentIndex,
			Addresses: addresses(l)}
		if s := a.Statistics; s != nil {
			i.Received, i.Sent = s.RxBytes, s.TxBytes
		}
		n.Interfaces = append(n.Interfaces, i)
	}
	routes, bad := netlink.RouteList(nil, netlink.FAMILY_ALL)
	for _, r := range routes {
		text := "default"
		if r.Dst != nil && !strings.HasSuffix(r.Dst.String(), "/0") {
			text = r.Dst.String()
		}
		if r.Gw != nil {
			text += " via " + r.Gw.String()
		}
		n.Routes = append(n.Routes, text+" dev "+names[r.LinkIndex])
	}
	n.Error = reason(errors.Join(err, bad))
	return n
}

func addresses(l netlink.Link) []string {
	found := []string{}
	list, _ := netlink.AddrList(l, netlink.FAMILY_ALL)
	for _, a := range list {
		found = append(found, a.IPNet.String())
	}
	return found
}

// wires looks into the container and then follows the cables on our side. Each
// end of a pair has the other's number, and a number for the namespace that
// the other is in.
func wires(init *os.File, pid int) (n Network) {
	if err := enter(init, pid, &n); err != nil {
		n.Error = "enter the network namespace: " + err.Error()
		return n
	}
	links, err := netlink.LinkList()
	there, _ := netlink.GetNetNsIdByPid(pid)
	byIndex := map[int]netlink.Link{}
	for _, l := range links {
		byIndex[l.Attrs().Index] = l
	}
	for _, i := range n.Interfaces {
		peer := byIndex[i.PeerIndex]
		if peer == nil || i.Kind != "veth" || peer.Type() != "veth" ||
			there < 0 || peer.Attrs().NetNsID != there ||
			peer.Attrs().ParentIndex != i.Index {
			continue
		}
		i.Peer = peer.Attrs().Name
		if hub := byIndex[peer.Attrs().MasterIndex]; hub != nil {
			i.Bridge, i.BridgeAddresses = hub.Attrs().Name, addresses(hub)
		}
	}
	n.RuleError = reason(errors.Join(err, n.filter()))
	return n
}

// enter has a process of ours look around in there, unless we are there.
func enter(init *os.File, pid int, n *Network) error {
	flags := uintptr(0)
	for _, k := range namespaces.Kinds {
		file := "ns/" + k.File
		if link(fmt.Sprint(pid), file) != link("self", file) {
			flags |= k.Flag
		}
	}
	if flags&(unix.CLONE_NEWNET|unix.CLONE_NEWUTS) == 0 {
		*n = look()
		return nil
	}
	exe, err1 := namespaces.Exe()
	null, err2 := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	out, in, err3 := os.Pipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	defer exe.Close()
	defer null.Close()
	defer out.Close()
	plan := &namespaces.Plan{Exe: exe, Args: []string{joined},
		Join: []namespaces.Joint{{File: init, Flags: flags &
			(unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWUTS)}},
		Files: []*os.File{null, in, null}}
	child, err := plan.Start()
	in.Close()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(out)
	for bad := error(unix.EINTR); bad == unix.EINTR; {
		_, bad = unix.Wait4(child, nil, unix.WALL, nil)
	}
	if err == nil {
		err = json.Unmarshal(text, n)
	}
	return err
}
