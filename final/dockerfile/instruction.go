package dockerfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode"
)

// spaces are those between words.
const spaces = " \t\v\f\r"

// syntax is what an instruction takes: how its arguments are read, how many,
// and its flags, those of the second list without a value.
type syntax struct {
	read         func(i *Instruction, rest string, escape rune) error
	least, most  int // most 0: any number
	flags, bools string
}

func syntaxOf(name string) (syntax, bool) {
	switch name {
	case "FROM":
		return syntax{words, 1, 3, "platform", ""}, true
	case "ADD":
		return syntax{listOrWords, 2, 0, "chown chmod checksum",
			"link keep-git-dir"}, true
	case "COPY":
		return syntax{listOrWords, 2, 0, "chown chmod from", "link"}, true
	case "RUN":
		return syntax{command, 0, 0, "mount network security", ""}, true
	case "CMD", "ENTRYPOINT":
		return syntax{command, 0, 0, "", ""}, true
	case "SHELL":
		return syntax{command, 1, 0, "", ""}, true
	case "ENV", "LABEL":
		return syntax{pairs, 1, 0, "", ""}, true
	case "ARG":
		return syntax{quotedWords, 1, 0, "", ""}, true
	case "EXPOSE":
		return syntax{words, 1, 0, "", ""}, true
	case "VOLUME":
		return syntax{listOrWords, 1, 0, "", ""}, true
	case "USER", "WORKDIR", "STOPSIGNAL", "MAINTAINER":
		return syntax{line, 1, 1, "", ""}, true
	case "ONBUILD":
		return syntax{trigger, 1, 0, "", ""}, true
	case "HEALTHCHECK":
		return syntax{health, 1, 0, "interval timeout start-period " +
			"start-interval retries", ""}, true
	}
	return syntax{}, false
}

// parse splits an instruction's text.
func (i *Instruction) parse(text string, escape rune) (err error) {
	name, rest, _ := cutSpace(text)
	i.Name = strings.ToUpper(name)
	s, known := syntaxOf(i.Name)
	if !known {
		i.Name = ""
		return fmt.Errorf("unknown instruction: %.100s", name)
	}
	given, rest := splitFlags(rest)
	if i.Flags, err = s.parseFlags(given); err != nil {
		return err
	}
	return s.read(i, strings.TrimSpace(rest), escape)
}

// ParseLine reads an instruction that stands alone. It is never nil.
func ParseLine(text string) (*Instruction, error) {
	i := &Instruction{Line: 1, End: 1, Text: strings.TrimSpace(text)}
	err := i.parse(i.Text, '\\')
	if err == nil {
		err = i.check()
	}
	return i, err
}

// Shell says whether variables are for a shell to replace.
func (i *Instruction) Shell() bool {
	return slices.Contains([]string{"RUN", "CMD", "ENTRYPOINT", "SHELL",
		"ONBUILD", "HEALTHCHECK"}, i.Name)
}

// cutSpace cuts at the first spaces.
func cutSpace(text string) (first, rest string, ok bool) {
	at := strings.IndexAny(text, spaces)
	if at < 0 {
		return text, "", false
	}
	return text[:at], strings.TrimLeft(text[at:], spaces), true
}

// splitFlags takes the words that begin with -- from the beginning, up to one
// that is nothing else. Quotes hold a word together and go.
func splitFlags(text string) (list []string, rest string) {
	for {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if !strings.HasPrefix(text, "--") {
			return list, text
		}
		var word strings.Builder
		var quote byte
		at, quoted := 0, false
		for ; at < len(text); at++ {
			c := text[at]
			if quote == 0 && unicode.IsSpace(rune(c)) {
				break
			}
			switch {
			case quote == 0 && (c == '\'' || c == '"'):
				quote, quoted = c, true
			case c == quote && quote != 0:
				quote = 0
			case c == '\\' && at+1 < len(text):
				at++
				word.WriteByte(text[at])
			case c != '\\':
				word.WriteByte(c)
			}
		}
		if text = text[at:]; word.String() == "--" {
			return list, text
		} else if quoted || word.Len() > 0 {
			list = append(list, word.String())
		}
	}
}

func (s *syntax) parseFlags(given []string) (flags []Flag, err error) {
	has := func(list, name string) bool {
		return slices.Contains(strings.Fields(list), name)
	}
	for _, word := range given {
		full, value, valued := strings.Cut(word, "=")
		name := strings.TrimPrefix(full, "--")
		isBool := has(s.bools, name)
		switch lower := strings.ToLower(value); {
		case !isBool && !has(s.flags, name):
			err = fmt.Errorf("unknown flag: %s", full)
		case name != "mount" && slices.ContainsFunc(flags, func(f Flag) bool {
			return f.Name == name
		}):
			err = fmt.Errorf("duplicate flag specified: %s", full)
		case isBool && valued && lower != "true" && lower != "false":
			err = fmt.Errorf("expecting boolean value for flag %s, not: %s",
				full, value)
		case isBool && lower != "false":
			value = "true"
		case !isBool && !valued:
			err = fmt.Errorf("missing a value on flag: %s", full)
		}
		if err != nil {
			return nil, err
		}
		flags = append(flags, Flag{name, value})
	}
	return flags, nil
}

// list reads a list of strings in JSON. What only looks like one is for the
// shell, as [ is a program, too.
func list(i *Instruction, rest string) (bool, error) {
	var values []any
	if !strings.HasPrefix(rest, "[") ||
		json.Unmarshal([]byte(rest), &values) != nil {
		return false, nil
	}
	i.JSON = true
	for _, value := range values {
		text, ok := value.(string)
		if !ok {
			return true, errors.New("when using JSON array syntax, arrays " +
				"must be comprised of strings only")
		}
		i.Args = append(i.Args, text)
	}
	return true, nil
}

func command(i *Instruction, rest string, escape rune) error {
	if is, err := list(i, rest); is {
		return err
	}
	return line(i, rest, escape)
}

func listOrWords(i *Instruction, rest string, escape rune) error {
	if is, err := list(i, rest); is {
		return err
	}
	return words(i, rest, escape)
}

func line(i *Instruction, rest string, _ rune) error {
	if rest != "" {
		i.Args = []string{rest}
	}
	return nil
}

func words(i *Instruction, rest string, _ rune) error {
	i.Args = strings.FieldsFunc(rest, func(r rune) bool {
		return strings.ContainsRune(spaces, r)
	})
	return nil
}

// quotedWords keeps spaces in quotes, and the quotes: Expand takes them.
func quotedWords(i *Instruction, rest string, escape rune) error {
	i.Args = splitQuoted(rest, escape)
	return nil
}

func splitQuoted(text string, escape rune) (list []string) {
	var word strings.Builder
	var quote rune
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			escaped = false
		case quote == 0 && unicode.IsSpace(r):
			if word.Len() > 0 {
				list = append(list, word.String())
			}
			word.Reset()
			continue
		case r == escape && quote != '\'':
			escaped = true
		case r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		}
		word.WriteRune(r)
	}
	last := word.String()
	if escaped { // there is nothing that it could escape
		last = strings.TrimSuffix(last, string(escape))
	}
	if last != "" {
		list = append(list, last)
	}
	return list
}

// pairs reads NAME=VALUE..., or the old NAME VALUE.
func pairs(i *Instruction, rest string, escape rune) error {
	all := splitQuoted(rest, escape)
	if len(all) == 0 {
		return nil
	}
	if !strings.Contains(all[0], "=") {
		name, value, ok := cutSpace(rest)
		if !ok {
			return errors.New("must have two arguments")
		}
		i.Args = []string{name, value}
		return nil
	}
	for _, word := range all {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("can't find = in %q: must be of the form: "+
				"name=value", word)
		} else if name == "" {
			return errors.New("names can not be blank")
		}
		i.Args = append(i.Args, name, value)
	}
	return nil
}

// trigger keeps the instruction as it is, once it has been understood.
func trigger(i *Instruction, rest string, escape rune) error {
	if rest == "" {
		return nil
	}
	sub := &Instruction{}
	if err := sub.parse(rest, escape); err != nil {
		return err
	}
	switch sub.Name {
	case "ONBUILD":
		return errors.New("ONBUILD isn't allowed as an ONBUILD trigger")
	case "MAINTAINER", "FROM":
		return fmt.Errorf("%s isn't allowed as an ONBUILD trigger", sub.Name)
	}
	i.Args = []string{rest}
	return sub.check()
}

func health(i *Instruction, rest string, escape rune) error {
	kind, rest, _ := cutSpace(rest)
	switch kind = strings.ToUpper(kind); {
	case kind == "":
		return nil
	case kind != "CMD" && kind != "NONE":
		return fmt.Errorf("unknown type %q (try CMD)", kind)
	case kind == "NONE" && rest != "":
		return errors.New("NONE takes no arguments")
	case kind == "CMD" && rest == "":
		return errors.New("missing command after CMD")
	}
	err := command(i, rest, escape)
	i.Args = append([]string{kind}, i.Args...)
	return err
}

// takesFiles says whether <<NAME means lines that follow.
func (i *Instruction) takesFiles() bool {
	if i.Name == "ONBUILD" && len(i.Args) > 0 {
		sub := &Instruction{}
		return sub.parse(i.Args[0], '\\') == nil && sub.takesFiles()
	}
	return slices.Contains([]string{"ADD", "COPY", "RUN"}, i.Name) && !i.JSON
}

// check looks at what has been read.
func (i *Instruction) check() error {
	s, _ := syntaxOf(i.Name)
	n := len(i.Args)
	switch {
	case i.Name == "FROM":
		return i.checkFrom()
	case n < 2 && s.least == 2:
		return errors.New("requires at least two arguments: the destination " +
			"could not be determined")
	case n != 1 && s.most == 1:
		return errors.New("requires exactly one argument")
	case n < s.least:
		return errors.New("requires at least one argument")
	}
	switch i.Name {
	case "SHELL":
		if !i.JSON {
			return errors.New(`requires the arguments to be in JSON form: ` +
				`SHELL ["sh", "-c"]`)
		}
	case "ARG":
		for _, arg := range i.Args {
			if arg[0] == '=' {
				return errors.New("names can not be blank")
			}
		}
	case "VOLUME":
		for n, arg := range i.Args {
			if i.Args[n] = strings.TrimSpace(arg); i.Args[n] == "" {
				return errors.New("a volume can not be an empty string")
			}
		}
	case "EXPOSE":
		sort.Strings(i.Args)
	case "RUN":
		if mode := i.Flag("network"); !slices.Contains([]string{"", "default",
			"none", "host"}, mode) {
			return fmt.Errorf("invalid network mode %q", mode)
		}
	case "ADD", "COPY":
		if h, _ := heredoc(i.Args[n-1]); h != nil && !i.JSON {
			return errors.New("cannot accept a heredoc as a destination")
		}
	}
	return nil
}

func (i *Instruction) checkFrom() error {
	switch n := len(i.Args); {
	case n == 3 && strings.EqualFold(i.Args[1], "as"):
	case n != 1:
		return errors.New("requires either one or three arguments: " +
			"IMAGE [AS NAME]")
	default:
		return nil
	}
	name := strings.ToLower(i.Args[2])
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" ||
		name[0] < 'a' || name[0] > 'z' {
		return fmt.Errorf("invalid name for build stage: %q, name can't start "+
			"with a number or contain symbols", i.Args[2])
	}
	return nil
}
