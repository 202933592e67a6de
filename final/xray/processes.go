package xray

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strconv"
	"strings"

	"container-workshop/final/capabilities"
	"container-workshop/final/namespaces"
)

// Process is one of the container's. Inside are its PIDs in the namespaces
// below ours, the container's first; a process there may make more.
type Process struct {
	Pid, Parent   int
	Inside        []int
	Name, Command string
	State         string
	UID, GID      int // the effective ones, as our user namespace has them
	Threads       int
	Elsewhere     []string `json:",omitempty"` // namespaces that init is not in
	Security      Security
}

// Security is what a process may not do.
type Security struct {
	Inheritable, Permitted, Effective, Bounding, Ambient Caps

	Seccomp    string // none, strict, filter
	Filters    int    // how many; -1 before Linux 5.9, which does not tell
	NoNewPrivs bool
}

// Caps is a set of capabilities, bit n for number n; in JSON a list of names.
type Caps uint64

// Names lists them. What this program has no name for is a number.
func (c Caps) Names() []string {
	names := capabilities.Names(uint64(c))
	known, _ := capabilities.Parse(names)
	for rest := uint64(c) &^ known; rest != 0; rest &= rest - 1 {
		n := bits.TrailingZeros64(rest)
		names = append(names, strconv.Itoa(n))
	}
	return names
}

// MarshalJSON writes the names.
func (c Caps) MarshalJSON() ([]byte, error) {
	return json.Marshal(append([]string{}, c.Names()...))
}

// processes finds those of a container: init's descendants, who is in its PID
// namespace, if that began with init, and who is in its cgroup, if that is not
// ours, too. Whom exec has brought in has a parent outside.
func processes(init int) ([]*Process, error) {
	names, err := os.ReadDir("/proc")
	all := map[int]*Process{}
	for _, d := range names {
		pid, bad := strconv.Atoi(d.Name())
		if text, err := proc(pid, "status"); bad == nil && err == nil {
			all[pid] = parseProcess(text)
		}
	}
	box := strconv.Itoa(init)
	space, group := link(box, "ns/pid"), tree(box)
	if all[init] == nil {
		return nil, fmt.Errorf("read /proc: process %d is hidden from us", init)
	} else if !slices.Contains(all[init].Inside, 1) {
		space = "" // it is another's
	}
	if own := tree("self") + "/"; strings.HasPrefix(own, group+"/") {
		group = "" // ours, or one above it
	}
	var found []*Process
	for pid, p := range all {
		// Some may end, and others get their PIDs, while we read: no circle.
		at := p
		for range all {
			id := strconv.Itoa(at.Pid)
			if at.Pid == init || space != "" && link(id, "ns/pid") == space ||
				group != "" && strings.HasPrefix(tree(id)+"/", group+"/") {
				found = append(found, p)
				p.details(strconv.Itoa(pid), box)
				break
			}
			if at = all[at.Parent]; at == nil {
				break
			}
		}
	}
	slices.SortFunc(found, func(a, b *Process) int {
		return cmp.Compare(a.Pid, b.Pid)
	})
	return found, err
}

// tree is a process's cgroup: the last line, that of version 2 if there is one.
func tree(pid string) string {
	text, _ := os.ReadFile("/proc/" + pid + "/cgroup")
	line := strings.TrimRight(string(text), "\n")
	line = line[strings.LastIndex(line, "\n")+1:]
	part := strings.SplitN(line, ":", 3)
	return strings.TrimSuffix(part[len(part)-1], "/")
}

// details are what the status does not have.
func (p *Process) details(pid, init string) {
	line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
	p.Command = strings.ReplaceAll(strings.TrimSuffix(string(line), "\x00"),
		"\x00", " ")
	for _, k := range namespaces.Kinds {
		here := link(pid, "ns/"+k.File)
		if here != "" && here != link(init, "ns/"+k.File) {
			p.Elsewhere = append(p.Elsewhere, k.File)
		}
	}
}

// parseProcess reads /proc/PID/status: proc_pid_status(5).
func parseProcess(text string) *Process {
	field := parseStatus(text)
	at := func(name string, i int) string {
		if f := strings.Fields(field[name]); i < len(f) {
			return f[i]
		}
		return ""
	}
	caps := func(name string) Caps {
		n, _ := strconv.ParseUint(field[name], 16, 64)
		return Caps(n)
	}
	_, state, _ := strings.Cut(field["State"], "(")
	p := &Process{Pid: number(field["Pid"]), Parent: number(field["PPid"]),
		Name: field["Name"], State: strings.TrimSuffix(state, ")"),
		UID: number(at("Uid", 1)), GID: number(at("Gid", 1)),
		Threads: number(field["Threads"]), Security: Security{
			caps("CapInh"), caps("CapPrm"), caps("CapEff"), caps("CapBnd"),
			caps("CapAmb"), map[string]string{"0": "none", "1": "strict",
				"2": "filter"}[field["Seccomp"]],
			number(cmp.Or(field["Seccomp_filters"], "-1")),
			field["NoNewPrivs"] == "1"}}
	for _, id := range strings.Fields(field["NSpid"]) {
		p.Inside = append(p.Inside, number(id))
	}
	if len(p.Inside) > 0 {
		p.Inside = p.Inside[1:] // the first is ours
	}
	return p
}

// parseStatus reads lines of the form "NAME:	VALUE". In a process's name the
// kernel escapes the end of a line, so nobody can call himself a field.
func parseStatus(text string) map[string]string {
	field := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			field[name] = strings.Trim(value, "\t\n ")
		}
	}
	return field
}
