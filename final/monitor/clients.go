package monitor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"container-workshop/final/network/names"
	"container-workshop/final/terminal"

	"golang.org/x/sys/unix"
)

// How long a line of the log may be, as Docker's: the rest is another line.
const maxLine = 16 << 10

// socketFile makes a file of a socket that the Go runtime polls, so that who
// waits at it needs no thread.
func socketFile(fd int) *os.File {
	unix.SetNonblock(fd, true)
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "socket")
}

// address is the socket of those who attach. A socket's name may have 107
// bytes, so the directory is named by a descriptor: unix(7).
func address(dir *os.File) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{
		Name: fmt.Sprintf("/proc/self/fd/%d/attach", dir.Fd())}
}

// socket opens what listen and Connect work on.
func socket(run string) (fd int, dir *os.File, err error) {
	if dir, err = os.Open(run); err != nil {
		return -1, nil, err
	}
	fd, err = unix.Socket(unix.AF_UNIX,
		unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return fd, dir, os.NewSyscallError("socket", err)
}

func listen(run string) (*os.File, error) {
	fd, dir, err := socket(run)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	os.Remove(filepath.Join(run, "attach"))
	if err = unix.Bind(fd, address(dir)); err == nil {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		return nil, fmt.Errorf("listen at %s/attach: %w", run, err)
	}
	return socketFile(fd), nil
}

// Connect attaches to the monitor of the container whose bundle run is.
func Connect(run string) (*os.File, error) {
	fd, dir, err := socket(run)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err = unix.Connect(fd, address(dir)); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to %s/attach: %w", run, err)
	}
	return socketFile(fd), nil
}

func (s *server) accept(listener *os.File) {
	raw, err := listener.SyscallConn()
	for err == nil {
		fd := -1
		var bad error
		err = raw.Read(func(l uintptr) bool {
			fd, _, bad = unix.Accept4(int(l), unix.SOCK_CLOEXEC)
			return bad != unix.EAGAIN
		})
		if err == nil && bad == nil {
			client := socketFile(fd)
			s.mu.Lock()
			s.clients[client] = true
			s.mu.Unlock()
			go s.serveClient(client, false)
		}
	}
}

// serveClient passes on what one client sends, until it goes.
func (s *server) serveClient(client *os.File, first bool) {
	done, closes := false, first && s.StdinOnce && !s.TTY
	for {
		kind, data, err := Receive(client)
		if err != nil {
			break
		}
		switch {
		case kind == Stdin && s.input != nil:
			s.input.Write(data)
		case kind == Resize && s.TTY && len(data) == 4:
			terminal.Resize(s.input, binary.BigEndian.Uint16(data),
				binary.BigEndian.Uint16(data[2:]))
		case kind == CloseStdin && closes:
			s.input.Close()
		case kind == Names:
			s.answerNames(client, data)
		case kind == Done:
			done = true
		}
	}
	s.mu.Lock()
	delete(s.clients, client)
	s.mu.Unlock()
	client.Close()
	if closes {
		s.input.Close()
	}
	if first {
		s.done <- done
	}
}

// answerNames serves names in the sandbox of a container that has come to a
// network with names only now.
func (s *server) answerNames(client *os.File, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.DNS == nil {
		server := &names.Server{}
		if err = json.Unmarshal(data, server); err == nil {
			err = server.Serve(fmt.Sprintf("/proc/%d/ns/net",
				s.container.InitPid))
		}
		if err == nil {
			s.DNS = server
		}
	}
	if err != nil {
		SendJSON(client, Failed, failure(err))
	} else {
		Send(client, Started, nil)
	}
}

// relay copies one output to the log and to everybody who is attached. A slow
// client slows the container down: nothing is lost.
func (s *server) relay(from *os.File, kind byte, stream string) {
	defer s.outputs.Done()
	var line []byte
	buf := make([]byte, maxLine)
	for {
		n, err := from.Read(buf)
		s.mu.Lock()
		line = s.record(stream, append(line, buf[:n]...), err != nil)
		for client := range s.clients {
			if n > 0 && Send(client, kind, buf[:n]) != nil {
				delete(s.clients, client)
			}
		}
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// record logs the whole lines in text and returns the rest; at the end that,
// too, is a line.
func (s *server) record(stream string, text []byte, end bool) []byte {
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\n') + 1
		if n == 0 && len(text) < maxLine && !end {
			break
		}
		if n == 0 || n > maxLine {
			n = min(len(text), maxLine)
		}
		s.log.Write(stream, text[:n])
		text = text[n:]
	}
	return append([]byte(nil), text...)
}

// drain waits for the last output. All processes of the container are dead by
// now; two seconds are for those that somebody else has given the pipe to.
func (s *server) drain() {
	all := make(chan bool)
	go func() { s.outputs.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(2 * time.Second):
	}
}
