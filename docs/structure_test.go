package docs

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What a step may hold. A step that does not fit teaches too much at once.
const (
	stepCount    = 7
	firstCode    = 150 // lines of code in step 1
	allCode      = 950
	fileLines    = 200
	functionSize = 40
	columns      = 80
	tabWidth     = 4
	cLines       = 150
)

// plan says how each step may differ from the one before.
type plan struct {
	adds    int // lines of code more than the last step
	removes int // lines of the growing files that may go or be rewritten
}

// Steps 5 and 6 hold the most: the network, and two versions of cgroups.
// A removed line is one that the reader learnt in the last step and has to
// unlearn, so there are few; what they are for stands beside each number.
var plans = map[int]plan{
	2: {120, 32}, // run is cut in two, parent and init; exec takes a pidfd
	3: {120, 10}, // flags and options are added to lines that exist
	4: {120, 35}, // exec goes through a raw clone; run needs no root
	5: {190, 25},
	6: {190, 25},
	7: {120, 25},
}

// growing are the files that each step may extend. All others are kept byte
// for byte.
var growing = []string{"main.go", "clone.go", "setns.go", "unshare.go",
	"errors.go"}

// imports that are not of the standard library, by the step that brings them.
var thirdParty = map[string]int{
	"golang.org/x/sys/unix":          1,
	"github.com/urfave/cli/v2":       1,
	"github.com/vishvananda/netlink": 5,
	"github.com/google/nftables":     5,
}

// TestStepsExist wants all seven steps.
func TestStepsExist(t *testing.T) {
	found := steps(repoRoot)
	if len(found) != stepCount {
		t.Errorf("%d steps of %d: %v", len(found), stepCount, found)
	}
	for i, step := range found {
		if !strings.HasPrefix(step, fmt.Sprintf("step%02d-", i+1)) {
			t.Errorf("%s stands where step %d belongs", step, i+1)
		}
	}
}

// goFiles returns the Go files of a step that are not tests.
func goFiles(t *testing.T, step string) map[string][]byte {
	files, err := sources(filepath.Join(repoRoot, step))
	if err != nil {
		t.Fatal(err)
	}
	for name := range files {
		if !strings.HasSuffix(name, ".go") {
			delete(files, name)
		}
	}
	return files
}

// codeLines counts the lines that hold something else than a comment.
func codeLines(src []byte) int {
	set := token.NewFileSet()
	file := set.AddFile("", set.Base(), len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, 0)
	lines := map[int]bool{}
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue // the scanner's own
		}
		first := file.Line(pos)
		for n := range strings.Count(text, "\n") + 1 {
			lines[first+n] = true
		}
	}
}

func stepCode(t *testing.T, step string) (n int) {
	for _, src := range goFiles(t, step) {
		n += codeLines(src)
	}
	return n
}

// TestStepSizes counts lines of code: no tests, blank lines or comments.
func TestStepSizes(t *testing.T) {
	last := 0
	for i, step := range steps(repoRoot) {
		n := stepCode(t, step)
		t.Logf("%-15s %4d lines of code, %+4d", step, n, n-last)
		limit := firstCode
		if i > 0 {
			limit = plans[i+1].adds
		}
		if n-last > limit {
			t.Errorf("%s adds %d lines of code; %d are allowed", step,
				n-last, limit)
		}
		if n > allCode {
			t.Errorf("%s has %d lines of code; %d are allowed", step, n,
				allCode)
		}
		last = n
	}
}

// TestStepsGrow checks that a step keeps what it has from the last one.
func TestStepsGrow(t *testing.T) {
	found := steps(repoRoot)
	for i := 1; i < len(found); i++ {
		t.Run(found[i], func(t *testing.T) {
			compareGrowth(t, found[i-1], found[i], plans[i+1].removes)
		})
	}
}

func compareGrowth(t *testing.T, last, step string, allowed int) {
	before, after := goFiles(t, last), goFiles(t, step)
	total := 0
	for name, old := range before {
		now, ok := after[name]
		switch {
		case !ok:
			t.Errorf("%s/%s is gone", step, name)
		case bytes.Equal(old, now):
		case !slices.Contains(growing, name):
			t.Errorf("%s/%s is not that of %s; only %v may grow", step,
				name, last, growing)
		default:
			added, removed := countChanges(textLines(old), textLines(now))
			t.Logf("%-11s %3d lines added, %2d removed", name, added,
				removed)
			total += removed
		}
	}
	t.Logf("%d lines removed; %d are allowed", total, allowed)
	if total > allowed {
		t.Errorf("%d lines of %s are gone or rewritten; %d may be", total,
			last, allowed)
	}
}

// TestHarness checks that all steps share the same test harness.
func TestHarness(t *testing.T) {
	var first []byte
	for _, step := range steps(repoRoot) {
		text, err := os.ReadFile(filepath.Join(repoRoot, step,
			"harness_test.go"))
		if err != nil {
			t.Error(err)
			continue
		}
		if first == nil {
			first = text
		}
		if !bytes.Equal(first, text) {
			t.Errorf("%s/harness_test.go is not that of step 1", step)
		}
	}
}

// TestGoForm checks that every Go file of a step can be read on a page.
func TestGoForm(t *testing.T) {
	for _, step := range steps(repoRoot) {
		for name, src := range goFiles(t, step) {
			path := step + "/" + name
			t.Run(path, func(t *testing.T) { checkGoForm(t, path, src) })
		}
		tests, _ := filepath.Glob(filepath.Join(repoRoot, step, "*_test.go"))
		for _, path := range tests {
			checkGoLines(t, path)
		}
	}
}

func checkGoForm(t *testing.T, path string, src []byte) {
	if n := len(textLines(src)); n > fileLines {
		t.Errorf("%d lines; a file has at most %d", n, fileLines)
	}
	checkGoLines(t, filepath.Join(repoRoot, path))
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from, to := set.Position(f.Pos()).Line, set.Position(f.End()).Line
		if n := to - from + 1; n > functionSize {
			t.Errorf("%s has %d lines; a function has at most %d",
				f.Name.Name, n, functionSize)
		}
	}
}

// checkGoLines checks a file's format, width and letters.
func checkGoLines(t *testing.T, path string) {
	src, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	if nice, err := format.Source(src); err != nil ||
		!bytes.Equal(nice, src) {
		t.Errorf("%s: run gofmt (%v)", path, err)
	}
	checkWidth(t, path, src)
}

func checkWidth(t *testing.T, path string, src []byte) {
	tab := strings.Repeat(" ", tabWidth)
	for i, line := range textLines(src) {
		wide := strings.ReplaceAll(line, "\t", tab)
		if n := len([]rune(wide)); n > columns {
			t.Errorf("%s:%d: %d columns; %d are allowed", path, i+1, n,
				columns)
		}
		if len(wide) != len([]rune(wide)) {
			t.Errorf("%s:%d: a letter that is not ASCII", path, i+1)
		}
	}
}

// TestCForm checks the C programs' size.
func TestCForm(t *testing.T) {
	for _, step := range steps(repoRoot) {
		paths, _ := filepath.Glob(filepath.Join(repoRoot, step, "c", "*"))
		if len(paths) == 0 {
			t.Errorf("%s has no C programs", step)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(textLines(src)); n > cLines {
				t.Errorf("%s: %d lines; a C file has at most %d", path, n,
					cLines)
			}
			checkWidth(t, path, src)
		}
	}
}

// TestImports checks that a step stands alone, without cgo, and on no more
// libraries than it may use.
func TestImports(t *testing.T) {
	for i, step := range steps(repoRoot) {
		for name, src := range goFiles(t, step) {
			file, err := parser.ParseFile(token.NewFileSet(), name, src,
				parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range file.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				if why := badImport(path, i+1); why != "" {
					t.Errorf("%s/%s imports %s: %s", step, name, path, why)
				}
			}
		}
	}
}

// badImport says why a step may not import a package.
func badImport(path string, step int) string {
	first, _, _ := strings.Cut(path, "/")
	switch {
	case path == "C":
		return "no cgo"
	case path == "container-workshop" ||
		strings.HasPrefix(path, "container-workshop/"):
		return "a step stands alone"
	case !strings.Contains(first, "."):
		return "" // the standard library
	}
	for allowed, since := range thirdParty {
		same := path == allowed || strings.HasPrefix(path, allowed+"/")
		if same && step >= since {
			return ""
		}
	}
	return "not among the libraries that this step may use"
}

// dependencies are the modules that were chosen; each has a row in what the
// design says of libraries.
var dependencies = []string{
	"github.com/docker/go-units",
	"github.com/google/go-cmp",
	"github.com/google/go-containerregistry",
	"github.com/google/nftables",
	"github.com/klauspost/compress",
	"github.com/moby/profiles/seccomp",
	"github.com/opencontainers/go-digest",
	"github.com/opencontainers/image-spec",
	"github.com/opencontainers/runtime-spec",
	"github.com/rogpeppe/go-internal",
	"github.com/urfave/cli/v2",
	"github.com/vishvananda/netlink",
	"github.com/vishvananda/netns",
	"golang.org/x/net",
	"golang.org/x/sync",
	"golang.org/x/sys",
}

// TestDirectDependencies holds what is imported, and go.mod, against the list
// that was chosen.
func TestDirectDependencies(t *testing.T) {
	imported := map[string]bool{}
	for _, path := range goList(t, "-test", "-f",
		`{{if not .Standard}}{{join .Imports "\n"}}{{end}}`, "./...") {
		for _, module := range dependencies {
			if path == module || strings.HasPrefix(path, module+"/") {
				imported[module] = true
			}
		}
	}
	for _, module := range dependencies {
		if !imported[module] {
			t.Errorf("nothing imports %s", module)
		}
	}
	got := goList(t, "-m", "-f",
		"{{if not (or .Indirect .Main)}}{{.Path}}{{end}}", "all")
	if !slices.Equal(got, dependencies) {
		t.Errorf("go.mod requires %v; chosen were %v", got, dependencies)
	}
}

// goList returns the lines of `go list`, without empty ones.
func goList(t *testing.T, args ...string) (lines []string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = repoRoot
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0",
		"GOFLAGS=-tags=urfave_cli_no_docs")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}
