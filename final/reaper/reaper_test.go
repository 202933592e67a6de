package reaper

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start runs the test binary by the name of PID 1, as one: in a new PID
// namespace.
func start(t *testing.T, args ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a PID namespace: sudo")
	}
	cmd, out := exec.Command("/proc/self/exe"), &strings.Builder{}
	cmd.Args = append([]string{Path, "--"}, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, out
}

func TestStatus(t *testing.T) {
	for script, want := range map[string]int{"exit 7": 7, "kill -9 $$": 137,
		"true": 0} {
		cmd, out := start(t, "sh", "-c", script)
		cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: %d, not %d: %s", script, got, want, out)
		}
	}
	for name, want := range map[string]int{"absent": 127, "/etc": 127,
		"/etc/passwd": 127} {
		cmd, out := start(t, name)
		cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != want ||
			strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: %d, not %d: %s", name, got, want, out)
		}
	}
}

// An orphan that ends is no zombie for long.
func TestReap(t *testing.T) {
	cmd, out := start(t, "sh", "-c", "p=$(sh -c 'sleep 1 >/dev/null & "+
		"echo $!'); kill -0 $p || exit; i=0; while kill -0 $p 2>/dev/null; "+
		"do sleep 0.1; i=$((i + 1)); [ $i -lt 600 ] || exit; done; echo gone")
	cmd.Wait()
	if out.String() != "gone\n" {
		t.Error(out)
	}
}

func TestSignals(t *testing.T) {
	up := t.TempDir() + "/up"
	cmd, out := start(t, "sh", "-c", "trap 'echo usr1; exit 3' USR1; >"+up+
		"; while :; do sleep 0.05; done")
	end := time.Now().Add(time.Minute)
	for _, err := os.Stat(up); err != nil; _, err = os.Stat(up) {
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	cmd.Process.Signal(syscall.SIGUSR1)
	cmd.Wait()
	if out.String() != "usr1\n" || cmd.ProcessState.ExitCode() != 3 {
		t.Error(out, cmd.ProcessState)
	}
}
