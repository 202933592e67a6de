package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// directories: make, the suites, and the containers of step 7 put what they
// need into directories with our name. One that a process still names in its
// command line, environment, working directory or program is in use.
func directories() error {
	found, _ := filepath.Glob(os.TempDir() + "/workshop-*")
	more, _ := filepath.Glob("/tmp/workshop-*") // sudo may forget TMPDIR
	found = append(found, more...)
	slices.Sort(found)
	if len(found) == 0 {
		return nil
	}
	used := processes()
	for _, dir := range slices.Compact(found) {
		info, err := os.Lstat(dir)
		// Root may remove everybody's, the others their own.
		mine := err == nil && (os.Getuid() == 0 ||
			int(info.Sys().(*syscall.Stat_t).Uid) == os.Getuid())
		id := strings.TrimPrefix(filepath.Base(dir), "workshop-")
		if !mine || !chosen(id) {
			continue
		}
		if why := inUse(dir, id, used, info.ModTime()); why != "" {
			fmt.Println(dir, "stays:", why)
			continue
		}
		removed(dir, removeAll(dir))
	}
	return nil
}

// processes is all that they say about the files that they use, and what is
// mounted.
func processes() string {
	var said strings.Builder
	list, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range list {
		if p == fmt.Sprint("/proc/", os.Getpid()) {
			continue
		}
		for _, file := range []string{"/cmdline", "/environ"} {
			text, _ := os.ReadFile(p + file)
			said.Write(append(text, 0))
		}
		for _, link := range []string{"/cwd", "/exe"} {
			target, _ := os.Readlink(p + link)
			said.WriteString(target + "\000")
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	said.Write(mounts)
	return said.String()
}

// inUse says why a directory stays, if it does. A container's is called as its
// run, and its mounts are not ours to see; without that run it is of no use. A
// suite between two commands is seen nowhere, so what is new stays.
func inUse(dir, id, used string, made time.Time) string {
	named := regexp.MustCompile(regexp.QuoteMeta(dir) + `\b`)
	if isID(id) && lives(id) {
		return "process " + id + " lives"
	}
	if named.MatchString(used) {
		return "it is in use"
	}
	_, upper := os.Lstat(dir + "/upper")
	_, work := os.Lstat(dir + "/work")
	container := isID(id) && upper == nil && work == nil
	if !container && time.Since(made) < 10*time.Minute {
		return "it is new"
	}
	return ""
}

// removeAll is os.RemoveAll, also where overlayfs has left a directory closed.
// Root needs no permission, and must not follow a name that a user may change.
func removeAll(dir string) error {
	if os.Getuid() != 0 {
		filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				os.Chmod(p, 0o700)
			}
			return nil
		})
	}
	return os.RemoveAll(dir)
}
