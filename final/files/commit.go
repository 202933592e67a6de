// Package files has what is done with a container's files from outside: commit,
// and cp.
package files

import (
	"cmp"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	changes "container-workshop/final/dockerfile/config"
	"container-workshop/final/engine"
	"container-workshop/final/image"
	"container-workshop/final/layers"
	"container-workshop/final/reference"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// CommitOptions say what the container does not.
type CommitOptions struct {
	Ref, Author, Message string
	Changes              []string // Dockerfile instructions: "CMD sh"
	Running              bool     // do not pause it
	Warn                 func(string)
}

// Commit makes an image of a container: the layers of its own image and one
// more with what has changed.
func Commit(e *engine.Engine, c *engine.Container,
	o CommitOptions) (*image.Image, error) {
	if _, err := reference.Parse(o.Ref); o.Ref != "" && err != nil {
		return nil, err
	}
	store, err := e.Images()
	if err != nil {
		return nil, err
	}
	base, err := store.Get(c.ImageID)
	if err != nil {
		return nil, err
	}
	_, parts, err := store.Parts(base)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	config := base.Config
	config.Created, config.Author = &now, cmp.Or(o.Author, config.Author)
	config.Config = settings(c)
	if err = changes.Apply(&config.Config, o.Changes); err != nil {
		return nil, err
	}
	config.History = append(config.History, v1.History{Created: &now,
		CreatedBy: strings.Join(c.Command, " "), Author: o.Author,
		Comment: o.Message})
	work, err := store.Begin()
	if err != nil {
		return nil, err
	}
	defer work.End()
	if c.State.Status == "running" && !o.Running {
		err = e.Pause(c, true)
		switch {
		case err == nil:
			defer e.Pause(c, false)
		case e.Rootless: // it takes a cgroup
			o.Warn("it is not paused meanwhile: " + err.Error())
		default:
			return nil, err
		}
	}
	archive := layers.Stream(func(w io.Writer) error {
		return layers.Diff(c.Upper(), w, engine.Places...)
	})
	defer archive.Close()
	layer, err := work.Stage(archive, image.Layer{}, layers.ExtractOptions{})
	if err != nil {
		return nil, err
	}
	return work.Commit(config, append(parts, layer), o.Ref)
}

// settings are the image's configuration with what run was given.
func settings(c *engine.Container) v1.ImageConfig {
	s, o := c.Config, c.Options
	if o.Entrypoint != nil {
		s.Entrypoint, s.Cmd = nil, nil
		if *o.Entrypoint != "" {
			s.Entrypoint = []string{*o.Entrypoint}
		}
	}
	if len(o.Args) > 0 {
		s.Cmd = o.Args
	}
	s.User = cmp.Or(o.User, s.User)
	s.WorkingDir = cmp.Or(o.Workdir, s.WorkingDir)
	s.StopSignal = cmp.Or(o.StopSignal, s.StopSignal)
	s.Labels = c.Labels
	s.Env = slices.Clone(s.Env)
	for _, pair := range o.Env {
		name, _, _ := strings.Cut(pair, "=")
		s.Env = append(slices.DeleteFunc(s.Env, func(old string) bool {
			return strings.HasPrefix(old, name+"=")
		}), pair)
	}
	s.ExposedPorts = maps.Clone(s.ExposedPorts)
	for _, port := range o.Expose {
		if s.ExposedPorts == nil {
			s.ExposedPorts = map[string]struct{}{}
		}
		if !strings.Contains(port, "/") {
			port += "/tcp"
		}
		s.ExposedPorts[port] = struct{}{}
	}
	return s
}
