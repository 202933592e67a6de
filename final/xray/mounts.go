package xray

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Mounts are the mount table, and what the root is made of.
type Mounts struct {
	Table   []Mount
	Overlay *Overlay `json:",omitempty"`
	Error   string   `json:",omitempty"`
}

// Mount is a line of /proc/PID/mountinfo: proc_pid_mountinfo(5).
type Mount struct {
	ID, Parent           int
	Device, Root, Target string
	Options              string
	Propagation          string // private, shared:N, master:N, unbindable
	Type, Source, Super  string
}

// Overlay is the root of a container as overlayfs was told it.
type Overlay struct {
	Lower       []Layer // the highest first: so overlayfs looks
	Upper, Work Layer
	Options     []string // the others
}

// Layer is a directory. Name is the option's, which the kernel keeps as it was:
// where that was an open file, /proc/self/fd/N, it means nothing any more.
// Dir is then the one that our record has in this place, if it is proved to be
// in the overlay: a file in it is seen at the root.
type Layer struct{ Name, Dir, Proof string }

func mounts(c Container) (m Mounts) {
	text, err := proc(c.Pid, "mountinfo")
	m.Table, m.Error = parseMountinfo(text), reason(err)
	for _, mount := range m.Table {
		if mount.Target == "/" { // the last one is on top
			m.Overlay = nil
		}
		if mount.Target == "/" && mount.Type == "overlay" {
			m.Overlay = parseOverlay(mount.Super)
		}
	}
	if m.Overlay != nil {
		m.Overlay.prove(c)
	}
	return m
}

// parseMountinfo leaves out what is no line of such a file. In names, what
// would end a field or a line is three digits, octal. So blanks separate; an
// empty source is between two.
func parseMountinfo(text string) (all []Mount) {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n",
		`\043`, "#", `\054`, ",", `\075`, "=", `\134`, `\`).Replace
	for line := range strings.Lines(text) {
		mine, theirs, ok := strings.Cut(strings.TrimRight(line, "\n"), " - ")
		f, super := strings.Split(mine, " "), strings.SplitN(theirs, " ", 3)
		if !ok || len(f) < 6 || len(super) < 3 {
			continue
		}
		m := Mount{ID: number(f[0]), Parent: number(f[1]), Device: f[2],
			Root: unescape(f[3]), Target: unescape(f[4]), Options: f[5],
			Propagation: strings.Join(f[6:], " "), Type: super[0],
			Source: unescape(super[1]), Super: unescape(super[2])}
		if m.Propagation == "" {
			m.Propagation = "private"
		}
		all = append(all, m)
	}
	return all
}

// separated splits at a byte that has no backslash before it.
func separated(text string, by byte) (parts []string) {
	from := 0
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++
		} else if text[i] == by {
			parts, from = append(parts, text[from:i]), i+1
		}
	}
	return append(parts, text[from:])
}

// parseOverlay reads the options of an overlay. Newer tools add one layer at a
// time: lowerdir+=DIR.
func parseOverlay(options string) *Overlay {
	o := &Overlay{}
	for _, option := range separated(options, ',') {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "upperdir":
			o.Upper.Name = value
		case "workdir":
			o.Work.Name = value
		case "lowerdir", "lowerdir+":
			for _, dir := range separated(value, ':') {
				o.Lower = append(o.Lower, Layer{Name: dir})
			}
		default:
			o.Options = append(o.Options, option)
		}
	}
	return o
}

// prove finds the directories of the record among what is seen at the root: an
// overlay shows a file's own inode number, and for its root that of the upper
// directory.
func (o *Overlay) prove(c Container) {
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", c.Pid), unix.O_PATH|
		unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(root)
	var top, upper unix.Stat_t
	if o.Upper.Name != "" && unix.Fstat(root, &top) == nil &&
		unix.Stat(c.Upper, &upper) == nil && top.Ino == upper.Ino {
		o.Upper.Dir = c.Upper
		o.Upper.Proof = fmt.Sprintf("inode %d, as / in the container", top.Ino)
	}
	if len(o.Lower) != len(c.Layers) {
		return
	}
	for i, dir := range slices.Backward(c.Layers) {
		if proof := seen(dir, root); proof != "" {
			layer := &o.Lower[len(c.Layers)-1-i]
			layer.Dir, layer.Proof = dir, proof
		}
	}
}

// seen looks for a file of a layer that no higher one hides, among the first
// thousand.
func seen(layer string, root int) (proof string) {
	n := 0
	filepath.WalkDir(layer, func(path string, d fs.DirEntry, err error) error {
		if n++; n > 1000 {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() {
			return nil
		}
		name, _ := filepath.Rel(layer, path)
		// The container's links must not lead us to a file of the host.
		fd, err := unix.Openat2(root, name, &unix.OpenHow{Flags: unix.O_PATH |
			unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT |
			unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
		if err != nil {
			return nil
		}
		defer unix.Close(fd)
		var theirs, ours unix.Stat_t
		if unix.Fstat(fd, &theirs) != nil || unix.Lstat(path, &ours) != nil ||
			theirs.Ino != ours.Ino {
			return nil
		}
		proof = fmt.Sprintf("inode %d, as /%s in the container", ours.Ino, name)
		return fs.SkipAll
	})
	return proof
}
