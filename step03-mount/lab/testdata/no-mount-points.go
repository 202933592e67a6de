// Forgot to make the mount points.
//
// bad: mounts
// says: mount /dev/pts: no such file or directory (ENOENT)
package main

import "golang.org/x/sys/unix"

func mountAll(rows []mount) error {
	for _, m := range rows {
		if err := unix.Mount(m.src, m.on, m.fs, m.flags, m.data); err != nil {
			return failed("mount", m.on, err)
		}
	}
	return nil
}
