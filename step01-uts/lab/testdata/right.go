// The variation.
package main

import (
	"fmt"
	"regexp"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

var label = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?$`)

func setNames(c *cli.Context) error {
	host, domain := c.String("hostname"), c.String("domainname")
	if !label.MatchString(host) {
		return fmt.Errorf("--hostname %s: only letters, digits and -", host)
	}
	err := unix.Sethostname([]byte(host))
	if err != nil || domain == "" {
		return failed("sethostname", host, err)
	}
	return failed("setdomainname", domain, unix.Setdomainname([]byte(domain)))
}
