package cli

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"
)

// row is one line of a listing: Docker's keys for --format begin with capital
// letters, those for --filter with small ones; their values are lists of lines.
type row map[string]string

func filterFlag(keys string) cli.Flag {
	return &cli.GenericFlag{Name: "filter", Aliases: []string{"f"},
		Usage: "only `KEY=VALUE`, KEY is one of " + keys,
		Value: &values{to: new([]string), keys: keys}}
}

func formatFlag() cli.Flag {
	return text(nil, "format", "json, table, or a `TEMPLATE`")
}

// listFlags are what Docker's listings have in common.
func listFlags(keys string, more ...cli.Flag) []cli.Flag {
	return append(more, yes(nil, "quiet,q", "only IDs or names"),
		filterFlag(keys),
		yes(nil, "no-trunc", "whole IDs and commands"), formatFlag())
}

// show prints the rows that pass --filter. Columns are HEADING=Key|...; with
// -q only the first key is printed.
func show(c *cli.Context, columns string, rows []row) error {
	title, keys := row{}, []string{}
	for column := range strings.SplitSeq(columns, "|") {
		heading, key, _ := strings.Cut(column, "=")
		title[key], keys = heading, append(keys, "{{."+key+"}}")
	}
	format := c.String("format")
	if c.Bool("quiet") && format == "" {
		format = keys[0]
	}
	form, table := strings.CutPrefix(format, "table")
	if form = strings.TrimSpace(form); form == "" {
		form, table = strings.Join(keys, "\t"), true
	}
	w := tabwriter.NewWriter(os.Stdout, 10, 1, 3, ' ', 0)
	defer w.Flush()
	if table {
		rows = append([]row{title}, rows...)
	}
	for i, r := range rows {
		ok := i == 0 && table || r.passes(c)
		maps.DeleteFunc(r, func(key, _ string) bool { return key[0] >= 'a' })
		if ok {
			if err := printRow(w, form, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// printRow prints v as JSON or as a template says, in which \t is a tabulator.
func printRow(w interface{ Write([]byte) (int, error) }, format string,
	v any) error {
	if format == "json" {
		return json.NewEncoder(w).Encode(v)
	}
	format = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(format)
	t := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"json": func(v any) (string, error) {
			data, err := json.Marshal(v)
			return string(data), err
		}, "upper": strings.ToUpper, "lower": strings.ToLower,
		"join": strings.Join, "split": strings.Split})
	t, err := t.Parse(format + "\n")
	if err == nil {
		err = t.Execute(w, v)
	}
	return err
}

// passes says whether a row passes all --filter: of those with the same key
// one is enough, as in Docker.
func (r row) passes(c *cli.Context) bool {
	filters, _ := c.Generic("filter").(*values)
	if filters == nil {
		return true
	}
	passed := map[string]bool{}
	for _, filter := range *filters.to {
		key, want, _ := strings.Cut(filter, "=")
		for v := range strings.SplitSeq(r[key], "\n") {
			passed[key] = passed[key] || v == want ||
				key == "id" && strings.HasPrefix(v, want) ||
				key == "name" && strings.Contains(v,
					strings.Trim(want, "^/$")) ||
				key == "label" && strings.HasPrefix(v, want+"=")
		}
	}
	return !slices.Contains(slices.Collect(maps.Values(passed)), false)
}

// pairs are a map's keys and values, in order.
func pairs(m map[string]string) (list []string) {
	for key, value := range m {
		list = append(list, key+"="+value)
	}
	slices.Sort(list)
	return list
}

func short(id string, c *cli.Context) string {
	if c.Bool("no-trunc") {
		return id
	}
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

func size[T int64 | uint64](n T) string { return units.HumanSize(float64(n)) }

// join is errors.Join for one more list.
func join(err error, more []error) error {
	return errors.Join(append([]error{err}, more...)...)
}
