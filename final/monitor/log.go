package monitor

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Line is a line of the log, in the words of Docker's json-file driver. A line
// without its newline goes on in the next one of its stream.
type Line struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

// journal writes the log: FILE, and with --log-opt max-file=N the older ones as
// FILE.1 to FILE.N-1.
type journal struct {
	file  *os.File
	name  string
	size  int64
	limit int64 // bytes; 0 is no limit
	files int
}

func openJournal(name string, limit int64, files int) (*journal, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, name: name, limit: limit, files: max(files, 1)}
	if info, err := f.Stat(); err == nil {
		j.size = info.Size()
	}
	return j, nil
}

// write adds one line. A disk that is full must not stop the container: what
// could not be written is lost, as it is under Docker.
func (j *journal) write(stream string, text []byte) {
	data, _ := json.Marshal(Line{string(text), stream, time.Now().UTC()})
	data = append(data, '\n')
	if j.limit > 0 && j.size > 0 && j.size+int64(len(data)) > j.limit {
		j.rotate()
	}
	n, _ := j.file.Write(data)
	j.size += int64(n)
}

// rotate begins a new file. Who follows the log sees that the name stands for
// another file now, or that the file has become shorter.
func (j *journal) rotate() {
	for n := j.files - 1; n > 0; n-- {
		older := j.name
		if n > 1 {
			older = fmt.Sprintf("%s.%d", j.name, n-1)
		}
		os.Rename(older, fmt.Sprintf("%s.%d", j.name, n))
	}
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE | os.O_TRUNC
	if f, err := os.OpenFile(j.name, flags, 0o600); err == nil {
		j.file.Close()
		j.file, j.size = f, 0
	}
}
