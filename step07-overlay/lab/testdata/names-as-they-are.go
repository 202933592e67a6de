// Named the layers as they are: a colon parts two layers.
//
// bad: names
// says: (E2BIG)
// good: overlay
package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func setLayers(c *cli.Context, dir string) error {
	lower, err := "", error(nil)
	for _, layer := range layers(c) {
		_, bad := os.ReadDir(layer)
		err = cmp.Or(err, failed("open", layer, bad))
		full, _ := filepath.Abs(layer)
		lower = ":" + full + lower
	}
	if lower == "" && !c.IsSet("commit") {
		return nil
	}
	fd, bad := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	here := fmt.Sprint("/proc/self/fd/", fd)
	c.Set("rootfs", here+"/merged") // if we fail, too: setMounts writes there
	options := fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s/upper,"+
		"workdir=%s/work", strings.TrimPrefix(lower, ":"), here, here)
	if len(options) >= os.Getpagesize() {
		bad = unix.E2BIG
	}
	return cmp.Or(err, failed("mount overlay", dir, cmp.Or(bad, unix.Mount(
		"overlay", here+"/merged", "overlay", unix.MS_NODEV, options))))
}
