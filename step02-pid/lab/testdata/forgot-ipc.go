// Forgot CLONE_NEWIPC.
//
// bad: namespaces
// says: "ipc"
// good: status
//
// in run:  | unix.CLONE_NEWIPC ==>
package main
