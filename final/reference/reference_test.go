package reference

import (
	"strings"
	"testing"
)

func TestRef(t *testing.T) {
	sum := "sha256:" + strings.Repeat("0a", 32)
	for name, want := range map[string]string{
		"busybox":                  "docker.io/library/busybox:latest",
		"busybox:1.36":             "docker.io/library/busybox:1.36",
		"user/app":                 "docker.io/user/app:latest",
		"docker.io/busybox":        "docker.io/library/busybox:latest",
		"index.docker.io/a/b":      "docker.io/a/b:latest",
		"localhost/a":              "localhost/a:latest",
		"localhost:5000/a":         "localhost:5000/a:latest",
		"example.com/a/b-c_d.e:v1": "example.com/a/b-c_d.e:v1",
		"a__b/c--d":                "docker.io/a__b/c--d:latest",
		"a@" + sum:                 "docker.io/library/a@" + sum,
		"a:t@" + sum:               "docker.io/library/a:t@" + sum,
		"Host/a":                   "Host/a:latest",
	} {
		got, err := Parse(name)
		if got != want || err != nil {
			t.Errorf("%s: %s, not %s, %v", name, got, want, err)
		}
	}
	for _, name := range []string{"", ":", "a:", ":tag", "A", "a/B", "a//b",
		"/a", "a/", "a:t:u", "a:-x", "a:.x", "a b", "a..b", "a___b", "-a", "a-",
		"a/_b", "a@x", "a@sha256:00", "../x", "host:port/a", "a:" +
			strings.Repeat("t", 129), strings.Repeat("a", 256), sum,
		strings.Repeat("0a", 32), "a:b/c", "é", "a\n", "-h.com/a", "a@" + sum +
			"0"} {
		if got, err := Parse(name); err == nil {
			t.Errorf("%q is %s", name, got)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for full, want := range map[string]string{
		"docker.io/library/a:latest": "a:latest", "docker.io/a/b:1": "a/b:1",
		"x.io/library/a:1": "x.io/library/a:1"} {
		if got := Short(full); got != want {
			t.Errorf("%s: %s", full, got)
		}
	}
}

func FuzzRef(f *testing.F) {
	for _, name := range []string{"a", "a:b", "x.io:5/a/b:c", "a@sha256:" +
		strings.Repeat("0", 64)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		full, err := Parse(name)
		if err != nil {
			return
		}
		again, err := Parse(Short(full))
		if again != full || err != nil {
			t.Errorf("%q is %q, is %q: %v", name, full, again, err)
		}
	})
}
