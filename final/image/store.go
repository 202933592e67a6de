// Package image keeps images in an OCI layout: oci-layout, index.json and
// blobs/sha256, with the unpacked layers beside them in layers.
package image

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/reference"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// A Store is a directory. Nothing is kept in memory: every call reads it anew.
//
// A process may be killed anywhere, so files appear by rename(2) only, and
// index.json, the list of images, after all that it refers to. What has no way
// there from index.json is waste, and Prune's. Unfinished work is in a
// directory below tmp with a lock of its own: as the lock goes with the
// process, waste there is known by being open to lock.
type Store struct{ Dir string }

// Image is what the store knows of an image.
type Image struct {
	ID     string   // sha256:HEX of the configuration
	Digest string   // sha256:HEX of the manifest
	Refs   []string // short names, as "busybox:latest"; none: dangling
	Size   int64    // bytes of the files in all layers
	Config v1.Image // what the image says of itself
	Layers []string // unpacked layers: directories, the lowest first
	Sizes  []int64  // bytes of the files in each layer
	Steps  []string // what the build cache knows its last steps by
}

// NotFound is the error for a name that no image has.
type NotFound struct{ Name string }

func (e *NotFound) Error() string { return "No such image: " + e.Name }

// Annotations of the entries in index.json. One image has as many entries as
// names, or one without.
const (
	refName = v1.AnnotationRefName
	imageID = "minidocker.image.id"
	stepIDs = "minidocker.build.steps"
)

// Open makes the store in dir if it is not there.
func Open(dir string) (*Store, error) {
	s := &Store{dir}
	if _, err := os.Stat(s.path("index.json")); err == nil {
		return s, nil
	}
	for _, sub := range []string{"blobs/sha256", "layers", "tmp"} {
		if err := os.MkdirAll(s.path(sub), 0o700); err != nil {
			return nil, fmt.Errorf("image store: %w", err)
		}
	}
	err := s.save("oci-layout", v1.ImageLayout{Version: v1.ImageLayoutVersion})
	if err == nil {
		err = s.change(func(*v1.Index) error { return nil })
	}
	return s, err
}

func (s *Store) path(names ...string) string {
	return filepath.Join(s.Dir, filepath.Join(names...))
}

// save writes JSON to a new file and renames it. It returns when the disk has
// it, and all that was written before: what the JSON refers to.
func (s *Store) save(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(s.path("tmp"), "")
	if err == nil {
		_, err = file.Write(text)
		err = cmp.Or(err, unix.Syncfs(int(file.Fd())), file.Close(),
			os.Rename(file.Name(), s.path(name)))
	}
	if err != nil {
		return fmt.Errorf("image store: write %s: %w", s.path(name), err)
	}
	return nil
}

// lock keeps all other writers out until unlock.
func (s *Store) lock() (unlock func(), err error) {
	file, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
	}
	return func() { file.Close() }, err
}

// change changes index.json, under the lock.
func (s *Store) change(edit func(*v1.Index) error) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	index, err := s.index()
	if err == nil {
		err = edit(index)
	}
	if err == nil {
		err = s.save("index.json", index)
	}
	return err
}

func (s *Store) index() (*v1.Index, error) {
	index := &v1.Index{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	text, err := os.ReadFile(s.path("index.json"))
	if os.IsNotExist(err) {
		return index, nil
	} else if err == nil {
		err = json.Unmarshal(text, index)
	}
	if err != nil {
		return nil, s.damaged("index.json", err)
	}
	return index, nil
}

func (s *Store) damaged(name string, why any) error {
	return fmt.Errorf("image store: %s is damaged: %v", s.path(name), why)
}

// readBlob reads JSON, of which the name is the digest.
func (s *Store) readBlob(id string, to any) error {
	hex, err := reference.Hex(id)
	if err != nil {
		return s.damaged("index.json", err)
	}
	name := filepath.Join("blobs/sha256", hex)
	text, err := os.ReadFile(s.path(name))
	if err == nil && sum(text) != id {
		err = fmt.Errorf("its content is not what its name says")
	} else if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		return s.damaged(name, err)
	}
	return nil
}

// load reads what an entry refers to.
func (s *Store) load(entry v1.Descriptor) (*Image, error) {
	img, manifest := &Image{Digest: string(entry.Digest)}, v1.Manifest{}
	err := s.readBlob(img.Digest, &manifest)
	if err == nil {
		img.ID = string(manifest.Config.Digest)
		err = s.readBlob(img.ID, &img.Config)
	}
	if err != nil {
		return nil, err
	}
	img.Steps = strings.Fields(entry.Annotations[stepIDs])
	for _, id := range img.Config.RootFS.DiffIDs {
		hex, err := reference.Hex(string(id))
		if err != nil {
			return nil, s.damaged("blobs", err)
		}
		text, err := os.ReadFile(s.path("layers", hex, "size"))
		size, bad := strconv.ParseInt(string(text), 10, 64)
		if err = cmp.Or(err, bad); err != nil {
			return nil, s.damaged("layers/"+hex, err)
		}
		img.Size += size
		img.Sizes = append(img.Sizes, size)
		img.Layers = append(img.Layers, s.path("layers", hex, "diff"))
	}
	return img, nil
}

// Parts are what an image consists of, as Commit and Put take them. The blobs
// are files in Dir/blobs/sha256.
func (s *Store) Parts(img *Image) (m v1.Manifest, list []*Layer, err error) {
	err = s.readBlob(img.Digest, &m)
	ids := img.Config.RootFS.DiffIDs
	if err == nil && len(m.Layers) != len(ids) {
		err = s.damaged("blobs", "a manifest does not fit its configuration")
	}
	for i := 0; err == nil && i < len(ids); i++ {
		list = append(list, &Layer{Blob: m.Layers[i], DiffID: ids[i]})
	}
	return m, list, err
}

// names are the short names of the entries with this manifest.
func names(index *v1.Index, id digest.Digest) (refs []string) {
	for _, e := range index.Manifests {
		if name := e.Annotations[refName]; name != "" && e.Digest == id {
			refs = append(refs, reference.Short(name))
		}
	}
	slices.Sort(refs)
	return refs
}

// List returns all images, the newest first. With an error it returns those
// that can be read.
func (s *Store) List() (list []*Image, err error) {
	index, err := s.index()
	if err != nil {
		return nil, err
	}
	seen := map[digest.Digest]bool{}
	for _, entry := range index.Manifests {
		if seen[entry.Digest] {
			continue
		}
		seen[entry.Digest] = true
		img, bad := s.load(entry)
		if bad != nil {
			err = cmp.Or(err, bad)
			continue
		}
		img.Refs = names(index, entry.Digest)
		list = append(list, img)
	}
	slices.SortStableFunc(list, func(a, b *Image) int {
		return created(b).Compare(created(a))
	})
	return list, err
}

func created(img *Image) (when time.Time) {
	if img.Config.Created != nil {
		when = *img.Config.Created
	}
	return when
}

// Get finds an image by name, name and digest, ID or the start of its ID.
func (s *Store) Get(name string) (*Image, error) {
	index, err := s.index()
	if err != nil {
		return nil, err
	}
	entry, err := find(index, name)
	if err != nil {
		return nil, err
	}
	img, err := s.load(*entry)
	if err == nil {
		img.Refs = names(index, entry.Digest)
	}
	return img, err
}

// find prefers, as Docker does, a whole ID to a name to the start of an ID.
func find(index *v1.Index, name string) (*v1.Descriptor, error) {
	full, bad := reference.Parse(name)
	repository, pinned, _ := strings.Cut(full, "@")
	prefix := strings.TrimPrefix(name, "sha256:")
	var byID *v1.Descriptor
	for i := range index.Manifests {
		e := &index.Manifests[i]
		id := strings.TrimPrefix(e.Annotations[imageID], "sha256:")
		ref := e.Annotations[refName]
		if len(prefix) == 64 && id == prefix {
			return e, nil
		} else if ref != "" && ref == full || pinned != "" &&
			string(e.Digest) == pinned && sameRepository(ref, repository) {
			return e, nil
		}
	}
	for i := range index.Manifests {
		e := &index.Manifests[i]
		id := strings.TrimPrefix(e.Annotations[imageID], "sha256:")
		if prefix == "" || !strings.HasPrefix(id, prefix) {
			continue
		} else if byID != nil && byID.Digest != e.Digest {
			return nil, fmt.Errorf("image ID %s is ambiguous", name)
		}
		byID = e
	}
	if byID == nil && bad != nil && (prefix == "" ||
		strings.Trim(prefix, "0123456789abcdef") != "") {
		return nil, bad
	} else if byID == nil {
		return nil, &NotFound{cmp.Or(reference.Short(full), name)}
	}
	return byID, nil
}

// sameRepository compares names without their tags.
func sameRepository(a, b string) bool {
	if i := strings.LastIndex(a, ":"); i > strings.LastIndex(a, "/") {
		a = a[:i]
	}
	return a == b
}
