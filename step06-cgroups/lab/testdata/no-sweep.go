// Left the cgroups on the host.
//
// bad: removed
// says: cgroups and files
package main

func sweepCgroups(id string) {}
