package bundle

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
		if taken[m.Destination] {
			return fmt.Errorf("Duplicate mount point: %s", m.Destination)
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
func volume(text string) (m Mount, err error) {
	bad := func(why string) (Mount, error) {
		return m, fmt.Errorf("invalid volume specification: '%s'%s", text, why)
	}
	part := strings.Split(text, ":")
	if len(part) > 3 || part[0] == "" || part[len(part)-1] == "" {
		return bad("")
	}
	m.Type, m.Destination = "volume", part[0]
	if len(part) > 1 {
		m.Name, m.Destination = part[0], part[1]
	}
	var propagation string
	if len(part) == 3 {
		if propagation, err = m.mode(part[2]); err != nil {
			return m, err
		}
	}
	if strings.HasPrefix(m.Name, ".") || path.IsAbs(m.Name) {
		if m.Source, err = filepath.Abs(m.Name); err != nil {
			return m, err
		}
		m.Type, m.Name, m.MakeSource = "bind", "", true
		m.Options = bindOptions(true, m.ReadOnly, "rro", propagation)
	} else if propagation != "" {
		return bad(": a volume has no propagation")
	} else {
		m.Options = bindOptions(true, m.ReadOnly, "rro", "")
	}
	if err = m.check(); err != nil {
		return bad(": " + err.Error())
	}
	return m, nil
}

// mode reads the third part of -v, of which each kind may come once. SELinux
// has labels (z and Z), and macOS consistency: here they change nothing.
func (m *Mount) mode(text string) (propagation string, err error) {
	seen := map[string]bool{}
	for word := range strings.SplitSeq(text, ",") {
		kind := ""
		switch word {
		case "rw", "ro":
			kind, m.ReadOnly = "access", word == "ro"
		case "z", "Z":
			kind = "label"
		case "nocopy":
			kind, m.NoCopy = "copy", true
		case "consistent", "cached", "delegated", "default":
			kind = "consistency"
		default:
			if isPropagation(word) {
				kind, propagation = "propagation", word
			}
		}
		if kind == "" || seen[kind] {
			return "", fmt.Errorf("invalid mode: %s", text)
		}
		seen[kind] = true
	}
	return propagation, nil
}

func isPropagation(word string) bool {
	return slices.Contains([]string{"private", "rprivate", "shared", "rshared",
		"slave", "rslave"}, word)
}

func bindOptions(deep, readOnly bool, ro, propagation string) []string {
	options := []string{"bind", cmp.Or(propagation, "rprivate")}
	if deep {
		options[0] = "rbind"
	}
	if readOnly {
		options = append(options, ro)
	}
	return options
}

// check is what all kinds have in common.
func (m *Mount) check() error {
	if m.Destination == "" {
		return errors.New("target is required")
	} else if !path.IsAbs(m.Destination) {
		return fmt.Errorf("invalid mount path: '%s' mount path must be "+
			"absolute", m.Destination)
	} else if path.Clean(m.Destination) == "/" {
		return errors.New("invalid specification: destination can't be '/'")
	} else if m.Type == "volume" && m.Name != "" && !IsName(m.Name) {
		return fmt.Errorf("%q includes invalid characters for a local volume "+
			"name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you "+
			"intended to pass a host directory, use absolute path", m.Name)
	}
	return nil
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
	recursive, propagation, given, options := "enabled", "", "", ""
	for _, field := range fields {
		key, value, valued := strings.Cut(field, "=")
		key = strings.ToLower(key)
		if kind, _, ok := strings.Cut(key, "-"); ok {
			given = kind
		}
		on := true
		if key == "readonly" || key == "ro" || key == "volume-nocopy" {
			if on, err = strconv.ParseBool(value); err != nil && valued {
				return m, fmt.Errorf("invalid value for %s: %s", key, value)
			} else if !valued {
				on = true
			}
		} else if !valued {
			return m, fmt.Errorf("invalid field '%s' must be a key=value pair",
				field)
		}
		switch key {
		case "type":
			m.Type = strings.ToLower(value)
		case "source", "src":
			m.Source = value
		case "target", "dst", "destination":
			m.Destination = value
		case "readonly", "ro":
			m.ReadOnly = on
		case "consistency":
		case "bind-propagation":
			propagation = strings.ToLower(value)
		case "bind-recursive":
			recursive = value
		case "volume-nocopy":
			m.NoCopy = on
		case "volume-subpath":
			m.Subpath = value
		case "volume-label":
			m.Labels = append(m.Labels, value)
		case "volume-driver":
			m.Driver = value
		case "volume-opt":
			m.DriverOpts = append(m.DriverOpts, value)
		case "tmpfs-size":
			n, bad := Bytes(value)
			if bad != nil {
				return m, fmt.Errorf("invalid value for %s: %s", key, value)
			}
			options += fmt.Sprintf(",size=%d", n)
		case "tmpfs-mode":
			if _, bad := strconv.ParseUint(value, 8, 12); bad != nil {
				return m, fmt.Errorf("invalid value for %s: %s", key, value)
			}
			options += ",mode=" + value
		default:
			return m, fmt.Errorf("unexpected key '%s' in '%s'", key, field)
		}
	}
	if given != "" && given != m.Type {
		return m, fmt.Errorf("cannot mix '%s-*' options with mount type '%s'",
			given, m.Type)
	}
	return m.complete(recursive, propagation, strings.TrimPrefix(options, ","))
}

// complete does for --mount what depends on the type.
func (m Mount) complete(recursive, propagation, options string) (Mount, error) {
	bad := func(format string, args ...any) (Mount, error) {
		return m, fmt.Errorf("invalid mount config for type %q: %w", m.Type,
			fmt.Errorf(format, args...))
	}
	ro := map[string]string{"enabled": "rro", "disabled": "ro",
		"writable": "ro", "readonly": "rro"}[recursive]
	switch m.Type {
	case "bind":
		if strings.HasPrefix(m.Source, ".") {
			m.Source, _ = filepath.Abs(m.Source)
		}
		if m.Source == "" {
			return bad("field Source must not be empty")
		} else if !path.IsAbs(m.Source) {
			return bad("invalid mount path: '%s' mount path must be absolute",
				m.Source)
		} else if propagation != "" && !isPropagation(propagation) {
			return bad("invalid propagation mode: %s", propagation)
		} else if ro == "" {
			return m, fmt.Errorf("invalid value for bind-recursive: %s (must "+
				`be "enabled", "disabled", "writable", or "readonly")`,
				recursive)
		} else if (recursive == "writable" || recursive == "readonly") &&
			!m.ReadOnly {
			return m, fmt.Errorf("option 'bind-recursive=%s' requires "+
				"'readonly' to be specified in conjunction", recursive)
		} else if recursive == "readonly" && propagation != "rprivate" {
			return m, errors.New("option 'bind-recursive=readonly' requires " +
				"'bind-propagation=rprivate' to be specified in conjunction")
		}
		m.Options = bindOptions(recursive != "disabled", m.ReadOnly, ro,
			propagation)
	case "volume":
		m.Name, m.Source = m.Source, ""
		if m.Subpath != "" && (m.Name == "" || !filepath.IsLocal(m.Subpath)) {
			return bad("subpath must be a relative path within a named volume")
		} else if m.ReadOnly && m.Name == "" {
			return bad("must not set ReadOnly mode when using anonymous volumes")
		} else if m.Driver != "" && m.Driver != "local" {
			return bad("plugin %q not found", m.Driver)
		}
		m.Options = bindOptions(true, m.ReadOnly, "rro", "")
	case "tmpfs":
		if m.Source != "" {
			return bad("field Source must not be specified")
		} else if m.ReadOnly {
			options = strings.TrimPrefix(options+",ro", ",")
		}
		return tmpfs(m.Destination, options)
	default:
		return bad("mount type unknown")
	}
	if err := m.check(); err != nil {
		return bad("%w", err)
	}
	return m, nil
}

// tmpfs merges options with Docker's for it, in which the last one wins.
func tmpfs(target, options string) (m Mount, err error) {
	m = Mount{Type: "tmpfs", Source: "tmpfs", Destination: target}
	if err = m.check(); err != nil {
		return m, err
	}
	taken := map[string]bool{}
	list := []string{"noexec", "nosuid", "nodev", "rprivate"}
	for _, word := range slices.Backward(append(list,
		strings.Split(options, ",")...)) {
		key, _, valued := strings.Cut(word, "=")
		pair := strings.TrimPrefix(key, "no")
		known := []string{"exec", "suid", "dev", "atime", "diratime",
			"relatime", "strictatime", "ro", "rw", "sync", "async", "dirsync"}
		if valued {
			known = []string{"size", "mode", "uid", "gid", "nr_inodes",
				"nr_blocks", "mpol", "huge"}
		}
		switch {
		case word == "":
			continue
		case pair == "rw":
			pair = "ro"
		case isPropagation(word):
			pair, known = "propagation", []string{"propagation"}
		}
		if !slices.Contains(known, pair) {
			return m, fmt.Errorf("invalid tmpfs option %q", word)
		} else if !taken[pair] {
			m.Options = append(m.Options, word)
			m.ReadOnly = m.ReadOnly || word == "ro"
		}
		taken[pair] = true
	}
	slices.Reverse(m.Options)
	return m, nil
}
