// Package ignore reads .dockerignore files: what of a directory is no part of
// the context that an image is built from.
package ignore

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// List is a .dockerignore file.
type List struct {
	rules []rule
	// Exceptions says that there are lines with !, so that something in a
	// directory may count although the directory does not.
	Exceptions bool
}

type rule struct {
	not  bool
	form *regexp.Regexp
}

// Parse reads one pattern a line. * and ? stay within a name, ** does
// not, and ! takes back what a line before it has said.
func Parse(text string) (*List, error) {
	list := &List{}
	text = strings.TrimPrefix(text, "\xef\xbb\xbf")
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.HasPrefix(line, "#") {
			continue
		}
		pattern, not := strings.CutPrefix(strings.TrimSpace(line), "!")
		if pattern = strings.TrimSpace(pattern); pattern == "" && !not {
			continue
		} else if pattern != "" {
			pattern = path.Clean(pattern)
		}
		if len(pattern) > 1 {
			pattern = strings.TrimPrefix(pattern, "/")
		}
		form, err := glob(pattern)
		if err != nil || pattern == "" {
			return nil, fmt.Errorf("%d: illegal pattern: %q", number,
				strings.TrimSpace(line))
		}
		list.rules = append(list.rules, rule{not, form})
		list.Exceptions = list.Exceptions || not
	}
	return list, nil
}

// Match says whether a file is to be ignored. name is below the context and
// begins with no slash. A pattern that matches a directory matches all in it.
func (l *List) Match(name string) bool {
	ignored := false
	for _, r := range l.rules {
		if r.not != ignored {
			continue // it would change nothing
		}
		for at := name; at != "." && at != "/"; at = path.Dir(at) {
			if r.form.MatchString(at) {
				ignored = !r.not
				break
			}
		}
	}
	return ignored
}

// glob makes a regular expression of a pattern.
func glob(pattern string) (*regexp.Regexp, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, err
	}
	var b strings.Builder
	for rest := pattern; rest != ""; {
		c := rest[0]
		switch {
		case strings.HasPrefix(rest, "**"):
			rest = strings.TrimPrefix(rest[2:], "/")
			if rest == "" {
				b.WriteString("(?s:.*)")
			} else {
				b.WriteString("(?s:.*/)?")
			}
			continue
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[':
			n := classLength(rest)
			b.WriteString(class(rest[1 : n-1]))
			rest = rest[n:]
			continue
		case c == '\\' && len(rest) > 1:
			rest = rest[1:]
			b.WriteString(regexp.QuoteMeta(rest[:1]))
		default:
			if c < 0x80 {
				b.WriteString(regexp.QuoteMeta(rest[:1]))
			} else {
				b.WriteByte(c)
			}
		}
		rest = rest[1:]
	}
	return regexp.Compile("^" + b.String() + "$")
}

// classLength is how long [...] is at the beginning of a pattern that
// path.Match accepts.
func classLength(text string) int {
	for i := 2; i < len(text); i++ {
		if text[i] == '\\' {
			i++
		} else if text[i] == ']' {
			return i + 1
		}
	}
	return len(text)
}

// class makes a class of characters of what is between [ and ].
func class(text string) string {
	text, not := strings.CutPrefix(text, "^")
	text = strings.NewReplacer("[", `\[`, "&", `\&`, "~", `\~`).Replace(text)
	if not {
		return "[^/" + text + "]"
	}
	return "[" + text + "]"
}
