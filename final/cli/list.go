package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/bundle"
	"container-workshop/final/engine"
	"container-workshop/final/image"

	"github.com/urfave/cli/v2"
)

func listCommands() []*cli.Command {
	return []*cli.Command{psCommand(), inspectCommand(""), logsCommand(),
		topCommand(), portCommand(), statsCommand(), eventsCommand()}
}

const clock = "2006-01-02 15:04:05 -0700 MST"

var psColumns = []string{"CONTAINER ID", "ID", "IMAGE", "Image", "COMMAND",
	"Command", "CREATED", "RunningFor", "STATUS", "Status", "PORTS", "Ports",
	"NAMES", "Names"}

func psCommand() *cli.Command {
	var filters []string
	var all, latest, sizes bool
	var last int
	return command("ps,ls,list", "", "list containers", 0, 0, append(
		listFlags(&filters), yes(&all, "all,a", "not only those that run"),
		yes(&latest, "latest,l", "only the newest"),
		yes(&sizes, "size,s", "with sizes"),
		count(&last, "last,n", 0, "only the newest `N`")),
		func(c *cli.Context, e *engine.Engine) error {
			if latest {
				last = 1
			}
			boxes, bad := e.List()
			err := errors.Join(bad...)
			var rows []row
			for _, b := range boxes {
				all := all || last > 0 || slices.ContainsFunc(filters,
					func(f string) bool {
						return strings.HasPrefix(f, "status=") ||
							strings.HasPrefix(f, "exited=")
					})
				ok, wrong := matches(filters, func(k, v string) (bool, error) {
					return matchContainer(boxes, b, k, v)
				})
				if wrong != nil {
					return wrong
				}
				if ok && (all || b.State.Running()) &&
					(last == 0 || len(rows) < last) {
					rows = append(rows, containerRow(c, e, b, sizes))
				}
			}
			columns := psColumns
			if sizes {
				columns = append(slices.Clone(columns), "SIZE", "Size")
			}
			return errors.Join(show(c, "ID", columns, rows), err)
		})
}

func containerRow(c *cli.Context, e *engine.Engine, b *engine.Container,
	sizes bool) row {
	command := strings.Join(b.Command, " ")
	whole := c.Bool("no-trunc")
	if !whole && len(command) > 20 {
		command = command[:19] + "…"
	}
	var published, mounts, networks []string
	for _, p := range ports(e, b) {
		published = append(published, p.String())
	}
	for _, m := range b.Mounts {
		mounts = append(mounts, m.Name+m.Source)
	}
	for _, a := range b.Networks {
		networks = append(networks, a.Network)
	}
	if len(networks) == 0 {
		networks = append(networks, b.Options.Network)
	}
	r := row{"ID": short(b.ID, whole), "Image": b.Options.Image,
		"Command": strconv.Quote(command), "RunningFor": ago(b.Created) + " ago",
		"CreatedAt": b.Created.Local().Format(clock),
		"Status":    describe(b), "State": b.State.Status,
		"Ports": strings.Join(sorted(published), ", "), "Names": b.Name,
		"Labels": pairs(b.Labels), "Mounts": strings.Join(mounts, ","),
		"Networks": strings.Join(networks, ","), "Size": "0B",
		"LocalVolumes": strconv.Itoa(len(mounts))}
	if sizes {
		upper, image := b.UpperSize(), int64(0)
		for _, dir := range b.Layers {
			image += engine.Size(dir)
		}
		r["Size"] = size(upper) + " (virtual " + size(upper+image) + ")"
	}
	return r
}

// describe says how a container is: Up 5 minutes, Exited (0) 2 hours ago.
func describe(b *engine.Container) string {
	s := b.State
	switch s.Status {
	case "running":
		return "Up " + ago(s.StartedAt)
	case "paused":
		return "Up " + ago(s.StartedAt) + " (Paused)"
	case "restarting":
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode,
			ago(s.FinishedAt))
	case "exited":
		return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, ago(s.FinishedAt))
	}
	return "Created"
}

func matchContainer(all []*engine.Container, b *engine.Container, key,
	value string) (bool, error) {
	switch key {
	case "id":
		return strings.HasPrefix(b.ID, value), nil
	case "name":
		return strings.Contains(b.Name, strings.Trim(value, "/^$")), nil
	case "status":
		return b.State.Status == value, nil
	case "exited":
		return b.State.Status == "exited" &&
			strconv.Itoa(b.State.ExitCode) == value, nil
	case "label":
		return hasLabel(b.Labels, value), nil
	case "ancestor":
		return b.Options.Image == value || b.Options.Image == value+":latest" ||
			strings.HasPrefix(short(b.ImageID, true), value), nil
	case "volume":
		return slices.ContainsFunc(b.Mounts, func(m bundle.Mount) bool {
			return m.Name == value || m.Destination == value
		}), nil
	case "network":
		return b.Options.Network == value || slices.ContainsFunc(b.Networks,
			func(a engine.Attachment) bool { return a.Network == value }), nil
	case "before", "since":
		for _, other := range all {
			if other.Name == value || strings.HasPrefix(other.ID, value) {
				return b.Created.Before(other.Created) == (key == "before") &&
					b.ID != other.ID, nil
			}
		}
		return false, &engine.NotFound{Name: value}
	}
	return false, fmt.Errorf("invalid filter '%s'", key)
}

// statsCommand compares two samples, a second apart: -1 is the CPU.
func statsCommand() *cli.Command {
	var all, once bool
	columns := []string{"CONTAINER ID", "ID", "NAME", "Name", "CPU %", "CPUPerc",
		"MEM USAGE / LIMIT", "MemUsage", "MEM %", "MemPerc", "NET I/O", "NetIO",
		"BLOCK I/O", "BlockIO", "PIDS", "PIDs"}
	return command("stats", "[CONTAINER...]", "show what containers use", 0, -1,
		append(listFlags(new([]string)), yes(&all, "all,a", "not only those "+
			"that run"), yes(&once, "no-stream", "only once")),
		func(c *cli.Context, e *engine.Engine) error {
			before := map[string]engine.Sample{}
			for first := true; ; first = false {
				boxes, err := chosen(c, e, all)
				if err != nil {
					return err
				}
				var rows []row
				for _, b := range boxes {
					s, _ := e.Sample(b) // it may have ended
					rows = append(rows, statsRow(c, b, s, before[b.ID]))
					before[b.ID] = s
				}
				if !first {
					if !once && c.String("format") == "" {
						fmt.Print("\033[2J\033[H") // clear the screen
					}
					if err = show(c, "ID", columns, rows); err != nil || once {
						return err
					}
				}
				time.Sleep(time.Second)
			}
		})
}

// chosen are the containers that the arguments name, or all that run.
func chosen(c *cli.Context, e *engine.Engine, all bool) (some []*engine.
	Container, err error) {
	for _, name := range c.Args().Slice() {
		b, err := e.Find(name)
		if err != nil {
			return nil, err
		}
		some = append(some, b)
	}
	if c.NArg() > 0 {
		return some, nil
	}
	boxes, bad := e.List()
	for _, b := range boxes {
		if all || b.State.Pid != 0 {
			some = append(some, b)
		}
	}
	return some, errors.Join(bad...)
}

func statsRow(c *cli.Context, b *engine.Container, s,
	before engine.Sample) row {
	percent := 0.0
	if s.Limit > 0 {
		percent = float64(s.Memory) / float64(s.Limit) * 100
	}
	return row{"ID": short(b.ID, c.Bool("no-trunc")), "Name": b.Name,
		"Container": b.ID,
		"CPUPerc":   fmt.Sprintf("%.2f%%", s.CPUPercent(before)),
		"MemUsage":  binary(s.Memory) + " / " + binary(s.Limit),
		"MemPerc":   fmt.Sprintf("%.2f%%", percent),
		"NetIO":     size(s.Received) + " / " + size(s.Sent),
		"BlockIO":   size(s.BlockIn) + " / " + size(s.BlockOut),
		"PIDs":      strconv.FormatUint(s.Pids, 10)}
}

func imageCommands() []*cli.Command {
	var filters, changes []string
	var force bool
	var message, platform string
	return []*cli.Command{
		command("images", "[NAME]", "list images", 0, 1, append(
			listFlags(&filters), yes(nil, "all,a", "all of them"),
			yes(nil, "digests", "with digests")),
			func(c *cli.Context, e *engine.Engine) error {
				return listImages(c, e, filters)
			}),
		command("import", "FILE|DIR|- [NAME]", "make an image of a root file "+
			"system", 1, 2, []cli.Flag{
			many(&changes, "change,c", "Dockerfile `INSTRUCTION`: CMD sh"),
			text(&message, "message,m", "`TEXT` for the history"),
			text(&platform, "platform", "`OS/ARCH`")},
			func(c *cli.Context, e *engine.Engine) error {
				return importImage(c, e, changes, message, platform)
			}),
		command("rmi", "IMAGE...", "remove images", 1, -1, []cli.Flag{
			yes(&force, "force,f", "also one that stopped containers use")},
			func(c *cli.Context, e *engine.Engine) error {
				store, err := e.Images()
				for _, name := range c.Args().Slice() {
					if store == nil {
						break
					}
					lines, bad := store.Remove(name, force, e.ImageUser)
					for _, line := range lines {
						fmt.Println(line)
					}
					err = errors.Join(err, bad)
				}
				return err
			}),
	}
}

func listImages(c *cli.Context, e *engine.Engine, filters []string) error {
	store, err := e.Images()
	if err != nil {
		return err
	}
	images, err := store.List()
	whole := c.Bool("no-trunc")
	var rows []row
	for _, img := range images {
		ok, wrong := matches(filters, func(key, v string) (bool, error) {
			switch key {
			case "dangling":
				return (len(img.Refs) == 0) == (v == "true"), nil
			case "label":
				return hasLabel(img.Config.Config.Labels, v), nil
			case "reference":
				return slices.ContainsFunc(img.Refs, func(ref string) bool {
					return ref == v || strings.HasPrefix(ref, v+":")
				}), nil
			}
			return false, fmt.Errorf("invalid filter '%s'", key)
		})
		if wrong != nil {
			return wrong
		}
		var made time.Time
		if img.Config.Created != nil {
			made = *img.Config.Created
		}
		refs := img.Refs
		if len(refs) == 0 {
			refs = []string{"<none>:<none>"}
		}
		for _, ref := range refs {
			name, tag := ref, "<none>"
			if i := strings.LastIndex(ref, ":"); i > strings.LastIndex(ref, "/") {
				name, tag = ref[:i], ref[i+1:]
			}
			if want := c.Args().First(); !ok || want != "" && want != name &&
				want != ref {
				continue
			}
			id := short(img.ID, whole)
			if whole {
				id = img.ID
			}
			rows = append(rows, row{"ID": id, "Repository": name, "Tag": tag,
				"Digest": img.Digest, "Size": size(img.Size),
				"CreatedSince": ago(made) + " ago", "Containers": "N/A",
				"CreatedAt": made.Local().Format(clock)})
		}
	}
	columns := []string{"REPOSITORY", "Repository", "TAG", "Tag", "IMAGE ID",
		"ID", "CREATED", "CreatedSince", "SIZE", "Size"}
	if c.Bool("digests") {
		columns = slices.Insert(slices.Clone(columns), 4, "DIGEST", "Digest")
	}
	return errors.Join(show(c, "ID", columns, rows), err)
}

func importImage(c *cli.Context, e *engine.Engine, changes []string, message,
	platform string) error {
	store, err := e.Images()
	if err != nil {
		return err
	}
	r, err := image.Source(c.Args().First(), os.Stdin)
	if err != nil {
		return err
	}
	defer r.Close()
	img, err := store.Import(r, image.ImportOptions{Ref: c.Args().Get(1),
		Changes: changes, Message: message, Platform: platform})
	if err == nil {
		fmt.Println(img.ID)
		e.Event("image", "import", img.ID, "name", c.Args().Get(1))
	}
	return err
}
