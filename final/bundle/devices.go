package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

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
		source, target, access, err := device(text)
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
			return fmt.Errorf("error gathering device information while adding "+
				"custom device %q: %w", source, err)
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

// device reads --device: SOURCE[:TARGET][:ACCESS].
func device(text string) (source, target, access string, err error) {
	part := strings.Split(text, ":")
	source, target, access = part[0], part[0], "rwm"
	last := part[len(part)-1]
	isAccess := last != "" && len(last) < 4 && strings.Trim(last, "rwm") == "" &&
		strings.Count(last, "r") < 2 && strings.Count(last, "w") < 2 &&
		strings.Count(last, "m") < 2
	switch {
	case source == "" || len(part) > 3:
		return "", "", "", fmt.Errorf("bad format for path: %s", text)
	case len(part) == 3 && !isAccess:
		return "", "", "", fmt.Errorf("bad mode specified: %s", last)
	case len(part) == 3:
		target, access = part[1], last
	case len(part) == 2 && isAccess:
		access = last
	case len(part) == 2:
		target = last
	}
	if !path.IsAbs(target) {
		return "", "", "", fmt.Errorf("%s is not an absolute path", target)
	}
	return source, path.Clean(target), access, nil
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

// allowed is Docker's list: null, zero, full, random, urandom, tty, console,
// ptmx and terminals; and mknod(2) of everything, which opens nothing.
func allowed() []specs.LinuxDeviceCgroup {
	list := []specs.LinuxDeviceCgroup{{Access: "rwm"}}
	add := func(kind string, major, minor int64, access string) {
		d := specs.LinuxDeviceCgroup{Allow: true, Type: kind, Access: access}
		if major >= 0 {
			d.Major = &major
		}
		if minor >= 0 {
			d.Minor = &minor
		}
		list = append(list, d)
	}
	add("c", -1, -1, "m")
	add("b", -1, -1, "m")
	for _, minor := range []int64{3, 5, 7, 8, 9} {
		add("c", 1, minor, "rwm")
	}
	for _, minor := range []int64{0, 1, 2} {
		add("c", 5, minor, "rwm")
	}
	add("c", 136, -1, "rwm")
	return list
}
