// Package xray shows what the kernel made of a container. A container is not
// a thing of the kernel's: it is what a few processes have in common. All of it
// is read from the kernel: /proc, cgroupfs, netlink, nf_tables.
package xray

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"container-workshop/final/monitor"
)

// Container is what must be known to find one in the kernel: its process 1 as
// seen from here, by PID and start time. The directories are looked for among
// the kernel's figures, and not believed.
type Container struct {
	ID, Name string
	Pid      int
	Start    uint64
	Layers   []string // lowest first
	Upper    string
}

// Report is what was found. What cannot be read has an Error instead.
type Report struct {
	ID, Name   string
	Pid        int
	Processes  []*Process
	Namespaces []Namespace
	Users      Users
	Mounts     Mounts
	Security   Security // of process 1
	Known      int      // capabilities that this kernel has
	Cgroups    []Cgroup
	Network    Network
}

// Read examines a container; others are those that it may share with.
func Read(c Container, others []Container) (*Report, error) {
	gone := fmt.Errorf("container %s is not running: minidocker start %s",
		c.Name, c.Name)
	// While we hold it, nobody else gets this PID: see pidfd_open(2).
	fd, err := unix.PidfdOpen(c.Pid, 0)
	if err != nil || !monitor.Alive(c.Pid, c.Start) {
		return nil, gone
	}
	init := os.NewFile(uintptr(fd), fmt.Sprint("PID ", c.Pid))
	defer init.Close()
	r := &Report{ID: c.ID, Name: c.Name, Pid: c.Pid}
	r.Processes, err = processes(c.Pid)
	r.Namespaces = shared(c, others)
	r.Users = users(c.Pid)
	r.Mounts = mounts(c)
	r.Cgroups = control(c.Pid)
	r.Network = wires(init, c.Pid)
	last, _ := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	r.Known = number(strings.TrimSpace(string(last))) + 1
	for _, p := range r.Processes {
		if p.Pid == c.Pid {
			r.Security = p.Security
		}
	}
	if !monitor.Alive(c.Pid, c.Start) {
		err = gone
	}
	return r, err
}

// proc reads one file of a process.
func proc(pid int, name string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	return string(text), err
}

// link is the text of a link of a process: where it leads, "" if we may not
// know.
func link(pid, name string) string {
	text, _ := os.Readlink("/proc/" + pid + "/" + name)
	return text
}

// reason is an error as a report has it: "" for none.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// Users are the user namespace's maps, seen from ours.
type Users struct {
	UID, GID  []Map
	Setgroups string // allow, deny
	Error     string `json:",omitempty"`
}

// Map is a line of uid_map: see user_namespaces(7).
type Map struct{ Inside, Outside, Count uint32 }

func users(pid int) (u Users) {
	uid, err := proc(pid, "uid_map")
	gid, _ := proc(pid, "gid_map")
	groups, _ := proc(pid, "setgroups")
	u.UID, u.GID, u.Error = parseMap(uid), parseMap(gid), reason(err)
	u.Setgroups = strings.TrimSpace(groups)
	return u
}

func parseMap(text string) (all []Map) {
	for line := range strings.Lines(text) {
		var m Map
		if n, _ := fmt.Sscan(line, &m.Inside, &m.Outside, &m.Count); n == 3 {
			all = append(all, m)
		}
	}
	return all
}
