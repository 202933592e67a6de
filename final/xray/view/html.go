package view

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"

	"container-workshop/final/xray"
)

// The page is parsed when it is asked for: other commands need not wait for it.
//
//go:embed page.html
var page string

// WriteFile writes the report as a page that needs nothing else. Who reads the
// file sees the old one or the whole new one.
func WriteFile(file string, r *xray.Report) error {
	var text bytes.Buffer
	t, err := template.New("page").Parse(page)
	if err == nil {
		err = t.Execute(&text, map[string]any{"Name": r.Name, "Tree": Tree(r),
			"Picture": Draw(r)})
	}
	var f *os.File
	if err == nil {
		f, err = os.CreateTemp(filepath.Dir(file), ".xray-*")
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err = f.Write(text.Bytes())
	for _, do := range []func() error{func() error { return f.Chmod(0o644) },
		f.Close, func() error { return os.Rename(f.Name(), file) }} {
		if err == nil {
			err = do()
		}
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
