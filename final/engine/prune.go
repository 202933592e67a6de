package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"container-workshop/final/image"
	"container-workshop/final/layers"
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
		size, _ := c.Sizes()
		if gone := e.Remove(c, false, false); gone != nil {
			if !e.Runs(c) { // it has not been started meanwhile
				err = errors.Join(err, gone)
			}
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
		size, _ := image.DiskUse(v.Mountpoint)
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
		err = errors.Join(err, layers.RemoveAll(dir))
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

// Sizes are the bytes that the container has written, and all it sees.
func (c *Container) Sizes() (upper, all int64) {
	for i, dir := range append([]string{c.dir + "/upper"}, c.Layers...) {
		n, _ := image.DiskUse(dir) // it changes while we look
		if all += n; i == 0 {
			upper = n
		}
	}
	return upper, all
}

// Usage adds up what one kind of object has on the disk.
type Usage struct {
	Type          string
	Count, Active int
	Bytes, Free   int64
}

func (u *Usage) add(size int64, used bool) {
	u.Count++
	u.Bytes += size
	if used {
		u.Active++
	} else {
		u.Free += size
	}
}

// DiskUsage is what images, containers and volumes have.
func (e *Engine) DiskUsage() ([]Usage, error) {
	uses := []Usage{{Type: "Images"}, {Type: "Containers"},
		{Type: "Local Volumes"}}
	images, err := e.Images()
	if err != nil {
		return nil, err
	}
	err = e.imageUsage(images, &uses[0])
	boxes, bad := e.List()
	for _, c := range boxes {
		upper, _ := c.Sizes()
		uses[1].add(upper, c.State.Running())
	}
	volumes, more := e.Volumes()
	for _, v := range volumes {
		n, _ := image.DiskUse(v.Mountpoint)
		uses[2].add(n, len(e.VolumeUsers(v.Name)) > 0)
	}
	return uses, errors.Join(append(append(bad, more...), err)...)
}

// imageUsage adds up what lies in the store of images: each object once, though
// several images have it, and also what a killed process has left. What no
// container's image needs would be free if it were removed.
func (e *Engine) imageUsage(s *image.Store, u *Usage) error {
	all, err := s.List()
	used := map[string]bool{}
	for _, img := range all {
		u.Count++
		if e.ImageUser(img.ID) == "" {
			continue
		}
		u.Active++
		m, parts, bad := s.Parts(img)
		err = errors.Join(err, bad)
		used["blobs/sha256/"+m.Config.Digest.Encoded()] = true
		used["blobs/sha256/"+strings.TrimPrefix(img.Digest, "sha256:")] = true
		for _, l := range parts {
			used["blobs/sha256/"+l.Blob.Digest.Encoded()] = true
			used["layers/"+l.DiffID.Encoded()] = true
		}
	}
	list, bad := s.Usage()
	for _, object := range list {
		u.Bytes += object.Bytes
		busy := object.Live && strings.HasPrefix(object.Path, "tmp/")
		if !busy && !used[object.Path] {
			u.Free += object.Bytes
		}
	}
	return errors.Join(err, bad)
}
