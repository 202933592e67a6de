package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"container-workshop/final/image"
	"container-workshop/final/layers"
	"container-workshop/final/reference"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// pull is one image on its way to us.
type pull struct {
	Options
	store  *image.Store
	full   string
	repo   name.Repository
	puller *remote.Puller
	image  v1.Image
}

// Pull brings an image into the store. Nothing of it is visible before all of
// it is there.
func Pull(ctx context.Context, store *image.Store, ref string,
	o Options) (*image.Image, error) {
	full, err := reference.Parse(ref)
	if err != nil {
		return nil, err
	}
	p := &pull{Options: o, store: store, full: full}
	img, err := p.run(ctx)
	return img, failed("pull", full, err)
}

func (p *pull) run(ctx context.Context) (*image.Image, error) {
	ref, err := target(p.full, p.Options)
	if err != nil {
		return nil, err
	}
	list, err := options(ctx, p.Options)
	if err != nil {
		return nil, err
	}
	p.repo = ref.Context()
	if p.puller, err = remote.NewPuller(list...); err != nil {
		return nil, err
	}
	found, err := p.puller.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	p.Progress.Say("%s: Pulling from %s", strings.TrimPrefix(ref.Identifier(),
		p.repo.Name()), strings.TrimPrefix(p.repo.RepositoryStr(), "/"))
	if p.image, err = found.Image(); err != nil {
		return nil, err
	}
	old, _ := p.store.Get(p.full)
	var img *image.Image
	for range 3 { // unless somebody removes what we found in the store
		if img, err = p.try(ctx); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	p.Progress.Say("Digest: %s", found.Digest)
	what := "Downloaded newer image for "
	if old != nil && old.Digest == img.Digest {
		what = "Image is up to date for "
	}
	p.Progress.Say("Status: %s%s", what, reference.Short(p.full))
	return img, nil
}

// try gets the configuration, and what the store lacks of the layers.
func (p *pull) try(ctx context.Context) (*image.Image, error) {
	raw, err := p.image.RawManifest()
	m, c := spec.Manifest{}, spec.Image{}
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		return nil, err
	}
	config, err := p.small(ctx, m.Config)
	if err == nil {
		err = json.Unmarshal(config, &c)
	}
	if err == nil && len(c.RootFS.DiffIDs) != len(m.Layers) {
		err = errors.New("that is not an image of a container")
	}
	if err == nil {
		err = p.check(c.Platform)
	}
	if err != nil {
		return nil, err
	}
	work, err := p.store.Begin()
	if err != nil {
		return nil, err
	}
	defer work.End()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(at)
	parts := make([]*image.Layer, len(m.Layers))
	for i, blob := range m.Layers {
		group.Go(func() (err error) {
			want := image.Layer{Blob: blob, DiffID: c.RootFS.DiffIDs[i]}
			parts[i], err = p.layer(ctx, work, want)
			return err
		})
	}
	if err = group.Wait(); err != nil {
		return nil, err
	}
	return work.Put(config, raw, parts, p.full)
}

// check refuses an image of another platform than the one that was asked for.
func (p *pull) check(got spec.Platform) error {
	want, err := v1.ParsePlatform(p.Platform)
	if p.Platform != "" && err == nil && !(&v1.Platform{OS: got.OS,
		Architecture: got.Architecture, Variant: got.Variant,
		OSVersion: got.OSVersion}).Satisfies(*want) {
		err = fmt.Errorf("the image is for %s/%s, not for %s", got.OS,
			got.Architecture, p.Platform)
	}
	if p.Platform == "" {
		return nil
	}
	return err
}

// small gets a blob that is read into memory.
func (p *pull) small(ctx context.Context, blob spec.Descriptor) ([]byte,
	error) {
	if blob.Size > most {
		return nil, fmt.Errorf("a configuration of %d bytes", blob.Size)
	}
	r, err := p.open(ctx, blob)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, blob.Size+1))
	if err == nil && digest.FromBytes(text) != blob.Digest {
		err = fmt.Errorf("wrong digest of the configuration, not %s",
			blob.Digest)
	}
	return text, err
}

func (p *pull) open(ctx context.Context, blob spec.Descriptor) (io.ReadCloser,
	error) {
	if err := blob.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %.100q: %w", blob.Digest, err)
	}
	l, err := p.puller.Layer(ctx, p.repo.Digest(string(blob.Digest)))
	if err != nil {
		return nil, err
	}
	return l.Compressed()
}

// layer unpacks a layer while it arrives, unless the store has it.
func (p *pull) layer(ctx context.Context, work *image.Work,
	want image.Layer) (*image.Layer, error) {
	id := short(want.Blob)
	if l := work.Find(want.Blob, want.DiffID); l != nil {
		p.Progress.step(id, "Already exists")
		return l, nil
	}
	p.Progress.step(id, "Pulling fs layer")
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, layer{},
		true))
	defer cancel(nil)
	r, err := p.open(ctx, want.Blob)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", id, err)
	}
	done := int64(0)
	w := watched(r, cancel, func(n int) {
		done += int64(n)
		p.Progress.bar(id, "Downloading", done, want.Blob.Size)
	})
	defer w.Close()
	l, err := work.Stage(w, want, layers.ExtractOptions{Warn: func(s string) {
		p.Progress.Say("WARNING: %s", s)
	}})
	if why := context.Cause(ctx); err != nil && why != nil {
		err = why
	}
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", id, err)
	}
	p.Progress.step(id, "Pull complete")
	return l, nil
}
