package registry

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"container-workshop/final/terminal"

	"github.com/docker/go-units"
)

// Progress shows how far each layer is: on a terminal a line that changes, else
// a line for each step.
type Progress struct {
	out   io.Writer
	width int // of the terminal; 0: there is none
	lock  sync.Mutex
	ids   []string // the lines, from the first
	text  map[string]string
	next  map[string]time.Time // when a bar may move again
}

// NewProgress writes to a file, or, without one, nowhere.
func NewProgress(out *os.File) *Progress {
	p := &Progress{out: io.Discard, text: map[string]string{},
		next: map[string]time.Time{}}
	if out != nil {
		p.out = out
		width, _, err := terminal.Size(out)
		if err == nil && os.Getenv("TERM") != "dumb" {
			p.width = max(int(width), 20)
		}
	}
	return p
}

// Say writes a line that stays.
func (p *Progress) Say(format string, args ...any) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.ids = nil // later bars stand below
	fmt.Fprintf(p.out, format+"\n", args...)
}

// step says what becomes of a layer.
func (p *Progress) step(id, text string) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.width == 0 {
		fmt.Fprintf(p.out, "%s: %s\n", id, text)
		return
	}
	p.show(id, text)
}

// bar shows how much of a layer is done, on a terminal and ten times a second.
func (p *Progress) bar(id, verb string, done, total int64) {
	p.lock.Lock()
	defer p.lock.Unlock()
	now := time.Now()
	if p.width == 0 || now.Before(p.next[id]) {
		return
	}
	p.next[id] = now.Add(100 * time.Millisecond)
	room := max(p.width-len(id)-len(verb)-30, 3)
	full := int(min(done, total) * int64(room) / max(total, 1))
	p.show(id, fmt.Sprintf("%s [%s>%s] %s/%s", verb, strings.Repeat("=", full),
		strings.Repeat(" ", room-full), units.HumanSize(float64(done)),
		units.HumanSize(float64(total))))
}

// show replaces a layer's line: up to it, clear it, write, and down again.
func (p *Progress) show(id, text string) {
	text = id + ": " + text
	text = text[:min(len(text), p.width-1)]
	i := slices.Index(p.ids, id)
	if i < 0 {
		p.ids = append(p.ids, id)
		fmt.Fprintln(p.out, text)
		return
	}
	up := len(p.ids) - i
	fmt.Fprintf(p.out, "\x1b[%dA\r\x1b[K%s\x1b[%dB\r", up, text, up)
}
