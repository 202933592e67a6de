package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"container-workshop/final/bundle"
	"container-workshop/final/flags"
	"container-workshop/final/layers"
	"container-workshop/final/monitor"
)

// Volume is a directory that outlives containers: volumes/NAME/_data.
type Volume struct {
	Name       string
	Driver     string
	Mountpoint string
	Scope      string
	CreatedAt  time.Time
	Labels     map[string]string
	Options    map[string]string
	Anonymous  bool `json:",omitempty"`
}

func (e *Engine) volume(name string) string {
	return e.Data + "/volumes/" + name
}

// CreateVolume makes a volume, if it is not there yet. made says so.
func (e *Engine) CreateVolume(v Volume) (_ *Volume, made bool, err error) {
	v.Anonymous = v.Anonymous || v.Name == ""
	v.Name = cmp.Or(v.Name, newID())
	if !flags.IsName(v.Name) {
		return nil, false, fmt.Errorf("%q includes invalid characters for a "+
			"local volume name, only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed. "+
			"If you intended to pass a host directory, use absolute path",
			v.Name)
	}
	if v.Driver = cmp.Or(v.Driver, "local"); v.Driver != "local" {
		return nil, false, fmt.Errorf("volume driver %s: only local is here",
			v.Driver)
	}
	if len(v.Options) > 0 {
		return nil, false, errors.New("volume options are not supported: " +
			"mount the file system on the host and use -v DIR:DST")
	}
	unlock, err := monitor.Lock(e.containers())
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if old, err := e.Volume(v.Name); err == nil {
		return old, false, nil
	}
	v.Mountpoint, v.Scope = e.volume(v.Name)+"/_data", "local"
	v.CreatedAt = time.Now().UTC()
	err = os.MkdirAll(v.Mountpoint, 0o755)
	if err == nil {
		err = monitor.Write(e.volume(v.Name)+"/volume.json", v)
	}
	if err != nil {
		os.RemoveAll(e.volume(v.Name))
	}
	return &v, true, err
}

// Volume finds a volume by name.
func (e *Engine) Volume(name string) (*Volume, error) {
	v := &Volume{}
	data, err := os.ReadFile(e.volume(name) + "/volume.json")
	if errors.Is(err, os.ErrNotExist) || !flags.IsName(name) {
		return nil, fmt.Errorf("get %s: no such volume", name)
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		err = fmt.Errorf("read volume %s: %w", name, err)
	}
	return v, err
}

// Volumes lists all volumes, by name.
func (e *Engine) Volumes() (list []*Volume, bad []error) {
	entries, err := os.ReadDir(e.Data + "/volumes")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, []error{err}
	}
	for _, entry := range entries {
		v, err := e.Volume(entry.Name())
		if err == nil {
			list = append(list, v)
		} else if _, gone := os.Stat(e.volume(entry.Name()) +
			"/volume.json"); gone == nil {
			bad = append(bad, err)
		}
	}
	return list, bad
}

// VolumeUsers are the containers that mount a volume.
func (e *Engine) VolumeUsers(name string) (ids []string) {
	list, _ := e.List()
	for _, c := range list {
		if slices.ContainsFunc(c.Mounts, func(m bundle.Mount) bool {
			return m.Type == "volume" && m.Name == name
		}) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// RemoveVolume removes a volume that no container mounts.
func (e *Engine) RemoveVolume(name string) error {
	if _, err := e.Volume(name); err != nil {
		return err
	}
	if users := e.VolumeUsers(name); len(users) > 0 {
		return fmt.Errorf("remove %s: volume is in use - [%s]", name,
			strings.Join(users, ", "))
	}
	err := os.Remove(e.volume(name) + "/volume.json")
	return cmp.Or(err, layers.RemoveAll(e.volume(name)))
}

// makeVolumes makes what the container mounts: named volumes that are missing,
// anonymous ones, and with -v the directories of binds. A new volume begins
// with what the image has in its place. It returns the directories of the new.
func (e *Engine) makeVolumes(c *Container) (fresh []string, err error) {
	c.Mounts, err = bundle.Mounts(&c.Options.Options, &c.Config)
	for i := range c.Mounts {
		m := &c.Mounts[i]
		switch {
		case err != nil:
			return fresh, err
		case m.Type == "bind" && m.MakeSource:
			if _, gone := os.Stat(m.Source); gone != nil { // else a file, too
				err = os.MkdirAll(m.Source, 0o755)
			}
		case m.Type == "volume":
			labels := map[string]string{}
			for _, label := range m.Labels {
				key, value, _ := strings.Cut(label, "=")
				labels[key] = value
			}
			var v *Volume
			var made bool
			v, made, err = e.CreateVolume(Volume{Name: m.Name, Driver: m.Driver,
				Labels: labels})
			if err != nil {
				return fresh, err
			}
			m.Name, m.Source = v.Name, v.Mountpoint
			if made {
				fresh = append(fresh, m.Source)
			}
			if made && !m.NoCopy {
				err = layers.CopyUp(c.Layers, m.Destination, m.Source)
			}
		}
	}
	return fresh, err
}

// removeAnonymous removes the volumes that nobody has given a name.
func (e *Engine) removeAnonymous(c *Container) (err error) {
	for _, m := range c.Mounts {
		v, bad := e.Volume(m.Name)
		if m.Type == "volume" && bad == nil && v.Anonymous &&
			len(e.VolumeUsers(m.Name)) == 0 {
			err = cmp.Or(err, e.RemoveVolume(m.Name))
		}
	}
	return err
}
