package vagrant_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// parse reads the part of YAML that lima.yaml keeps to: nested maps, lists
// of maps, scalars in one line, and text blocks. Anything else is an error.
// A path such as images.0.arch leads to each value.
func parse(text string) (map[string]string, error) {
	values := map[string]string{}
	entry := regexp.MustCompile(`^( *)(- )?([A-Za-z]+):( (.*))?$`)
	var path []string // one element per level of two blanks
	count := map[string]int{}
	block, deep := "", 0
	for n, line := range strings.Split(text, "\n") {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if block != "" && (line == "" || indent > deep) {
			values[block] += strings.TrimSpace(line) + "\n"
			continue
		}
		block = ""
		if line == "" || line[indent] == '#' {
			continue
		}
		m := entry.FindStringSubmatch(line)
		if m == nil || indent%2 != 0 {
			return nil, fmt.Errorf("line %d: %q", n+1, line)
		}
		level := indent / 2
		if m[2] != "" { // "- key:": the key is one level deeper
			level++
		}
		if level > len(path) {
			return nil, fmt.Errorf("line %d: indented: %q", n+1, line)
		}
		path = path[:level]
		if m[2] != "" {
			list := strings.Split(strings.Join(path, "\x00"), "\x00")
			name := regexp.MustCompile(`\[\d+\]$`).
				ReplaceAllString(list[level-1], "")
			path[level-1] = fmt.Sprintf("%s[%d]", name, count[name])
			count[name]++
		}
		path = append(path, m[3])
		key, value := strings.Join(path, "."), strings.Trim(m[5], `"`)
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("line %d: %s is there twice", n+1, key)
		}
		values[key] = value
		if value == "|" {
			values[key], block, deep = "", key, level*2
		}
	}
	return values, nil
}

func lima(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("lima.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestLimaImagesArePinned(t *testing.T) {
	values := lima(t)
	digest := regexp.MustCompile(`^sha512:[0-9a-f]{128}$`)
	// A directory with a date and a serial number stays what it is.
	dated := regexp.MustCompile(`/(\d{8}-\d+)/debian-13-genericcloud-` +
		`(amd64|arm64)-(\d{8}-\d+)\.qcow2$`)
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	seen := map[string]bool{}
	for i := 0; i < 2; i++ {
		image := fmt.Sprintf("images[%d].", i)
		m := dated.FindStringSubmatch(values[image+"location"])
		if m == nil || m[1] != m[3] {
			t.Fatalf("not a dated image: %s", values[image+"location"])
		}
		if values[image+"arch"] != arch[m[2]] {
			t.Errorf("%s is not for %s", m[0], values[image+"arch"])
		}
		if !digest.MatchString(values[image+"digest"]) {
			t.Errorf("digest %q", values[image+"digest"])
		}
		seen[values[image+"digest"]] = true
	}
	if _, third := values["images[2].location"]; third || len(seen) != 2 {
		t.Error("one image for each of two architectures, no fallback")
	}
}

func TestLimaProvisionsAsVagrantDoes(t *testing.T) {
	values := lima(t)
	file, path := values["provision[0].file"], values["provision[0].path"]
	if _, err := os.Stat(file); err != nil {
		t.Errorf("provision file: %v", err)
	}
	if !strings.Contains(values["provision[1].script"], path) {
		t.Errorf("%s is copied and not run", path)
	}
	if values["mounts"] != "[]" {
		t.Error("overlay and mknod need the VM's own disk: mount nothing")
	}
	for _, key := range []string{"containerd.system", "containerd.user"} {
		if values[key] != "false" {
			t.Errorf("%s is %q", key, values[key])
		}
	}
}

func TestParserRefuses(t *testing.T) {
	for _, bad := range []string{"a: 1\na: 2", "a:\n   b: 1", "a: 1\n- b",
		"\ta: 1", "a:\n    b: 1"} {
		if values, err := parse(bad); err == nil {
			t.Errorf("%q was read as %v", bad, values)
		}
	}
}
