package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// patient is a machine for make doctor: this one, but for what is given.
type patient struct {
	files   map[string]string // in front of the machine's own
	without []string          // programs that PATH does not have
	fakes   map[string]string // programs of ours, as shell scripts
	user    bool              // an ordinary user, also if we are root
	setup   string            // shell commands before, in a user namespace
}

// diagnosis is what make doctor said, by the requirement's name.
type diagnosis struct {
	lines  map[string]string // "ok ...", "missing ..." or "warning ..."
	last   string
	status int
}

var diagnosisLine = regexp.MustCompile(`^(ok|missing|warning) +(.+)$`)

// examine runs make doctor's script on the patient.
func examine(t *testing.T, p patient) diagnosis {
	t.Helper()
	dir := publicDir(t)
	copyScript(t, dir, "doctor.sh")
	for name, text := range p.files {
		writeFile(t, filepath.Join(dir, "root", name), text, 0o644)
	}
	c := exec.Command("/bin/sh", filepath.Join(dir, "doctor.sh"))
	c.Dir = dir
	c.Env = append(os.Environ(), "DOCTOR_ROOT="+dir+"/root",
		"ROOTFS="+dir+"/rootfs", "TMPDIR="+dir, "LC_ALL=C",
		"PATH="+fakePath(t, dir, p))
	c.SysProcAttr = &syscall.SysProcAttr{}
	if p.user && os.Getuid() == 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: 54321, Gid: 54321}
	}
	if p.setup != "" {
		inUserNamespace(c, p.setup)
	}
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		t.Fatal(err)
	}
	return parseDiagnosis(t, string(out), c.ProcessState.ExitCode())
}

func parseDiagnosis(t *testing.T, out string, status int) diagnosis {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("make doctor said, status %d:\n%s", status, out)
		}
	})
	d := diagnosis{map[string]string{}, "", status}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		d.last = line
		m := diagnosisLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name, text, ok := strings.Cut(m[2], "  ")
		if !ok { // a name as long as its column
			name, text, _ = strings.Cut(m[2], " ")
		}
		d.lines[name] = m[1] + " " + strings.TrimSpace(text)
	}
	return d
}

// inUserNamespace makes c root of a user namespace, where it first runs setup.
func inUserNamespace(c *exec.Cmd, setup string) {
	c.Args = append([]string{"/bin/sh", "-ec", setup + `; exec "$@"`, "sh"},
		c.Args...)
	c.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{
		{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{
		{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
}

// publicDir is a directory that every user can enter. t.TempDir's is not.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "workshop-doctor-")
	if err == nil {
		// Other users work here too: doctor.sh makes its directory in TMPDIR.
		err = os.Chmod(dir, 0o1777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func copyScript(t *testing.T, dir, name string) {
	t.Helper()
	text, err := os.ReadFile("scripts/" + name)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, name), string(text), 0o755)
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What doctor.sh calls or looks for. Nothing else is on the patient's PATH.
var doctorPrograms = strings.Fields(`apt-get busybox cat gcc go grep head id
	ip make mkdir mktemp modprobe mount newuidmap rm sed setpriv sh
	shellcheck sort stat strace sudo tr true uname unshare
	qemu-system-x86_64 qemu-system-aarch64`)

// fakePath is a PATH of one directory: links to the machine's programs but
// those the patient lacks, and the patient's own.
func fakePath(t *testing.T, dir string, p patient) string {
	t.Helper()
	bin := filepath.Join(dir, "path")
	for name, script := range p.fakes {
		writeFile(t, filepath.Join(bin, name), "#!/bin/sh\n"+script, 0o755)
	}
	os.MkdirAll(bin, 0o755)
	for _, name := range doctorPrograms {
		file, err := exec.LookPath(name)
		if p.fakes[name] != "" || slices.Contains(p.without, name) ||
			err != nil {
			continue
		}
		if err := os.Symlink(file, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// expect holds one line against a pattern.
func (d diagnosis) expect(t *testing.T, name, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(d.lines[name]) {
		t.Errorf("%s: %q, want %s", name, d.lines[name], pattern)
	}
}

// expectSteps: the steps that cannot run are named, and the status is 1.
// Steps beyond these may be missing too, if the machine itself lacks more.
func (d diagnosis) expectSteps(t *testing.T, steps string) {
	t.Helper()
	if d.status != 1 {
		t.Errorf("status %d, want 1", d.status)
	}
	if !strings.HasPrefix(d.last, "These steps cannot run here: ") {
		t.Errorf("last line %q", d.last)
	}
	for _, s := range strings.Fields(steps) {
		if !strings.Contains(d.last, " "+s) {
			t.Errorf("last line %q does not name step %s", d.last, s)
		}
	}
}

// Every requirement has its line, and the status follows from the lines.
func TestDoctorHere(t *testing.T) {
	for _, user := range []bool{false, true} {
		t.Run(fmt.Sprintf("user=%v", user), func(t *testing.T) {
			d := examine(t, patient{user: user})
			want := strings.Fields("place kernel root " +
				"user.max_user_namespaces overlay veth bridge nf_tables " +
				"newuidmap rootfs gcc make strace")
			for _, n := range strings.Fields("uts ipc pid mnt user net " +
				"cgroup time") {
				want = append(want, "namespace "+n)
			}
			missing := false
			for _, name := range want {
				d.expect(t, name, "^(ok|missing|warning) .")
			}
			for _, line := range d.lines {
				missing = missing || strings.HasPrefix(line, "missing")
			}
			if missing != (d.status == 1) || d.status > 1 {
				t.Errorf("missing: %v, status %d", missing, d.status)
			}
			if !missing && d.last != "Every step can run here." {
				t.Errorf("last line %q", d.last)
			}
		})
	}
}

// A real limit, not a fake file: no further user namespace can be made.
func TestDoctorUserNamespacesForbidden(t *testing.T) {
	const limit = "/proc/sys/user/max_user_namespaces"
	before := examine(t, patient{setup: "true"})
	if !strings.HasPrefix(before.lines["namespace user"], "ok") {
		skip(t, "user namespaces for this user: make doctor names the switch")
	}
	d := examine(t, patient{setup: "echo 0 >" + limit})
	d.expect(t, "user.max_user_namespaces",
		"^missing is 0 .*sysctl -w user.max_user_namespaces=16384$")
	d.expect(t, "namespace user",
		"^missing .*No space left.*sysctl -w user.max_user_namespaces=16384$")
	d.expect(t, "namespace uts", "^ok")
	d.expectSteps(t, "04 05 06 07")
	if strings.Contains(d.last, "03") {
		t.Errorf("step 03 needs no user namespace: %q", d.last)
	}
}

// What the machine's files say, one at a time. Faked: a test machine has one
// kernel only.
func TestDoctorFiles(t *testing.T) {
	const all = "01 02 03 04 05 06 07"
	const kernel = "proc/sys/kernel/"
	for name, c := range map[string]struct {
		files              map[string]string
		line, want, broken string
	}{
		"old kernel": {map[string]string{kernel + "osrelease": "4.19.0-27\n"},
			"kernel", "^missing 4.19.0-27, 5.8 is needed", all},
		"kernel without mount_setattr": {
			map[string]string{kernel + "osrelease": "5.10.0-30-amd64\n"},
			"kernel", "^missing 5.10.0-30-amd64, 5.12", "03 04 05 06 07"},
		"good kernel": {map[string]string{kernel + "osrelease": "6.1.0\n"},
			"kernel", "^ok 6.1.0$", ""},
		"debian switch": {
			map[string]string{kernel + "unprivileged_userns_clone": "0\n"},
			"kernel.unprivileged_userns_clone",
			"^missing is 0 .*sysctl -w kernel.unprivileged_userns_clone=1$",
			"04 05 06 07"},
		"ubuntu switch": {map[string]string{
			kernel + "apparmor_restrict_unprivileged_userns": "1\n"},
			"kernel.apparmor_restrict_unprivileged_userns", "^missing is 1 .*" +
				"sysctl -w kernel.apparmor_restrict_unprivileged_userns=0$",
			"04 05 06 07"},
		"no cgroups": {map[string]string{"proc/self/mountinfo": "\n"},
			"cgroups", "^missing not mounted: ", "06 07"},
		"no nf_tables": {map[string]string{"proc/kallsyms": "0 t nothing\n"},
			"nf_tables", "^missing .*modprobe nf_tables$", "05 06 07"},
	} {
		t.Run(name, func(t *testing.T) {
			d := examine(t, patient{files: c.files, user: true,
				fakes: map[string]string{"modprobe": "exit 1"}})
			d.expect(t, c.line, c.want)
			if c.broken != "" {
				d.expectSteps(t, c.broken)
			}
		})
	}
}

// WSL 1 has no Linux kernel at all; WSL 2 has. Containers leave a file.
func TestDoctorPlace(t *testing.T) {
	t.Setenv("container", "")
	const version = "proc/version"
	for name, c := range map[string]struct{ file, text, want string }{
		"WSL 1": {version, "Linux version 4.4.0-19041-Microsoft",
			"^missing WSL 1"},
		"WSL 2": {version, "Linux version 6.6.87.2-microsoft-standard-WSL2",
			"^ok WSL 2"},
		"machine": {version, "Linux version 6.1.0-18-amd64",
			"^ok not in a container, not WSL"},
		"docker": {".dockerenv", "", "^ok in a container"},
		"podman": {"run/.containerenv", "", "^ok in a container"},
	} {
		t.Run(name, func(t *testing.T) {
			d := examine(t, patient{files: map[string]string{c.file: c.text}})
			d.expect(t, "place", c.want)
		})
	}
}

// Controllers are looked up in the hierarchy that has them, v1 or v2.
func TestDoctorControllers(t *testing.T) {
	dir := publicDir(t)
	writeFile(t, dir+"/v2/cgroup.controllers", "memory pids\n", 0o644)
	os.Mkdir(dir+"/v1", 0o755)
	d := examine(t, patient{files: map[string]string{"proc/self/mountinfo": "" +
		"30 24 0:26 / " + dir + "/v2 rw shared:9 - cgroup2 cgroup2 rw\n" +
		"31 24 0:27 / " + dir + "/v1 rw - cgroup cgroup rw,cpu,cpuacct\n"}})
	d.expect(t, "cgroup memory", "^ok v2, "+dir+"/v2")
	d.expect(t, "cgroup pids", "^ok v2, "+dir+"/v2")
	d.expect(t, "cgroup cpu", "^ok v1, "+dir+"/v1")
	d.expect(t, "cgroup cpuset", "^warning .*refused")
	d.expect(t, "cgroup io", "^warning .*refused")
}

// unshare refuses one thing after the other.
func TestDoctorTries(t *testing.T) {
	for word, c := range map[string]struct{ line, steps string }{
		"-u":      {"namespace uts", "01 02 03 04 05 06 07"},
		"-i":      {"namespace ipc", "02 03 04 05 06 07"},
		"-p":      {"namespace pid", "02 03 04 05 06 07"},
		"-m":      {"namespace mnt", "03 04 05 06 07"},
		"-U":      {"namespace user", "04 05 06 07"},
		"-n":      {"namespace net", "05 06 07"},
		"-C":      {"namespace cgroup", "06 07"},
		"-T":      {"namespace time", "07"},
		"*lower*": {"overlay", "07"},
		"*veth":   {"veth", "05 06 07"},
		"*bridge": {"bridge", "05 06 07"},
	} {
		t.Run(strings.Trim(word, "*"), func(t *testing.T) {
			d := examine(t, patient{fakes: map[string]string{"unshare": `
for a; do case $a in ` + word + `)
	echo "unshare: unshare failed: Invalid argument" >&2; exit 1 ;;
esac; done
exit 0`}})
			d.expect(t, c.line,
				"^missing unshare: unshare failed: Invalid argument: .")
			d.expectSteps(t, c.steps)
			if n := strings.Count(d.last, " 0"); word[0] == '-' &&
				n != len(strings.Fields(c.steps)) && os.Getuid() == 0 {
				t.Errorf("last line %q, want steps %s", d.last, c.steps)
			}
		})
	}
}

// Programs: what only a part of the workshop needs is a warning.
func TestDoctorPrograms(t *testing.T) {
	apt := map[string]string{"apt-get": "exit 1"}
	d := examine(t, patient{fakes: apt, without: []string{"strace", "gcc",
		"newuidmap", "shellcheck", "chromium"}})
	d.expect(t, "strace", "^warning .*apt-get install strace$")
	d.expect(t, "gcc", "^warning .*apt-get install gcc libc6-dev$")
	d.expect(t, "newuidmap", "^warning .*apt-get install uidmap$")
	d.expect(t, "shellcheck", "^warning .*apt-get install shellcheck$")
	d.expect(t, "chromium", "^warning .*apt-get install chromium$")

	d = examine(t, patient{fakes: map[string]string{
		"go": "echo go1.22.1"}})
	d.expect(t, "go", "^missing go1.22.1, 1.24 is needed: https://go.dev/dl$")
	d.expectSteps(t, "01 02 03 04 05 06 07")

	d = examine(t, patient{without: []string{"go"}})
	d.expect(t, "go", "^missing 1.24 .*https://go.dev/dl$")
	d.expectSteps(t, "01 02 03 04 05 06 07")

	d = examine(t, patient{without: []string{"busybox", "apt-get"}})
	d.expect(t, "rootfs", "^missing .*busybox-static.*make rootfs$")
	d.expectSteps(t, "03 04 05 06 07")
}

// An ordinary user without sudo can run only the rootless steps.
func TestDoctorUserWithoutSudo(t *testing.T) {
	d := examine(t, patient{user: true, without: []string{"sudo"}})
	d.expect(t, "root", "^missing .* is not root: install sudo .* run without$")
	d.expectSteps(t, "01 02 03")
	d = examine(t, patient{user: true, fakes: map[string]string{
		"sudo": "exit 1"}})
	d.expect(t, "root", "^ok sudo")
	if strings.Contains(d.last, "01") {
		t.Errorf("with sudo, step 01 runs: %q", d.last)
	}
}

// Without a network a room has the Go modules already, or has not.
func TestDoctorModules(t *testing.T) {
	run := func(env string) string {
		c := exec.Command("sh", "docs/scripts/doctor.sh")
		c.Dir, c.Env = repoRoot, append(os.Environ(), env)
		out, _ := c.CombinedOutput() // the status is not about this line
		return string(out)
	}
	for env, want := range map[string]string{"LC_ALL=C": "ok +go modules +/",
		"GOMODCACHE=" + t.TempDir(): "warning +go modules +not here yet"} {
		if got := run(env); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: want %q in:\n%s", env, want, got)
		}
	}
}

func TestDoctorSubuid(t *testing.T) {
	who, err := exec.Command("id", "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	entry := strings.TrimSpace(string(who)) + ":100000:65536"
	d := examine(t, patient{files: map[string]string{
		"etc/subuid": entry + "\n"}})
	d.expect(t, "subuid", "^ok "+entry+"$")
	d = examine(t, patient{user: true, files: map[string]string{
		"etc/subuid": "other:100000:65536\n"}})
	d.expect(t, "subuid", "^warning none for .*usermod --add-subuids")
}

// skip is t.Skip, but STRICT=1 makes it a failure.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("STRICT") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// In a real chroot the kernel refuses user namespaces to everybody.
func TestDoctorChroot(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "root: run the check with sudo")
	}
	dir := publicDir(t)
	copyScript(t, dir, "doctor.sh")
	writeFile(t, dir+"/root/empty", "", 0o644)
	script := `mount --make-rprivate / && mkdir "$1/new" &&
		mount --rbind / "$1/new" &&
		exec chroot "$1/new" sh "$1/doctor.sh"`
	out, status := runIn(t, dir, []string{"DOCTOR_ROOT=" + dir + "/root",
		"ROOTFS=/nowhere", "container="}, "unshare", "-m", "sh", "-c", script,
		"sh", dir)
	d := parseDiagnosis(t, out, status)
	d.expect(t, "namespace user", "^missing .*not permitted: leave the chroot")
	d.expect(t, "namespace uts", "^ok")
	d.expectSteps(t, "04 05 06 07")
}
