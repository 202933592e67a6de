// Forgot MS_REC: only / itself is private.
//
// bad: private
// says: peers of
package main

import "golang.org/x/sys/unix"

func private() error {
	return unix.Mount("", "/", "", unix.MS_PRIVATE, "")
}
