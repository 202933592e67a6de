package bundle

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"container-workshop/final/flags"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// setNamespaces gives the container namespaces of its own, all but those that
// it shares with the host or with another container.
func (m *maker) setNamespaces() error {
	o, l := m.o, m.s.Linux
	if err := m.setUserNamespace(); err != nil {
		return err
	}
	for _, n := range []struct {
		kind             specs.LinuxNamespaceType
		flag, mode, also string
		join             bool
	}{
		{specs.MountNamespace, "", "", "", false},
		{specs.PIDNamespace, "pid", o.Pid, "", true},
		{specs.IPCNamespace, "ipc", o.Ipc, "private shareable none", true},
		{specs.UTSNamespace, "uts", o.Uts, "", false},
		{specs.CgroupNamespace, "cgroupns", o.Cgroupns, "private", false},
		{specs.NetworkNamespace, "network", o.Network, "*", true},
	} {
		id, joins := strings.CutPrefix(n.mode, "container:")
		switch {
		case n.mode == "host" && n.kind != specs.MountNamespace:
			continue
		case joins && n.join && id != "":
			if m.p.Namespaces[n.kind] == "" {
				return fmt.Errorf("--%s %s: no such container", n.flag, n.mode)
			}
		case n.mode != "" && n.also != "*" && !strings.Contains(
			" "+n.also+" ", " "+n.mode+" "), joins:
			return fmt.Errorf("--%s: invalid %s mode: %s", n.flag,
				strings.ToUpper(string(n.kind)), n.mode)
		}
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: n.kind,
			Path: m.p.Namespaces[n.kind]})
	}
	if o.Uts == "host" && (o.Hostname != "" || o.Domainname != "") {
		return errors.New("conflicting options: hostname and the UTS mode")
	} else if o.Uts != "host" {
		m.s.Hostname, m.s.Domainname = o.Hostname, o.Domainname
		if m.s.Hostname == "" && o.Network == "host" {
			m.s.Hostname, _ = os.Hostname()
		} else if m.s.Hostname == "" {
			m.s.Hostname = fmt.Sprintf("%.12s", m.p.ID)
		}
	}
	offsets, err := flags.TimeOffset(o.TimeOffset)
	if len(offsets) > 0 {
		l.TimeOffsets = offsets
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{
			Type: specs.TimeNamespace})
	}
	return err
}

// setUserNamespace maps ids. Without root there is always a user namespace, in
// which root is the caller and others are from his range in /etc/subuid, if he
// has one. With --userns private root inside is nobody outside. So he is if the
// container shares something with one that has a user namespace.
func (m *maker) setUserNamespace() error {
	l, private := m.s.Linux, m.o.Userns == "private"
	path := m.p.Namespaces[specs.UserNamespace]
	if !private && m.o.Userns != "" && m.o.Userns != "host" {
		return fmt.Errorf("--userns: invalid USER mode: %s", m.o.Userns)
	} else if !private && !m.p.Rootless && path == "" {
		return nil
	}
	l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{
		Type: specs.UserNamespace, Path: path})
	if process, joins := strings.CutSuffix(path, "/ns/user"); joins {
		l.UIDMappings = idMap(process + "/uid_map")
		l.GIDMappings = idMap(process + "/gid_map")
		return nil
	}
	me, err := user.Current()
	if err != nil { // who is not in /etc/passwd is but a number
		me = &user.User{Uid: strconv.Itoa(os.Getuid())}
		me.Username = me.Uid
	}
	names, next := []string{"minidocker", "dockremap", me.Username, me.Uid}, 0
	if m.p.Rootless {
		names, next = names[2:], 1
		l.UIDMappings = []specs.LinuxIDMapping{{HostID: uint32(os.Getuid()),
			Size: 1}}
		l.GIDMappings = []specs.LinuxIDMapping{{HostID: uint32(os.Getgid()),
			Size: 1}}
		if _, err := exec.LookPath("newuidmap"); err != nil {
			return nil
		}
	}
	uids := ranges("/etc/subuid", names, uint32(next))
	gids := ranges("/etc/subgid", names, uint32(next))
	if len(uids) > 0 && len(gids) > 0 {
		l.UIDMappings = append(l.UIDMappings, uids...)
		l.GIDMappings = append(l.GIDMappings, gids...)
	} else if !m.p.Rootless {
		return fmt.Errorf("--userns private: no range for %s in /etc/subuid "+
			"and /etc/subgid, such as minidocker:100000:65536",
			strings.Join(names, ", "))
	}
	return nil
}

// idMap reads the lines INSIDE OUTSIDE COUNT: user_namespaces(7).
func idMap(file string) (list []specs.LinuxIDMapping) {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		var m specs.LinuxIDMapping
		fmt.Sscan(line, &m.ContainerID, &m.HostID, &m.Size)
		list = append(list, m)
	}
	return list
}

// ranges reads the lines NAME:FIRST:COUNT of /etc/subuid, subuid(5), of the
// first of names that has any. Inside they follow each other from next on.
func ranges(file string, names []string, next uint32) []specs.LinuxIDMapping {
	text, _ := os.ReadFile(file)
	for _, name := range names {
		var list []specs.LinuxIDMapping
		at := next
		for line := range strings.Lines(string(text)) {
			var first, count uint32
			numbers, ok := strings.CutPrefix(line, name+":")
			n, _ := fmt.Sscanf(numbers, "%d:%d", &first, &count)
			if ok && n == 2 && count > 0 && at+count > at &&
				first+count > first {
				list = append(list, specs.LinuxIDMapping{ContainerID: at,
					HostID: first, Size: count})
				at += count
			}
		}
		if list != nil {
			return list
		}
	}
	return nil
}

func mapped(maps []specs.LinuxIDMapping, id uint32) bool {
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return true
		}
	}
	return false
}
