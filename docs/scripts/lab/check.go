package main

import (
	"fmt"
	"os"
	"strings"
)

// checkLab builds the learner's program and tries each point.
func checkLab(args []string) error {
	l, err := theLab(args)
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
	got, all := 0, 0
	l.all(l.gradable(), func(p point) verdict { return l.try(p, suite, bin) },
		func(v verdict) {
			all += v.weight
			if v.result == good {
				got += v.weight
			}
			report(l, v, bin)
		})
	fmt.Printf("\nLab %s: %d of %d points\n", l.number, got, all)
	if got < all {
		fmt.Printf("make hint-step%s helps; it gives a little more each "+
			"time.\n", l.number)
		return errPoints
	}
	return nil
}

// report prints a point's line, and if it is not good what to know about it.
func report(l *lab, v verdict, bin string) {
	fmt.Printf("%-8s %-14s %2d\n", v.result, v.name, v.weight)
	if v.result == good {
		return
	}
	about("expected", v.expected)
	about("seen", strings.ReplaceAll(v.seen, "\n\n", "\n"))
	about("look", v.look(l, bin))
}

// look is the command to see it oneself.
func (p point) look(l *lab, bin string) string {
	if p.command == "-" {
		return fmt.Sprintf("STEP_BIN=%s make test-step%s", bin, l.number)
	}
	if top, err := os.Getwd(); err == nil {
		bin = strings.TrimPrefix(bin, top+"/")
	}
	return strings.ReplaceAll(p.command, "$BIN", bin)
}

// about prints lines beside a heading.
func about(what, text string) {
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		fmt.Printf("         %-9s %s\n", what, line)
		what = ""
	}
}
