package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also a program that makes its terminal raw and waits.
const inside = "terminal-test-inside"

func TestMain(m *testing.M) {
	if os.Args[0] == inside {
		restore, err := Raw(os.Stdin)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("raw")
		os.Stdin.Read(make([]byte, 1))
		restore()
		restore()
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave, err := New()
	if err != nil {
		t.Skip("no devpts here: ", err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}

func mode(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *state
}

func TestSize(t *testing.T) {
	master, slave := pty(t)
	if err := Resize(master, 132, 43); err != nil {
		t.Fatal(err)
	}
	if w, h, err := Size(slave); w != 132 || h != 43 || err != nil {
		t.Errorf("%d by %d, %v", w, h, err)
	}
	null, _ := os.Open("/dev/null")
	defer null.Close()
	_, _, err := Size(null)
	if !errors.Is(err, unix.ENOTTY) || Resize(null, 1, 1) == nil {
		t.Error(err)
	}
	if _, err = Raw(null); !errors.Is(err, unix.ENOTTY) {
		t.Error(err)
	}
}

// A raw terminal passes every byte both ways, and is as before afterwards,
// also when a signal ends the program.
func TestRaw(t *testing.T) {
	for _, sig := range []syscall.Signal{0, unix.SIGTERM, unix.SIGHUP,
		unix.SIGKILL} {
		if sig != 0 && signal.Ignored(sig) {
			continue // we were started that way, and what we start will be
		}
		master, slave := pty(t)
		before := mode(t, slave)
		cmd := exec.Command("/proc/self/exe")
		cmd.Args[0] = inside
		cmd.Stdin = slave
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 4)
		io.ReadFull(out, line)
		during := mode(t, slave)
		if during.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 ||
			during.Oflag&unix.OPOST != 0 || during.Iflag&unix.ICRNL != 0 {
			t.Errorf("not raw: %+v", during)
		}
		if sig == 0 {
			master.Write([]byte{3}) // ^C is a byte like others
		} else {
			cmd.Process.Signal(sig)
		}
		cmd.Wait()
		ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if sig == 0 && ws.ExitStatus() != 3 || sig != 0 && ws.Signal() != sig {
			t.Errorf("%v: ended with %v", sig, cmd.ProcessState)
		}
		if got := mode(t, slave); (got != before) != (sig == unix.SIGKILL) {
			t.Errorf("%v: was %+v, is %+v", sig, before, got)
		}
	}
}

func TestSendFD(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	defer b.Close()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err = SendFD(a, file, "/dev/ptmx"); err != nil {
		t.Fatal(err)
	}
	got, err := ReceiveFD(b)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	flags, _ := unix.FcntlInt(got.Fd(), unix.F_GETFD, 0)
	one, _ := file.Stat()
	two, _ := got.Stat()
	if !os.SameFile(one, two) || got.Name() != "/dev/ptmx" ||
		flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("%s, flags %x", got.Name(), flags)
	}
	// Of several files the first is taken, and none is left open.
	before := openFiles(t)
	unix.Sendmsg(fds[0], []byte("x"), unix.UnixRights(0, 1, 2), nil, 0)
	if got, err := ReceiveFD(b); err != nil {
		t.Error(err)
	} else {
		got.Close()
	}
	unix.Sendmsg(fds[0], []byte("x"), nil, nil, 0)
	if _, err := ReceiveFD(b); err == nil {
		t.Error("no file came, and no error")
	}
	a.Close()
	if _, err := ReceiveFD(b); err == nil {
		t.Error("nobody is there, and no error")
	}
	if after := openFiles(t); after != before-1 {
		t.Errorf("%d files were open, %d are", before, after)
	}
}

func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestKeys(t *testing.T) {
	for text, want := range map[string]string{"ctrl-p,ctrl-q": "\x10\x11",
		"a": "a", "ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_": "" +
			"\x00\x1b\x1c\x1d\x1e\x1f", "ctrl-a,b,DEL": "\x01b\x7f"} {
		if keys, err := ParseKeys(text); string(keys) != want || err != nil {
			t.Errorf("%s: %q, %v", text, keys, err)
		}
	}
	for _, text := range []string{"", ",", "ctrl-", "ctrl-P", "ctrl-pq", "ab",
		"a,", "ctrl-é"} {
		if keys, err := ParseKeys(text); err == nil {
			t.Errorf("%q: %q", text, keys)
		}
	}
}

func TestDetach(t *testing.T) {
	for _, c := range []struct {
		keys, in, out string
		detached      bool
	}{
		{"\x10\x11", "abc\x10\x11def", "abc", true},
		{"\x10\x11", "\x10\x10\x11", "\x10", true},
		{"\x10\x11", "\x10a\x10", "\x10a\x10", false},
		{"aab", "aaaab", "aa", true},
		{"abac", "ababac", "ab", true},
		{"", "a\x10\x11", "a\x10\x11", false},
		{"x", "x", "", true},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r },
			"bytes": iotest.OneByteReader, "with EOF": iotest.DataErrReader} {
			r := DetachReader(wrap(strings.NewReader(c.in)), []byte(c.keys))
			out, err := io.ReadAll(iotest.OneByteReader(r))
			if string(out) != c.out || (err == ErrDetach) != c.detached ||
				err != nil && err != ErrDetach {
				t.Errorf("%q %q %s: %q, %v", c.keys, c.in, name, out, err)
			}
		}
	}
}

// What cannot be part of the keys is passed on at once.
func TestDetachIsPrompt(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	got := make(chan string)
	go func() {
		buffer := make([]byte, 10)
		n, _ := DetachReader(in, []byte("\x10\x11")).Read(buffer)
		got <- string(buffer[:n])
	}()
	out.Write([]byte("ls\x10"))
	select {
	case text := <-got:
		if text != "ls" {
			t.Errorf("%q", text)
		}
	case <-time.After(5 * time.Second):
		t.Error("held back")
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, seed := range []string{"ctrl-p,ctrl-q", "DEL", "ctrl-@", ",", "é",
		"ctrl-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys(text)
		if err != nil {
			return
		}
		if len(keys) != strings.Count(text, ",")+1 {
			t.Fatalf("%q: %q", text, keys)
		}
		in := append([]byte("before"), keys...)
		out, err := io.ReadAll(DetachReader(bytes.NewReader(append(in, "x"...)),
			keys))
		if err != ErrDetach || !bytes.HasPrefix(in, out) {
			t.Errorf("%q: %q, %v", text, out, err)
		}
	})
}
