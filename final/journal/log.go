// Package journal writes and reads what a container says, in the format of
// Docker's json-file driver, and what happens to containers.
package journal

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

// A Writer writes the log: FILE, and with --log-opt max-file=N the older ones
// as FILE.1 to FILE.N-1.
type Writer struct {
	file  *os.File
	name  string
	size  int64
	limit int64 // bytes; 0 is no limit
	files int
}

// Open goes on with a log, which may be new.
func Open(name string, limit int64, files int) (*Writer, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		_, err = f.WriteString("\n") // after half a line of one who was killed
	}
	return &Writer{file: f, name: name, size: info.Size(), limit: limit,
		files: max(files, 1)}, err
}

// Write adds one line. A disk that is full must not stop the container: what
// could not be written is lost, as it is under Docker.
func (j *Writer) Write(stream string, text []byte) {
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
func (j *Writer) rotate() {
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
