package engine

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

	"container-workshop/final/monitor"
)

// LogOptions choose lines of a container's log.
type LogOptions struct {
	Follow       bool
	Tail         int // lines; negative is all
	Since, Until time.Time
}

// Logs calls each with every line that is wanted.
func (e *Engine) Logs(c *Container, o LogOptions,
	each func(monitor.Line)) error {
	f, err := os.Open(c.LogFile())
	if errors.Is(err, os.ErrNotExist) && !o.Follow {
		return nil // it has never run
	}
	var held []monitor.Line // for Tail
	r := &follower{file: f, name: c.LogFile()}
	defer func() { r.file.Close() }()
	for {
		// Whether it runs must be known before the end of the file is.
		more := o.Follow && e.runs(c)
		err := r.lines(func(data []byte) {
			var line monitor.Line
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

func (e *Engine) runs(c *Container) bool {
	fresh, err := e.load(c.ID)
	return err == nil && fresh.State.Running()
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
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid time %q: a date as "+
		"2026-01-02T15:04:05Z, seconds since 1970, or a duration as 10m", text)
}

// Event records that something happened to a container, a network, a volume or
// an image; extra are more attributes, key and value in turn.
func (e *Engine) Event(kind, action string, on any, extra ...string) {
	event := monitor.Event{Type: kind, Action: action}
	event.Actor.Attributes = map[string]string{}
	switch on := on.(type) {
	case *Container:
		event.Actor.ID, event.Actor.Attributes = on.ID, on.attributes()
	case string:
		event.Actor.ID = on
	}
	for i := 0; i+1 < len(extra); i += 2 {
		event.Actor.Attributes[extra[i]] = extra[i+1]
	}
	event.Append(e.Run)
}

func (c *Container) attributes() map[string]string {
	all := map[string]string{"name": c.Name, "image": c.Options.Image}
	for key, value := range c.Labels {
		all[key] = value
	}
	return all
}

// Events calls each with what has happened since then, and goes on until the
// other time, which may be in the future; none is never.
func (e *Engine) Events(since, until time.Time,
	each func(monitor.Event) error) (failed error) {
	begin := time.Now()
	read := func(data []byte) {
		var event monitor.Event
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
	older := &follower{name: e.Run + "/events.1"}
	newer := &follower{name: e.Run + "/events"}
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
