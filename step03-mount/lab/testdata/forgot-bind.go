// Forgot to bind the new root on itself: it is no mount point.
//
// bad: rootfs
// says: pivot_root
package main

import (
	"cmp"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func enterRoot(root string, pivot bool) error {
	full, _ := filepath.Abs(root)
	err := unix.Chdir(full)
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
	if err == nil && pivot {
		err = failed("umount2", "/", unix.Unmount(".", unix.MNT_DETACH))
	}
	return err
}
