package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The sections of a chapter. A learner who knows one chapter knows where to
// look in the next.
var chapterSections = []string{
	"Goal and what you need",
	"The hole",
	"Predict",
	"The idea",
	"From C to Go",
	"Walkthrough",
	"Run it",
	"Break it",
	"What changed since the last step",
	"Errors you will meet",
	"Lab",
	"Read on",
}

const (
	fewestWords    = 600
	mostWords      = 1400
	fewestCommands = 8
)

// TestChapters checks that each step has a chapter of the agreed form.
func TestChapters(t *testing.T) {
	for _, step := range steps(repoRoot) {
		t.Run(step+"/README.md", func(t *testing.T) {
			p, err := readPage(repoRoot, step+"/README.md")
			if err != nil {
				t.Fatalf("no chapter: %v", err)
			}
			for _, problem := range checkChapter(p) {
				t.Error(problem)
			}
			t.Logf("%d words, %d commands", words(p), commandsRun(p))
		})
	}
}

func isChapter(p *page) bool {
	return stepDir.MatchString(filepath.Dir(p.path)) &&
		filepath.Base(p.path) == "README.md"
}

func checkChapter(p *page) []problem {
	bad := checkSections(p)
	if n := words(p); n < fewestWords || n > mostWords {
		bad = append(bad, p.problem(0, "%d words; a chapter has %d to %d",
			n, fewestWords, mostWords))
	}
	if n := commandsRun(p); n < fewestCommands {
		bad = append(bad, p.problem(0, "%d commands that run; a chapter "+
			"has %d or more", n, fewestCommands))
	}
	bad = append(bad, checkGoal(p)...)
	if first, last, ok := p.section("The idea"); ok &&
		!p.hasDiagram(first, last) {
		bad = append(bad, p.problem(first,
			"no mermaid diagram in \"The idea\""))
	}
	if first, last, ok := p.section("Predict"); ok &&
		!strings.Contains(strings.Join(p.lines[first:last], "\n"), "?") {
		bad = append(bad, p.problem(first, "no question in \"Predict\""))
	}
	return bad
}

// checkSections wants one title, then the sections in their order.
func checkSections(p *page) (bad []problem) {
	var got []heading
	for i, h := range p.heads {
		if (h.level == 1) != (i == 0) {
			bad = append(bad, p.problem(h.line,
				"one title (#) stands at the top, and no other"))
		}
		if h.level == 2 {
			got = append(got, h)
		}
	}
	for i, want := range chapterSections {
		if i >= len(got) {
			return append(bad, p.problem(len(p.lines)-1,
				"the section %q is missing", want))
		}
		if got[i].text != want {
			return append(bad, p.problem(got[i].line,
				"here the section %q is due, not %q", want, got[i].text))
		}
	}
	for _, h := range got[len(chapterSections):] {
		bad = append(bad, p.problem(h.line, "%q is one section too many",
			h.text))
	}
	return bad
}

var minutes = regexp.MustCompile(`\b[0-9]+ minutes\b`)

// checkGoal wants four lines at most, one of which says how long it takes.
func checkGoal(p *page) (bad []problem) {
	first, last, ok := p.section(chapterSections[0])
	if !ok {
		return nil
	}
	n := 0
	for _, line := range p.lines[first:last] {
		if strings.TrimSpace(line) != "" {
			n++
		}
	}
	if n > 4 {
		bad = append(bad, p.problem(first, "%d lines; the goal has 4", n))
	}
	if !minutes.MatchString(strings.Join(p.lines[first:last], "\n")) {
		bad = append(bad, p.problem(first, "the goal says no \"N minutes\""))
	}
	return bad
}

func (p *page) hasDiagram(first, last int) bool {
	for _, f := range p.fences {
		if f.open >= first && f.open < last && f.lang == "mermaid" {
			return true
		}
	}
	return false
}

var (
	comments = regexp.MustCompile(`(?s)<!--.*?-->`)
	word     = regexp.MustCompile(`[\pL\pN]`)
)

// words counts the words of prose: no fences, tables or comments.
func words(p *page) (n int) {
	var text []string
	for i, line := range p.lines {
		if !p.inside[i] && !strings.HasPrefix(line, "|") {
			text = append(text, line)
		}
	}
	prose := comments.ReplaceAllString(strings.Join(text, "\n"), "")
	for _, w := range strings.Fields(prose) {
		if word.MatchString(w) {
			n++
		}
	}
	return n
}
