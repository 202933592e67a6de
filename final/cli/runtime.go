package cli

import (
	"github.com/urfave/cli/v2"

	"container-workshop/final/minirunc"
)

// runtimeCommand is for the help and for completion: the commands of the OCI
// runtime have begun, and ended, before this package does.
func runtimeCommand() *cli.Command {
	return &cli.Command{Name: "runtime", SkipFlagParsing: true,
		Usage: "the OCI runtime's commands, also called minirunc",
		Action: func(c *cli.Context) error {
			return &status{nil, minirunc.Main(c.Args().Slice())}
		}}
}

func runtimeMain(args []string) int { return minirunc.Main(args[1:]) }
