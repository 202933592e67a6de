// Clean-host removes what steps that crashed have left on this machine:
// cgroups workshop-ID, nftables tables workshop-ID, links wsID, the bridge
// workshop0, and the workshop's directories in TMPDIR. ID is the PID of the
// run that made them; what belongs to a living process stays.
//
//	clean-host [ID...]    with IDs: only what belongs to these
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	ids    = os.Args[1:]
	status int
)

func main() {
	for _, remove := range []func() error{
		cgroups, tables, links, bridge, directories} {
		if err := remove(); err != nil {
			fail(err)
		}
	}
	os.Exit(status)
}

func fail(err error) {
	what := ""
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EPERM) {
		what = ": run it as root: sudo make clean-host"
	}
	fmt.Fprintf(os.Stderr, "clean-host: %v%s\n", err, what)
	status = 1
}

// removed says what is gone now, or why it is not.
func removed(what string, err error) {
	if err != nil {
		fail(fmt.Errorf("%s: %w", what, err))
		return
	}
	fmt.Println("removed", what)
}

// dead is the ID in a name, if it is one of ours and its process is gone.
func dead(name, prefix string) bool {
	id, ours := strings.CutPrefix(name, prefix)
	if !ours || !regexp.MustCompile(`^[0-9]+$`).MatchString(id) {
		return false
	}
	if len(ids) > 0 && !slices.Contains(ids, id) {
		return false
	}
	_, err := os.Stat("/proc/" + id)
	return errors.Is(err, fs.ErrNotExist)
}

// cgroups: the directories at the top of each mounted hierarchy, v1 or v2.
func cgroups() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "cgroup" && f[2] != "cgroup2" {
			continue
		}
		found, _ := filepath.Glob(f[1] + "/workshop-*")
		for _, dir := range found {
			if dead(filepath.Base(dir), "workshop-") {
				removed("cgroup "+dir, removeCgroup(dir))
			}
		}
	}
	return nil
}

// A cgroup goes from the inside out, by rmdir(2): its files are the kernel's.
// While processes live in it the kernel says EBUSY, which is what we want.
func removeCgroup(dir string) error {
	inside, err := os.ReadDir(dir)
	for _, d := range inside {
		if d.IsDir() {
			err = errors.Join(err, removeCgroup(dir+"/"+d.Name()))
		}
	}
	return errors.Join(err, unix.Rmdir(dir))
}

func tables() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	list, err := c.ListTables()
	if err != nil {
		return fmt.Errorf("list the nftables tables: %w", err)
	}
	for _, t := range list {
		if dead(t.Name, "workshop-") {
			c.DelTable(t)
			removed("nftables table "+t.Name, c.Flush())
		}
	}
	return nil
}

func links() error {
	list, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list the links: %w", err)
	}
	for _, l := range list {
		if l.Type() == "veth" && dead(l.Attrs().Name, "ws") {
			removed("link "+l.Attrs().Name, netlink.LinkDel(l))
		}
	}
	return nil
}

// The bridge goes when no link is attached to it and no step runs that may
// be about to attach one.
func bridge() error {
	br, err := netlink.LinkByName("workshop0")
	if errors.As(err, &netlink.LinkNotFoundError{}) || len(ids) > 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for workshop0: %w", err)
	}
	list, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list the links: %w", err)
	}
	for _, l := range list {
		if l.Attrs().MasterIndex == br.Attrs().Index {
			fmt.Println("workshop0 stays:", l.Attrs().Name, "is attached")
			return nil
		}
	}
	running, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range running {
		path, _ := os.Readlink(exe)
		if strings.HasPrefix(filepath.Base(path), "step0") {
			fmt.Println("workshop0 stays:", path, "is running")
			return nil
		}
	}
	removed("bridge workshop0", netlink.LinkDel(br))
	return nil
}
