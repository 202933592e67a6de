package dockerfile

import (
	"fmt"
	"regexp"
	"strings"
)

// trim takes the shortest piece that matches from the beginning (#) or the end
// (%) of the value, or with two of them the longest.
func trim(value, pattern, op string) (string, error) {
	rest, longest := strings.CutPrefix(pattern, op)
	re, err := expression(rest, longest)
	if err != nil {
		return "", err
	}
	form := "^(?:" + re.String() + ")"
	if op == "%" {
		// What is kept comes first: the more of it, the less is taken.
		keep := "^(?s:(.*))"
		if longest {
			keep = "^(?s:(.*?))"
		}
		form = keep + "(?:" + re.String() + ")$"
	}
	whole, err := regexp.Compile(form)
	if err != nil {
		return "", err
	}
	m := whole.FindStringSubmatchIndex(value)
	if m == nil {
		return value, nil
	} else if op == "%" {
		return value[:m[3]], nil
	}
	return value[m[1]:], nil
}

// expression makes a regular expression of a pattern of the shell's, * and ?.
func expression(pattern string, greedy bool) (*regexp.Regexp, error) {
	var b strings.Builder
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped && !strings.ContainsRune(`*?\}/`, r):
			return nil, fmt.Errorf(`invalid pattern (%s) in substitution: `+
				`invalid escape '\%c'`, pattern, r)
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && r == '*' && greedy:
			b.WriteString(".*")
		case !escaped && r == '*':
			b.WriteString(".*?")
		case !escaped && r == '?':
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
		escaped = false
	}
	if escaped {
		return nil, fmt.Errorf("invalid pattern (%s) in substitution: it "+
			"ends with an escape", pattern)
	}
	return regexp.Compile(b.String())
}
