package engine

import (
	"os"
	"strings"
	"testing"

	"container-workshop/final/monitor"
)

const created = `{"ID": "@", "Command": ["x"], "State": {"Status": "created"}}`

func testEngine(t *testing.T) *Engine {
	t.Helper()
	e, err := Open(t.TempDir()+"/data", t.TempDir()+"/run")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func record(t *testing.T, e *Engine, text string) string {
	t.Helper()
	id := newID()
	dir := e.containers() + "/" + id
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(text, "@", id)
	if err := os.WriteFile(dir+"/container.json", []byte(text),
		0o600); err != nil {
		t.Fatal(err)
	}
	return id
}

// What is recorded as running, but whose processes are not there, has ended.
func TestLoss(t *testing.T) {
	e := testEngine(t)
	id := record(t, e, `{"ID": "@", "Command": ["x"],
		"Name": "n", "State": {"Status": "running",
		"Pid": 4194303, "PidStart": 1, "Monitor": 4194302, "MonitorStart": 1}}`)
	c, err := e.Find(id[:12])
	if err != nil || c.State.Status != "exited" || c.State.ExitCode != 255 {
		t.Fatal(c, err)
	}
	s, err := monitor.Read(c.file())
	if err != nil || s.Status != "exited" {
		t.Error(s, err)
	}
}

// A name belongs to one container, and to nobody after a crash.
func TestNames(t *testing.T) {
	e := testEngine(t)
	id := record(t, e, created)
	if err := e.claimName("name", id); err != nil {
		t.Fatal(err)
	}
	err := e.claimName("name", newID())
	if err == nil || !strings.Contains(err.Error(), "is already in use by "+
		"container") {
		t.Error(err)
	}
	if err := os.RemoveAll(e.containers() + "/" + id); err != nil {
		t.Fatal(err)
	}
	if err := e.claimName("name", newID()); err != nil {
		t.Error(err)
	}
	for range 50 {
		if name := randomName(0); strings.Count(name, "_") != 1 {
			t.Error(name)
		}
	}
}

// No record brings us down, or hides another.
func FuzzRecord(f *testing.F) {
	for _, text := range []string{`{}`, `{"ID":"@","Command":["x"]}`, `[]`, ``,
		`{"ID":"@","Command":["x"],"State":null}`, `{"ID":"other"}`,
		`{"ID":"@","Command":["x"],"State":{"Status":"running"}}`,
		`{"ID":"@","Command":["x"],"State":{"Status":"restarting","Pid":-1}}`,
		`{"ID":"@","Created":"yesterday"}`, `{"State":{"Status":7}}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e := testEngine(t)
		record(t, e, text)
		good := record(t, e, created)
		list, bad := e.List()
		found := false
		for _, c := range list {
			found = found || c.ID == good
		}
		if !found || len(list)+len(bad) != 2 {
			t.Errorf("%q: %d containers, %v", text, len(list), bad)
		}
	})
}
