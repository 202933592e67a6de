package config

import (
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestExpose(t *testing.T) {
	c := v1.ImageConfig{}
	err := Apply(&c, []string{"EXPOSE 80 8000-8002/UDP", "ENV A=1 B=2",
		"ENV A=$B"})
	if err != nil || len(c.ExposedPorts) != 4 ||
		strings.Join(c.Env, " ") != "A=2 B=2" {
		t.Errorf("%v %v %v", c.ExposedPorts, c.Env, err)
	}
	for _, bad := range []string{"EXPOSE x", "EXPOSE 80/icmp", "EXPOSE 70000",
		"EXPOSE 9-1", "RUN x", "FROM a"} {
		if Apply(&c, []string{bad}) == nil {
			t.Error(bad)
		}
	}
}

func FuzzChanges(f *testing.F) {
	f.Add(`ENV A=1 B="2 3" C=\'`)
	f.Add(`CMD ["a","b"]`)
	f.Add(`LABEL a b`)
	f.Fuzz(func(t *testing.T, text string) {
		c := v1.ImageConfig{}
		if Apply(&c, []string{text}) == nil {
			for _, pair := range c.Env {
				if strings.Index(pair, "=") < 1 {
					t.Errorf("%q gives %q", text, pair)
				}
			}
		}
	})
}
