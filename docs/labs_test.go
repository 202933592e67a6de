//go:build labs

// The proofs of the labs: skeletons, solutions, planted faults, hostile
// submissions. They take minutes, so only `make test-labs` runs them.
package docs

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// labDirectory is a copy of what the labs need, with the tool built: a check
// writes beside what it checks.
func labDirectory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	steps, _ := filepath.Glob(repoRoot + "/step0*")
	for _, from := range append(steps, repoRoot+"/go.mod",
		repoRoot+"/go.sum") {
		if err := execute("cp", "-a", from, dir); err != nil {
			t.Fatal(err)
		}
	}
	out, status := runIn(t, ".", []string{"CGO_ENABLED=0"}, "go", "build",
		"-buildvcs=false", "-o", dir+"/lab", "./scripts/lab")
	if status != 0 {
		t.Fatal(out)
	}
	return dir
}

// lab runs the tool in such a directory.
func lab(t *testing.T, dir string, env []string, args ...string) (string, int) {
	t.Helper()
	root, _ := filepath.Abs(rootfsDir())
	env = append([]string{"ROOTFS=" + root, "RESET=", "FORMAT=", "JOBS=",
		"STEP_BIN=", "POINT="}, env...)
	return runIn(t, dir, env, append([]string{dir + "/lab"}, args...)...)
}

// TestLabs runs in one directory: seven suites are built only once.
func TestLabs(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "root: run the check with sudo")
	}
	dir := labDirectory(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, string)
	}{{"solutions", testLabSolutions}, {"copies", testLabCopies},
		{"submissions", testHostileSubmissions}} {
		t.Run(part.name, func(t *testing.T) { part.run(t, dir) })
	}
}

// solution is a program of a lab, and what the check must say of it.
type solution struct {
	lab, step, overlay string
	file               string // of testdata, or "the step", or "skeleton"
	bad, good          string // points
	says               string // a part of what is said about the bad one
	all                bool   // no point may be anything but good
}

var planting = regexp.MustCompile(`(?m)^// (bad|says|good): (.+)$`)

// plants are all the programs, of all labs.
func plants(t *testing.T) (list []solution) {
	t.Helper()
	dirs, _ := filepath.Glob(repoRoot + "/step0*/lab")
	if len(dirs) != stepCount {
		t.Fatalf("%d labs, want %d", len(dirs), stepCount)
	}
	for _, dir := range dirs {
		step := filepath.Base(filepath.Dir(dir))
		first := firstPoint(t, dir)
		stubs := solution{lab: step[5:6], step: step, overlay: "stubs.go"}
		plain, right := stubs, stubs
		stubs.file = "skeleton"
		// What the step does not do, and the right solution does.
		plain.overlay, plain.file = "", "the step"
		plain.bad, plain.good, plain.says = "variation", first, "variation"
		right.overlay, right.file = "testdata/right.go", "right.go"
		right.good, right.all = "variation", true
		list = append(list, stubs, plain, right)
		wrong, _ := filepath.Glob(dir + "/testdata/*.go")
		if len(wrong) < 7 {
			t.Errorf("%s: %d wrong solutions, want 6", step, len(wrong)-1)
		}
		for _, file := range wrong {
			p := stubs
			p.file = filepath.Base(file)
			p.overlay = "testdata/" + p.file
			text, _ := os.ReadFile(file)
			for _, m := range planting.FindAllStringSubmatch(string(text), -1) {
				*map[string]*string{"bad": &p.bad, "says": &p.says,
					"good": &p.good}[m[1]] = m[2]
			}
			if p.file == "right.go" {
				continue
			}
			if p.bad == "" || p.says == "" {
				t.Errorf("%s: no bad: or no says:", file)
			}
			list = append(list, p)
		}
	}
	return list
}

// firstPoint is the name of a lab's first point.
func firstPoint(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(dir + "/points.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(line, "\t"); ok && name[0] != '#' {
			return name
		}
	}
	t.Fatalf("%s: no points", dir)
	return ""
}

// A skeleton has no point; each step passes its own lab but for the variation,
// each right solution passes that as well, and each wrong one is caught at its
// point, with the right words, and at no other. ALL=1 tries
// every point of the right ones.
func testLabSolutions(t *testing.T, dir string) {
	list := plants(t)
	// Much of it is waiting for what will not happen.
	wait, slots := sync.WaitGroup{}, make(chan bool, 5)
	problems := make([]string, len(list))
	for i, p := range list {
		wait.Add(1)
		slots <- true
		go func() {
			defer wait.Done()
			problems[i] = p.try(t, dir)
			<-slots
		}()
	}
	wait.Wait()
	for i, p := range list {
		t.Run(p.step+"/"+p.file, func(t *testing.T) {
			if problems[i] != "" {
				t.Error(problems[i])
			}
		})
	}
	if out, status := runIn(t, ".", nil, "go", "run", "-buildvcs=false",
		"./scripts/clean-host"); status != 0 {
		t.Errorf("clean-host: %s", out)
	}
}

func (p solution) try(t *testing.T, dir string) string {
	if p.file == "skeleton" {
		return skeleton(t, dir, p.step)
	}
	name := p.step + "-" + strings.ReplaceAll(p.file, " ", "-")
	src, bin := p.step, dir+"/bin/"+name
	if p.overlay != "" {
		src = "try/" + name
		out, status := lab(t, dir, nil, "apply", p.step,
			p.step+"/lab/"+p.overlay, src)
		if status != 0 {
			return out
		}
	}
	out, status := runIn(t, dir, []string{"CGO_ENABLED=0"}, "go", "build",
		"-buildvcs=false", "-ldflags=-s -w", "-tags", "urfave_cli_no_docs",
		"-o", bin, "./"+src)
	if status != 0 {
		return out
	}
	points := strings.Trim(p.bad+"|"+p.good, "|")
	if p.all && os.Getenv("ALL") == "1" {
		points = ".*"
	}
	out, status = lab(t, dir, []string{"STEP_BIN=" + bin, "POINT=" + points},
		"check", p.lab)
	result := map[string]string{}
	for _, m := range pointLine.FindAllStringSubmatch(out, -1) {
		result[m[2]] = m[1]
	}
	good := (status == 0) == p.all && strings.Contains(out, p.says)
	for _, point := range strings.Split(p.good, "|") {
		good = good && (point == "" || result[point] == "GOOD")
	}
	if good = good && (p.bad == "" || result[p.bad] == "BAD"); good {
		return ""
	}
	return fmt.Sprintf("status %d; want %q BAD, %q GOOD, and %q in:\n%s",
		status, p.bad, p.good, p.says, out)
}

var pointLine = regexp.MustCompile(`(?m)^(GOOD|BAD|MISSING) +([a-z0-9-]+) +\d`)

// skeleton is what is wrong with a skeleton. It builds, has not one point, and
// says which stub it is that stands in the way; the hints go from one to the
// next, and stay at the third.
func skeleton(t *testing.T, dir, step string) string {
	n := step[5:6]
	out, status := lab(t, dir, nil, "copy", n)
	todo := "TODO(lab0" + n + ")"
	if status != 0 || strings.Count(out, todo) < 2 {
		return fmt.Sprintf("copy: status %d:\n%s", status, out)
	}
	// The first point: the others have to wait for it anyway.
	only := []string{"POINT=" + firstPoint(t, dir+"/"+step+"/lab") +
		"|variation"}
	out, status = lab(t, dir, only, "check", n)
	stub := regexp.MustCompile(`(?m)^MISSING (.|\n)*^ +seen +\S.*` +
		regexp.QuoteMeta(todo))
	if status != 1 || !strings.Contains(out, "\nLab "+n+": 0 of ") ||
		!stub.MatchString(out) {
		return fmt.Sprintf("check: status %d:\n%s", status, out)
	}
	levels := "1"
	if n == "1" {
		levels = "1233"
	}
	for _, level := range levels {
		out, status = lab(t, dir, only, "hint", n)
		if status != 0 || !strings.Contains(out, "\nNow: ") ||
			!strings.Contains(out, fmt.Sprintf("\nHint %c of 3: ", level)) {
			return fmt.Sprintf("hint: status %d, want hint %c:\n%s", status,
				level, out)
		}
	}
	return ""
}

// What is written is kept, and moved aside only if asked.
func testLabCopies(t *testing.T, dir string) {
	mine := dir + "/work/step1/mine.go"
	writeFile(t, mine, "package main\n", 0o644)
	out, status := lab(t, dir, nil, "copy", "1")
	if status != 1 || !strings.Contains(out, "RESET=1") {
		t.Errorf("a second copy: status %d: %s", status, out)
	}
	out, status = lab(t, dir, []string{"RESET=1"}, "copy", "1")
	if status != 0 {
		t.Errorf("RESET=1: %s", out)
	}
	if _, err := os.Stat(mine); err == nil {
		t.Error("RESET=1 did not start anew")
	}
	if _, err := os.Stat(dir + "/work/step1.old/mine.go"); err != nil {
		t.Error(err)
	}
	for _, c := range [][]string{{"copy", "9"}, {"check"}, {"nonesuch"},
		{"grade-all"}, {"grade-all", "/nonesuch"}, {"apply", "x"}} {
		out, status := lab(t, dir, nil, c...)
		if status == 0 || strings.Count(out, "\n") != 1 {
			t.Errorf("%v: status %d, want one line:\n%s", c, status, out)
		}
	}
}

// One table for a class. A hostile submission costs its own points: the good
// one beside it has all of its own, and nothing is left on the machine.
func testHostileSubmissions(t *testing.T, dir string) {
	out, status := runIn(t, dir, []string{"CGO_ENABLED=0"}, "go", "build",
		"-buildvcs=false", "-tags", "urfave_cli_no_docs", "-o",
		"bin/step07-overlay", "./step07-overlay")
	if status != 0 {
		t.Fatal(out)
	}
	for _, from := range []string{"good/work", "zulu"} {
		out, status := lab(t, dir, nil, "apply", "step01-uts",
			"step01-uts/lab/testdata/right.go", "class/"+from+"/step1")
		if status != 0 {
			t.Fatal(out)
		}
	}
	hostile, _ := filepath.Glob("scripts/lab/testdata/hostile/*")
	if len(hostile) < 7 {
		t.Errorf("%d hostile submissions, want 7", len(hostile))
	}
	for _, from := range hostile {
		to := dir + "/class/" + filepath.Base(from) + "/step1"
		os.MkdirAll(to, 0o755)
		if err := copyTree(from, to); err != nil {
			t.Fatal(err)
		}
	}
	// Somebody else's work, by a link.
	os.Mkdir(dir+"/class/thief", 0o755)
	os.Symlink("../good/work/step1", dir+"/class/thief/step1")

	before, grader := leftovers(t), labHash(t, dir)
	out, status = lab(t, dir, []string{"FORMAT=json", "JOBS=2",
		"POINT=uts|variation"}, "grade-all", dir+"/class")
	var rows []struct {
		Learner, Point, Result, Seen string
		Lab, Points, Of              int
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil || status != 0 {
		t.Fatalf("status %d, %v:\n%s", status, err, out)
	}
	got := map[string]int{}
	for _, r := range rows {
		got[r.Learner] += r.Points
		if r.Points > 0 != (r.Result == "GOOD") || r.Points > 0 && r.Lab != 1 {
			t.Errorf("%+v", r)
		}
	}
	want := map[string]int{"good": 7, "zulu": 7, "thief": 0}
	for _, from := range hostile {
		want[filepath.Base(from)] = 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("points (-want +got):\n%s\n%s", diff, out)
	}
	if diff := cmp.Diff(before, leftovers(t)); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(grader, labHash(t, dir)); diff != "" {
		t.Errorf("the grader was changed:\n%s", diff)
	}
	testLabFormats(t, dir)
}

// labHash is what a submission must not change: the grader's programs.
func labHash(t *testing.T, dir string) string {
	t.Helper()
	out, status := runIn(t, dir, nil, "sh", "-c", "sha256sum lab bin/step07-* "+
		"go.mod step01-uts/*; find class -type f | sort | xargs sha256sum")
	if status != 0 {
		t.Fatal(out)
	}
	return out
}

// leftovers are directories of the grader's, and processes of submissions.
func leftovers(t *testing.T) (list []string) {
	t.Helper()
	list, _ = filepath.Glob(os.TempDir() + "/workshop-grade-*")
	more, _ := filepath.Glob(os.TempDir() + "/workshop-clean-*")
	list = append(list, more...)
	maps, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range maps {
		text, _ := os.ReadFile(file)
		if strings.HasPrefix(string(text), "/opt/step\x00") ||
			strings.HasPrefix(string(text), "/opt/suite\x00") {
			list = append(list, string(text))
		}
	}
	return list
}

// The other two formats, of labs that nobody has handed in.
func testLabFormats(t *testing.T, dir string) {
	if err := os.MkdirAll(dir+"/empty/=1+1", 0o755); err != nil {
		t.Fatal(err)
	}
	out, _ := lab(t, dir, []string{"FORMAT=csv"}, "grade-all", dir+"/empty")
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) < 40 {
		t.Fatalf("csv: %v:\n%s", err, out)
	}
	first := []string{"'=1+1", "1", "uts", "MISSING", "0", "4"}
	if diff := cmp.Diff(first, rows[1]); diff != "" {
		t.Errorf("csv (-want +got):\n%s", diff)
	}
	out, _ = lab(t, dir, nil, "grade-all", dir+"/empty")
	const table = "learner    lab 1   lab 2   lab 3   lab 4   lab 5   lab 6" +
		"   lab 7     total\n'=1+1       0/20    0/20    0/20    0/20    " +
		"0/20    0/20    0/20     0/140\n"
	if diff := cmp.Diff(table, out); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	out, status := lab(t, dir, []string{"FORMAT=xml"}, "grade")
	if status != 1 || strings.Count(out, "\n") != 1 {
		t.Errorf("FORMAT=xml: status %d:\n%s", status, out)
	}
}
