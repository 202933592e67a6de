package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func same(t *testing.T, got, want string) {
	t.Helper()
	if d := cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"),
		strings.Split(strings.TrimSpace(got), "\n")); d != "" {
		t.Errorf("- wanted, + got:\n%s", d)
	}
}

// What is mounted, where, and how.
const table = `while read -r id up dev root on how rest; do
	echo "$on ${rest#*- } $how"; done </proc/self/mountinfo |
	while read -r on fs src super how; do echo "$on $fs $how"; done
`

const devs = `cd /dev; for f in null zero full random urandom tty; do
	stat -c '%n %F %t,%T %a %u' $f; done
for f in fd stdin stdout stderr ptmx core; do echo "$f $(readlink $f)"; done
stat -c '%n %F' console`

func TestPlain(t *testing.T) {
	for _, chroot := range []bool{false, true} {
		spec := plain()
		spec.Process.Cwd = "/some/where/../new"
		spec.Root.Readonly = true
		out := must(t, job{Root: busybox(t), Spec: spec, Chroot: chroot,
			Script: table + `echo; ` + devs + `; echo
cat /proc/timer_list | wc -c; ls -A /sys/firmware | wc -l
echo x 2>&1 >/x; echo x 2>&1 >/proc/sys/kernel/msgmax
echo x 2>&1 >/sys/kernel/x; echo x >/dev/shm/x && echo written
ls -d /some/new; (ls /dev/pts) <>/dev/ptmx; pwd`})
		mounts, rest, _ := strings.Cut(out, "\n\n")
		for _, want := range []string{"/ ext4 ro,", "/proc proc rw,relatime",
			"/dev tmpfs rw,nosuid", "/dev/pts devpts rw,nosuid,noexec,relatime",
			"/dev/shm tmpfs rw,nosuid,nodev,noexec,relatime",
			"/dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime",
			"/sys sysfs ro,nosuid,nodev,noexec,relatime",
			"/proc/sys proc ro,relatime", "/proc/timer_list tmpfs ro,nosuid",
			"/sys/firmware tmpfs ro,relatime",
			"/sys/fs/cgroup/memory cgroup ro,nosuid,nodev,noexec,relatime"} {
			if strings.Contains(want, "cgroup") && cgroup2(t) {
				want = "/sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime"
			}
			if want[:2] == "/ " {
				want = want[:2] // the disk's file system may be any
			}
			if !strings.Contains("\n"+mounts, "\n"+want) {
				t.Errorf("not mounted: %s\n%s", want, mounts)
			}
		}
		if strings.Contains(mounts, busyboxHost) && !chroot {
			t.Errorf("the host's mounts are there: %s", mounts)
		}
		same(t, rest, `null character special file 1,3 666 0
zero character special file 1,5 666 0
full character special file 1,7 666 0
random character special file 1,8 666 0
urandom character special file 1,9 666 0
tty character special file 5,0 666 0
fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
ptmx pts/ptmx
`+kcore()+`console regular empty file

0
0
sh: can't create /x: Read-only file system
sh: can't create /proc/sys/kernel/msgmax: Read-only file system
sh: can't create /sys/kernel/x: Read-only file system
written
/some/new
0
ptmx
/dev`)
	}
}

const busyboxHost = "/sys/fs/cgroup/unified"

func kcore() string {
	if _, err := os.Stat("/proc/kcore"); err != nil {
		return "core \n"
	}
	return "core /proc/kcore\n"
}

func cgroup2(t *testing.T) bool {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(text), "0::")
}

// The old root is nowhere: not in the mount table, not above.
func TestOldRootIsGone(t *testing.T) {
	root := busybox(t)
	os.WriteFile(root+"/marker", nil, 0o644)
	out := must(t, job{Root: root, Spec: plain(), Script: `
cd ../../../..; ls -d marker; grep -c . /proc/self/mountinfo >/dev/null
chroot .. ls -d /marker; umount -l / 2>/dev/null; ls -d /marker`})
	same(t, out, "marker\n/marker\n/marker")
}

// An image may have symbolic links anywhere. Nothing may come of them on the
// host, and nothing that a process trusts may be elsewhere in the container.
func TestHostileLinks(t *testing.T) {
	host := t.TempDir()
	os.WriteFile(host+"/precious", []byte("host\n"), 0o644)
	for name, c := range hostile(host) {
		t.Run(name, func(t *testing.T) { c.test(t, host) })
	}
}

type trick struct {
	links    map[string]string
	mount    *specs.Mount
	fail, in string
	script   string
}

func hostile(host string) map[string]trick {
	up := "/../../../../../../../../../.."
	return map[string]trick{
		"dev": {links: map[string]string{"dev": "/etc"},
			script: "ls -ld /dev; stat -c %F /etc/null", in: "/etc\n"},
		"dev up": {links: map[string]string{"dev": up + host},
			script: "ls -d /dev/null " + host + "/null",
			in:     "/dev/null\n" + host + "/null\n"},
		"proc": {links: map[string]string{"proc": "/"},
			fail: "too many levels of symbolic links"},
		"proc up": {links: map[string]string{"proc": up},
			fail: "too many levels of symbolic links"},
		"proc elsewhere": {links: map[string]string{"proc": "/tmp"},
			fail: "too many levels of symbolic links"},
		"sys": {links: map[string]string{"sys": "/proc"},
			fail: "too many levels of symbolic links"},
		"volume": {links: map[string]string{"vol": up + host},
			mount: &specs.Mount{Destination: "/vol/new/dir", Type: "tmpfs",
				Source: "tmpfs"},
			script: "ls -d " + host + "/new/dir", in: host + "/new/dir\n"},
		"file": {links: map[string]string{"etc/resolv.conf": up + host + "/f"},
			mount: &specs.Mount{Destination: "/etc/resolv.conf", Type: "bind",
				Source: host + "/precious", Options: []string{"ro"}},
			script: "cat " + host + "/f", in: "host\n"},
		"relative": {
			links: map[string]string{"etc/hosts": "../run/x/../y/hosts"},
			mount: &specs.Mount{Destination: "/etc/hosts", Type: "bind",
				Source: host + "/precious"},
			script: "cat /run/y/hosts", in: "host\n"},
		"loop": {links: map[string]string{"vol": "/vol"},
			mount: &specs.Mount{Destination: "/vol/x", Type: "tmpfs"},
			fail:  "too many levels of symbolic links"},
		"dangling loop": {links: map[string]string{"vol": "/vol/x/y"},
			mount: &specs.Mount{Destination: "/vol/x", Type: "tmpfs"},
			fail:  "too many levels of symbolic links"},
		"root": {links: map[string]string{"vol": up},
			mount: &specs.Mount{Destination: "/vol", Type: "tmpfs"},
			fail:  "the root itself"},
		"into proc": {links: map[string]string{"vol": "/proc/self"},
			mount: &specs.Mount{Destination: "/vol/attr", Type: "tmpfs"},
			fail:  "leads into /proc"},
		"magic link": {links: map[string]string{"vol": "/proc/self/root"},
			mount: &specs.Mount{Destination: "/vol/tmp", Type: "tmpfs"},
			fail:  "invalid cross-device link"},
		"dotdot": {mount: &specs.Mount{Destination: up + "/a/../../b",
			Type: "tmpfs"}, script: "ls -d /b", in: "/b\n"},
	}
}

func (c *trick) test(t *testing.T, host string) {
	root := busybox(t)
	for link, to := range c.links {
		os.RemoveAll(root + "/" + link)
		if err := os.Symlink(to, root+"/"+link); err != nil {
			t.Fatal(err)
		}
	}
	spec := plain()
	if c.mount != nil {
		spec.Mounts = append(spec.Mounts, *c.mount)
	}
	j := job{Root: root, Spec: spec, Script: c.script}
	if c.fail != "" {
		fails(t, j, c.fail)
	} else if out := must(t, j); !strings.Contains(out, c.in) {
		t.Errorf("got %s, not %s", out, c.in)
	}
	entries, _ := os.ReadDir(host)
	text, _ := os.ReadFile(host + "/precious")
	if len(entries) != 1 || string(text) != "host\n" {
		t.Errorf("the host's directory is now %v, %q", entries, text)
	}
}

// An image whose /dev is no mount may have a /dev/null that is a file; what
// is masked with it could be read.
func TestHostileNull(t *testing.T) {
	root := busybox(t)
	os.MkdirAll(root+"/dev", 0o755)
	os.WriteFile(root+"/dev/null", []byte("x"), 0o644)
	os.Symlink("/etc", root+"/dev/zero")
	spec := plain()
	spec.Mounts = spec.Mounts[:1]
	out := must(t, job{Root: root, Spec: spec, Script: "stat -c '%F %t,%T' " +
		"/proc/timer_list /dev/null /dev/zero"})
	same(t, out, `character special file 1,3
character special file 1,3
character special file 1,5`)
}

// While the image's directories are being replaced by links to the host, a
// lookup finds what is inside, or nothing.
func TestLookupRace(t *testing.T) {
	dir, host := t.TempDir(), t.TempDir()
	os.WriteFile(host+"/it", []byte("host"), 0o644)
	os.MkdirAll(dir+"/real", 0o755)
	os.WriteFile(dir+"/real/it", []byte("image"), 0o644)
	os.Symlink(host, dir+"/link")
	stop := make(chan bool)
	go func() {
		for {
			select {
			case <-stop:
				close(stop)
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, dir+"/real", unix.AT_FDCWD,
					dir+"/link", unix.RENAME_EXCHANGE)
			}
		}
	}()
	found := 0
	for n := 0; n < 20000; n++ {
		r, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := r.lookup("/real/../real/it", 0)
		if err == nil {
			found++
			text, _ := os.ReadFile(fmt.Sprint("/proc/self/fd/", fd))
			if string(text) != "image" {
				t.Fatalf("found %q", text)
			}
		}
		r.close()
	}
	stop <- true
	<-stop
	if found == 0 {
		t.Error("never found the image's file")
	}
}

func TestProcIsKept(t *testing.T) {
	host := t.TempDir()
	root := busybox(t)
	for on, bad := range map[string]string{
		"/proc": "nothing but a proc", "/proc/sys": "inside /proc",
		"/proc/1/x": "inside /proc", "/proc/../proc/net": "inside /proc"} {
		for _, when := range []int{0, 7} { // before /proc is mounted, and after
			spec := plain()
			m := specs.Mount{Destination: on, Type: "bind", Source: host}
			spec.Mounts = append(spec.Mounts[:when:when],
				append([]specs.Mount{m}, spec.Mounts[when:]...)...)
			fails(t, job{Root: root, Spec: spec}, on[:5], bad)
		}
	}
	os.WriteFile(host+"/uptime", []byte("1 2\n"), 0o644)
	spec := plain()
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/proc/uptime",
		Type: "bind", Source: host + "/uptime"})
	same(t, must(t, job{Root: root, Spec: spec, Script: "cat /proc/uptime"}),
		"1 2")
	spec = plain()
	spec.Mounts[0] = specs.Mount{Destination: "/proc", Type: "bind",
		Source: "/proc", Options: []string{"rbind", "ro"}}
	spec.Linux.ReadonlyPaths = nil
	out := must(t, job{Root: root, Spec: spec, Script: "ls -d /proc/1"})
	if !strings.Contains(out, "/proc/1\n") {
		t.Error(out)
	}
}

func TestOptions(t *testing.T) {
	root := busybox(t)
	// The volume has a mount below it, in the container's namespace alone.
	outer := "mount --make-rprivate /; mount -t tmpfs vol /mnt; " +
		"mkdir /mnt/sub /mnt/dir; mount -t tmpfs sub /mnt/sub"
	for options, want := range map[string]string{
		"bind":                     "/v rw,relatime",
		"rbind":                    "/v rw,relatime\n/v/sub rw,relatime",
		"rbind,ro":                 "/v ro,relatime\n/v/sub rw,relatime",
		"rbind,rro":                "/v ro,relatime\n/v/sub ro,relatime",
		"bind,ro,rw":               "/v rw,relatime",
		"bind,rw,ro":               "/v ro,relatime",
		"bind,ro,nosuid,nodev":     "/v ro,nosuid,nodev,relatime",
		"bind,noexec,exec,noatime": "/v rw,noatime",
		"bind,strictatime":         "/v rw",
		"bind,noatime,relatime":    "/v rw,relatime",
		"bind,noatime,atime":       "/v rw,relatime",
		"bind,nodiratime":          "/v rw,nodiratime,relatime",
		"bind,nosymfollow":         "/v rw,relatime,nosymfollow",
		"rbind,rnosuid,rnodev,rnoexec,rnoatime,nosuid,dev,suid": "" +
			"/v rw,nosuid,nodev,noexec,noatime\n" +
			"/v/sub rw,nosuid,nodev,noexec,noatime",
		"rbind,rnoatime,rrelatime,rnosuid,rsuid": "" +
			"/v rw,relatime\n/v/sub rw,relatime",
		"defaults,silent,rbind,rprivate": "/v rw,relatime\n/v/sub rw,relatime",
	} {
		spec := plain()
		spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/v",
			Type: "none", Source: "/mnt", Options: strings.Split(options, ",")})
		out := must(t, job{Root: root, Spec: spec, Outer: outer,
			Script: `while read -r id up dev root on how rest; do
case $on in /v*) echo "$on $how"; esac; done </proc/self/mountinfo`})
		if strings.TrimSpace(out) != want {
			t.Errorf("%s: %q, not %q", options, out, want)
		}
	}
	for options, word := range map[string]string{"bind,frob": `"frob"`,
		"bind,idmap": `"idmap"`, "bind,size=1": `"size=1"`,
		"bind,": `""`, "bind,tmpcopyup": `"tmpcopyup"`} {
		spec := plain()
		spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/v",
			Source: "/mnt", Options: strings.Split(options, ",")})
		fails(t, job{Root: root, Spec: spec}, "/v", word)
	}
	spec := plain()
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/v",
		Type: "tmpfs", Source: "t", Options: []string{"size=4k", "frob=1"}})
	fails(t, job{Root: root, Spec: spec}, "/v", "frob=1",
		"Unknown parameter 'frob'")
	spec.Mounts[7].Type = "frobfs"
	fails(t, job{Root: root, Spec: spec}, "/v", "frobfs", "no such device")
	spec.Mounts[7] = specs.Mount{Destination: "/v", Type: "bind",
		Source: "/not/there"}
	fails(t, job{Root: root, Spec: spec}, "/v", "/not/there", "no such file")
}

func TestTmpfs(t *testing.T) {
	root := busybox(t)
	os.MkdirAll(root+"/full/dir", 0o755)
	unix.Chmod(root+"/full", 0o1751)
	os.Chown(root+"/full/dir", 5, 6)
	os.WriteFile(root+"/full/file", []byte("text\n"), 0o600)
	unix.Chmod(root+"/full/file", 0o4755)
	os.Symlink("/etc", root+"/full/link")
	os.WriteFile(root+"/full/dir/deep", []byte("deep\n"), 0o644)
	unix.Mkfifo(root+"/full/fifo", 0o644)
	spec := plain()
	for _, m := range []specs.Mount{
		{Destination: "/full", Options: []string{"ro"}},
		{Destination: "/copy", Options: []string{"tmpcopyup", "ro"}},
		{Destination: "/new"},
		{Destination: "/given", Options: []string{"mode=700", "size=8k"}}} {
		m.Type, m.Source = "tmpfs", "tmpfs"
		spec.Mounts = append(spec.Mounts, m)
	}
	if err := os.Rename(root+"/full", root+"/copy"); err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(root+"/full", 0o755)
	unix.Chmod(root+"/full", 0o1751)
	os.WriteFile(root+"/full/hidden", nil, 0o644)
	spec.Mounts[1].Options = append(spec.Mounts[1].Options, "ro")
	out := must(t, job{Root: root, Spec: spec, Script: `
ls -A /full; echo x 2>&1 >/full/x; echo x 2>&1 >/dev/x
stat -c '%n %a' /full /copy /new /given
cd /copy; cat file dir/deep; readlink link; echo x 2>&1 >x
stat -c '%n %a %u %g %F' file dir fifo`})
	same(t, out, `sh: can't create /full/x: Read-only file system
sh: can't create /dev/x: Read-only file system
/full 1751
/copy 1751
/new 1777
/given 700
text
deep
/etc
sh: can't create x: Read-only file system
file 4755 0 0 regular file
dir 755 5 6 directory
fifo 644 0 0 fifo`)
}

func TestRemount(t *testing.T) {
	spec := plain()
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/dev/shm",
		Options: []string{"remount", "ro", "suid"}})
	out := must(t, job{Root: busybox(t), Spec: spec,
		Script: table + "echo x 2>&1 >/dev/shm/x"})
	if !strings.Contains(out, "/dev/shm tmpfs ro,nodev,noexec") ||
		!strings.Contains(out, "/dev/shm/x: Read-only") {
		t.Error(out)
	}
}

// Mounts of the container appear on the host only where a volume is shared,
// and those of the host in the container only where it is a slave.
func TestPropagation(t *testing.T) {
	root := busybox(t)
	for propagation, want := range map[string]string{
		"": "", "rslave": "", "rprivate": "", "rshared": "seen",
		"runbindable": ""} {
		spec := plain()
		spec.Linux.RootfsPropagation = propagation
		how := "rprivate"
		if propagation == "rshared" {
			how = propagation
		}
		spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/v",
			Type: "bind", Source: "/mnt", Options: []string{"rbind", how}})
		dir := t.TempDir()
		fifo := dir + "/fifo"
		unix.Mkfifo(fifo, 0o600)
		// A process that has the namespace as the container's parent had it.
		outer := `mount --make-rprivate /
mount -t tmpfs v /mnt; mount --make-rshared /
mkdir /mnt/a; unshare -m --propagation shared sh -c '
	read x <` + fifo + `; ls /mnt/a >` + dir + `/out; echo end >` + dir + `/end
' >/dev/null 2>&1 &
sleep 0.2`
		spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/fifo",
			Type: "bind", Source: dir})
		out := must(t, job{Root: root, Spec: spec, Outer: outer, Script: `
mount -t tmpfs a /v/a; echo >/v/a/seen; echo >/fifo/fifo
n=0; while [ ! -e /fifo/end ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
cat /fifo/out`})
		if strings.TrimSpace(out) != want {
			t.Errorf("rootfsPropagation %q: the host sees %q, not %q",
				propagation, out, want)
		}
	}
	spec := plain()
	spec.Linux.RootfsPropagation = "rfrob"
	fails(t, job{Root: root, Spec: spec}, "rfrob")
}

func TestOverlay(t *testing.T) {
	base, dir := busybox(t), t.TempDir()
	for name, text := range map[string]string{"a:b,c/f": "a", "d/f": "d",
		"d/g": "g", "a:b,c/h": "h"} {
		os.MkdirAll(filepath.Dir(dir+"/"+name), 0o755)
		os.WriteFile(dir+"/"+name, []byte(text+"\n"), 0o644)
	}
	unix.Mknod(dir+"/d/h", unix.S_IFCHR, 0) // a whiteout
	for _, name := range []string{"/up per", "/work", "/merged"} {
		os.Mkdir(dir+name, 0o755)
	}
	lower := []string{base, dir + "/a:b,c", dir + "/d"}
	for i, text := range []string{strings.Join(lower, "\n"),
		fmt.Sprintf("[%q,%q,%q]", lower[0], lower[1], lower[2])} {
		spec := plain()
		spec.Annotations = map[string]string{Lowerdir: text,
			Upperdir: dir + "/up per", Workdir: dir + "/work"}
		out := must(t, job{Root: dir + "/merged", Spec: spec, Script: `
cat /f /g; ls /h 2>&1; echo new >/new; rm /g
grep -c ' / / .* overlay ' /proc/self/mountinfo`})
		same(t, out, "d\ng\nls: /h: No such file or directory\n1")
		var st unix.Stat_t
		unix.Lstat(dir+"/up per/g", &st)
		if text, err := os.ReadFile(dir + "/up per/new"); err != nil ||
			string(text) != "new\n" || st.Mode != unix.S_IFCHR {
			t.Errorf("%d: upper: %q, %v, g is %o", i, text, err, st.Mode)
		}
		os.Remove(dir + "/up per/g")
	}
	entries, _ := os.ReadDir(dir + "/merged")
	if len(entries) > 0 {
		t.Errorf("on the host merged has %v", entries)
	}
	spec := plain()
	spec.Annotations = map[string]string{Lowerdir: strings.Join(lower, "\n")}
	out := must(t, job{Root: dir + "/merged", Spec: spec,
		Script: "cat /f; echo 2>&1 >/x"})
	same(t, out, "d\nsh: can't create /x: Read-only file system")
	many := strings.Repeat(dir+"/d\n", 300)
	spec.Annotations[Lowerdir] = many
	fails(t, job{Root: dir + "/merged", Spec: spec}, "argument list too long",
		"300 layers")
	spec.Annotations[Lowerdir] = base + "\n/not/there"
	fails(t, job{Root: dir + "/merged", Spec: spec}, "layer /not/there")
	spec.Annotations[Lowerdir] = "[1]"
	fails(t, job{Root: dir + "/merged", Spec: spec}, Lowerdir)
}

func chown(t *testing.T, dir string, id int) {
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, _ error) error {
		return os.Lchown(p, id, id)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func user(id int) *syscall.SysProcAttr {
	m := []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 65536}}
	return &syscall.SysProcAttr{Cloneflags: everything | unix.CLONE_NEWUSER,
		UidMappings: m, GidMappings: m, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{}}
}

func TestUserNamespace(t *testing.T) {
	root := busybox(t)
	chown(t, root, 100000)
	spec := plain()
	spec.Linux.Namespaces = append(allNamespaces[:len(allNamespaces):6],
		specs.LinuxNamespace{Type: "user"})
	spec.Root.Readonly = true
	out, err := run(t, job{Root: root, Spec: spec, Script: devs +
		`; echo text >/dev/null && cat /proc/keys; id -u; ls /sys/fs/cgroup
echo x 2>&1 >/x`}, user(100000))
	if err != nil || !strings.Contains(out, "null character special file 1") ||
		!strings.Contains(out, "Read-only") {
		t.Fatalf("%v: %s", err, out)
	}
	// A device that the host has under that name is not always the one meant.
	spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/zero", Type: "c",
		Major: 1, Minor: 11}}
	out, err = run(t, job{Root: root, Spec: spec}, user(100000))
	if err == nil || !strings.Contains(out, "another device") {
		t.Errorf("%v: %s", err, out)
	}
	dir := t.TempDir()
	for _, name := range []string{"", "/upper", "/work", "/merged", "/layer"} {
		os.Mkdir(dir+name, 0o755)
		os.Chmod(dir+name, 0o755)
		os.Chown(dir+name, 100000, 100000)
	}
	spec.Linux.Devices, spec.Root.Readonly = nil, false
	spec.Annotations = map[string]string{Lowerdir: root + "\n" + dir + "/layer",
		Upperdir: dir + "/upper", Workdir: dir + "/work"}
	out, err = run(t, job{Root: dir + "/merged", Spec: spec, Script: `
mkdir -p /home/x; rm -r /home; mkdir /home; echo in >/home/in
grep -o userxattr /proc/self/mountinfo | head -1`}, user(100000))
	if err != nil || out != "userxattr\n" {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(dir + "/upper/home/in"); err != nil {
		t.Error(err)
	}
}

func TestDevices(t *testing.T) {
	mode, id := os.FileMode(0o640), uint32(7)
	spec := plain()
	spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/disk/one", Type: "b", Major: 7, Minor: 300,
			FileMode: &mode, UID: &id, GID: &id},
		{Path: "/dev/pipe", Type: "p"},
		{Path: "/elsewhere", Type: "u", Major: 1, Minor: 3},
		{Path: "/dev/ptmx", Type: "c", Major: 9, Minor: 9},
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: &mode}}
	root := busybox(t)
	out := must(t, job{Root: root, Spec: spec, Script: `
stat -c '%n %F %t,%T %a %u %g' /dev/disk/one /dev/pipe /elsewhere /dev/null
readlink /dev/ptmx`})
	same(t, out, `/dev/disk/one block special file 7,12c 640 7 7
/dev/pipe fifo 0,0 666 0 0
/elsewhere character special file 1,3 666 0 0
/dev/null character special file 1,3 640 0 0
pts/ptmx`)
	spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}}
	fails(t, job{Root: root, Spec: spec}, "/dev/x", `type "z"`)
	// The host's /dev is the host's.
	before, _ := os.ReadDir("/dev")
	spec = plain()
	spec.Mounts = append(spec.Mounts[:1], specs.Mount{Destination: "/dev",
		Type: "bind", Source: "/dev", Options: []string{"rbind"}})
	must(t, job{Root: root, Spec: spec, Script: "true"})
	after, _ := os.ReadDir("/dev")
	if len(before) != len(after) {
		t.Errorf("the host's /dev was %v, is %v", before, after)
	}
}

// Without a cgroup namespace the hierarchies are binds of our own cgroups.
func TestCgroup(t *testing.T) {
	root := busybox(t)
	if cgroup2(t) {
		out := must(t, job{Root: root, Spec: plain(),
			Script: "ls /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x"})
		if !strings.Contains(out, "cgroup.procs") ||
			!strings.Contains(out, "Read-only") {
			t.Error(out)
		}
		return
	}
	own := "/sys/fs/cgroup/pids/rootfs-test"
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Skip("no cgroup v1 to write to: ", err)
	}
	defer os.Remove(own)
	for _, private := range []bool{true, false} {
		spec := plain()
		// Join the cgroup first, as the runtime does, then the namespace.
		outer := "echo $PPID >" + own + "/cgroup.procs"
		attr := &syscall.SysProcAttr{Cloneflags: everything &^
			unix.CLONE_NEWCGROUP}
		if !private {
			spec.Linux.Namespaces = spec.Linux.Namespaces[:5]
		}
		out, err := run(t, job{Root: root, Spec: spec, Outer: outer, Script: `
cd /sys/fs/cgroup; cat pids/cgroup.procs; ls -d memory systemd
mkdir pids/x; mkdir x; cat pids/pids.max; ls pids/rootfs-test`}, attr)
		want := "memory\nsystemd\n"
		if !private {
			want = "1\n"
		} // else the mount is of the namespace's root: here the host's
		if err != nil || !strings.Contains(out, want) ||
			strings.Contains(out, "pids.max\n") != private ||
			strings.Count(out, "Read-only") != 2 {
			t.Errorf("private %v: %v: %s", private, err, out)
		}
	}
}

func TestOwnCgroup(t *testing.T) {
	const table = `25 20 0:20 / /cg rw shared:1 - tmpfs tmpfs rw
26 25 0:21 / /cg/cpu,cpuacct rw shared:2 - cgroup cgroup rw,cpu,cpuacct
27 25 0:22 /docker/1 /cg/pids rw - cgroup cgroup rw,pids
28 25 0:23 / /cg/systemd rw - cgroup systemd rw,xattr,name=systemd
`
	for _, c := range [][3]string{
		{"cpu,cpuacct", "/a/b", "/cg/cpu,cpuacct/a/b"},
		{"pids", "/docker/1/x", "/cg/pids/x"},
		{"pids", "/docker/1", "/cg/pids"},
		{"name=systemd", "/", "/cg/systemd"}, {"pids", "/docker/2", ""},
		{"frob", "/", ""}} {
		got, err := ownCgroup(table, c[0], c[1])
		if got != c[2] || (err == nil) != (got != "") {
			t.Errorf("%s of %s: %q, %v", c[1], c[0], got, err)
		}
	}
}

func TestSysctl(t *testing.T) {
	root := busybox(t)
	before, _ := os.ReadFile("/proc/sys/kernel/msgmax")
	spec := plain()
	spec.Linux.Sysctl = map[string]string{"kernel.msgmax": "1234",
		"net/ipv4/ip_unprivileged_port_start": "99",
		"net.ipv4.conf.lo.forwarding":         "1"}
	out := must(t, job{Root: root, Spec: spec, Script: `cd /proc/sys
cat kernel/msgmax; cd net/ipv4
cat ip_unprivileged_port_start conf/lo/forwarding`})
	same(t, out, "1234\n99\n1")
	after, _ := os.ReadFile("/proc/sys/kernel/msgmax")
	if string(before) != string(after) {
		t.Errorf("the host's was %s, is %s", before, after)
	}
	for key, word := range map[string]string{"vm.page-cluster": "the host's",
		"kernel.hostname": "the host's", "net.frob": "no such file",
		"net/../vm/page-cluster":  "the host's",
		"net./../vm/page-cluster": "no such file"} {
		spec.Linux.Sysctl = map[string]string{key: "1"}
		fails(t, job{Root: root, Spec: spec}, key, word)
	}
	spec.Linux.Sysctl = map[string]string{"kernel.msgmax": "1"}
	spec.Linux.Namespaces = spec.Linux.Namespaces[:2]
	fails(t, job{Root: root, Spec: spec}, "kernel.msgmax", "the host's")
}
