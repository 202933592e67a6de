// Clean-host removes what steps and suites that crashed have left on this
// machine: cgroups workshop-ID, nftables tables workshop-ID, links wsID, the
// bridge workshop0, and workshop-* in TMPDIR and /tmp. ID is the PID of the run
// that made them; what belongs to a living process stays.
//
//	clean-host [ID...]    with IDs: only what belongs to these
//
// What it cannot know is where --commit DIR was to go: the directory of a run
// that was killed together with its janitor is DIR-ID.
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

	"golang.org/x/sys/unix"
)

var (
	ids    = os.Args[1:]
	status int
)

func main() {
	for _, remove := range []func() error{cgroups, network, directories} {
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
	return ours && isID(id) && chosen(id) && !lives(id)
}

var isID = regexp.MustCompile(`^[0-9]+$`).MatchString

func chosen(id string) bool { return len(ids) == 0 || slices.Contains(ids, id) }

func lives(id string) bool {
	_, err := os.Stat("/proc/" + id)
	return !errors.Is(err, fs.ErrNotExist)
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
			name := filepath.Base(dir)
			if dead(name, "workshop-") || dead(name, "workshop-test-") {
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
