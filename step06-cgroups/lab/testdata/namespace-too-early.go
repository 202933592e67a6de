// Made the namespace by clone(2): its roots are the cgroups of the parent.
//
// bad: enter
// says: TestFirstInstruction
// good: pids
//
// in run: unix.CLONE_NEWUSER | flags ==> \
// unix.CLONE_NEWUSER | flags |\n\t\tunix.CLONE_NEWCGROUP
package main

import "golang.org/x/sys/unix"

func setCgroups() error {
	unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", unix.MS_RDONLY, "")
	return nil
}
