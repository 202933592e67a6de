//go:build lab

package main

import (
	"errors"
	"os"

	"github.com/urfave/cli/v2"
)

// run is clone(2). C passes clone a function for the child. Go cannot: the
// copy of a process with several threads has only one of them, and the Go
// runtime does not survive that. So the child executes our own program again,
// with the same arguments; argv[0] tells it that it is the one inside. It is
// killed when our thread ends, however that happens: PR_SET_PDEATHSIG in
// prctl(2).
func run(c *cli.Context) error {
	if os.Args[0] == "container" {
		return container(c)
	}
	say("Parent", "create a container!")
	// Start /proc/self/exe as "container" in a new UTS namespace, say its
	// PID, wait for its end, and pass its status on: exited.
	return errors.New("TODO(lab01): run")
}

// setNames gives the container its host name and its NIS domain name. Both
// live in the UTS namespace, uts_namespaces(7): the host keeps its own.
func setNames(c *cli.Context) error {
	return errors.New("TODO(lab01): setNames")
}

// execute is setns(2): it joins the namespace that a file stands for, and
// becomes the command. A PID stands for its file in /proc.
func execute(c *cli.Context) error {
	return errors.New("TODO(lab01): execute")
}
