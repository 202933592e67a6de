// Made the cgroups, and put nobody in.
//
// bad: enter
// says: TestKilledAtTheMemoryLimit
package main

func enter(id any, pid int) error { return nil }
