// Removes the files first, as in any other directory: they are the
// kernel's, and EPERM is the answer.
//
// bad: removed
// says: cgroups and files
package main

import (
	"os"
)

func sweepCgroups(id string) {
	for _, tree := range trees() {
		dir := tree + "/workshop-" + id
		files, _ := os.ReadDir(dir)
		for _, file := range files {
			if os.Remove(dir+"/"+file.Name()) != nil {
				return
			}
		}
		os.Remove(dir)
	}
}
