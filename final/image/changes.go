package image

import (
	"encoding/json"
	"fmt"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Apply changes a configuration as instructions of a Dockerfile do.
func Apply(c *v1.ImageConfig, changes []string) error {
	for _, change := range changes {
		text := strings.TrimSpace(change)
		word, rest, _ := strings.Cut(text, " ")
		rest = strings.TrimSpace(rest)
		err := fmt.Errorf("%s requires an argument", word)
		if rest != "" {
			err = apply(c, strings.ToUpper(word), rest)
		}
		if err != nil {
			return fmt.Errorf("change %q: %w", change, err)
		}
	}
	return nil
}

func apply(c *v1.ImageConfig, word, rest string) (err error) {
	switch word {
	case "CMD":
		c.Cmd = command(rest)
	case "ENTRYPOINT":
		c.Entrypoint = command(rest)
	case "USER":
		c.User = rest
	case "WORKDIR":
		if !strings.HasPrefix(rest, "/") {
			rest = "/" + strings.TrimPrefix(c.WorkingDir+"/"+rest, "/")
		}
		c.WorkingDir = rest
	case "STOPSIGNAL":
		c.StopSignal = rest
	case "EXPOSE":
		for _, port := range strings.Fields(rest) {
			if !strings.Contains(port, "/") {
				port += "/tcp"
			}
			c.ExposedPorts = with(c.ExposedPorts, port)
		}
	case "VOLUME":
		list := strings.Fields(rest)
		json.Unmarshal([]byte(rest), &list)
		for _, dir := range list {
			c.Volumes = with(c.Volumes, dir)
		}
	case "ENV", "LABEL":
		var pairs []string
		if pairs, err = Pairs(rest); err != nil {
			return err
		}
		for _, pair := range pairs {
			name, value, _ := strings.Cut(pair, "=")
			if word == "ENV" {
				c.Env = setEnv(c.Env, name, pair)
				continue
			} else if c.Labels == nil {
				c.Labels = map[string]string{}
			}
			c.Labels[name] = value
		}
	default:
		err = fmt.Errorf("%s is not a valid change command", word)
	}
	return err
}

func with(set map[string]struct{}, name string) map[string]struct{} {
	if set == nil {
		set = map[string]struct{}{}
	}
	set[name] = struct{}{}
	return set
}

func setEnv(env []string, name, pair string) []string {
	for i, old := range env {
		if strings.HasPrefix(old, name+"=") {
			env[i] = pair
			return env
		}
	}
	return append(env, pair)
}

// command is a list in JSON, or a line for the shell.
func command(text string) (list []string) {
	if json.Unmarshal([]byte(text), &list) == nil {
		return list
	}
	return []string{"/bin/sh", "-c", text}
}

// Pairs splits NAME=VALUE NAME="VALUE 2" at spaces outside of quotes, and
// takes the old form, NAME VALUE, for one pair.
func Pairs(text string) (pairs []string, err error) {
	name, value, _ := strings.Cut(text, " ")
	if !strings.Contains(name, "=") {
		if value = strings.TrimSpace(value); value == "" {
			return nil, fmt.Errorf("%s: must have two arguments", name)
		}
		return []string{name + "=" + value}, nil
	}
	word, quote, escaped, some := "", rune(0), false, false
	for _, r := range text + " " {
		switch {
		case escaped:
			word, escaped = word+string(r), false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote == 0 && (r == '"' || r == '\''):
			quote, some = r, true
		case r == quote && quote != 0:
			quote = 0
		case quote == 0 && (r == ' ' || r == '\t'):
			if word != "" || some {
				pairs = append(pairs, word)
			}
			word, some = "", false
		default:
			word += string(r)
		}
	}
	for _, pair := range pairs {
		if strings.Index(pair, "=") < 1 {
			return nil, fmt.Errorf("%q: must be of the form NAME=VALUE", pair)
		}
	}
	if quote != 0 || escaped {
		err = fmt.Errorf("unfinished quote")
	}
	return pairs, err
}
