package docs

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTranslations holds each Chinese page against the English one. UPDATE=1
// copies the fences; TRANSLATED=page writes that page's hashes anew.
func TestTranslations(t *testing.T) {
	eachPage(t, func(zh *page) []problem {
		if !zh.translated() {
			return nil
		}
		en, err := readPage(zh.root, englishOf(zh.path))
		if err != nil {
			return []problem{zh.problem(0, "no English page: %v", err)}
		}
		changed := updating() && copyFences(en, zh)
		if os.Getenv("TRANSLATED") == zh.path {
			stampSections(en, zh)
			changed = true
		}
		if changed {
			if err := zh.write(); err != nil {
				t.Fatal(err)
			}
			if zh, err = readPage(zh.root, zh.path); err != nil {
				t.Fatal(err)
			}
		}
		return checkTranslation(en, zh)
	})
}

func englishOf(path string) string {
	return strings.TrimSuffix(path, ".zh.md") + ".md"
}

var hashNote = regexp.MustCompile(`^<!-- en:([0-9a-f]{8}) -->$`)

func checkTranslation(en, zh *page) (bad []problem) {
	if len(en.heads) != len(zh.heads) {
		bad = append(bad, zh.problem(0, "%d headings; the English page has %d",
			len(zh.heads), len(en.heads)))
	}
	for i := range min(len(en.heads), len(zh.heads)) {
		e, z := en.heads[i], zh.heads[i]
		if e.level != z.level {
			return append(bad, zh.problem(z.line, "%q does not stand for %q",
				z.text, e.text))
		}
		got, ok := zh.hashBelow(z)
		if !ok {
			bad = append(bad, zh.problem(z.line,
				"no <!-- en:HASH --> under %q", z.text))
		} else if want := en.hash(i); got != want {
			bad = append(bad, zh.problem(z.line, "%q is stale: the English "+
				"section %q is %s now, not %s", z.text, e.text, want, got))
		}
	}
	return append(bad, compareFences(en, zh)...)
}

func (p *page) hashBelow(h heading) (string, bool) {
	for i := h.line + 1; i < len(p.lines); i++ {
		if line := strings.TrimSpace(p.lines[i]); line != "" {
			m := hashNote.FindStringSubmatch(line)
			if m == nil {
				return "", false
			}
			return m[1], true
		}
	}
	return "", false
}

// hash covers the words from heading i to the next one. Fences are compared
// themselves, and the counts in "What changed" have their own check: neither
// makes a translation stale.
func (p *page) hash(i int) string {
	last := len(p.lines)
	if i+1 < len(p.heads) {
		last = p.heads[i+1].line
	}
	var text []string
	counted := false
	for n := p.heads[i].line; n < last; n++ {
		line := strings.TrimSpace(p.lines[n])
		if p.inside[n] || line == "" {
			continue
		}
		if changedNote.MatchString(line) {
			counted = true
		}
		if row := cells(line); counted && strings.HasPrefix(line, "|") &&
			len(row) > 1 {
			line = strings.Join(slices.Delete(row, 1, 2), "|")
		}
		text = append(text, line)
	}
	sum := sha256.Sum256([]byte(strings.Join(text, "\n")))
	return fmt.Sprintf("%x", sum[:4])
}

func compareFences(en, zh *page) (bad []problem) {
	if len(en.fences) != len(zh.fences) {
		return []problem{zh.problem(0, "%d fences; the English page has %d",
			len(zh.fences), len(en.fences))}
	}
	for i, f := range zh.fences {
		e := en.fences[i]
		if !slices.Equal(zh.lines[f.open:f.end+1],
			en.lines[e.open:e.end+1]) {
			bad = append(bad, zh.problem(f.open, "the fence is not that of "+
				"%s:%d (UPDATE=1 go test ./docs -run TestTranslations)",
				filepath.Base(en.path), e.open+1))
		}
	}
	return bad
}

// copyFences puts the English fences into the Chinese page.
func copyFences(en, zh *page) (changed bool) {
	if len(en.fences) != len(zh.fences) {
		return false
	}
	for i, z := range slices.Backward(zh.fences) {
		e := en.fences[i]
		text := en.lines[e.open : e.end+1]
		if !slices.Equal(zh.lines[z.open:z.end+1], text) {
			zh.lines = slices.Replace(zh.lines, z.open, z.end+1, text...)
			changed = true
		}
	}
	if changed {
		again, err := parsePage(zh.root, zh.path,
			strings.Join(zh.lines, "\n")+"\n")
		if err == nil {
			*zh = *again
		}
	}
	return changed
}

// stampSections writes the hash of the English section under each heading.
func stampSections(en, zh *page) {
	if len(en.heads) != len(zh.heads) {
		return
	}
	for i, h := range slices.Backward(zh.heads) {
		note := "<!-- en:" + en.hash(i) + " -->"
		at := h.line + 1
		for at < len(zh.lines) && strings.TrimSpace(zh.lines[at]) == "" {
			at++
		}
		if at < len(zh.lines) &&
			hashNote.MatchString(strings.TrimSpace(zh.lines[at])) {
			zh.lines[at] = note
		} else {
			zh.lines = slices.Insert(zh.lines, h.line+1, "", note)
		}
	}
}
