package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/engine"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"
)

func listCommands() []*cli.Command {
	return []*cli.Command{psCommand(), inspectCommand(""), logsCommand(),
		topCommand(), portCommand(), statsCommand(), eventsCommand(),
		xrayCommand()}
}

const (
	clock     = "2006-01-02 15:04:05 -0700 MST"
	psColumns = "CONTAINER ID=ID|IMAGE=Image|COMMAND=Command|" +
		"CREATED=RunningFor|STATUS=Status|PORTS=Ports|NAMES=Names"
	statsColumns = "CONTAINER ID=ID|NAME=Name|CPU %=CPUPerc|" +
		"MEM USAGE / LIMIT=MemUsage|MEM %=MemPerc|NET I/O=NetIO|" +
		"BLOCK I/O=BlockIO|PIDS=PIDs"
)

func ago(t time.Time) string { return units.HumanDuration(time.Since(t)) }

func psCommand() *cli.Command {
	var all, latest, sizes bool
	var last int
	return command("ps,ls,list", "", "list containers", 0, 0, listFlags(
		"id name status exited label ancestor volume network",
		yes(&all, "all,a", "not only those that run"),
		yes(&latest, "latest,l", "only the newest"),
		yes(&sizes, "size,s", "with sizes"),
		count(&last, "last,n", 0, "only the newest `N`")),
		func(c *cli.Context, e *engine.Engine) error {
			filters := *c.Generic("filter").(*values).to
			all = all || latest || last > 0 || slices.ContainsFunc(filters,
				func(f string) bool {
					return strings.HasPrefix(f, "status=") ||
						strings.HasPrefix(f, "exited=")
				})
			boxes, bad := e.List()
			if latest || last > 0 {
				boxes = boxes[:min(len(boxes), max(last, 1))]
			}
			var rows []row
			for _, b := range boxes {
				if all || b.State.Running() {
					rows = append(rows, containerRow(c, e, b, sizes))
				}
			}
			columns := psColumns
			if sizes {
				columns += "|SIZE=Size"
			}
			return join(show(c, columns, rows), bad)
		})
}

func containerRow(c *cli.Context, e *engine.Engine, b *engine.Container,
	sizes bool) row {
	command := strings.Join(b.Command, " ")
	if !c.Bool("no-trunc") && len(command) > 20 {
		command = command[:19] + "…"
	}
	var ports, mounts, volumes []string
	networks := []string{b.Options.Network}
	for _, p := range e.Ports(b) {
		ports = append(ports, p.String())
	}
	slices.Sort(ports)
	for _, m := range b.Mounts {
		mounts = append(mounts, m.Source)
		volumes = append(volumes, m.Name, m.Destination)
	}
	for _, a := range b.Networks {
		networks = append(networks, a.Network)
	}
	slices.Sort(networks)
	networks = slices.Compact(networks)
	r := row{"ID": short(b.ID, c), "Image": b.Options.Image, "Size": "0B",
		"Command":    strconv.Quote(command),
		"RunningFor": ago(b.Created) + " ago",
		"CreatedAt":  b.Created.Local().Format(clock),
		"Status":     describe(b), "State": b.State.Status,
		"Ports": strings.Join(ports, ", "), "Names": b.Name,
		"Labels":       strings.Join(pairs(b.Labels), ","),
		"Mounts":       strings.Join(mounts, ","),
		"Networks":     strings.Join(networks, ","),
		"LocalVolumes": strconv.Itoa(len(mounts)),
		"id":           b.ID, "name": b.Name, "status": b.State.Status,
		"label":   strings.Join(pairs(b.Labels), "\n"),
		"volume":  strings.Join(volumes, "\n"),
		"network": strings.Join(networks, "\n"), "exited": "",
		"ancestor": b.Options.Image + "\n" + b.ImageID + "\n" +
			strings.TrimSuffix(b.Options.Image, ":latest")}
	if b.State.Status == "exited" {
		r["exited"] = strconv.Itoa(b.State.ExitCode)
	}
	if sizes {
		upper, all := b.Sizes()
		r["Size"] = size(upper) + " (virtual " + size(all) + ")"
	}
	return r
}

// describe says how a container is: Up 5 minutes, Exited (0) 2 hours ago.
func describe(b *engine.Container) string {
	s := b.State
	switch s.Status {
	case "running":
		if b.Lost() != nil {
			return "Up " + ago(s.StartedAt) + " (Monitor killed)"
		}
		return "Up " + ago(s.StartedAt)
	case "paused":
		return "Up " + ago(s.StartedAt) + " (Paused)"
	case "created":
		return "Created"
	}
	return fmt.Sprintf("%s (%d) %s ago", strings.ToUpper(s.Status[:1])+
		s.Status[1:], s.ExitCode, ago(s.FinishedAt))
}

// statsCommand compares two samples, a second apart.
func statsCommand() *cli.Command {
	var all, once bool
	return command("stats", "[CONTAINER...]", "show what containers use", 0, -1,
		listFlags("", yes(&all, "all,a", "not only those that run"),
			yes(&once, "no-stream", "only once")),
		func(c *cli.Context, e *engine.Engine) error {
			before := map[string]engine.Sample{}
			for first := true; ; first = false {
				boxes, err := e.Some(c.Args().Slice())
				var rows []row
				for _, b := range boxes {
					if all || c.NArg() > 0 || b.State.Pid != 0 {
						s, _ := e.Sample(b) // it may have ended
						rows = append(rows, statsRow(c, b, s, before[b.ID]))
						before[b.ID] = s
					}
				}
				if !first && !once && c.String("format") == "" {
					fmt.Print("\033[2J\033[H") // clear the screen
				}
				if !first && err == nil {
					err = show(c, statsColumns, rows)
				}
				if err != nil || once && !first {
					return err
				}
				time.Sleep(time.Second)
			}
		})
}

func statsRow(c *cli.Context, b *engine.Container, s, old engine.Sample) row {
	return row{"ID": short(b.ID, c), "Name": b.Name, "Container": b.ID,
		"CPUPerc": fmt.Sprintf("%.2f%%", s.CPUPercent(old)),
		"MemUsage": units.BytesSize(float64(s.Memory)) + " / " +
			units.BytesSize(float64(s.Limit)),
		"MemPerc": fmt.Sprintf("%.2f%%", float64(s.Memory)/
			float64(max(s.Limit, 1))*100),
		"NetIO":   size(s.Received) + " / " + size(s.Sent),
		"BlockIO": size(s.BlockIn) + " / " + size(s.BlockOut),
		"PIDs":    strconv.FormatUint(s.Pids, 10)}
}
