package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTargets checks that each `make TARGET` in running text or in a table can
// be typed. What stands in a transcript is run.
func TestTargets(t *testing.T) { eachPage(t, checkTargets) }

var (
	spanOf   = regexp.MustCompile("`([^`]+)`")
	makeCall = regexp.MustCompile(
		`(?:^|&& |\S=\S* |sudo )make (?:-C \S+ )?([^&|;>]+)`)
	makeRule   = regexp.MustCompile(`(?m)^([a-z][a-zA-Z0-9_% -]*):([^=]|$)`)
	makeTarget = regexp.MustCompile(`^[a-z][a-zA-Z0-9-]*$`)
	stepWord   = regexp.MustCompile(`step[N1-9]\b`)
)

func checkTargets(p *page) (bad []problem) {
	known := targets(p.root)
	for i, line := range p.lines {
		for _, span := range spanOf.FindAllStringSubmatch(line, -1) {
			call := makeCall.FindStringSubmatch(span[1])
			if p.inside[i] || call == nil {
				continue
			}
			for _, word := range strings.Fields(call[1]) {
				name := stepWord.ReplaceAllString(word, "step%")
				if makeTarget.MatchString(word) && !known[name] {
					bad = append(bad, p.problem(i, "make %s: no such target",
						word))
				}
			}
		}
	}
	return bad
}

// targets are those of all Makefiles; stepN stands there as step%.
func targets(root string) map[string]bool {
	known := map[string]bool{}
	for _, pattern := range []string{"Makefile", "*/Makefile", "*/*.mk",
		"*/*/*.mk"} {
		files, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			for _, m := range makeRule.FindAllStringSubmatch(string(text), -1) {
				for _, name := range strings.Fields(m[1]) {
					known[name] = true
				}
			}
		}
	}
	return known
}
