// Package arguments is between the words of a command line, as people know them
// from Docker, and the library that reads them.
package arguments

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Normalise puts arguments as this library wants them where Docker's takes
// more: options after names, values without a space (-p80:80, -n5).
func Normalise(app *cli.App, args []string) ([]string, error) {
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
			return out, fmt.Errorf("%w: see %s --help", err, out[len(out)-1])
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
