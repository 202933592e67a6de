package cli

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/engine"
	"container-workshop/final/image"

	"github.com/urfave/cli/v2"
)

// cutTag separates a name from its tag.
func cutTag(ref string) (name, tag string) {
	name, tag = ref, "<none>"
	i := strings.LastIndex(ref, ":")
	if at := strings.Index(ref, "@"); at >= 0 {
		name = ref[:at]
	} else if i > strings.LastIndex(ref, "/") {
		name, tag = ref[:i], ref[i+1:]
	}
	return name, tag
}

func listImages(c *cli.Context, e *engine.Engine) error {
	store, err := e.Images()
	if err != nil {
		return err
	}
	images, err := store.List()
	var rows []row
	for _, img := range images {
		var made time.Time
		if img.Config.Created != nil {
			made = *img.Config.Created
		}
		refs := img.Refs
		if len(refs) == 0 {
			refs = []string{"<none>:<none>"}
		}
		for _, ref := range refs {
			name, tag := cutTag(ref)
			if want := c.Args().First(); want == "" || want == name ||
				want == ref {
				rows = append(rows, row{"ID": short(img.ID, c), "Tag": tag,
					"Repository": name, "Size": size(img.Size),
					"Digest": img.Digest, "CreatedSince": ago(made) + " ago",
					"CreatedAt": made.Local().Format(clock),
					"reference": ref + "\n" + name, "label": strings.Join(
						pairs(img.Config.Config.Labels), "\n"),
					"dangling": strconv.FormatBool(len(img.Refs) == 0)})
			}
		}
	}
	columns := "REPOSITORY=Repository|TAG=Tag|IMAGE ID=ID|CREATED=" +
		"CreatedSince|SIZE=Size"
	if c.Bool("quiet") {
		columns = "IMAGE ID=ID"
	} else if c.Bool("digests") {
		columns = strings.Replace(columns, "|IMAGE", "|DIGEST=Digest|IMAGE", 1)
	}
	return errors.Join(show(c, columns, rows), err)
}

func historyCommand() *cli.Command {
	return onImages("history", "IMAGE", "show how an image was made", 1, 1,
		[]cli.Flag{formatFlag(), yes(nil, "quiet,q", "only IDs"),
			yes(nil, "no-trunc", "whole IDs and commands"),
			&cli.BoolFlag{Name: "human", Aliases: []string{"H"}, Value: true,
				Usage: "sizes and dates for people"}},
		func(c *cli.Context, e *engine.Engine, s *image.Store) error {
			img, err := s.Get(c.Args().First())
			if err != nil {
				return err
			}
			var rows []row
			sizes, last := img.Sizes, len(img.Config.History)-1
			for i, h := range img.Config.History {
				bytes := int64(0)
				if !h.EmptyLayer && len(sizes) > 0 {
					bytes, sizes = sizes[0], sizes[1:]
				}
				id := "<missing>"
				if i == last {
					id = short(img.ID, c)
				}
				rows = append(rows, historyRow(c, id, h.CreatedBy, h.Comment,
					h.Created, bytes))
			}
			slices.Reverse(rows)
			return show(c, "IMAGE=ID|CREATED=CreatedSince|CREATED BY="+
				"CreatedBy|SIZE=Size|COMMENT=Comment", rows)
		})
}

func historyRow(c *cli.Context, id, by, comment string, when *time.Time,
	bytes int64) row {
	r := row{"ID": id, "CreatedBy": by, "Comment": comment, "CreatedSince": "",
		"CreatedAt": "", "Size": size(bytes)}
	if when != nil {
		r["CreatedAt"] = when.Format(time.RFC3339)
		r["CreatedSince"] = ago(*when) + " ago"
	}
	if !c.Bool("human") {
		r["CreatedSince"] = r["CreatedAt"]
		r["Size"] = strconv.FormatInt(bytes, 10)
	}
	if text := []rune(by); len(text) > 45 && !c.Bool("no-trunc") {
		r["CreatedBy"] = string(text[:44]) + "…"
	}
	return r
}
