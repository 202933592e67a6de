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

	"container-workshop/final/arguments"
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
	args, err := arguments.Normalise(app, args)
	if err == nil {
		return report(app.Run(args))
	}
	code := 1
	if last := args[len(args)-1]; last == "run" || last == "exec" {
		code = 125
	}
	return report(&status{err, code})
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
