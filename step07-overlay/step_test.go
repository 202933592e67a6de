package main_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The C programs have all that this step adds, and the steps before it but
// for the network and the limits.
var inC = []string{"run", "exec", "unshare"}

// everyone runs a test as root and as an ordinary user, with each program. An
// overlay needs no root since Linux 5.11.
func everyone(t *testing.T, f func(*testing.T, program)) {
	t.Helper()
	makeBases(t)
	each(t, "run", func(t *testing.T, p program) {
		t.Run("root", func(t *testing.T) {
			needs(t, "root", "overlay", "rootfs")
			f(t, p)
		})
		t.Run("user", func(t *testing.T) {
			needs(t, "userns", "overlay", "rootfs")
			f(t, p.as(nobody))
		})
	})
}

// asRoot is for what takes root, such as a file system for the test alone.
func asRoot(t *testing.T, f func(*testing.T, program)) {
	t.Helper()
	makeBases(t)
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root", "userns", "overlay", "rootfs")
		f(t, p)
	})
}

// base is the lowest layer of all tests: one root filesystem for each user.
// No container writes there, so one is enough; watch sees to it.
func base(uid int) string { return fmt.Sprintf("%s/base-%d", work, uid) }

func makeBases(t *testing.T) {
	t.Helper()
	for _, uid := range []int{os.Getuid(), nobody} {
		dir := base(uid)
		if exists(dir) || requirements["rootfs"]() != "" {
			continue
		}
		check(t, output("cp", "-a", rootfsDir(), dir))
		check(t, os.Chmod(dir, 0o755))
		giveTo(t, uid, dir)
	}
}

func giveTo(t *testing.T, uid int, dir string) {
	t.Helper()
	if os.Getuid() == 0 {
		owner := fmt.Sprintf("%d:%d", uid, uid)
		check(t, output("chown", "-R", "-h", owner, dir))
	}
}

func init() {
	watched["root filesystems"] = func() []string {
		return slices.Concat(tree(base(os.Getuid())), tree(base(nobody)))
	}
	requirements["overlay"] = sync.OnceValue(overlayWorks)
	helpers["overlay"] = func(args []string) {
		if err := testOverlay(args); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	// rename(2) alone: mv(1) copies when it fails.
	helpers["rename"] = func(args []string) {
		fmt.Println(errnoName(unix.Rename(args[0], args[1])))
	}
	helpers["time"], helpers["newtime"] = printTime, newTime
}

// overlayWorks tries what the step does, with no help from its program.
func overlayWorks() string {
	dir, err := os.MkdirTemp(work, "overlay-")
	for _, name := range []string{"", "/lower", "/upper", "/work", "/merged"} {
		os.Mkdir(dir+name, 0o755)
		err = errors.Join(err, os.Chown(dir+name, nobody, nobody))
	}
	c := command(nobody, helper("overlay", dir)...)
	out, failed := c.CombinedOutput()
	os.Chmod(dir+"/work/work", 0o700)
	if err = errors.Join(err, failed); err == nil {
		return ""
	}
	return fmt.Sprintf("overlay in a user namespace (%v: %s): Linux 5.11, "+
		"and TMPDIR on a disk", err, bytes.TrimSpace(out))
}

func testOverlay(args []string) error {
	if len(args) == 1 {
		c := exec.Command(work+"/test", "helper:overlay", args[0], "inside")
		id := []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr = &syscall.SysProcAttr{UidMappings: id, GidMappings: id,
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}
		c.Stdout = os.Stdout
		return c.Run()
	}
	options := fmt.Sprintf("userxattr,lowerdir=%s/lower,upperdir=%[1]s/upper,"+
		"workdir=%[1]s/work", args[0])
	err := unix.Mount("overlay", args[0]+"/merged", "overlay", 0, options)
	if err == nil { // tmpfs has no user.* attributes before Linux 6.6
		err = unix.Setxattr(args[0]+"/upper", "user.workshop", []byte("y"), 0)
	}
	return err
}

func errnoName(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) && errno != 0 {
		return unix.ErrnoName(errno)
	}
	return "OK"
}

// newName is random: no program can know it beforehand.
func newName() string { return "w" + strings.ToLower(rand.Text()[:12]) }

func join(parts ...[]string) []string { return slices.Concat(parts...) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// tree lists what is below a directory, as exactly as the kernel knows it: a
// file that was written and put back is another.
func tree(dir string) (list []string) {
	filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil {
			list = append(list, fmt.Sprintf("%s %d %o %d:%d %d %d.%d",
				strings.TrimPrefix(path, dir), st.Ino, st.Mode, st.Uid,
				st.Gid, st.Size, st.Mtim.Sec, st.Mtim.Nsec))
		}
		return nil
	})
	return list
}

// contents is tree with the files' contents.
func contents(dir string) []string {
	list := tree(dir)
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.Type().IsRegular() {
			list = append(list, fmt.Sprintf("%s %x", path,
				sha256.Sum256([]byte(read(path)))))
		}
		return nil
	})
	return list
}

// names are those of all that is below a directory but its root, in order.
// A whiteout's name ends in "!", a directory's in "/", an opaque one's in "/!".
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry,
		err error) error {
		if path == dir || err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case isWhiteout(path):
			name += "!"
		case isOpaque(path):
			name += "/!"
		case d.IsDir():
			name += "/"
		}
		list = append(list, name)
		return nil
	}))
	return list
}

func isWhiteout(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Rdev == 0 &&
		st.Mode&unix.S_IFMT == unix.S_IFCHR
}

func isOpaque(path string) bool {
	value := make([]byte, 8)
	n, err := unix.Lgetxattr(path, "user.overlay.opaque", value)
	return err == nil && string(value[:n]) == "y"
}

// layer is a directory that belongs to uid: names and contents in turn. A name
// that ends in "/" is a directory's.
func layer(t *testing.T, uid int, files ...string) string {
	t.Helper()
	dir := scratch(t, uid)
	fill(t, uid, dir, files...)
	return dir
}

func fill(t *testing.T, uid int, dir string, files ...string) {
	t.Helper()
	for i := 0; i+1 < len(files); i += 2 {
		path := dir + "/" + files[i]
		check(t, os.MkdirAll(filepath.Dir(path+"x"), 0o755))
		if !strings.HasSuffix(path, "/") {
			check(t, os.WriteFile(path, []byte(files[i+1]), 0o644))
		}
	}
	giveTo(t, uid, dir)
}

func inode(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(path, &st))
	return st
}

// on is the options for a container of the base with layers above it.
func (p program) on(layers ...string) []string {
	options := []string{"--rootfs", base(p.uid)}
	for _, dir := range layers {
		options = append(options, "--layer", dir)
	}
	return options
}

// verb is `run` with options. The network is none of these tests' business.
func (p program) verb(options ...string) []string {
	if p.name == "go" {
		options = append([]string{"--network", "none"}, options...)
	}
	return append([]string{"run"}, options...)
}

// sh runs a script in a new container and returns what it prints.
func (p program) sh(t *testing.T, options []string, script string) string {
	t.Helper()
	return p.must(t, join(p.verb(options...), []string{"sh", "-c", script})...)
}

// begun is a container whose script has been run, and which stays.
func (p program) begun(t *testing.T, options []string, script string) *running {
	t.Helper()
	r := p.start(t, join(p.verb(options...)[1:], []string{"sh", "-c", script +
		"\necho ready; exec sleep 1000"})...)
	eventually(t, "the container to be ready", func() bool {
		return strings.HasSuffix(r.stdout(), "ready\n") || r.ended()
	})
	if r.ended() {
		t.Fatalf("status %d, stderr:\n%s", r.wait(t), r.stderr())
	}
	return r
}

func (r *running) end(t *testing.T) {
	t.Helper()
	unix.Kill(r.container, unix.SIGKILL)
	equal(t, "exit status", r.wait(t), 128+9)
}

// inside runs a script in a running container: setns(2).
func (p program) inside(t *testing.T, r *running, script string) string {
	t.Helper()
	return p.must(t, "exec", strconv.Itoa(r.container), "sh", "-c", script)
}

// withTMPDIR runs the program with another TMPDIR. It returns the exit status
// and the lines of stderr that are not the usual ones.
func (p program) withTMPDIR(t *testing.T, dir string, options []string,
	args ...string) (lines []string, status int) {
	t.Helper()
	c := command(p.uid, p.argv(join(p.verb(options...), args)...)...)
	c.Env = append(c.Env, "TMPDIR="+dir)
	var stderr bytes.Buffer
	c.Stderr, c.WaitDelay = &stderr, patience
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for line := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(line, "Parent[") &&
			!strings.HasPrefix(line, "Container[") {
			lines = append(lines, line)
		}
	}
	return lines, c.ProcessState.ExitCode()
}

// complains checks that it failed with 125 and one line with all words.
func complains(t *testing.T, lines []string, status int, words ...string) {
	t.Helper()
	good := status == 125 && len(lines) == 1 && errorLine.MatchString(lines[0])
	for _, word := range words {
		good = good && strings.Contains(lines[0], word)
	}
	if !good {
		t.Errorf("status %d, stderr:\n%q\nwant status 125 and one line with %q",
			status, lines, words)
	}
}

// only checks that nothing is in a directory but the names.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	var found []string
	files, err := os.ReadDir(dir)
	check(t, err)
	for _, f := range files {
		found = append(found, f.Name())
	}
	equal(t, "in "+dir, found, names)
}

// gone waits until all that this test has started is gone.
func gone(t *testing.T) {
	t.Helper()
	eventually(t, "the end of all processes", func() bool {
		return len(tagged(seen.tag)) == 0
	})
}

// The classic: two directories, home above company. Who writes code, which
// came from company, makes a copy of it at home.
func TestClassic(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		company := layer(t, p.uid, "mnt/code", "company's", "mnt/desk", "d")
		place, apple := scratch(t, p.uid), newName()
		before := contents(company)

		home := place + "/home"
		p.sh(t, join(p.on(company), []string{"--commit", home}),
			"echo apple >/mnt/apple")
		equal(t, "home alone", names(t, home), []string{"mnt/", "mnt/apple"})
		both := "cd /mnt; for f in *; do echo $f: $(cat $f); done"
		equal(t, "home above company", p.sh(t, p.on(company, home), both),
			"apple: apple\ncode: company's\ndesk: d")

		again := place + "/again"
		p.sh(t, join(p.on(company, home), []string{"--commit", again}),
			"echo "+apple+" >/mnt/code")
		equal(t, "what was written", names(t, again),
			[]string{"mnt/", "mnt/code"})
		equal(t, "code", read(again+"/mnt/code"), apple+"\n")
		equal(t, "company", contents(company), before)
		equal(t, "all three", p.sh(t, p.on(company, home, again), both),
			"apple: apple\ncode: "+apple+"\ndesk: d")
		equal(t, "company alone", p.sh(t, p.on(company), both),
			"code: company's\ndesk: d")
		only(t, place, "again", "home")
	})
}

// The last step's hole is closed: what one container writes no other sees.
func TestTwoContainersOnOneRootfs(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		before := contents(base(p.uid))
		look := "cat /etc/who; ls /etc/hosts /root"
		one, two := newName(), newName()
		first := p.begun(t, p.on(), "echo "+one+" >/etc/who; rm /etc/hosts")
		second := p.begun(t, p.on(), "! test -e /etc/who; echo "+two+
			" >/etc/who; touch /root/new")
		equal(t, "the first", p.inside(t, first, look+"; true"),
			one+"\n/root:")
		equal(t, "the second", p.inside(t, second, look),
			two+"\n/etc/hosts\n\n/root:\nnew")
		root := fmt.Sprintf("/proc/%d/root", first.container)
		equal(t, "from outside", read(root+"/etc/who"), one+"\n")
		equal(t, "removed, from outside", exists(root+"/etc/hosts"), false)
		equal(t, "the rootfs", contents(base(p.uid)), before)
		first.end(t)
		second.end(t)
		equal(t, "the next container", p.sh(t, p.on(), "ls /etc/who 2>&1 || "+
			"ls /etc/hosts"), "ls: /etc/who: No such file or directory\n"+
			"/etc/hosts")
		equal(t, "the rootfs", contents(base(p.uid)), before)
	})
}

// What the container writes is on disk, in a directory that only its user can
// enter. It goes with the container.
func TestWhereItIsWritten(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		word := newName()
		r := p.begun(t, p.on(), "echo "+word+" >/etc/who; rm /etc/hosts")
		dir := fmt.Sprintf("%s/workshop-%d", seen.tmp, r.pid)
		only(t, seen.tmp, filepath.Base(dir))
		only(t, dir, "merged", "upper", "work")
		st := inode(t, dir)
		equal(t, "mode and owner", []any{st.Mode & 0o7777, int(st.Uid)},
			[]any{uint32(0o700), p.uid})
		equal(t, "upper", names(t, dir+"/upper"),
			[]string{"etc/", "etc/hosts!", "etc/who"})
		equal(t, "the file", read(dir+"/upper/etc/who"), word+"\n")
		// The container's mounts are its own: merged is empty out here.
		only(t, dir+"/merged")
		closed := inode(t, dir+"/work/work")
		equal(t, "work/work", closed.Mode&0o7777, uint32(0))
		mounted := ""
		for _, line := range mountinfo(r.container) {
			if strings.Fields(line)[4] == "/" {
				mounted = line
			}
		}
		equal(t, "the container's /", strings.Contains(mounted,
			" - overlay overlay "), true)
		for _, option := range []string{"userxattr", "nodev"} {
			equal(t, option, strings.Contains(mounted, option), true)
		}
		r.end(t)
		only(t, seen.tmp) // at once: run waits for the janitor
	})
}

// The layers are named by open files. They are no way out for the command.
func TestNoFileLeaksToTheCommand(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		r := p.begun(t, p.on(layer(t, p.uid, "x", "")), "")
		only(t, fmt.Sprintf("/proc/%d/fd", childOf(t, r.container)), "0", "1",
			"2")
	})
}

// exec enters the same merged root, and what it writes goes the same way.
func TestExecSeesTheSameRoot(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place, word := scratch(t, p.uid), newName()
		r := p.begun(t, join(p.on(), []string{"--commit", place + "/l"}),
			"echo "+word+" >/etc/who")
		equal(t, "seen by exec", p.inside(t, r, "cat /etc/who; echo "+word+
			" >/root/too; rm /etc/hosts"), word)
		root := fmt.Sprintf("/proc/%d/root", r.container)
		equal(t, "seen by the first", read(root+"/root/too"), word+"\n")
		r.end(t)
		equal(t, "the layer", names(t, place+"/l"), []string{"etc/",
			"etc/hosts!", "etc/who", "root/", "root/too"})
	})
}

// The first change to a file of a lower layer makes a copy of all of it above:
// copy-up. Reading does not.
func TestCopyUp(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		lower := layer(t, p.uid, "d/append", "first\n", "d/chmod", "same",
			"d/read", "r", "d/touch", "t", "d/attr", "a")
		check(t, os.Chmod(lower+"/d/append", 0o751))
		check(t, os.Symlink("read", lower+"/d/link"))
		check(t, os.Chmod(lower+"/d", 0o710))
		big := strings.Repeat(newName(), 400000)
		check(t, os.WriteFile(lower+"/d/big", []byte(big), 0o600))
		check(t, unix.Setxattr(lower+"/d/attr", "user.workshop",
			[]byte("kept"), 0))
		giveTo(t, p.uid, lower)
		old := time.Unix(1e9, 0)
		for _, name := range []string{"append", "chmod"} {
			check(t, os.Chtimes(lower+"/d/"+name, old, old))
		}
		before, up := contents(lower), scratch(t, p.uid)+"/up"
		got := p.sh(t, join(p.on(lower), []string{"--commit", up}), `cd /d
			stat -c '%a %u:%g %h %Y' append; cat read link >/dev/null; ls -l
			echo second >>append; chmod 4700 chmod; touch touch; rm link
			ln -s other link; chmod 600 attr; echo x >>big
			stat -c '%a %u:%g %h' append; cat append`)
		lines := strings.Split(got, "\n")
		equal(t, "before the copy", lines[0], "751 0:0 1 1000000000")
		equal(t, "after it", lines[len(lines)-3:],
			[]string{"751 0:0 1", "first", "second"})
		equal(t, "lower", contents(lower), before)

		equal(t, "upper", names(t, up), []string{"d/", "d/append", "d/attr",
			"d/big", "d/chmod", "d/link", "d/touch"})
		equal(t, "content", read(up+"/d/append"), "first\nsecond\n")
		equal(t, "content of a chmod", read(up+"/d/chmod"), "same")
		equal(t, "big content", read(up+"/d/big") == big+"x\n", true)
		for name, mode := range map[string]uint32{"": 0o40710,
			"append": 0o100751, "chmod": 0o104700, "attr": 0o100600} {
			low, st := inode(t, lower+"/d/"+name), inode(t, up+"/d/"+name)
			equal(t, name+": mode and owner", []int{int(st.Mode),
				int(st.Uid), int(st.Gid)}, []int{int(mode), p.uid, p.uid})
			equal(t, name+": an inode of its own", st.Ino == low.Ino, false)
		}
		equal(t, "mtime of a chmod", inode(t, up+"/d/chmod").Mtim.Sec,
			int64(1e9))
		value := make([]byte, 16)
		n, _ := unix.Getxattr(up+"/d/attr", "user.workshop", value)
		equal(t, "attribute", string(value[:max(n, 0)]), "kept")
	})
}

// A name that is gone is a character device 0:0 above: a whiteout. The next
// run sees nothing there, and may make the name anew.
func TestWhiteouts(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		lower := layer(t, p.uid, "d/file", "f", "d/sub/deep", "x", "d/kept",
			"k")
		before, place := contents(lower), scratch(t, p.uid)
		removed := place + "/removed"
		equal(t, "at once", p.sh(t, join(p.on(lower), []string{"--commit",
			removed}), "cd /d; ls; rm file; rm -r sub; ls"),
			"file\nkept\nsub\nkept")
		equal(t, "the layer", names(t, removed),
			[]string{"d/", "d/file!", "d/sub!"})
		equal(t, "lower", contents(lower), before)
		equal(t, "in the next run", p.sh(t, p.on(lower, removed), "ls /d; "+
			"cat /d/file /d/sub/deep 2>&1 | grep -c 'No such'"), "kept\n2")
		equal(t, "without that layer", p.sh(t, p.on(lower), "ls /d"),
			"file\nkept\nsub")
		equal(t, "above that layer only", p.sh(t, p.on(removed, lower),
			"ls /d"), "file\nkept\nsub")

		anew := place + "/anew"
		equal(t, "made anew", p.sh(t, join(p.on(lower, removed), []string{
			"--commit", anew}), "echo new >/d/file; cat /d/file"), "new")
		equal(t, "the layer", names(t, anew), []string{"d/", "d/file"})
		equal(t, "all", p.sh(t, p.on(lower, removed, anew),
			"ls /d; cat /d/file"), "file\nkept\nnew")
		// What never was below leaves no mark.
		p.sh(t, join(p.on(lower), []string{"--commit", place + "/none"}),
			"touch /d/new; rm /d/new")
		equal(t, "made and removed", names(t, place+"/none"), []string{"d/"})
	})
}

// A directory that was removed and made anew does not show what is below:
// overlayfs marks it as opaque. userxattr decides where.
func TestOpaqueDirectories(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		lower := layer(t, p.uid, "d/old", "x", "d/sub/older", "x", "e/old", "x")
		before, place := contents(lower), scratch(t, p.uid)
		equal(t, "at once", p.sh(t, join(p.on(lower), []string{"--commit",
			place + "/l"}), "rm -r /d; mkdir /d; ls /d; touch /d/new /e/new; "+
			"ls /d /e"), "/d:\nnew\n\n/e:\nnew\nold")
		equal(t, "the layer", names(t, place+"/l"),
			[]string{"d/!", "d/new", "e/", "e/new"})
		equal(t, "in the next run", p.sh(t, p.on(lower, place+"/l"),
			"ls /d /e"), "/d:\nnew\n\n/e:\nnew\nold")
		equal(t, "without that layer", p.sh(t, p.on(lower), "ls /d"),
			"old\nsub")
		equal(t, "lower", contents(lower), before)
		// It is the attribute that does it: without it the old is back.
		check(t, unix.Removexattr(place+"/l/d", "user.overlay.opaque"))
		equal(t, "without the mark", p.sh(t, p.on(lower, place+"/l"),
			"ls /d"), "new\nold\nsub")
	})
}

// rename(2) of a directory that is below fails as between two disks; mv(1)
// copies then.
func TestRenameOfDirectories(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		lower := layer(t, p.uid, "d/file", "f", "d/sub/deep", "x")
		place := scratch(t, p.uid)
		self, err := os.Open(work + "/test")
		check(t, err)
		defer self.Close()
		p.stdin = self // leads to the test binary from any root
		rename := "/proc/self/fd/0 helper:rename "
		equal(t, "rename", p.sh(t, join(p.on(lower), []string{"--commit",
			place + "/l"}), rename+"/d /moved; mkdir /own; "+rename+
			"/own /own2; "+rename+"/d/file /d/file2"), "EXDEV\nOK\nOK")
		equal(t, "the layer", names(t, place+"/l"), []string{"d/", "d/file!",
			"d/file2", "own2/!"})

		before := contents(lower)
		equal(t, "mv", p.sh(t, join(p.on(lower), []string{"--commit",
			place + "/m"}), "mv /d /moved; cat /moved/file /moved/sub/deep; "+
			"test -e /d || echo; echo moved"), "fx\nmoved")
		equal(t, "the layer", names(t, place+"/m"), []string{"d!", "moved/",
			"moved/file", "moved/sub/", "moved/sub/deep"})
		equal(t, "in the next run", p.sh(t, p.on(lower, place+"/m"),
			"test -e /d || cat /moved/file"), "f")
		equal(t, "lower", contents(lower), before)
	})
}

// A new hard link to a file below copies the file up, once. Two that were
// below already are two files from the first change on.
func TestHardLinks(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		lower := layer(t, p.uid, "one", "text", "pair/a", "pair")
		check(t, os.Link(lower+"/pair/a", lower+"/pair/b"))
		before, up := contents(lower), scratch(t, p.uid)+"/up"
		equal(t, "inside", p.sh(t, join(p.on(lower), []string{"--commit", up}),
			`ln /one /two; stat -c %h /one; echo more >>/two; cat /one
			stat -c %h /pair/a; echo x >>/pair/a; cat /pair/b`),
			"2\ntextmore\n2\npair")
		equal(t, "lower", contents(lower), before)
		equal(t, "the layer", names(t, up), []string{"one", "pair/", "pair/a",
			"two"})
		one, two := inode(t, up+"/one"), inode(t, up+"/two")
		equal(t, "one inode", []uint64{one.Ino, uint64(one.Nlink)},
			[]uint64{two.Ino, 2})
		equal(t, "lower's link count", inode(t, lower+"/one").Nlink,
			inode(t, lower+"/one").Nlink&1)
		equal(t, "in the next run", p.sh(t, p.on(lower, up),
			"echo z >>/one; cat /two"), "textmore")
	})
}

// Images have many layers. mount(2) takes one page of options: short names
// for the layers make it 200.
func TestManyLayers(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		var layers []string
		for i := range 150 {
			dir := fmt.Sprintf("%s/a-layer-with-a-long-name-%d", place, i)
			layers = append(layers, dir)
			check(t, os.MkdirAll(fmt.Sprintf("%s/many", dir), 0o755))
			for _, name := range []string{"top", strconv.Itoa(i)} {
				check(t, os.WriteFile(dir+"/many/"+name,
					fmt.Append(nil, i, "\n"), 0o644))
			}
		}
		giveTo(t, p.uid, place)
		equal(t, "inside", p.sh(t, p.on(layers...), "cd /many; ls | wc -l; "+
			"cat top 0 77 149"), "151\n149\n0\n77\n149")
		p.refuses(t, 125, []string{"mount overlay", "E2BIG", "page"},
			append(p.verb(p.on(append(layers, layers...)...)...), "true")...)
	})
}

// Colons part the layers and commas part the options, but not in names.
func TestNamesOfLayers(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		odd := []string{"a:b", "a,b", "a b", `a\b`, `a\,b`, "a=b,upperdir=x",
			"-a", "a\nb", "\u00e4"}
		var layers []string
		want := "ls: /d: No such file or directory"
		for i, name := range odd {
			dir := place + "/" + name
			file := fmt.Sprint("d/", i)
			check(t, os.Mkdir(dir, 0o755))
			fill(t, p.uid, dir, file, "x")
			layers = append(layers, dir)
		}
		equal(t, "without them", p.sh(t, p.on(), "ls /d 2>&1; true"), want)
		out := place + "/to:c,d e"
		equal(t, "inside", p.sh(t, join(p.on(layers...), []string{"--commit",
			out}), "ls /d; echo x >/d/new"), "0\n1\n2\n3\n4\n5\n6\n7\n8")
		equal(t, "the layer", names(t, out), []string{"d/", "d/new"})
	})
}

// The last layer is the top. A rootfs is below all, wherever it stands.
func TestOrderOfLayers(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		var layers []string
		for _, n := range []string{"1", "2", "3"} {
			layers = append(layers, layer(t, p.uid, "who", n, "only"+n, n,
				"etc/hosts", n))
		}
		show := "cat /who /only* /etc/hosts"
		equal(t, "in order", p.sh(t, p.on(layers...), show), "31233")
		slices.Reverse(layers)
		equal(t, "reversed", p.sh(t, p.on(layers...), show), "11231")
		last := append(p.on(layers...)[2:], p.on()...)
		equal(t, "rootfs as the last option", p.sh(t, last, show), "11231")
		// And a rootfs is nothing special: a layer will do.
		equal(t, "no rootfs", p.sh(t, []string{"--layer", base(p.uid),
			"--layer", layers[0]}, show), "333")
	})
}

// Each kept layer goes on top of those it was made on.
func TestCommitThenStack(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		a, b := place+"/a", place+"/b"
		p.sh(t, join(p.on(), []string{"--commit", a}),
			"echo a >/made; echo a >/a; rm /etc/hosts; chmod 750 /root")
		was := contents(a)
		p.sh(t, join(p.on(a), []string{"--commit", b}),
			"cat /made; echo b >/made; rm /a; echo b >/etc/hosts")
		equal(t, "the first layer is as it was", contents(a), was)
		equal(t, "the second", names(t, b), []string{"a!", "etc/",
			"etc/hosts", "made"})
		show := "cat /made /etc/hosts; ls /a 2>/dev/null; stat -c %a /root"
		equal(t, "both", p.sh(t, p.on(a, b), show+"; true"), "b\nb\n750")
		equal(t, "the first", p.sh(t, p.on(a), "cat /made /a; test -e "+
			"/etc/hosts || echo no hosts"), "a\na\nno hosts")
		only(t, place, "a", "b")
		// A relative name is the caller's.
		nothing := p.on()
		c := command(p.uid, p.argv(append(p.verb(join(nothing, []string{
			"--layer", "a", "--commit", "c"})...), "touch", "/c")...)...)
		c.Dir = place
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("relative names: %v\n%s", err, out)
		}
		only(t, place, "a", "b", "c")
	})
}

// A command that fails has still written; set-up that fails leaves nothing.
func TestCommitOfFailures(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		kept := join(p.on(), []string{"--commit", place + "/kept"})
		_, _, status := p.run(t, join(p.verb(kept...), []string{"sh", "-c",
			"touch /x; exit 3"})...)
		equal(t, "the command's status", status, 3)
		equal(t, "the layer", names(t, place+"/kept"), []string{"x"})
		lost := join(p.on(), []string{"--commit", place + "/lost"})
		p.refuses(t, 125, []string{"sethostname", "EINVAL"}, append(p.verb(
			append(lost, "--hostname", strings.Repeat("n", 65))...),
			"true")...)
		p.refuses(t, 125, []string{"open_tree", "/no/such", "ENOENT"},
			append(p.verb(append(lost, "--volume", "/no/such:/x")...),
				"true")...)
		p.refuses(t, 125, []string{"open", "/no/such", "ENOENT"}, append(
			p.verb(append(lost, "--layer", "/no/such")...), "true")...)
		p.refuses(t, 125, nil, append(p.verb(append(lost, "--uid-map",
			"0:x:1")...), "true")...)
		only(t, place, "kept")
	})
}

// --commit never touches what is there.
func TestCommitToWhatExists(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := layer(t, p.uid, "full/file", "x", "file", "x", "empty/", "")
		check(t, os.Symlink("nowhere", place+"/dangling"))
		before := contents(place)
		for _, name := range []string{"full", "file", "empty", "dangling"} {
			p.refuses(t, 125, []string{"commit", place + "/" + name, "EEXIST"},
				append(p.verb(join(p.on(), []string{"--commit", place + "/" +
					name})...), "touch", "/x")...)
		}
		equal(t, "all as before", contents(place), before)
		p.refuses(t, 125, []string{"mkdir", "ENOENT"}, append(p.verb(join(
			p.on(), []string{"--commit", place + "/no/such"})...), "true")...)
		// Somebody else may make the name while we run.
		r := p.begun(t, join(p.on(), []string{"--commit", place + "/late"}),
			"touch /x")
		check(t, os.Mkdir(place+"/late", 0o755))
		check(t, os.WriteFile(place+"/late/his", nil, 0o644))
		unix.Kill(r.container, unix.SIGKILL)
		equal(t, "status", r.wait(t), 125)
		equal(t, "the reason", strings.Contains(r.stderr(), "late"), true)
		only(t, place+"/late", "his")
	})
}

// Without anything below there is nothing to make a layer of.
func TestCommitWithoutLayers(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		p.refuses(t, 125, []string{"mount overlay", "EINVAL"},
			append(p.verb("--commit", place+"/x"), "true")...)
		only(t, place)
	})
}

// Each of these is one line, and leaves nothing.
func TestBadLayers(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := layer(t, p.uid, "file", "x", "dir/", "")
		for _, option := range []string{"--layer", "--rootfs"} {
			for path, errno := range map[string]string{
				"/no/such": "ENOENT", place + "/file": "ENOTDIR",
				place + "/file/x": "ENOTDIR"} {
				options := join(p.on(), []string{option, path})
				p.refuses(t, 125, []string{"open", path, errno},
					append(p.verb(options...), "true")...)
			}
		}
		p.refuses(t, 125, []string{"mount overlay", "ELOOP"}, append(p.verb(
			p.on(place+"/dir", place+"/dir")...), "true")...)
		// Who fails here must not go on with the rootfs itself.
		p.refuses(t, 125, []string{"open", "/no/such", "ENOENT"}, append(
			p.verb(join(p.on("/no/such"), []string{"--volume",
				place + "/dir:/new"})...), "true")...)
		if p.uid != os.Getuid() {
			hidden := layer(t, os.Getuid(), "secret/file", "x")
			check(t, os.Chmod(hidden, 0o700))
			for _, dir := range []string{hidden, hidden + "/secret"} {
				p.refuses(t, 125, []string{"open", dir, "EACCES"}, append(
					p.verb(p.on(dir)...), "true")...)
			}
		}
	})
}

// A layer of another user's shows what its permissions allow, and no more:
// root inside has no power over it.
func TestLayerOfAnotherUser(t *testing.T) {
	asRoot(t, func(t *testing.T, p program) {
		p = p.as(nobody)
		other := layer(t, 0, "d/open", "open", "d/shut", "secret")
		check(t, os.Chmod(other+"/d/shut", 0o600))
		before := contents(other)
		equal(t, "inside", p.sh(t, p.on(other), "cat /d/open /d/shut "+
			"2>/dev/null; echo x 2>/dev/null >/d/open || rm /d/open "+
			"2>/dev/null || stat -c %U /d"), "opennobody")
		equal(t, "the layer", contents(other), before)
	})
}

// upper has to be on a file system that can hold whiteouts and attributes.
// Another overlay, as in a container of Docker's, is none.
func TestUpperOnOverlay(t *testing.T) {
	asRoot(t, func(t *testing.T, p program) {
		place := layer(t, 0, "lower/x", "x", "upper/", "", "work/", "", "on/",
			"")
		check(t, unix.Mount("overlay", place+"/on", "overlay", 0, fmt.Sprintf(
			"lowerdir=%s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work",
			place)))
		t.Cleanup(func() { unix.Unmount(place+"/on", unix.MNT_DETACH) })
		check(t, os.Chmod(place+"/on", 0o777))
		for _, p := range []program{p, p.as(nobody)} {
			lines, status := p.withTMPDIR(t, place+"/on", p.on(), "true")
			complains(t, lines, status, "mount overlay", "EINVAL", "TMPDIR")
		}
		only(t, place+"/on", "x")
		p.refuses(t, 125, []string{"mount overlay", "EINVAL"}, append(p.verb(
			join(p.on(), []string{"--commit", place + "/on/l"})...),
			"true")...)
		only(t, place+"/on", "x")
		// As a layer an overlay is as good as any directory.
		equal(t, "below", p.sh(t, p.on(place+"/on"), "cat /x"), "x")
	})
}

func TestBadTMPDIR(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		for dir, errno := range map[string]string{"/no/such": "ENOENT",
			work + "/test": "ENOTDIR"} {
			lines, status := p.withTMPDIR(t, dir, p.on(), "true")
			complains(t, lines, status, "mkdir", dir, errno)
		}
		if p.uid != os.Getuid() {
			dir := scratch(t, os.Getuid())
			lines, status := p.withTMPDIR(t, dir, p.on(), "true")
			complains(t, lines, status, "mkdir", dir, "EACCES")
		}
		// One that does not exist does not matter to who writes nothing.
		lines, status := p.withTMPDIR(t, "/no/such", nil, "true")
		equal(t, "the host's root", []any{lines, status},
			[]any{[]string(nil), 0})
	})
}

// small is a file system that is soon full.
func small(t *testing.T, options string) string {
	t.Helper()
	dir := scratch(t, 0)
	check(t, unix.Mount("small", dir, "tmpfs", 0, "mode=1777,"+options))
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestFullDisk(t *testing.T) {
	asRoot(t, func(t *testing.T, p program) {
		for _, p := range []program{p, p.as(nobody)} {
			for inodes := 1; inodes < 5; inodes++ {
				full := small(t, fmt.Sprint("nr_inodes=", inodes))
				lines, status := p.withTMPDIR(t, full, p.on(), "true")
				complains(t, lines, status, "mkdir", full, "ENOSPC")
				only(t, full)
			}
			full := small(t, "size=1m")
			lines, status := p.withTMPDIR(t, full, p.on(), "dd",
				"if=/dev/zero", "of=/root/big", "bs=64k", "count=64")
			text := strings.Join(lines, "")
			if status != 1 || !strings.Contains(text, "No space left") {
				t.Errorf("status %d, want 1 and ENOSPC:\n%s", status, text)
			}
			only(t, full)
			place := full + "/l"
			_, _, status = p.run(t, join(p.verb(join(p.on(), []string{
				"--commit", place})...), []string{"sh", "-c",
				"echo x >/root/x; cat /dev/zero >/root/big"})...)
			equal(t, "status", status, 1)
			equal(t, "what there was room for", names(t, place),
				[]string{"root/", "root/big", "root/x"})
			only(t, full, "l")
		}
	})
}

// ^C ends the command. What it has written is kept.
func TestInterrupted(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		trap := "trap 'echo bye >/bye; exit 7' INT; touch /x; echo ready; " +
			"while :; do sleep 0.05; done"
		for _, more := range [][]string{nil, {"--commit", place + "/kept"}} {
			r := p.start(t, join(p.verb(join(p.on(), more)...)[1:],
				[]string{"sh", "-c", trap})...)
			eventually(t, "the command", func() bool {
				return r.stdout() != ""
			})
			r.signal(unix.SIGINT)
			equal(t, "status", r.wait(t), 7)
			gone(t)
			only(t, seen.tmp)
		}
		only(t, place, "kept")
		equal(t, "the layer", names(t, place+"/kept"), []string{"bye", "x"})
	})
}

// Nobody keeps what was written when run is killed, and nothing stays: the
// janitor is not killed with it.
func TestKilled(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		for _, more := range [][]string{nil, {"--commit", place + "/lost"}} {
			// overlayfs closes work/work; root inside may close anything.
			r := p.begun(t, join(p.on(), more), `rm /etc/hosts; mkdir -p /a/b/c
				touch /a/b/c/f /a/f; chmod 0 /a/b; chmod 555 /a; chmod 0 /a`)
			dir := fmt.Sprintf("%s/workshop-%d", seen.tmp, r.pid)
			if more != nil {
				dir = fmt.Sprintf("%s/lost-%d", place, r.pid)
			}
			equal(t, "there is something to sweep", exists(dir+"/upper/a"),
				true)
			r.signal(unix.SIGKILL)
			equal(t, "status", r.wait(t), 128+9)
			gone(t)
			only(t, seen.tmp)
			only(t, place)
		}
	})
}

// It may still write when the sweeping begins.
func TestKilledWhileWriting(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		for range 4 {
			r := p.begun(t, p.on(), `for k in 1 2 3 4; do
				(i=0; while :; do i=$((i+1)); mkdir -p /root/$k/$i
				: >/root/$k/$i/f; done) &
				done; while ! test -e /root/4/40; do sleep 0.02; done`)
			r.signal(unix.SIGKILL)
			r.wait(t)
			gone(t)
			only(t, seen.tmp)
			equal(t, "a complaint", strings.Contains(r.stderr(), "remove"),
				false)
		}
	})
}

// The same, while the container is being set up.
func TestKilledAtAnyMoment(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		for delay := range 8 {
			r := p.begin(t, append(p.verb(p.on()...), "sleep", "1000")...)
			time.Sleep(time.Duration(delay*8) * time.Millisecond)
			r.signal(unix.SIGKILL)
			r.wait(t)
			gone(t)
			only(t, seen.tmp)
		}
	})
}

// The janitor is nobody's: a signal for the whole group, such as a terminal
// sends, does not reach it.
func TestJanitorOutlivesItsGroup(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		c := command(p.uid, p.argv(join(p.verb(p.on()...), []string{"sleep",
			"1000"})...)...)
		c.SysProcAttr.Setpgid = true
		check(t, c.Start())
		dir := fmt.Sprintf("%s/workshop-%d", seen.tmp, c.Process.Pid)
		eventually(t, "an overlay", func() bool {
			return exists(dir + "/work/work")
		})
		check(t, unix.Kill(-c.Process.Pid, unix.SIGKILL))
		c.Wait()
		gone(t)
		only(t, seen.tmp)
	})
}

// 8 containers write the same names on the same layers, at the same time.
func TestManyAtOnce(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place, shared := scratch(t, p.uid), layer(t, p.uid, "d/count", "0\n")
		before := contents(shared)
		var all []*running
		for i := range 8 {
			all = append(all, p.begin(t, join(p.verb(join(p.on(shared),
				[]string{"--commit", fmt.Sprintf("%s/%d", place, i)})...),
				[]string{"sh", "-c", fmt.Sprintf("for n in 1 2 3 4 5; do "+
					"echo %d >>/d/count; done; rm /etc/hosts; cat /d/count",
					i)})...))
		}
		for i, r := range all {
			equal(t, "status", r.wait(t), 0)
			want := "0\n" + strings.Repeat(fmt.Sprintln(i), 5)
			equal(t, "seen by it", r.stdout(), want)
			equal(t, "its layer", read(fmt.Sprintf("%s/%d/d/count", place,
				i)), want)
		}
		equal(t, "the shared layer", contents(shared), before)
		only(t, place, "0", "1", "2", "3", "4", "5", "6", "7")
	})
}

// The size of a layer costs nothing until something in it changes.
func TestManyFiles(t *testing.T) {
	makeBases(t)
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "userns", "overlay", "rootfs")
		p = p.as(nobody)
		place, lower := scratch(t, p.uid), scratch(t, p.uid)
		if os.Getuid() == 0 { // 10,000 files take long on a disk
			lower = small(t, "")
		}
		check(t, os.Mkdir(lower+"/d", 0o755))
		for i := range 10000 {
			check(t, os.WriteFile(fmt.Sprintf("%s/d/%d", lower, i), nil,
				0o644))
		}
		giveTo(t, p.uid, lower)
		up, gone := place+"/up", place+"/gone"
		equal(t, "inside", p.sh(t, join(p.on(lower), []string{"--commit",
			up}), "ls /d | wc -l; echo x >/d/77; ls /d | wc -l"),
			"10000\n10000")
		equal(t, "the layer", names(t, up), []string{"d/", "d/77"})
		// One whiteout takes all of them away.
		p.sh(t, join(p.on(lower, up), []string{"--commit", gone}), "rm -r /d")
		equal(t, "the layer", names(t, gone), []string{"d!"})
	})
}

// A volume is the host's directory still: no layer is between.
func TestVolumesAreNotLayers(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place, word := scratch(t, p.uid), newName()
		data := layer(t, p.uid, "given", "given")
		options := join(p.on(), []string{"--commit", place + "/l",
			"--volume", data + ":/data", "--volume", data + ":/ro:ro"})
		equal(t, "inside", p.sh(t, options, "cat /data/given; echo "+word+
			" >/data/new; cat /ro/new; rm /data/given; touch /root/x; "+
			"touch /ro/x 2>/dev/null || echo read-only"),
			"given"+word+"\nread-only")
		equal(t, "the host's directory", names(t, data), []string{"new"})
		equal(t, "on the host", read(data+"/new"), word+"\n")
		// All that a layer has of them is the mount points.
		equal(t, "the layer", names(t, place+"/l"), []string{"data/", "ro/",
			"root/", "root/x"})
	})
}

// /proc, /dev, /tmp are the container's as before, and in no layer.
func TestSystemIsNotInLayers(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		equal(t, "inside", p.sh(t, join(p.on(), []string{"--commit",
			place + "/l"}), "touch /tmp/x /dev/shm/x; echo x >/dev/null; "+
			"cd /dev; ls stdin null shm/x /tmp"),
			"null\nshm/x\nstdin\n\n/tmp:\nx")
		equal(t, "the layer", names(t, place+"/l"), []string(nil))
	})
}

// chroot(2) makes a merged directory the root as well as pivot_root(2) does.
func TestChroot(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		equal(t, "inside", p.sh(t, join(p.on(), []string{"--chroot",
			"--commit", place + "/l"}), "touch /x; ls /x"), "/x")
		equal(t, "the layer", names(t, place+"/l"), []string{"x"})
	})
}

// The container's / is open to everyone in it, whatever the caller's umask.
func TestUmask(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		old := unix.Umask(0o077)
		defer unix.Umask(old)
		equal(t, "mode of /", p.sh(t, p.on(), "stat -c '%a %u:%g' /; umask"),
			"755 0:0\n0077")
	})
}

// With a range of ids, root inside is somebody without any power outside; what
// it writes is that one's.
func TestRangeOfIDs(t *testing.T) {
	asRoot(t, func(t *testing.T, p program) {
		place, root := scratch(t, 0), copyRootfs(t, 100000)
		options := []string{"--rootfs", root, "--uid-map", "0:100000:1000",
			"--gid-map", "0:200000:1000", "--commit", place + "/l"}
		check(t, output("chown", "-hR", "100000:200000", root))
		before := contents(root)
		equal(t, "inside", p.sh(t, options, "touch /x; chown 5:6 /x; chown 7 "+
			"/etc/hosts; rm /etc/group; stat -c %u:%g / /x /etc/hosts"),
			"0:0\n5:6\n7:0")
		for name, want := range map[string][]int{"": {100000, 200000},
			"/x": {100005, 200006}, "/etc/hosts": {100007, 200000}} {
			st := inode(t, place+"/l"+name)
			equal(t, name, []int{int(st.Uid), int(st.Gid)}, want)
		}
		equal(t, "a whiteout", isWhiteout(place+"/l/etc/group"), true)
		equal(t, "the rootfs", contents(root), before)
		only(t, place, "l")
		p.as(nobody).refuses(t, 125, []string{"mkdir", "EPERM"},
			append(p.verb(options[:6]...), "true")...)
	})
}

// Without a layer the host's root is kept, and nothing is made for it.
func TestHostsRootIsKept(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		r := p.begun(t, nil, "")
		const file = "/etc/passwd"
		here := inode(t, file)
		there := inode(t, fmt.Sprintf("/proc/%d/root%s", r.container, file))
		equal(t, "one inode", []uint64{there.Ino, uint64(there.Dev)},
			[]uint64{here.Ino, uint64(here.Dev)})
		only(t, seen.tmp)
		for _, line := range mountinfo(r.container) {
			if strings.Fields(line)[4] == "/" &&
				strings.Contains(line, "/merged") {
				t.Errorf("an overlay of ours is mounted: %s", line)
			}
		}
		r.end(t)
	})
}

// No layer is out of reach of its owner: whoever changes a file in it changes
// every container to come, and no one notices. Images have digests.
func TestHoleLayersAreNotVerified(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		place := scratch(t, p.uid)
		p.sh(t, join(p.on(), []string{"--commit", place + "/l"}),
			"echo good >/program")
		check(t, os.WriteFile(place+"/l/program", []byte("evil"), 0o644))
		equal(t, "the next run", p.sh(t, p.on(place+"/l"), "cat /program"),
			"evil")
	})
}

// What the steps before have taught holds: the namespaces, and the names.
func TestNamespacesThatDiffer(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		want := []string{"cgroup", "ipc", "mnt", "net", "pid",
			"pid_for_children", "user", "uts"}
		if p.name == "c" {
			want = []string{"ipc", "mnt", "pid", "pid_for_children", "user",
				"uts"}
		}
		host := newName()
		r := p.begun(t, join(p.on(), []string{"--hostname", host}), "uname -n")
		equal(t, "inside", differ(t, us, r.container), want)
		equal(t, "the parent", len(differ(t, us, r.pid)), 0)
		equal(t, "name inside", r.stdout(), host+"\nready\n")
		id := strconv.Itoa(p.uid)
		equal(t, "uid_map", strings.Fields(read(fmt.Sprintf(
			"/proc/%d/uid_map", r.container))), []string{"0", id, "1"})
		r.end(t)
		equal(t, "container after", ns(r.container, "mnt"), "")
	})
}

// The command's own status, 128+n, 126 and 127: what Docker does.
func TestExitStatus(t *testing.T) {
	// A directory in PATH that one may not search would be EACCES.
	t.Setenv("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	everyone(t, func(t *testing.T, p program) {
		r := p.begun(t, p.on(), "")
		for _, verb := range [][]string{p.verb(p.on()...),
			{"exec", strconv.Itoa(r.container)}, {"unshare", "-UT"}} {
			for script, want := range map[string]int{"exit 42": 42,
				"kill -TERM $$": 128 + 15} {
				_, stderr, got := p.run(t, join(verb, []string{"sh", "-c",
					script})...)
				if got != want {
					t.Errorf("%q %s: status %d, want %d; stderr:\n%s", verb,
						script, got, want, stderr)
				}
			}
			p.refuses(t, 127, []string{"/no/such", "ENOENT"},
				append(verb, "/no/such")...)
			p.refuses(t, 126, []string{"/etc/passwd", "EACCES"},
				append(verb, "/etc/passwd")...)
			p.refuses(t, 125, []string{"COMMAND"}, verb...)
		}
	})
}

func TestBadInput(t *testing.T) {
	everyone(t, func(t *testing.T, p program) {
		for _, option := range []string{"--nonesuch", "--layer", "--commit"} {
			p.refuses(t, 125, nil, "run", option)
		}
		p.refuses(t, 125, nil, "unshare", "-x", "true")
		p.refuses(t, 125, []string{"/no/such", "ENOENT"}, "exec", "/no/such",
			"true")
		c := command(p.uid, "sleep", "1000")
		check(t, c.Start())
		defer c.Wait()
		defer c.Process.Kill()
		p.refuses(t, 125, []string{"in no container"}, "exec",
			strconv.Itoa(c.Process.Pid), "true")
		if p.name == "go" { // in C each verb is a program
			p.refuses(t, 125, []string{"nonesuch"}, "nonesuch")
		}
	})
}

// printTime shows the clock that no one sets, and the time namespaces.
func printTime([]string) {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	self, _ := os.Readlink("/proc/self/ns/time")
	children, _ := os.Readlink("/proc/self/ns/time_for_children")
	fmt.Println(now.Sec, self, children)
}

// The eighth namespace. unshare(2) moves nobody into it but the children.
func TestUnshareTime(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "userns")
		before := ns(us, "time")
		for _, p := range []program{p, p.as(nobody)} {
			script := "readlink /proc/self/ns/time; cat /proc/self/" +
				"timens_offsets; exec sleep 1000"
			r := p.begin(t, "unshare", "-U", "-T", "--kill-child", "KILL",
				"sh", "-c", script)
			eventually(t, "three lines", func() bool {
				return strings.Count(r.stdout(), "\n") == 3 || r.ended()
			})
			lines := strings.Split(r.stdout(), "\n")
			if len(lines) < 3 {
				t.Fatalf("stdout %q, stderr %q", r.stdout(), r.stderr())
			}
			equal(t, "of the command, another", lines[0] == before, false)
			equal(t, "of unshare", ns(r.pid, "time"), before)
			equal(t, "offsets", [][]string{strings.Fields(lines[1]),
				strings.Fields(lines[2])}, [][]string{{"monotonic", "0", "0"},
				{"boottime", "0", "0"}})
			inside := childOf(t, r.pid)
			equal(t, "seen from outside", ns(inside, "time"), lines[0])
			joinsTime(t, p, inside, lines[0])
			r.signal(unix.SIGKILL)
			r.wait(t)
			gone(t)
		}
		equal(t, "ours", ns(us, "time"), before)
	})
}

// joinsTime checks that exec enters a time namespace, too.
func joinsTime(t *testing.T, p program, pid int, want string) {
	t.Helper()
	out := p.must(t, join([]string{"exec", strconv.Itoa(pid)},
		helper("time"))...)
	equal(t, "by exec", strings.Fields(out)[1:], []string{want, want})
}

// childOf is the process that runs sleep, below unshare.
func childOf(t *testing.T, pid int) (found int) {
	t.Helper()
	eventually(t, "the command", func() bool {
		for list := []int{pid}; len(list) > 0; list = list[1:] {
			if read(fmt.Sprintf("/proc/%d/comm", list[0])) == "sleep\n" {
				found = list[0]
			}
			list = append(list, children(list[0])...)
		}
		return found != 0
	})
	return found
}

// What the namespace is for: clocks with an offset. It has to be written before
// anybody is inside, so a helper does it, and we join: by the process, and by
// the file.
func TestTimeOffsets(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "root")
		offset := 1000000 + int(inode(t, seen.tmp).Ino%1000000)
		c := command(0, helper("newtime", strconv.Itoa(offset))...)
		check(t, c.Start())
		t.Cleanup(func() { c.Process.Kill(); c.Wait() })
		inside := childOf(t, c.Process.Pid)
		here := uptime(p.must(t, join([]string{"unshare", "-u"},
			helper("time"))...))
		for _, name := range []string{strconv.Itoa(inside),
			fmt.Sprintf("/proc/%d/ns/time", inside)} {
			there := uptime(p.must(t, join([]string{"exec", name},
				helper("time"))...))
			if n := there - here - offset; n < 0 || n > 60 {
				t.Errorf("exec %s: uptime %d; outside %d, offset %d", name,
					there, here, offset)
			}
		}
		late := os.WriteFile(fmt.Sprintf("/proc/%d/timens_offsets", inside),
			[]byte("boottime 0 0"), 0)
		equal(t, "too late", errnoName(late), "EACCES")
		unix.Kill(inside, unix.SIGKILL)
	})
}

func uptime(text string) int {
	n, _ := strconv.Atoi(strings.Fields(text)[0])
	return n
}

// newTime makes a time namespace with an offset, and a child in it.
func newTime(args []string) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWTIME)
	if err == nil {
		err = os.WriteFile(fmt.Sprintf("/proc/%d/timens_offsets",
			unix.Gettid()), []byte("boottime "+args[0]+" 0"), 0)
	}
	path, _ := exec.LookPath("sleep")
	name, _ := unix.BytePtrFromString(path)
	argv, _ := syscall.SlicePtrFromStrings([]string{"sleep", "1000"})
	var pid uintptr
	if err == nil { // os/exec has children by vfork(2); see unshare in the step
		pid, _, _ = unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
		if pid == 0 {
			unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(name)),
				uintptr(unsafe.Pointer(&argv[0])), 0)
			unix.RawSyscall(unix.SYS_EXIT, 1, 0, 0)
		}
	}
	_, bad := unix.Wait4(int(pid), nil, 0, nil)
	fmt.Println(err, bad)
}

func TestUnshareTimeWithoutRoot(t *testing.T) {
	each(t, "unshare", func(t *testing.T, p program) {
		needs(t, "userns")
		p.as(nobody).refuses(t, 125, []string{"unshare", "EPERM", "-U"},
			"unshare", "-T", "true")
	})
}

// The program dies between clone(2) and prctl(2), by which the container asks
// to be told.
func TestOrphanEnds(t *testing.T) {
	each(t, "run", func(t *testing.T, p program) {
		needs(t, "root")
		p.orphan(t, "run", "sleep", "1000")
	})
}
