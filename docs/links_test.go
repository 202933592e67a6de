package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// TestLinks follows every link between files, with its anchor.
func TestLinks(t *testing.T) { eachPage(t, checkLinks) }

var (
	inlineLink = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?: +"[^"]*")?\)`)
	namedLink  = regexp.MustCompile(`^\s*\[[^\]]+\]:\s+(\S+)`)
	htmlLink   = regexp.MustCompile(`(?:href|src|srcset)="([^"]+)"`)
	codeSpan   = regexp.MustCompile("(`+)[^`]*?`+")
	scheme     = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
)

func checkLinks(p *page) (bad []problem) {
	for i, line := range p.lines {
		if p.inside[i] {
			continue
		}
		// Only the code inside a link's text may stay: `[`x`](y)`.
		plain := codeSpan.ReplaceAllString(line, "x")
		for _, re := range []*regexp.Regexp{inlineLink, namedLink, htmlLink} {
			for _, m := range re.FindAllStringSubmatch(plain, -1) {
				if err := p.follow(m[1]); err != nil {
					bad = append(bad, p.problem(i, "%s: %v", m[1], err))
				}
			}
		}
	}
	return bad
}

// follow says why a link leads nowhere. Network addresses are not fetched.
func (p *page) follow(link string) error {
	if scheme.MatchString(link) {
		return nil
	}
	if strings.HasPrefix(link, "/") {
		return fmt.Errorf("not relative to the page")
	}
	path, anchor, hasAnchor := strings.Cut(link, "#")
	target := filepath.Join(filepath.Dir(p.path), path)
	if path == "" {
		target = p.path
	}
	if strings.HasPrefix(target, "..") {
		return fmt.Errorf("outside the repository")
	}
	if first, _, _ := strings.Cut(target, "/"); ignored(first) {
		return fmt.Errorf("%s is not kept in the repository", first)
	}
	if _, err := os.Stat(filepath.Join(p.root, target)); err != nil {
		return fmt.Errorf("there is no %s", target)
	}
	if !hasAnchor {
		return nil
	}
	if !strings.HasSuffix(target, ".md") {
		return fmt.Errorf("an anchor into a file that is not Markdown")
	}
	to, err := readPage(p.root, target)
	if err != nil {
		return err
	}
	if !anchors(to)[anchor] {
		return fmt.Errorf("%s has no heading #%s", target, anchor)
	}
	return nil
}

// anchors returns the names that GitHub gives to a page's headings.
func anchors(p *page) map[string]bool {
	found := map[string]bool{}
	for _, h := range p.heads {
		name := slug(h.text)
		for n := 1; found[name]; n++ {
			name = fmt.Sprintf("%s-%d", slug(h.text), n)
		}
		found[name] = true
	}
	return found
}

func slug(heading string) string {
	keep := func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsNumber(r):
			return unicode.ToLower(r)
		}
		return -1
	}
	return strings.Map(keep, heading)
}
