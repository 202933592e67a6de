// Step 7: a container that keeps its writes to itself.
//
// Three verbs, and each of them is one system call: run is clone(2), exec is
// setns(2), unshare is unshare(2).
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/urfave/cli/v2"
)

const program = "step07-overlay"

// Namespaces belong to threads, and a Go program has several. main stays on
// the first one: what it changes there holds for what it starts or becomes.
func init() { runtime.LockOSThread() }

func main() {
	for _, ns := range namespaces {
		leave = append(leave, &cli.BoolFlag{Name: ns.option,
			Usage: "new " + ns.file + " namespace"})
	}
	app := &cli.App{Name: program, Action: unknown, Commands: []*cli.Command{
		{Name: "run", OnUsageError: usage, Usage: "clone(2): new container",
			ArgsUsage: "COMMAND [ARG...]", Action: run, Flags: runFlags},
		{Name: "exec", OnUsageError: usage, Usage: "setns(2): join a container",
			ArgsUsage: "PID|FILE COMMAND [ARG...]", Action: execute},
		{Name: "unshare", OnUsageError: usage, Usage: "unshare(2): leave ours",
			ArgsUsage: "COMMAND [ARG...]", Action: unshare, Flags: leave},
		{Name: "janitor", Hidden: true, Action: janitor},
	}}
	app.DisableSliceFlagSeparator = true // a comma is part of a volume
	app.UseShortOptionHandling = true    // -ip is -i -p
	if err := app.Run(os.Args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		os.Exit(125)
	}
}

var runFlags = []cli.Flag{
	&cli.StringFlag{Name: "hostname", Value: "container", Usage: "host `NAME`"},
	&cli.StringFlag{Name: "domainname", Usage: "NIS domain `NAME`"},
	&cli.StringFlag{Name: "rootfs", Value: "/", Usage: "`DIR` to be /"},
	&cli.StringSliceFlag{Name: "volume", Usage: "mount `SRC:DST[:ro]`"},
	&cli.BoolFlag{Name: "chroot", Usage: "chroot(2), no pivot_root(2)"},
	&cli.StringSliceFlag{Name: "uid-map", Usage: "`INSIDE:HOST:N` user ids"},
	&cli.StringSliceFlag{Name: "gid-map", Usage: "`INSIDE:HOST:N` group ids"},
	&cli.StringFlag{Name: "network", Usage: "bridge none host container:PID"},
	&cli.StringSliceFlag{Name: "layer", Usage: "read-only `DIR`, lowest first"},
	&cli.StringFlag{Name: "commit", Usage: "keep what is written as `DIR`"},
	&cli.StringSliceFlag{Name: "publish", Usage: "port `HOST:INSIDE[/udp]`"},
	&cli.StringFlag{Name: "subnet", Value: "172.29.0.0/24", Usage: "a `CIDR`"},
}

var leave = []cli.Flag{
	&cli.StringFlag{Name: "kill-child", Usage: "send `SIGNAL` when we die"},
	&cli.BoolFlag{Name: "no-fork", Usage: "become COMMAND without a fork"},
}

func unknown(c *cli.Context) error {
	return fmt.Errorf("no command %q: see %s help", c.Args().First(), program)
}

func usage(c *cli.Context, err error, _ bool) error {
	return fmt.Errorf("%w: see %s %s --help", err, program, c.Command.Name)
}
