// Writes without end.
package main

import (
	"bytes"
	"os"
)

func main() {
	line := bytes.Repeat([]byte("--- PASS: TestOnlyUTSDiffers/go (0.00s)\n"),
		1000)
	for {
		os.Stdout.Write(line)
		os.Stderr.Write(line)
	}
}
