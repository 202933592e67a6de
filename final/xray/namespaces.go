package xray

import (
	"os"
	"strconv"
	"strings"

	"container-workshop/final/namespaces"
)

// Namespace is one of the eight.
type Namespace struct {
	Kind, ID string   // ID is the inode number, what stands in brackets
	Host     bool     // shared with whoever called us
	With     []string // other containers that are in it
	Offsets  string   `json:",omitempty"` // of a time namespace's clocks
	Error    string   `json:",omitempty"`
}

// shared compares namespaces: those with equal links are the same.
func shared(c Container, others []Container) (all []Namespace) {
	pid := strconv.Itoa(c.Pid)
	for _, k := range namespaces.Kinds {
		file := "ns/" + k.File
		n := Namespace{Kind: k.File, With: []string{}}
		text, err := os.Readlink("/proc/" + pid + "/" + file)
		n.ID, n.Error = strings.Trim(text, k.File+":[]"), reason(err)
		n.Host = err == nil && text == link("self", file)
		for _, other := range others {
			if other.ID != c.ID && other.Pid != 0 && err == nil &&
				link(strconv.Itoa(other.Pid), file) == text {
				n.With = append(n.With, other.Name)
			}
		}
		if k.File == "time" && err == nil && !n.Host {
			n.Offsets, _ = proc(c.Pid, "timens_offsets")
		}
		all = append(all, n)
	}
	return all
}
