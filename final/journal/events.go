package journal

import (
	"encoding/json"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Event is something that happened, in the words of Docker's API.
type Event struct {
	Status   string `json:"status,omitempty"` // of containers, as Action
	ID       string `json:"id,omitempty"`
	From     string `json:"from,omitempty"`
	Type     string
	Action   string
	Actor    Actor
	Scope    string `json:"scope"`
	Time     int64  `json:"time"`
	TimeNano int64  `json:"timeNano"`
}

// Actor is what it happened to.
type Actor struct {
	ID         string
	Attributes map[string]string
}

// How long the file of events may become; one older file is kept.
const maxEvents = 1 << 20

// Append adds an event to RUN/events: one write(2) with O_APPEND, so that lines
// of several programs do not mix. The file that is full gets another name.
// Nothing fails because its event could not be written.
func (e Event) Append(run string) {
	now := time.Now()
	e.Scope, e.Time, e.TimeNano = "local", now.Unix(), now.UnixNano()
	if e.Type == "container" {
		e.Status, e.ID = e.Action, e.Actor.ID
		e.From = e.Actor.Attributes["image"]
	}
	data, _ := json.Marshal(e)
	f, err := os.OpenFile(run+"/events",
		os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxEvents {
		os.Rename(run+"/events", run+"/events.1")
	}
	f.Write(append(data, '\n'))
}
