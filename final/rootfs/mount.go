package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mount is a specs.Mount whose options are understood.
type mount struct {
	specs.Mount
	bind, rbind, remount, copyUp bool
	one, all                     unix.MountAttr // all: what lies below, too
	propagation                  []uintptr      // MS_*
	data                         []string       // options of the file system
}

// What an option sets in mount_setattr(2), and the option that clears it.
// After an r they are for all mounts below as well.
var attributes = [...]struct {
	set, clear string
	flag       uint64
}{
	{"ro", "rw", unix.MOUNT_ATTR_RDONLY},
	{"nosuid", "suid", unix.MOUNT_ATTR_NOSUID},
	{"nodev", "dev", unix.MOUNT_ATTR_NODEV},
	{"noexec", "exec", unix.MOUNT_ATTR_NOEXEC},
	{"nodiratime", "diratime", unix.MOUNT_ATTR_NODIRATIME},
	{"nosymfollow", "symfollow", unix.MOUNT_ATTR_NOSYMFOLLOW},
	{"noatime", "atime", unix.MOUNT_ATTR_NOATIME},
	{"strictatime", "nostrictatime", unix.MOUNT_ATTR_STRICTATIME},
	{"relatime", "norelatime", unix.MOUNT_ATTR_RELATIME},
}

// parse sorts the options. What is not the kernel's own is the file system's.
func parse(spec *specs.Mount) (m *mount, err error) {
	m = &mount{Mount: *spec, bind: spec.Type == "bind"}
	m.Destination = filepath.Clean("/" + m.Destination)
	for _, option := range m.Options {
		flag, isPropagation := propagationFlag(option)
		switch {
		case option == "bind":
			m.bind = true
		case option == "rbind":
			m.bind, m.rbind = true, true
		case option == "remount":
			m.remount = true
		case option == "tmpcopyup" && m.Type == "tmpfs":
			m.copyUp = true
		case option == "defaults" || option == "silent" || option == "loud":
		case isPropagation:
			m.propagation = append(m.propagation, flag)
		case set(&m.one, option):
		case option != "" && option[0] == 'r' && set(&m.all, option[1:]):
		case m.bind || m.remount || option == "idmap" || option == "ridmap":
			err = fmt.Errorf("option %q: not supported here", option)
		default:
			m.data = append(m.data, option)
		}
	}
	if len(m.UIDMappings)+len(m.GIDMappings) > 0 {
		err = errors.New("mappings of ids are not supported")
	}
	return m, err
}

// set does what an option says. The three ways to count access times are one
// value in several bits: no bit is relatime, and clearing is going back to it.
func set(attr *unix.MountAttr, option string) bool {
	for _, a := range attributes {
		if a.set != option && a.clear != option {
			continue
		}
		bits := a.flag
		if a.flag&^unix.MOUNT_ATTR__ATIME == 0 {
			bits = unix.MOUNT_ATTR__ATIME
		}
		attr.Attr_set &^= bits
		attr.Attr_clr |= bits
		if a.set == option {
			attr.Attr_set |= a.flag
		}
		return true
	}
	return false
}

// propagationFlag reads private, slave, shared, unbindable, after an r or not.
func propagationFlag(name string) (flag uintptr, ok bool) {
	short, recursive := strings.CutPrefix(name, "r")
	flag, ok = map[string]uintptr{"private": unix.MS_PRIVATE,
		"slave": unix.MS_SLAVE, "shared": unix.MS_SHARED,
		"unbindable": unix.MS_UNBINDABLE}[short]
	if recursive && ok {
		flag |= unix.MS_REC
	}
	return flag, ok
}

// mount makes a mount and puts it in its place. /dev is read-only from Enter
// on: until then we write there.
func (r *root) mount(m *mount) error {
	tree, mode, err := -1, uint32(unix.S_IFDIR|0o755), error(nil)
	if m.bind && !m.remount {
		if tree, mode, err = r.source(m); err != nil {
			return fmt.Errorf("source: %w", err)
		}
	}
	at, existed, err := r.target(m, tree, mode)
	if err != nil {
		return err
	}
	if m.remount {
		tree = at
	} else if !m.bind {
		tree, err = r.make(m, at, existed)
	}
	if err == nil && m.copyUp {
		err = copyUp(at, tree)
	}
	if !m.bind && m.Destination == "/dev" {
		m.one.Attr_set &^= unix.MOUNT_ATTR_RDONLY
	}
	if err == nil {
		err = cmp.Or(setattr(tree, 0, &m.one),
			setattr(tree, unix.AT_RECURSIVE, &m.all))
	}
	for _, flag := range m.propagation {
		how := uint(0)
		if flag&unix.MS_REC != 0 {
			how = unix.AT_RECURSIVE
		}
		err = cmp.Or(err, setattr(tree, how,
			&unix.MountAttr{Propagation: uint64(flag &^ unix.MS_REC)}))
	}
	if err == nil && !m.remount {
		err = place(tree, at)
	}
	return err
}

// source copies the mounts of a bind mount's source, and says what has to be
// there to mount them on: a directory or a file. What another container has
// mounted, /proc/PID/root/PATH, the kernel copies only for who is there; and
// there, links lead to nothing of ours.
func (r *root) source(m *mount) (tree int, mode uint32, err error) {
	flags := uint(0)
	if m.rbind {
		flags = unix.AT_RECURSIVE
	}
	var st unix.Stat_t
	rest, inProc := strings.CutPrefix(m.Source, "/proc/")
	pid, path, theirs := strings.Cut(rest, "/root/")
	if inProc && theirs {
		err = visit(pid, func() (err error) {
			tree, err = r.tree(unix.AT_FDCWD, "/"+path, flags)
			return err
		})
	} else {
		tree, err = r.tree(unix.AT_FDCWD, m.Source, flags)
	}
	err = cmp.Or(err, unix.Fstat(tree, &st))
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return tree, unix.S_IFDIR | 0o755, err
	}
	return tree, unix.S_IFREG | 0o644, err
}

// What lxcfs mounts on files of /proc.
const lxcfs = " cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo " +
	"sys/kernel/ns_last_pid sys/crypto/fips_enabled "

// target opens the place to mount on, and makes it if it is missing. Processes
// trust /proc and /sys: those must be where they seem to be, and nothing else
// may be there. https://nvd.nist.gov/vuln/detail/CVE-2019-19921
func (r *root) target(m *mount, tree int, mode uint32) (
	at int, existed bool, err error) {
	name, below := strings.CutPrefix(m.Destination, "/proc/")
	if below && !strings.Contains(lxcfs, " "+name+" ") {
		return -1, false, errors.New("nothing may be mounted inside /proc")
	}
	resolve := uint64(0)
	if m.Type == "proc" || m.Type == "sysfs" {
		resolve = unix.RESOLVE_NO_SYMLINKS
	}
	at, err = r.lookup(m.Destination, resolve)
	existed = err == nil
	if err == unix.ENOENT && !m.remount {
		_, err = r.create(m.Destination, mode, maxLinks)
		if err == nil {
			at, err = r.lookup(m.Destination, resolve)
		}
	}
	if err != nil {
		return -1, false, err
	}
	var here, top unix.Stat_t
	var fs, source unix.Statfs_t
	unix.Fstatfs(tree, &source)
	err = cmp.Or(unix.Fstat(r.fd, &top), unix.Fstat(at, &here),
		unix.Fstatfs(at, &fs))
	isProc := m.Type == "proc" || source.Type == unix.PROC_SUPER_MAGIC
	switch isRoot := m.Destination == "/proc"; {
	case here.Dev == top.Dev && here.Ino == top.Ino:
		err = errors.New("it is the root itself")
	case isRoot && !isProc && !m.remount:
		err = errors.New("nothing but a proc may be there")
	case !isRoot && !below && fs.Type == unix.PROC_SUPER_MAGIC:
		err = errors.New("it leads into /proc")
	}
	return at, existed, err
}

// make makes a new instance of a file system: fsopen(2). A tmpfs has the mode
// of the directory that it covers, if nobody says another.
func (r *root) make(m *mount, at int, existed bool) (tree int, err error) {
	fs, err := r.keep(unix.Fsopen(m.Type, unix.FSOPEN_CLOEXEC))
	if err != nil {
		return -1, fmt.Errorf("file system %s: %w", m.Type, err)
	}
	flags, data := m.one.Attr_set, m.data
	var st unix.Stat_t
	if m.Type == "tmpfs" && existed && unix.Fstat(at, &st) == nil {
		data = append([]string{fmt.Sprintf("mode=%o", st.Mode&0o7777)}, data...)
	}
	if m.Type == "tmpfs" || m.Destination == "/dev" {
		flags &^= unix.MOUNT_ATTR_RDONLY // there is something to write first
	} else if flags&unix.MOUNT_ATTR_RDONLY != 0 {
		data = append([]string{"ro"}, data...)
	}
	if m.Source != "" {
		data = append([]string{"source=" + m.Source}, data...)
	}
	if err = configure(fs, data); err != nil {
		return -1, err
	}
	return r.keep(unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, int(flags)))
}

// configure gives a file system its options, and says what the kernel has to
// say about them. See fsconfig(2).
func configure(fs int, options []string) (err error) {
	for _, option := range options {
		key, value, has := strings.Cut(option, "=")
		if has {
			err = unix.FsconfigSetString(fs, key, value)
		} else {
			err = unix.FsconfigSetFlag(fs, key)
		}
		if err != nil {
			err = fmt.Errorf("option %s: %w", option, err)
			break
		}
	}
	if err == nil {
		err = unix.FsconfigCreate(fs)
	}
	text := make([]byte, 256)
	for n := 1; err != nil && n > 0; {
		if n, _ = unix.Read(fs, text); n > 2 && text[0] == 'e' {
			err = fmt.Errorf("%w: %s", err, text[2:n])
		}
	}
	return err
}
