package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// point is a row of points.tsv: what is graded.
type point struct {
	name     string
	weight   int
	tests    string // names of tests, or "rest": all that no point names
	expected string
	command  string // how to see it oneself; $BIN is the program
}

// readPoints reads a table: tabs between the columns, # begins a comment. The
// row "host" has no points: its tests are of a machine's root, so they are a
// part of "rest" only where the program is one's own.
func readPoints(file string) (list []point, err error) {
	rows, err := readTable(file, 5)
	for _, f := range rows {
		weight, bad := strconv.Atoi(f[1])
		if bad != nil {
			return nil, fmt.Errorf("%s: %s: weight %s", file, f[0], f[1])
		}
		list = append(list, point{f[0], weight, f[2], f[3], f[4]})
	}
	return list, err
}

func readTable(file string, columns int) (rows [][]string, err error) {
	text, err := os.ReadFile(file)
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != columns {
			return nil, fmt.Errorf("%s:%d: %d columns, want %d", file, i+1,
				len(f), columns)
		}
		rows = append(rows, f)
	}
	return rows, err
}

// gradable are the points that count: POINT=regexp chooses some.
func (l *lab) gradable() (list []point) {
	only, err := regexp.Compile("^(" + os.Getenv("POINT") + ")$")
	for _, p := range l.points {
		if p.name != "host" && (os.Getenv("POINT") == "" || err == nil &&
			only.MatchString(p.name)) {
			list = append(list, p)
		}
	}
	return list
}

// pattern is what the test binary gets for a point: the tests to run and those
// to skip. The C programs are the step's, so only the subtest "go" counts.
func (l *lab) pattern(p point) (run, skip string) {
	if p.tests != "rest" {
		return "^(" + strings.ReplaceAll(p.tests, " ", "|") + ")$/^go$", ""
	}
	var others []string
	for _, q := range l.points {
		if q.tests != "rest" && (q.name != "host" || l.inBox) {
			others = append(others, strings.Fields(q.tests)...)
		}
	}
	return "/^go$", "^(" + strings.Join(others, "|") + ")$"
}

// verdict says how a point went, and what was seen if it is not good.
type verdict struct {
	point
	result string // GOOD, BAD, MISSING
	seen   string
}

const (
	good, bad, missing = "GOOD", "BAD", "MISSING"
	pointLimit         = 2 * time.Minute // the slowest takes 20 s
	keep               = 1 << 18         // bytes of output that are looked at
)

// all tries each of the points. A variation is of a program that works, so it
// waits until something is good.
func (l *lab) all(points []point, try func(point) verdict,
	tell func(verdict)) {
	works := len(points) == 1
	for _, p := range points {
		v := verdict{p, missing, "not tried: nothing else is good yet"}
		if p.name != "variation" || works {
			v = try(p)
		}
		works = works || v.result == good
		tell(v)
	}
}

// try runs a point's tests on a program.
func (l *lab) try(p point, suite, bin string) verdict {
	run, skip := l.pattern(p)
	args := []string{suite, "-test.v", "-test.run=" + run,
		"-test.skip=" + skip, "-test.failfast",
		"-test.timeout=" + pointLimit.String()}
	env := []string{"STEP_BIN=" + bin, "STEP_C=" + nothing(),
		"ROOTFS=" + rootfs(), "STRICT=", "TMPDIR=" + os.TempDir(),
		"PATH=" + os.Getenv("PATH")}
	args = append(append([]string{"env"}, env...), args...)
	if sudo := l.sudo(); sudo != nil {
		args = append(sudo, args...)
	}
	out, err := output(pointLimit+5*time.Second, l.step, args...)
	return judge(p, out, err)
}

// output runs a command in a process group of its own, for a time, and keeps
// the first of what it says.
func output(limit time.Duration, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, 9) }
	c.WaitDelay = time.Second
	said := &head{}
	c.Stdout, c.Stderr = said, said
	err := c.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("no end after %v", limit)
	}
	return string(said.text), err
}

// head keeps the beginning of what is written, and drops the rest.
type head struct{ text []byte }

func (h *head) Write(b []byte) (int, error) {
	h.text = append(h.text, b[:min(len(b), keep-len(h.text))]...)
	return len(b), nil
}

var (
	verdicts = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+)`)
	says     = regexp.MustCompile(`(?m)^ +[a-z_0-9]+\.go:[0-9]+: (.*)$`)
	inStub   = regexp.MustCompile(`.*TODO\(lab[0-9]+\).*`)
)

// judge reads what a suite printed. Its exit status counts too, so a program
// that writes "PASS" into our output gains nothing.
func judge(p point, out string, err error) verdict {
	v, count := verdict{point: p, result: bad}, map[string]int{}
	failed := ""
	all := verdicts.FindAllStringSubmatch(out, -1)
	for _, m := range all {
		// A test whose subtests are all skipped has passed, says Go.
		if !slices.ContainsFunc(all, func(other []string) bool {
			return strings.HasPrefix(other[2], m[2]+"/")
		}) || m[1] == "FAIL" {
			count[m[1]]++
		}
		if m[1] == "FAIL" && len(m[2]) > len(failed) && failed == "" ||
			m[1] == "FAIL" && strings.HasPrefix(m[2], failed+"/") {
			failed = m[2]
		}
	}
	switch {
	case err == nil && count["FAIL"] == 0 && count["PASS"] > 0:
		v.result = good
	case err == nil && count["FAIL"] == 0:
		v.result, v.seen = missing, "not tested: no such test ran"
		if m := says.FindStringSubmatch(out); m != nil {
			v.seen = "not tested: " + m[1]
		}
	case inStub.MatchString(out):
		v.result = missing
		v.seen = strings.TrimSpace(inStub.FindString(out))
	case failed == "":
		v.seen = strings.TrimSpace(fmt.Sprint(err, "\n", last(out, 6)))
	default:
		v.seen = failed + "\n" + message(out, failed)
	}
	return v
}

// message is what the first failed test said, at most a few lines of it.
func message(out, failed string) string {
	top, _, _ := strings.Cut(failed, "/")
	_, text, _ := strings.Cut(out, "=== RUN   "+top+"\n")
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		isOther := strings.HasPrefix(strings.TrimSpace(line), "--- ") ||
			strings.HasPrefix(line, "=== ")
		switch {
		case isOther && len(lines) > 0:
			return strings.Join(lines, "\n")
		case isOther:
		case len(lines) == 12:
			return strings.Join(append(lines, "..."), "\n")
		default:
			line = says.ReplaceAllString(line, "$1")
			line = strings.TrimPrefix(line, "        ")
			if len(line) > 240 {
				line = line[:120] + " ... " + line[len(line)-100:]
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func last(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// nothing is an empty directory: there are no C programs to test.
func nothing() string {
	os.MkdirAll(".cache/lab/nothing", 0o755)
	dir, _ := filepath.Abs(".cache/lab/nothing")
	return dir
}

func rootfs() string {
	if dir := os.Getenv("ROOTFS"); dir != "" {
		return dir
	}
	dir, _ := filepath.Abs("rootfs")
	return dir
}
