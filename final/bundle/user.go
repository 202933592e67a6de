package bundle

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"container-workshop/final/layers"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// LookUp finds a user, as -u has it, and groups in /etc/passwd and /etc/group
// of the layers (the lowest first), or of one /proc/PID/root. home is the
// user's directory. A number needs no line in the files.
func LookUp(root []string, text string, groups []string) (u specs.User,
	home string, err error) {
	users, err := table(root, "/etc/passwd")
	if err != nil {
		return u, "", err
	}
	teams, err := table(root, "/etc/group")
	if err != nil {
		return u, "", err
	}
	name, group, grouped := strings.Cut(text, ":")
	name, home = cmp.Or(name, "0"), "/"
	uid, gid, line, err := id(users, name)
	if err != nil {
		return u, "", fmt.Errorf("unable to find user %s: %w in passwd file",
			name, err)
	}
	u.UID, u.GID = uid, gid
	if line != nil {
		home = cmp.Or(line[5], "/")
	}
	if grouped && group != "" {
		if u.GID, _, _, err = id(teams, group); err != nil {
			return u, "", fmt.Errorf("unable to find group %s: %w in group "+
				"file", group, err)
		}
	}
	u.AdditionalGids = []uint32{u.GID}
	for _, team := range teams {
		member := line != nil && group == "" &&
			slices.Contains(strings.Split(team[3], ","), line[0])
		if n, err := number(team[2]); err == nil && member {
			u.AdditionalGids = append(u.AdditionalGids, n)
		}
	}
	for _, name := range groups {
		n, _, _, err := id(teams, name)
		if err != nil {
			return u, "", fmt.Errorf("unable to find group %s: %w", name, err)
		}
		u.AdditionalGids = append(u.AdditionalGids, n)
	}
	slices.Sort(u.AdditionalGids[1:])
	u.AdditionalGids = slices.Compact(u.AdditionalGids)
	return u, home, nil
}

// table reads lines of fields between colons, seven of them whatever a line
// has; a file that is not there has no lines.
func table(root []string, path string) (lines [][]string, err error) {
	text, err := layers.ReadFile(root, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, strings.Split(line+"::::::", ":"))
		}
	}
	return lines, err
}

// id finds the line of a name or number. Both files have the number third; the
// fourth is a user's group.
func id(lines [][]string, name string) (n, next uint32, line []string,
	err error) {
	want, bad := number(name)
	for _, line := range lines {
		n, err := number(line[2])
		if err == nil && (line[0] == name || bad == nil && n == want) {
			next, _ = number(line[3])
			return n, next, line, nil
		}
	}
	if errors.Is(bad, errRange) {
		return 0, 0, nil, bad
	} else if bad != nil {
		return 0, 0, nil, errors.New("no matching entries")
	}
	return want, 0, nil, nil
}

var errRange = errors.New("uids and gids must be in range 0-2147483647")

func number(text string) (uint32, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n < 0 || n > 1<<31-1) || errors.Is(err,
		strconv.ErrRange) {
		err = errRange
	}
	return uint32(n), err
}
