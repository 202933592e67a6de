package image

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"container-workshop/final/reference"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// sum is the digest of data.
func sum(data []byte) string {
	h := sha256.New()
	h.Write(data)
	return digestOf(h)
}

func digestOf(h hash.Hash) string {
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Commit makes an image of layers, the lowest first.
func (w *Work) Commit(config v1.Image, layers []*Layer,
	refs ...string) (*Image, error) {
	config.RootFS = v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	return w.Put(text, nil, layers, refs...)
}

// Put makes an image of a configuration, a manifest, which is made if there is
// none, and the layers that they speak of. All of it comes into the store
// together, and then the entries in index.json. A layer that was in the store
// may have been removed meanwhile: fs.ErrNotExist.
func (w *Work) Put(config, manifest []byte, layers []*Layer,
	refs ...string) (*Image, error) {
	c, m := v1.Image{}, v1.Manifest{}
	err := json.Unmarshal(config, &c)
	if manifest == nil {
		m = v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
			MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{},
			Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig,
				Digest: digest.Digest(sum(config)), Size: int64(len(config))}}
		for _, l := range layers {
			m.Layers = append(m.Layers, l.Blob)
		}
		manifest, _ = json.Marshal(m)
	} else if err == nil {
		err = json.Unmarshal(manifest, &m)
	}
	if err == nil {
		err = agree(m, c, config, layers)
	}
	if err != nil {
		return nil, fmt.Errorf("not an image: %w", err)
	}
	entry := v1.Descriptor{Digest: digest.Digest(sum(manifest)),
		Size: int64(len(manifest)), Platform: &c.Platform,
		MediaType: cmp.Or(m.MediaType, v1.MediaTypeImageManifest),
		Annotations: map[string]string{imageID: string(m.Config.Digest),
			stepIDs: strings.Join(w.Steps, " ")}}
	moves := map[string]string{}
	for id, text := range map[digest.Digest][]byte{entry.Digest: manifest,
		m.Config.Digest: config} {
		file := filepath.Join(w.Dir, id.Encoded())
		moves[w.store.path("blobs/sha256", id.Encoded())] = file
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
	}
	replaced := false
	err = w.store.change(func(index *v1.Index) error {
		err := w.store.move(moves, layers)
		replaced = replace(index, entry)
		for _, ref := range append(refs, "")[:max(len(refs), 1)] {
			if err == nil {
				err = name(index, entry, ref)
			}
		}
		return err
	})
	if err == nil && replaced {
		_, err = w.store.sweep()
	}
	if err != nil {
		return nil, err
	}
	return w.store.Get(string(m.Config.Digest))
}

// replace lets an image have one manifest, the last that came: the same image
// comes with compressed layers from a registry that it left without.
func replace(index *v1.Index, entry v1.Descriptor) (replaced bool) {
	for i, e := range index.Manifests {
		if e.Digest != entry.Digest && e.Annotations[imageID] ==
			entry.Annotations[imageID] {
			index.Manifests[i] = named(entry, e.Annotations[refName])
			replaced = true
		}
	}
	return replaced
}

// agree holds manifest, configuration and layers against each other.
func agree(m v1.Manifest, c v1.Image, config []byte, layers []*Layer) error {
	if string(m.Config.Digest) != sum(config) {
		return errors.New("the configuration is not the manifest's")
	} else if len(m.Layers) != len(layers) ||
		len(c.RootFS.DiffIDs) != len(layers) {
		return fmt.Errorf("%d layers in the manifest, %d in the configuration",
			len(m.Layers), len(c.RootFS.DiffIDs))
	}
	for i, l := range layers {
		if m.Layers[i].Digest != l.Blob.Digest ||
			c.RootFS.DiffIDs[i] != l.DiffID {
			return fmt.Errorf("layer %d is not the one that it names", i+1)
		}
	}
	return nil
}

// move brings files and layers into the store, blobs first, as a layer's
// directory holds its blob until then.
func (s *Store) move(files map[string]string, layers []*Layer) error {
	dirs := map[string]string{}
	for _, l := range layers {
		if l.dir == "" {
			if err := s.has(l); err != nil {
				return fmt.Errorf("image store: a layer was removed: %w", err)
			}
			continue
		}
		files[s.path("blobs/sha256", l.Blob.Digest.Encoded())] = l.dir + "/blob"
		dirs[s.path("layers", l.DiffID.Encoded())] = l.dir
	}
	for to, from := range files {
		if err := os.Rename(from, to); err != nil {
			return fmt.Errorf("image store: %w", err)
		}
	}
	for to, from := range dirs {
		if _, err := os.Stat(to); err == nil {
			continue
		} else if err := os.Rename(from, to); err != nil {
			return fmt.Errorf("image store: %w", err)
		}
	}
	return nil
}

// name gives an image a name in the index, which another one may lose.
func name(index *v1.Index, entry v1.Descriptor, ref string) error {
	if ref != "" {
		full, err := reference.Parse(ref)
		if err != nil {
			return err
		}
		for i, e := range index.Manifests {
			if e.Annotations[refName] == full {
				index.Manifests[i] = named(e, "")
			}
		}
		ref = full
	}
	index.Manifests = append(index.Manifests, named(entry, ref))
	tidy(index)
	return nil
}

func named(entry v1.Descriptor, full string) v1.Descriptor {
	entry.Annotations = maps.Clone(entry.Annotations)
	delete(entry.Annotations, refName)
	if entry.Annotations[stepIDs] == "" {
		delete(entry.Annotations, stepIDs)
	}
	if full != "" {
		entry.Annotations[refName] = full
	}
	return entry
}

// tidy drops what says nothing: an entry without a name beside one with.
func tidy(index *v1.Index) {
	seen := map[digest.Digest]bool{}
	for _, e := range index.Manifests {
		if e.Annotations[refName] != "" {
			seen[e.Digest] = true
		}
	}
	index.Manifests = slices.DeleteFunc(index.Manifests,
		func(e v1.Descriptor) bool {
			drop := e.Annotations[refName] == "" && seen[e.Digest]
			seen[e.Digest] = true
			return drop
		})
}

// Tag gives the image one more name, taking it from the one that had it.
func (s *Store) Tag(img *Image, ref string) error {
	return s.change(func(index *v1.Index) error {
		entry, err := find(index, img.ID)
		if err != nil {
			return err
		}
		return name(index, *entry, ref)
	})
}
