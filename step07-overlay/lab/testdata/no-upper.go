// Forgot upperdir and workdir: nothing can be written.
//
// bad: copy-up
// says: mount overlay
package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func setLayers(c *cli.Context, dir string) error {
	lower, err := "", error(nil)
	for _, layer := range layers(c) {
		fd, bad := unix.Open(layer, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		err = cmp.Or(err, failed("open", layer, bad))
		lower = fmt.Sprintf(":/proc/self/fd/%d%s", fd, lower)
	}
	if lower == "" && !c.IsSet("commit") {
		return nil
	}
	fd, bad := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	here := fmt.Sprint("/proc/self/fd/", fd)
	c.Set("rootfs", here+"/merged") // if we fail, too: setMounts writes there
	options := fmt.Sprintf("userxattr,lowerdir=%s",
		strings.TrimPrefix(lower, ":"))
	if len(options) >= os.Getpagesize() {
		bad = unix.E2BIG
	}
	return cmp.Or(err, failed("mount overlay", dir, cmp.Or(bad, unix.Mount(
		"overlay", here+"/merged", "overlay", unix.MS_NODEV, options))))
}
