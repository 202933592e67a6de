// Forgot CLONE_NEWPID.
//
// bad: namespaces
// says: "pid"
//
// in run: unix.CLONE_NEWPID |  ==>
package main
