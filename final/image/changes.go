package image

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
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

func apply(c *v1.ImageConfig, word, rest string) error {
	words := strings.Fields(rest)
	switch word {
	case "CMD":
		c.Cmd = command(rest)
	case "ENTRYPOINT":
		c.Entrypoint = command(rest)
	case "USER":
		c.User = rest
	case "STOPSIGNAL":
		c.StopSignal = rest
	case "WORKDIR":
		c.WorkingDir = path.Join("/", c.WorkingDir, rest)
		if path.IsAbs(rest) {
			c.WorkingDir = rest
		}
	case "EXPOSE":
		for _, port := range words {
			if !strings.Contains(port, "/") {
				port += "/tcp"
			}
			set(&c.ExposedPorts, port, struct{}{})
		}
	case "VOLUME":
		json.Unmarshal([]byte(rest), &words)
		for _, dir := range words {
			set(&c.Volumes, dir, struct{}{})
		}
	case "ENV", "LABEL":
		pairs, err := Pairs(rest)
		for _, pair := range pairs {
			name, value, _ := strings.Cut(pair, "=")
			if word == "LABEL" {
				set(&c.Labels, name, value)
				continue
			}
			c.Env = append(slices.DeleteFunc(c.Env, func(old string) bool {
				return strings.HasPrefix(old, name+"=")
			}), pair)
		}
		return err
	default:
		return fmt.Errorf("%s is not a valid change command", word)
	}
	return nil
}

func set[V any](to *map[string]V, key string, value V) {
	if *to == nil {
		*to = map[string]V{}
	}
	(*to)[key] = value
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
	if value = strings.TrimSpace(value); !strings.Contains(name, "=") {
		if value == "" {
			err = fmt.Errorf("%s: must have two arguments", name)
		}
		return []string{name + "=" + value}, err
	}
	word, quote, escaped := "", rune(0), false
	for _, r := range text + " " {
		switch {
		case escaped:
			word, escaped = word+string(r), false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case r == quote && quote != 0:
			quote = 0
		case quote != 0 || r != ' ' && r != '\t':
			word += string(r)
		case word != "":
			if strings.Index(word, "=") < 1 {
				return nil, fmt.Errorf("%q: must be of the form NAME=VALUE",
					word)
			}
			pairs, word = append(pairs, word), ""
		}
	}
	if quote != 0 || escaped {
		err = fmt.Errorf("unfinished quote")
	}
	return pairs, err
}
