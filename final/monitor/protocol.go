// Package monitor is the process that stays with a container, as conmon and
// containerd-shim do: it owns the container's stdio, writes its log, serves
// those who attach, and records how the container ended. It is our own program
// under another argv[0]; see init in monitor.go.
package monitor

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// What travels between the command line and the monitor: frames of one byte
// for the kind, four for the length (big endian), and the data.
const (
	Stdin      byte = iota // to the container
	Stdout                 // from the container; a terminal has only this one
	Stderr                 // from the container
	CloseStdin             // no more input
	Resize                 // two numbers of 16 bits: columns, rows
	Create                 // Config as JSON, answered by Created or Failed
	Created                // the init process's PID as JSON, or Failed, or both
	Start                  // answered by Started or Failed
	Started                // nothing
	Failed                 // Failure as JSON
	Exit                   // the exit status as JSON
	Done                   // the client cleans up itself
	Names                  // a names.Server as JSON, answered as Start is
)

const maxFrame = 1 << 20

// Failure is an error with the exit status that Docker gives it.
type Failure struct {
	Text string
	Code int
}

func (f *Failure) Error() string { return f.Text }

// Send writes one frame, with one write(2): several may send on one socket.
func Send(w io.Writer, kind byte, data []byte) error {
	frame := make([]byte, 5, 5+len(data))
	frame[0] = kind
	binary.BigEndian.PutUint32(frame[1:], uint32(len(data)))
	_, err := w.Write(append(frame, data...))
	return err
}

// SendJSON writes one frame whose data is v as JSON.
func SendJSON(w io.Writer, kind byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return Send(w, kind, data)
}

// Receive reads one frame.
func Receive(r io.Reader) (kind byte, data []byte, err error) {
	var head [5]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("attach: frame of %d bytes is too long", n)
	}
	data = make([]byte, n)
	_, err = io.ReadFull(r, data)
	return head[0], data, err
}
