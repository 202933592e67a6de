package docs

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// values holds what the names of a block (`<pid>`) stood for so far.
type values map[string]string

var (
	tokenMark = regexp.MustCompile(`<([a-z][a-z0-9-]*)>`)
	digitName = regexp.MustCompile(`^(pid|n)([0-9]*|-.*)$`)
	blanks    = regexp.MustCompile(`[ \t]+`)
	bracketed = regexp.MustCompile(`\[<([a-z][a-z0-9-]*)>\]`)
)

// normal makes columns of different width equal.
func normal(line string) string {
	return blanks.ReplaceAllString(strings.TrimSpace(line), " ")
}

func normalLines(lines []string) (out []string) {
	for _, line := range lines {
		out = append(out, normal(line))
	}
	return out
}

// matchLine matches a line with `<name>` and `...` against what was printed.
// The result knows the new values too; nil means no match.
func matchLine(want, got string, known values) values {
	var re strings.Builder
	var names []string
	rest := want
	for {
		m := tokenMark.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		re.WriteString(elided(rest[:m[0]]))
		name := rest[m[2]:m[3]]
		rest = rest[m[1]:]
		if value, ok := known[name]; ok {
			re.WriteString(regexp.QuoteMeta(value))
			continue
		}
		names = append(names, name)
		if digitName.MatchString(name) {
			re.WriteString(`([0-9]+)`)
		} else {
			re.WriteString("([^][\\s(),;:\"'`]+)")
		}
	}
	re.WriteString(elided(rest))
	m := regexp.MustCompile("^" + re.String() + "$").FindStringSubmatch(got)
	if m == nil {
		return nil
	}
	found := maps.Clone(known)
	for i, name := range names {
		if value, ok := found[name]; ok && value != m[i+1] {
			return nil
		}
		found[name] = m[i+1]
	}
	return found
}

// elided quotes text for a regular expression in which ... stands for any.
func elided(text string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(text), `\.\.\.`, ".*?")
}

// matcher compares the output of one command with what the page shows.
type matcher struct {
	want, got []string
	best      int // how many wanted lines matched, at best
}

// matchOutput returns the values after the match, or says what is different.
func matchOutput(want, got []string, known values, anyOrder bool) (
	values, error) {
	m := &matcher{want: normalLines(want), got: normalLines(got)}
	var found values
	if anyOrder {
		found = m.unordered(known)
	} else {
		found = m.ordered(0, 0, known)
	}
	if found != nil {
		return found, nil
	}
	where := "the end of the output"
	if m.best < len(m.want) {
		where = fmt.Sprintf("%q", want[m.best])
	}
	return nil, fmt.Errorf("no match at %s\nthe page shows:\n%s\n"+
		"the commands print:\n%s", where, indent(want), indent(got))
}

func indent(lines []string) string {
	if len(lines) == 0 {
		return "    (nothing)"
	}
	return "    " + strings.Join(lines, "\n    ")
}

// ordered matches want[i:] with got[j:]. A line `...` stands for any lines.
func (m *matcher) ordered(i, j int, known values) values {
	m.best = max(m.best, i)
	if i == len(m.want) {
		if j == len(m.got) {
			return known
		}
		return nil
	}
	if m.want[i] == "..." {
		for ; j <= len(m.got); j++ {
			if found := m.ordered(i+1, j, known); found != nil {
				return found
			}
		}
		return nil
	}
	if j == len(m.got) {
		return nil
	}
	if found := matchLine(m.want[i], m.got[j], known); found != nil {
		return m.ordered(i+1, j+1, found)
	}
	return nil
}

// unordered matches each wanted line with a line of its own.
func (m *matcher) unordered(known values) values {
	var want []string
	more := false
	for _, line := range m.want {
		if line == "..." {
			more = true
		} else {
			want = append(want, line)
		}
	}
	if len(want) > len(m.got) || !more && len(want) != len(m.got) {
		return nil
	}
	used := make([]bool, len(m.got))
	var pick func(i int, known values) values
	pick = func(i int, known values) values {
		if i == len(want) {
			return known
		}
		for j, line := range m.got {
			if used[j] {
				continue
			}
			if found := matchLine(want[i], line, known); found != nil {
				used[j] = true
				if all := pick(i+1, found); all != nil {
					return all
				}
				used[j] = false
			}
		}
		return nil
	}
	return pick(0, known)
}

// notDistinct says which names that stand between brackets, as in
// `uts:[<inside>]`, are meant to be different and are not.
func notDistinct(lines []string, known values) string {
	owner := map[string]string{}
	for _, line := range lines {
		for _, m := range bracketed.FindAllStringSubmatch(line, -1) {
			name, value := m[1], known[m[1]]
			if digitName.MatchString(name) || value == "" {
				continue // a PID may be seen under two names
			}
			if other, ok := owner[value]; ok && other != name {
				return fmt.Sprintf("<%s> and <%s> are both %s: the page "+
					"shows two, there is one", other, name, value)
			}
			owner[value] = name
		}
	}
	return ""
}
