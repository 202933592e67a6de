// Command minidocker runs containers: an engine with Docker's words on an OCI
// runtime of its own.
package main

import (
	"context"
	"os"

	"container-workshop/final/cli"
	"container-workshop/final/image"
	"container-workshop/final/monitor"
	"container-workshop/final/registry"

	// These and monitor take over in their init: two where this program is
	// the first process of a container or stays with one, start for most
	// commands.
	_ "container-workshop/final/inside"
	_ "container-workshop/final/start"
)

func main() {
	cli.Pull = func(ctx context.Context, s *image.Store, ref string,
		r cli.Remote) (*image.Image, error) {
		return registry.Pull(ctx, s, ref, options(r))
	}
	cli.Push = func(ctx context.Context, s *image.Store, ref string,
		r cli.Remote) error {
		_, err := registry.Push(ctx, s, ref, options(r))
		return err
	}
	code := cli.Main(os.Args)
	monitor.Dismiss()
	os.Exit(code)
}

func options(r cli.Remote) registry.Options {
	return registry.Options{Platform: r.Platform, Insecure: r.Insecure,
		Progress: registry.NewProgress(r.Show)}
}
