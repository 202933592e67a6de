package rootfs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The test binary is also the first process of the containers that it tests:
// it gets job on its standard input and becomes a shell.
const inside = "rootfs-test-inside"

type job struct {
	Spec   *specs.Spec
	Root   string
	Chroot bool
	Outer  string // a shell script that runs before, in the namespaces
	Script string
}

func TestMain(m *testing.M) {
	if os.Args[0] == inside {
		fmt.Println(enterJob())
		os.Exit(125)
	}
	os.Exit(m.Run())
}

func enterJob() error {
	runtime.LockOSThread()
	var j job
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		return err
	}
	before := openFiles()
	if j.Outer != "" {
		cmd := exec.Command("/bin/sh", "-ec", j.Outer)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("outer: %w", err)
		}
	}
	if err = Prepare(j.Spec, j.Root); err != nil {
		return fmt.Errorf("Prepare: %w", err)
	}
	if err = Enter(j.Spec, j.Root, !j.Chroot); err != nil {
		return fmt.Errorf("Enter: %w", err)
	}
	if after := openFiles(); after != before {
		return fmt.Errorf("open files were %s, are %s", before, after)
	}
	return unix.Exec("/bin/sh", []string{"sh", "-c", j.Script},
		[]string{"PATH=/bin:/sbin"})
}

// openFiles lists our open files, and whether they go to the container.
func openFiles() (list string) {
	for fd := 3; fd < 1000; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil {
			list += fmt.Sprint(fd, " ", flags, ", ")
		}
	}
	return list
}

// busybox copies the root filesystem of the workshop.
func busybox(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts")
	}
	source := os.Getenv("ROOTFS")
	if source == "" {
		source = "../../rootfs"
	}
	if _, err := os.Stat(source + "/bin/busybox"); err != nil {
		t.Skip("no root filesystem: make rootfs")
	}
	dir := filepath.Join(t.TempDir(), "root")
	out, err := exec.Command("cp", "-a", source, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)
	return dir
}

var allNamespaces = []specs.LinuxNamespace{{Type: "mount"}, {Type: "pid"},
	{Type: "ipc"}, {Type: "uts"}, {Type: "network"}, {Type: "cgroup"}}

// plain is what runc spec and Docker begin with.
func plain() *specs.Spec {
	return &specs.Spec{
		Process: &specs.Process{Cwd: "/", Terminal: true},
		Root:    &specs.Root{},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs",
				Options: []string{"nosuid", "strictatime", "mode=755",
					"size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
				Options: []string{"nosuid", "noexec", "newinstance",
					"ptmxmode=0666", "mode=0620"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
				Options: []string{"nosuid", "noexec", "nodev", "mode=1777",
					"size=65536k"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue",
				Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs",
				Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
				Options: []string{"nosuid", "noexec", "nodev", "relatime",
					"ro"}},
		},
		Linux: &specs.Linux{
			Namespaces: allNamespaces,
			MaskedPaths: []string{"/proc/acpi", "/proc/kcore", "/proc/keys",
				"/proc/timer_list", "/proc/scsi", "/sys/firmware",
				"/not/there"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq",
				"/proc/sys", "/proc/sysrq-trigger", "/not/there"},
		},
	}
}

const everything = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP

// run starts a container and returns what its script printed; an error is that
// there was no container. It fails the
// test if the host's mounts are others afterwards.
func run(t *testing.T, j job, attr *syscall.SysProcAttr) (string, error) {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "job")
	if err = os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Dir(file), 0o755)
	before := mounts(t, j.Root)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", file)
	cmd.WaitDelay = time.Second
	cmd.Args[0] = inside
	if attr == nil {
		attr = &syscall.SysProcAttr{Cloneflags: everything}
	}
	attr.Pdeathsig = unix.SIGKILL
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if after := mounts(t, j.Root); after != before {
		t.Errorf("the host's mounts changed:\n%s\nwere:\n%s", after, before)
	}
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() != 125 &&
		cmd.ProcessState.Exited() {
		err = nil // the script's own
	}
	return string(out), err
}

// mounts returns those of the host's mounts that are of our making.
func mounts(t *testing.T, root string) (list string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " /mnt ") || strings.Contains(line,
			filepath.Dir(filepath.Dir(root))) {
			list += line
		}
	}
	return list
}

// must runs a container that succeeds.
func must(t *testing.T, j job) string {
	t.Helper()
	out, err := run(t, j, nil)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return out
}

// fails runs a container that cannot be made, and looks for words in the error.
func fails(t *testing.T, j job, words ...string) {
	t.Helper()
	j.Script = "echo started"
	out, err := run(t, j, nil)
	if err == nil {
		t.Errorf("no error: %s", out)
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("error %q does not say %q", out, word)
		}
	}
	if strings.Count(strings.TrimSpace(out), "\n") > 0 {
		t.Errorf("error of several lines: %q", out)
	}
}
