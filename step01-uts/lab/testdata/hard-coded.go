// Hard-coded the name.
//
// bad: hostname
// says: name inside (-want +got)
// good: uts
package main

import (
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func setNames(c *cli.Context) error {
	domain := c.String("domainname")
	err := unix.Sethostname([]byte("container"))
	if err != nil || domain == "" {
		return failed("sethostname", "container", err)
	}
	return failed("setdomainname", domain, unix.Setdomainname([]byte(domain)))
}
