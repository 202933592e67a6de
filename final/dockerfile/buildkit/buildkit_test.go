// Package buildkit holds our reading of Dockerfiles against BuildKit's, which
// is Docker's. It is a module of its own, so that minidocker does not have
// BuildKit among its dependencies.
package buildkit

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"container-workshop/final/dockerfile"
	"container-workshop/final/dockerfile/ignore"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// step is what both must say of an instruction.
type step struct {
	Name      string
	Line, End int
	Flags     []string
	Args      []string
	JSON      bool
	Files     []dockerfile.Heredoc
}

// stage is what both must say of FROM.
type stage struct{ Base, Name, Platform string }

// theirs is BuildKit's reading.
func theirs(text []byte) (steps []step, stages []stage, err error) {
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	list, _, err := instructions.Parse(result.AST, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range list {
		stages = append(stages, stage{s.BaseName, s.Name, s.Platform})
	}
	if len(stages) == 0 {
		return nil, nil, os.ErrInvalid // BuildKit says so a little later
	}
	for _, node := range result.AST.Children {
		s := step{Name: strings.ToUpper(node.Value), Line: node.StartLine,
			End: node.EndLine, JSON: node.Attributes["json"]}
		for _, flag := range node.Flags {
			if !strings.Contains(flag, "=") {
				flag += "=true"
			}
			s.Flags = append(s.Flags, flag)
		}
		for _, h := range node.Heredocs {
			s.Files = append(s.Files, dockerfile.Heredoc{Name: h.Name,
				Content: h.Content, Expand: h.Expand, Chomp: h.Chomp})
		}
		for n := node.Next; n != nil; n = n.Next {
			s.Args = append(s.Args, n.Value)
		}
		s.normalise()
		if s.Name == "ONBUILD" {
			s.Args = []string{node.Next.Children[0].Original}
		}
		steps = append(steps, s)
	}
	return steps, stages, nil
}

// normalise drops what only BuildKit's form of a tree has.
func (s *step) normalise() {
	switch s.Name {
	case "ENV", "LABEL": // NAME, VALUE and how they were separated
		var args []string
		for i := 0; i+2 < len(s.Args); i += 3 {
			args = append(args, s.Args[i], s.Args[i+1])
		}
		s.Args = args
	case "EXPOSE":
		slices.Sort(s.Args)
	case "VOLUME":
		for i, arg := range s.Args {
			s.Args[i] = strings.TrimSpace(arg)
		}
	case "HEALTHCHECK":
		s.Args[0] = strings.ToUpper(s.Args[0])
	}
}

// ours is minidocker's reading.
func ours(text []byte) (steps []step, stages []stage, err error) {
	file, err := dockerfile.Parse(text)
	if err != nil {
		return nil, nil, err
	}
	all := file.Args
	for _, s := range file.Stages {
		stages = append(stages, stage{s.Base, s.Name, s.Platform})
		all = append(append(all, s.Instruction), s.Steps...)
	}
	for _, i := range all {
		s := step{Name: i.Name, Line: i.Line, End: i.End, JSON: i.JSON,
			Args: slices.Clip(i.Args), Files: i.Files}
		for _, f := range i.Flags {
			s.Flags = append(s.Flags, "--"+f.Name+"="+f.Value)
		}
		steps = append(steps, s)
	}
	return steps, stages, nil
}

// compare reads the text both ways.
func compare(t *testing.T, name string, text []byte) {
	t.Helper()
	want, wantStages, bad := theirs(text)
	got, gotStages, err := ours(text)
	if (err == nil) != (bad == nil) {
		t.Errorf("%s: we say %v, BuildKit says %v", name, err, bad)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: BuildKit's (-), ours (+):\n%s", name, diff)
	}
	if diff := cmp.Diff(wantStages, gotStages); diff != "" {
		t.Errorf("%s: BuildKit's (-), ours (+):\n%s", name, diff)
	}
}

func corpus(t testing.TB, dir string) []string {
	files, _ := filepath.Glob("../testdata/" + dir + "/*")
	if len(files) == 0 {
		t.Fatal("there is no corpus")
	}
	return files
}

func TestCorpus(t *testing.T) {
	good, bad := corpus(t, "good"), corpus(t, "bad")
	if len(good) < 60 {
		t.Errorf("only %d Dockerfiles", len(good))
	}
	for _, file := range append(good, bad...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, filepath.Base(file), text)
		_, _, err = theirs(text)
		if refused := slices.Contains(bad, file); refused != (err != nil) {
			t.Errorf("BuildKit says of %s: %v", file, err)
		}
	}
}

// TestTheirCorpus reads what BuildKit tests itself with.
func TestTheirCorpus(t *testing.T) {
	dir := os.Getenv("BUILDKIT_DIR")
	if dir == "" {
		t.Skip("BUILDKIT_DIR is not set: make test-dockerfile sets it")
	}
	files, _ := filepath.Glob(dir + "/frontend/dockerfile/parser/testfile*/*/" +
		"Dockerfile")
	if len(files) < 30 {
		t.Fatalf("only %d Dockerfiles in %s", len(files), dir)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, filepath.Base(filepath.Dir(file)), text)
	}
}

// different are places where we refuse what BuildKit accepts and ignores, or
// do not yet look: flags that mean nothing, and what is in --mount.
var different = regexp.MustCompile(`(?i)(arg|stopsignal|healthcheck|onbuild)` +
	`[^\n]*--|--mount|--security|healthcheck|onbuild|[^\x20-\x7e\n]|\\[\n ]*` +
	`(arg|stopsignal)`)

// FuzzParse looks for Dockerfiles that we read differently.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		for _, file := range corpus(f, dir) {
			text, _ := os.ReadFile(file)
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !different.Match(text) {
			compare(t, strconv.Quote(string(text)), text)
		}
	})
}

type environment map[string]string

func (e environment) Get(name string) (string, bool) {
	value, set := e[name]
	return value, set
}

func (e environment) Keys() (keys []string) {
	for key := range e {
		keys = append(keys, key)
	}
	return keys
}

var env = environment{"A": "one", "B": "two words", "EMPTY": "",
	"FILE": "/usr/lib/libc.so.6", "STAR": "a*b?c"}

func expandBoth(t *testing.T, word string) {
	t.Helper()
	for _, escape := range `\` + "`" {
		lex := shell.NewLex(escape)
		want, _, bad := lex.ProcessWord(word, env)
		got, err := dockerfile.Expand(word, escape, env.Get)
		if got != want && bad == nil || (err == nil) != (bad == nil) {
			t.Errorf("%q: we say %q (%v), BuildKit says %q (%v)", word, got,
				err, want, bad)
		}
	}
}

var words = []string{"$A", "${A}x", "$B y", "${N:-d}", "${N-d}", "${EMPTY:-d}",
	"${EMPTY-d}", "${A:+d}", "${N:+d}", "${EMPTY:+d}", "${EMPTY+d}", "${N:?no}",
	"${N?}", "${EMPTY:?}", "${EMPTY?x}", `'$A'`, `"$A"`, `\$A`, `"\$A"`, `a\ b`,
	"`$A", "$", "$$", "$1", "$12a", "${1}", "$-", "${", "${A", "${A:", "${A:-",
	"${}", "${:}", "${{}", "${A!}", "${A:x}", "'", `"`, `"\`, `\`, `a\`,
	"${FILE#*/}", "${FILE##*/}", "${FILE%.*}", "${FILE%%.*}", "${FILE%/*}",
	"${FILE/lib/x}", "${FILE//lib/x}", `${FILE//\//_}`, "${FILE/l?b/x}",
	`${STAR/\*/x}`, `${STAR/\?/x}`, "${STAR#a*}", `${A/\x/y}`, "${A//o*/$B}",
	"${N:-${M:-$A}}", "${A:+${B}}", `${N:-"a b"}`, `${N:-'}'}`, `${N:-\}}`,
	"${FILE#}", "${FILE%}", "${FILE/}", "${FILE//}", "${N/a/b}", "é$Aé", ""}

func TestExpand(t *testing.T) {
	for _, word := range words {
		expandBoth(t, word)
	}
}

// FuzzExpand leaves out what can be read in two ways: a pattern that ends in
// the middle of a letter.
func FuzzExpand(f *testing.F) {
	for _, word := range words {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if !different.MatchString(word) && !strings.Contains(word, "\x00") {
			expandBoth(t, word)
		}
	})
}

func ignoreBoth(t *testing.T, text, name string) {
	t.Helper()
	lines, bad := ignorefile.ReadAll(strings.NewReader(text))
	var want bool
	if bad == nil {
		var m *patternmatcher.PatternMatcher
		if m, bad = patternmatcher.New(lines); bad == nil {
			want, bad = m.MatchesOrParentMatches(name)
		}
	}
	g, err := ignore.Parse(text)
	if bad != nil || err != nil {
		return
	}
	if got := g.Match(name); got != want {
		t.Errorf("%q, %q: we say %v, Docker says %v", text, name, got, want)
	}
}

func TestIgnore(t *testing.T) {
	names := []string{"a", "a/b", "a/b/c", "x.md", "d/x.md", "README.md",
		"node_modules/x/y.js", "src/node_modules/z", "tmp", "tmpx", "a.o",
		"a/b.o", ".git/config", "docs/a.txt", "docs/b/c.txt", "[x]", "a b"}
	for _, text := range []string{"*", "*\n!a", "*\n!a/b", "**/*.md", "*.md",
		"!README.md\n*.md", "*.md\n!README.md", "/a", "a/", "./a", "a/../x.md",
		"node_modules", "**/node_modules", "tmp*", "?", "a/?", "[a-c]", "[^a]",
		`\[x\]`, "**", "**/b", "a/**", "a/**/c", "**/*.o\n!a/b.o", "# no\n a ",
		".git", "docs/*\n!docs/*.txt", "docs\n!docs/b", "a b", "*/b", "*/*/c",
		"a**", "a*b", "", "\n\n", "!a\n*", "[]a]", "+(a)", "a|b", "{a,b}",
		"$a", "^a", "d.*", ".", "/", "!"} {
		for _, name := range names {
			ignoreBoth(t, text, name)
		}
	}
}

func FuzzIgnore(f *testing.F) {
	f.Add("*.md\n!a\n**/b/[c-d]?\n", "x/b/c1")
	safe := regexp.MustCompile(`^[a-e./]+$`)
	plain := regexp.MustCompile(`^[a-e./*?!\n]+$`)
	f.Fuzz(func(t *testing.T, text, name string) {
		name = strings.TrimPrefix(filepath.Clean(name), "/")
		if safe.MatchString(name) && plain.MatchString(text) &&
			!strings.HasPrefix(name, "..") && name != "." && name != "" {
			ignoreBoth(t, text, name)
		}
	})
}

// TestQuick compares variations of the corpus: a piece taken out or doubled.
func TestQuick(t *testing.T) {
	end := time.Now().Add(3 * time.Second)
	for _, file := range corpus(t, "good") {
		text, _ := os.ReadFile(file)
		for i := 1; i < len(text) && time.Now().Before(end); i += 7 {
			for _, n := range []int{1, 2, 9} {
				j := min(i+n, len(text))
				for _, changed := range [][]byte{
					append(bytes.Clone(text[:i]), text[j:]...),
					append(bytes.Clone(text[:j]), text[i:]...)} {
					if !different.Match(changed) {
						compare(t, filepath.Base(file)+" "+
							strconv.Quote(string(changed)), changed)
					}
				}
			}
		}
	}
}
