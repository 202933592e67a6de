package build

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"container-workshop/final/dockerfile"
	"container-workshop/final/dockerfile/config"
	"container-workshop/final/engine"
	"container-workshop/final/image"
	"container-workshop/final/layers"
)

// runs does RUN: a container of what there is, and a layer of what it changes.
func (s *stage) runs(ctx context.Context, i *dockerfile.Instruction) error {
	for _, f := range i.Flags {
		if f.Name != "network" {
			return fmt.Errorf("--%s is not supported", f.Name)
		}
	}
	o := engine.Options{Image: s.id()[:12]}
	o.Entrypoint, o.Network = new(string), s.Network
	if mode := i.Flag("network"); mode != "" && mode != "default" {
		o.Network = mode
	}
	args, script := s.command(i)
	if len(args) == 0 {
		return errors.New("there is no command")
	}
	for _, name := range slices.Sorted(maps.Keys(s.args)) {
		if _, hidden := config.Env(s.config.Config.Env)(name); !hidden {
			o.Env = append(o.Env, name+"="+s.args[name])
		}
	}
	if s.known("RUN", args, script, o.Env) {
		return s.finish(i, nil)
	}
	for _, name := range always {
		value, given := s.Args[name]
		if _, declared := s.args[name]; given && !declared {
			o.Env = append(o.Env, name+"="+value)
		}
	}
	o.Args = args
	if script != "" {
		file, err := s.temporary(script)
		if err != nil {
			return err
		}
		defer os.Remove(file)
		o.Mount = []string{fmt.Sprintf("type=bind,src=%s,dst=%s,readonly",
			file, args[0])}
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c := cached{created: s.now()}
	code, err := s.contain(ctx, o, &c)
	if err == nil && code != 0 {
		err = fmt.Errorf("the command '%s' returned a non-zero code: %d",
			strings.Join(args, " "), code)
	}
	if err != nil {
		return err
	}
	s.misses++
	s.record(i, c)
	return nil
}

func (s *stage) contain(ctx context.Context, o engine.Options,
	c *cached) (code int, err error) {
	if err = s.begin(); err != nil {
		return 125, err
	}
	img := &image.Image{Config: s.config, Layers: s.dirs}
	if s.parent != nil {
		img.ID = s.parent.ID // nobody may remove it now
	}
	if len(img.Layers) == 0 { // overlayfs wants one
		empty, err := os.MkdirTemp(s.work.Dir, "empty")
		if err != nil {
			return 125, err
		}
		img.Layers = []string{empty}
	}
	img.Config.Config.Volumes, img.Config.Config.Labels = nil, nil
	short := ""
	code, err = s.engine.RunStep(ctx, engine.Step{Image: img, Options: o,
		Output: s.out, Started: func(box *engine.Container) {
			short = box.Short()
			s.say(" ---> Running in %s", short)
		}, Take: func(archive io.Reader) error {
			if s.Epoch != nil {
				limited := layers.Stream(func(w io.Writer) error {
					return limitTimes(archive, w, *s.Epoch)
				})
				defer limited.Close()
				return s.unpack(limited, c)
			}
			return s.unpack(archive, c)
		}})
	if err == nil && code == 0 {
		s.say(" ---> Removed intermediate container %s", short)
	}
	return code, err
}

// command is what RUN executes: for the shell or by itself, and with the lines
// of a heredoc. A heredoc alone is the script; if it begins with #! it says
// itself who reads it, so it must be a file.
func (s *stage) command(i *dockerfile.Instruction) (args []string,
	script string) {
	if len(i.Files) == 0 {
		return config.Command(i, s.shell), ""
	}
	line, text := i.Args[0], ""
	first := &i.Files[0]
	if dockerfile.IsHeredoc(line) {
		text = first.Text()
		if strings.HasPrefix(text, "#!") {
			return []string{"/dev/pipes/" + strings.ReplaceAll(first.Name, "/",
				"_")}, text
		}
	} else {
		text = line
		for _, f := range i.Files {
			text += "\n" + f.Content + f.Name
		}
	}
	whole := dockerfile.Instruction{Args: []string{text}}
	return config.Command(&whole, s.shell), ""
}

// limitTimes copies an archive in which nothing is younger than a given time.
func limitTimes(r io.Reader, w io.Writer, latest time.Time) error {
	from, to := tar.NewReader(r), tar.NewWriter(w)
	for {
		h, err := from.Next()
		if err == io.EOF {
			return to.Close()
		}
		if err == nil {
			if h.Format = tar.FormatPAX; h.ModTime.After(latest) {
				h.ModTime = latest
			}
			err = to.WriteHeader(h)
		}
		if err == nil {
			_, err = io.Copy(to, from)
		}
		if err != nil {
			return err
		}
	}
}
