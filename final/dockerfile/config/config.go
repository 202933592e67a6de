// Package config changes the configuration of an image as instructions of a
// Dockerfile do.
package config

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"container-workshop/final/dockerfile"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Apply changes a configuration as instructions of a Dockerfile do.
func Apply(c *v1.ImageConfig, changes []string) error {
	for _, change := range changes {
		i, err := dockerfile.ParseLine(change)
		for n, arg := range i.Args {
			if err == nil && !i.Shell() {
				i.Args[n], err = dockerfile.Expand(arg, '\\', Env(c.Env))
			}
		}
		if err == nil {
			err = Configure(c, i, nil)
		}
		if err != nil {
			return fmt.Errorf("change %q: %w", change, err)
		}
	}
	return nil
}

// Env looks a variable up in NAME=VALUE.
func Env(list []string) dockerfile.Env {
	return func(name string) (string, bool) {
		for _, pair := range list {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// Configure does what an instruction does that changes no file; its variables
// have been replaced. shell is what reads a command that is one line.
func Configure(c *v1.ImageConfig, i *dockerfile.Instruction,
	shell []string) error {
	args := i.Args
	switch i.Name {
	case "CMD":
		c.Cmd = Command(i, shell)
	case "ENTRYPOINT":
		c.Entrypoint = Command(i, shell)
	case "USER":
		c.User = args[0]
	case "STOPSIGNAL":
		c.StopSignal = args[0]
	case "WORKDIR":
		dir := path.Join("/", c.WorkingDir, args[0])
		if path.IsAbs(args[0]) {
			dir = path.Clean(args[0])
		}
		c.WorkingDir = dir
	case "EXPOSE":
		for _, port := range args {
			if err := expose(c, port); err != nil {
				return err
			}
		}
	case "VOLUME":
		for _, dir := range args {
			set(&c.Volumes, dir, struct{}{})
		}
	case "ENV", "LABEL":
		for n := 0; n+1 < len(args); n += 2 {
			if args[n] == "" {
				return errors.New("names can not be blank")
			} else if i.Name == "LABEL" {
				set(&c.Labels, args[n], args[n+1])
			} else {
				c.Env = setEnv(c.Env, args[n], args[n+1])
			}
		}
	default:
		return fmt.Errorf("%s is not a valid change command", i.Name)
	}
	return nil
}

// Command is a list in JSON, or a line for the shell.
func Command(i *dockerfile.Instruction, shell []string) []string {
	if i.JSON || len(i.Args) == 0 {
		return i.Args
	} else if shell == nil {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(shell), i.Args...)
}

func setEnv(env []string, name, value string) []string {
	env = slices.Clone(env)
	i := slices.IndexFunc(env, func(old string) bool {
		return strings.HasPrefix(old, name+"=")
	})
	if i < 0 {
		return append(env, name+"="+value)
	}
	env[i] = name + "=" + value
	return env
}

// expose takes PORT[-PORT][/PROTOCOL].
func expose(c *v1.ImageConfig, text string) error {
	ports, protocol, ok := strings.Cut(text, "/")
	if !ok {
		protocol = "tcp"
	}
	first, last, ok := strings.Cut(ports, "-")
	if !ok {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	to, bad := strconv.ParseUint(last, 10, 16)
	if err != nil || bad != nil || to < from || !slices.Contains(
		[]string{"tcp", "udp", "sctp"}, strings.ToLower(protocol)) {
		return fmt.Errorf("invalid port: %q: not PORT[-PORT][/tcp|/udp|/sctp]",
			text)
	}
	for ; from <= to; from++ {
		set(&c.ExposedPorts, fmt.Sprint(from, "/", strings.ToLower(protocol)),
			struct{}{})
	}
	return nil
}

func set[V any](to *map[string]V, key string, value V) {
	if *to == nil {
		*to = map[string]V{}
	}
	(*to)[key] = value
}
