package docs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestChanged holds each chapter's table of changed files against the two
// steps. UPDATE=1 fills the table in.
func TestChanged(t *testing.T) {
	eachPage(t, func(p *page) []problem {
		problems, changed := checkChanged(p, updating())
		if changed {
			if err := p.write(); err != nil {
				t.Fatal(err)
			}
		}
		return problems
	})
}

// delta is what happened to a file between two steps.
type delta struct {
	file                      string
	added, removed            int
	isNew, isGone, isModified bool
}

func (d delta) phrase(chinese bool) string {
	words := []string{"new, %d lines", "gone",
		"%d lines added, %d removed", "unchanged"}
	if chinese {
		words = []string{"新增，%d 行", "已删", "增 %d 行，删 %d 行", "未变"}
	}
	switch {
	case d.isNew:
		return one(fmt.Sprintf(words[0], d.added))
	case d.isGone:
		return words[1]
	case d.isModified:
		return one(fmt.Sprintf(words[2], d.added, d.removed))
	}
	return words[3]
}

// one mends the plural: "1 line added".
func one(phrase string) string {
	return regexp.MustCompile(`\b1 lines`).ReplaceAllString(phrase, "1 line")
}

var changedNote = regexp.MustCompile(`^<!-- changed: (\S+) -->$`)

// checkChanged compares, or with update fills in, the table below the comment.
func checkChanged(p *page, update bool) (problems []problem, changed bool) {
	for i, line := range p.lines {
		m := changedNote.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || p.inside[i] {
			continue
		}
		deltas, err := compareSteps(p.dir(), m[1])
		if err != nil {
			return []problem{p.problem(i, "changed: %v", err)}, false
		}
		t, ok := p.tableAfter(i)
		if !ok || len(t.rows[0]) < 2 {
			return []problem{p.problem(i, "changed: no table with at "+
				"least two columns follows")}, false
		}
		if update {
			return nil, p.fillIn(t, deltas)
		}
		return p.compareTable(t, deltas), false
	}
	if _, _, ok := p.section("What changed since the last step"); ok {
		return []problem{p.problem(0,
			"no <!-- changed: ../stepNN-name --> in \"What changed\"")}, false
	}
	return nil, false
}

// table is a Markdown table: its rows without the line of dashes.
type table struct {
	first, last int // lines; last is the one after
	at          []int
	rows        [][]string
}

// tableAfter reads the table that follows line i (blank lines between).
func (p *page) tableAfter(i int) (t table, ok bool) {
	for i++; i < len(p.lines) && strings.TrimSpace(p.lines[i]) == ""; i++ {
	}
	return p.tableAt(i)
}

func (p *page) tableAt(i int) (t table, ok bool) {
	t.first = i
	for ; i < len(p.lines) && strings.HasPrefix(p.lines[i], "|"); i++ {
		if strings.Trim(p.lines[i], "|-: ") != "" {
			t.at = append(t.at, i)
			t.rows = append(t.rows, cells(p.lines[i]))
		}
	}
	t.last = i
	return t, len(t.rows) > 0 && t.last-t.first == len(t.rows)+1
}

// cells cuts a row at the bars that are not escaped.
func cells(row string) []string {
	row = strings.ReplaceAll(strings.TrimSpace(row), `\|`, "\x00")
	row = strings.TrimSuffix(strings.TrimPrefix(row, "|"), "|")
	parts := strings.Split(row, "|")
	for i, c := range parts {
		parts[i] = strings.TrimSpace(strings.ReplaceAll(c, "\x00", `\|`))
	}
	return parts
}

var quoted = regexp.MustCompile("`([^`]+)`")

func inQuotes(cell string) (names []string) {
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		names = append(names, m[1])
	}
	return names
}

func (p *page) compareTable(t table, deltas []delta) (bad []problem) {
	open := map[string]delta{}
	for _, d := range deltas {
		open[d.file] = d
	}
	seen := map[string]bool{}
	for i, row := range t.rows[1:] {
		line := t.at[i+1]
		for _, file := range inQuotes(row[0]) {
			d, known := open[file]
			switch {
			case seen[file]:
				bad = append(bad, p.problem(line, "%s stands twice", file))
			case !known:
				bad = append(bad, p.problem(line, "%s is in neither step",
					file))
			case len(row) < 2 || row[1] != d.phrase(p.translated()):
				bad = append(bad, p.problem(line, "%s: %q, in truth %q "+
					"(UPDATE=1 go test ./docs -run TestChanged)", file,
					strings.Join(row[1:], "|"), d.phrase(p.translated())))
			}
			seen[file] = true
		}
	}
	for _, d := range deltas {
		if !seen[d.file] {
			bad = append(bad, p.problem(t.first, "%s is missing: %s",
				d.file, d.phrase(p.translated())))
		}
	}
	return bad
}

// fillIn writes the table anew and keeps what stood in the other columns.
func (p *page) fillIn(t table, deltas []delta) bool {
	rest := map[string]string{}
	for _, row := range t.rows[1:] {
		for _, file := range inQuotes(row[0]) {
			if len(row) > 2 {
				rest[file] = strings.Join(row[2:], " | ")
			}
		}
	}
	columns := len(t.rows[0])
	out := p.lines[t.first : t.first+2 : t.first+2]
	same, sameRest := []string{}, ""
	line := func(files, phrase, rest string) string {
		s := "| " + files + " | " + phrase + " |"
		if columns > 2 && rest == "" {
			return s + strings.Repeat(" |", columns-2)
		} else if columns > 2 {
			return s + " " + rest + " |"
		}
		return s
	}
	for _, d := range deltas {
		phrase := d.phrase(p.translated())
		if !d.isNew && !d.isGone && !d.isModified {
			same = append(same, "`"+d.file+"`")
			sameRest = max(sameRest, rest[d.file])
			continue
		}
		out = append(out, line("`"+d.file+"`", phrase, rest[d.file]))
	}
	if len(same) > 0 {
		out = append(out, line(strings.Join(same, ", "),
			delta{}.phrase(p.translated()), sameRest))
	}
	if slices.Equal(out, p.lines[t.first:t.last]) {
		return false
	}
	p.lines = slices.Replace(p.lines, t.first, t.last, out...)
	return true
}

// compareSteps lists the source files of a step with what is different from
// the last one: new files first, then changed ones, then the others.
func compareSteps(dir, last string) ([]delta, error) {
	before := map[string][]byte{}
	if last != "nothing" {
		var err error
		if before, err = sources(filepath.Join(dir, last)); err != nil {
			return nil, err
		} else if len(before) == 0 {
			return nil, fmt.Errorf("there is no step in %s", last)
		}
	}
	after, err := sources(dir)
	if err != nil {
		return nil, err
	}
	var deltas []delta
	for file, text := range after {
		deltas = append(deltas, newDelta(file, before, text))
	}
	for file := range before {
		if _, ok := after[file]; !ok {
			deltas = append(deltas, delta{file: file, isGone: true})
		}
	}
	rank := func(d delta) string {
		switch {
		case d.isNew:
			return "0" + d.file
		case d.isModified:
			return "1" + d.file
		}
		return "2" + d.file
	}
	slices.SortFunc(deltas, func(a, b delta) int {
		return strings.Compare(rank(a), rank(b))
	})
	return deltas, nil
}

func newDelta(file string, before map[string][]byte, text []byte) delta {
	d := delta{file: file}
	old, existed := before[file]
	switch {
	case !existed:
		d.isNew, d.added = true, len(textLines(text))
	case !bytes.Equal(old, text):
		d.isModified = true
		d.added, d.removed = countChanges(textLines(old), textLines(text))
	}
	return d
}

// sources reads the Go files that are not tests, and the C files, of a step.
func sources(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, pattern := range []string{"*.go", "c/*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			rel, _ := filepath.Rel(dir, path)
			if files[rel], err = os.ReadFile(path); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

func textLines(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// countChanges counts the lines that a shortest diff adds and removes: all
// but the longest common subsequence.
func countChanges(old, now []string) (added, removed int) {
	row := make([]int, len(now)+1)
	for _, a := range old {
		diagonal := 0
		for j, b := range now {
			up := row[j+1]
			if a == b {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(up, row[j])
			}
			diagonal = up
		}
	}
	common := row[len(now)]
	return len(now) - common, len(old) - common
}
