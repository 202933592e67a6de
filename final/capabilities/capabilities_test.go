package capabilities

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The test binary is also the process that gives up capabilities, and the
// program that it then executes.
const inside, after = "capabilities-test-inside", "capabilities-test-after"

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case inside:
		fmt.Println(give())
		os.Exit(1)
	case after:
		text, _ := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "Cap") {
				fmt.Print(line)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func give() error {
	runtime.LockOSThread()
	var c *specs.LinuxCapabilities
	err := json.Unmarshal([]byte(os.Args[1]), &c)
	if err == nil {
		err = LimitBounding(c)
	}
	if err == nil && os.Args[2] != "0" {
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 1000, 1000, 1000)
		if errno != 0 {
			return errno
		}
	}
	if err == nil {
		err = Set(c)
	}
	if keep, _ := unix.PrctlRetInt(unix.PR_GET_KEEPCAPS, 0, 0, 0,
		0); keep != 0 && err == nil {
		return fmt.Errorf("keepcaps is %d", keep)
	}
	if err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", []string{after}, nil)
}

func sets(t *testing.T, c *specs.LinuxCapabilities, uid string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: capabilities to give up")
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", string(text), uid)
	cmd.Args[0] = inside
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func status(i, p, e, b, a uint64) string {
	return fmt.Sprintf("CapInh:\t%016x\nCapPrm:\t%016x\nCapEff:\t%016x\n"+
		"CapBnd:\t%016x\nCapAmb:\t%016x\n", i, p, e, b, a)
}

func TestSets(t *testing.T) {
	few := []string{"CAP_CHOWN", "CAP_KILL", "CAP_SYSLOG"}
	mask := uint64(1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL | 1<<unix.CAP_SYSLOG)
	docker := &specs.LinuxCapabilities{Bounding: few, Effective: few,
		Permitted: few}
	ambient := &specs.LinuxCapabilities{Bounding: few, Effective: few,
		Permitted: few, Inheritable: few, Ambient: few[:1]}
	lost := &specs.LinuxCapabilities{Bounding: few, Permitted: few[:1],
		Effective: few[:1], Ambient: few}
	for _, c := range []struct {
		name string
		caps *specs.LinuxCapabilities
		uid  string
		want string
	}{
		{"none", nil, "0", status(0, 0, 0, 0, 0)},
		{"none, a user", nil, "1000", status(0, 0, 0, 0, 0)},
		{"Docker", docker, "0", status(0, mask, mask, mask, 0)},
		{"Docker, a user", docker, "1000", status(0, 0, 0, mask, 0)},
		{"ambient", ambient, "1000", status(mask, 1, 1, mask, 1)},
		{"ambient but not inheritable", lost, "1000", status(0, 0, 0, mask, 0)},
	} {
		if got := sets(t, c.caps, c.uid); got != c.want {
			t.Errorf("%s: %s", c.name, cmp.Diff(c.want, got))
		}
	}
	// What we have given up we cannot give.
	got := sets(t, &specs.LinuxCapabilities{Effective: few}, "0")
	if !strings.Contains(got, "CAP_CHOWN,CAP_KILL,CAP_SYSLOG: operation not "+
		"permitted") {
		t.Errorf("effective without permitted: %s", got)
	}
}

func TestNames(t *testing.T) {
	if n, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil &&
		strings.TrimSpace(string(n)) != fmt.Sprint(len(names)-1) {
		t.Logf("the kernel's last capability is %s, ours %d", n, len(names)-1)
	}
	mask, err := Parse([]string{"net_admin", "CAP_NET_RAW", "cap_chown", "Bpf"})
	want := uint64(1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW |
		1<<unix.CAP_CHOWN | 1<<unix.CAP_BPF)
	if mask != want || err != nil {
		t.Errorf("%x, not %x: %v", mask, want, err)
	}
	if mask, err = Parse([]string{"all"}); mask != bounding() || err != nil {
		t.Errorf("all: %x: %v", mask, err)
	}
	if d := cmp.Diff(Names(want), []string{"CAP_CHOWN", "CAP_NET_ADMIN",
		"CAP_NET_RAW", "CAP_BPF"}); d != "" {
		t.Error(d)
	}
	if _, err = Parse([]string{"CHOWN", "FROB"}); err == nil ||
		!strings.Contains(err.Error(), `"FROB"`) {
		t.Error(err)
	}
	if mask, err = Parse(Default()); err != nil || mask != 0xa80425fb {
		t.Errorf("Docker's: %x, %v", mask, err)
	}
}

func TestWarnings(t *testing.T) {
	d := cmp.Diff([]string{"capability CAP_FROB: this kernel does not know it"},
		Warnings(&specs.LinuxCapabilities{Bounding: []string{"CAP_FROB"},
			Permitted: []string{"CAP_FROB", "CAP_CHOWN"}}))
	if d != "" || Warnings(nil) != nil {
		t.Error(d)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "ALL", "cap_net_raw", "CAP_", "CAP_CAP_X",
		"ıALL", "chown\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		mask, err := Parse([]string{name})
		if (err == nil) != (mask != 0) {
			t.Errorf("%q: %x, %v", name, mask, err)
		}
		if err != nil {
			return
		}
		if again, err := Parse(Names(mask)); again != mask || err != nil {
			t.Errorf("%q: %x, then %x, %v", name, mask, again, err)
		}
	})
}
