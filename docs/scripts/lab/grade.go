package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// row is one point of one learner, as csv and json show it.
type row struct {
	Learner string `json:"learner"`
	Lab     int    `json:"lab"`
	Point   string `json:"point"`
	Result  string `json:"result"`
	Points  int    `json:"points"`
	Of      int    `json:"of"`
	Seen    string `json:"seen,omitempty"`
}

func (l *lab) row(learner string, v verdict) row {
	number, _ := strconv.Atoi(l.number)
	r := row{learner, number, v.name, v.result, 0, v.weight, v.seen}
	if v.result == good {
		r.Points = v.weight
	}
	return r
}

// lost is a lab of which no point could be tried.
func (l *lab) lost(learner, result, why string) (rows []row) {
	for _, p := range l.gradable() {
		rows = append(rows, l.row(learner, verdict{p, result, why}))
	}
	return rows
}

// gradeOwn grades what is in work/, all labs.
func gradeOwn([]string) error {
	list, err := labs()
	if err == nil {
		err = checkFormat()
	}
	if err != nil {
		return err
	}
	var rows []row
	for _, l := range list {
		rows = append(rows, l.gradeWork()...)
	}
	return show(rows)
}

func (l *lab) gradeWork() (rows []row) {
	const me = "you"
	if _, err := os.Stat(l.work()); err != nil {
		return l.lost(me, missing, "no "+l.work())
	}
	bin, err := l.build()
	if err != nil {
		return l.lost(me, missing, err.Error())
	}
	suite, err := l.suite()
	if err != nil {
		return l.lost(me, missing, err.Error())
	}
	l.all(l.gradable(), func(p point) verdict {
		return l.try(p, suite, bin)
	}, func(v verdict) { rows = append(rows, l.row(me, v)) })
	return rows
}

func checkFormat() error {
	switch format := os.Getenv("FORMAT"); format {
	case "", "table", "csv", "json":
		return nil
	default:
		return fmt.Errorf("FORMAT=%s: not table, csv or json", format)
	}
}

// show prints all rows as FORMAT says.
func show(rows []row) error {
	switch os.Getenv("FORMAT") {
	case "json":
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	case "csv":
		w := csv.NewWriter(os.Stdout)
		w.Write([]string{"learner", "lab", "point", "result", "points", "of"})
		for _, r := range rows {
			w.Write([]string{r.Learner, strconv.Itoa(r.Lab), r.Point, r.Result,
				strconv.Itoa(r.Points), strconv.Itoa(r.Of)})
		}
		w.Flush()
		return w.Error()
	}
	table(rows)
	return nil
}

// table is one line a learner, one column a lab.
func table(rows []row) {
	var learners []string
	points, of := map[string]int{}, map[string]int{}
	last := 0
	for _, r := range rows {
		if !slices.Contains(learners, r.Learner) {
			learners = append(learners, r.Learner)
		}
		last = max(last, r.Lab)
		key := fmt.Sprint(r.Learner, "/", r.Lab)
		points[key] += r.Points
		of[key] += r.Of
		points[r.Learner] += r.Points
		of[r.Learner] += r.Of
	}
	wide := 8
	for _, name := range learners {
		wide = max(wide, len(name)+1)
	}
	cell := func(key string) string {
		if of[key] == 0 {
			return "-"
		}
		return fmt.Sprintf("%d/%d", points[key], of[key])
	}
	line := fmt.Sprintf("%-*s", wide, "learner")
	for n := 1; n <= last; n++ {
		line += fmt.Sprintf("%8s", fmt.Sprint("lab ", n))
	}
	fmt.Println(line + "     total")
	for _, name := range learners {
		line := fmt.Sprintf("%-*s", wide, name)
		for n := 1; n <= last; n++ {
			line += fmt.Sprintf("%8s", cell(fmt.Sprint(name, "/", n)))
		}
		fmt.Printf("%s%10s\n", line, cell(name))
	}
}
