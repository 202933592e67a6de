// Mounted the overlay, and forgot to make it the root: the container still
// writes to the layers.
//
// bad: overlay
// says: TestClassic
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
	options := fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s/upper,"+
		"workdir=%s/work", strings.TrimPrefix(lower, ":"), here, here)
	if len(options) >= os.Getpagesize() {
		bad = unix.E2BIG
	}
	return cmp.Or(err, failed("mount overlay", dir, cmp.Or(bad, unix.Mount(
		"overlay", here+"/merged", "overlay", unix.MS_NODEV, options))))
}
