package docs

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// ordinaryUser is whom root becomes for `as=user`: who called sudo. Else the
// first user who has ranges of ids, or just a name, or a number without one.
var ordinaryUser = chooseUser(os.Getenv("SUDO_UID"), isNamed, hasRanges)

func chooseUser(sudo string, named, ranges func(uid int) bool) int {
	if uid, err := strconv.Atoi(sudo); err == nil && uid > 0 {
		return uid
	}
	var all []int
	for uid := 1000; uid < 1100; uid++ {
		if named(uid) {
			all = append(all, uid)
		}
	}
	if i := slices.IndexFunc(all, ranges); i >= 0 {
		return all[i]
	}
	return append(all, 1000)[0]
}

func isNamed(uid int) bool {
	_, err := user.LookupId(strconv.Itoa(uid))
	return err == nil
}

// The files of ids that a user may map: subuid(5), subgid(5).
var rangeFiles = []string{"/etc/subuid", "/etc/subgid"}

// hasRanges tells whether newuidmap(1) and newgidmap(1) do anything for a
// user.
func hasRanges(uid int) bool {
	who, err := user.LookupId(strconv.Itoa(uid))
	for _, file := range rangeFiles {
		text, _ := os.ReadFile(file)
		if err != nil ||
			!strings.Contains("\n"+string(text), "\n"+who.Username+":") {
			return false
		}
	}
	return true
}

// needNewuidmap wants the tool, and a user with ranges. Root can lend them.
func needNewuidmap() string {
	if _, err := exec.LookPath("newuidmap"); err != nil {
		return "newuidmap is not on the PATH: install uidmap"
	}
	for _, file := range append(rangeFiles, "/etc/passwd") {
		if _, err := os.Stat(file); err != nil {
			return "no " + file + ": touch " + file
		}
	}
	if os.Geteuid() == 0 || hasRanges(os.Geteuid()) {
		return ""
	}
	return "no range of ids for you in /etc/subuid and /etc/subgid: " +
		"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
}

// lendRanges makes what the ordinary user lacks for newuidmap(1), a name and
// ranges, in copies of the files that say who has them. It returns the copies
// by the names of the files: startShell mounts them on the stage, where nobody
// else sees them.
func lendRanges(t testing.TB) (map[string]string, error) {
	if hasRanges(ordinaryUser) {
		return nil, nil
	}
	dir, err := scratch(t)
	if err != nil {
		return nil, err
	}
	name, lent := "student", map[string]string{}
	if who, err := user.LookupId(strconv.Itoa(ordinaryUser)); err == nil {
		name = who.Username
	} else {
		lent["/etc/passwd"] = fmt.Sprintf("%s:x:%d:%[2]d::/:/bin/sh\n", name,
			ordinaryUser)
	}
	for _, file := range rangeFiles {
		lent[file] = name + ":100000:65536\n"
	}
	for file, line := range lent {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		lent[file] = filepath.Join(dir, filepath.Base(file))
		err = os.WriteFile(lent[file], append([]byte(line), text...), 0o644)
		if err != nil {
			return nil, err
		}
	}
	return lent, nil
}

// mountFiles puts files in the places of others. What is below the stage's
// mount stays as it is.
func mountFiles(files map[string]string) error {
	for place, file := range files {
		if err := unix.Mount(file, place, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", file, place, err)
		}
	}
	return nil
}

func TestChooseUser(t *testing.T) {
	are := func(some ...int) func(int) bool {
		return func(uid int) bool { return slices.Contains(some, uid) }
	}
	for _, c := range []struct {
		sudo          string
		named, ranges func(int) bool
		want          int
	}{
		{"1042", are(1000, 1001), are(1001), 1042},
		{"0", are(1000, 1001, 1002), are(1001, 1002), 1001},
		{"", are(1005, 1006), are(), 1005},
		{"", are(), are(), 1000},
	} {
		if got := chooseUser(c.sudo, c.named, c.ranges); got != c.want {
			t.Errorf("SUDO_UID=%s: %d, want %d", c.sudo, got, c.want)
		}
	}
}

// TestLendRanges shows that a user who has no name and no range gets both,
// where only the block sees it.
func TestLendRanges(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: run the check with sudo")
	}
	if reason := needNewuidmap(); reason != "" {
		t.Skip(reason)
	}
	defer func(uid int) { ordinaryUser = uid }(ordinaryUser)
	for ordinaryUser = 2000; isNamed(ordinaryUser); ordinaryUser++ {
	}
	var before []string
	for _, file := range append(rangeFiles, "/etc/passwd") {
		text, _ := os.ReadFile(file)
		before = append(before, string(text))
	}
	p, err := parsePage(repoRoot, "docs/check.md", strings.Join([]string{
		"```console as=user needs=newuidmap",
		"$ id -un; grep -h ^student: /etc/subuid /etc/subgid",
		"student", "student:100000:65536", "student:100000:65536",
		"$ unshare -U sleep 9 & sleep 0.5; newuidmap $! 0 100000 9 && cat " +
			"/proc/$!/uid_map",
		"0 100000 9", "```"}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	found, bad := blocks(p)
	for _, b := range found {
		bad = append(bad, b.run(t)...)
	}
	for _, problem := range bad {
		t.Error(problem)
	}
	for i, file := range append(rangeFiles, "/etc/passwd") {
		if text, _ := os.ReadFile(file); string(text) != before[i] {
			t.Errorf("%s has changed:\n%s", file, text)
		}
	}
}
