package flags

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Mount is one of -v, --mount, --tmpfs or the image's VOLUME. The engine makes
// the directory of a volume and says in Source where it is; an anonymous
// volume has no Name before that either.
type Mount struct {
	Type        string // bind, volume, tmpfs
	Name        string // of a volume
	Source      string
	Destination string
	ReadOnly    bool
	NoCopy      bool     // volume: do not fill it from the image
	Subpath     string   // volume: mount this part of it
	Driver      string   // volume
	Labels      []string // volume, NAME=VALUE
	DriverOpts  []string // volume, NAME=VALUE
	MakeSource  bool     // bind: -v makes a missing directory
	Options     []string // as config.json has them
}

// Mounts is what the container mounts besides Docker's own: volumes to make.
// What is deeper comes later.
func Mounts(o *Options, img *v1.ImageConfig) (list []Mount, err error) {
	taken := map[string]bool{}
	add := func(m Mount, err error) error {
		if err != nil {
			return err
		}
		m.Destination = path.Clean(m.Destination)
		err = check(rule{taken[m.Destination], "Duplicate mount point: " +
			m.Destination})
		if err != nil {
			return err
		}
		taken[m.Destination] = true
		list = append(list, m)
		return nil
	}
	for _, text := range o.Volume {
		err = cmp.Or(err, add(volume(text)))
	}
	for _, text := range o.Mount {
		err = cmp.Or(err, add(mount(text)))
	}
	for _, text := range o.Tmpfs {
		target, options, _ := strings.Cut(text, ":")
		err = cmp.Or(err, add(tmpfs(target, options)))
	}
	for target := range img.Volumes {
		if target = path.Clean("/" + target); !taken[target] && target != "/" {
			err = cmp.Or(err, add(volume(target)))
		}
	}
	slices.SortFunc(list, func(a, b Mount) int {
		return cmp.Or(strings.Count(a.Destination, "/")-
			strings.Count(b.Destination, "/"),
			strings.Compare(a.Destination, b.Destination))
	})
	return list, err
}

// volume reads -v: [SOURCE:]TARGET[:MODE]. A SOURCE without a slash is a name.
// Each kind of word may come once in MODE. SELinux has labels (z and Z), and
// macOS consistency: here they change nothing.
func volume(text string) (m Mount, err error) {
	part := strings.Split(text, ":")
	m.Type, m.Destination = "volume", part[0]
	if len(part) > 1 {
		m.Name, m.Destination = part[0], part[1]
	}
	err = check(rule{len(part) > 3 || part[0] == "" || part[len(part)-1] == "",
		"not [SOURCE:]TARGET[:MODE]"})
	propagation, seen := "", map[string]bool{}
	if len(part) == 3 {
		for word := range strings.SplitSeq(part[2], ",") {
			kind := map[string]string{"rw": "access", "ro": "access", "z": "z",
				"Z": "z", "nocopy": "copy", "consistent": "consistency",
				"cached": "consistency", "delegated": "consistency"}[word]
			if isPropagation(word) {
				kind, propagation = "propagation", word
			}
			m.ReadOnly = m.ReadOnly || word == "ro"
			m.NoCopy = m.NoCopy || word == "nocopy"
			if kind == "" || seen[kind] {
				return m, fmt.Errorf("invalid mode: %s", part[2])
			}
			seen[kind] = true
		}
	}
	if strings.HasPrefix(m.Name, ".") || path.IsAbs(m.Name) {
		m.Type, m.Name, m.MakeSource = "bind", "", true
		m.Source, _ = filepath.Abs(part[0])
	}
	m.Options = bindOptions("rbind", m.ReadOnly, "rro", propagation)
	err = cmp.Or(err, check(rule{m.Type == "volume" && propagation != "",
		"a volume has no propagation"}), m.check())
	if err != nil {
		err = fmt.Errorf("invalid volume specification: '%s': %w", text, err)
	}
	return m, err
}

func isPropagation(word string) bool {
	return slices.Contains([]string{"private", "rprivate", "shared", "rshared",
		"slave", "rslave"}, word)
}

func bindOptions(kind string, readOnly bool, ro, propagation string) []string {
	options := []string{kind, cmp.Or(propagation, "rprivate")}
	if readOnly {
		options = append(options, ro)
	}
	return options
}

// check is what all kinds have in common.
func (m *Mount) check() error {
	return check(rule{m.Destination == "", "target is required"},
		rule{!path.IsAbs(m.Destination), fmt.Sprintf("invalid mount path: "+
			"'%s' mount path must be absolute", m.Destination)},
		rule{path.Clean(m.Destination) == "/",
			"invalid specification: destination can't be '/'"},
		rule{m.Type == "volume" && m.Name != "" && !IsName(m.Name),
			fmt.Sprintf("%q includes invalid characters for a local volume "+
				"name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you "+
				"intended to pass a host directory, use absolute path",
				m.Name)})
}

// IsName tells whether a text may be a volume's name, or a container's.
func IsName(text string) bool {
	for i, r := range text {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' ||
			r > 'Z') && (i == 0 || !strings.ContainsRune("_.-", r)) {
			return false
		}
	}
	return len(text) > 1
}

// mount reads --mount: KEY=VALUE,..., in CSV.
func mount(text string) (m Mount, err error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return m, fmt.Errorf("invalid argument %q for --mount: %w", text, err)
	}
	m.Type = "volume"
	given, value := "", map[string]string{}
	flags := map[string]*bool{"readonly": &m.ReadOnly, "ro": &m.ReadOnly,
		"volume-nocopy": &m.NoCopy}
	words := map[string]*string{"type": &m.Type, "source": &m.Source,
		"src": &m.Source, "target": &m.Destination, "dst": &m.Destination,
		"destination": &m.Destination, "volume-subpath": &m.Subpath,
		"volume-driver": &m.Driver}
	lists := map[string]*[]string{"volume-label": &m.Labels,
		"volume-opt": &m.DriverOpts}
	for _, field := range fields {
		key, text, valued := strings.Cut(field, "=")
		key = strings.ToLower(key)
		if kind, _, ok := strings.Cut(key, "-"); ok {
			given = kind
		}
		switch {
		case flags[key] != nil:
			*flags[key], err = strconv.ParseBool(cmp.Or(text, "true"))
			if err != nil || valued && text == "" {
				return m, fmt.Errorf("invalid value for %s: %s", key, text)
			}
		case !valued:
			return m, fmt.Errorf("invalid field '%s' must be a key=value pair",
				field)
		case words[key] != nil:
			*words[key] = text
		case lists[key] != nil:
			*lists[key] = append(*lists[key], text)
		case slices.Contains([]string{"consistency", "bind-propagation",
			"bind-recursive", "tmpfs-size", "tmpfs-mode"}, key):
			value[key] = text
		default:
			return m, fmt.Errorf("unexpected key '%s' in '%s'", key, field)
		}
	}
	m.Type = strings.ToLower(m.Type)
	if given != "" && given != m.Type {
		return m, fmt.Errorf("cannot mix '%s-*' options with mount type '%s'",
			given, m.Type)
	}
	return m, m.finish(value)
}

// finish does for --mount what depends on the type.
func (m *Mount) finish(value map[string]string) (err error) {
	switch m.Type {
	case "bind":
		err = m.bind(value["bind-recursive"], value["bind-propagation"])
	case "volume":
		m.Name, m.Source = m.Source, ""
		m.Options = bindOptions("rbind", m.ReadOnly, "rro", "")
		err = check(rule{m.Subpath != "" && (m.Name == "" ||
			!filepath.IsLocal(m.Subpath)),
			"subpath must be a relative path within a named volume"},
			rule{m.ReadOnly && m.Name == "",
				"must not set ReadOnly mode when using anonymous volumes"},
			rule{m.Driver != "" && m.Driver != "local",
				fmt.Sprintf("plugin %q not found", m.Driver)})
	case "tmpfs":
		err = m.tmpfs(value["tmpfs-size"], value["tmpfs-mode"])
	default:
		err = errors.New("mount type unknown")
	}
	if err = cmp.Or(err, m.check()); err != nil {
		err = fmt.Errorf("invalid mount config for type %q: %w", m.Type, err)
	}
	return err
}

func (m *Mount) bind(recursive, propagation string) error {
	if strings.HasPrefix(m.Source, ".") {
		m.Source, _ = filepath.Abs(m.Source)
	}
	kind, ro := "rbind", map[string]string{"": "rro", "enabled": "rro",
		"disabled": "ro", "writable": "ro", "readonly": "rro"}[recursive]
	if recursive == "disabled" {
		kind = "bind"
	}
	m.Options = bindOptions(kind, m.ReadOnly, ro, propagation)
	forced := recursive == "writable" || recursive == "readonly"
	return check(rule{m.Source == "", "field Source must not be empty"},
		rule{!path.IsAbs(m.Source), fmt.Sprintf("invalid mount path: '%s' "+
			"mount path must be absolute", m.Source)},
		rule{propagation != "" && !isPropagation(propagation),
			"invalid propagation mode: " + propagation},
		rule{ro == "", fmt.Sprintf("invalid value for bind-recursive: %s "+
			`(must be "enabled", "disabled", "writable", or "readonly")`,
			recursive)},
		rule{forced && !m.ReadOnly, fmt.Sprintf("option 'bind-recursive=%s' "+
			"requires 'readonly' to be specified in conjunction", recursive)},
		rule{recursive == "readonly" && propagation != "rprivate",
			"option 'bind-recursive=readonly' requires 'bind-propagation=" +
				"rprivate' to be specified in conjunction"})
}

func (m *Mount) tmpfs(bytes, mode string) error {
	n, err := Bytes(cmp.Or(bytes, "0"))
	_, bad := strconv.ParseUint(cmp.Or(mode, "0"), 8, 12)
	if err = check(rule{m.Source != "", "field Source must not be specified"},
		rule{err != nil, "invalid value for tmpfs-size: " + bytes},
		rule{bad != nil, "invalid value for tmpfs-mode: " + mode}); err != nil {
		return err
	}
	options := ""
	if bytes != "" {
		options = fmt.Sprintf("size=%d,", n)
	}
	if mode != "" {
		options += "mode=" + mode + ","
	}
	if m.ReadOnly {
		options += "ro"
	}
	*m, err = tmpfs(m.Destination, options)
	return err
}

// tmpfs adds options to Docker's for it. Of two that contradict each other the
// kernel gets the last one.
func tmpfs(target, options string) (m Mount, err error) {
	m = Mount{Type: "tmpfs", Source: "tmpfs", Destination: target,
		Options: []string{"noexec", "nosuid", "nodev", "rprivate"}}
	for word := range strings.SplitSeq(options, ",") {
		key, _, valued := strings.Cut(word, "=")
		known := " exec suid dev atime diratime relatime strictatime ro rw " +
			"sync async dirsync "
		if valued {
			known = " size mode uid gid nr_inodes nr_blocks mpol huge "
		}
		if word == "" {
			continue
		} else if !strings.Contains(known, " "+strings.TrimPrefix(key, "no")+
			" ") && !isPropagation(word) {
			return m, fmt.Errorf("invalid tmpfs option %q", word)
		}
		opposite, no := strings.CutPrefix(word, "no")
		if !no {
			opposite = "no" + word
		}
		m.Options = slices.DeleteFunc(m.Options, func(old string) bool {
			return old == opposite || old == word
		})
		m.Options = append(m.Options, word)
		m.ReadOnly = m.ReadOnly || word == "ro"
	}
	return m, m.check()
}
