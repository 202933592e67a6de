// Slave is not private: the host's mounts still come in.
//
// bad: private
// says: peers of
// good: rootfs
package main

import "golang.org/x/sys/unix"

func private() error {
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "")
}
