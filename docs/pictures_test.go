package docs

import (
	"context"
	_ "embed"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:embed pictures/measure.js
var measure string

// mermaidJS is what GitHub draws diagrams with; make mermaid fetches it.
const mermaidJS = ".cache/mermaid-11.4.1.min.js"

// seen is what measure.js says of one picture.
type seen struct {
	Bad    []string
	Labels int
	Paper  float64 // luminance of a corner, 0 (black) to 1
}

var reportMark = regexp.MustCompile(`(?s)<pre id="report">(.*?)</pre>`)

// show draws pictures in Chromium, as a reader with light or dark pages sees
// them. A name leads to the text of an SVG or of a Mermaid diagram.
func show(t *testing.T, dark bool, pictures map[string]string) map[string]seen {
	t.Helper()
	dir := t.TempDir()
	list, err := json.Marshal(pictures) // it writes < as \u003c
	if err != nil {
		t.Fatal(err)
	}
	library, err := filepath.Abs(filepath.Join(repoRoot, mermaidJS))
	if err != nil {
		t.Fatal(err)
	}
	page := fmt.Sprintf(`<!DOCTYPE html><meta charset="utf-8"><body>
<div id="place" style="width: 1000px"></div><pre id="report"></pre>
<script src="file://%s"></script>
<script>const pictures = %s</script><script>%s</script></body>`,
		library, list, measure)
	writeFile(t, dir+"/page.html", page, 0o644)

	flags := []string{"--headless", "--no-sandbox", "--disable-gpu",
		"--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync",
		"--user-data-dir=" + dir + "/profile", "--window-size=1200,3000",
		"--virtual-time-budget=60000", "--dump-dom"}
	if dark {
		flags = append(flags, "--force-dark-mode")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "chromium",
		append(flags, "file://"+dir+"/page.html")...)
	c.WaitDelay = 10 * time.Second // its children may hold the pipe
	out, err := c.Output()
	m := reportMark.FindSubmatch(out)
	if m == nil || len(m[1]) == 0 {
		t.Fatalf("no report from chromium: %v\n%s", err, out)
	}
	var got struct {
		Dark   bool
		Report map[string]seen
	}
	err = json.Unmarshal([]byte(html.UnescapeString(string(m[1]))), &got)
	if err != nil || got.Dark != dark || len(got.Report) != len(pictures) {
		t.Fatalf("%v, dark %v, %d of %d pictures", err, got.Dark,
			len(got.Report), len(pictures))
	}
	return got.Report
}

// faults are all that is wrong with a picture that was drawn.
func (s seen) faults(dark bool) []string {
	bad := s.Bad
	if s.Labels == 0 {
		bad = append(bad, "no label was seen")
	}
	if dark != (s.Paper < 0.2) {
		bad = append(bad, fmt.Sprintf("the paper has a luminance of %.2f",
			s.Paper))
	}
	return bad
}

func needChromium(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		skip(t, "no chromium: apt-get install chromium")
	}
}

// inBoth draws the pictures on light and on dark pages.
func inBoth(t *testing.T, pictures map[string]string) {
	for scheme, dark := range map[string]bool{"light": false, "dark": true} {
		t.Run(scheme, func(t *testing.T) {
			for name, s := range show(t, dark, pictures) {
				for _, fault := range s.faults(dark) {
					t.Errorf("%s: %s", name, fault)
				}
			}
		})
	}
}

// TestPictures draws each SVG: it is well-formed XML, all of its labels can be
// read, and a page in each language shows it.
func TestPictures(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(repoRoot, "docs/pictures/*.svg"))
	if len(files) < 3 {
		t.Fatalf("only %d pictures", len(files))
	}
	pictures := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := wellFormed(string(text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		name := filepath.Base(file)
		pictures[name] = string(text)
		if on := pagesWith(t, "docs/pictures/"+name); len(on) == 0 {
			t.Errorf("no page shows %s", name)
		}
	}
	needChromium(t)
	inBoth(t, pictures)
}

func wellFormed(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func pagesWith(t *testing.T, path string) (on []string) {
	all, err := pages(repoRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		up := strings.Repeat("../", strings.Count(p.path, "/"))
		if strings.Contains(strings.Join(p.lines, "\n"), "]("+up+path+")") {
			on = append(on, p.path)
		}
	}
	return on
}

// diagrams returns the Mermaid fences of all English pages, by page and line.
func diagrams(t *testing.T) map[string]string {
	all, err := pages(repoRoot)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, p := range all {
		if p.translated() || p.path == "docs/check.md" {
			continue // the same fences; an example of a chapter
		}
		for _, f := range p.fences {
			if f.lang == "mermaid" {
				name := fmt.Sprintf("%s:%d", p.path, f.open+1)
				found[name] = strings.Join(p.body(f), "\n")
			}
		}
	}
	return found
}

// TestDiagrams draws every Mermaid diagram. Each chapter has one at least.
func TestDiagrams(t *testing.T) {
	found := diagrams(t)
	for _, step := range steps(repoRoot) {
		here := func(name string) bool { return strings.HasPrefix(name, step) }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(found)), here) {
			t.Errorf("%s/README.md: no Mermaid diagram", step)
		}
	}
	needChromium(t)
	if _, err := os.Stat(filepath.Join(repoRoot, mermaidJS)); err != nil {
		skip(t, "no "+mermaidJS+": make mermaid (it needs npm)")
	}
	inBoth(t, found)
}

// TestPlantedPictures spoils a picture in each way that must be noticed.
func TestPlantedPictures(t *testing.T) {
	needChromium(t)
	const good = `<svg xmlns="http://www.w3.org/2000/svg"
 viewBox="0 0 300 100"><style>text { fill: #111 } rect { fill: #fff }
 path { stroke: #888 } @media (prefers-color-scheme: dark) {
 text { fill: #eee } rect { fill: #111 } }</style><rect width="300"
 height="100"/><path d="M10 80H290"/><text x="10" y="30">first</text>
 <text x="100" y="30">second</text></svg>`
	planted := []struct{ name, old, now, want string }{
		{"sound", "first", "first", ""},
		{"overlap", `x="100"`, `x="20"`, `"first" overlaps "second"`},
		{"right of it", `x="100"`, `x="270"`, `"second" is outside`},
		{"above it", `x="10" y="30"`, `x="10" y="5"`, `"first" is outside`},
		{"line", `M10 80H290`, `M10 26H290`, `a line crosses "first"`},
		{"faint", "fill: #111 }", "fill: #aaa }", "has a contrast of 2.3"},
		{"one scheme", "prefers", "refers", ""},
		{"empty", "<text", "<desc", "no label was seen"},
	}
	pictures := map[string]string{}
	for _, p := range planted {
		text := strings.Replace(good, p.old, p.now, 1)
		if p.name == "empty" {
			text = strings.ReplaceAll(text, p.old, p.now)
			text = strings.ReplaceAll(text, "</text>", "</desc>")
		}
		pictures[p.name] = text
	}
	light, dark := show(t, false, pictures), show(t, true, pictures)
	for _, p := range planted {
		got := strings.Join(light[p.name].faults(false), "; ")
		if !strings.Contains(got, p.want) || p.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", p.name, got, p.want)
		}
	}
	if bad := dark["sound"].faults(true); len(bad) > 0 {
		t.Errorf("sound, in the dark: %q", bad)
	}
	got := strings.Join(dark["one scheme"].faults(true), "; ")
	if !strings.Contains(got, "the paper has a luminance of") {
		t.Errorf("one scheme: not noticed: %q", got)
	}
}
