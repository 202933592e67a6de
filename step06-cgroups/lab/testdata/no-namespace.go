// Forgot the namespace: inside, the path is the one of the host.
//
// bad: namespace
// says: TestCgroupNamespace
package main

func setCgroups() error { return nil }
