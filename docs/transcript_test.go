package docs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command is one line (or more, with `> `) that is typed, and what it prints.
type command struct {
	line   int
	text   string
	output []string
}

// block is a console fence.
type block struct {
	page     *page
	line     int
	commands []command
	words    []string // all words after `console`, as written
	needs    []string
	skip     string
	as       string
	in       string
	anyOrder bool
	alone    bool
	timeout  time.Duration
}

// skipReasons are the reasons for which a command may not be run.
var skipReasons = []string{"interactive", "long", "vm", "host", "elsewhere"}

// blocks returns a page's transcripts, and what is wrong with their form.
func blocks(p *page) (found []block, bad []problem) {
	for _, f := range p.fences {
		if f.lang != "console" {
			continue
		}
		b := block{page: p, line: f.open, words: f.words,
			timeout: 20 * time.Second}
		if err := b.parse(f); err != nil {
			bad = append(bad, p.problem(f.open, "%v", err))
			continue
		}
		found = append(found, b)
	}
	return found, bad
}

func (b *block) parse(f fence) error {
	for _, w := range f.words {
		if err := b.option(w); err != nil {
			return err
		}
	}
	lines := b.page.body(f)
	if len(lines) == 0 ||
		!strings.HasPrefix(lines[0], "$ ") &&
			!strings.HasPrefix(lines[0], "# ") {
		return errors.New("a transcript begins with `$ ` or `# `")
	}
	prompt := lines[0][:2]
	if prompt == "# " && b.skip == "" && !slices.Contains(b.needs, "root") {
		return errors.New("the prompt is `# `, but needs=root is missing")
	}
	typing := false
	for i, line := range lines {
		if text, ok := strings.CutPrefix(line, prompt); ok {
			b.commands = append(b.commands,
				command{line: f.open + 1 + i, text: text})
			typing = true
			continue
		}
		last := &b.commands[len(b.commands)-1]
		more, ok := strings.CutPrefix(line, "> ")
		if typing && (ok || line == ">") {
			last.text += "\n" + strings.TrimPrefix(more, ">")
			continue
		}
		typing = false
		last.output = append(last.output, line)
	}
	return nil
}

func (b *block) option(w string) error {
	key, value, _ := strings.Cut(w, "=")
	switch key {
	case "needs":
		b.needs = strings.Split(value, ",")
	case "skip":
		if !slices.Contains(skipReasons, value) {
			return fmt.Errorf("skip=%s: the reasons are %v", value,
				skipReasons)
		}
		b.skip = value
	case "as":
		b.as = value
	case "in":
		b.in = value
	case "order":
		b.anyOrder = true
	case "alone":
		b.alone = true
	case "timeout":
		n, err := strconv.Atoi(value)
		b.timeout = time.Duration(n) * time.Second
		return err
	default:
		return fmt.Errorf("console: unknown word %q", w)
	}
	if b.as != "" && b.as != "user" || b.in != "" && b.in != "repo" ||
		key == "order" && value != "any" {
		return fmt.Errorf("console: unknown value in %q", w)
	}
	return nil
}

// commandsRun counts the commands of a page that are not skipped for good.
func commandsRun(p *page) (n int) {
	all, _ := blocks(p)
	for _, b := range all {
		if b.skip == "" {
			n += len(b.commands)
		}
	}
	return n
}

// tally counts what became of all commands, for the summary.
type tally struct {
	sync.Mutex
	run     int
	notRun  map[string]int // by reason
	skipped int            // for good: skip=
	total   int
}

func (t *tally) add(n int, reason string) {
	t.Lock()
	defer t.Unlock()
	if reason == "" {
		t.run += n
	} else {
		t.notRun[reason] += n
	}
}

// TestTranscripts runs every console block and compares what it prints.
func TestTranscripts(t *testing.T) {
	all, err := pages(repoRoot)
	if err != nil {
		t.Fatal(err)
	}
	count := &tally{notRun: map[string]int{}}
	slots := make(chan struct{}, 4)
	for _, p := range all {
		// The fences of a translation are the same: TestTranslations.
		if p.translated() {
			continue
		}
		found, bad := blocks(p)
		for _, problem := range bad {
			t.Error(problem)
		}
		for _, b := range found {
			if !b.chosen() {
				continue
			}
			count.total += len(b.commands)
			if b.skip != "" {
				count.skipped += len(b.commands)
				count.add(len(b.commands), "skip="+b.skip)
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", p.path, b.line+1),
				func(t *testing.T) { b.test(t, count, slots) })
		}
	}
	if count.tooManySkipped() && os.Getenv("ONLY") == "" {
		t.Errorf("%d of %d commands are marked skip=; one in ten may be",
			count.skipped, count.total)
	}
	t.Cleanup(func() { count.report(t) })
}

// chosen tells the blocks to run. ONLY=cgroup2 takes those that need it: what
// one machine has to skip, another one runs.
func (b *block) chosen() bool {
	only := os.Getenv("ONLY")
	return only == "" || slices.Contains(b.needs, only)
}

func (t *tally) tooManySkipped() bool { return t.skipped*10 > t.total }

func (t *tally) report(tb testing.TB) {
	tb.Logf("%d commands in transcripts, %d run, %d marked skip=", t.total,
		t.run, t.skipped)
	for _, reason := range slices.Sorted(maps.Keys(t.notRun)) {
		tb.Logf("%d not run: %s", t.notRun[reason], reason)
	}
}

func (b *block) test(t *testing.T, count *tally, slots chan struct{}) {
	if !b.alone {
		t.Parallel()
		slots <- struct{}{}
		defer func() { <-slots }()
	}
	if reason := b.missing(); reason != "" {
		count.add(len(b.commands), reason)
		if os.Getenv("STRICT") == "1" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	for _, problem := range b.run(t) {
		t.Error(problem)
	}
	count.add(len(b.commands), "")
}

// run types the commands of a block into a shell of its own.
func (b *block) run(t testing.TB) (bad []problem) {
	o, err := b.prepare(t)
	if err != nil {
		return []problem{b.page.problem(b.line, "%v", err)}
	}
	before := inventory(o.dir)
	sh, err := startShell(o)
	if err != nil {
		return []problem{b.page.problem(b.line, "cannot start: %v", err)}
	}
	known := values{}
	for _, c := range b.commands {
		printed, err := sh.run(replace(c.text, known), b.timeout)
		found, other := matchOutput(c.output, printed, known, b.anyOrder)
		if other != nil {
			bad = append(bad, b.page.problem(c.line, "%s: %v", c.text, other))
		} else {
			known = found
		}
		if err == errShellGone && c.line == b.last().line {
			err = nil // `exit` may stand last
		}
		if err != nil {
			bad = append(bad, b.page.problem(c.line, "%s: %v", c.text, err))
		}
		if len(bad) > 0 {
			break // what follows builds on it
		}
	}
	if text := notDistinct(b.shown(), known); text != "" && len(bad) == 0 {
		bad = []problem{b.page.problem(b.line, "%s", text)}
	}
	if left := sh.mounted(o.dir); len(left) > 0 && len(bad) == 0 {
		bad = append(bad, b.page.problem(b.line, "left mounted: %v", left))
	}
	at, err := sh.run("pwd", b.timeout)
	if dir := strings.Join(at, ""); err == nil && dir != o.dir {
		bad = append(bad, b.page.problem(b.line, "the shell is left in %s",
			dir))
	}
	if err := sh.end(); err != nil {
		bad = append(bad, b.page.problem(b.line, "%v", err))
	}
	if len(bad) > 0 {
		return bad // it may not have come as far as to clean up
	}
	for _, name := range inventory(o.dir) {
		if !slices.Contains(before, name) {
			bad = append(bad, b.page.problem(b.line, "left behind: %s", name))
		}
	}
	return bad
}

// inventory lists what a block may not add to: the names at the repository's
// top, but for what Git ignores, and whose the root filesystem is. A reader
// types all blocks in one place, where one must not get in the next one's way.
func inventory(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !ignored(e.Name()) {
			names = append(names, e.Name())
		}
	}
	if s, err := os.Stat(filepath.Join(dir, "rootfs")); err == nil {
		names = append(names, fmt.Sprint("rootfs of user ",
			s.Sys().(*syscall.Stat_t).Uid))
	}
	return names
}

func (b *block) shown() (lines []string) {
	for _, c := range b.commands {
		lines = append(lines, c.output...)
	}
	return lines
}

func (b *block) last() command { return b.commands[len(b.commands)-1] }

// replace puts known values where a command says `<name>`.
func replace(command string, known values) string {
	return tokenMark.ReplaceAllStringFunc(command, func(m string) string {
		if value, ok := known[strings.Trim(m, "<>")]; ok {
			return value
		}
		return m
	})
}

// prepare makes the scratch directory, which looks like the repository's top.
func (b *block) prepare(t testing.TB) (shellOptions, error) {
	o := shellOptions{uid: -1}
	if os.Geteuid() == 0 {
		// The machine's own mounts, interfaces and rules are not ours.
		o.stage, o.net = true, !slices.Contains(b.needs, "internet")
		if b.as == "user" {
			o.uid = ordinaryUser
		}
		if slices.Contains(b.needs, "newuidmap") {
			var err error
			if o.files, err = lendRanges(t); err != nil {
				return o, err
			}
		}
	}
	bin, err := programs.build(b.page.root, b.text())
	if err != nil {
		return o, err
	}
	if o.dir, err = scratch(t); err != nil {
		return o, err
	}
	if b.in == "repo" {
		err = copyRepo(b.page.root, o.dir)
	} else {
		err = os.Symlink(bin, filepath.Join(o.dir, "bin"))
	}
	if err == nil && b.usesRootfs() {
		err = copyTree(rootfsDir(), filepath.Join(o.dir, "rootfs"))
	}
	if err == nil && o.uid >= 0 {
		id := fmt.Sprint(o.uid)
		err = execute("chown", "-hR", id+":"+id, o.dir)
	}
	o.env = []string{"HOME=" + o.dir, "LC_ALL=C", "TZ=UTC", "TERM=dumb",
		"PATH=" + bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin" +
			":/sbin:/bin"}
	if b.in == "repo" {
		o.env = append(o.env, goEnvironment()...)
	}
	return o, err
}

// goEnvironment is what go and make need. What an outer make has set would
// change what an inner one does, so nothing else is passed on. Without cgo, as
// in the Makefile, the cache has all of the library already.
func goEnvironment() []string {
	env := []string{"CGO_ENABLED=0"}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if name == "HOME" || name == "PATH" || strings.HasPrefix(name, "GO") {
			env = append(env, v)
		}
	}
	return env
}

func (b *block) text() string {
	var lines []string
	for _, c := range b.commands {
		lines = append(lines, c.text)
	}
	return strings.Join(lines, "\n")
}

func (b *block) usesRootfs() bool {
	return strings.Contains(b.text(), "rootfs") || b.in == "repo"
}

// scratch makes a directory that goes after the test.
func scratch(t testing.TB) (string, error) {
	dir, err := os.MkdirTemp("", "workshop-")
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	// What a block mounts is mounted on its stage, so this removes no more
	// than the directory.
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir, os.Chmod(dir, 0o755)
}

func execute(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "),
			err, out)
	}
	return nil
}
