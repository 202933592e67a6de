package layers

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests of layers and of image share this file.

// again runs the calling test in a process of its own: this test binary, as
// somebody else or in other namespaces. It returns true in there.
func again(t *testing.T, name string, attr *syscall.SysProcAttr) bool {
	if who := os.Getenv("AGAIN"); who != "" {
		return who == name
	}
	t.Run(name, func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root, to become somebody else: sudo")
		}
		cmd := exec.Command("/proc/self/exe", "-test.v",
			"-test.run=^"+strings.Split(t.Name(), "/")[0]+"$")
		cmd.Env = append(os.Environ(), "AGAIN="+name, "TMPDIR=/tmp")
		cmd.Dir, cmd.SysProcAttr = "/", attr
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return false
}

var nobody = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534,
	Gid: 65534, Groups: []uint32{}}}

// archiveOf is a tar archive of headers; content stands in Xattrs.
func archiveOf(t testing.TB, list ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range list {
		content := h.PAXRecords["content"]
		delete(h.PAXRecords, "content")
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			h.Size = int64(len(content))
		}
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(content))
	}
	w.Flush()
	b.Write(make([]byte, 1024))
	return &b
}

func file(name, content string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode,
		ModTime: time.Unix(1e9, 0), PAXRecords: map[string]string{
			"content": content}}
}

func directory(name string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode,
		ModTime: time.Unix(1e9, 0)}
}

func link(kind byte, name, target string) tar.Header {
	return tar.Header{Typeflag: kind, Name: name, Linkname: target,
		Mode: 0o777, ModTime: time.Unix(1e9, 0)}
}

// look lists a tree: mode and content of each file.
func look(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry,
		err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		name, _ := filepath.Rel(dir, p)
		if err != nil || name == "." {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		what := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			text, _ := os.ReadFile(p)
			what += " " + string(text)
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			what += " " + target
		case info.Mode()&fs.ModeDevice != 0:
			what += fmt.Sprintf(" %d:%d", unix.Major(st.Rdev),
				unix.Minor(st.Rdev))
		}
		found[name] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
