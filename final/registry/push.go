package registry

import (
	"context"
	"fmt"
	"io"
	"os"

	"container-workshop/final/image"
	"container-workshop/final/reference"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// Push brings an image from the store to a registry, under one of its names. It
// returns the digest that it has there.
func Push(ctx context.Context, store *image.Store, ref string,
	o Options) (id digest.Digest, err error) {
	full, err := reference.Parse(ref)
	if err != nil {
		return "", err
	}
	img, err := store.Get(full)
	if err != nil {
		return "", fmt.Errorf("an image does not exist locally with the tag: "+
			"%s", reference.Short(full))
	}
	id, err = push(ctx, store, img, full, o)
	return id, failed("push", full, err)
}

func push(ctx context.Context, store *image.Store, img *image.Image,
	full string, o Options) (digest.Digest, error) {
	ref, err := target(full, o)
	if err != nil {
		return "", err
	}
	list, err := options(ctx, o)
	if err != nil {
		return "", err
	}
	to, err := remote.NewPusher(list...)
	if err != nil {
		return "", err
	}
	o.Progress.Say("The push refers to repository [%s]", ref.Context())
	if img, err = pack(store, img, o.Progress); err != nil {
		return "", err
	}
	m, _, err := store.Parts(img)
	if err != nil {
		return "", err
	}
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(at)
	for i, d := range append(m.Layers, m.Config) {
		b := &blob{desc: d, file: file(store, d.Digest), progress: o.Progress}
		b.layer = i < len(m.Layers)
		group.Go(func() error {
			err := to.Upload(sending, ref.Context(), b)
			if err == nil && b.sent == 0 {
				b.step("Layer already exists")
			} else if err == nil {
				b.step("Pushed")
			}
			return err
		})
	}
	if err = group.Wait(); err != nil {
		return "", err
	}
	id := digest.Digest(img.Digest)
	text, err := os.ReadFile(file(store, id))
	if err == nil {
		err = to.Put(ctx, ref, manifest{text, m.MediaType})
	}
	if err == nil {
		o.Progress.Say("%s: digest: %s size: %d", ref.Identifier(), id,
			len(text))
	}
	return id, err
}

func file(store *image.Store, id digest.Digest) string {
	return store.Dir + "/blobs/sha256/" + id.Encoded()
}

func short(d spec.Descriptor) string {
	return fmt.Sprintf("%.12s", d.Digest.Encoded())
}

// pack compresses the layers that are not. From then on the store has them so,
// too, and the image the same digest here and there.
func pack(store *image.Store, img *image.Image, p *Progress) (*image.Image,
	error) {
	m, parts, err := store.Parts(img)
	if err != nil {
		return nil, err
	}
	work, err := store.Begin()
	if err != nil {
		return nil, err
	}
	defer work.End()
	group, changed := errgroup.Group{}, false
	group.SetLimit(at)
	for i, l := range parts {
		p.step(short(l.Blob), "Preparing")
		if l.Blob.MediaType != spec.MediaTypeImageLayer {
			continue
		}
		changed = true
		group.Go(func() (err error) {
			parts[i], err = work.Pack(l)
			return err
		})
	}
	if err = group.Wait(); err != nil || !changed {
		return img, err
	}
	config, err := os.ReadFile(file(store, m.Config.Digest))
	if err != nil {
		return nil, err
	}
	return work.Put(config, nil, parts)
}

type manifest struct {
	text      []byte
	mediaType string
}

func (m manifest) RawManifest() ([]byte, error) { return m.text, nil }

func (m manifest) MediaType() (types.MediaType, error) {
	return types.MediaType(m.mediaType), nil
}

// blob is a file of the store as the library takes it.
type blob struct {
	desc     spec.Descriptor
	file     string
	layer    bool
	progress *Progress
	sent     int64
}

func (b *blob) step(text string) {
	if b.layer {
		b.progress.step(short(b.desc), text)
	}
}

func (b *blob) Digest() (v1.Hash, error) {
	return v1.NewHash(string(b.desc.Digest))
}
func (b *blob) DiffID() (v1.Hash, error)             { return b.Digest() }
func (b *blob) Size() (int64, error)                 { return b.desc.Size, nil }
func (b *blob) Uncompressed() (io.ReadCloser, error) { return b.Compressed() }

func (b *blob) MediaType() (types.MediaType, error) {
	return types.MediaType(b.desc.MediaType), nil
}

func (b *blob) Compressed() (io.ReadCloser, error) {
	f, err := os.Open(b.file)
	if err != nil {
		return nil, err
	}
	return &reading{f, b}, nil
}

// reading counts what the library reads to send it.
type reading struct {
	file *os.File
	of   *blob
}

func (r *reading) Close() error { return r.file.Close() }

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.file.Read(p)
	if r.of.sent += int64(n); r.of.layer {
		r.of.progress.bar(short(r.of.desc), "Pushing", r.of.sent,
			r.of.desc.Size)
	}
	return n, err
}
