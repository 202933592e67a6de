package archive

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"container-workshop/final/image"
	"container-workshop/final/layers"
	"container-workshop/final/reference"

	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// A loader reads files of an archive, which is unpacked for that, or of a
// directory. os.Root follows no link that leads out of it.
type loader struct {
	store *image.Store
	work  *image.Work
	root  *os.Root
	o     layers.ExtractOptions
	names map[string][]string // by the configuration's digest
}

// Load brings the images of an archive into the store, and says which: names,
// or IDs of those without one.
func Load(store *image.Store, r io.Reader, o layers.ExtractOptions) (
	loaded []string, err error) {
	work, err := store.Begin()
	if err != nil {
		return nil, err
	}
	defer work.End()
	plain, err := image.Decompress(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	defer plain.Close()
	dir := work.Dir + "/archive"
	if _, err = layers.Extract(plain, dir, o); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return load(store, work, dir, o)
}

// LoadDir is Load for a directory.
func LoadDir(store *image.Store, dir string, o layers.ExtractOptions) (
	loaded []string, err error) {
	work, err := store.Begin()
	if err != nil {
		return nil, err
	}
	defer work.End()
	return load(store, work, dir, o)
}

func load(store *image.Store, work *image.Work, dir string,
	o layers.ExtractOptions) (loaded []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	defer root.Close()
	l := &loader{store, work, root, o, map[string][]string{}}
	index, docker := spec.Index{}, []dockerImage{}
	layout := l.json("index.json", &index)
	archive := l.json("manifest.json", &docker)
	switch {
	case layout == nil:
		for _, d := range docker {
			id := "sha256:" + strings.TrimSuffix(path.Base(d.Config), ".json")
			l.names[id] = d.RepoTags
		}
		loaded, err = l.layout(index.Manifests, "", 0)
	case archive == nil:
		loaded, err = l.docker(docker)
	case errors.Is(layout, fs.ErrNotExist):
		err = archive
	default:
		err = layout
	}
	if errors.Is(err, fs.ErrNotExist) && archive != nil && layout != nil {
		err = errors.New("neither index.json nor manifest.json is in it: it " +
			"is no image that was saved: see import for a root file system")
	} else if err == nil && len(loaded) == 0 {
		err = errors.New("there is no image in it for this machine")
	}
	if err != nil {
		err = fmt.Errorf("load: %w", err)
	}
	return loaded, err
}

// open opens a regular file; opening a pipe would wait for ever.
func (l *loader) open(name string) (*os.File, int64, error) {
	f, err := l.root.OpenFile(path.Clean(name), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%.100q is not a file", name)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

const most = 8 << 20

// small reads what is no layer.
func (l *loader) small(name string) ([]byte, error) {
	f, size, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > most {
		return nil, fmt.Errorf("%.100q: more than %d bytes", name, most)
	}
	return io.ReadAll(io.LimitReader(f, most))
}

func (l *loader) json(name string, to any) error {
	text, err := l.small(name)
	if err == nil {
		if err = json.Unmarshal(text, to); err != nil {
			err = fmt.Errorf("%.100q: %w", name, err)
		}
	}
	return err
}

// docker loads what manifest.json lists. It knows the order of the layers, and
// the digests of their archives are in the configuration.
func (l *loader) docker(list []dockerImage) (loaded []string, err error) {
	for _, d := range list {
		config, err := l.small(d.Config)
		c := spec.Image{}
		if err == nil {
			err = json.Unmarshal(config, &c)
		}
		if err == nil && len(c.RootFS.DiffIDs) != len(d.Layers) {
			err = fmt.Errorf("%d layers in manifest.json, %d in %.100q",
				len(d.Layers), len(c.RootFS.DiffIDs), d.Config)
		}
		parts := make([]*image.Layer, len(d.Layers))
		for i, name := range d.Layers {
			if err == nil {
				parts[i], err = l.stage(name, image.Layer{
					DiffID: c.RootFS.DiffIDs[i]})
			}
		}
		if err == nil {
			loaded, err = l.put(loaded, config, nil, parts, d.RepoTags)
		}
		if err != nil {
			return loaded, err
		}
	}
	return loaded, nil
}

// layout loads what an index lists: images, or further indexes, in which each
// image is for another platform. A wrong digest is an error.
func (l *loader) layout(list []spec.Descriptor, as string, depth int) (
	loaded []string, err error) {
	if depth > 4 {
		return nil, errors.New("an index in an index in an index")
	}
	for _, entry := range list {
		named := as
		if name := nameOf(entry.Annotations); name != "" {
			named = name
		}
		text, err := l.blob(entry.Digest)
		var some []string
		index := spec.Index{}
		switch {
		case err != nil && depth > 0 && errors.Is(err, fs.ErrNotExist):
			continue // of the others only this platform's was saved
		case err != nil:
		case strings.HasSuffix(entry.MediaType, "index.v1+json"),
			strings.HasSuffix(entry.MediaType, "manifest.list.v2+json"):
			if err = json.Unmarshal(text, &index); err == nil {
				some, err = l.layout(index.Manifests, named, depth+1)
			}
		default:
			if p := entry.Platform; depth > 0 && p != nil && !here(*p) {
				continue
			}
			some, err = l.image(text, named)
		}
		for _, line := range some { // each name of an image has an entry
			if !slices.Contains(loaded, line) {
				loaded = append(loaded, line)
			}
		}
		if err != nil {
			return loaded, err
		}
	}
	return loaded, nil
}

// image loads an image with the manifest that it came with.
func (l *loader) image(text []byte, named string) (loaded []string, err error) {
	m, c := spec.Manifest{}, spec.Image{}
	if err = json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	config, err := l.blob(m.Config.Digest)
	if err == nil {
		err = json.Unmarshal(config, &c)
	}
	if err == nil && len(c.RootFS.DiffIDs) != len(m.Layers) {
		err = fmt.Errorf("%d layers in the manifest, %d in the configuration",
			len(m.Layers), len(c.RootFS.DiffIDs))
	}
	parts := make([]*image.Layer, len(m.Layers))
	for i, blob := range m.Layers {
		if err == nil {
			parts[i], err = l.stage("blobs/sha256/"+blob.Digest.Encoded(),
				image.Layer{Blob: blob, DiffID: c.RootFS.DiffIDs[i]})
		}
	}
	if err != nil {
		return nil, err
	}
	names := slices.Clone(l.names[string(m.Config.Digest)])
	if named != "" && !slices.Contains(names, reference.Short(named)) {
		names = append(names, named)
	}
	return l.put(nil, config, text, parts, names)
}

func (l *loader) blob(id digest.Digest) ([]byte, error) {
	if err := id.Validate(); err != nil {
		return nil, fmt.Errorf("digest %.100q: %w", id, err)
	}
	text, err := l.small("blobs/sha256/" + id.Encoded())
	if err == nil && digest.FromBytes(text) != id {
		err = fmt.Errorf("wrong digest of %s", id)
	}
	return text, err
}

func (l *loader) stage(name string, want image.Layer) (*image.Layer, error) {
	if want.Blob.Digest != "" {
		if have := l.work.Find(want.Blob, want.DiffID); have != nil {
			return have, nil
		}
	}
	f, _, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	layer, err := l.work.Stage(f, want, l.o)
	if err != nil {
		err = fmt.Errorf("layer %.100q: %w", name, err)
	}
	return layer, err
}

// put puts an image into the store, and says what is to be said of it.
func (l *loader) put(loaded []string, config, manifest []byte,
	parts []*image.Layer, names []string) ([]string, error) {
	for _, name := range names {
		if _, err := reference.Parse(name); err != nil {
			return loaded, err
		}
	}
	img, err := l.work.Put(config, manifest, parts, names...)
	if err != nil {
		return loaded, err
	}
	for _, name := range names {
		full, _ := reference.Parse(name)
		loaded = append(loaded, "Loaded image: "+reference.Short(full))
	}
	if len(names) == 0 {
		loaded = append(loaded, "Loaded image ID: "+img.ID)
	}
	return loaded, nil
}

// nameOf is an image's name in index.json. Some write only a tag there.
func nameOf(annotations map[string]string) string {
	name := annotations[fullName]
	if name == "" {
		name = annotations[spec.AnnotationRefName]
		if !strings.ContainsAny(name, ":/") {
			return ""
		}
	}
	return name
}

// here says whether this machine runs what is for a platform.
func here(p spec.Platform) bool {
	return p.OS == "linux" && p.Architecture == runtime.GOARCH
}
