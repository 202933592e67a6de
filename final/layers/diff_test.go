package layers

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Of an upper directory come a layer and a list of what is different; the layer
// unpacks to the same directory again.
func TestDiff(t *testing.T) {
	again(t, "user", nobody)
	top := t.TempDir()
	for i, list := range [][]tar.Header{
		{file("keep", "1", 0o644), file("gone", "1", 0o644),
			file("d/old", "1", 0o644), file("d/same", "1", 0o644),
			file("e/old", "1", 0o644), file("f", "1", 0o644),
			file("g/old", "1", 0o644), link(tar.TypeSymlink, "l", "keep")},
		{file(".wh.gone", "", 0), file(".wh.never", "", 0),
			file("d/.wh..wh..opq", "", 0), file("d/new", "2", 0o644),
			file("d/same", "2", 0o600), directory("e", 0o700),
			file("e/new", "2", 0o4755), link(tar.TypeLink, "e/hard", "e/new"),
			file("f/in", "2", 0o644), file("g", "2", 0o644),
			file("e/mount", "", 0o644), file("e/full", "x", 0o644)},
	} {
		_, err := Extract(archiveOf(t, list...), fmt.Sprint(top, "/", i),
			ExtractOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	upper, skip := top+"/1", []string{"e/mount", "e/full"}
	list, err := Changes([]string{top + "/0"}, upper, skip...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		got = append(got, string(c.Kind)+" "+c.Path)
	}
	want := []string{"C /d", "A /d/new", "D /d/old", "C /d/same", "C /e",
		"A /e/full", "A /e/hard", "A /e/new", "C /f", "A /f/in", "C /g",
		"D /gone"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var first, second bytes.Buffer
	if err = Diff(upper, &first, skip...); err != nil {
		t.Fatal(err)
	}
	names, owners := []string{}, map[int]bool{}
	r := tar.NewReader(bytes.NewReader(first.Bytes()))
	for h, err := r.Next(); err == nil; h, err = r.Next() {
		names, owners[h.Uid] = append(names, h.Name), true
	}
	for _, name := range []string{".wh.gone", "d/.wh..wh..opq", "e/full"} {
		if !slices.Contains(names, name) {
			t.Error("no", name, "in", names)
		}
	}
	if slices.Contains(names, "e/mount") || len(owners) > 1 || !owners[0] {
		t.Error(names, owners)
	}
	copied := bytes.NewReader(first.Bytes())
	if _, err = Extract(copied, top+"/2", ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	os.Remove(upper + "/e/mount")
	if d := cmp.Diff(look(t, upper), look(t, top+"/2")); d != "" {
		t.Error(d)
	}
	if err = Diff(top+"/2", &second, skip...); err != nil ||
		!bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the copy's archive differs", err)
	}
}
