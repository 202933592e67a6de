package flags

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Bytes reads a size: 64m, 1.5g, 1024, 5MiB. A kilobyte has 1024 bytes.
func Bytes(text string) (int64, error) {
	i := strings.LastIndexAny(text, "0123456789. ") + 1
	n, err := strconv.ParseFloat(strings.TrimSuffix(text[:i], " "), 64)
	if err != nil || n < 0 || math.IsNaN(n) {
		return 0, fmt.Errorf("invalid size: '%s'", text)
	}
	unit := strings.ToLower(text[i:])
	shift := 0
	if unit != "" {
		shift = 10 * strings.IndexByte("bkmgtp", unit[0])
	}
	if shift < 0 || len(unit) > 1 && (shift == 0 || unit[1:] != "b" &&
		unit[1:] != "ib") {
		return 0, fmt.Errorf("invalid suffix: '%s'", unit)
	} else if n *= math.Pow(2, float64(shift)); n >= math.MaxInt64 {
		return 0, fmt.Errorf("invalid size: '%s'", text)
	}
	return int64(n), nil
}

// Command is what the container runs: Docker's rules for entrypoint and cmd.
// Who gives an entrypoint does without the image's cmd.
func Command(o *Options, img *v1.ImageConfig) ([]string, error) {
	entry, args := img.Entrypoint, o.Args
	if o.Entrypoint != nil {
		entry = slices.DeleteFunc([]string{*o.Entrypoint},
			func(s string) bool { return s == "" })
	} else if len(args) == 0 {
		args = img.Cmd
	}
	command := slices.Concat(entry, args)
	if len(command) == 0 || command[0] == "" {
		return nil, errors.New("no command specified")
	}
	return command, nil
}

// Env is the environment of a process: base with what the files and then the
// options say. A name without a value takes the caller's, and if there is none
// goes; with no base it stays, for Spec to take it from the image's.
func Env(base []string, o *Options) ([]string, error) {
	list, keep := []string{}, base == nil
	for _, file := range o.EnvFile {
		lines, err := envFile(file)
		if err != nil {
			return nil, err
		}
		list = append(list, lines...)
	}
	for i, pair := range append(list, o.Env...) {
		name, _, valued := strings.Cut(pair, "=")
		if name == "" || strings.ContainsRune(pair, 0) {
			return nil, fmt.Errorf("invalid environment variable: %q", pair)
		}
		value, set := os.LookupEnv(name)
		if !valued && set {
			pair = name + "=" + value
		} else if !valued && i < len(list) {
			continue
		}
		base = SetEnv(base, pair, keep)
	}
	return base, nil
}

// SetEnv sets one variable, or without a value removes it.
func SetEnv(env []string, pair string, keep bool) []string {
	name, _, valued := strings.Cut(pair, "=")
	is := func(old string) bool {
		return old == name || strings.HasPrefix(old, name+"=")
	}
	i := slices.IndexFunc(env, is)
	if !valued && !keep {
		return slices.DeleteFunc(slices.Clone(env), is)
	} else if i < 0 {
		return append(slices.Clip(env), pair)
	}
	env = slices.Clone(env)
	env[i] = pair
	return env
}

// envFile reads lines of NAME=VALUE or NAME. Docker takes all but the spaces
// before a name as it is, quotes too.
func envFile(file string) (list []string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	for line := range strings.Lines(string(text)) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t\v\f")
		if line == "" || line[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(line, "=")
		switch {
		case !utf8.ValidString(line):
			err = fmt.Errorf("invalid utf8 bytes: %q", line)
		case name == "":
			err = fmt.Errorf("no variable name on line '%s'", line)
		case strings.ContainsAny(name, " \t"):
			err = fmt.Errorf("variable '%s' contains whitespaces", name)
		}
		if err != nil {
			return nil, fmt.Errorf("invalid env file (%s): %w", file, err)
		}
		list = append(list, line)
	}
	return list, nil
}

// Ulimit reads NAME=SOFT[:HARD]; -1 is without limit: setrlimit(2).
func Ulimit(text string) (l specs.POSIXRlimit, err error) {
	name, values, ok := strings.Cut(text, "=")
	if !ok {
		return l, fmt.Errorf("invalid ulimit argument: %s", text)
	}
	if !slices.Contains([]string{"core", "cpu", "data", "fsize", "locks",
		"memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
		"rttime", "sigpending", "stack"}, name) {
		return l, fmt.Errorf("invalid ulimit type: %s", name)
	}
	first, second, two := strings.Cut(values, ":")
	soft, err := strconv.ParseInt(first, 10, 64)
	hard := soft
	if err == nil && two {
		hard, err = strconv.ParseInt(second, 10, 64)
	}
	// As unsigned numbers, -1 is the greatest of all.
	if err == nil && (soft < -1 || hard < -1 || uint64(soft) > uint64(hard)) {
		err = fmt.Errorf("ulimit soft limit must be less than or equal to "+
			"hard limit: %d > %d", soft, hard)
	}
	if err != nil {
		return l, fmt.Errorf("invalid ulimit argument: %s: %w", text, err)
	}
	return specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(name),
		Soft: uint64(soft), Hard: uint64(hard)}, nil
}

// TimeOffset reads [CLOCK=]SECONDS of --time-offset, CLOCK being monotonic or
// boottime, and otherwise both: time_namespaces(7).
func TimeOffset(list []string) (map[string]specs.LinuxTimeOffset, error) {
	offsets := map[string]specs.LinuxTimeOffset{}
	for _, text := range list {
		clock, seconds, ok := strings.Cut(text, "=")
		clocks := []string{clock}
		if !ok {
			clocks, seconds = []string{"monotonic", "boottime"}, text
		}
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil || ok && clock != "monotonic" && clock != "boottime" {
			return nil, fmt.Errorf("invalid time offset %q: not "+
				"[monotonic=|boottime=]SECONDS", text)
		}
		for _, clock := range clocks {
			offsets[clock] = specs.LinuxTimeOffset{Secs: n}
		}
	}
	return offsets, nil
}

// Device reads --device: SOURCE[:TARGET][:ACCESS].
func Device(text string) (source, target, access string, err error) {
	part := strings.Split(text, ":")
	source, target, access = part[0], part[0], "rwm"
	last := part[len(part)-1]
	letters := []byte(last)
	slices.Sort(letters)
	isAccess := slices.Contains([]string{"m", "r", "w", "mr", "mw", "rw",
		"mrw"}, string(letters))
	if len(part) == 3 || len(part) == 2 && isAccess {
		access, part = last, part[:len(part)-1]
	}
	if len(part) == 2 {
		target = part[1]
	}
	return source, path.Clean(target), access, check(
		rule{source == "" || len(part) > 2, "bad format for path: " + text},
		rule{access == last && !isAccess, "bad mode specified: " + last},
		rule{!path.IsAbs(target), target + " is not an absolute path"})
}
