// Package reference has the names of images.
package reference

import (
	"errors"
	"fmt"
	"strings"
)

// Parse completes a name as Docker does: busybox is
// docker.io/library/busybox:latest. A name with a digest needs no tag.
func Parse(name string) (full string, err error) {
	rest, digest, pinned := strings.Cut(name, "@")
	tag := ":latest"
	if i := strings.LastIndex(rest, ":"); i > strings.LastIndex(rest, "/") {
		rest, tag = rest[:i], rest[i:]
	} else if pinned {
		tag = ""
	}
	domain, path, ok := strings.Cut(rest, "/")
	if !ok || domain != "localhost" && !strings.ContainsAny(domain, ".:") &&
		strings.ToLower(domain) == domain {
		domain, path = "docker.io", rest
	}
	if domain == "index.docker.io" {
		domain = "docker.io"
	}
	if domain == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	if pinned {
		_, err = Hex(digest)
		tag += "@" + digest
	}
	host, port, _ := strings.Cut(domain, ":")
	label, _, _ := strings.Cut(strings.TrimPrefix(tag, ":"), "@")
	switch {
	case err != nil:
	case !isName(host, upper+lower+".-") || !only(port, "0123456789"):
		err = fmt.Errorf("not a host: %q", domain)
	case path != strings.ToLower(path):
		err = errors.New("repository name must be lowercase")
	case len(path) > 255 || !isPath(path) || path == "library/sha256":
		err = fmt.Errorf("not a repository name: %.300q", path)
	case tag != "" && tag[0] == ':' && (!only(label, upper+lower+"._-") ||
		label == "" || len(label) > 128 || strings.Contains(".-", label[:1])):
		err = fmt.Errorf("not a tag: %.300q", label)
	case len(name) == 64 && only(name, "0123456789abcdef"):
		err = errors.New("that is an ID")
	}
	if err != nil {
		return "", fmt.Errorf("invalid reference format: %w", err)
	}
	return domain + "/" + path + tag, nil
}

const lower = "abcdefghijklmnopqrstuvwxyz0123456789"
const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// only says whether text consists of these characters.
func only(text, set string) bool {
	return strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune(set, r)
	}) < 0
}

func isName(text, set string) bool {
	return text != "" && only(text, set) && strings.Trim(text, "._-") == text
}

// isPath wants between letters and digits one of . _ __ or any number of -.
func isPath(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		one := strings.ReplaceAll(part, "__", "_")
		for strings.Contains(one, "--") {
			one = strings.ReplaceAll(one, "--", "-")
		}
		one = strings.NewReplacer("_", ".", "-", ".").Replace(one)
		if !isName(part, lower+"._-") || strings.Contains(one, "..") {
			return false
		}
	}
	return true
}

// Short is the opposite of Parse: what Docker shows.
func Short(full string) string {
	if short, ok := strings.CutPrefix(full, "docker.io/"); ok {
		return strings.TrimPrefix(short, "library/")
	}
	return full
}

// Hex returns the 64 digits of a digest, sha256:HEX. They become file names.
func Hex(digest string) (string, error) {
	hex, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(hex) != 64 || !only(hex, "0123456789abcdef") {
		return "", fmt.Errorf("not a sha256 digest: %.100q", digest)
	}
	return hex, nil
}
