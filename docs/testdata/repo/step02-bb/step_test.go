package main

import (
	"strings"
	"testing"
)

var cases = []struct{ name, errno string }{
	{"no such name", "ENOENT"},
}

func TestPart(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if !strings.HasPrefix(c.errno, "E") {
				t.Error(c)
			}
		})
	}
}
