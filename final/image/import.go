package image

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	changes "container-workshop/final/dockerfile/config"
	"container-workshop/final/layers"
	"container-workshop/final/reference"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImportOptions say what the archive does not.
type ImportOptions struct {
	Ref      string   // the name to give; may be ""
	Changes  []string // Dockerfile instructions: "CMD sh"
	Message  string   // the comment in the history
	Platform string   // os/arch[/variant]; this machine's
	Extract  layers.ExtractOptions
}

// Import makes an image of one layer from a tar archive, plain, gzip or zstd.
func (s *Store) Import(r io.Reader, o ImportOptions) (*Image, error) {
	now := time.Now().UTC()
	config := v1.Image{Created: &now, Platform: v1.Platform{OS: "linux",
		Architecture: runtime.GOARCH}}
	part := strings.Split(o.Platform, "/")
	if o.Platform != "" && (len(part) > 3 || slices.Contains(part, "")) {
		return nil, fmt.Errorf("platform %q: not OS[/ARCH[/VARIANT]]",
			o.Platform)
	} else if o.Platform != "" {
		part = append(part, "", "")
		config.Platform = v1.Platform{OS: part[0], Variant: part[2],
			Architecture: cmp.Or(part[1], runtime.GOARCH)}
	}
	if err := changes.Apply(&config.Config, o.Changes); err != nil {
		return nil, err
	}
	if strings.Contains(o.Ref, "@") {
		return nil, errors.New("cannot import digest reference")
	} else if _, err := reference.Parse(o.Ref); o.Ref != "" && err != nil {
		return nil, err
	}
	work, err := s.Begin()
	if err != nil {
		return nil, err
	}
	defer work.End()
	layer, err := work.Stage(r, Layer{}, o.Extract)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	config.History = []v1.History{{Created: &now, Comment: cmp.Or(o.Message,
		"Imported from -")}}
	return work.Commit(config, []*Layer{layer}, o.Ref)
}
