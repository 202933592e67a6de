package image

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"hash"
	"os"
	"path/filepath"
	"slices"
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

// commit makes an image of layers, the lowest first, and what dir has of them.
// Their files, configuration and manifest come into the store together, and
// then the entry in index.json.
func (s *Store) commit(dir string, config v1.Image, layers []*Layer,
	ref string) (*Image, error) {
	manifest := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{}}
	config.RootFS = v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}
	moves := map[string]string{}
	for _, l := range layers {
		manifest.Layers = append(manifest.Layers, l.Blob)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
		moves[s.path("blobs/sha256", l.Blob.Digest.Encoded())] = l.dir + "/blob"
		moves[s.path("layers", l.DiffID.Encoded())] = l.dir
	}
	add := func(value any, mediaType string) (v1.Descriptor, error) {
		text, err := json.Marshal(value)
		id := digest.Digest(sum(text))
		file := filepath.Join(dir, id.Encoded())
		moves[s.path("blobs/sha256", id.Encoded())] = file
		err = cmp.Or(err, os.WriteFile(file, text, 0o600))
		return v1.Descriptor{MediaType: mediaType, Digest: id,
			Size: int64(len(text))}, err
	}
	entry, err := add(config, v1.MediaTypeImageConfig)
	if err == nil {
		manifest.Config = entry
		entry, err = add(manifest, v1.MediaTypeImageManifest)
	}
	if err != nil {
		return nil, err
	}
	entry.Platform = &config.Platform
	entry.Annotations = map[string]string{
		imageID: string(manifest.Config.Digest)}
	err = s.change(func(index *v1.Index) error {
		if err := move(moves); err != nil {
			return err
		}
		return name(index, entry, ref)
	})
	if err != nil {
		return nil, err
	}
	return s.Get(string(manifest.Config.Digest))
}

// move renames blobs first, as a layer's directory holds its blob until then.
func move(moves map[string]string) error {
	for _, layer := range []bool{false, true} {
		for to, from := range moves {
			isLayer := filepath.Base(filepath.Dir(to)) == "layers"
			if _, err := os.Stat(to); isLayer != layer || layer && err == nil {
				continue
			}
			if err := os.Rename(from, to); err != nil {
				return fmt.Errorf("image store: %w", err)
			}
		}
	}
	return nil
}

// name gives an image a name in the index, which another one may lose.
func name(index *v1.Index, entry v1.Descriptor, ref string) error {
	if ref != "" {
		full, err := ParseRef(ref)
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
	entry.Annotations = map[string]string{
		imageID: entry.Annotations[imageID]}
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
