// Package archive writes images to a file and reads them from one: what
// `docker save` writes today, which is an OCI layout and a docker-archive in
// the same tar, and what others write, which is one of them.
package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"container-workshop/final/image"
	"container-workshop/final/reference"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

// dockerImage is an entry of manifest.json, by which a docker-archive is known.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// fullName is where others look for an image's name in index.json.
const fullName = "io.containerd.image.name"

// Save writes images. By an ID they come without a name.
func Save(store *image.Store, refs []string, w io.Writer) error {
	s := &saver{tar.NewWriter(w), map[digest.Digest]bool{}}
	index := spec.Index{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: spec.MediaTypeImageIndex}
	docker := []*dockerImage{}
	byID := map[digest.Digest]*dockerImage{}
	for _, ref := range refs {
		img, err := store.Get(ref)
		if err != nil {
			return err
		}
		m, err := s.add(store, img)
		if err != nil {
			return fmt.Errorf("save %s: %w", ref, err)
		}
		entry := byID[m.Config.Digest]
		if entry == nil {
			entry = &dockerImage{Config: blob(m.Config.Digest)}
			for _, l := range m.Layers {
				entry.Layers = append(entry.Layers, blob(l.Digest))
			}
			byID[m.Config.Digest] = entry
			docker = append(docker, entry)
		}
		descriptor := spec.Descriptor{MediaType: m.MediaType,
			Digest: digest.Digest(img.Digest), Platform: &img.Config.Platform}
		if info, err := os.Stat(file(store, descriptor.Digest)); err == nil {
			descriptor.Size = info.Size()
		}
		full, _ := reference.Parse(ref)
		if slices.Contains(img.Refs, reference.Short(full)) &&
			!strings.Contains(full, "@") {
			descriptor.Annotations = map[string]string{fullName: full,
				spec.AnnotationRefName: reference.Short(full)}
			entry.RepoTags = append(entry.RepoTags, reference.Short(full))
		}
		index.Manifests = append(index.Manifests, descriptor)
	}
	for _, f := range []struct {
		name string
		v    any
	}{{"index.json", index}, {"manifest.json", docker}, {spec.ImageLayoutFile,
		spec.ImageLayout{Version: spec.ImageLayoutVersion}}} {
		text, err := json.Marshal(f.v)
		if err == nil {
			err = s.file(f.name, int64(len(text)), bytes.NewReader(text))
		}
		if err != nil {
			return err
		}
	}
	return s.Close()
}

func blob(id digest.Digest) string { return "blobs/sha256/" + id.Encoded() }

func file(store *image.Store, id digest.Digest) string {
	return store.Dir + "/" + blob(id)
}

type saver struct {
	*tar.Writer
	done map[digest.Digest]bool
}

// add writes the blobs of an image that have not been written yet.
func (s *saver) add(store *image.Store, img *image.Image) (m spec.Manifest,
	err error) {
	m, _, err = store.Parts(img)
	ids := []digest.Digest{digest.Digest(img.Digest), m.Config.Digest}
	for _, l := range m.Layers {
		ids = append(ids, l.Digest)
	}
	for _, id := range ids {
		if err != nil || s.done[id] {
			continue
		}
		s.done[id] = true
		var f *os.File
		if f, err = os.Open(file(store, id)); err != nil {
			break
		}
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			err = s.file(blob(id), info.Size(), f)
		}
		f.Close()
	}
	return m, err
}

func (s *saver) file(name string, size int64, r io.Reader) error {
	err := s.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name,
		Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)})
	if err == nil {
		_, err = io.CopyN(s, r, size)
	}
	return err
}
