package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestErrnoRows checks that every row of a table of errors names a test that
// exists and that speaks of that errno.
func TestErrnoRows(t *testing.T) { eachPage(t, checkErrnoRows) }

func checkErrnoRows(p *page) (bad []problem) {
	first, last, ok := 0, len(p.lines), isErrnoPage(p)
	if stepDir.MatchString(filepath.Dir(p.path)) {
		first, last, ok = p.section("Errors you will meet")
	}
	if !ok || p.translated() {
		return nil // its rows are held against the English ones
	}
	rows := 0
	for i := first; i < last; i++ {
		t, isTable := p.tableAt(i)
		if p.inside[i] || !isTable {
			continue
		}
		for k, row := range t.rows[1:] {
			rows++
			if err := p.checkErrnoRow(row); err != nil {
				bad = append(bad, p.problem(t.at[k+1], "%v", err))
			}
		}
		i = t.last
	}
	if rows == 0 {
		bad = append(bad, p.problem(first, "no table of errors"))
	}
	return bad
}

// TestErrnoPageIsComplete holds docs/errno.md against the chapters, the suites
// and the programs: what one of them knows, the page has.
func TestErrnoPageIsComplete(t *testing.T) {
	p, err := readPage(repoRoot, "docs/errno.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps(repoRoot) {
		for _, problem := range checkErrnoPage(p, step) {
			t.Error(problem)
		}
	}
}

func checkErrnoPage(p *page, step string) (bad []problem) {
	known := p.errnoRows(0, len(p.lines))
	chapter, err := readPage(p.root, step+"/README.md")
	if err != nil {
		return []problem{{step, 1, err.Error()}}
	}
	first, last, _ := chapter.section("Errors you will meet")
	for name, rows := range chapter.errnoRows(first, last) {
		for _, row := range rows {
			same := func(other string) bool {
				for _, m := range testName.FindAllStringSubmatch(row, -1) {
					top, _, _ := strings.Cut(m[1], "/")
					if regexp.MustCompile("`" + top + "[`/][^)]*" + step).
						MatchString(other) {
						return true
					}
				}
				return false
			}
			if !slices.ContainsFunc(known[name], same) {
				bad = append(bad, problem{p.path, 1, fmt.Sprintf("%s of %s "+
					"is missing: %s", name, step, row)})
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join(p.root, step, "*.go"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, m := range quotedErrno.FindAllStringSubmatch(string(text), -1) {
			if strerror(m[1]) != "" && known[m[1]] == nil {
				bad = append(bad, problem{p.path, 1, fmt.Sprintf(
					"%s is missing, which %s knows", m[1], file)})
			}
		}
	}
	return bad
}

// A suite expects "EPERM", a program has advice for "clone EPERM".
var quotedErrno = regexp.MustCompile(`\b(E[A-Z0-9]{2,})"`)

// errnoRows maps errnos, and "no errno", to the rows that have them.
func (p *page) errnoRows(first, last int) map[string][]string {
	rows := map[string][]string{}
	for i := first; i < last; i++ {
		row := cells(p.lines[i])
		if p.inside[i] || !strings.HasPrefix(p.lines[i], "|") || len(row) < 3 {
			continue
		}
		names := errnoName.FindAllString(row[0], -1)
		if row[0] == "no errno" {
			names = []string{row[0]}
		}
		for _, name := range names {
			rows[name] = append(rows[name], p.lines[i])
		}
	}
	return rows
}

func isErrnoPage(p *page) bool { return p.path == "docs/errno.md" }

var (
	testLink  = regexp.MustCompile("\\[`(Test[^`]+)`\\]\\(([^)#]+)\\)")
	testName  = regexp.MustCompile("`(Test[^`]+)`")
	errnoName = regexp.MustCompile(`\bE[A-Z0-9]{2,}\b`)
)

// checkErrnoRow finds the tests that the last cell names: beside the chapter,
// or in docs/errno.md in the files that the links lead to.
func (p *page) checkErrnoRow(row []string) error {
	type reference struct{ dir, name string }
	var refs []reference
	cell := row[len(row)-1]
	if isErrnoPage(p) {
		for _, m := range testLink.FindAllStringSubmatch(cell, -1) {
			dir := filepath.Dir(filepath.Join(p.dir(), m[2]))
			refs = append(refs, reference{dir, m[1]})
		}
	} else {
		for _, m := range testName.FindAllStringSubmatch(cell, -1) {
			refs = append(refs, reference{p.dir(), m[1]})
		}
	}
	if len(refs) == 0 {
		return fmt.Errorf("the last cell names no test")
	}
	var sources string
	for _, ref := range refs {
		text, err := findTest(ref.dir, ref.name)
		if err != nil {
			return err
		}
		sources += text
	}
	for _, name := range errnoName.FindAllString(row[0], -1) {
		text := strerror(name)
		if text == "" {
			return fmt.Errorf("%s is not an errno of Linux", name)
		}
		if !regexp.MustCompile(`(?i)\b` + name + `\b|` + text).
			MatchString(sources) {
			return fmt.Errorf("%s says nothing of %s", cell, name)
		}
	}
	return nil
}

// strerror returns the text of an errno, "" for a name that is none.
func strerror(name string) string {
	for n := range 200 {
		if unix.ErrnoName(unix.Errno(n)) == name {
			return unix.Errno(n).Error()
		}
	}
	return ""
}

// findTest returns the text of a test and of what it uses, from the test files
// in dir. The name may go on with subtests: TestMount/no_such_directory.
func findTest(dir, name string) (string, error) {
	top, sub, _ := strings.Cut(name, "/")
	decls, err := testDeclarations(dir)
	if err != nil {
		return "", err
	}
	if _, ok := decls[top]; !ok {
		return "", fmt.Errorf("there is no %s in %s", top,
			filepath.Base(dir))
	}
	text := reach(decls, top)
	for _, part := range strings.Split(sub, "/") {
		if part != "" && !hasLiteral(text, part) {
			return "", fmt.Errorf("%s in %s has no subtest %q", top,
				filepath.Base(dir), part)
		}
	}
	return text, nil
}

// testDeclarations maps what the test files declare to its text.
func testDeclarations(dir string) (map[string]string, error) {
	decls := map[string]string{}
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, src, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			from := set.Position(d.Pos()).Offset
			to := set.Position(d.End()).Offset
			for _, name := range namesOf(d) {
				decls[name] = string(src[from:to])
			}
		}
	}
	return decls, nil
}

// reach joins the text of a declaration and of all that it names, at any
// distance: cases of a test often stand in a table or in a helper.
func reach(decls map[string]string, top string) string {
	var text strings.Builder
	seen, todo := map[string]bool{top: true}, []string{top}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		text.WriteString(decls[name] + "\n")
		for _, next := range identifiers(decls[name]) {
			if _, ok := decls[next]; ok && !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return text.String()
}

func identifiers(decl string) (names []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "",
		"package p\n"+decl, 0)
	if err != nil {
		return nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			names = append(names, id.Name)
		}
		return true
	})
	return names
}

var stringLiteral = regexp.MustCompile("\"([^\"\\\\]*)\"|`([^`]*)`")

// hasLiteral looks for a string that makes the subtest's name; go test puts _
// where the string has a blank.
func hasLiteral(text, name string) bool {
	all := stringLiteral.FindAllStringSubmatch(text, -1)
	return slices.ContainsFunc(all, func(m []string) bool {
		return strings.ReplaceAll(m[1]+m[2], " ", "_") == name
	})
}
