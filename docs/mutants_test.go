//go:build mutants

// The mutation check: each row of testdata/mutants.tsv breaks one line of a
// step on purpose, and the step's suite must notice. It takes some minutes, so
// only `make mutants` runs it.
package docs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A mutant replaces old by new, once, in a file of a step; test is the one
// that is expected to notice. \n and \t are written out in the table.
type mutant struct{ step, file, old, new, test string }

func readMutants(t *testing.T) []mutant {
	t.Helper()
	file, err := os.Open("testdata/mutants.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var list []mutant
	unescape := strings.NewReplacer(`\n`, "\n", `\t`, "\t")
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if lines.Text() == "" || lines.Text()[0] == '#' {
			continue
		}
		f := strings.Split(lines.Text(), "\t")
		if len(f) != 5 {
			t.Fatalf("mutants.tsv: want 5 fields: %q", lines.Text())
		}
		list = append(list, mutant{f[0], f[1], unescape.Replace(f[2]),
			unescape.Replace(f[3]), f[4]})
	}
	return list
}

func TestMutants(t *testing.T) {
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	suites := map[string]string{}
	var table bytes.Buffer
	killed, list := 0, readMutants(t)
	for _, m := range list {
		if suites[m.step] == "" {
			suites[m.step] = compileSuite(t, top, m.step)
		}
		name := m.step + "/" + m.file + " " + oneLine(m.old)
		t.Run(name, func(t *testing.T) {
			by := m.killedBy(t, top, suites[m.step])
			if by == "" {
				t.Errorf("survived:\n- %s\n+ %s", m.old, m.new)
				by = "**nobody**"
			} else {
				killed++
			}
			fmt.Fprintf(&table, "| %s | %s | `%s` | `%s` | %s |\n", m.step,
				m.file, cell(m.old), cell(m.new), by)
		})
	}
	t.Logf("%d of %d mutants caught", killed, len(list))
	if os.Getenv("UPDATE") != "" {
		writeResults(t, killed, len(list), table.Bytes())
	}
}

// compileSuite builds the step's black-box suite, which takes the program from
// STEP_BIN.
func compileSuite(t *testing.T, top, step string) string {
	t.Helper()
	suite := filepath.Join(t.TempDir(), step+".test")
	command := exec.Command("go", "test", "-c", "-o", suite, "./"+step)
	command.Dir = top
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return suite
}

// killedBy builds the mutant, beside the real file by way of -overlay, and
// returns the test that fails, or "". The expected one is tried first.
func (m mutant) killedBy(t *testing.T, top, suite string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(top, m.step, m.file)
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Fatalf("the old text is there %d times: %q", n, m.old)
	}
	changed := filepath.Join(dir, m.file)
	mutated := strings.Replace(string(text), m.old, m.new, 1)
	overlay := filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{
		"Replace": {source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{
		changed: []byte(mutated), overlay: replace} {
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, m.step)
	build := exec.Command("go", "build", "-overlay", overlay, "-tags",
		"urfave_cli_no_docs", "-o", program, "./"+m.step)
	build.Dir = top
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("a mutant must build: %v\n%s", err, out)
	}
	by := m.firstFailure(t, top, suite, program, "^"+m.test+"$")
	if by == "" {
		by = m.firstFailure(t, top, suite, program, ".")
	}
	return by
}

// firstFailure runs the suite against the program.
func (m mutant) firstFailure(t *testing.T, top, suite, program,
	run string) string {
	t.Helper()
	command := exec.Command(suite, "-test.v", "-test.failfast",
		"-test.timeout=3m", "-test.run="+run)
	command.Dir = filepath.Join(top, m.step)
	command.WaitDelay = time.Second
	command.Env = append(os.Environ(), "STEP_BIN="+program,
		"STEP_C="+filepath.Join(top, "bin", "c", m.step),
		"ROOTFS="+filepath.Join(top, "rootfs"))
	out, err := command.CombinedOutput()
	if err == nil {
		return ""
	}
	for _, line := range strings.Split(string(out), "\n") {
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			return name
		}
	}
	return "the suite, which ended before its time"
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "`", "'").Replace(oneLine(text))
}

func writeResults(t *testing.T, killed, all int, rows []byte) {
	t.Helper()
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf(`# Mutants

`+"`make mutants`"+` breaks one line of a step after the other and runs the
step's suite. A suite that still passes has a hole. The list is
[mutants.tsv](testdata/mutants.tsv); `+"`UPDATE=1 make mutants`"+` writes this
page.

Last run: %d of %d caught, on Linux %s, %s.

| step | file | this | became | caught by |
| --- | --- | --- | --- | --- |
`, killed, all, bytes.TrimSpace(kernel), runtime.Version())
	page := append([]byte(head), rows...)
	if err := os.WriteFile("mutants.md", page, 0o644); err != nil {
		t.Fatal(err)
	}
}
