package docs

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What minidocker may hold: one person can read all of it.
const (
	finalCode     = 9000 // lines of code of all packages
	finalPackage  = 1000
	finalFile     = 350
	finalFunction = 60
	finalModule   = "container-workshop/"
)

// larger are the packages, files and functions that are over today, with their
// size. They may only shrink.
var larger = map[string]int{
	"cgroups":                1008,
	"cli":                    2381,
	"engine":                 2401,
	"final":                  22224,
	"flags/limits.go#memory": 61,
	"rootfs":                 1008,
	"runtime":                1001,
}

// floors are the packages of final/, from the ground up. Each imports only what
// stands on a floor below its own.
var floors = [][]string{
	{"arguments", "build/output", "capabilities", "cgroups", "dockerfile",
		"dockerfile/ignore", "journal", "layers", "namespaces",
		"network/names", "network/rules", "reaper", "reference", "rootfs",
		"seccomp", "seccomp/profile", "terminal"},
	{"dockerfile/config"},
	{"flags", "image", "inside", "network/nat", "network/rootless"},
	{"archive", "build/files", "build/input", "bundle", "network", "registry",
		"runtime"},
	{"minirunc", "monitor"},
	{"engine", "xray"},
	{"build", "files", "xray/view"},
	{"cli"},
	{"start"},
	{"."},
}

// light are the programs that start with every container. What they import is
// initialised each time, so there is no room for large libraries.
var light = []string{"inside", "monitor"}

// finalPackages returns the Go files of final/ that are not tests, nor what the
// tests share, by package and name.
func finalPackages(t *testing.T) map[string]map[string][]byte {
	top := filepath.Join(repoRoot, "final")
	found := map[string]map[string][]byte{}
	walk := func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir, _ := filepath.Rel(top, filepath.Dir(path))
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "harness") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if found[dir] == nil {
			found[dir] = map[string][]byte{}
		}
		found[dir][d.Name()] = src
		return err
	}
	if err := filepath.WalkDir(top, walk); err != nil {
		t.Fatal(err)
	}
	return found
}

// limited complains about what is larger than allowed, or than it was.
func limited(t *testing.T, what string, n, limit int) {
	t.Helper()
	was, exception := larger[what]
	switch {
	case exception && n > was:
		t.Errorf("%s has %d lines; it had %d, and %d are allowed", what, n,
			was, limit)
	case exception && n <= limit:
		t.Errorf("%s has %d lines, no more than allowed: it needs no exception",
			what, n)
	case exception && n < was:
		t.Logf("%s has %d lines, fewer than %d: write so", what, n, was)
	case !exception && n > limit:
		t.Errorf("%s has %d lines; %d are allowed", what, n, limit)
	}
}

// TestFinalSizes counts lines of code: no tests, blank lines or comments.
func TestFinalSizes(t *testing.T) {
	total, seen := 0, map[string]bool{}
	packages := finalPackages(t)
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		sum := 0
		for name, src := range packages[dir] {
			path := filepath.Join(dir, name)
			n := codeLines(src)
			limited(t, path, n, finalFile)
			sum, seen[path] = sum+n, true
			for function, size := range functions(t, path, src) {
				what := path + "#" + function
				limited(t, what, size, finalFunction)
				seen[what] = true
			}
		}
		t.Logf("%-17s %5d lines of code", dir, sum)
		limited(t, dir, sum, finalPackage)
		total, seen[dir] = total+sum, true
	}
	t.Logf("%-17s %5d lines of code", "final", total)
	limited(t, "final", total, finalCode)
	seen["final"] = true
	for what := range larger {
		if !seen[what] {
			t.Errorf("%s is gone: it needs no exception", what)
		}
	}
}

// functions returns how many lines each function of a file has, from its first
// to its last.
func functions(t *testing.T, path string, src []byte) map[string]int {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from, to := set.Position(f.Pos()).Line, set.Position(f.End()).Line
		name := f.Name.Name
		sizes[name] = max(sizes[name], to-from+1)
	}
	return sizes
}

// TestFinalForm checks the width and the format of all Go files of final/.
func TestFinalForm(t *testing.T) {
	top := filepath.Join(repoRoot, "final")
	filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return nil
		}
		nice, err := format.Source(src)
		if err != nil || !bytes.Equal(nice, src) {
			t.Errorf("%s: run gofmt (%v)", path, err)
		}
		tab := strings.Repeat(" ", tabWidth)
		for i, line := range textLines(src) {
			wide := []rune(strings.ReplaceAll(line, "\t", tab))
			if len(wide) > columns {
				t.Errorf("%s:%d: %d columns; %d are allowed", path, i+1,
					len(wide), columns)
			}
		}
		return nil
	})
}

// TestFinalFloors checks that a package imports only what stands below it, and
// nothing of the steps.
func TestFinalFloors(t *testing.T) {
	level := map[string]int{}
	for i, floor := range floors {
		for _, dir := range floor {
			level[dir] = i
		}
	}
	packages := finalPackages(t)
	for dir := range level {
		if packages[dir] == nil {
			t.Errorf("final/%s is gone: take it out of floors", dir)
		}
	}
	for dir, files := range packages {
		here, known := level[dir]
		if !known {
			if !generator(files) {
				t.Errorf("final/%s has no floor: give it one", dir)
			}
			continue
		}
		for name, src := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, src,
				parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range file.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				if path == "C" {
					t.Errorf("final/%s/%s: no cgo", dir, name)
				}
				rest, ours := strings.CutPrefix(path, finalModule)
				below, inFinal := strings.CutPrefix(rest, "final/")
				under, known := level[below]
				if !ours || inFinal && known && under < here {
					continue
				}
				t.Errorf("final/%s/%s imports %s, which does not stand below "+
					"it", dir, name, path)
			}
		}
	}
}

var arrow = regexp.MustCompile(`^  ([a-z]+) --> (.*)$`)

// TestFinalPicture checks that the arrows of docs/final.md are imports.
func TestFinalPicture(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repoRoot, "docs", "final.md"))
	if err != nil {
		t.Fatal(err)
	}
	packages, arrows := finalPackages(t), 0
	for _, line := range textLines(text) {
		m := arrow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for _, to := range strings.Split(m[2], " & ") {
			if _, label, ok := strings.Cut(to, `["`); ok {
				to = strings.TrimSuffix(label, `"]`)
			}
			arrows++
			imported := []byte(strconv.Quote(finalModule + "final/" + to))
			files := slices.Collect(maps.Values(packages[m[1]]))
			if !bytes.Contains(bytes.Join(files, nil), imported) {
				t.Errorf("the picture shows that %s imports %s", m[1], to)
			}
		}
	}
	if arrows == 0 {
		t.Error("there is no picture")
	}
}

// generator tells a directory whose files are not built.
func generator(files map[string][]byte) bool {
	for _, src := range files {
		if !bytes.HasPrefix(src, []byte("//go:build ignore")) {
			return false
		}
	}
	return true
}

// TestFinalStart checks what every start of a container pays for: the packages
// that the init process and the monitor wait for.
func TestFinalStart(t *testing.T) {
	may := []string{"container-workshop/final/",
		"github.com/opencontainers/runtime-spec/specs-go", "golang.org/x/sys/",
		"golang.org/x/net/dns/dnsmessage", "internal/", "vendor/"}
	for _, dir := range light {
		for _, path := range goList(t, "-deps", "./final/"+dir) {
			first, _, _ := strings.Cut(path, "/")
			standard := !strings.Contains(first, ".") &&
				first != "container-workshop"
			allowed := slices.ContainsFunc(may, func(p string) bool {
				return path == p || strings.HasPrefix(path, p)
			})
			if !standard && !allowed ||
				slices.Contains([]string{"regexp", "net/http", "crypto/tls",
					"text/template", "flag"}, path) {
				t.Errorf("final/%s pays for %s at each start", dir, path)
			}
		}
	}
}
