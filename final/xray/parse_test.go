package xray

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMountinfo(t *testing.T) {
	text := `36 35 98:0 /a\040b /c\134d\011e rw,noatime shared:1 master:2 - ` +
		`ext3 /dev/my\040disk rw,errors=continue` + "\n" +
		"37 36 0:5 / /t ro - tmpfs  rw,size=1k,mode=755\n" +
		"no line of a mount table\n38 37 0:5 / /short rw - tmpfs\n"
	want := []Mount{{36, 35, "98:0", "/a b", "/c\\d\te", "rw,noatime",
		"shared:1 master:2", "ext3", "/dev/my disk", "rw,errors=continue"},
		{37, 36, "0:5", "/", "/t", "ro", "private", "tmpfs", "",
			"rw,size=1k,mode=755"}}
	if diff := cmp.Diff(want, parseMountinfo(text)); diff != "" {
		t.Error("-want +got\n" + diff)
	}
	own, err := os.ReadFile("/proc/self/mountinfo")
	lines := strings.Count(string(own), "\n")
	if got := len(parseMountinfo(string(own))); err != nil || got != lines {
		t.Errorf("%d of %d lines of our own table (%v)", got, lines, err)
	}
}

func TestParseOverlay(t *testing.T) {
	for options, want := range map[string]Overlay{
		`rw,lowerdir=/a\:b:/c\,d,upperdir=/u\,v,workdir=/w,xino=off`: {
			Lower:   []Layer{{Name: `/a\:b`}, {Name: `/c\,d`}},
			Upper:   Layer{Name: `/u\,v`},
			Work:    Layer{Name: "/w"},
			Options: []string{"rw", "xino=off"}},
		"ro,lowerdir+=/a,lowerdir+=/b": {Options: []string{"ro"},
			Lower: []Layer{{Name: "/a"}, {Name: "/b"}}}} {
		if diff := cmp.Diff(&want, parseOverlay(options)); diff != "" {
			t.Error("-want +got\n" + diff)
		}
	}
}

func TestParseStatus(t *testing.T) {
	p := parseProcess("Name:\tx\\nUid:\t0\nState:\tD (disk sleep)\nPid:\t40\n" +
		"PPid:\t39\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t40\t7\t1\n" +
		"Threads:\t3\nCapEff:\t8000020000000001\nNoNewPrivs:\t1\n" +
		"Seccomp:\t2\n")
	want := &Process{Pid: 40, Parent: 39, Inside: []int{7, 1}, Threads: 3,
		Name: `x\nUid:	0`, State: "disk sleep", UID: 2, GID: 6,
		Security: Security{
			Effective: 1<<63 | 1<<41 | 1, Seccomp: "filter", Filters: -1,
			NoNewPrivs: true}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error("-want +got\n" + diff)
	}
	names := strings.Join(p.Security.Effective.Names(), " ")
	if names != "CAP_CHOWN 41 63" {
		t.Errorf("capabilities that have no name yet: %s", names)
	}
}

func FuzzMountinfo(f *testing.F) {
	own, _ := os.ReadFile("/proc/self/mountinfo")
	for _, text := range []string{string(own), `1 1 0:1 / /\040 rw - a b c`,
		`1 1 0:1 / /\`, `1 1 0:1 / /\04 rw shared:1 - a  c`, "\n - \n",
		`1 2 3 4 5 6 - overlay o lowerdir=a\:b:c,upperdir=\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all := parseMountinfo(text)
		if len(all) > strings.Count(text, "\n")+1 {
			t.Errorf("%d mounts of %q", len(all), text)
		}
		for _, m := range all {
			if len(m.Target)+len(m.Source)+len(m.Root) > len(text) ||
				m.Propagation == "" {
				t.Errorf("%+v of %q", m, text)
			}
			o := parseOverlay(m.Super)
			if len(o.Lower) > len(m.Super)+1 {
				t.Errorf("%d layers of %q", len(o.Lower), m.Super)
			}
		}
	})
}

func FuzzStatus(f *testing.F) {
	own, _ := os.ReadFile("/proc/self/status")
	for _, text := range []string{string(own), "", "Uid:", "NSpid:\t\t-1",
		"State:\t)(", "CapEff:\tffffffffffffffffff", "Name:\t:\n:\n",
		"Pid:\t99999999999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := parseProcess(text)
		if len(p.Inside) > len(text) || len(p.Name) > len(text) {
			t.Errorf("%+v of %q", p, text)
		}
		for _, set := range []Caps{p.Security.Effective, p.Security.Bounding} {
			if _, err := set.MarshalJSON(); err != nil {
				t.Errorf("%x: %v", uint64(set), err)
			}
		}
		parseMap(text)
	})
}
