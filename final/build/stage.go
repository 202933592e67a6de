package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"container-workshop/final/build/files"
	"container-workshop/final/build/output"
	"container-workshop/final/dockerfile"
	"container-workshop/final/dockerfile/config"
	"container-workshop/final/engine"
	"container-workshop/final/image"
	"container-workshop/final/layers"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// stage is one that is being built. image is what came of it, once done is
// closed and there is no err.
type stage struct {
	*builder
	def    *dockerfile.Stage
	labels []dockerfile.Instruction // of --label, in the last stage
	number int
	needed bool
	base   string // FROM, without variables
	first  int    // the number of its first step
	done   chan struct{}
	err    error
	image  *image.Image
	out    *output.Part

	parent *image.Image // nil: scratch
	work   *image.Work
	config v1.Image
	layers []*image.Layer
	dirs   []string // where they are unpacked, the lowest first
	key    string   // of the last step
	keys   []string // of all steps
	misses int      // steps that were not in the cache
	shell  []string
	size   int               // of the configuration
	hasCmd bool              // CMD is this stage's
	args   map[string]string // ARG, with a value
}

func (s *stage) say(format string, args ...any) {
	fmt.Fprintf(s.out, format+"\n", args...)
}

// build does all steps. If one fails, those before it stay as an image without
// a name: it is what the next build begins with.
func (s *stage) build(ctx context.Context) error {
	defer func() {
		if s.work != nil {
			s.work.End()
		}
	}()
	s.args = map[string]string{}
	steps := append(slices.Clone(s.def.Steps), s.labels...)
	s.say("Step %d/%d : %s", s.first, s.total, s.def.Text)
	if err := s.begins(ctx); err != nil {
		return s.failed(ctx, &s.def.Instruction, err)
	}
	for n, i := range steps {
		s.say("Step %d/%d : %s", s.first+n+1, s.total, i.Text)
		err := s.step(ctx, i)
		if err == nil && s.size > maxSize {
			err = fmt.Errorf("the image's configuration has %d bytes by now",
				s.size)
		}
		if err != nil {
			if s.misses > 0 && len(s.layers) > 0 {
				s.commit()
			}
			return s.failed(ctx, &i, err)
		}
		s.say(" ---> %.12s", s.id())
	}
	img, err := s.commit()
	s.image = img
	return err
}

// failed says which instruction it was, unless the build ends for another
// reason than this one.
func (s *stage) failed(ctx context.Context, i *dockerfile.Instruction,
	err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return &dockerfile.Error{Line: i.Line, Instruction: i.Name, Err: err}
}

// stageOf waits for another stage.
func (s *stage) stageOf(ctx context.Context, from *stage) (*image.Image,
	error) {
	select {
	case <-from.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return from.image, from.err
}

// begins does FROM.
func (s *stage) begins(ctx context.Context) (err error) {
	now := s.now()
	s.config = v1.Image{Created: &now, Platform: v1.Platform{OS: "linux",
		Architecture: runtime.GOARCH}}
	from := s.find(s.base, s.number)
	switch {
	case from != nil && from.def.Name == strings.ToLower(s.base):
		s.parent, err = s.stageOf(ctx, from)
	case s.base == "scratch":
		s.config.RootFS.Type = "layers"
		s.key = "scratch"
		s.say(" ---> ")
		return nil
	default:
		s.parent, err = s.imageOf(s.base)
	}
	if err == nil {
		err = s.platform()
	}
	if err != nil {
		return err
	}
	img := s.parent
	s.config, s.dirs = img.Config, slices.Clone(img.Layers)
	s.config.History = slices.Clone(img.Config.History)
	s.config.RootFS.DiffIDs = slices.Clone(img.Config.RootFS.DiffIDs)
	c := &s.config.Config
	c.Labels, c.Volumes = maps.Clone(c.Labels), maps.Clone(c.Volumes)
	c.ExposedPorts = maps.Clone(c.ExposedPorts)
	if _, s.layers, err = s.store.Parts(img); err != nil {
		return err
	}
	s.key = img.ID
	s.say(" ---> %.12s", strings.TrimPrefix(img.ID, "sha256:"))
	return nil
}

// platform holds --platform against what the image is for.
func (s *stage) platform() error {
	want, err := dockerfile.Expand(s.def.Platform, s.file.Escape, s.globalEnv)
	p := s.parent.Config.Platform
	has := p.OS + "/" + p.Architecture
	if err == nil && want != "" && want != has && want != has+"/"+p.Variant {
		err = fmt.Errorf("image %s is for %s, not for %s", s.base, has, want)
	}
	return err
}

func (s *stage) now() time.Time {
	if s.Epoch != nil {
		return *s.Epoch
	}
	return time.Now().UTC()
}

// env is what variables stand for: ENV goes before ARG.
func (s *stage) env(name string) (string, bool) {
	if value, set := config.Env(s.config.Config.Env)(name); set {
		return value, set
	}
	value, set := s.args[name]
	return value, set
}

// step does one instruction, or finds that it has been done.
func (s *stage) step(ctx context.Context, i dockerfile.Instruction) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := s.expand(&i); err != nil {
		return err
	}
	switch i.Name {
	case "RUN":
		return s.runs(ctx, &i)
	case "COPY", "ADD":
		return s.copies(ctx, &i)
	}
	if err := s.configure(&i); err != nil {
		return err
	}
	hit := s.known(i.Name, i.Args, i.JSON)
	if i.Name == "WORKDIR" && !hit {
		dir := s.config.Config.WorkingDir
		there, err := files.Exists(s.dirs, dir)
		if err != nil {
			return err
		} else if !there {
			return s.finish(&i, func(w io.Writer) error {
				return files.MakeDir(w, s.dirs, dir, s.now())
			})
		}
	}
	return s.finish(&i, nil)
}

// expand replaces variables, except where that is for a shell to do.
func (s *stage) expand(i *dockerfile.Instruction) (err error) {
	i.Args, i.Flags = slices.Clone(i.Args), slices.Clone(i.Flags)
	if i.Shell() || i.Name == "ARG" || i.Line == 0 {
		return nil
	}
	// All of one ENV sees what was before it.
	for n := range i.Args {
		if err == nil {
			i.Args[n], err = dockerfile.Expand(i.Args[n], s.file.Escape, s.env)
		}
	}
	for n := range i.Flags {
		if err == nil {
			i.Flags[n].Value, err = dockerfile.Expand(i.Flags[n].Value,
				s.file.Escape, s.env)
		}
	}
	return err
}

// configure does what changes no file.
func (s *stage) configure(i *dockerfile.Instruction) error {
	c := &s.config.Config
	switch i.Name {
	case "ARG":
		return s.declare(i)
	case "SHELL":
		s.shell = i.Args
		return nil
	case "MAINTAINER":
		s.config.Author = i.Args[0]
		return nil
	case "HEALTHCHECK", "ONBUILD":
		s.say("[Warning] %s is not supported for the OCI image format and is "+
			"ignored", i.Name)
		return nil
	case "STOPSIGNAL":
		if _, err := engine.Signal(i.Args[0]); err != nil {
			return err
		}
	case "CMD":
		s.hasCmd = true
	case "ENTRYPOINT":
		if !s.hasCmd {
			c.Cmd = nil // it was meant for the base image's
		}
	case "WORKDIR", "USER":
		if i.Args[0] == "" {
			return errors.New("it must not be empty")
		}
	}
	return config.Configure(c, i, s.shell)
}

// declare does ARG. One without a value takes that from before the first FROM.
func (s *stage) declare(i *dockerfile.Instruction) error {
	for _, arg := range i.Args {
		name, value, valued, err := s.argument(arg, s.env)
		if err != nil {
			return err
		}
		if !valued {
			value, valued = s.global[name]
		}
		if valued {
			s.args[name] = value
		}
	}
	return nil
}

// known looks the step up. The key of ARG does not count what it stands for:
// that counts where it is used.
func (s *stage) known(parts ...any) bool {
	s.key = keyOf(append([]any{s.key}, parts...)...)
	_, hit := s.cache[s.key]
	return hit
}

// finish records the step: as it was done before, or with a layer that is made
// now of the archive that write writes, if the step needs one.
func (s *stage) finish(i *dockerfile.Instruction,
	write func(io.Writer) error) error {
	c, hit := s.cache[s.key]
	if hit {
		s.say(" ---> Using cache")
	} else {
		s.misses++
		c.created = s.now()
	}
	if write != nil && !hit {
		written := make(chan error, 1)
		archive := layers.Stream(func(w io.Writer) error {
			err := write(w)
			written <- err
			return err
		})
		err := s.unpack(archive, &c)
		archive.Close()
		// What the writer says is nearer to the cause.
		bad := <-written
		if bad != nil && !errors.Is(bad, io.ErrClosedPipe) {
			return bad
		} else if err != nil {
			return err
		}
	}
	s.record(i, c)
	return nil
}

// unpack makes a layer of an archive.
func (s *stage) unpack(archive io.Reader, c *cached) error {
	err := s.begin()
	if err == nil {
		c.layer, err = s.work.Stage(archive, image.Layer{},
			layers.ExtractOptions{Warn: func(text string) {
				s.say("[Warning] %s", text)
			}})
	}
	if err == nil {
		c.dir = s.work.Path(c.layer)
	}
	return err
}

func (s *stage) record(i *dockerfile.Instruction, c cached) {
	s.keys = append(s.keys, s.key)
	s.config.Created = &c.created
	s.config.History = append(s.config.History, v1.History{
		Created: &c.created, CreatedBy: i.Text, EmptyLayer: c.layer == nil})
	if c.layer != nil {
		s.layers = append(s.layers, c.layer)
		s.dirs = append(s.dirs, c.dir)
		s.config.RootFS.DiffIDs = append(s.config.RootFS.DiffIDs,
			digest.Digest(c.layer.DiffID))
	}
}

// temporary makes a file for a container to read.
func (s *stage) temporary(text string) (string, error) {
	if err := s.begin(); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(s.work.Dir, "script")
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err = f.WriteString(text); err == nil {
		err = f.Chmod(0o755)
	}
	return f.Name(), err
}
