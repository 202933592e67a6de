package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/urfave/cli/v2"
)

// row is one line of a listing: Docker's keys for --format.
type row map[string]string

// listFlags are what Docker's listings have in common.
func listFlags(filters *[]string) []cli.Flag {
	return []cli.Flag{yes(nil, "quiet,q", "only IDs or names"),
		yes(nil, "no-trunc", "whole IDs and commands"),
		text(nil, "format", "json, table, or a `TEMPLATE`"),
		many(filters, "filter,f", "only `KEY=VALUE`")}
}

// show prints rows. Columns are a heading and a key in turn; with -q only the
// key quiet is printed.
func show(c *cli.Context, quiet string, columns []string, rows []row) error {
	format := c.String("format")
	if c.Bool("quiet") && format == "" {
		format = "{{." + quiet + "}}"
	}
	title := row{}
	for i := 0; i < len(columns); i += 2 {
		title[columns[i+1]] = columns[i]
	}
	form, table := strings.CutPrefix(format, "table")
	if form = strings.TrimSpace(form); form == "" {
		for i := 1; i < len(columns); i += 2 {
			form += "\t{{." + columns[i] + "}}"
		}
		form, table = form[1:], true
	}
	if !table {
		for _, r := range rows {
			if err := printRow(form, r); err != nil {
				return err
			}
		}
		return nil
	}
	t, err := parse(form)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 10, 1, 3, ' ', 0)
	for _, r := range append([]row{title}, rows...) {
		if err := t.Execute(w, r); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// parse reads a template, in which \t is a tabulator.
func parse(format string) (*template.Template, error) {
	format = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(format)
	t, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"json": func(v any) (string, error) {
			data, err := json.Marshal(v)
			return string(data), err
		}, "upper": strings.ToUpper, "lower": strings.ToLower,
		"join": strings.Join, "split": strings.Split,
	}).Parse(format)
	if err != nil {
		err = fmt.Errorf("template parsing error: %w", err)
	}
	return t, err
}

// printRow prints v as JSON or as a template says.
func printRow(format string, v any) error {
	if format == "json" {
		data, err := json.Marshal(v)
		fmt.Println(string(data))
		return err
	}
	t, err := parse(format)
	if err == nil {
		err = t.Execute(os.Stdout, v)
		fmt.Println()
	}
	return err
}

// matches says whether something passes all --filter: of those with the same
// key one is enough, as in Docker.
func matches(filters []string, match func(key, value string) (bool,
	error)) (bool, error) {
	passed := map[string]bool{}
	for _, filter := range filters {
		key, value, ok := strings.Cut(filter, "=")
		if !ok {
			return false, fmt.Errorf("invalid filter '%s': it must be "+
				"KEY=VALUE", filter)
		}
		yes, err := match(key, value)
		if err != nil {
			return false, err
		}
		passed[key] = passed[key] || yes
	}
	for _, yes := range passed {
		if !yes {
			return false, nil
		}
	}
	return true, nil
}

// hasLabel is the filter label=KEY[=VALUE].
func hasLabel(labels map[string]string, filter string) bool {
	key, want, given := strings.Cut(filter, "=")
	got, has := labels[key]
	return has && (!given || got == want)
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// pairs are a map's keys and values, as Docker lists labels.
func pairs(m map[string]string) string {
	var list []string
	for key, value := range m {
		list = append(list, key+"="+value)
	}
	return strings.Join(sorted(list), ",")
}

func short(id string, whole bool) string {
	if id = strings.TrimPrefix(id, "sha256:"); !whole && len(id) > 12 {
		id = id[:12]
	}
	return id
}

// ago is how long ago something was, in Docker's words.
func ago(t time.Time) string {
	d := time.Since(t)
	n, hours := int(d.Seconds()), int(math.Round(d.Hours()))
	switch {
	case n < 1:
		return "Less than a second"
	case n == 1:
		return "1 second"
	case n < 60:
		return fmt.Sprintf("%d seconds", n)
	case n < 120:
		return "About a minute"
	case n < 3600:
		return fmt.Sprintf("%d minutes", n/60)
	case hours == 1:
		return "About an hour"
	case hours < 48:
		return fmt.Sprintf("%d hours", hours)
	case hours < 24*14:
		return fmt.Sprintf("%d days", hours/24)
	case hours < 24*30*2:
		return fmt.Sprintf("%d weeks", hours/24/7)
	case hours < 24*365*2:
		return fmt.Sprintf("%d months", hours/24/30)
	}
	return fmt.Sprintf("%d years", int(d.Hours())/24/365)
}

// human is a size in powers of base, 1000 or 1024.
func human(n, base float64, units string) string {
	list := strings.Fields(units)
	i := 0
	for ; n >= base && i < len(list)-1; i++ {
		n /= base
	}
	if base == 1000 {
		return fmt.Sprintf("%.3g%s", n, list[i])
	}
	return fmt.Sprintf("%.4g%s", n, list[i])
}

func size[T int64 | uint64](n T) string {
	return human(float64(n), 1000, "B kB MB GB TB PB EB")
}

func binary(n uint64) string {
	return human(float64(n), 1024, "B KiB MiB GiB TiB PiB EiB")
}
