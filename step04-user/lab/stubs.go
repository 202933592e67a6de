//go:build lab

package main

import (
	"cmp"
	"errors"
	"syscall"

	"github.com/urfave/cli/v2"
)

// container is the other half of run, in the child: it sets the container up
// and, being PID 1, stays to look after the command. First it waits at the
// gate: until its maps are written it is nobody. A parent that fails closes
// the gate without a word.
func container(c *cli.Context) error {
	// File 3 is the gate. Read run's two letters from it, and close it; end
	// without a word and with 125, cli.Exit, if there are none.
	// TODO(lab04): the gate
	err := becomeRoot()
	say("Container", "inside the container!")
	if err = cmp.Or(err, setNames(c), setMounts(c)); err != nil {
		return err
	}
	return spawn(c.Args().Slice(), nil)
}

// newUser prepares a user namespace: inside, the container has every
// capability, outside none; user_namespaces(7). By default root inside is the
// caller outside. Everybody may write that map who gives up setgroups(2), and
// Go does it between clone and execve. Who executes before the map is there
// executes as nobody, which only ambient capabilities survive.
func newUser(c *cli.Context, attr *syscall.SysProcAttr) {
	// TODO(lab04): newUser
}

// writeMap writes --uid-map or --gid-map while the container waits; kind is
// "uid" or "gid". Without the option the map is the caller's id alone. Root
// may map any range. Others ask newuidmap(1) or newgidmap(1), which allow what
// /etc/subuid and /etc/subgid say, and say why when they refuse.
func writeMap(c *cli.Context, pid int, kind string, id int) error {
	return errors.New("TODO(lab04): writeMap")
}
