package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// Options choose lines of a container's log.
type Options struct {
	Follow       bool
	Tail         int // lines; negative is all
	Since, Until time.Time
}

// Read calls each with every line of a log that is wanted. With Follow it goes
// on as long as the container runs.
func Read(name string, o Options, runs func() bool, each func(Line)) error {
	var held []Line // for Tail
	r := &follower{name: name}
	for {
		// Whether it runs must be known before the end of the file is.
		more := o.Follow && runs()
		err := r.lines(func(data []byte) {
			var line Line
			if json.Unmarshal(data, &line) != nil ||
				line.Time.Before(o.Since) ||
				!o.Until.IsZero() && line.Time.After(o.Until) {
				return // half a line is what a crash leaves
			}
			if o.Tail < 0 {
				each(line)
			} else if held = append(held, line); len(held) > o.Tail {
				held = held[1:]
			}
		})
		for _, line := range held {
			each(line)
		}
		held, o.Tail = nil, -1
		late := !o.Until.IsZero() && time.Now().After(o.Until)
		if err != nil || !more || late {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// follower reads the lines of a file as they come, also when another file gets
// its name or it begins anew.
type follower struct {
	file *os.File
	name string
	rest []byte
}

func (f *follower) lines(each func([]byte)) error {
	for {
		if f.file == nil {
			var err error
			if f.file, err = os.Open(f.name); err != nil {
				return nil // not yet
			}
		}
		r := bufio.NewReaderSize(f.file, 64<<10)
		for {
			data, err := r.ReadBytes('\n')
			f.rest = append(f.rest, data...)
			if err == io.EOF {
				break
			} else if err != nil {
				return err
			}
			each(bytes.TrimSpace(f.rest))
			f.rest = f.rest[:0]
		}
		now, err := os.Stat(f.name)
		was, bad := f.file.Stat()
		at, _ := f.file.Seek(0, io.SeekCurrent)
		if err != nil || bad != nil {
			return nil
		}
		if os.SameFile(now, was) && now.Size() >= at {
			return nil
		}
		f.file.Close()
		f.file, f.rest = nil, nil
	}
}

// ParseTime reads what Docker's --since and --until take: a date in RFC 3339,
// seconds since 1970, or how long ago it was.
func ParseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-ago), nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Unix(0, int64(seconds*1e9)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05",
		"2006-01-02T15:04", "2006-01-02"} {
		t, err := time.ParseInLocation(layout, text, time.Local)
		if err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid time %q: a date as "+
		"2026-01-02T15:04:05Z, seconds since 1970, or a duration as 10m", text)
}

// Events calls each with what has happened since then, and goes on until the
// other time, which may be in the future; none is never.
func Events(run string, since, until time.Time,
	each func(Event) error) (failed error) {
	begin := time.Now()
	read := func(data []byte) {
		var event Event
		if json.Unmarshal(data, &event) != nil {
			return
		}
		at := time.Unix(0, event.TimeNano)
		if since.IsZero() && at.Before(begin) || at.Before(since) ||
			!until.IsZero() && at.After(until) {
			return
		}
		failed = errors.Join(failed, each(event))
	}
	older := &follower{name: run + "/events.1"}
	newer := &follower{name: run + "/events"}
	err := older.lines(read)
	for {
		done := !until.IsZero() && time.Now().After(until)
		if err == nil {
			err = newer.lines(read)
		}
		if err = errors.Join(err, failed); err != nil || done {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
