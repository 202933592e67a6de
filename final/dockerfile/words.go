package dockerfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Env looks a variable up.
type Env func(name string) (value string, set bool)

// Expand replaces variables in a word, $NAME, ${NAME} and what the shell has
// besides (:- - :+ + :? ? # ## % %% / //), and takes quotes away. escape is the
// character that the Dockerfile has chosen.
func Expand(word string, escape rune, env Env) (string, error) {
	l := lexer{escape: escape, env: env, text: []rune(word)}
	text, _, err := l.until(0)
	if err != nil {
		err = fmt.Errorf("failed to process %q: %w", word, err)
	}
	return text, err
}

// ExpandText is Expand where quotes mean nothing: in a heredoc.
func ExpandText(text string, escape rune, env Env) (string, error) {
	l := lexer{escape: escape, env: env, text: []rune(text), noQuotes: true}
	out, _, err := l.until(0)
	return out, err
}

// lexer reads text as a shell reads a word. It never executes anything.
type lexer struct {
	text     []rune
	at       int
	escape   rune
	env      Env  // nil: there are no variables
	quotes   bool // keep the quotes
	escapes  bool // keep the escape characters
	unset    bool // keep variables that are not set
	noQuotes bool // they are nothing special
	depth    int  // of substitutions within others
	size     int  // bytes of all values so far
}

const end rune = 0

// maxSize is how long a word may become. Without it a few lines would do to
// fill the memory: ENV A=$A$A.
const maxSize = 1 << 20

var errSize = fmt.Errorf("it becomes longer than %d bytes", maxSize)

// eof is not a NUL character, which may be in the text.
func (l *lexer) eof() bool { return l.at >= len(l.text) }

func (l *lexer) peek() rune {
	if l.eof() {
		return -1
	}
	return l.text[l.at]
}

func (l *lexer) next() rune {
	r := l.peek()
	l.at++
	return r
}

// split reads words between spaces outside of quotes.
func (l *lexer) split(text string) ([]string, error) {
	l.text, l.at = []rune(text), 0
	_, words, err := l.until(end)
	return words, err
}

// wordList collects words beside the text.
type wordList struct {
	list []string
	word strings.Builder
}

func (w *wordList) add(text string, raw bool) {
	for _, r := range text {
		if raw || !unicode.IsSpace(r) {
			w.word.WriteRune(r)
		} else {
			w.finish()
		}
	}
}

func (w *wordList) finish() {
	if w.word.Len() > 0 {
		w.list = append(w.list, w.word.String())
		w.word.Reset()
	}
}

// until reads up to the character stop, or to the end of the text if stop is
// end. Substitutions are nested, and so are the calls.
func (l *lexer) until(stop rune) (string, []string, error) {
	if l.depth++; l.depth > 100 {
		return "", nil, errors.New("too many substitutions within another")
	}
	defer func() { l.depth-- }()
	var text strings.Builder
	var words wordList
	for !l.eof() {
		r := l.next()
		part, raw := string(r), true
		var err error
		switch {
		case stop != end && r == stop:
			words.finish()
			return text.String(), words.list, nil
		case r == '$':
			part, err = l.dollar()
			raw = false
		case r == '\'' && !l.noQuotes:
			part, err = l.single()
		case r == '"' && !l.noQuotes:
			part, err = l.double()
		case r == l.escape:
			part = ""
			if l.escapes {
				part = string(r)
			}
			if !l.eof() {
				part += string(l.next())
			}
		default:
			raw = false
		}
		if l.size > maxSize {
			err = errSize
		}
		if err != nil {
			return "", nil, err
		}
		text.WriteString(part)
		words.add(part, raw)
	}
	words.finish()
	if stop != end {
		return "", nil, fmt.Errorf("unexpected end of statement while "+
			"looking for matching %c", stop)
	}
	return text.String(), words.list, nil
}

// single reads what is between ' and ', as it is.
func (l *lexer) single() (string, error) {
	i := slices.Index(l.text[l.at:], '\'')
	if i < 0 {
		return "", errors.New("unexpected end of statement while looking " +
			"for matching single-quote")
	}
	text := string(l.text[l.at : l.at+i])
	l.at += i + 1
	if l.quotes {
		text = "'" + text + "'"
	}
	return text, nil
}

// double reads up to ". Only " $ and the escape character can be escaped.
func (l *lexer) double() (string, error) {
	var text strings.Builder
	quote := ""
	if l.quotes {
		quote = `"`
	}
	for !l.eof() {
		r := l.next()
		switch {
		case r == '"':
			return quote + text.String() + quote, nil
		case r == '$':
			value, err := l.dollar()
			if err == nil && l.size > maxSize {
				err = errSize
			}
			if err != nil {
				return "", err
			}
			text.WriteString(value)
			continue
		case r == l.escape:
			if l.escapes {
				text.WriteRune(r)
			}
			if l.eof() {
				continue
			} else if next := l.peek(); next == '"' || next == '$' ||
				next == l.escape {
				r = l.next()
			}
		}
		text.WriteRune(r)
	}
	return "", errors.New("unexpected end of statement while looking for " +
		"matching double-quote")
}

func (l *lexer) look(name string) (value string, set bool) {
	if l.env != nil {
		value, set = l.env(name)
	}
	l.size += len(value)
	return value, set
}

// dollar reads a variable; the $ is behind us.
func (l *lexer) dollar() (string, error) {
	if l.peek() != '{' {
		name := l.name()
		value, set := l.look(name)
		if name == "" || !set && l.unset {
			return "$" + name, nil
		}
		return value, nil
	}
	l.at++
	switch l.peek() {
	case -1:
		return "", errBrace
	case '{', '}', ':':
		return "", errors.New("syntax error: bad substitution")
	}
	name := l.name()
	if l.eof() {
		return "", errBrace
	}
	op := string(l.next())
	if op == ":" {
		op += string(l.next())
	}
	switch op {
	case "}":
		value, set := l.look(name)
		if !set && l.unset {
			return "${" + name + "}", nil
		}
		return value, nil
	case "/":
		return l.replace(name)
	case "-", "+", "?", ":-", ":+", ":?", "#", "%":
		return l.substitute(name, op)
	}
	return "", fmt.Errorf("unsupported modifier (%s) in substitution", op)
}

var errBrace = errors.New("syntax error: missing '}'")

// word reads up to stop, and keeps the escapes of what will be a pattern.
func (l *lexer) word(stop rune, pattern bool) (string, error) {
	old := l.escapes
	l.escapes = pattern
	text, _, err := l.until(stop)
	l.escapes = old
	if err != nil && l.eof() {
		err = fmt.Errorf("syntax error: missing '%c'", stop)
	}
	return text, err
}

// substitute is ${NAME OP WORD}. A colon takes an empty value for none.
func (l *lexer) substitute(name, op string) (string, error) {
	word, err := l.word('}', op == "#" || op == "%")
	if err != nil {
		return "", err
	}
	value, set := l.look(name)
	if l.unset && !set {
		return "${" + name + op + word + "}", nil
	}
	there := set && (len(op) == 1 || value != "")
	switch op[len(op)-1] {
	case '-':
		if !there {
			value = word
		}
	case '+':
		if value = ""; there {
			value = word
		}
	case '?':
		if !there {
			if word == "" {
				word = "is not allowed to be unset"
				if set {
					word = "is not allowed to be empty"
				}
			}
			return "", fmt.Errorf("%s: %s", name, word)
		}
	case '#', '%':
		return trim(value, word, op)
	}
	return value, nil
}

// replace is ${NAME/PATTERN/WORD}, and // for all of them.
func (l *lexer) replace(name string) (string, error) {
	op := "/"
	if l.peek() == '/' {
		l.at++
		op = "//"
	}
	pattern, err := l.word('/', true)
	if err != nil {
		return "", err
	}
	with, err := l.word('}', true)
	if err != nil {
		return "", err
	}
	value, set := l.look(name)
	if !set && l.unset {
		return "${" + name + "/" + pattern + "/" + with + "}", nil
	}
	re, err := expression(pattern, true)
	if err != nil {
		return "", err
	}
	if l.size += len(value) * len(with); l.size > maxSize {
		return "", errSize
	}
	if op == "//" {
		return re.ReplaceAllString(value, with), nil
	}
	if at := re.FindStringIndex(value); at != nil {
		value = value[:at[0]] + with + value[at[1]:]
	}
	return value, nil
}

// name reads the name of a variable: letters, digits and _, only digits, or one
// of the shell's own.
func (l *lexer) name() string {
	if strings.ContainsRune("@*#?-$!", l.peek()) {
		return string(l.next())
	}
	from := l.at
	digits := unicode.IsDigit(l.peek())
	for r := l.peek(); unicode.IsDigit(r) || !digits && (r == '_' ||
		unicode.IsLetter(r)); r = l.peek() {
		l.at++
	}
	return string(l.text[from:l.at])
}
