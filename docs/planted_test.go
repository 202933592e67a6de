package docs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// readChecks runs all checks on one page that need only read.
func readChecks(t *testing.T, p *page) (bad []problem) {
	problems, _ := checkSnippets(p, false)
	bad = append(bad, problems...)
	problems, _ = checkChanged(p, false)
	bad = append(bad, problems...)
	bad = append(bad, checkLinks(p)...)
	bad = append(bad, checkErrnoRows(p)...)
	bad = append(bad, checkTargets(p)...)
	if isErrnoPage(p) {
		bad = append(bad, checkErrnoPage(p, "step02-bb")...)
	}
	if isChapter(p) {
		bad = append(bad, checkChapter(p)...)
	}
	if p.translated() {
		en, err := readPage(p.root, englishOf(p.path))
		if err != nil {
			t.Fatal(err)
		}
		return append(bad, checkTranslation(en, p)...)
	}
	_, problems = blocks(p)
	return append(bad, problems...)
}

// runChecks runs a page's transcripts.
func runChecks(t *testing.T, p *page) (bad []problem) {
	found, _ := blocks(p)
	for _, b := range found {
		if b.skip == "" {
			b.timeout = 2 * time.Second
			bad = append(bad, b.run(t)...)
		}
	}
	return bad
}

// sampleRepo copies the small repository in testdata, with a translation of
// its chapter that is up to date.
func sampleRepo(t *testing.T) string {
	root := t.TempDir()
	if err := copyTree("testdata/repo", root); err != nil {
		t.Fatal(err)
	}
	en, err := readPage(root, "step02-bb/README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("new, 18 lines", "新增，18 行",
		"4 lines added, 1 removed", "增 4 行，删 1 行",
		"unchanged", "未变", "## The hole", "## 漏洞").
		Replace(strings.Join(en.lines, "\n"))
	zh, err := parsePage(root, "step02-bb/README.zh.md", text)
	if err != nil {
		t.Fatal(err)
	}
	stampSections(en, zh)
	if err := zh.write(); err != nil {
		t.Fatal(err)
	}
	return root
}

const (
	chapterPage = "step02-bb/README.md"
	chinesePage = "step02-bb/README.zh.md"
)

// planted is an error put into the sample repository: in file, old becomes
// now. The check of page must then say something that contains want.
type planted struct {
	name, file, old, now, page, want string
}

var plantedErrors = []planted{
	{"changed Go code", "step02-bb/main.go", `return "hello"`,
		`return "hi"`, chapterPage, "main.go#greet: the block is not the code"},
	{"changed C code", "step02-bb/c/clone.c", "return printf",
		"return 1 + printf", chapterPage, "clone.c#child: the block is not"},
	{"changed comment", "step02-bb/main.go", "// greet says hello.",
		"// greet greets.", chapterPage, "the block is not the code"},
	{"changed snippet", chapterPage, "func greet() string {",
		"func greet() (s string) {", chapterPage, "the block is not the code"},
	{"renamed declaration", "step02-bb/main.go", "greet()", "hail()",
		chapterPage, "nothing named greet"},
	{"renamed C function", "step02-bb/c/clone.c", "child(", "kid(",
		chapterPage, "nothing named child"},
	{"snippet of no file", chapterPage, "code: main.go", "code: mian.go",
		chapterPage, "there is no file mian.go"},
	{"code that nobody checks", chapterPage,
		"<!-- sketch: how it might be -->\n", "", chapterPage,
		"c code without"},
	{"commands that nobody runs", chapterPage, "```console order=any",
		"```bash", chapterPage, "commands stand in console fences"},
	{"changed output", chapterPage, "\ntwo\n", "\ntoo\n", chapterPage,
		`no match at "too"`},
	{"missing output", chapterPage, "\ntwo\n", "\n", chapterPage,
		"no match at the end"},
	{"one output line too many", chapterPage, "17 again", "17 again\nmore",
		chapterPage, `no match at "more"`},
	{"changed exit status", chapterPage, "$ echo $?\n1", "$ echo $?\n0",
		chapterPage, `no match at "0"`},
	{"wrong kind of token", chapterPage, `"id is 17"`, `"id is x7"`,
		chapterPage, "id is <n>"},
	{"same name, two values", chapterPage, "uts:[<inside>]",
		"uts:[<host>]", chapterPage, "no match at"},
	{"two names, one value", chapterPage, `echo "uts:[200]"`,
		`echo "uts:[100]"`, chapterPage, "the page shows two, there is one"},
	{"order=any with another line", chapterPage, "$ echo b; echo a",
		"$ echo b; echo c", chapterPage, "no match"},
	{"without order=any", chapterPage, "console order=any", "console",
		chapterPage, "no match"},
	{"a command that hangs", chapterPage, "sleep 100 & echo started",
		"sleep 100; echo started", chapterPage, "not done after 2s"},
	{"a mount that stays", chapterPage, "$ echo b; echo a",
		"$ mkdir m; mount -t tmpfs none m; echo b; echo a", chapterPage,
		"left mounted"},
	{"a file that stays", chapterPage, "$ echo b; echo a",
		"$ touch file; echo b; echo a", chapterPage, "left behind: file"},
	{"a shell left elsewhere", chapterPage, "$ echo b; echo a",
		"$ cd /; echo b; echo a", chapterPage, "the shell is left in /"},
	{"a shell that ends early", chapterPage, "$ seq 5\n", "$ exit; seq 5\n",
		chapterPage, "no match"},
	{"an unknown word", chapterPage, "console as=user", "console az=user",
		chapterPage, "unknown word"},
	{"a reason that is none", chapterPage, "console as=user",
		"console skip=later", chapterPage, "skip=later"},
	{"root without needs=root", chapterPage, "$ echo b; echo a",
		"# echo b; echo a", chapterPage, "needs=root is missing"},
	{"dead link", chapterPage, "../docs/errno.md#", "../docs/error.md#",
		chapterPage, "there is no docs/error.md"},
	{"dead anchor", chapterPage, "(#the-idea)", "(#the-ideas)",
		chapterPage, "no heading #the-ideas"},
	{"link out of the repository", chapterPage, "../docs/errno.md#errors",
		"../../README.md", chapterPage, "outside the repository"},
	{"renamed heading elsewhere", "docs/errno.md", "# Errors", "# Faults",
		chapterPage, "no heading #errors"},
	{"target that is none", chapterPage, "Do it.", "Do `make it-step2 A=b`.",
		chapterPage, "make it-step2: no such target"},
	{"errno row without a test", chapterPage, "| `TestPart/no_such_name` |",
		"| no |", chapterPage, "names no test"},
	{"errno row with a missing test", chapterPage, "`TestPart/",
		"`TestParts/", chapterPage, "there is no TestParts"},
	{"errno row with a missing subtest", chapterPage, "/no_such_name",
		"/no_such_thing", chapterPage, "no subtest"},
	{"errno that the test does not know", chapterPage, "| ENOENT |",
		"| EPERM |", chapterPage, "says nothing of EPERM"},
	{"errno that the page of all lacks", "docs/errno.md", "| ENOENT |",
		"| EPERM |", "docs/errno.md", "ENOENT of step02-bb is missing"},
	{"errno that a program knows", "step02-bb/main.go", `return "hello"`,
		`return "clone ENOSPC"`, "docs/errno.md", "ENOSPC is missing, which"},
	{"errno that does not exist", chapterPage, "| ENOENT |",
		"| ENOENTRY |", chapterPage, "not an errno"},
	{"renamed test", "step02-bb/step_test.go", "func TestPart(",
		"func TestPiece(", "docs/errno.md", "there is no TestPart"},
	{"wrong count", chapterPage, "new, 18 lines", "new, 17 lines",
		chapterPage, "in truth"},
	{"changed file called unchanged", chapterPage,
		"| 4 lines added, 1 removed |", "| unchanged |", chapterPage,
		"in truth"},
	{"unchanged file that changed", "step02-bb/c/clone.c", `"one"`, `"uno"`,
		chapterPage, `"unchanged|", in truth "1 line added, 1 removed"`},
	{"file left out of the table", chapterPage,
		"| `part.go` | new, 18 lines | the part |\n", "", chapterPage,
		"part.go is missing"},
	{"file that is in neither step", chapterPage, "| `c/clone.c` |",
		"| `c/clone.c`, `x.go` |", chapterPage, "x.go is in neither step"},
	{"no table of changes", chapterPage, "<!-- changed: ../step01-aa -->",
		"", chapterPage, "no <!-- changed:"},
	{"sections in the wrong order", chapterPage, "## Break it",
		"## Lab", chapterPage, `here the section "Break it" is due`},
	{"missing section", chapterPage, "## Read on\n", "", chapterPage,
		`"Read on" is missing`},
	{"too few words", chapterPage, "word word word word word word word ",
		"", chapterPage, "a chapter has 600 to 1400"},
	{"too few commands", chapterPage, "console as=user",
		"console skip=interactive", chapterPage,
		"commands that run; a chapter has 8 or more"},
	{"no time", chapterPage, "About 5 minutes", "Not long", chapterPage,
		"minutes"},
	{"no diagram", chapterPage, "```mermaid", "```text", chapterPage,
		"no mermaid diagram"},
	{"no question", chapterPage, "What will it say?", "It says.",
		chapterPage, "no question"},
	{"stale translation", chapterPage, "Do it.", "Do it now.", chinesePage,
		`"Lab" is stale`},
	{"unequal fence", chinesePage, "$ echo b; echo a", "$ echo c; echo a",
		chinesePage, "the fence is not that of"},
	{"fence left out", chinesePage, "```mermaid\nflowchart LR\n" +
		"  a --> b\n```\n", "", chinesePage, "fences; the English page has"},
	{"heading left out", chinesePage, "## 漏洞", "", chinesePage,
		"headings; the English page has"},
	{"hash left out", chinesePage, "<!-- en:", "<!-- was:", chinesePage,
		"no <!-- en:HASH -->"},
	{"wrong count in translation", chinesePage, "新增，18 行", "新增，9 行",
		chinesePage, "in truth"},
}

// TestPlantedErrors plants each kind of error and sees it caught. What the
// checker does not notice here, it would not notice in a chapter.
func TestPlantedErrors(t *testing.T) {
	for _, e := range plantedErrors {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			if e.name == "a mount that stays" && os.Geteuid() != 0 {
				t.Skip("not root: run the check with sudo")
			}
			root := sampleRepo(t)
			path := filepath.Join(root, e.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), e.old) {
				t.Fatalf("%s has no %q to change", e.file, e.old)
			}
			n := 1
			if e.name == "too few words" {
				n = 40
			} else if strings.HasPrefix(e.name, "renamed") {
				n = -1
			}
			now := strings.Replace(string(text), e.old, e.now, n)
			if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
				t.Fatal(err)
			}
			p, err := readPage(root, e.page)
			if err != nil {
				t.Fatal(err)
			}
			bad := readChecks(t, p)
			if !says(bad, e.want) {
				bad = append(bad, runChecks(t, p)...)
			}
			if !says(bad, e.want) {
				t.Errorf("not caught: want %q, got %v", e.want, bad)
			}
		})
	}
}

func says(bad []problem, want string) bool {
	return slices.ContainsFunc(bad, func(p problem) bool {
		return strings.Contains(p.String(), want)
	})
}

// TestSampleIsClean shows that the planted errors are the only ones.
func TestSampleIsClean(t *testing.T) {
	root := sampleRepo(t)
	for _, path := range []string{chapterPage, chinesePage, "docs/errno.md"} {
		p, err := readPage(root, path)
		if err != nil {
			t.Fatal(err)
		}
		bad := readChecks(t, p)
		if !p.translated() {
			bad = append(bad, runChecks(t, p)...)
		}
		for _, problem := range bad {
			t.Error(problem)
		}
	}
}
