package ignore

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	g, err := Parse("# no\n*.md\n!README.md\n/tmp\n**/*.o\nnode/**\n" +
		"a/*/c\n[x-z]1\n!keep/\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a.md": true, "README.md": false,
		"d/a.md": false, "tmp": true, "tmp/x/y": true, "x/tmp": false,
		"x.o": true, "d/e/x.o": true, "node/a/b": true, "node": false,
		"a/b/c": true, "a/b/d/c": false, "y1": true, "w1": false,
		"a/b/c/d": true} {
		if got := g.Match(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !g.Exceptions {
		t.Error("no exceptions")
	}
	if _, err := Parse("a\n[\n"); err == nil ||
		!strings.Contains(err.Error(), "2: illegal pattern") {
		t.Error(err)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("*.md\n!a\n**/b/[c-d]?\n", "x/b/c1")
	f.Fuzz(func(t *testing.T, text, name string) {
		if g, err := Parse(text); err == nil {
			g.Match(name)
		}
	})
}
