package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"container-workshop/final/image"
	"container-workshop/final/monitor"
	"container-workshop/final/runtime"
)

// Pruned is what Prune has removed.
type Pruned struct {
	Containers, Networks, Volumes, Images []string
	Freed                                 int64 // bytes
}

// Prune removes containers that do not run, networks and images that nobody
// uses, with volumes those too, and what killed processes have left.
func (e *Engine) Prune(allImages, volumes bool) (p Pruned, err error) {
	list, bad := e.List()
	err = errors.Join(bad...)
	for _, c := range list {
		if c.State.Running() {
			continue
		}
		size := c.UpperSize()
		if gone := e.Remove(c, false, false); gone != nil {
			err = errors.Join(err, gone)
			continue
		}
		p.Containers = append(p.Containers, c.ID)
		p.Freed += size
	}
	err = errors.Join(err, e.sweep())
	networks, bad1 := e.Networks.List()
	err = errors.Join(err, bad1)
	for _, n := range networks {
		if Predefined(n.Name) || len(n.Endpoints) > 0 || e.uses(n.Name) {
			continue
		}
		if gone := e.Networks.Remove(n.Name); gone == nil {
			p.Networks = append(p.Networks, n.Name)
		}
	}
	if volumes {
		var freed int64
		var bad error
		p.Volumes, freed, bad = e.PruneVolumes(false)
		p.Freed += freed
		err = errors.Join(err, bad)
	}
	images, bad2 := e.Images()
	if bad2 == nil {
		var freed int64
		p.Images, freed, bad2 = images.Prune(func(i *image.Image) bool {
			return e.ImageUser(i.ID) != "" || !allImages && len(i.Refs) > 0
		})
		p.Freed += freed
	}
	return p, errors.Join(err, bad2)
}

// PruneVolumes removes the volumes that no container mounts: those without a
// name of their own, or all.
func (e *Engine) PruneVolumes(all bool) (names []string, freed int64,
	err error) {
	list, bad := e.Volumes()
	for _, v := range list {
		size := Size(v.Mountpoint)
		if (all || v.Anonymous) && e.RemoveVolume(v.Name) == nil {
			names, freed = append(names, v.Name), freed+size
		}
	}
	return names, freed, errors.Join(bad...)
}

// Predefined networks are there without being made.
func Predefined(name string) bool {
	return name == "bridge" || name == "host" || name == "none"
}

func (e *Engine) uses(name string) bool {
	list, _ := e.List()
	for _, c := range list {
		for _, a := range c.Networks {
			if a.Network == name {
				return true
			}
		}
	}
	return false
}

// ImageUser is a container of this image, "" if there is none.
func (e *Engine) ImageUser(id string) string {
	list, _ := e.List()
	for _, c := range list {
		if c.ImageID == id {
			return c.ID
		}
	}
	return ""
}

// sweep removes what belongs to no record: directories without one, names that
// lead nowhere, containers of the runtime's, bundles, and what is left of the
// network.
func (e *Engine) sweep() (err error) {
	known := func(id string) bool {
		_, gone := os.Stat(e.containers() + "/" + id + "/container.json")
		return gone == nil
	}
	leftovers, _ := filepath.Glob(e.containers() + "/.removed-*")
	entries, _ := os.ReadDir(e.containers())
	for _, entry := range entries {
		dir := e.containers() + "/" + entry.Name()
		if isID(entry.Name()) && !known(entry.Name()) {
			// A create that is at work holds the lock.
			if free, err := monitor.LockFile(dir+"/.lock", false); err == nil {
				leftovers = append(leftovers, dir)
				defer free()
			}
		}
	}
	boxes, bad := runtime.List(e.runtimeRoot())
	if bad != nil && !errors.Is(bad, os.ErrNotExist) {
		err = bad
	}
	for _, box := range boxes {
		if !known(box.ID) {
			err = errors.Join(err, box.Delete(true))
		}
	}
	entries, _ = os.ReadDir(e.Run)
	for _, entry := range entries {
		if isID(entry.Name()) && !known(entry.Name()) {
			leftovers = append(leftovers, e.Run+"/"+entry.Name())
		}
	}
	for _, dir := range leftovers {
		err = errors.Join(err, removeAll(dir))
	}
	links, _ := os.ReadDir(e.names())
	for _, link := range links {
		name := e.names() + "/" + link.Name()
		if id, bad := os.Readlink(name); bad == nil {
			if _, err := os.Stat(e.containers() + "/" + id); err != nil {
				os.Remove(name)
			}
		}
	}
	return errors.Join(err, e.Networks.Sweep(func(id string) bool {
		s, err := monitor.Read(e.containers() + "/" + id + "/container.json")
		return err == nil && monitor.Alive(s.Pid, s.PidStart)
	}))
}

// Size is how many bytes a tree has on the disk.
func Size(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// UpperSize is what the container has written.
func (c *Container) UpperSize() int64 { return Size(c.dir + "/upper") }

// Usage adds up what one kind of object has on the disk.
type Usage struct {
	Type          string
	Count, Active int
	Bytes, Free   int64
}

// Add counts one more object; what is in use cannot be freed.
func (u *Usage) Add(size int64, used bool) {
	u.Count++
	u.Bytes += size
	if used {
		u.Active++
	} else {
		u.Free += size
	}
}
