// Forgot to detach the old root: it is still below the new one.
//
// bad: rootfs
// says: TestRootfs
package main

import (
	"cmp"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func enterRoot(root string, pivot bool) error {
	full, _ := filepath.Abs(root)
	err := cmp.Or(unix.Mount(root, full, "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Chdir(full))
	if err != nil {
		return failed("bind mount", root, err)
	}
	if pivot {
		err = failed("pivot_root", root, unix.PivotRoot(".", "."))
	} else {
		err = failed("chroot", root, unix.Chroot("."))
	}
	if err == nil {
		err = mountAll(mounts[:2])
	}
	return err
}
