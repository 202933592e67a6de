// Forgot MS_REC: what is mounted below the new root stays behind.
//
// bad: rootfs
// says: TestRootfsWithMounts
// good: private
package main

import (
	"cmp"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func enterRoot(root string, pivot bool) error {
	full, _ := filepath.Abs(root)
	err := cmp.Or(unix.Mount(root, full, "", unix.MS_BIND, ""),
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
	if err == nil && pivot {
		err = failed("umount2", "/", unix.Unmount(".", unix.MNT_DETACH))
	}
	return err
}
