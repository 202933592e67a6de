package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrDetach is what DetachReader ends with when it has read the keys.
var ErrDetach = errors.New("read escape sequence")

// DetachReader passes on what it reads, up to keys; then it ends with
// ErrDetach. What may be the beginning of keys is held back until the next
// byte tells. No keys, no end.
func DetachReader(r io.Reader, keys []byte) io.Reader {
	if len(keys) == 0 {
		return r
	}
	return &detachReader{source: r, keys: keys}
}

type detachReader struct {
	source          io.Reader
	keys, held, out []byte
	err             error
}

func (d *detachReader) Read(p []byte) (int, error) {
	for len(d.out) == 0 && d.err == nil && len(p) > 0 {
		buffer := make([]byte, len(p))
		n, err := d.source.Read(buffer)
		d.err = err
		for _, b := range buffer[:n] {
			d.held = append(d.held, b)
			if bytes.Equal(d.held, d.keys) {
				d.held, d.err = nil, ErrDetach
				break
			}
			for !bytes.HasPrefix(d.keys, d.held) {
				d.out, d.held = append(d.out, d.held[0]), d.held[1:]
			}
		}
		if d.err != nil {
			d.out, d.held = append(d.out, d.held...), nil
		}
	}
	n := copy(p, d.out)
	if d.out = d.out[n:]; len(d.out) > 0 || n > 0 {
		return n, nil
	}
	return 0, d.err
}

// ParseKeys reads Docker's notation, "ctrl-p,ctrl-q" or "a,b,DEL": the control
// characters are 0 to 31 of ASCII, in the order of @A-Z[\]^_.
func ParseKeys(text string) (keys []byte, err error) {
	for _, key := range strings.Split(text, ",") {
		name, ctrl := strings.CutPrefix(key, "ctrl-")
		code := strings.Index("@abcdefghijklmnopqrstuvwxyz[\\]^_", name)
		switch {
		case len(key) == 1:
			keys = append(keys, key[0])
		case ctrl && len(name) == 1 && code >= 0:
			keys = append(keys, byte(code))
		case key == "DEL":
			keys = append(keys, 127)
		default:
			return nil, fmt.Errorf("detach keys %q: %q is neither a "+
				"character nor ctrl- and one of a-z @ [ \\ ] ^ _", text, key)
		}
	}
	return keys, nil
}
