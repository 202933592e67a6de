// Package docs holds what belongs to no single step: pages, scripts, and the
// tests of everything that is written. docs/check.md says what is checked and
// in which form to write it.
package docs

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// repoRoot is the top of the repository. `go test` runs in this package's
// directory; elsewhere (the VM) the pages are where REPO says.
var repoRoot = cmp.Or(os.Getenv("REPO"), "..")

// page is one Markdown file, cut into what the checks look at.
type page struct {
	root   string   // the repository's top
	path   string   // relative to root, with slashes
	lines  []string // without line ends
	fences []fence
	heads  []heading
	inside []bool // for every line: in a fence, its marks included
}

// fence is a block between two lines of backquotes.
type fence struct {
	open, end int // indexes of the two lines of backquotes
	lang      string
	words     []string // what follows the language on the opening line
	note      string   // the comment above, without <!-- and -->
}

type heading struct {
	line, level int
	text        string
}

// problem is one thing that is wrong, at a line (counted from 1) of a page.
type problem struct {
	path string
	line int
	text string
}

func (p problem) String() string {
	return fmt.Sprintf("%s:%d: %s", p.path, p.line, p.text)
}

var (
	fenceMark   = regexp.MustCompile("^\\s*(`{3,})([^`]*)$")
	headingMark = regexp.MustCompile(`^(#{1,6}) +(.*?) *$`)
	noteMark    = regexp.MustCompile(`^\s*<!-- *(.*?) *-->\s*$`)
	stepDir     = regexp.MustCompile(`^step[0-9][0-9]-[a-z0-9]+$`)
)

func (p *page) problem(line int, format string, args ...any) problem {
	return problem{p.path, line + 1, fmt.Sprintf(format, args...)}
}

func (p *page) dir() string {
	return filepath.Join(p.root, filepath.Dir(p.path))
}

func (p *page) translated() bool { return strings.HasSuffix(p.path, ".zh.md") }

// body returns the lines of a fence, without the indent that a list gives it.
func (p *page) body(f fence) (lines []string) {
	for _, line := range p.lines[f.open+1 : f.end] {
		lines = append(lines, strings.TrimPrefix(line, p.indent(f)))
	}
	return lines
}

func (p *page) indent(f fence) string {
	mark := p.lines[f.open]
	return mark[:len(mark)-len(strings.TrimLeft(mark, " \t"))]
}

// section returns the first and the last line of the section under a heading
// (sub-sections are part of it), or false if there is none.
func (p *page) section(title string) (first, last int, ok bool) {
	for i, h := range p.heads {
		if h.text != title {
			continue
		}
		last = len(p.lines)
		for _, next := range p.heads[i+1:] {
			if next.level <= h.level {
				last = next.line
				break
			}
		}
		return h.line + 1, last, true
	}
	return 0, 0, false
}

func readPage(root, path string) (*page, error) {
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	return parsePage(root, path, string(text))
}

func parsePage(root, path, text string) (*page, error) {
	p := &page{root: root, path: filepath.ToSlash(path)}
	p.lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	p.inside = make([]bool, len(p.lines))
	open, mark := -1, ""
	for i, line := range p.lines {
		m := fenceMark.FindStringSubmatch(line)
		switch {
		case open < 0 && m != nil:
			open, mark = i, m[1]
			p.inside[i] = true
		case open >= 0:
			p.inside[i] = true
			// Only a line of as many backquotes ends the block.
			if m != nil && len(m[1]) >= len(mark) && m[2] == "" {
				p.fences = append(p.fences, p.newFence(open, i))
				open = -1
			}
		default:
			if h := headingMark.FindStringSubmatch(line); h != nil {
				p.heads = append(p.heads, heading{i, len(h[1]), h[2]})
			}
		}
	}
	if open >= 0 {
		return nil, fmt.Errorf("%s:%d: the fence is not closed", path, open+1)
	}
	return p, nil
}

func (p *page) newFence(open, end int) fence {
	f := fence{open: open, end: end}
	info := strings.TrimLeft(strings.TrimSpace(p.lines[open]), "`")
	if words := strings.Fields(info); len(words) > 0 {
		f.lang, f.words = words[0], words[1:]
	}
	above := open - 1
	if above >= 0 && strings.TrimSpace(p.lines[above]) == "" {
		above--
	}
	if above >= 0 && !p.inside[above] {
		if m := noteMark.FindStringSubmatch(p.lines[above]); m != nil {
			f.note = m[1]
		}
	}
	return f
}

// write puts changed lines back into the file.
func (p *page) write() error {
	text := strings.Join(p.lines, "\n") + "\n"
	return os.WriteFile(filepath.Join(p.root, p.path), []byte(text), 0o644)
}

// pages returns all Markdown files of the repository at root.
func pages(root string) ([]*page, error) {
	var found []*page
	walk := func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && ignored(rel) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".md") {
			return nil
		}
		p, err := readPage(root, rel)
		if err == nil {
			found = append(found, p)
		}
		return err
	}
	err := filepath.WalkDir(root, walk)
	return found, err
}

// ignored tells the directories that hold no text of ours.
func ignored(rel string) bool {
	switch rel {
	case ".git", "bin", "rootfs", "work", ".cache":
		return true
	}
	return filepath.Base(rel) == "testdata"
}

// steps returns the step directories of the repository at root, in order.
func steps(root string) []string {
	var found []string
	entries, _ := os.ReadDir(root)
	for _, e := range entries {
		main := filepath.Join(root, e.Name(), "main.go")
		_, err := os.Stat(main)
		if err == nil && stepDir.MatchString(e.Name()) {
			found = append(found, e.Name())
		}
	}
	sort.Strings(found)
	return found
}

// eachPage runs a check on every page as a subtest with the page's name.
func eachPage(t *testing.T, check func(*page) []problem) {
	t.Helper()
	all, err := pages(repoRoot)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no page found: is this the repository?")
	}
	for _, p := range all {
		t.Run(p.path, func(t *testing.T) {
			for _, problem := range check(p) {
				t.Error(problem)
			}
		})
	}
}

func updating() bool { return os.Getenv("UPDATE") == "1" }
