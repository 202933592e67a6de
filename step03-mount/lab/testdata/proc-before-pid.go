// Mounted /proc before the PID namespace: it shows that of whoever mounts it,
// and that was the parent.
//
// bad: proc
// says: TestOwnProc
//
// in run:  | unix.CLONE_NEWNS} ==> }
// in run: \tcmd := exec ==> \tif err := before(); err != nil {\n\
// \t\treturn err\n\t}\n\tcmd := exec
package main

import (
	"os"

	"golang.org/x/sys/unix"
)

func before() error {
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = private()
	}
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", 0, "")
	}
	return failed("unshare", "mounts", err)
}

func mountAll(rows []mount) error {
	for _, m := range rows {
		if m.on == "/proc" && rows[0].on == "/tmp" {
			continue // is there already
		}
		if info, err := os.Stat(m.src); err == nil && !info.IsDir() {
			unix.Mknod(m.on, unix.S_IFREG|0o644, 0)
		}
		os.MkdirAll(m.on, 0o755)
		if err := unix.Mount(m.src, m.on, m.fs, m.flags, m.data); err != nil {
			return failed("mount", m.on, err)
		}
	}
	return nil
}
