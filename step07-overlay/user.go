package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// newUser prepares a user namespace: inside, the container has every
// capability, outside none; user_namespaces(7). By default root inside is the
// caller outside. Everybody may write that map who gives up setgroups(2), and
// Go does it between clone and execve. Who executes before the map is there
// executes as nobody, which only ambient capabilities survive.
func newUser(c *cli.Context, attr *syscall.SysProcAttr) {
	if !c.IsSet("uid-map") && !c.IsSet("gid-map") {
		u, g := os.Getuid(), os.Getgid()
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: u, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: g, Size: 1}}
	}
	for n := uintptr(0); n <= unix.CAP_LAST_CAP; n++ {
		attr.AmbientCaps = append(attr.AmbientCaps, n)
	}
}

// writeMap writes --uid-map or --gid-map while the container waits. Root may
// map any range. Others ask newuidmap(1) or newgidmap(1), which allow what
// /etc/subuid and /etc/subgid say, and say why when they refuse.
func writeMap(c *cli.Context, pid int, kind string, id int) error {
	maps := strings.Join(c.StringSlice(kind+"-map"), "\n")
	maps = strings.ReplaceAll(cmp.Or(maps, fmt.Sprintf("0:%d:1", id)), ":", " ")
	if os.Getuid() == 0 {
		file := fmt.Sprintf("/proc/%d/%s_map", pid, kind)
		return failed("write", file, os.WriteFile(file, []byte(maps), 0))
	}
	args := append([]string{fmt.Sprint(pid)}, strings.Fields(maps)...)
	out, err := exec.Command("new"+kind+"map", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("new%smap (package uidmap): %v: %s", kind, err,
			strings.TrimSpace(string(out)))
	}
	return nil
}

// becomeRoot takes the ids that the maps give to root. They may differ from
// ours outside, and a change of ids forgets PDEATHSIG.
func becomeRoot() error {
	unix.Setgroups(nil)
	return failed("setuid", "0", cmp.Or(unix.Setgid(0), unix.Setuid(0),
		unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)))
}
