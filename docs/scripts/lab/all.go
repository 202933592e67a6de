package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// labLimit is the time that one lab of one learner may take.
const labLimit = 6 * time.Minute

// submission is one lab of one learner, and what became of it.
type submission struct {
	lab     *lab
	learner string
	dir     string // where the learner's files are, "" if there are none
	rows    []row
}

// gradeAll grades a directory of submissions: DIR/LEARNER/stepN/*.go, or
// DIR/LEARNER/work/stepN/*.go. JOBS of them at a time.
func gradeAll(args []string) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("DIR=... is the directory of the submissions")
	}
	list, err := submissions(args[0])
	if err == nil {
		err = checkFormat()
	}
	if err == nil && os.Getuid() != 0 && (&lab{number: "1"}).sudo() == nil {
		err = errors.New("grade-all needs root, for the containers that it " +
			"grades in: sudo make grade-all")
	}
	if err != nil {
		return err
	}
	suites, err := buildSuites(list)
	if err != nil {
		return err
	}
	jobs, _ := strconv.Atoi(os.Getenv("JOBS"))
	if jobs < 1 {
		jobs = runtime.NumCPU()
	}
	work, done := make(chan *submission), sync.WaitGroup{}
	for slot := 1; slot <= min(jobs, 14); slot++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for s := range work {
				s.grade(slot, suites[s.lab.number])
			}
		}()
	}
	for _, s := range list {
		work <- s
	}
	close(work)
	done.Wait()
	var rows []row
	for _, s := range list {
		rows = append(rows, s.rows...)
	}
	return show(rows)
}

// submissions are all labs of all learners, whether handed in or not.
func submissions(dir string) (list []*submission, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue // a link could lead to the work of others
		}
		all, err := labs()
		if err != nil {
			return nil, err
		}
		for _, l := range all {
			l.inBox = true
			s := &submission{lab: l, learner: printable(e.Name())}
			for _, sub := range []string{"/", "/work/"} {
				at := dir + "/" + e.Name() + sub + "step" + l.number
				if isDirectory(at) && s.dir == "" {
					s.dir = at
				}
			}
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		err = fmt.Errorf("%s: no directories in it: want DIR/LEARNER/step1 "+
			"and so on", dir)
	}
	return list, err
}

// isDirectory is false for links, also on the way.
func isDirectory(path string) bool {
	for range 2 {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() {
			return false
		}
		path = filepath.Dir(path)
	}
	return true
}

// printable is a name that does no harm to a terminal or a spreadsheet.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == ',' || r == '"' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
	if strings.ContainsAny(name[:1], "=+-@") {
		name = "'" + name
	}
	return name
}

func buildSuites(list []*submission) (map[string]string, error) {
	suites := map[string]string{}
	for _, s := range list {
		if s.dir == "" || suites[s.lab.number] != "" {
			continue
		}
		suite, err := s.lab.suite()
		if err != nil {
			return nil, err
		}
		suites[s.lab.number] = suite
	}
	return suites, nil
}

// grade builds one submission in a clean copy, and tries it in a box.
func (s *submission) grade(slot int, suite string) {
	l := s.lab
	if s.dir == "" {
		s.rows = l.lost(s.learner, missing, "not handed in")
		return
	}
	clean, err := os.MkdirTemp("", "workshop-clean-")
	if err == nil {
		defer os.RemoveAll(clean)
		err = s.collect(clean)
	}
	bin := clean + "/program"
	if err == nil {
		var said string
		said, err = goTool(clean, "build", "-mod=readonly", "-p=1", "-tags",
			"urfave_cli_no_docs", "-o", bin, "./work")
		if err != nil {
			err = fmt.Errorf("does not build: %w\n%s", err, said)
		}
	}
	if err != nil {
		s.rows = l.lost(s.learner, missing, err.Error())
		return
	}
	end := time.Now().Add(labLimit)
	l.all(l.gradable(), func(p point) verdict {
		if time.Now().After(end) {
			return verdict{p, bad, fmt.Sprint("the lab has used up its ",
				labLimit)}
		}
		return l.tryInBox(slot, p, suite, bin)
	}, func(v verdict) { s.rows = append(s.rows, l.row(s.learner, v)) })
}

// What one lab may consist of.
const (
	maxFiles = 40
	maxSize  = 256 << 10
)

// collect takes the learner's Go files, and nothing else: no tests, no links,
// no directories. The module is ours.
func (s *submission) collect(clean string) error {
	if err := os.Mkdir(clean+"/work", 0o755); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(clean+"/"+name, text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	count := 0
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || !e.Type().IsRegular() ||
			strings.HasSuffix(name, "_test.go") {
			continue
		}
		info, err := e.Info()
		if count++; err != nil || count > maxFiles || info.Size() > maxSize {
			return fmt.Errorf("%s: more than %d files, or one of more than "+
				"%d bytes", name, maxFiles, maxSize)
		}
		text, err := os.ReadFile(s.dir + "/" + name)
		if errors.Is(err, fs.ErrNotExist) || err != nil {
			return err
		}
		if err := os.WriteFile(clean+"/work/"+filepath.Base(name), text,
			0o644); err != nil {
			return err
		}
	}
	if count == 0 {
		return errors.New("no Go files")
	}
	return nil
}

// tryInBox is try for a program that nobody has read.
func (l *lab) tryInBox(slot int, p point, suite, bin string) verdict {
	run, skip := l.pattern(p)
	self, _ := os.Executable()
	top, _ := os.Getwd()
	args := []string{self, "box", strconv.Itoa(slot),
		top + "/bin/step07-overlay", rootfs(), suite, bin, "-test.v",
		"-test.run=" + run, "-test.skip=" + skip, "-test.failfast",
		"-test.timeout=" + pointLimit.String()}
	if sudo := (&lab{number: "1"}).sudo(); sudo != nil {
		args = slices.Concat(sudo, args)
	}
	out, err := output(pointLimit+20*time.Second, "/", args...)
	return judge(p, out, err)
}
