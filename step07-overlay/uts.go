package main

import (
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// setNames gives the container its host name and its NIS domain name. Both
// live in the UTS namespace, uts_namespaces(7): the host keeps its own.
func setNames(c *cli.Context) error {
	host, domain := c.String("hostname"), c.String("domainname")
	err := unix.Sethostname([]byte(host))
	if err != nil || domain == "" {
		return failed("sethostname", host, err)
	}
	return failed("setdomainname", domain, unix.Setdomainname([]byte(domain)))
}
