// Package view writes what xray has found: as a tree of text, or as a page with
// a picture.
package view

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docker/go-units"

	"container-workshop/final/xray"
)

// Node is a line of the tree, and what hangs on it.
type Node struct {
	Text  string
	Nodes []*Node
}

// add hangs a line on a node.
func (n *Node) add(format string, args ...any) *Node {
	child := &Node{Text: plain(fmt.Sprintf(format, args...))}
	n.Nodes = append(n.Nodes, child)
	return child
}

// plain is for names that are the container's: what would do something to a
// terminal, or turn the text around, is shown as Go writes it.
func plain(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) || r == utf8.RuneError
	}) {
		return text
	}
	text = strconv.Quote(text)
	return strings.ReplaceAll(text[1:len(text)-1], `\"`, `"`)
}

// fail adds what could not be read.
func (n *Node) fail(text string) {
	if text != "" {
		n.add("cannot be read: %s", text)
	}
}

// hang hangs lines on each other by number, those without parent on n.
func (n *Node) hang(lines []*Node, ids, parents []int) {
	byID := map[int]*Node{}
	for i, line := range lines {
		byID[ids[i]] = line
	}
	for i, line := range lines {
		top := byID[parents[i]]
		if top == nil || parents[i] == ids[i] {
			top = n
		}
		top.Nodes = append(top.Nodes, line)
	}
}

// Write prints a tree, in as many columns where blanks allow it; 0 is no limit.
func (n *Node) Write(w io.Writer, columns int) { n.write(w, columns, "", "") }

func (n *Node) write(w io.Writer, columns int, first, rest string) {
	more := rest + "   "
	if len(n.Nodes) > 0 {
		more = rest + "│  "
	}
	words := strings.Split(n.Text, " ")
	line := first + words[0]
	for _, word := range words[1:] {
		if n := utf8.RuneCountInString(line + " " + word); n > columns &&
			columns > 0 {
			fmt.Fprintln(w, line)
			line = more + word
		} else {
			line += " " + word
		}
	}
	fmt.Fprintln(w, line)
	for i, child := range n.Nodes {
		if i == len(n.Nodes)-1 {
			child.write(w, columns, rest+"└─ ", rest+"   ")
		} else {
			child.write(w, columns, rest+"├─ ", rest+"│  ")
		}
	}
}

// Tree is a report for the eye.
func Tree(r *xray.Report) *Node {
	top := (&Node{}).add("%s (%.12s): PID %d here, host name %s", r.Name, r.ID,
		r.Pid, r.Network.Hostname)
	processes(top.add("processes: %d", len(r.Processes)), r)
	spaces := top.add("namespaces")
	for _, n := range r.Namespaces {
		spaces.add("%s %s: %s", n.Kind, n.ID, who(&n)).fail(n.Error)
	}
	ids := top.add("users and groups: setgroups %s", r.Users.Setgroups)
	ids.fail(r.Users.Error)
	for i, maps := range [][]xray.Map{r.Users.UID, r.Users.GID} {
		for _, m := range maps {
			ids.add("%s %d is %d here, and so on, %d in all",
				[]string{"uid", "gid"}[i], m.Inside, m.Outside, m.Count)
		}
	}
	mounts(top.add("mounts: %d", len(r.Mounts.Table)), &r.Mounts)
	if r.Mounts.Overlay != nil {
		overlay(top.add("root: an overlay, highest layer first"),
			r.Mounts.Overlay)
	}
	security(top.add("capabilities and seccomp"), r.Security)
	cgroups(top.add("cgroups"), r.Cgroups)
	network(top.add("network"), &r.Network)
	return top
}

func processes(n *Node, r *xray.Report) {
	var lines []*Node
	var ids, parents []int
	for _, p := range r.Processes {
		text := fmt.Sprintf("%s (%s, uid %d)", title(p), p.State, p.UID)
		if p.Threads > 1 {
			text += fmt.Sprintf(", %d threads", p.Threads)
		}
		if len(p.Elsewhere) > 0 {
			text += ", namespaces of its own: " + strings.Join(p.Elsewhere, " ")
		}
		line := (&Node{}).add("%s", text)
		if p.Security != r.Security {
			security(line.add("other powers than process 1"), p.Security)
		}
		lines, ids = append(lines, line), append(ids, p.Pid)
		parents = append(parents, p.Parent)
	}
	n.hang(lines, ids, parents)
}

// title is "4711 here, 1 inside: sleep 100"; a nested container's process has
// more than one number inside, a kernel thread or a zombie no command line.
func title(p *xray.Process) string {
	inside := ""
	for _, pid := range p.Inside {
		inside += fmt.Sprintf("/%d", pid)
	}
	inside = cmp.Or(inside, fmt.Sprintf("/%d", p.Pid))
	return fmt.Sprintf("%d here, %s inside: %s", p.Pid, inside[1:],
		cmp.Or(p.Command, "["+p.Name+"]"))
}

func who(n *xray.Namespace) string {
	var text []string
	if n.Host {
		text = append(text, "the host's")
	}
	if len(n.With) > 0 {
		text = append(text, "shared with "+strings.Join(n.With, ", "))
	}
	if len(text) == 0 {
		text = append(text, "its own")
	}
	if n.Offsets != "" {
		text = append(text, "offsets "+
			strings.Join(strings.Fields(n.Offsets), " "))
	}
	return strings.Join(text, ", ")
}

// mounts has sources as findmnt(8) writes them: DEVICE[DIRECTORY].
func mounts(n *Node, m *xray.Mounts) {
	var lines []*Node
	var ids, parents []int
	for _, m := range m.Table {
		source := m.Source
		if m.Root != "/" {
			source += "[" + m.Root + "]"
		}
		lines = append(lines, (&Node{}).add("%s: %s, %s, %s, from %s; %s",
			m.Target, m.Type, m.Options, m.Propagation, source, m.Super))
		ids, parents = append(ids, m.ID), append(parents, m.Parent)
	}
	n.fail(m.Error)
	n.hang(lines, ids, parents)
}

func overlay(n *Node, o *xray.Overlay) {
	layer := func(what string, l xray.Layer) {
		text := what + " " + l.Name
		if l.Dir != "" {
			text += " is " + l.Dir + " (" + l.Proof + ")"
		}
		n.add("%s", text)
	}
	layer("upperdir", o.Upper)
	for _, l := range o.Lower {
		layer("lowerdir", l)
	}
	layer("workdir", o.Work)
	n.add("options %s", strings.Join(o.Options, ","))
}

// security has one line for the sets that are equal.
func security(n *Node, s xray.Security) {
	sets := []xray.Caps{s.Effective, s.Permitted, s.Inheritable, s.Bounding,
		s.Ambient}
	for i, set := range sets {
		var same []string
		for k, name := range []string{"effective", "permitted", "inheritable",
			"bounding", "ambient"} {
			if sets[k] == set {
				same = append(same, name)
			}
		}
		if list := set.Names(); slices.Index(sets, set) == i {
			n.add("%s (%d): %s", strings.Join(same, ", "), len(list),
				cmp.Or(strings.Join(list, " "), "none"))
		}
	}
	filters := strconv.Itoa(s.Filters)
	if s.Filters < 0 {
		filters = "unknown"
	}
	n.add("seccomp: %s, number of filters: %s", s.Seccomp, filters)
	n.add("no_new_privs: %t", s.NoNewPrivs)
}

func cgroups(n *Node, all []xray.Cgroup) {
	path := ""
	for _, c := range all {
		if c.Path != path {
			n.add("%s", c.Path)
			path = c.Path
		}
		text := fmt.Sprintf("version %d", c.Version)
		if c.Version == 1 {
			text += ": " + strings.Join(c.Controllers, ",")
		}
		if c.Callers {
			text += " (the caller is in it, too: it is not the container's own)"
		}
		at := n.Nodes[len(n.Nodes)-1].add("%s", text)
		at.fail(c.Error)
		for _, f := range c.Files {
			text := f.Name + " " + strings.ReplaceAll(f.Text, "\n", "; ")
			if m := meaning(f); m != "" {
				text += " (" + m + ")"
			}
			at.add("%s", text)
		}
	}
}

func network(n *Node, net *xray.Network) {
	n.fail(net.Error)
	for _, i := range net.Interfaces {
		at := n.add("%s: %s, %s, mtu %d, received %d bytes, sent %d", i.Name,
			i.Kind, i.State, i.MTU, i.Received, i.Sent)
		at.add("addresses %s", strings.TrimSpace(i.MAC+" "+
			strings.Join(i.Addresses, " ")))
		if i.Peer != "" {
			at = at.add("veth peer here: %s", i.Peer)
		}
		if i.Bridge != "" {
			at.add("bridge %s, %s", i.Bridge,
				strings.Join(i.BridgeAddresses, " "))
		}
	}
	for _, r := range net.Routes {
		n.add("route %s", r)
	}
	if net.RuleError+fmt.Sprint(len(net.Published)+len(net.Rules)) == "0" {
		return
	}
	rules := n.add("rules here")
	rules.fail(net.RuleError)
	for _, p := range net.Published {
		rules.add("%s: %s to %s, tag %s", p.Table, p.Host, p.To, p.Tag)
	}
	chain := ""
	for _, r := range net.Rules {
		if name := r.Table + " " + r.Chain; name != chain {
			rules.add("%s: %s (%s)", r.Table, r.Chain, r.Hook)
			chain = name
		}
		text := r.Text
		if r.Tag != "" {
			text += ", tag " + r.Tag
		}
		rules.Nodes[len(rules.Nodes)-1].add("%s", text)
	}
}

// meaning says what a number is. Version 1 writes no limit as the highest
// number of whole pages, or as -1.
func meaning(f xray.Value) string {
	name, text := f.Name, f.Text
	n, err := strconv.ParseUint(text, 10, 64)
	switch {
	case text == "max" || text == "-1" || strings.HasPrefix(text, "max "),
		strings.HasPrefix(name, "memory.") && n > math.MaxInt64-1<<16:
		return "no limit"
	case name == "cpu.max":
		var quota, period float64
		if _, err := fmt.Sscan(text, &quota, &period); err == nil {
			return fmt.Sprintf("%.2f processors", quota/max(period, 1))
		}
	case err == nil && strings.HasPrefix(name, "memory.") &&
		name != "memory.failcnt":
		return units.BytesSize(float64(n))
	}
	return ""
}
