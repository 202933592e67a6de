package image

import (
	"fmt"
	"strings"
)

// ParseRef completes a name as Docker does: busybox is
// docker.io/library/busybox:latest. A name with a digest needs no tag.
func ParseRef(name string) (full string, err error) {
	rest, digest, pinned := strings.Cut(name, "@")
	if pinned {
		if _, err := hexOf(digest); err != nil {
			return "", invalid(name, err.Error())
		}
	}
	tag := ""
	if i := strings.LastIndex(rest, ":"); i > strings.LastIndex(rest, "/") {
		if rest, tag = rest[:i], rest[i+1:]; !isTag(tag) {
			return "", invalid(name, "not a tag: "+tag)
		}
	} else if !pinned {
		tag = "latest"
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
	if len(name) == 64 && only(name, "0123456789abcdef") {
		return "", invalid(name, "that is an ID")
	} else if err = checkName(domain, path); err != nil {
		return "", invalid(name, err.Error())
	}
	full = domain + "/" + path
	if tag != "" {
		full += ":" + tag
	}
	if pinned {
		full += "@" + digest
	}
	return full, nil
}

func invalid(name, why string) error {
	return fmt.Errorf("invalid reference format: %.300q: %s", name, why)
}

// checkName wants a host[:port], and in the path small letters and digits with
// one of . _ __ or any number of - between them.
func checkName(domain, path string) error {
	host, port, _ := strings.Cut(domain, ":")
	if strings.Trim(host, ".-") != host || !only(host, upper+lower+".-") ||
		host == "" || !only(port, "0123456789") || len(port) > 5 {
		return fmt.Errorf("not a host: %s", domain)
	} else if path != strings.ToLower(path) {
		return fmt.Errorf("repository name must be lowercase")
	} else if len(path) > 255 {
		return fmt.Errorf("repository name must not be longer than 255")
	}
	for _, part := range strings.Split(path, "/") {
		if part == "" || !only(part, lower+"._-") ||
			strings.Trim(part, "._-") != part {
			return fmt.Errorf("not a repository name: %s", path)
		}
		for _, bad := range []string{"..", "._", "_.", ".-", "-.", "___",
			"_-", "-_"} {
			if strings.Contains(part, bad) {
				return fmt.Errorf("not a repository name: %s", path)
			}
		}
	}
	return nil
}

const lower = "abcdefghijklmnopqrstuvwxyz0123456789"
const upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func isTag(tag string) bool {
	return tag != "" && len(tag) <= 128 && !strings.ContainsAny(tag[:1], ".-") &&
		only(tag, lower+upper+"._-")
}

// only says whether text consists of these characters.
func only(text, set string) bool {
	return strings.Trim(text, set) == "" && strings.IndexFunc(text,
		func(r rune) bool { return !strings.ContainsRune(set, r) }) < 0
}

// Short is the opposite of ParseRef: what Docker shows.
func Short(full string) string {
	if short, ok := strings.CutPrefix(full, "docker.io/"); ok {
		return strings.TrimPrefix(short, "library/")
	}
	return full
}

// hexOf returns the 64 digits of a digest, sha256:HEX. They become file names.
func hexOf(digest string) (string, error) {
	hex, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(hex) != 64 || !only(hex, "0123456789abcdef") {
		return "", fmt.Errorf("not a sha256 digest: %.100q", digest)
	}
	return hex, nil
}
