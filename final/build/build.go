// Package build makes images of Dockerfiles.
package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"container-workshop/final/build/input"
	"container-workshop/final/build/output"
	"container-workshop/final/dockerfile"
	"container-workshop/final/engine"
	"container-workshop/final/image"
	"container-workshop/final/reference"
)

// Options are what `build` was asked.
type Options struct {
	input.Input
	Tags    []string
	Labels  []string // KEY=VALUE
	Target  string   // the last stage to build; "": the last there is
	Network string   // of RUN
	NoCache bool
	Out     io.Writer
	// Pull gets an image that is not in the store; nil: nobody can.
	Pull func(name string) error
}

type builder struct {
	Options
	engine *engine.Engine
	store  *image.Store
	file   *dockerfile.File
	global map[string]string // ARG before FROM, and what is always there
	stages []*stage          // all, also those that are not needed
	cache  map[string]cached
	total  int // steps
	out    *output.Output
	slots  chan struct{} // for steps that work at the same time
	lock   sync.Mutex
	unused map[string]bool // build arguments that nothing declares
}

// Build makes the image and names it. All that it has done by the time of an
// error, or of the end of ctx, is complete: steps that the next build need not
// do again.
func Build(ctx context.Context, e *engine.Engine, o Options) (*image.Image,
	error) {
	b := &builder{Options: o, engine: e, unused: map[string]bool{},
		slots: make(chan struct{}, max(2, runtime.NumCPU()))}
	for _, tag := range o.Tags {
		if _, err := reference.Parse(tag); err != nil {
			return nil, fmt.Errorf("invalid tag %q: %w", tag, err)
		}
	}
	var err error
	if b.file, err = dockerfile.Parse(o.Text); err == nil {
		err = b.globals()
	}
	var target *stage
	if err == nil {
		target, err = b.plan()
	}
	if err != nil {
		return nil, b.where(err)
	}
	if b.store, err = e.Images(); err == nil {
		err = b.loadCache()
	}
	if err != nil {
		return nil, err
	}
	if err = b.run(ctx, target); err != nil {
		return nil, err
	}
	for name := range maps.Keys(b.unused) {
		fmt.Fprintf(o.Out, "[Warning] One or more build-args [%s] were not "+
			"consumed\n", name)
	}
	for _, tag := range o.Tags {
		if err = b.store.Tag(target.image, tag); err != nil {
			return nil, err
		}
	}
	return target.image, nil
}

// where adds the file's name to an error that has a line in it.
func (b *builder) where(err error) error {
	if errors.As(err, new(*dockerfile.Error)) {
		return fmt.Errorf("%s:%w", b.Name, err)
	}
	return err
}

// always are arguments that need no ARG to be passed to RUN; they are no part
// of the image and do not count for the cache.
var always = []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY",
	"ALL_PROXY", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy",
	"all_proxy"}

// globals reads ARG before FROM. It also says what this machine is.
func (b *builder) globals() error {
	b.global = map[string]string{}
	for _, side := range []string{"BUILD", "TARGET"} {
		b.global[side+"PLATFORM"] = "linux/" + runtime.GOARCH
		b.global[side+"OS"] = "linux"
		b.global[side+"ARCH"] = runtime.GOARCH
		b.global[side+"VARIANT"] = ""
	}
	for name := range b.Args {
		b.unused[name] = !slices.Contains(always, name) &&
			name != "SOURCE_DATE_EPOCH"
	}
	maps.DeleteFunc(b.unused, func(_ string, v bool) bool { return !v })
	for _, i := range b.file.Args {
		for _, arg := range i.Args {
			name, value, valued, err := b.argument(arg, b.globalEnv)
			if err != nil {
				return &dockerfile.Error{Line: i.Line, Instruction: i.Name,
					Err: err}
			} else if valued {
				b.global[name] = value
			}
		}
	}
	return nil
}

func (b *builder) globalEnv(name string) (string, bool) {
	value, set := b.global[name]
	return value, set
}

// argument is what ARG NAME[=VALUE] stands for: --build-arg goes first.
func (b *builder) argument(arg string, env dockerfile.Env) (name, value string,
	valued bool, err error) {
	name, value, valued = strings.Cut(arg, "=")
	if name, err = dockerfile.Expand(name, b.file.Escape, env); err != nil {
		return name, value, valued, err
	}
	b.lock.Lock()
	delete(b.unused, name)
	b.lock.Unlock()
	if given, ok := b.Args[name]; ok {
		return name, given, true, nil
	} else if valued {
		value, err = dockerfile.Expand(value, b.file.Escape, env)
	}
	return name, value, valued, err
}

// plan finds the stages that the target needs. The others are not built, so
// nothing in them is an error.
func (b *builder) plan() (*stage, error) {
	for n := range b.file.Stages {
		b.stages = append(b.stages, &stage{builder: b, number: n,
			def: &b.file.Stages[n], done: make(chan struct{})})
	}
	target := b.stages[len(b.stages)-1]
	if b.Target != "" {
		if target = b.find(b.Target, len(b.stages)); target == nil {
			return nil, fmt.Errorf("failed to reach build target %s in %s",
				b.Target, b.Name)
		}
	}
	if len(b.Labels) > 0 {
		label := dockerfile.Instruction{Name: "LABEL", Text: "LABEL"}
		for _, text := range b.Labels {
			key, value, _ := strings.Cut(text, "=")
			label.Args = append(label.Args, key, value)
			label.Text += " " + text
		}
		target.labels = []dockerfile.Instruction{label}
	}
	return target, b.need(target)
}

// find finds a stage by its name or number, among those before another.
func (b *builder) find(name string, before int) *stage {
	for _, s := range slices.Backward(b.stages[:before]) {
		if s.def.Name != "" && s.def.Name == strings.ToLower(name) {
			return s
		}
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < before {
		return b.stages[n]
	}
	return nil
}

func (b *builder) need(s *stage) error {
	if s.needed {
		return nil
	}
	s.needed = true
	b.total += 1 + len(s.def.Steps) + len(s.labels)
	fail := func(i *dockerfile.Instruction, err error) error {
		return &dockerfile.Error{Line: i.Line, Instruction: i.Name, Err: err}
	}
	var err error
	s.base, err = dockerfile.Expand(s.def.Base, b.file.Escape, b.globalEnv)
	if err == nil && s.base == "" {
		err = fmt.Errorf("base name (%s) should not be blank", s.def.Base)
	}
	if err != nil {
		return fail(&s.def.Instruction, err)
	}
	// A number is a stage only for COPY: FROM 1 would be an image.
	if from := b.find(s.base, s.number); from != nil && from.def.Name != "" &&
		from.def.Name == strings.ToLower(s.base) {
		if err := b.need(from); err != nil {
			return err
		}
	}
	for _, i := range s.def.Steps {
		name := i.Flag("from")
		if strings.Contains(name, "$") {
			return fail(&i, fmt.Errorf("'%s': variable expansion is not "+
				"supported for --from: give it a name by FROM", name))
		}
		from := b.find(name, s.number)
		if n, err := strconv.Atoi(name); from == nil && err == nil &&
			n >= s.number || name != "" && name == s.def.Name {
			return fail(&i, fmt.Errorf("invalid from flag value %s: there is "+
				"no such stage before this one", name))
		}
		if from != nil {
			if err := b.need(from); err != nil {
				return err
			}
		}
	}
	return nil
}

// run builds the stages that are needed, all at the same time as far as they do
// not wait for each other. The first error ends the others.
func (b *builder) run(ctx context.Context, target *stage) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	b.out = output.New(b.Out)
	step := 1
	for _, s := range b.stages {
		if !s.needed {
			continue
		}
		s.first, s.out = step, b.out.Part()
		step += 1 + len(s.def.Steps) + len(s.labels)
		wait.Add(1)
		go func() {
			defer wait.Done()
			defer s.out.Finish()
			if s.err = s.build(ctx); s.err != nil {
				cancel(s.err)
			}
			close(s.done)
		}()
	}
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return b.where(err)
	}
	return cmp.Or(target.err)
}

// imageOf finds an image, and gets it if it can be got.
func (b *builder) imageOf(name string) (*image.Image, error) {
	img, err := b.store.Get(name)
	if errors.As(err, new(*image.NotFound)) && b.Pull != nil {
		if b.Pull(name) == nil { // it has said itself why not
			img, err = b.store.Get(name)
		}
	}
	var missing *image.NotFound
	if errors.As(err, &missing) {
		err = fmt.Errorf("unable to find image '%s' locally", missing.Name)
	}
	return img, err
}
