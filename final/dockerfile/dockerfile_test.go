package dockerfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInstructions(t *testing.T) {
	text := "# escape=`\n# a comment\nARG V=1\n" +
		"FROM --platform=linux/amd64 box:$V as Base\n" +
		"run echo `\n# between\n\n   there\n" +
		"COPY --chown=1:2 --from='other one' [\"a b\", \"/c\"]\n" +
		"ENV A=\"x y\" B=z\nENV OLD the rest of it\n" +
		"CMD [\"a\", \"b\"]\nCMD [ -e /x ]\nEXPOSE 90 80/udp\n"
	f, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := f.Stages[0]
	steps := got.Steps
	got.Steps = nil
	want := Stage{Base: "box:$V", Name: "base", Platform: "linux/amd64",
		Instruction: Instruction{Name: "FROM", Line: 4, End: 4,
			Text:  "FROM --platform=linux/amd64 box:$V as Base",
			Flags: []Flag{{"platform", "linux/amd64"}},
			Args:  []string{"box:$V", "as", "Base"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Instruction{
		{Name: "RUN", Line: 5, End: 8, Text: "run echo    there",
			Args: []string{"echo    there"}},
		{Name: "COPY", Line: 9, End: 9, JSON: true,
			Text:  `COPY --chown=1:2 --from='other one' ["a b", "/c"]`,
			Flags: []Flag{{"chown", "1:2"}, {"from", "other one"}},
			Args:  []string{"a b", "/c"}},
		{Name: "ENV", Line: 10, End: 10, Text: `ENV A="x y" B=z`,
			Args: []string{"A", `"x y"`, "B", "z"}},
		{Name: "ENV", Line: 11, End: 11, Text: "ENV OLD the rest of it",
			Args: []string{"OLD", "the rest of it"}},
		{Name: "CMD", Line: 12, End: 12, Text: `CMD ["a", "b"]`, JSON: true,
			Args: []string{"a", "b"}},
		{Name: "CMD", Line: 13, End: 13, Text: "CMD [ -e /x ]",
			Args: []string{"[ -e /x ]"}},
		{Name: "EXPOSE", Line: 14, End: 14, Text: "EXPOSE 90 80/udp",
			Args: []string{"80/udp", "90"}},
	}, steps); diff != "" {
		t.Error(diff)
	}
	if len(f.Args) != 1 || f.Args[0].Args[0] != "V=1" || f.Escape != '`' {
		t.Errorf("%+v", f)
	}
}

func TestHeredocs(t *testing.T) {
	f, err := Parse([]byte("FROM a\nRUN <<EOF\necho 1\nEOF\n" +
		"COPY <<-'one' <<two /dir/\n\t$A\n\tone\nb\ntwo\nRUN echo '<<x'\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got [][]Heredoc
	for _, step := range f.Stages[0].Steps {
		got = append(got, step.Files)
	}
	if diff := cmp.Diff([][]Heredoc{
		{{Name: "EOF", Content: "echo 1\n", Expand: true}},
		{{Name: "one", Content: "\t$A\n", Chomp: true},
			{Name: "two", Content: "b\n", Expand: true}},
		nil}, got); diff != "" {
		t.Error(diff)
	}
	if text := got[1][0].Text(); text != "$A\n" {
		t.Errorf("without tabs %q", text)
	}
}

// Errors name the line that the instruction begins on, and say what it is.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "1: there is no FROM",
		"FROM a\n\nCOPPY a b\n":       "3: unknown instruction: COPPY",
		"RUN x":                       "1: RUN: it needs a FROM before it",
		"FROM a\nCOPY \\\n a\n":       "2: COPY: requires at least two",
		"FROM a\nCOPY --bad=1 a b\n":  "2: COPY: unknown flag: --bad",
		"FROM a b\n":                  "1: FROM: requires either one or",
		"FROM a AS 1x\n":              "1: FROM: invalid name for build",
		"FROM a\nRUN <<E\nx\n":        "2: RUN: unterminated heredoc <<E",
		"FROM a\nCMD [1]\n":           "2: CMD: when using JSON array",
		"FROM a\nENV A\n":             "2: ENV: must have two arguments",
		"FROM a\nSHELL sh\n":          "2: SHELL: requires the arguments to",
		"FROM a\nUSER\n":              "2: USER: requires exactly one",
		"FROM a\nONBUILD FROM b\n":    "2: ONBUILD: FROM isn't allowed",
		"# escape=x\nFROM a\n":        "1: invalid escape token 'x'",
		"FROM a\nARG =x\n":            "2: ARG: names can not be blank",
		"FROM a\nRUN --network=x y\n": "2: RUN: invalid network mode",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, not %q", text, err, want)
		}
		if at := new(Error); err != nil && !errors.As(err, &at) {
			t.Errorf("%q: %T", text, err)
		}
	}
}

func TestExpand(t *testing.T) {
	env := func(name string) (string, bool) {
		value, set := map[string]string{"A": "one", "EMPTY": "",
			"F": "a/b/c.tar.gz"}[name]
		return value, set
	}
	for word, want := range map[string]string{
		"$A":               "one",
		"${A}b$Ab":         "oneb",
		"$NONE-":           "-",
		"${NONE:-y$A}":     "yone",
		"${EMPTY:-y}":      "y",
		"${EMPTY-y}":       "",
		"${A:+y}":          "y",
		"${EMPTY:+y}":      "",
		"${EMPTY+y}":       "y",
		"${NONE:-${A:+z}}": "z",
		`'$A'`:             "$A",
		`"$A b"`:           "one b",
		`\$A`:              "$A",
		"${F#*/}":          "b/c.tar.gz",
		"${F##*/}":         "c.tar.gz",
		"${F%.*}":          "a/b/c.tar",
		"${F%%.*}":         "a/b/c",
		"${F/b/x}":         "a/x/c.tar.gz",
		`${F//\//-}`:       "a-b-c.tar.gz",
		"a$":               "a$",
		"$$":               "",
		"${A:?no}":         "one",
	} {
		got, err := Expand(word, '\\', env)
		if err != nil || got != want {
			t.Errorf("%s: %q, not %q: %v", word, got, want, err)
		}
	}
	for word, want := range map[string]string{
		"${A":           "missing '}'",
		"'x":            "single-quote",
		"\"x":           "double-quote",
		"${NONE:?gone}": "NONE: gone",
		"${NONE?}":      "NONE: is not allowed to be unset",
		"${EMPTY:?}":    "EMPTY: is not allowed to be empty",
		"${A!b}":        "unsupported modifier",
		"${}":           "bad substitution",
		strings.Repeat("${A:-", 200) + strings.Repeat("}", 200): "too many",
	} {
		if got, err := Expand(word, '\\', env); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %q, %v, not %q", word, got, err, want)
		}
	}
	big := strings.Repeat("x", 100<<10)
	for _, word := range []string{strings.Repeat("$A", 100),
		`"` + strings.Repeat("$A", 100) + `"`, "${A//x/$A}"} {
		_, err := Expand(word, '\\', func(string) (string, bool) {
			return big, true
		})
		if !errors.Is(err, errSize) {
			t.Errorf("%.20s: %v", word, err)
		}
	}
	got, err := ExpandText("it's \"$A\"", '\\', env)
	if err != nil || got != `it's "one"` {
		t.Errorf("%q %v", got, err)
	}
}

// corpus are the Dockerfiles below testdata: bad ones are in a directory of
// their own.
func corpus(t testing.TB) []string {
	good, _ := filepath.Glob("testdata/good/*")
	bad, _ := filepath.Glob("testdata/bad/*")
	if len(good) < 60 || len(bad) < 20 {
		t.Fatalf("only %d good and %d bad Dockerfiles", len(good), len(bad))
	}
	return append(good, bad...)
}

func TestCorpus(t *testing.T) {
	for _, file := range corpus(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(text)
		if bad := strings.Contains(file, "/bad/"); bad != (err != nil) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range corpus(f) {
		text, _ := os.ReadFile(file)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		for _, s := range file.Stages {
			for _, i := range append(s.Steps, s.Instruction) {
				if i.Line < 1 || i.End < i.Line || i.Name == "" {
					t.Errorf("%+v", i)
				}
				for _, arg := range i.Args {
					Expand(arg, file.Escape, func(string) (string, bool) {
						return arg, len(arg)%2 == 0
					})
				}
			}
		}
	})
}

func FuzzExpand(f *testing.F) {
	for _, word := range []string{"$A", "${A:-b}", "${A#*b}", "${A//b/c}",
		`"$A" '$B'`, `\$A`, "${A:-${B:+c}}"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		for _, escape := range []rune{'\\', '`'} {
			Expand(word, escape, func(name string) (string, bool) {
				return name + word, len(name) > 1
			})
		}
	})
}
