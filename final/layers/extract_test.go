package layers

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"container-workshop/final/harness"
)

// In the tables of these tests their names stand often.
var (
	archiveOf, look       = harness.Archive, harness.Look
	file, directory, link = harness.File, harness.Directory, harness.Link
	again, nobody         = harness.Again, harness.Nobody
)

func device(name string, major, minor int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeChar, Name: name, Mode: 0o640,
		Devmajor: major, Devminor: minor, ModTime: time.Unix(1e9, 0)}
}

func TestExtract(t *testing.T) {
	again(t, "user", nobody)
	long := strings.Repeat(strings.Repeat("n", 200)+"/", 15) + "end"
	for _, test := range []struct {
		name string
		in   []tar.Header
		want map[string]string
	}{
		{"kinds", []tar.Header{directory("./", 0o755), directory("a", 0o750),
			file("a/f", "text", 0o640), link(tar.TypeSymlink, "a/s", "f"),
			link(tar.TypeLink, "a/h", "a/f"),
			{Typeflag: tar.TypeFifo, Name: "p", Mode: 0o600}},
			map[string]string{"a": "drwxr-x---", "a/f": "-rw-r----- text",
				"a/h": "-rw-r----- text", "a/s": "Lrwxrwxrwx f",
				"p": "prw-------"}},
		{"bits", []tar.Header{file("su", "x", 0o4755), file("sg", "x", 0o2755),
			directory("t", 0o1777)}, map[string]string{"su": "urwxr-xr-x x",
			"sg": "grwxr-xr-x x", "t": "dtrwxrwxrwx"}},
		{"parents", []tar.Header{file("x/y/z", "1", 0o600)}, map[string]string{
			"x": "drwxr-xr-x", "x/y": "drwxr-xr-x", "x/y/z": "-rw------- 1"}},
		{"closed directories", []tar.Header{directory("c", 0o111),
			directory("c/d", 0), file("c/d/f", "in", 0o600),
			directory("c", 0o500), directory("c/d", 0o700)},
			map[string]string{"c": "dr-x------", "c/d": "drwx------",
				"c/d/f": "-rw------- in"}},
		{"absolute link to a directory", []tar.Header{
			directory("usr/lib", 0o755), link(tar.TypeSymlink, "lib",
				"/usr/lib"), file("lib/so", "!", 0o644)},
			map[string]string{"usr": "drwxr-xr-x", "usr/lib": "drwxr-xr-x",
				"usr/lib/so": "-rw-r--r-- !", "lib": "Lrwxrwxrwx /usr/lib"}},
		{"climbing link to a directory", []tar.Header{
			directory("tmp", 0o755), link(tar.TypeSymlink, "up",
				"../../../../../../tmp"), file("up/f", "in", 0o644)},
			map[string]string{"tmp": "drwxr-xr-x", "tmp/f": "-rw-r--r-- in",
				"up": "Lrwxrwxrwx ../../../../../../tmp"}},
		{"link into the root", []tar.Header{link(tar.TypeSymlink, "r", "/.."),
			file("r/f", "in", 0o644)}, map[string]string{
			"r": "Lrwxrwxrwx /..", "f": "-rw-r--r-- in"}},
		{"replaced", []tar.Header{file("f", "1", 0o644), file("f", "22", 0o600),
			directory("d/e", 0o755), file("d/e/f", "", 0o644),
			link(tar.TypeSymlink, "d", "/etc"), link(tar.TypeSymlink, "l", "f"),
			file("l", "file", 0o644), directory("k", 0o700),
			directory("k", 0o711)}, map[string]string{"f": "-rw------- 22",
			"d": "Lrwxrwxrwx /etc", "l": "-rw-r--r-- file", "k": "drwx--x--x"}},
		{"a link is replaced, not followed", []tar.Header{
			file("t", "target", 0o644), link(tar.TypeSymlink, "l", "t"),
			file("l", "new", 0o600)}, map[string]string{
			"t": "-rw-r--r-- target", "l": "-rw------- new"}},
		{"whiteouts", []tar.Header{file("d/.wh.gone", "", 0),
			file("d/.wh..wh.plnk", "", 0), file(".wh.back", "", 0),
			file("both", "x", 0o644), file(".wh.both", "", 0)},
			map[string]string{"d": "drwxr-xr-x", "d/gone": "Dc--------- 0:0",
				"back": "Dc--------- 0:0", "both": "-rw-r--r-- x"}},
		{"long names", []tar.Header{file(long, "far", 0o644)}, nil},
		{"empty", nil, map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "layer")
			_, err := Extract(archiveOf(t, test.in...), dir, ExtractOptions{})
			t.Cleanup(func() { RemoveAll(dir) })
			if err != nil {
				t.Fatal(err)
			}
			if test.want == nil {
				if text, err := os.ReadFile(filepath.Join(dir, long)); err !=
					nil || string(text) != "far" {
					t.Error(err)
				}
				return
			}
			found := look(t, dir)
			for name, what := range found { // devices show mode 0 or 0600
				if strings.HasPrefix(what, "Dc") {
					found[name] = "Dc---------" + what[11:]
				}
			}
			if d := cmp.Diff(test.want, found); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestHostile(t *testing.T) {
	again(t, "user", nobody)
	many := []tar.Header{}
	for i := range 12 {
		many = append(many, file(fmt.Sprint("f", i), "", 0o644))
	}
	record := func(h tar.Header, key, value string) tar.Header {
		h.PAXRecords[key] = value
		return h
	}
	for _, test := range []struct {
		name, want string
		in         []tar.Header
	}{
		{"absolute", "absolute path", []tar.Header{file("/x", "", 0o644)}},
		{"dots", "path with ..", []tar.Header{file("../x", "", 0o644)}},
		{"dots inside", "path with ..", []tar.Header{file("a/../../x", "",
			0o644)}},
		{"dots alone", "path with ..", []tar.Header{directory("..", 0o755)}},
		{"hard link out", "path with ..", []tar.Header{link(tar.TypeLink, "h",
			"../canary")}},
		{"hard link absolute", "absolute path", []tar.Header{link(tar.TypeLink,
			"h", "/etc/passwd")}},
		{"hard link by symlink", "no such file", []tar.Header{
			link(tar.TypeSymlink, "s", "/etc"), link(tar.TypeLink, "h",
				"s/passwd")}},
		{"hard link to nothing", "no such file", []tar.Header{
			link(tar.TypeLink, "h", "missing")}},
		{"symlink to the host", "link to nowhere", []tar.Header{
			link(tar.TypeSymlink, "s", t.TempDir()), file("s/x", "", 0o644)}},
		{"symlink loop", "too many levels", []tar.Header{link(tar.TypeSymlink,
			"s", "s"), file("s/x", "", 0o644)}},
		{"through a file", "not a directory", []tar.Header{file("f", "", 0o644),
			file("f/x", "", 0o644)}},
		{"magic link", "", []tar.Header{directory("proc/self", 0o755),
			link(tar.TypeSymlink, "s", "/proc/self/root"),
			file("s/x", "", 0o644)}},
		{"the root as a file", "is a directory", []tar.Header{file("./.", "x",
			0o644)}},
		{"the root as a link", "is a directory", []tar.Header{
			link(tar.TypeSymlink, ".", "/etc")}},
		{"whiteout of the root", "whiteout of nothing", []tar.Header{
			file(".wh..", "", 0)}},
		{"whiteout of the parent", "whiteout of nothing", []tar.Header{
			file(".wh...", "", 0)}},
		{"whiteout of nothing", "whiteout of nothing", []tar.Header{
			file(".wh.", "", 0)}},
		{"overlay's xattr", "for overlayfs alone", []tar.Header{record(file("f",
			"", 0o644), "SCHILY.xattr.trusted.overlay.redirect", "/etc")}},
		{"overlay's user xattr", "for overlayfs alone", []tar.Header{record(
			file("f", "", 0o644), "SCHILY.xattr.user.overlay.metacopy", "")}},
		{"many", "more than 10 files", many},
		{"many parents", "more than 10 files", []tar.Header{file(
			"1/2/3/4/5/6/7/8/9/10/11/12", "", 0o644)}},
		{"large", "more than 1000000 bytes", []tar.Header{file("f",
			strings.Repeat("x", 600_000), 0o644), file("g", strings.Repeat("x",
			600_000), 0o644)}},
		{"unknown kind", "unknown type", []tar.Header{{Typeflag: 'Z',
			Name: "z"}}},
		{"a name too long", "file name too long", []tar.Header{file(
			strings.Repeat("n", 300), "", 0o644)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			top := t.TempDir()
			os.WriteFile(top+"/canary", []byte("sings"), 0o644)
			_, err := Extract(archiveOf(t, test.in...), top+"/layer",
				ExtractOptions{MaxFiles: 10, MaxBytes: 1_000_000})
			if test.want == "" && err == nil {
				os.RemoveAll(top + "/layer")
			} else if err == nil || !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, not %q", err, test.want)
			}
			want := map[string]string{"canary": "-rw-r--r-- sings"}
			if d := cmp.Diff(want, look(t, top)); d != "" {
				t.Error("left behind:", d)
			}
		})
	}
	if _, err := os.Stat("/x"); err == nil {
		t.Error("/x is there")
	}
}

func TestTruncated(t *testing.T) {
	whole := archiveOf(t, file("a", strings.Repeat("a", 5000), 0o644),
		file("b", strings.Repeat("b", 5000), 0o644)).Bytes()
	for _, n := range []int{100, 512, 700, 4000, 6000, 7000} {
		dir := filepath.Join(t.TempDir(), "layer")
		_, err := Extract(bytes.NewReader(whole[:n]), dir, ExtractOptions{})
		if _, bad := os.Stat(dir); err == nil || !os.IsNotExist(bad) {
			t.Errorf("%d bytes: error %v, directory %v", n, err, bad)
		}
	}
}

func TestDeviceAndOwner(t *testing.T) {
	again(t, "user", nobody)
	dir := filepath.Join(t.TempDir(), "layer")
	owned := file("owned", "", 0o4711)
	owned.Uid, owned.Gid = 1234, 5678
	owned.PAXRecords["SCHILY.xattr.user.comment"] = "hello"
	if _, err := Extract(archiveOf(t, owned), dir, ExtractOptions{}); err !=
		nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	value := make([]byte, 10)
	n, err := unix.Getxattr(dir+"/owned", "user.comment", value)
	if unix.Stat(dir+"/owned", &st); st.Mode != 0o104711 ||
		st.Mtim.Sec != 1e9 || err != nil || string(value[:n]) != "hello" {
		t.Errorf("%o, %d, xattr %q %v", st.Mode, st.Mtim.Sec, value, err)
	}
	_, err = Extract(archiveOf(t, device("d", 1, 3)), dir+"2",
		ExtractOptions{})
	if os.Geteuid() != 0 {
		if st.Uid != 65534 || st.Gid != 65534 {
			t.Errorf("owner %d:%d", st.Uid, st.Gid)
		}
		if err == nil || !strings.Contains(err.Error(), "only root can") {
			t.Error(err)
		}
		return
	}
	if unix.Stat(dir+"2/d", &st); err != nil || st.Rdev != unix.Mkdev(1, 3) {
		t.Error(err, st.Rdev)
	}
	if unix.Stat(dir+"/owned", &st); st.Uid != 1234 || st.Gid != 5678 {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
}

// A file's capabilities cannot be had without root; that is said once.
func TestWarning(t *testing.T) {
	if !again(t, "user", nobody) {
		return
	}
	var said []string
	list := []tar.Header{file("a", "", 0o755), file("b", "", 0o755)}
	for _, h := range list {
		h.PAXRecords["SCHILY.xattr.security.capability"] =
			"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
				"\x00\x00\x00\x00"
	}
	_, err := Extract(archiveOf(t, list...), filepath.Join(t.TempDir(), "x"),
		ExtractOptions{Warn: func(s string) { said = append(said, s) }})
	if err != nil || len(said) != 1 ||
		!strings.Contains(said[0], "security.capability") {
		t.Error(err, said)
	}
}

// What tar(1) writes of a file with holes is again a file with holes.
func TestSparse(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(dir + "/sparse")
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("middle"), 8<<20)
	f.Truncate(16 << 20)
	f.Close()
	for _, format := range []string{"gnu", "posix"} {
		cmd := exec.Command("tar", "-C", dir, "--sparse", "--format="+format,
			"-cf", dir+"/"+format, "sparse")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("needs GNU tar: apt install tar: %v %s", err, out)
		}
		in, _ := os.Open(dir + "/" + format)
		defer in.Close()
		to := dir + "/" + format + ".d"
		if _, err := Extract(in, to, ExtractOptions{}); err != nil {
			t.Fatal(err)
		}
		want, _ := os.ReadFile(dir + "/sparse")
		got, _ := os.ReadFile(to + "/sparse")
		var st unix.Stat_t
		unix.Stat(to+"/sparse", &st)
		if !bytes.Equal(want, got) || st.Blocks*512 > 1<<20 {
			t.Errorf("%s: %d bytes in %d blocks", format, len(got), st.Blocks)
		}
	}
}

// overlayfs itself says what whiteouts and opaque directories do, mounted by
// root and in a user namespace.
func TestOverlay(t *testing.T) {
	root := again(t, "root", &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS})
	user := again(t, "userns", &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWNS | unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 1}}})
	if !root && !user {
		return
	}
	unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	dir := t.TempDir()
	for name, list := range map[string][]tar.Header{
		"1": {file("keep", "1", 0o644), file("gone", "1", 0o644),
			file("d/old", "1", 0o644), file("e/old", "1", 0o644),
			file("f/old", "1", 0o644), file("g/old", "1", 0o644)},
		"2": {file(".wh.gone", "", 0), file("d/.wh..wh..opq", "", 0),
			file("d/new", "2", 0o644), file("e/new", "2", 0o644),
			file(".wh.f", "", 0), directory("f", 0o755),
			file("f/new", "2", 0o644),
			file("g/new", "2", 0o644), file(".wh.g", "", 0)},
	} {
		_, err := Extract(archiveOf(t, list...), dir+"/"+name,
			ExtractOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	os.Mkdir(dir+"/merged", 0o755)
	options := "lowerdir=" + dir + "/2:" + dir + "/1"
	if user {
		options += ",userxattr"
	}
	err := unix.Mount("overlay", dir+"/merged", "overlay", 0, options)
	if errors.Is(err, unix.ENODEV) {
		t.Skip("needs overlayfs: modprobe overlay")
	} else if err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir+"/merged", unix.MNT_DETACH)
	want := map[string]string{"keep": "-rw-r--r-- 1", "d": "drwxr-xr-x",
		"d/new": "-rw-r--r-- 2", "e": "drwxr-xr-x", "e/old": "-rw-r--r-- 1",
		"e/new": "-rw-r--r-- 2", "f": "drwxr-xr-x", "f/new": "-rw-r--r-- 2",
		"g": "drwxr-xr-x", "g/new": "-rw-r--r-- 2"}
	if d := cmp.Diff(want, look(t, dir+"/merged")); d != "" {
		t.Error(d)
	}
	// Our own view of the layers is the same, by way of an archive.
	var b bytes.Buffer
	if err := Archive([]string{dir + "/1", dir + "/2"}, "/", &b); err != nil {
		t.Fatal(err)
	}
	if _, err := Extract(&b, dir+"/copy", ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, look(t, dir+"/copy")); d != "" {
		t.Error(d)
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(archiveOf(f, file("a/b", "text", 0o644), link(tar.TypeSymlink, "s",
		"/a"), link(tar.TypeLink, "h", "a/b"), file("a/.wh.c", "", 0)).Bytes())
	f.Add(archiveOf(f, link(tar.TypeSymlink, "s", "../.."), file("s/x", "y",
		0o4755), directory("s", 0o700)).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		top := t.TempDir()
		os.WriteFile(top+"/canary", []byte("sings"), 0o644)
		Extract(bytes.NewReader(data), top+"/layer", ExtractOptions{
			MaxFiles: 100, MaxBytes: 1 << 20})
		entries, _ := os.ReadDir(top)
		text, _ := os.ReadFile(top + "/canary")
		if len(entries) > 2 || string(text) != "sings" {
			t.Errorf("outside of the layer: %v %s", entries, text)
		}
		RemoveAll(top + "/layer")
	})
}

// The same files give the same archive, with all that a file system has.
func TestArchive(t *testing.T) {
	top := t.TempDir()
	long := strings.Repeat("n", 240)
	fifo := tar.Header{Typeflag: tar.TypeFifo, Name: "p", Mode: 0o600}
	record := file("x", "", 0o644)
	record.PAXRecords["SCHILY.xattr.user.a"] = "b"
	_, err := Extract(archiveOf(t, file("a", "1", 0o4755), link(tar.TypeLink,
		"b", "a"), link(tar.TypeSymlink, "c", "/etc/passwd"), fifo, record,
		file(long+"/"+long, "far", 0o644), directory("empty", 0o1777)),
		top+"/1", ExtractOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if err = Archive([]string{top + "/1"}, "/", &first); err != nil {
		t.Fatal(err)
	}
	copied := bytes.NewReader(first.Bytes())
	if _, err = Extract(copied, top+"/2", ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(look(t, top+"/1"), look(t, top+"/2")); d != "" {
		t.Error(d)
	}
	if err = Archive([]string{top + "/2"}, "/", &second); err != nil ||
		!bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the copy's archive differs", err)
	}
}

func TestCopyUp(t *testing.T) {
	top := t.TempDir()
	for i, list := range [][]tar.Header{{directory("data", 0o750),
		file("data/a", "1", 0o600), file("data/b", "1", 0o644)},
		{file("data/.wh.b", "", 0), file("data/c", "2", 0o4755),
			link(tar.TypeSymlink, "link", "/data"), file("file", "", 0o644)}} {
		_, err := Extract(archiveOf(t, list...), fmt.Sprint(top, "/", i),
			ExtractOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	list := []string{top + "/0", top + "/1"}
	want := map[string]string{"a": "-rw------- 1", "c": "urwxr-xr-x 2"}
	for from, want := range map[string]map[string]string{"/data": want,
		"/link": want, "/absent": {}, "/file": {}, "/file/x": {},
		"/../../etc": {}} {
		dir := t.TempDir()
		err := CopyUp(list, from, dir)
		if d := cmp.Diff(want, look(t, dir)); d != "" || err != nil {
			t.Error(from, err, d)
		}
	}
	dir := t.TempDir()
	os.WriteFile(dir+"/mine", nil, 0o600)
	if err := CopyUp(list, "/data", dir); err != nil ||
		len(look(t, dir)) != 1 {
		t.Error(err, look(t, dir))
	}
}
