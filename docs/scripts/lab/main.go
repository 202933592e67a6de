// Lab hands out, checks, hints at and grades the exercises of the steps. A
// step's own program is the solution. stepNN/lab holds:
//
//	stubs.go            declarations that take the place of the step's own
//	variation_test.go   the test of what the step does not do: the variation
//	points.tsv          what is graded, and how much it counts
//	hints.tsv           what to say about each point
//	testdata/*.go       wrong solutions, and right.go with the variation
//
// Run it by make: lab-stepN, check-stepN, hint-stepN, grade, grade-all.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// errPoints ends the program with status 1 and without a word: the table has
// said it all.
var errPoints = errors.New("not all points")

func main() {
	verbs := map[string]func(args []string) error{"copy": copyLab,
		"check": checkLab, "hint": hintLab, "grade": gradeOwn,
		"grade-all": gradeAll, "box": insideBox, "apply": applyTo}
	verb := ""
	if len(os.Args) > 1 {
		verb = os.Args[1]
	}
	run := verbs[verb]
	if run == nil {
		fmt.Fprintln(os.Stderr, "lab: copy|check|hint N, grade, "+
			"grade-all DIR, apply STEP FILE DIR: see make help")
		os.Exit(2)
	}
	err := run(os.Args[2:])
	if err != nil && err != errPoints {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
	if err != nil {
		os.Exit(1)
	}
}

// lab is the exercise of one step.
type lab struct {
	number string // "3"
	step   string // "step03-mount"
	points []point
	inBox  bool // graded as somebody else's: in a container
}

// labs are all of them, in order.
func labs() (list []*lab, err error) {
	dirs, _ := filepath.Glob("step0[0-9]-*/lab/points.tsv")
	for _, dir := range dirs {
		step := strings.Split(dir, "/")[0]
		l := &lab{number: step[5:6], step: step}
		if l.points, err = readPoints(dir); err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// theLab is the one of a step's number, which make passes on as it was typed.
func theLab(args []string) (*lab, error) {
	list, err := labs()
	number := ""
	if len(args) > 0 {
		number = strings.TrimPrefix(args[0], "0")
	}
	for _, l := range list {
		if l.number == number {
			return l, nil
		}
	}
	return nil, errors.Join(err, fmt.Errorf("there is no lab %q", number))
}

// work is where the learner writes.
func (l *lab) work() string { return "work/step" + l.number }

// copyLab makes the skeleton. What a learner has written is never overwritten.
func copyLab(args []string) error {
	l, err := theLab(args)
	if err != nil {
		return err
	}
	dir := l.work()
	if _, err := os.Lstat(dir); err == nil {
		if os.Getenv("RESET") != "1" {
			return fmt.Errorf("%s is there already: RESET=1 keeps it as "+
				"%s.old and starts anew", dir, dir)
		}
		os.RemoveAll(dir + ".old")
		if err := os.Rename(dir, dir+".old"); err != nil {
			return err
		}
	}
	if err := assemble(l.step, []string{l.step + "/lab/stubs.go"},
		dir); err != nil {
		return err
	}
	fmt.Printf("%s: the program of step %s, and stubs that you fill in:\n",
		dir, l.number)
	for _, stub := range todos(dir) {
		fmt.Println(" ", stub)
	}
	fmt.Printf("Then: make check-step%s, and make hint-step%[1]s for help.\n",
		l.number)
	return nil
}

// todos are the places with a TODO, as FILE:LINE: TEXT.
func todos(dir string) (list []string) {
	files, _ := filepath.Glob(dir + "/*.go")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for i, line := range strings.Split(string(text), "\n") {
			if at := strings.Index(line, "TODO(lab"); at >= 0 {
				what := strings.TrimRight(line[at:], `") `)
				list = append(list, fmt.Sprintf("%s:%d: %s", file, i+1, what))
			}
		}
	}
	return list
}
