package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"container-workshop/final/flags"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// setDevices lists what the container finds in /dev besides what every one
// has, and what it may open.
func (m *maker) setDevices() error {
	l := m.s.Linux
	if !m.o.Privileged {
		l.Resources.Devices = allowed()
	} else {
		l.Resources.Devices = []specs.LinuxDeviceCgroup{
			{Allow: true, Access: "rwm"}}
		l.Devices = append(l.Devices, devices("/dev", "/dev")...)
	}
	for _, text := range m.o.Device {
		source, target, access, err := flags.Device(text)
		if err != nil {
			return err
		}
		if m.o.Privileged && source == target {
			continue
		}
		real, err := filepath.EvalSymlinks(source)
		list := devices(real, target)
		if err == nil && len(list) == 0 {
			err = errors.New("not a device node")
		}
		if err != nil {
			return fmt.Errorf("error gathering device information while "+
				"adding custom device %q: %w", source, err)
		}
		l.Devices = append(l.Devices, list...)
		for i := range list {
			if !m.o.Privileged {
				d := &list[i]
				l.Resources.Devices = append(l.Resources.Devices,
					specs.LinuxDeviceCgroup{Allow: true, Type: d.Type,
						Major: &d.Major, Minor: &d.Minor, Access: access})
			}
		}
	}
	return nil
}

// devices finds the device node source, or those in that directory. What is in
// /dev/pts and such is the host's, and the container has its own.
func devices(source, target string) (list []specs.LinuxDevice) {
	own := []string{"/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue",
		"/dev/.lxc", "/dev/.lxd-mounts", "/dev/.udev", "/dev/console",
		"/dev/ptmx"}
	filepath.WalkDir(source, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p != source && slices.Contains(own, p) {
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		var st unix.Stat_t
		if unix.Lstat(p, &st) != nil {
			return nil
		}
		kind := map[uint32]string{unix.S_IFBLK: "b", unix.S_IFCHR: "c"}[st.
			Mode&unix.S_IFMT]
		if kind == "" {
			return nil
		}
		mode := os.FileMode(st.Mode & 0o777)
		list = append(list, specs.LinuxDevice{Type: kind, FileMode: &mode,
			Path:  target + strings.TrimPrefix(p, source),
			Major: int64(unix.Major(st.Rdev)), UID: &st.Uid, GID: &st.Gid,
			Minor: int64(unix.Minor(st.Rdev))})
		return nil
	})
	return list
}

// allowed is Docker's list: mknod(2) of everything, which opens nothing; null,
// zero, full, random, urandom, tty, console, ptmx and terminals.
func allowed() []specs.LinuxDeviceCgroup {
	list := []specs.LinuxDeviceCgroup{{Access: "rwm"},
		{Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "b", Access: "m"}}
	for _, d := range [][2]int64{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0},
		{5, 1}, {5, 2}, {136, -1}} {
		list = append(list, specs.LinuxDeviceCgroup{Allow: true, Type: "c",
			Access: "rwm", Major: &d[0], Minor: &d[1]})
	}
	return list
}
