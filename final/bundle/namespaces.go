package bundle

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

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
	offsets, err := timeOffset(o.TimeOffset)
	if len(offsets) > 0 {
		l.TimeOffsets = offsets
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{
			Type: specs.TimeNamespace})
	}
	return err
}

// setUserNamespace maps ids. Without root there is always a user namespace, in
// which root is the caller and others are from his range in /etc/subuid, if he
// has one. With --userns private root inside is nobody outside.
func (m *maker) setUserNamespace() error {
	l, path := m.s.Linux, m.p.Namespaces[specs.UserNamespace]
	private := m.o.Userns == "private"
	if !private && m.o.Userns != "" && m.o.Userns != "host" {
		return fmt.Errorf("--userns: invalid USER mode: %s", m.o.Userns)
	} else if !private && !m.p.Rootless {
		return nil
	}
	l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{
		Type: specs.UserNamespace, Path: path})
	me, err := user.Current()
	if err != nil {
		return err
	}
	next := uint32(0)
	if m.p.Rootless {
		next = 1
		for _, set := range []struct {
			maps *[]specs.LinuxIDMapping
			id   int
		}{{&l.UIDMappings, os.Getuid()}, {&l.GIDMappings, os.Getgid()}} {
			*set.maps = []specs.LinuxIDMapping{{HostID: uint32(set.id), Size: 1}}
		}
		_, err1 := exec.LookPath("newuidmap")
		_, err2 := exec.LookPath("newgidmap")
		if err1 != nil || err2 != nil {
			return nil
		}
	}
	names := []string{me.Username, me.Uid}
	if !m.p.Rootless {
		names = append([]string{"minidocker", "dockremap"}, names...)
	}
	uids := ranges("/etc/subuid", names, next)
	gids := ranges("/etc/subgid", names, next)
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

// ranges reads the lines NAME:FIRST:COUNT of /etc/subuid, subuid(5), of the
// first of names that has any. Inside they follow each other from next on.
func ranges(file string, names []string, next uint32) []specs.LinuxIDMapping {
	for _, name := range names {
		var list []specs.LinuxIDMapping
		f, err := os.Open(file)
		if err != nil {
			return nil
		}
		defer f.Close()
		at := next
		for lines := bufio.NewScanner(f); lines.Scan(); {
			part := strings.Split(strings.TrimSpace(lines.Text()), ":")
			if len(part) != 3 || part[0] != name {
				continue
			}
			first, err1 := strconv.ParseUint(part[1], 10, 32)
			count, err2 := strconv.ParseUint(part[2], 10, 32)
			if err1 == nil && err2 == nil && count > 0 &&
				uint64(at)+count < 1<<32 && first+count < 1<<32 {
				list = append(list, specs.LinuxIDMapping{ContainerID: at,
					HostID: uint32(first), Size: uint32(count)})
				at += uint32(count)
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
