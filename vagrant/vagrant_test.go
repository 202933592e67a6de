// Package vagrant_test looks at how the files of this directory behave
// without starting a machine: the tools they call are replaced by small
// scripts. `make test-vagrant` is the proof with a real one.
package vagrant_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stub writes an executable script into dir.
func stub(t *testing.T, dir, name, script string) {
	t.Helper()
	text := "#!/bin/sh\n" + script
	err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755)
	if err != nil {
		t.Fatal(err)
	}
}

// link puts programs of this machine into dir, to make a PATH that lacks the
// others.
func link(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("%s is missing: apt-get install it", name)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// copyDir copies files of this directory to a place of their own.
func copyDir(t *testing.T, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vagrant")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		err = os.WriteFile(filepath.Join(dir, name), data, 0o755)
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run returns what a command says on both outputs, and its exit status.
func run(t *testing.T, env []string, name string, args ...string) (
	string, int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// oneLine fails unless out is a single line that says want.
func oneLine(t *testing.T, out, want string) {
	t.Helper()
	line := strings.TrimSuffix(out, "\n")
	if strings.Contains(line, "\n") || !strings.Contains(line, want) {
		t.Errorf("want one line with %q, got:\n%s", want, out)
	}
}

// machine is a copy of the forwarding files beside a stub of ssh that runs on
// this machine what it is told to run in the VM, with a make that prints its
// arguments.
func machine(t *testing.T) (dir string, env []string) {
	t.Helper()
	dir = copyDir(t, "forward.sh", "Makefile", "lima.yaml")
	home := t.TempDir()
	bin, guest := filepath.Join(home, "bin"), filepath.Join(home, "guest")
	mkdir(t, home, "workshop")
	mkdir(t, bin)
	mkdir(t, guest)
	stub(t, guest, "make", `printf '<%s>\n' "$@"; exit ${STATUS:-0}`)
	stub(t, bin, "ssh", `echo "ssh $*" >>"$HOME/log"
for last; do :; done
case $* in
*"-f -N") [ -z "$DOWN" ] && grep -q NEW "$2" ;;
*"-O exit") ;;
*) PATH=$HOME/guest:$PATH; exec sh -c "$(echo "$last" |
	sed 's/bash -lc/sh -c/')" ;;
esac`)
	stub(t, bin, "vagrant", `echo NEW`)
	stub(t, bin, "limactl", `exit 1`)
	stub(t, bin, "rsync", `echo "rsync $*" >>"$HOME/log"`)
	return dir, []string{"HOME=" + home, "LIMA_HOME=" + home + "/.lima",
		"MAKEFLAGS=", "MAKELEVEL=",
		"PATH=" + bin + ":" + os.Getenv("PATH")}
}

// logged are the calls of ssh and rsync.
func logged(t *testing.T, env []string) []string {
	t.Helper()
	home := strings.TrimPrefix(env[0], "HOME=")
	log, err := os.ReadFile(filepath.Join(home, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(log)), "\n")
}

func mkdir(t *testing.T, elem ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(elem...), 0o755); err != nil {
		t.Fatal(err)
	}
}

// vagrantUp leaves what `vagrant up` leaves.
func vagrantUp(t *testing.T, dir string) {
	t.Helper()
	id := filepath.Join(dir, ".vagrant", "machines", "default", "libvirt")
	mkdir(t, id)
	err := os.WriteFile(filepath.Join(id, "id"), []byte("x"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
}

func TestMakeForwards(t *testing.T) {
	dir, env := machine(t)
	vagrantUp(t, dir)
	out, status := run(t, env, "make", "-s", "-C", dir, "test-step3",
		"VM=1", `RUN=a 'b' "c" $$d`, "K=2")
	if status != 0 {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{"<test-step3>\n", "<K=2>\n",
		`<RUN=a 'b' "c" $$d>` + "\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "VM=") {
		t.Errorf("VM= would make the VM look for a VM:\n%s", out)
	}
}

func TestMakeForwardsEnvironment(t *testing.T) {
	dir, env := machine(t)
	vagrantUp(t, dir)
	env = append(env, "RUN=One", "OTHER=2", "VM=1")
	out, _ := run(t, env, "make", "-s", "-C", dir, "test-step3", "V=1")
	if out != "<test-step3>\n<RUN=One>\n<V=1>\n" {
		t.Errorf("got:\n%s", out)
	}
}

// One login, the sources, work/ and only then make; the login ends last.
func TestForwardOrder(t *testing.T) {
	dir, env := machine(t)
	vagrantUp(t, dir)
	run(t, env, filepath.Join(dir, "forward.sh"), "doctor")
	log := logged(t, env)
	want := []string{"-f -N", "--delete", "rsync", "doctor", "-O exit"}
	if len(log) != len(want) {
		t.Fatalf("%d calls: %q", len(log), log)
	}
	for i := range want {
		if !strings.Contains(log[i], want[i]) {
			t.Errorf("call %d is %q, want %q", i, log[i], want[i])
		}
	}
	if !strings.Contains(log[1], "--exclude=/work") {
		t.Errorf("work/ goes with the rest: %s", log[1])
	}
	if strings.Contains(log[2], "--delete") {
		t.Errorf("a learner's work would be deleted: %s", log[2])
	}
}

// A VM that came up again may have another address.
func TestForwardNewAddress(t *testing.T) {
	dir, env := machine(t)
	vagrantUp(t, dir)
	old := filepath.Join(dir, ".vagrant", "ssh-config")
	if err := os.WriteFile(old, []byte("OLD\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, status := run(t, env, filepath.Join(dir, "forward.sh"), "doctor")
	if status != 0 || out != "<doctor>\n" {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestForwardKeepsStatus(t *testing.T) {
	dir, env := machine(t)
	vagrantUp(t, dir)
	env = append(env, "STATUS=7")
	_, status := run(t, env, filepath.Join(dir, "forward.sh"), "test")
	if status != 7 {
		t.Errorf("status %d, want 7", status)
	}
}

func TestForwardLima(t *testing.T) {
	dir, env := machine(t)
	home := strings.TrimPrefix(env[0], "HOME=")
	mkdir(t, home, ".lima", "workshop")
	config := filepath.Join(home, ".lima", "workshop", "ssh.config")
	if err := os.WriteFile(config, []byte("NEW\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, status := run(t, env, filepath.Join(dir, "forward.sh"),
		"test-step1", "RUN=a b")
	if status != 0 || out != "<test-step1>\n<RUN=a b>\n" {
		t.Errorf("status %d, output:\n%s", status, out)
	}
	if log := logged(t, env); !strings.Contains(log[0], "lima-workshop") {
		t.Errorf("not Lima's machine: %q", log)
	}
}

func TestForwardRefuses(t *testing.T) {
	dir, env := machine(t)
	forward := filepath.Join(dir, "forward.sh")
	out, status := run(t, env, forward, "test")
	oneLine(t, out, "vagrant up")
	if status == 0 {
		t.Error("no VM, and success")
	}
	vagrantUp(t, dir)
	out, status = run(t, append(env, "DOWN=1"), forward, "test")
	oneLine(t, out, "does not answer: vagrant up")
	if status != 1 {
		t.Errorf("status %d", status)
	}
}

func TestLimaImageGone(t *testing.T) {
	dir, env := machine(t)
	out, status := run(t, env, "make", "-s", "-C", dir, "lima-up")
	if status == 0 || !strings.Contains(out, "SHA512SUMS into vagrant/lima") {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestProvisionRefuses(t *testing.T) {
	bin := t.TempDir()
	link(t, bin, "sh", "tr", "cat", "printf")
	stub(t, bin, "uname", "echo ${SYSTEM-Linux}")
	stub(t, bin, "id", "echo ${ID-0}")
	path := "PATH=" + bin
	for _, c := range []struct{ env, want string }{
		{"SYSTEM=Darwin", "this is not Linux"},
		{"ID=1000", "needs root: sudo"},
		{"A=b", "no apt-get: use a Debian 13 box"},
	} {
		out, status := run(t, []string{path, c.env}, "./provision.sh")
		oneLine(t, out, c.want)
		if status != 1 {
			t.Errorf("%s: status %d", c.env, status)
		}
	}
}

// A Debian on which nothing is installed, as dpkg-query tells it.
func bareDebian(t *testing.T) (bin string, env []string) {
	bin = t.TempDir()
	link(t, bin, "sh", "tr", "cat", "sed", "sort", "head", "tail", "rm",
		"mktemp", "printf")
	stub(t, bin, "uname", "echo Linux")
	stub(t, bin, "id", "echo 0")
	stub(t, bin, "dpkg-query", "exit 1")
	stub(t, bin, "apt-get", "echo apt says no; exit 100")
	return bin, []string{"PATH=" + bin, "MIRROR="}
}

func TestProvisionOffline(t *testing.T) {
	_, env := bareDebian(t)
	out, status := run(t, append(env, "OFFLINE=1"), "./provision.sh",
		"packages")
	if status != 1 || !strings.Contains(out, "missing: golang-go gcc") ||
		!strings.Contains(out, "mkbox.sh makes one") {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestProvisionNoNetwork(t *testing.T) {
	_, env := bareDebian(t)
	out, status := run(t, env, "./provision.sh", "packages")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[len(lines)-1]
	if status != 1 || !strings.Contains(last, "no network (set MIRROR") {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestProvisionOldGo(t *testing.T) {
	bin, env := bareDebian(t)
	stub(t, bin, "dpkg-query", "printf 'ii '")
	stub(t, bin, "go", "echo go version go1.19.8 linux/amd64")
	out, status := run(t, env, "./provision.sh", "packages")
	if status != 1 || !strings.Contains(out, "Go 1.19.8 is too old") {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestMkboxRefuses(t *testing.T) {
	bin := t.TempDir()
	link(t, bin, "sh", "dirname", "sed", "printf")
	stub(t, bin, "id", "echo ${ID-0}")
	stub(t, bin, "uname", "echo ${MACHINE-x86_64}")
	for _, c := range []struct{ env, want string }{
		{"ID=1000", "needs root"},
		{"MACHINE=aarch64", "on arm64 use lima.yaml"},
		{"A=b", "missing: apt-get install mmdebstrap qemu-utils"},
	} {
		out, status := run(t, []string{"PATH=" + bin, c.env}, "./mkbox.sh")
		oneLine(t, out, c.want)
		if status != 1 {
			t.Errorf("%s: status %d", c.env, status)
		}
	}
}

// mkbox.sh must give the box the name and version the Vagrantfile asks for.
func TestMkboxReadsThePin(t *testing.T) {
	script, err := os.ReadFile("mkbox.sh")
	if err != nil {
		t.Fatal(err)
	}
	pin := regexp.MustCompile(`(?m)^pin\(\).*$`).FindString(string(script))
	for name, want := range map[string]string{
		"BOX": "bento/debian-", "BOX_VERSION": "20"} {
		out, _ := run(t, nil, "sh", "-c", "here=.; "+pin+"; pin "+name)
		oneLine(t, out, want)
	}
}
