package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"container-workshop/final/reference"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Remove takes a name from an image, and deletes the image with its last one;
// with an ID, the image with its one name, or with force all of them. inUse
// names a container of the image, or "": such an image stays, nameless if
// forced. The lines say what was done, as Docker does.
func (s *Store) Remove(ref string, force bool,
	inUse func(id string) string) (lines []string, err error) {
	err = s.change(func(index *v1.Index) error {
		target, err := find(index, ref)
		if err != nil {
			return err
		}
		id, digest := target.Annotations[imageID], target.Digest
		refs := names(index, digest)
		full, _ := reference.Parse(ref)
		byName := full != "" && target.Annotations[refName] == full
		user := inUse(id)
		if !byName && len(refs) > 1 && !force {
			return fmt.Errorf("conflict: unable to delete %.12s (must be "+
				"forced) - image is referenced in multiple repositories",
				id[7:])
		} else if user != "" && !force && (!byName || len(refs) == 1) {
			return fmt.Errorf("conflict: unable to remove %q (must force) - "+
				"container %.12s is using its referenced image %.12s", ref,
				user, id[7:])
		}
		lines = s.drop(index, digest, func(name string) bool {
			return !byName || name == full
		}, user != "")
		return nil
	})
	if err == nil {
		_, err = s.sweep()
	}
	return lines, err
}

// drop takes names from an image, and with the last one the image, unless it
// stays.
func (s *Store) drop(index *v1.Index, id digest.Digest,
	which func(string) bool, stays bool) (lines []string) {
	for i, e := range index.Manifests {
		name := e.Annotations[refName]
		if e.Digest == id && name != "" && which(name) {
			index.Manifests[i] = named(e, "")
			lines = append(lines, "Untagged: "+reference.Short(name))
		}
	}
	tidy(index)
	if len(names(index, id)) > 0 || stays {
		return lines
	}
	index.Manifests = slices.DeleteFunc(index.Manifests,
		func(e v1.Descriptor) bool {
			if e.Digest == id {
				lines = append(lines, "Deleted: "+e.Annotations[imageID])
			}
			return e.Digest == id
		})
	return lines
}

// Prune deletes the images that keep does not want, and what killed processes
// have left. It returns the bytes that are free now.
func (s *Store) Prune(keep func(*Image) bool) (lines []string, freed int64,
	err error) {
	err = s.change(func(index *v1.Index) error {
		list, err := s.List()
		for _, img := range list {
			if !keep(img) {
				lines = append(lines, s.drop(index, digest.Digest(img.Digest),
					func(string) bool { return true }, false)...)
			}
		}
		return err
	})
	if err == nil {
		freed, err = s.sweep()
	}
	return lines, freed, err
}

// Use is what an object takes on the disk.
type Use struct {
	Path  string // below the store
	Bytes int64
	Live  bool // an image needs it, or a process is making it
}

// Usage lists every object in the store.
func (s *Store) Usage() (list []Use, err error) {
	index, err := s.index()
	if err != nil {
		return nil, err
	}
	live, err := s.live(index)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"blobs/sha256", "layers", "tmp"} {
		entries, err := os.ReadDir(s.path(dir))
		if err != nil {
			return nil, fmt.Errorf("image store: %w", err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			used, err := DiskUse(s.path(path))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			list = append(list, Use{path, used, live[path] ||
				dir == "tmp" && busy(s.path(path))})
		}
	}
	return list, nil
}

// live finds what the index refers to.
func (s *Store) live(index *v1.Index) (map[string]bool, error) {
	live := map[string]bool{}
	for _, entry := range index.Manifests {
		manifest, config := v1.Manifest{}, v1.Image{}
		err := s.readBlob(string(entry.Digest), &manifest)
		if err == nil {
			err = s.readBlob(string(manifest.Config.Digest), &config)
		}
		if err != nil {
			return nil, err
		}
		blobs := append(manifest.Layers, manifest.Config, entry)
		for _, b := range blobs {
			live["blobs/sha256/"+b.Digest.Encoded()] = true
		}
		for _, id := range config.RootFS.DiffIDs {
			live["layers/"+id.Encoded()] = true
		}
	}
	return live, nil
}

// busy says whether the process lives that works in a directory of tmp. The
// files there are JSON on its way, under the lock.
func busy(dir string) bool {
	file, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer file.Close()
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
}

// sweep deletes what nothing refers to. Under the lock it only renames.
func (s *Store) sweep() (freed int64, err error) {
	work, err := s.Begin()
	if err != nil {
		return 0, err
	}
	defer work.End()
	unlock, err := s.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	list, err := s.Usage()
	for i, use := range list {
		if !use.Live && err == nil {
			freed += use.Bytes
			err = os.Rename(s.path(use.Path), fmt.Sprint(work.Dir, "/", i))
		}
		if errors.Is(err, fs.ErrNotExist) { // somebody's End was faster
			err = nil
		}
	}
	return freed, err
}

// DiskUse is what a tree takes, in bytes; a file with several names once.
func DiskUse(dir string) (bytes int64, err error) {
	seen := map[uint64]bool{}
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if !seen[st.Ino] {
			bytes += st.Blocks * 512
		}
		if st.Nlink > 1 && !e.IsDir() {
			seen[st.Ino] = true
		}
		return nil
	})
	return bytes, err
}
