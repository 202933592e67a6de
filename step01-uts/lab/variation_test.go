//go:build lab

package main_test

import "testing"

// The kernel takes any 64 bytes as a host name. DNS does not: RFC 1123 has
// letters, digits and "-", and no "-" at either end.
func TestHostnamesOfDNS(t *testing.T) {
	each(t, "variation", func(t *testing.T, p program) {
		needs(t, "root")
		for _, name := range []string{"a", "web-1", "3com", newName()} {
			got := p.must(t, "run", "--hostname", name, "uname", "-n")
			equal(t, "name inside", got, name)
		}
		before := names()
		for _, name := range []string{"my_host", "-web", "web-", "we b", "wb!",
			"b\xc3\xbcro", newName() + "_"} {
			p.refuses(t, 125, []string{name}, "run", "--hostname", name, "true")
		}
		equal(t, "names outside", names(), before)
	})
}
