// Package terminal gives a container a pseudoterminal, pty(7), and passes it
// on to whoever serves it.
package terminal

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// New makes a pseudoterminal in the devpts of the current root. The image may
// have put anything at /dev/ptmx, so what was opened must be device 5:2. The
// slave comes from the master itself, not by a name under /dev/pts:
// TIOCGPTPEER in ioctl_tty(2).
func New() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: is there a devpts on /dev/pts?", err)
	}
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	var st unix.Stat_t
	if err = unix.Fstat(int(master.Fd()), &st); err != nil {
		return nil, nil, fmt.Errorf("stat /dev/ptmx: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(5, 2) {
		err = errors.New("/dev/ptmx: not the device 5:2")
		return nil, nil, err
	}
	err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("unlock /dev/ptmx: %w", err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, master.Fd(), unix.TIOCGPTPEER,
		unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		err = fmt.Errorf("open peer of /dev/ptmx: %w", errno)
		return nil, nil, err
	}
	return master, os.NewFile(fd, "/dev/console"), nil
}

// SendFD sends f, under name, over a connected unix socket: unix(7).
func SendFD(socket, f *os.File, name string) error {
	err := unix.Sendmsg(int(socket.Fd()), []byte(name),
		unix.UnixRights(int(f.Fd())), nil, unix.MSG_NOSIGNAL)
	if err != nil {
		return fmt.Errorf("send %s over %s: %w", name, socket.Name(), err)
	}
	return nil
}

// ReceiveFD receives what SendFD sent. MSG_CMSG_CLOEXEC: no child that another
// thread starts meanwhile gets it. What the sender sends beyond one file is
// closed.
func ReceiveFD(socket *os.File) (*os.File, error) {
	name := make([]byte, 4096)
	rights := make([]byte, unix.CmsgSpace(253*4)) // SCM_MAX_FD
	n, used, _, _, err := unix.Recvmsg(int(socket.Fd()), name, rights,
		unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, used, _, _, err = unix.Recvmsg(int(socket.Fd()), name, rights,
			unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("receive over %s: %w", socket.Name(), err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:used])
	var files []int
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			files = append(files, fds...)
		}
	}
	for i, fd := range files {
		if i > 0 {
			unix.Close(fd)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("receive over %s: no file came (%v, %d bytes)",
			socket.Name(), err, n)
	}
	return os.NewFile(uintptr(files[0]), string(name[:n])), nil
}

// Raw makes the terminal f pass every byte as it is, until restore: cfmakeraw
// in termios(3). A signal that ends us restores it, too; a shell with a raw
// terminal is of little use.
func Raw(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("get attributes of %s: %w", f.Name(), err)
	}
	raw := *old
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP |
		unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG |
		unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	ends := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{unix.SIGTERM, unix.SIGHUP} {
		if !signal.Ignored(sig) { // as by nohup(1)
			signal.Notify(ends, sig)
		}
	}
	if err = unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		signal.Stop(ends)
		return nil, fmt.Errorf("set attributes of %s: %w", f.Name(), err)
	}
	var once sync.Once
	restore = func() {
		once.Do(func() {
			unix.IoctlSetTermios(fd, unix.TCSETS, old)
			signal.Stop(ends)
			close(ends)
		})
	}
	go func() {
		if sig, ok := <-ends; ok {
			restore()
			signal.Reset(sig)
			unix.Kill(os.Getpid(), sig.(syscall.Signal))
		}
	}()
	return restore, nil
}

// Size returns the columns and lines of a terminal; else ENOTTY.
func Size(f *os.File) (w, h uint16, err error) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, fmt.Errorf("get size of %s: %w", f.Name(), err)
	}
	return size.Col, size.Row, nil
}

// Resize sets them; the foreground process group gets SIGWINCH.
func Resize(f *os.File, w, h uint16) error {
	err := unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ,
		&unix.Winsize{Col: w, Row: h})
	if err != nil {
		return fmt.Errorf("set size of %s: %w", f.Name(), err)
	}
	return nil
}
