// Wants the network, and files that are not its own.
package main

import (
	_ "embed"

	_ "example.com/no/such/module"
)

//go:embed ../go.mod
var text string

func main() {}
