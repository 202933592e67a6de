// Wants all memory, and all of the disk.
package main

import (
	"fmt"
	"os"
)

func main() {
	var all [][]byte
	for n := 0; ; n++ {
		piece := make([]byte, 64<<20)
		for i := range piece {
			piece[i] = byte(n)
		}
		all = append(all, piece)
		os.WriteFile(fmt.Sprint("/tmp/", n), piece[:32<<20], 0o600)
	}
}
