package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A skeleton, and every solution under testdata, is the step's program with a
// few declarations replaced. So none of them repeats what the step says, and
// each shows at a glance what it is about.

// assemble writes a step's program, changed by the declarations in overlays
// one after the other, into dir.
func assemble(step string, overlays []string, dir string) error {
	files, err := program(step)
	if err != nil {
		return err
	}
	for _, overlay := range overlays {
		src, err := os.ReadFile(overlay)
		if err == nil {
			err = replace(files, filepath.Base(overlay), src)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", overlay, err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, src := range files {
		if err := os.WriteFile(dir+"/"+name, src, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// applyTo is assemble for the tests: STEP FILE[,FILE] DIR.
func applyTo(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("apply STEP FILE[,FILE] DIR")
	}
	return assemble(args[0], strings.Split(args[1], ","), args[2])
}

// program is a step's source without tests.
func program(step string) (map[string][]byte, error) {
	paths, _ := filepath.Glob(step + "/*.go")
	files := map[string][]byte{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files[filepath.Base(path)] = src
	}
	return files, nil
}

// replace puts each declaration of an overlay in the place of the one with
// the same name. Those that nobody has go into a file of the overlay's name.
func replace(files map[string][]byte, name string, overlay []byte) error {
	decls, imports, err := declarations(overlay)
	if err == nil {
		err = edit(files, overlay, imports)
	}
	if err != nil {
		return err
	}
	rest := "package main\n\nimport \"os\"\n" // tidy mends it
	for _, key := range slices.Sorted(maps.Keys(decls)) {
		d, found := decls[key], false
		for file, src := range files {
			there, _, err := declarations(src)
			if err != nil {
				return err
			}
			if old, ok := there[key]; ok {
				src = slices.Concat(src[:old.from], []byte(d.text),
					src[old.to:])
				files[file], err = tidy(src, imports)
				if err != nil {
					return fmt.Errorf("%s in %s: %w", key, file, err)
				}
				found = true
			}
		}
		if !found {
			rest += "\n" + d.text + "\n"
		}
	}
	if strings.Count(rest, "\n") > 3 {
		files[name], err = tidy([]byte(rest), imports)
	}
	return err
}

// Where a line or two of a function is all that differs, a comment says so:
//
//	// in FUNCTION: OLD ==> NEW
//
// with \n and \t in place of ends of lines and tabs. A line that ends with a
// backslash goes on in the next comment.
var edits = regexp.MustCompile(`(?m)^// in (\w+): (.+) ==> ?(.*)$`)

var escapes = strings.NewReplacer(`\n`, "\n", `\t`, "\t")

func edit(files map[string][]byte, overlay []byte, imports []string) error {
	overlay = bytes.ReplaceAll(overlay, []byte("\\\n// "), nil)
	for _, m := range edits.FindAllSubmatch(overlay, -1) {
		old := escapes.Replace(string(m[2]))
		done := false
		for file, src := range files {
			there, _, err := declarations(src)
			if err != nil {
				return err
			}
			d, ok := there[string(m[1])]
			if !ok || strings.Count(d.text, old) != 1 {
				continue
			}
			text := strings.Replace(d.text, old, escapes.Replace(
				string(m[3])), 1)
			src = slices.Concat(src[:d.from], []byte(text), src[d.to:])
			if files[file], err = tidy(src, imports); err != nil {
				return fmt.Errorf("%s: %w", m[0], err)
			}
			done = true
		}
		if !done {
			return fmt.Errorf("%s has no %q, or several", m[1], old)
		}
	}
	return nil
}

// declaration is a part of a file: what it declares with the comment above.
type declaration struct {
	text     string
	from, to int
}

// declarations are a file's, by name, and its imports. A group's name is that
// of its first member.
func declarations(src []byte) (map[string]declaration, []string, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", src, parser.ParseComments)
	if err != nil {
		return nil, nil, err
	}
	found, imports := map[string]declaration{}, []string{}
	for _, d := range file.Decls {
		key, doc := "", (*ast.CommentGroup)(nil)
		switch d := d.(type) {
		case *ast.FuncDecl:
			key, doc = d.Name.Name, d.Doc
			if d.Recv != nil {
				key = "method " + key
			}
		case *ast.GenDecl:
			doc = d.Doc
			switch s := d.Specs[0].(type) {
			case *ast.ValueSpec:
				key = s.Names[0].Name
			case *ast.TypeSpec:
				key = s.Name.Name
			case *ast.ImportSpec:
				for _, s := range d.Specs {
					imports = append(imports, importLine(s.(*ast.ImportSpec)))
				}
				continue
			}
		}
		from := d.Pos()
		if doc != nil {
			from = doc.Pos()
		}
		a, b := set.Position(from).Offset, set.Position(d.End()).Offset
		if key == "init" {
			key = fmt.Sprint("init ", a) // there may be several
		}
		found[key] = declaration{string(src[a:b]), a, b}
	}
	return found, imports, nil
}

func importLine(s *ast.ImportSpec) string {
	if s.Name != nil {
		return s.Name.Name + " " + s.Path.Value
	}
	return s.Path.Value
}

// known is the name by which an import line is used.
func known(line string) string {
	if name, _, ok := strings.Cut(line, " "); ok {
		return name
	}
	path, _ := strconv.Unquote(line)
	path = strings.TrimSuffix(path, "/v2")
	return path[strings.LastIndex(path, "/")+1:]
}

// tidy writes the imports anew: those that are used, of the file's own and of
// more.
func tidy(src []byte, more []string) ([]byte, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", src, 0)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Obj == nil {
				used[x.Name] = true
			}
		}
		return true
	})
	_, own, _ := declarations(src)
	lines := slices.Compact(slices.Sorted(slices.Values(append(own, more...))))
	var groups [2][]string // the standard library's, and others
	for _, line := range lines {
		if used[known(line)] {
			other := 0
			if strings.Contains(line, ".") {
				other = 1
			}
			groups[other] = append(groups[other], "\t"+line+"\n")
		}
	}
	text := strings.TrimSpace(strings.Join(groups[0], "") + "\n" +
		strings.Join(groups[1], ""))
	block := "import (\n\t" + text + "\n)"
	if text == "" {
		block = ""
	}
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			a, b := set.Position(g.Pos()).Offset, set.Position(g.End()).Offset
			src = slices.Concat(src[:a], []byte(block), src[b:])
			break
		}
	}
	return format.Source(bytes.TrimSpace(src))
}
