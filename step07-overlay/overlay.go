package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// layers are read-only directories, the lowest first. --rootfs is one of them.
func layers(c *cli.Context) (list []string) {
	if root := c.String("rootfs"); root != "/" {
		list = []string{root}
	}
	return append(list, c.StringSlice("layer")...)
}

// newLayers makes the directories of an overlay on the host: upper receives
// what the container writes, work is the kernel's, merged the mount point.
// They belong to root inside.
func newLayers(c *cli.Context, dir string) error {
	if _, err := os.Lstat(c.String("commit")); err == nil {
		return failed("commit", c.String("commit"), unix.EEXIST)
	} else if len(layers(c)) == 0 && !c.IsSet("commit") {
		return nil
	}
	uid, gid, err := os.Getuid(), os.Getgid(), error(nil)
	fmt.Sscanf(strings.Join(c.StringSlice("uid-map"), " "), "0:%d:", &uid)
	fmt.Sscanf(strings.Join(c.StringSlice("gid-map"), " "), "0:%d:", &gid)
	for _, name := range []string{"", "/upper", "/work", "/merged"} {
		err = cmp.Or(err, os.Mkdir(dir+name, 0o700),
			os.Chown(dir+name, uid, gid))
	}
	return failed("mkdir", dir, cmp.Or(err, os.Chmod(dir+"/upper", 0o755)))
}

// setLayers mounts the overlay, in the container, and makes it the root
// directory to be. The layers are named by open files: names are free to have
// colons and commas then, and many fit into the one page that mount(2) takes.
// userxattr keeps overlayfs's own marks where a user namespace may write them.
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
	options := fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s/upper,"+
		"workdir=%s/work", strings.TrimPrefix(lower, ":"), here, here)
	if len(options) >= os.Getpagesize() {
		bad = unix.E2BIG
	}
	return cmp.Or(err, failed("mount overlay", dir, cmp.Or(bad, unix.Mount(
		"overlay", here+"/merged", "overlay", unix.MS_NODEV, options))))
}

// keepLayer makes upper a layer for the next run, unless we failed.
func keepLayer(c *cli.Context, dir string, status error) error {
	exit, ended := status.(cli.ExitCoder)
	if !c.IsSet("commit") || !ended || exit.ExitCode() == 125 {
		return status
	}
	err := os.Rename(dir+"/upper", c.String("commit"))
	return cmp.Or(failed("rename", dir, err), status)
}

// sweepLayers is for the janitor. overlayfs leaves its work directory closed,
// as root inside may leave any other. The last writer may have yet to die.
func sweepLayers(dir string) {
	for n := 0; os.RemoveAll(dir) != nil && n < 100; n++ {
		if os.Getuid() != 0 {
			exec.Command("chmod", "-R", "u+rwx", dir).Run()
		}
		time.Sleep(20 * time.Millisecond)
	}
}
