package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"container-workshop/final/build"
	"container-workshop/final/engine"

	"github.com/urfave/cli/v2"
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
			err := o.Read(c.Args().First(), file, args, os.Stdin)
			if err != nil {
				return err
			}
			o.Pull = func(name string) error { return fetch(e, name) }
			ctx, stop := interruptible()
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
