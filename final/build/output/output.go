// Package output puts what several say at the same time one after the other.
package output

import (
	"bytes"
	"io"
	"sync"
)

// Output is where it goes: the first part that has not ended is seen at once,
// the others wait.
type Output struct {
	lock  sync.Mutex
	turn  *sync.Cond // somebody has ended
	to    io.Writer
	parts []*Part
	at    int // whose turn it is
}

// Part is what one of them says.
type Part struct {
	*Output
	number int
	held   bytes.Buffer
	ended  bool
}

// mostHeld is how much may wait. Who says more waits as well, so he must not be
// one that an earlier part waits for.
const mostHeld = 1 << 20

// New makes one without parts.
func New(to io.Writer) *Output {
	o := &Output{to: to}
	o.turn = sync.NewCond(&o.lock)
	return o
}

// Part is one more, the next in the order.
func (o *Output) Part() *Part {
	o.lock.Lock()
	defer o.lock.Unlock()
	p := &Part{Output: o, number: len(o.parts)}
	o.parts = append(o.parts, p)
	return p
}

func (p *Part) Write(text []byte) (int, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	for p.at < p.number && p.held.Len() > mostHeld {
		p.turn.Wait()
	}
	if p.at < p.number {
		return p.held.Write(text)
	}
	p.to.Write(text) // who no longer listens does not stop a build
	return len(text), nil
}

// Finish lets the next ones speak.
func (p *Part) Finish() {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.ended = true
	for p.at < len(p.parts) && p.parts[p.at].ended {
		if p.at++; p.at < len(p.parts) {
			next := p.parts[p.at]
			next.held.WriteTo(p.to)
		}
	}
	p.turn.Broadcast()
}
