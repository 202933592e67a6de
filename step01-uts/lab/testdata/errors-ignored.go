// Drops the error of sethostname: a name that is too long goes unnoticed.
//
// bad: hostname
// says: want status 125
// good: domainname
package main

import (
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func setNames(c *cli.Context) error {
	unix.Sethostname([]byte(c.String("hostname")))
	if domain := c.String("domainname"); domain != "" {
		unix.Setdomainname([]byte(domain))
	}
	return nil
}
