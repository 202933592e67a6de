package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/build"
	"container-workshop/final/dockerfile/ignore"
	"container-workshop/final/engine"
	"container-workshop/final/layers"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func buildCommand() *cli.Command {
	var o build.Options
	var file, ids string
	var args []string
	var quiet bool
	return command("build", "DIR|-", "make an image of a Dockerfile", 1, 1,
		[]cli.Flag{
			text(&file, "file,f", "read the Dockerfile `FILE`, - is stdin"),
			many(&o.Tags, "tag,t", "call the image `NAME[:TAG]`"),
			many(&args, "build-arg", "set `NAME[=VALUE]` for ARG"),
			many(&o.Labels, "label", "have `KEY=VALUE` in the image"),
			text(&o.Target, "target", "stop after `STAGE`"),
			text(&o.Network, "network", "of RUN: `MODE` default, none, host"),
			yes(&o.NoCache, "no-cache", "do every step again"),
			yes(&quiet, "quiet,q", "only print the ID"),
			text(&ids, "iidfile", "write the ID to `FILE`")},
		func(c *cli.Context, e *engine.Engine) error {
			said := &bytes.Buffer{}
			if o.Out = os.Stdout; quiet {
				o.Out = said
			}
			err := readBuild(&o, c.Args().First(), file, args)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(),
				unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			img, err := build.Build(ctx, e, o)
			if err != nil && ctx.Err() != nil {
				return &status{errors.New("build: interrupted"), 130}
			} else if err != nil {
				os.Stderr.Write(said.Bytes())
				return err
			}
			if ids != "" {
				err = os.WriteFile(ids, []byte(img.ID), 0o644)
			}
			if e.Event("image", "build", img.ID); quiet {
				fmt.Println(img.ID)
				return err
			}
			fmt.Printf("Successfully built %.12s\n", img.ID[len("sha256:"):])
			for _, tag := range o.Tags {
				if !strings.Contains(filepath.Base(tag), ":") {
					tag += ":latest"
				}
				fmt.Println("Successfully tagged", tag)
			}
			return err
		})
}

// readBuild reads what a build is made of: the Dockerfile, .dockerignore, the
// arguments that have no value and take the caller's.
func readBuild(o *build.Options, dir, file string, args []string) (err error) {
	if o.Context = dir; dir == "-" {
		if file != "" {
			return errors.New("stdin cannot be a Dockerfile when -f names one")
		}
		o.Context, file = "", "-"
	} else if info, err := os.Stat(dir); err != nil {
		return fmt.Errorf("unable to prepare context: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("unable to prepare context: %s: not a directory", dir)
	}
	if o.Text, err = readDockerfile(o, file); err != nil {
		return err
	}
	if o.Ignore, err = readIgnore(o.Context, o.Name); err != nil {
		return err
	}
	o.Args = map[string]string{}
	for _, arg := range args {
		name, value, valued := strings.Cut(arg, "=")
		if !valued {
			value, valued = os.LookupEnv(name)
		}
		if valued {
			o.Args[name] = value
		}
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if given, ok := o.Args["SOURCE_DATE_EPOCH"]; ok {
		epoch = given
	}
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil || seconds < 0 {
			return fmt.Errorf("invalid SOURCE_DATE_EPOCH: %q: not seconds "+
				"since 1970", epoch)
		}
		at := time.Unix(seconds, 0).UTC()
		o.Epoch = &at
	}
	return nil
}

const mostText = 1 << 20

// readDockerfile reads stdin, a file of the caller's, or the context's own, from
// which no link leads out.
func readDockerfile(o *build.Options, file string) (text []byte, err error) {
	switch o.Name = file; file {
	case "":
		o.Name = "Dockerfile"
		text, err = layers.ReadFile([]string{o.Context}, o.Name)
	case "-":
		text, err = io.ReadAll(io.LimitReader(os.Stdin, mostText+1))
	default:
		text, err = layers.ReadFile([]string{filepath.Dir(file)},
			filepath.Base(file))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("unable to prepare context: unable to evaluate "+
			"symlinks in Dockerfile path: %w", err)
	} else if err == nil && len(text) > mostText {
		err = fmt.Errorf("%s: more than %d bytes: not a Dockerfile", o.Name,
			mostText)
	}
	return text, err
}

func readIgnore(dir, dockerfile string) (*ignore.List, error) {
	if dir == "" {
		return nil, nil
	}
	for _, place := range [][2]string{{filepath.Dir(dockerfile),
		filepath.Base(dockerfile) + ".dockerignore"}, {dir, ".dockerignore"}} {
		if dockerfile == "Dockerfile" {
			place[0] = dir
		}
		text, err := layers.ReadFile([]string{place[0]}, place[1])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		list, err := ignore.Parse(string(text))
		if err != nil {
			err = fmt.Errorf("%s:%w", place[1], err)
		}
		return list, err
	}
	return nil, nil
}
