package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"container-workshop/final/bundle"
	"container-workshop/final/engine"
	"container-workshop/final/journal"

	"github.com/urfave/cli/v2"
)

// onEach makes a command for containers, one or several.
func onEach(name, usage string, flags []cli.Flag, do func(*cli.Context,
	*engine.Engine, *engine.Container) error) *cli.Command {
	return command(name, "CONTAINER...", usage, 1, -1, flags,
		func(c *cli.Context, e *engine.Engine) error {
			return eachContainer(c, e, func(b *engine.Container) error {
				return do(c, e, b)
			})
		})
}

// lifeCommands are those that change containers.
func lifeCommands() []*cli.Command {
	var signal string
	var wait int
	seconds := func() []cli.Flag {
		return []cli.Flag{text(&signal, "signal,s", "send `SIGNAL`"),
			count(&wait, "time,t,timeout", 0, "kill after `SECONDS`")}
	}
	stop := func(c *cli.Context, e *engine.Engine, b *engine.Container) error {
		limit := b.StopTimeout()
		if c.IsSet("time") {
			limit = wait
		}
		return e.Stop(b, signal, limit)
	}
	return []*cli.Command{
		onEach("stop", "stop containers", seconds(), stop),
		onEach("restart", "stop containers and start them", seconds(),
			func(c *cli.Context, e *engine.Engine, b *engine.Container) error {
				err := stop(c, e, b)
				if err != nil {
					return err
				}
				conn, err := e.Start(b, engine.StartOptions{})
				if conn != nil {
					conn.Close()
				}
				e.Event("container", "restart", b)
				return err
			}),
		onEach("kill", "send containers a signal", []cli.Flag{
			&cli.StringFlag{Name: "signal", Aliases: []string{"s"},
				Value: "KILL", Usage: "`SIGNAL`"}},
			func(c *cli.Context, e *engine.Engine, b *engine.Container) error {
				return e.Kill(b, c.String("signal"))
			}),
		onEach("pause", "freeze containers", nil, func(_ *cli.Context,
			e *engine.Engine, b *engine.Container) error {
			return e.Pause(b, true)
		}),
		onEach("unpause", "let frozen containers go on", nil,
			func(_ *cli.Context, e *engine.Engine, b *engine.Container) error {
				return e.Pause(b, false)
			}),
		removeCommand(), waitCommand(), updateCommand(),
		command("rename", "CONTAINER NAME", "give a container another name", 2,
			2, nil, func(c *cli.Context, e *engine.Engine) error {
				b, err := e.Find(c.Args().First())
				if err == nil {
					err = e.Rename(b, c.Args().Get(1))
				}
				return err
			}),
		cleanupCommand(),
	}
}

func removeCommand() *cli.Command {
	return command("rm,remove", "CONTAINER...", "remove containers", 1, -1,
		[]cli.Flag{yes(nil, "force,f", "kill it if it runs"),
			yes(nil, "volumes,v", "and its anonymous volumes")},
		func(c *cli.Context, e *engine.Engine) error {
			return each(c, e, "", func(name string) error {
				b, err := e.Find(name)
				if err == nil {
					err = e.Remove(b, c.Bool("force"), c.Bool("volumes"))
				}
				if c.Bool("force") && errors.As(err, new(*engine.NotFound)) {
					fmt.Fprintln(os.Stderr, err)
					err = errSilent
				}
				return err
			})
		})
}

func waitCommand() *cli.Command {
	return command("wait", "CONTAINER...", "wait for containers to end, print "+
		"their exit status", 1, -1, nil,
		func(c *cli.Context, e *engine.Engine) (all error) {
			for _, name := range c.Args().Slice() {
				b, err := e.Find(name)
				code := 0
				if err == nil {
					code, err = e.Wait(b)
				}
				if err == nil {
					fmt.Println(code)
					warnLost(b)
				}
				all = errors.Join(all, err)
			}
			return all
		})
}

func warnLost(b *engine.Container) {
	if err := b.Lost(); err != nil {
		warn(err.Error())
	}
}

func updateCommand() *cli.Command {
	limits, restart := &bundle.Limits{}, ""
	return command("update", "CONTAINER...", "change limits", 1, -1,
		append(limitFlags(limits), text(&restart, "restart", "`POLICY`")),
		func(c *cli.Context, e *engine.Engine) error {
			return eachContainer(c, e, func(b *engine.Container) error {
				warnings, err := e.Update(b, limits, restart)
				for _, text := range warnings {
					warn(text)
				}
				return err
			})
		})
}

// cleanupCommand is for monitors.
func cleanupCommand() *cli.Command {
	var restart bool
	hidden := command("cleanup", "CONTAINER", "after a container's end", 1, 1,
		[]cli.Flag{yes(&restart, "restart", "start it again")},
		func(c *cli.Context, e *engine.Engine) error {
			b, err := e.Find(c.Args().First())
			if err == nil {
				err = e.Cleanup(b, restart)
			}
			if errors.As(err, new(*engine.NotFound)) {
				err = nil // somebody was faster
			}
			return err
		})
	hidden.Hidden = true
	return hidden
}

func logsCommand() *cli.Command {
	var o journal.Options
	var since, until string
	var stamps, details bool
	return command("logs", "CONTAINER", "print what a container has written", 1,
		1, []cli.Flag{yes(&o.Follow, "follow,f", "go on while it runs"),
			&cli.StringFlag{Name: "tail", Aliases: []string{"n"}, Value: "all",
				Usage: "only the last `N` lines"},
			text(&since, "since", "only what is younger than `TIME`"),
			text(&until, "until", "only what is older than `TIME`"),
			yes(&stamps, "timestamps,t", "with the time of each line"),
			yes(&details, "details", "with labels (there are none)")},
		func(c *cli.Context, e *engine.Engine) (err error) {
			b, err := e.Find(c.Args().First())
			if err != nil {
				return err
			}
			o.Tail = -1
			if n := c.String("tail"); n != "all" {
				if _, err = fmt.Sscanf(n, "%d", &o.Tail); err != nil {
					return fmt.Errorf("invalid value for --tail: %s", n)
				}
			}
			if o.Since, err = journal.ParseTime(since); err != nil {
				return err
			}
			if o.Until, err = journal.ParseTime(until); err != nil {
				return err
			}
			defer warnLost(b)
			runs := func() bool { return e.Runs(b) }
			return journal.Read(b.LogFile(), o, runs, func(line journal.Line) {
				text := line.Log
				if stamps {
					at := line.Time.Format("2006-01-02T15:04:05.000000000Z")
					text = at + " " + text
				}
				if line.Stream == "stderr" {
					os.Stderr.WriteString(text)
				} else {
					os.Stdout.WriteString(text)
				}
			})
		})
}

func topCommand() *cli.Command {
	return command("top", "CONTAINER [PS-OPTION...]", "list its processes", 1,
		-1, nil, func(c *cli.Context, e *engine.Engine) error {
			b, err := e.Find(c.Args().First())
			if err != nil {
				return err
			}
			title, rows, err := e.Top(b, c.Args().Tail())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(os.Stdout, 20, 1, 3, ' ', 0)
			for _, row := range append([][]string{title}, rows...) {
				fmt.Fprintln(w, strings.Join(row, "\t"))
			}
			return w.Flush()
		})
}

func portCommand() *cli.Command {
	return command("port", "CONTAINER [PORT[/PROTO]]", "list published ports",
		1, 2, nil, func(c *cli.Context, e *engine.Engine) error {
			b, err := e.Find(c.Args().First())
			if err != nil {
				return err
			}
			want := c.Args().Get(1)
			if want != "" && !strings.Contains(want, "/") {
				want += "/tcp"
			}
			found := false
			for _, p := range e.Ports(b) {
				host, inside, _ := strings.Cut(p.String(), "->")
				if want == "" {
					fmt.Println(inside, "->", host)
				} else if inside == want {
					found = true
					fmt.Println(host)
				}
			}
			if want != "" && !found {
				return fmt.Errorf("no public port '%s' published for %s", want,
					c.Args().First())
			}
			return nil
		})
}

func eventsCommand() *cli.Command {
	return command("events", "", "print what happens", 0, 0, []cli.Flag{
		text(nil, "since", "begin at `TIME`"),
		filterFlag("type event image label container " +
			"network volume"), formatFlag(),
		text(nil, "until", "end at `TIME`")},
		func(c *cli.Context, e *engine.Engine) error {
			begin, err := journal.ParseTime(c.String("since"))
			end, bad := journal.ParseTime(c.String("until"))
			if err = errors.Join(err, bad); err != nil {
				return err
			}
			each := func(v journal.Event) error {
				who := v.Actor.ID + "\n" + v.Actor.Attributes["name"]
				list := pairs(v.Actor.Attributes)
				r := row{"type": v.Type, "event": v.Action, "image": v.From,
					"label": strings.Join(list, "\n"), "container": "",
					"network": "", "volume": ""}
				r[v.Type] += who
				if !r.passes(c) {
					return nil
				}
				if format := c.String("format"); format != "" {
					return printRow(os.Stdout, format, v)
				}
				_, err := fmt.Println(time.Unix(0, v.TimeNano).Format(
					time.RFC3339Nano), v.Type, v.Action, v.Actor.ID,
					"("+strings.Join(list, ", ")+")")
				return err
			}
			return journal.Events(e.Run, begin, end, each)
		})
}
