package journal

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// A log that is full goes on in another file; old ones go.
func TestRotation(t *testing.T) {
	name := t.TempDir() + "/log"
	w, err := Open(name, 1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		w.Write("stdout", fmt.Appendf(nil, "line %d\n", i))
	}
	for _, file := range []string{name, name + ".1"} {
		if info, err := os.Stat(file); err != nil || info.Size() > 1000 {
			t.Error(file, info, err)
		}
	}
	if _, err := os.Stat(name + ".2"); err == nil {
		t.Error("a third file")
	}
	var last string
	err = Read(name, Options{Tail: 1}, nil, func(l Line) { last = l.Log })
	if err != nil || last != "line 99\n" {
		t.Error(last, err)
	}
}

// Half a line is what a crash leaves; it hides no other.
func TestHalfLine(t *testing.T) {
	name := t.TempDir() + "/log"
	os.WriteFile(name, []byte(`{"log":"half`), 0o600)
	w, err := Open(name, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Write("stderr", []byte("whole\n"))
	var all []string
	err = Read(name, Options{Tail: -1}, nil, func(l Line) {
		all = append(all, l.Stream+l.Log)
	})
	if err != nil || strings.Join(all, "") != "stderrwhole\n" {
		t.Error(all, err)
	}
}

func TestParseTime(t *testing.T) {
	if at, err := ParseTime("90s"); err != nil ||
		time.Since(at).Round(time.Second) != 90*time.Second {
		t.Error(at, err)
	}
	if at, err := ParseTime("1700000000.5"); err != nil ||
		at.UnixMilli() != 1700000000500 {
		t.Error(at, err)
	}
	if _, err := ParseTime("soon"); err == nil {
		t.Error("no error")
	}
}
