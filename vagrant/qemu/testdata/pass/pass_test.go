// Package pass holds what the suites may expect of the test VM. It is run
// there by `make test-vm-self`, and nowhere else.
package pass

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil || !strings.Contains(string(b), "workshop.vm=1") {
		os.Stderr.WriteString("this suite is for the test VM only\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// sh runs a script with the given attributes and returns what it printed.
func sh(t *testing.T, attr *syscall.SysProcAttr, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestEnvironment(t *testing.T) {
	for _, name := range []string{"STRICT", "STEP_BIN", "ROOTFS"} {
		if os.Getenv(name) == "" {
			t.Errorf("%s is not set", name)
		}
	}
	sh(t, nil, `test -x "$ROOTFS/bin/sh" && test -L /proc/self/fd/0`)
	wd, _ := os.Getwd()
	if entries, _ := os.ReadDir("."); len(entries) > 0 {
		t.Errorf("%s is not empty: %v", wd, entries)
	}
}

func TestCgroup(t *testing.T) {
	const root = "/sys/fs/cgroup/"
	if got := read(t, root+"cgroup.subtree_control"); got != "memory pids" {
		t.Errorf("enabled at the root: %q, want memory and pids", got)
	}
	have := read(t, root+"cgroup.controllers")
	for _, c := range []string{"cpu", "cpuset", "io", "memory", "pids"} {
		if !strings.Contains(have, c) {
			t.Errorf("controllers are %q: no %s", have, c)
		}
	}
	for _, l := range strings.Split(read(t, "/proc/self/cgroup"), "\n") {
		if !strings.HasPrefix(l, "0::/user.slice/") {
			t.Errorf("cgroup %q: v1, or not below user.slice", l)
		}
	}
}

func TestRootIsSharedAndPivots(t *testing.T) {
	for _, l := range strings.Split(read(t, "/proc/self/mountinfo"), "\n") {
		if f := strings.Fields(l); f[4] == "/" &&
			!strings.HasPrefix(f[6], "shared:") {
			t.Errorf("the root is not shared: %s", l)
		}
	}
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	got := sh(t, attr, `mount --make-rprivate /
		mount -t tmpfs none /mnt
		mkdir /mnt/old
		cd /mnt
		pivot_root . old
		cd /
		echo *`)
	if got != "old" {
		t.Errorf("the new root holds %q, want old alone", got)
	}
	if _, err := os.Stat("/mnt/old"); err == nil {
		t.Error("/mnt/old is visible on the host")
	}
}

func TestDiskAndSwap(t *testing.T) {
	var st unix.Stat_t
	if err := unix.Stat(t.TempDir(), &st); err != nil {
		t.Fatal(err)
	}
	dev := strconv.Itoa(int(unix.Major(st.Dev))) + ":" +
		strconv.Itoa(int(unix.Minor(st.Dev)))
	if got := read(t, "/sys/block/vda/dev"); got != dev {
		t.Errorf("temporary files are on %s, the disk is %s", dev, got)
	}
	if !strings.Contains(read(t, "/proc/swaps"), "/dev/vdb") {
		t.Error("no swap")
	}
}

func TestOverlay(t *testing.T) {
	d := t.TempDir()
	sh(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, `
		mount --make-rprivate /
		cd `+d+`
		mkdir lower upper work merged
		echo apple >lower/f
		mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work \
			overlay merged
		rm merged/f
		test -c upper/f
		umount merged`)
}

// The kernel finds the modules by itself, also from inside a namespace.
func TestNetworkModules(t *testing.T) {
	sh(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}, `
		ip link add veth1 type veth peer name veth2
		ip link add bridge1 type bridge
		ip link set veth1 master bridge1
		ip link show bridge1`)
	sh(t, nil, `for m in nft_chain_nat nft_nat nft_masq nft_fib_inet \
		nft_ct nf_conntrack_netlink tun loop; do modprobe $m; done
		ip link show lo | grep -q UP`)
}

func TestOrdinaryUser(t *testing.T) {
	cmd := exec.Command("unshare", "-U", "sleep", "60")
	student := &syscall.Credential{Uid: 1000, Gid: 1000}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: student}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	pid := strconv.Itoa(cmd.Process.Pid)
	own, _ := os.Readlink("/proc/self/ns/user")
	for i := 0; i < 200; i++ {
		its, err := os.Readlink("/proc/" + pid + "/ns/user")
		if err == nil && its != own {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	sh(t, &syscall.SysProcAttr{Credential: student},
		"newuidmap "+pid+" 0 1000 1 1 100000 65536\n"+
			"newgidmap "+pid+" 0 1000 1 1 100000 65536")
	got := strings.Fields(read(t, "/proc/"+pid+"/uid_map"))
	want := "0 1000 1 1 100000 65536"
	if strings.Join(got, " ") != want {
		t.Errorf("uid_map is %v, want %s", got, want)
	}
}
