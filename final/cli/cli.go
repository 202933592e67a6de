// Package cli is the command line: Docker's words, and the OCI runtime's.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"container-workshop/final/engine"

	"github.com/urfave/cli/v2"
)

// Version is this program's, and part of what `version` and `info` say.
const Version = "0.1.0"

const program = "minidocker"

// Main runs the command that args name and returns the exit status.
func Main(args []string) int {
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Usage: "show help"}
	cli.OsExiter = func(int) {}
	cli.ErrWriter = io.Discard
	app := app()
	if filepath.Base(args[0]) == "minirunc" {
		return runtimeMain(args)
	}
	args, err := normalise(app, args)
	if err == nil {
		err = app.Run(args)
	}
	return report(err)
}

func app() *cli.App {
	containers := slices.Concat(runCommands(), lifeCommands(), listCommands(),
		fileCommands())
	return &cli.App{Name: program, Version: Version, HideHelpCommand: true,
		Usage:                     "run containers, without a daemon",
		DisableSliceFlagSeparator: true, UseShortOptionHandling: true,
		EnableBashCompletion: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "root", EnvVars: []string{"MINIDOCKER_ROOT"},
				Usage: "keep images and containers in `DIR`"},
			&cli.StringFlag{Name: "state",
				EnvVars: []string{"MINIDOCKER_STATE"},
				Usage:   "keep what a reboot ends in `DIR`"}},
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return fmt.Errorf("unknown command: %s %s: see %s --help",
					program, name, program)
			}
			return cli.ShowAppHelp(c)
		},
		Commands: slices.Concat(containers, imageCommands(false),
			systemCommands(),
			[]*cli.Command{
				group("container", "containers", containers),
				group("image", "images", imageCommands(true)),
				group("network", "networks", networkCommands()),
				group("volume", "volumes", volumeCommands()),
				runtimeCommand()})}
}

func group(name, what string, commands []*cli.Command) *cli.Command {
	return &cli.Command{Name: name, Usage: "manage " + what,
		HideHelpCommand: true, Subcommands: commands,
		Action: func(c *cli.Context) error {
			if word := c.Args().First(); word != "" {
				return fmt.Errorf("unknown command: %s %s %s: see %s %s --help",
					program, name, word, program, name)
			}
			return cli.ShowSubcommandHelp(c)
		}}
}

// command makes a command with between least and most arguments; a negative
// most is any number.
func command(name, args, usage string, least, most int, flags []cli.Flag,
	do func(c *cli.Context, e *engine.Engine) error) *cli.Command {
	names := strings.Split(name, ",")
	return &cli.Command{Name: names[0], Aliases: names[1:], ArgsUsage: args,
		Usage: usage, Flags: flags, HideHelpCommand: true,
		OnUsageError: func(c *cli.Context, err error, _ bool) error {
			return withCode(c, fmt.Errorf("%w: see %s %s --help",
				err, program, names[0]))
		},
		Action: func(c *cli.Context) error {
			if n := c.NArg(); n < least || most >= 0 && n > most {
				return withCode(c, fmt.Errorf("wrong number of arguments: "+
					"usage: %s [OPTION...] %s", c.Command.HelpName, args))
			}
			e, err := engine.Open(c.String("root"), c.String("state"))
			if err == nil {
				err = do(c, e)
			}
			return withCode(c, err)
		}}
}

// status is an error with an exit status; one without text says nothing.
type status struct {
	error
	code int
}

// withCode gives an error Docker's exit status: 125 from run, else 1.
func withCode(c *cli.Context, err error) error {
	if err == nil || errors.As(err, new(*status)) {
		return err
	}
	code := 1
	if c.Command.Name == "run" {
		code = 125
	}
	return &status{err, code}
}

// report prints an error in one line.
func report(err error) int {
	if err == nil {
		return 0
	}
	code := 1
	var s *status
	if errors.As(err, &s) {
		code, err = s.code, s.error
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(os.Stderr, "%s: %s\n", program,
				strings.TrimSuffix(line, "\n"))
		}
	}
	return code
}

// errSilent is no error, but nothing to print the name for, either.
var errSilent = errors.New("")

// each does something to every argument and prints what worked, as Docker
// does: an error does not stop the others. What is removed is an event.
func each(c *cli.Context, e *engine.Engine, kind string,
	do func(name string) error) (all error) {
	for _, name := range c.Args().Slice() {
		switch err := do(name); {
		case err == nil:
			fmt.Println(name)
			if kind != "" {
				e.Event(kind, "destroy", name)
			}
		case err != errSilent:
			all = errors.Join(all, err)
		}
	}
	return all
}

// eachContainer is each for containers.
func eachContainer(c *cli.Context, e *engine.Engine,
	do func(*engine.Container) error) error {
	return each(c, e, "", func(name string) error {
		box, err := e.Find(name)
		if err == nil {
			err = do(box)
		}
		return err
	})
}

// normalise puts arguments as this library wants them where Docker's takes
// more: options after names, values without a space (-p80:80, -n5).
func normalise(app *cli.App, args []string) ([]string, error) {
	out, rest := args[:1:1], args[1:]
	flags, commands := app.Flags, app.Commands
	var last *cli.Command
	for {
		var names []string
		var err error
		// Where a command follows, and where one for the container does, the
		// options end with the first other word.
		stop := len(commands) > 0 || slices.Contains([]string{"run", "create",
			"exec", "top"}, out[len(out)-1])
		var options []string
		options, names, err = split(flags, rest, stop)
		if err != nil {
			last := out[len(out)-1]
			err = fmt.Errorf("%w: see %s --help", err, last)
			code := 1
			if last == "run" || last == "exec" {
				code = 125
			}
			return nil, &status{err, code}
		}
		out = append(out, options...)
		i := -1
		if len(names) > 0 {
			i = slices.IndexFunc(commands, func(c *cli.Command) bool {
				return c.HasName(names[0])
			})
		}
		if i < 0 || commands[i].Name == "runtime" {
			if i < 0 && len(names) > 0 {
				out = append(out, "--")
			}
			if last != nil {
				last.Flags = given(last.Flags, options)
			}
			return append(out, names...), nil
		}
		out = append(out, names[0])
		last = commands[i]
		flags, commands = commands[i].Flags, commands[i].Subcommands
		rest = names[1:]
	}
}

// given leaves out the flags without a value that nobody has given one: the
// library looks for each by comparing it with all of them, by a regular
// expression, which took longer than the rest of the command line. Who asks for
// help sees them all.
func given(flags []cli.Flag, options []string) []cli.Flag {
	has := map[string]bool{"filter": true} // its value is asked for
	for _, option := range options {
		name, _, _ := strings.Cut(strings.TrimLeft(option, "-"), "=")
		has[name] = true
	}
	if has["help"] || has["generate-bash-completion"] {
		return flags
	}
	return slices.DeleteFunc(slices.Clone(flags), func(flag cli.Flag) bool {
		switch f := flag.(type) {
		case *cli.BoolFlag:
			has[f.Name] = has[f.Name] || f.Value
		case *cli.StringFlag:
			has[f.Name] = has[f.Name] || f.Value != ""
		}
		return !slices.ContainsFunc(flag.Names(), func(name string) bool {
			return has[name]
		})
	})
}

// split separates options with their values from other words.
func split(flags []cli.Flag, args []string, stop bool) (options,
	names []string, err error) {
	takes := map[string]bool{"help": false, "version": false,
		"generate-bash-completion": false}
	for _, flag := range flags {
		_, yes := flag.(*cli.BoolFlag)
		for _, name := range flag.Names() {
			takes[name] = !yes
		}
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, long := strings.CutPrefix(arg, "--")
		switch {
		case arg == "--":
			return options, append(names, args...), nil
		case !strings.HasPrefix(arg, "-") || arg == "-":
			names = append(names, arg)
			if stop {
				return options, append(names, args...), nil
			}
			continue
		case !long:
			for name = arg[1:]; len(name) > 1 && !takes[name[:1]] &&
				name[1] != '='; name = name[1:] {
				if _, known := takes[name[:1]]; !known {
					break
				}
				options = append(options, "-"+name[:1])
			}
			if _, known := takes[name[:1]]; !known {
				return nil, nil, fmt.Errorf("unknown shorthand flag: %q in %s",
					name[:1], arg)
			}
			if value := strings.TrimPrefix(name[1:], "="); len(name) > 1 {
				options = append(options, "-"+name[:1]+"="+value)
				continue
			}
			arg = "-" + name
		}
		name, _, _ = strings.Cut(name, "=")
		if _, known := takes[name]; !known {
			return nil, nil, fmt.Errorf("unknown flag: %s", arg)
		}
		options = append(options, arg)
		if takes[name] && !strings.Contains(arg, "=") {
			if len(args) == 0 {
				return nil, nil, fmt.Errorf("flag needs an argument: %s", arg)
			}
			options, args = append(options, args[0]), args[1:]
		}
	}
	return options, names, nil
}
