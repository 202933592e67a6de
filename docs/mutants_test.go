//go:build mutants

// The mutation check: each row of testdata/mutants.tsv breaks one line of a
// step on purpose, and the step's suite must notice. It takes some minutes, so
// only `make mutants` runs it. ONLY=REGEXP chooses rows by "STEP/FILE: OLD".
package docs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A mutant replaces old by new, once, in a file of a step; test is the one
// that is expected to notice. \n and \t are written out in the table. needs is
// what the machine must have: cgroup1 or cgroup2, or nothing special. After it
// stands, if it takes more than we have, why nobody notices.
type mutant struct{ step, file, old, new, test, needs, why string }

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
		f := strings.Split(lines.Text()+"\t", "\t")
		if len(f) != 6 && len(f) != 7 {
			t.Fatalf("mutants.tsv: want 5 or 6 fields: %q", lines.Text())
		}
		needs, why, _ := strings.Cut(f[5], ": ")
		list = append(list, mutant{f[0], f[1], unescape.Replace(f[2]),
			unescape.Replace(f[3]), f[4], needs, why})
	}
	return list
}

// top is the repository, suites holds the compiled tests.
var top, suites string

func TestMutants(t *testing.T) {
	top, _ = filepath.Abs("..")
	suites = t.TempDir()
	// A mutant may leave cgroups behind, which are the machine's.
	t.Cleanup(func() { run(t, "go", "run", "./docs/scripts/clean-host") })
	only := regexp.MustCompile(os.Getenv("ONLY"))
	list, caught := readMutants(t), results(t)
	for _, m := range list {
		name := m.step + "/" + m.file + ": " + oneLine(m.old)
		if !only.MatchString(name) {
			continue
		}
		caught[m.row()] = ""
		t.Run(name, func(t *testing.T) {
			by := m.killedBy(t)
			if by == "" && m.why != "" {
				t.Logf("survived: %s", m.why)
			} else if by == "" {
				t.Errorf("survived:\n- %s\n+ %s", m.old, m.new)
			}
			caught[m.row()] = by
		})
		if os.Getenv("UPDATE") != "" {
			writeResults(t, list, caught)
		}
	}
}

// killedBy returns the test that fails, or "". The expected one is tried
// first, then all. It must pass with the program as it is.
func (m mutant) killedBy(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, m.step, m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Fatalf("the old text is there %d times: %q", n, m.old)
	}
	mutated := strings.Replace(string(text), m.old, m.new, 1)
	if m.needs != "" && !mounted(m.needs) {
		return m.killedInVM(t, mutated)
	}
	dir, env := m.build(t, mutated)
	by := m.firstFailure(t, dir, env, m.only(m.test))
	if by == "" {
		by = m.firstFailure(t, dir, env, ".")
	}
	if by != "" && !m.passes(t, by) {
		t.Fatalf("%s fails without the mutant, too", by)
	}
	return by
}

// only is the part of a test that runs the program in question.
func (m mutant) only(test string) string {
	if filepath.Ext(m.file) == ".go" {
		return "^" + test + "$/^go"
	}
	return "^" + test + "$/^c"
}

// mounted says whether the memory controller is in a tree of this version.
func mounted(version string) bool {
	_, err := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes")
	return (err == nil) == (version == "cgroup1")
}

// build makes the mutant. A suite takes the program and the C programs from
// its environment, or compiles the latter from where it runs.
func (m mutant) build(t *testing.T, mutated string) (dir string,
	env []string) {
	t.Helper()
	tmp := t.TempDir()
	if err := os.Chmod(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(top, m.step)
	if filepath.Ext(m.file) != ".go" {
		run(t, "cp", "-r", filepath.Join(dir, "c"), tmp)
		write(t, filepath.Join(tmp, m.file), mutated)
		return tmp, []string{"STEP_BIN=" + filepath.Join(top, "bin", m.step)}
	}
	program := filepath.Join(tmp, m.step)
	run(t, "go", "build", "-o", program, "-tags", "urfave_cli_no_docs",
		"-overlay", overlay(t, filepath.Join(dir, m.file), mutated),
		"./"+m.step)
	return dir, []string{"STEP_BIN=" + program,
		"STEP_C=" + filepath.Join(top, "bin", "c", m.step)}
}

// killedInVM is for what another version of cgroups has: a copy of all, with
// the mutant in it, runs in the virtual machine.
func (m mutant) killedInVM(t *testing.T, mutated string) string {
	t.Helper()
	tmp, err := os.MkdirTemp(suites, "vm") // a name without a mutant's text
	if err != nil {
		t.Fatal(err)
	}
	run(t, "sh", "-c", `git ls-files -z | xargs -0 cp --parents -t "$0" &&
		mkdir -p .cache/vm "$0/.cache" && ln -s "$PWD/.cache/vm" "$0/.cache"`,
		tmp)
	write(t, filepath.Join(tmp, m.step, m.file), mutated)
	vm := exec.Command("vagrant/qemu/test-vm.sh", m.step)
	vm.Dir, vm.Env = tmp, append(os.Environ(), "KERNEL=6.12",
		"RUN=^"+m.test+"$")
	out, err := vm.CombinedOutput()
	if err == nil {
		return ""
	}
	if vm.ProcessState.ExitCode() != 1 || m.fails(out) != m.test {
		t.Fatalf("%v\n%s", err, out)
	}
	return m.test + ", in the VM"
}

// suite compiles the step's suite, with less patience: many a mutant makes it
// wait in vain.
func (m mutant) suite(t *testing.T) string {
	t.Helper()
	suite := filepath.Join(suites, m.step)
	if _, err := os.Stat(suite); err == nil {
		return suite
	}
	harness := filepath.Join(top, m.step, "harness_test.go")
	text, err := os.ReadFile(harness)
	if err != nil {
		t.Fatal(err)
	}
	less := strings.NewReplacer("30 * time.Second", "5 * time.Second",
		"range 100", "range 40")
	run(t, "go", "test", "-c", "-o", suite, "-overlay", overlay(t, harness,
		less.Replace(string(text))), "./"+m.step)
	return suite
}

// overlay is for go build: it takes this text for a file's.
func overlay(t *testing.T, file, text string) string {
	t.Helper()
	changed := filepath.Join(t.TempDir(), filepath.Base(file))
	write(t, changed, text)
	replace, err := json.Marshal(map[string]map[string]string{
		"Replace": {file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, changed+".json", string(replace))
	return changed + ".json"
}

// firstFailure runs the suite of the mutant's step.
func (m mutant) firstFailure(t *testing.T, dir string, env []string,
	tests string) string {
	t.Helper()
	command := exec.Command(m.suite(t), "-test.v", "-test.failfast",
		"-test.timeout=3m", "-test.run="+tests)
	command.Dir = dir
	command.WaitDelay = time.Second
	command.Env = append(append(os.Environ(), env...),
		"ROOTFS="+filepath.Join(top, "rootfs"))
	out, err := command.CombinedOutput()
	if err == nil {
		return ""
	} else if bytes.HasPrefix(out, []byte("harness:")) {
		t.Fatalf("a mutant must build: %s", out)
	}
	return m.fails(out)
}

// fails finds the first test that failed.
func (m mutant) fails(out []byte) string {
	found := regexp.MustCompile(`(?m)^--- FAIL: (Test\w+)`).FindSubmatch(out)
	if found == nil {
		return "the suite, which ended before its time"
	}
	return string(found[1])
}

var passed = map[string]bool{}

// passes says whether a test passes with the step as it is. A suite that ended
// too early tells of no test: the expected one will do.
func (m mutant) passes(t *testing.T, test string) bool {
	t.Helper()
	if !strings.HasPrefix(test, "Test") {
		test = m.test
	}
	name := m.step + m.only(test)
	if _, known := passed[name]; !known {
		env := []string{"STEP_BIN=" + filepath.Join(top, "bin", m.step),
			"STEP_C=" + filepath.Join(top, "bin", "c", m.step)}
		passed[name] = m.firstFailure(t, filepath.Join(top, m.step), env,
			m.only(test)) == ""
	}
	return passed[name]
}

// run is for what must not fail.
func run(t *testing.T, args ...string) {
	t.Helper()
	command := exec.Command(args[0], args[1:]...)
	command.Dir = top
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "`", "'").Replace(oneLine(text))
}

// row is a mutant's line in the table, but for the last column.
func (m mutant) row() string {
	return fmt.Sprintf("| %s | %s | `%s` | `%s` | ", m.step, m.file,
		cell(m.old), cell(m.new))
}

// results are those of the last run: a row, and who caught it.
func results(t *testing.T) map[string]string {
	t.Helper()
	caught := map[string]string{}
	page, _ := os.ReadFile("mutants.md")
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSuffix(line, " |\n")
		if n := strings.LastIndex(line, "| "); n > 0 {
			caught[line[:n+2]] = strings.Trim(line[n+2:], "*")
		}
	}
	return caught
}

func writeResults(t *testing.T, list []mutant, caught map[string]string) {
	t.Helper()
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	var rows bytes.Buffer
	all, killed := 0, 0
	for _, m := range list {
		by, known := caught[m.row()]
		if !known {
			continue
		}
		all++
		if by == "" || strings.HasPrefix(by, "nobody") {
			by = strings.TrimSuffix("**nobody**: "+m.why, ": ")
		} else {
			killed++
		}
		fmt.Fprintf(&rows, "%s%s |\n", m.row(), by)
	}
	head := fmt.Sprintf(`# Mutants

`+"`make mutants`"+` breaks one line of a step after the other and runs the
step's suite. A suite that still passes has a hole. The list is
[mutants.tsv](testdata/mutants.tsv); `+"`UPDATE=1 make mutants`"+` writes this
page, and `+"`ONLY=REGEXP`"+` chooses rows by "STEP/FILE: THIS". A row counts
as caught if a test passes with the step as it is and fails with the mutant.

Last run: %d of %d caught, on Linux %s, %s.

| step | file | this | became | caught by |
| --- | --- | --- | --- | --- |
`, killed, all, bytes.TrimSpace(kernel), runtime.Version())
	write(t, "mutants.md", head+rows.String())
}
