// Command minidocker runs containers: an engine with Docker's words on an OCI
// runtime of its own.
package main

import (
	"os"

	"container-workshop/final/cli"
	"container-workshop/final/monitor"

	// It and monitor take over in their init, where this program is the first
	// process of a container or stays with one.
	_ "container-workshop/final/inside"
)

func main() {
	code := cli.Main(os.Args)
	monitor.Dismiss()
	os.Exit(code)
}
