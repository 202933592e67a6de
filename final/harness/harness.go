// Package harness is what the suites of final/ share. Only tests import it.
package harness

import (
	"archive/tar"
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Again runs the calling test in a process of its own: this test binary, as
// somebody else or in other namespaces. It returns true in there.
func Again(t *testing.T, name string, attr *syscall.SysProcAttr) bool {
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

// Nobody are the attributes of a process of the user nobody.
var Nobody = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534,
	Gid: 65534, Groups: []uint32{}}}

// Archive is a tar archive of headers, as File, Directory and Link make them.
func Archive(t testing.TB, list ...tar.Header) *bytes.Buffer {
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

// File is a header with the content of a file in its record "content".
func File(name, content string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode,
		ModTime: time.Unix(1e9, 0), PAXRecords: map[string]string{
			"content": content}}
}

// Directory is the header of a directory.
func Directory(name string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode,
		ModTime: time.Unix(1e9, 0)}
}

// Link is the header of a link: tar.TypeLink or tar.TypeSymlink.
func Link(kind byte, name, target string) tar.Header {
	return tar.Header{Typeflag: kind, Name: name, Linkname: target,
		Mode: 0o777, ModTime: time.Unix(1e9, 0)}
}

// Look lists a tree: mode and content of each file.
func Look(t *testing.T, dir string) map[string]string {
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

// Round tells Kill, from the process that is to be killed, that it has come to
// the end of a round.
func Round() { fmt.Println("round") }

// Kill runs the calling test times times in a process of its own, with env in
// its environment, where it goes round and round. Each is killed: the first
// after a whole round, which tells how long one takes here; the others wherever
// it meets them, in the first two rounds. What check returns must be nil after
// each.
func Kill(t *testing.T, times int, check func() error, env ...string) {
	t.Helper()
	var round time.Duration
	for i := range times {
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
		cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
		pipe, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		out, said := bufio.NewReader(pipe), ""
		if begin := time.Now(); i == 0 {
			said, _ = out.ReadString('\n')
			round = time.Since(begin)
		} else {
			time.Sleep(rand.N(2 * round))
		}
		cmd.Process.Kill()
		rest, _ := io.ReadAll(out)
		err = cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if status.Signal() != syscall.SIGKILL || i == 0 && said == "" {
			t.Fatalf("%v: %s%s", err, said, rest)
		}
		if err := check(); err != nil {
			t.Fatal(err)
		}
	}
}
