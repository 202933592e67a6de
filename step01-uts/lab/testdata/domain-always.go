// Sets the domain that nobody asked for.
//
// bad: domainname
// says: domain that nobody set
// good: uts
package main

import (
	"cmp"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func setNames(c *cli.Context) error {
	host, domain := c.String("hostname"), c.String("domainname")
	return cmp.Or(failed("sethostname", host, unix.Sethostname([]byte(host))),
		failed("setdomainname", domain,
			unix.Setdomainname([]byte(domain))))
}
