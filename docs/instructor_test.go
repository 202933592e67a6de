package docs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestInstructorMinutes adds up the plans of docs/instructor.md, and holds the
// minutes of a chapter there against those that the chapters promise.
func TestInstructorMinutes(t *testing.T) {
	p, err := readPage(repoRoot, "docs/instructor.md")
	if err != nil {
		t.Fatal(err)
	}
	plans := 0
	for i := 0; i < len(p.lines); i++ {
		table, ok := p.tableAt(i)
		if !ok {
			continue
		}
		i = table.last
		if last := table.rows[len(table.rows)-1]; last[0] == "total" {
			plans++
			for _, fault := range addUp(table.rows) {
				t.Error(p.problem(i, "%s", fault))
			}
		}
	}
	if plans != 3 {
		t.Errorf("%d tables end in a total, want a chapter's, half a day's "+
			"and two days'", plans)
	}
	text := strings.Join(p.lines, "\n")
	for _, step := range steps(repoRoot) {
		chapter, err := readPage(repoRoot, step+"/README.md")
		if err != nil {
			t.Fatal(err)
		}
		first, last, _ := chapter.section("Goal and what you need")
		m := minutes.FindString(strings.Join(chapter.lines[first:last], "\n"))
		if !strings.Contains(text, "| "+m+" |") {
			t.Errorf("no column for %s, which has %s", step, m)
		}
		number, _, _ := strings.Cut(strings.TrimPrefix(step, "step0"), "-")
		whole := regexp.MustCompile(`(?m)^\| step ` + number + ` \| (\d+) \|$`)
		if w := whole.FindStringSubmatch(text); w != nil &&
			w[1]+" minutes" != m {
			t.Errorf("%s has %s, the plan of two days %s", step, m, w[1])
		}
	}
}

// addUp compares the last row of a table with the sum of the others.
func addUp(rows [][]string) (faults []string) {
	last := rows[len(rows)-1]
	for column, cell := range last {
		want, err := strconv.Atoi(cell)
		if err != nil {
			continue
		}
		sum := 0
		for _, row := range rows[1 : len(rows)-1] {
			n, err := strconv.Atoi(row[column])
			if err != nil {
				faults = append(faults, row[column]+" is no number")
			}
			sum += n
		}
		if sum != want {
			faults = append(faults, fmt.Sprintf("the total is %d, not %d", sum,
				want))
		}
	}
	return faults
}
