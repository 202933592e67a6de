package cli

import (
	"strings"
	"testing"

	"container-workshop/final/arguments"

	"github.com/google/go-cmp/cmp"
)

// Docker takes options after names, several letters at once, and values
// without a space; what follows the image is the container's.
func TestNormalise(t *testing.T) {
	for line, want := range map[string]string{
		"run -itw/ box ls -l":         "run -i -t -w=/ -- box ls -l",
		"run -e A=1 -p80:80 box":      "run -e A=1 -p=80:80 -- box",
		"run --name=x --rm box -- sh": "run --name=x --rm -- box -- sh",
		"logs box -fn5":               "logs -f -n=5 -- box",
		"rm box -f -- -x":             "rm -f -- box -x",
		"--root /r ps -aq":            "--root /r ps -a -q",
		"exec -u 0 box ls -u":         "exec -u 0 -- box ls -u",
		"network rm -- -odd":          "network rm -- -odd",
		"ps --filter":                 "flag needs an argument: --filter",
		"ps -x":                       `unknown shorthand flag: "x" in -x`,
		"rm --force=false box":        "rm --force=false -- box",
	} {
		got, err := arguments.Normalise(app(), append([]string{"minidocker"},
			strings.Fields(line)...))
		text := strings.Join(got, " ")
		if err != nil {
			text = "minidocker " + strings.Split(err.Error(), ": see")[0]
		}
		if diff := cmp.Diff("minidocker "+want, text); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	for _, line := range []string{"run -it box sh", "run -e A= -eB box",
		"logs -fn 5 x", "network create --subnet=10.0.0.0/8 n", "ps -", "-",
		"--",
		"run --", "rm -f --force=", "runtime create --bundle", "-=", "ps --=x",
		"system prune -af", "exec -it -e", "run -\x00"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := append([]string{"minidocker"}, strings.Split(line, " ")...)
		once, err := arguments.Normalise(app(), args)
		if err != nil {
			return
		}
		twice, err := arguments.Normalise(app(), once)
		if diff := cmp.Diff(once, twice); err != nil || diff != "" {
			t.Errorf("%q: not the same again: %v %s", line, err, diff)
		}
	})
}
