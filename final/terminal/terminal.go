// Package terminal gives a container a pseudoterminal, pty(7), and passes it
// on to whoever serves it.
package terminal

import (
	"errors"
	"io"
	"os"
)

// ErrDetach is what DetachReader ends with when it has read the keys.
var ErrDetach = errors.New("read escape sequence")

var errTODO = errors.New("not yet")

// New makes a pseudoterminal in the devpts of the current root.
func New() (master, slave *os.File, err error) { return nil, nil, errTODO }

// SendFD sends f, under name, over a connected unix socket: unix(7).
func SendFD(socket, f *os.File, name string) error { return errTODO }

// ReceiveFD receives what SendFD sent.
func ReceiveFD(socket *os.File) (*os.File, error) { return nil, errTODO }

// Raw makes the terminal f pass every byte as it is, until restore. A SIGTERM
// or SIGHUP restores it, too, before it ends us.
func Raw(f *os.File) (restore func(), err error) { return nil, errTODO }

// Size returns the columns and lines of a terminal; else ENOTTY.
func Size(f *os.File) (w, h uint16, err error) { return 0, 0, errTODO }

// Resize sets them; the foreground process group gets SIGWINCH.
func Resize(f *os.File, w, h uint16) error { return errTODO }

// DetachReader passes on what it reads, up to keys; then it ends with
// ErrDetach. No keys, no end.
func DetachReader(r io.Reader, keys []byte) io.Reader { return r }

// ParseKeys reads Docker's notation, "ctrl-p,ctrl-q" or "a,b,DEL".
func ParseKeys(text string) ([]byte, error) { return nil, errTODO }
