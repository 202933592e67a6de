package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A row of hints.tsv: the points that it is about, which of its hints it is,
// and what to say. 1 says where to look, 2 which call and man page, 3 is
// pseudocode. "now PATTERN" says what the program does now, if what the tests
// saw matches.

// hintLab looks at what the learner's program does now, and gives the next
// hint about the first point that is not good.
func hintLab(args []string) error {
	l, err := theLab(args)
	if err != nil {
		return err
	}
	rows, err := readTable(l.step+"/lab/hints.tsv", 3)
	if err != nil {
		return err
	}
	bin, err := l.build()
	if err != nil {
		return err
	}
	suite, err := l.suite()
	if err != nil {
		return err
	}
	for _, p := range l.gradable() {
		v := l.try(p, suite, bin)
		if v.result == good {
			continue
		}
		fmt.Printf("%s %s: expected: %s\n", v.result, p.name, p.expected)
		fmt.Println("Now:", now(rows, v))
		level := nextLevel(l.work()+"/.hint", p.name)
		fmt.Printf("Hint %d of 3: %s\n", level, hint(rows, p.name, level))
		return nil
	}
	fmt.Println("Every point is good: there is nothing to hint at.")
	return nil
}

func isAbout(row []string, name string) bool {
	names := strings.Fields(row[0])
	return slices.Contains(names, name) || row[0] == "*"
}

// now is the first row whose pattern matches, else the first thing seen.
func now(rows [][]string, v verdict) string {
	for _, row := range rows {
		pattern, ok := strings.CutPrefix(row[1], "now ")
		if !ok || !isAbout(row, v.name) {
			continue
		}
		if re, err := regexp.Compile("(?s)" + pattern); err == nil &&
			re.MatchString(v.seen) {
			return row[2]
		}
	}
	if v.result == missing {
		return v.seen
	}
	_, said, _ := strings.Cut(v.seen, "\n")
	first, _, _ := strings.Cut(said+"\n", "\n")
	return "the test says: " + first
}

func hint(rows [][]string, name string, level int) string {
	for _, row := range rows {
		if row[1] == strconv.Itoa(level) && isAbout(row, name) {
			return strings.ReplaceAll(row[2], `\n`, "\n  ")
		}
	}
	return "no more than that: read the chapter again."
}

// nextLevel counts the hints about one point. Another point begins at 1.
func nextLevel(file, name string) int {
	text, _ := os.ReadFile(file)
	level := 0
	if f := strings.Fields(string(text)); len(f) == 2 && f[0] == name {
		level, _ = strconv.Atoi(f[1])
	}
	level = min(level+1, 3)
	os.WriteFile(file, fmt.Append(nil, name, " ", level, "\n"), 0o644)
	return level
}
