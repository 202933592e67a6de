// Command minidocker runs containers: an engine with Docker's words on an OCI
// runtime of its own.
package main

import (
	"os"

	"container-workshop/final/cli"

	// These two take over in their init, where this program is the first
	// process of a container or stays with one.
	_ "container-workshop/final/inside"
	_ "container-workshop/final/monitor"
)

func main() { os.Exit(cli.Main(os.Args)) }
