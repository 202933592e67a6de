// Forgot MS_PRIVATE: where / is shared, pivot_root(2) says EINVAL.
//
// bad: rootfs
// says: pivot_root
package main

func private() error { return nil }
