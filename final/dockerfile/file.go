// Package dockerfile reads Dockerfiles. It only reads: it opens no file, and
// knows nothing of images.
package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// File is a Dockerfile.
type File struct {
	Args   []Instruction // ARG before the first FROM: for FROM alone
	Stages []Stage
	Escape rune // \ or `
}

// Stage is FROM and what follows it.
type Stage struct {
	Instruction // FROM itself
	Base, Name  string
	Platform    string
	Steps       []Instruction
}

// Instruction is one, with its place in the file. What Args are depends on it:
// a command in JSON or one line for the shell (RUN, CMD, ENTRYPOINT, SHELL),
// NAME VALUE NAME VALUE... (ENV, LABEL), NAME or NAME=VALUE (ARG), one line
// (USER, WORKDIR, STOPSIGNAL, MAINTAINER), or words.
type Instruction struct {
	Name      string // in capital letters
	Line, End int    // the first and the last one, from 1
	Text      string // as it stands there, in one line
	Flags     []Flag
	Args      []string
	JSON      bool // Args were a list in JSON
	Files     []Heredoc
}

// Flag is --NAME=VALUE; without a value, "true".
type Flag struct{ Name, Value string }

// Flag is the value of a flag, "" if it was not given.
func (i *Instruction) Flag(name string) string {
	for _, f := range i.Flags {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Heredoc is <<NAME with the lines that follow, up to NAME.
type Heredoc struct {
	Name, Content string
	Expand        bool // NAME was not in quotes
	Chomp         bool // <<-: without the tabs that lines begin with
}

// Text is what it stands for.
func (h *Heredoc) Text() string {
	if !h.Chomp {
		return h.Content
	}
	var b strings.Builder
	for line := range strings.Lines(h.Content) {
		b.WriteString(strings.TrimLeft(line, "\t"))
	}
	return b.String()
}

// Error says where the Dockerfile is wrong.
type Error struct {
	Line        int
	Instruction string // its name, or ""
	Err         error
}

// Error is one line, whatever the Dockerfile would like to send to a terminal.
func (e *Error) Error() string {
	text := fmt.Sprintf("%d: %s: %v", e.Line, e.Instruction, e.Err)
	if e.Instruction == "" {
		text = fmt.Sprintf("%d: %v", e.Line, e.Err)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

func (e *Error) Unwrap() error { return e.Err }

// reader goes through the lines of a file.
type reader struct {
	lines  [][]byte // with their ends
	at     int      // how many are read
	escape rune
	seen   map[string]bool // directives; nil: they are over
}

// maxLine is what Docker takes, too.
const maxLine = 64<<10 - 1

// Parse reads a Dockerfile.
func Parse(text []byte) (*File, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	r := &reader{escape: '\\', seen: map[string]bool{},
		lines: bytes.SplitAfter(text, []byte("\n"))}
	if last := len(r.lines) - 1; len(r.lines[last]) == 0 {
		r.lines = r.lines[:last] // behind the last end of a line
	}
	f := &File{}
	for r.at < len(r.lines) {
		i, err := r.instruction()
		if i == nil && err == nil {
			continue
		}
		if err == nil {
			err = f.add(i)
		}
		if err != nil {
			at := &Error{Line: r.at, Err: err}
			if i != nil {
				at.Line, at.Instruction = i.Line, i.Name
			}
			return nil, at
		}
	}
	f.Escape = r.escape
	if len(f.Stages) == 0 {
		return nil, &Error{max(r.at, 1), "", errors.New("there is no FROM")}
	}
	return f, nil
}

func (f *File) add(i *Instruction) error {
	if i.Name == "FROM" {
		s := Stage{Instruction: *i, Base: i.Args[0],
			Platform: i.Flag("platform")}
		if len(i.Args) == 3 {
			s.Name = strings.ToLower(i.Args[2])
		}
		f.Stages = append(f.Stages, s)
		return nil
	}
	if len(f.Stages) > 0 {
		last := &f.Stages[len(f.Stages)-1]
		last.Steps = append(last.Steps, *i)
		return nil
	} else if i.Name == "ARG" {
		f.Args = append(f.Args, *i)
		return nil
	}
	return errors.New("it needs a FROM before it")
}

// next is the next line without its end.
func (r *reader) next() ([]byte, error) {
	line := r.lines[r.at]
	r.at++
	if len(line) > maxLine {
		return nil, fmt.Errorf("a line of more than %d bytes", maxLine)
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// instruction reads one with all its lines; nil if there was only a comment or
// nothing. A comment between the lines of an instruction does not end it.
func (r *reader) instruction() (*Instruction, error) {
	line, err := r.next()
	if err != nil {
		return nil, err
	}
	line = bytes.TrimLeftFunc(line, unicode.IsSpace)
	if err := r.directive(line); err != nil {
		return nil, err
	}
	if isComment(line) {
		line = nil
	}
	i := &Instruction{Line: r.at}
	line, more := r.continued(line)
	if !more && len(line) == 0 {
		return nil, nil
	}
	text := bytes.Clone(line)
	for more && r.at < len(r.lines) {
		if line, err = r.next(); err != nil {
			return i, err
		}
		if isComment(line) || len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		line, more = r.continued(line)
		text = append(text, line...)
	}
	i.Text = strings.TrimSpace(string(text))
	if err = i.parse(i.Text, r.escape); err == nil {
		err = r.heredocs(i)
	}
	if i.End = r.at; err == nil {
		err = i.check()
	}
	return i, err
}

func isComment(line []byte) bool {
	line = bytes.TrimLeftFunc(line, unicode.IsSpace)
	return len(line) > 0 && line[0] == '#'
}

// continued says whether the line goes on: its last character is the escape
// character, and not one that is escaped itself.
func (r *reader) continued(line []byte) ([]byte, bool) {
	rest, ok := bytes.CutSuffix(bytes.TrimRight(line, " \t"),
		[]byte{byte(r.escape)})
	if !ok || len(rest) > 0 && rest[len(rest)-1] == byte(r.escape) {
		return line, false
	}
	return rest, true
}

// directive reads "# escape=`", which must come before all that is not a
// directive. There are two more, which say nothing to us.
func (r *reader) directive(line []byte) error {
	if r.seen == nil {
		return nil
	}
	rest, ok := strings.CutPrefix(string(line), "#")
	key, value, is := strings.Cut(rest, "=")
	key = strings.ToLower(strings.Trim(key, spaces))
	value = strings.Trim(value, spaces)
	if !ok || !is || value == "" || key != "escape" && key != "syntax" &&
		key != "check" {
		r.seen = nil
		return nil
	} else if r.seen[key] {
		return fmt.Errorf("only one %s parser directive can be used", key)
	}
	r.seen[key] = true
	if key == "escape" {
		if value != "`" && value != `\` {
			return fmt.Errorf("invalid escape token '%s' does not match ` "+
				`or \`, value)
		}
		r.escape = rune(value[0])
	}
	return nil
}

// heredocs reads the lines behind an instruction which has <<NAME in it.
func (r *reader) heredocs(i *Instruction) error {
	if !i.takesFiles() {
		return nil
	}
	l := lexer{escape: '\\', quotes: true, escapes: true, unset: true}
	words, err := l.split(i.Text)
	if err != nil {
		return nil // the shell will say so
	}
	for _, word := range words {
		h, err := heredoc(word)
		if err != nil {
			return err
		} else if h == nil {
			continue
		}
		if err = r.fill(h); err != nil {
			return err
		}
		i.Files = append(i.Files, *h)
	}
	return nil
}

func (r *reader) fill(h *Heredoc) error {
	var content strings.Builder
	for r.at < len(r.lines) {
		whole := string(r.lines[r.at])
		text, err := r.next()
		if err != nil {
			return err
		}
		line := string(text)
		if h.Chomp {
			line = strings.TrimLeft(line, "\t")
		}
		if line == h.Name {
			h.Content = content.String()
			return nil
		}
		content.WriteString(whole)
	}
	return fmt.Errorf("unterminated heredoc <<%s", h.Name)
}

// heredoc reads [FD]<<[-]NAME; nil if the word is something else. Quotes around
// any part of the name keep variables in the lines from being replaced.
func heredoc(word string) (*Heredoc, error) {
	word = strings.TrimLeft(word, "0123456789")
	name, ok := strings.CutPrefix(word, "<<")
	name, chomp := strings.CutPrefix(name, "-")
	if !ok || name == "" || strings.ContainsAny(name, "<\n") {
		return nil, nil
	}
	plain := lexer{escape: '\\', unset: true}
	words, err := plain.split(name)
	if err != nil || len(words) != 1 {
		return nil, err
	}
	raw := lexer{escape: '\\', unset: true, quotes: true}
	quoted, err := raw.split(name)
	if err != nil || len(quoted) != 1 {
		return nil, err
	}
	return &Heredoc{Name: words[0], Chomp: chomp,
		Expand: marks(words[0]) == marks(quoted[0])}, nil
}

// IsHeredoc says whether a word is <<NAME and nothing else.
func IsHeredoc(word string) bool {
	h, _ := heredoc(word)
	return h != nil
}

func marks(word string) int {
	return strings.Count(word, "'") + strings.Count(word, `"`)
}
