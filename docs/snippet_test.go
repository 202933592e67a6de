package docs

import (
	"errors"
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
)

// TestSnippets holds every block of code against the declaration it names.
// UPDATE=1 rewrites the blocks.
func TestSnippets(t *testing.T) {
	eachPage(t, func(p *page) []problem {
		problems, changed := checkSnippets(p, updating())
		if changed {
			if err := p.write(); err != nil {
				t.Fatal(err)
			}
		}
		return problems
	})
}

// checkSnippets compares, or with update replaces, the page's blocks of code.
func checkSnippets(p *page, update bool) (problems []problem, changed bool) {
	// From the last to the first, so that replacing keeps the line numbers.
	for _, f := range slices.Backward(p.fences) {
		ref, isCode := strings.CutPrefix(f.note, "code: ")
		if !isCode {
			problems = append(problems, unnamed(p, f)...)
			continue
		}
		want, err := declaration(p.dir(), ref)
		if err != nil {
			problems = append(problems, p.problem(f.open, "%v", err))
			continue
		}
		got := strings.Join(p.body(f), "\n")
		if got == want {
			continue
		}
		if !update {
			problems = append(problems, p.problem(f.open,
				"%s: the block is not the code: %s (UPDATE=1 go test "+
					"./docs -run TestSnippets rewrites it)",
				ref, firstDifference(got, want)))
			continue
		}
		lines := strings.Split(want, "\n")
		for i := range lines {
			if lines[i] != "" {
				lines[i] = p.indent(f) + lines[i]
			}
		}
		p.lines = slices.Replace(p.lines, f.open+1, f.end, lines...)
		changed = true
	}
	slices.Reverse(problems)
	return problems, changed
}

// unnamed finds code and commands that nothing checks.
func unnamed(p *page, f fence) []problem {
	switch f.lang {
	case "go", "c":
		if !strings.HasPrefix(f.note, "sketch: ") {
			return []problem{p.problem(f.open, "%s code without "+
				"<!-- code: file#name --> or <!-- sketch: why -->", f.lang)}
		}
	case "sh", "bash", "shell", "zsh":
		// The pages there are about machines that this one is not.
		if strings.HasPrefix(p.path, "vagrant/") {
			return nil
		}
		return []problem{p.problem(f.open,
			"commands stand in console fences, not in %s", f.lang)}
	}
	return nil
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if at(g, i) != at(w, i) {
			return fmt.Sprintf("line %d is %q, in the source %q",
				i+1, at(g, i), at(w, i))
		}
	}
	return "none"
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

// declaration returns the text of what ref (file#name) names, relative to dir.
func declaration(dir, ref string) (string, error) {
	file, name, ok := strings.Cut(ref, "#")
	if !ok || name == "" {
		return "", fmt.Errorf("code: %s: want file#name", ref)
	}
	src, err := os.ReadFile(filepath.Join(dir, file))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("code: %s: there is no file %s", ref, file)
	} else if err != nil {
		return "", err
	}
	find := findC
	if strings.HasSuffix(file, ".go") {
		find = findGo
	}
	text, err := find(string(src), name)
	if err != nil {
		return "", fmt.Errorf("code: %s: %w", ref, err)
	}
	return text, nil
}

// findGo returns the declaration of name with its comment.
func findGo(src, name string) (string, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", src, parser.ParseComments)
	if err != nil {
		return "", err
	}
	for _, d := range file.Decls {
		if !slices.Contains(namesOf(d), name) {
			continue
		}
		first, last := d.Pos(), d.End()
		if doc := docOf(d); doc != nil {
			first = doc.Pos()
		}
		from, to := set.Position(first).Offset, set.Position(last).Offset
		// A comment that follows on the same line belongs to it.
		if end := strings.IndexByte(src[to:], '\n'); end >= 0 {
			to += end
		}
		return src[from:to], nil
	}
	return "", fmt.Errorf("nothing named %s is declared there", name)
}

func docOf(d ast.Decl) *ast.CommentGroup {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return d.Doc
	case *ast.GenDecl:
		return d.Doc
	}
	return nil
}

// namesOf returns what a declaration declares: a method as "type.method".
func namesOf(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
		typ := d.Recv.List[0].Type
		if star, ok := typ.(*ast.StarExpr); ok {
			typ = star.X
		}
		return []string{fmt.Sprint(typ) + "." + d.Name.Name}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// findC returns a function, a struct, a table or a #define, with its comment.
// It relies on our layout: definitions begin in the first column, and a `}`
// there ends them.
func findC(src, name string) (string, error) {
	lines := strings.Split(src, "\n")
	q := regexp.QuoteMeta(name)
	define := regexp.MustCompile(`^#\s*define\s+` + q + `\b`)
	block := regexp.MustCompile(
		`^[a-z].*\b(struct|enum|union)\s+` + q + `\s*\{|` +
			`^(struct|enum|union)\s+` + q + `\s*\{`)
	table := regexp.MustCompile(`^[a-z_][^(]*\b` + q + `\s*(\[|=|;)`)
	function := regexp.MustCompile(`^([a-z_].*)?\b` + q + `\s*\(`)
	for i, line := range lines {
		end := -1
		switch {
		case define.MatchString(line):
			for end = i; strings.HasSuffix(lines[end], "\\"); end++ {
			}
		case block.MatchString(line):
			end = closing(lines, i)
		case function.MatchString(line) && defines(lines[i:]):
			end = closing(lines, i)
		case table.MatchString(line):
			if end = i; !strings.HasSuffix(line, ";") {
				end = closing(lines, i)
			}
		}
		if end >= 0 {
			first := comment(lines, i)
			return strings.Join(lines[first:end+1], "\n"), nil
		}
	}
	return "", fmt.Errorf("nothing named %s is defined there", name)
}

// defines tells a definition from a prototype.
func defines(lines []string) bool {
	for _, line := range lines {
		if k := strings.IndexAny(line, "{;"); k >= 0 {
			return line[k] == '{'
		}
	}
	return false
}

func closing(lines []string, i int) int {
	for ; i < len(lines); i++ {
		if strings.HasPrefix(lines[i], "}") {
			return i
		}
	}
	return -1
}

// comment returns the first line of the comment above line i, or i. A line
// that holds only the return type is taken along.
func comment(lines []string, i int) int {
	alone := regexp.MustCompile(`^[a-z][A-Za-z_ *]*$`)
	if i > 0 && alone.MatchString(lines[i-1]) {
		i--
	}
	if i > 0 && strings.HasSuffix(strings.TrimSpace(lines[i-1]), "*/") {
		for i--; i > 0 && !strings.Contains(lines[i], "/*"); i-- {
		}
	}
	for i > 0 && strings.HasPrefix(lines[i-1], "//") {
		i--
	}
	return i
}
