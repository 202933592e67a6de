package build

import (
	"bytes"
	"io"
	"sync"
)

// output puts what several stages say one after the other, in the order of the
// Dockerfile: the first that has not ended is seen at once, the others wait.
type output struct {
	lock  sync.Mutex
	turn  *sync.Cond // somebody has ended
	to    io.Writer
	parts []*part
	at    int // whose turn it is
}

type part struct {
	*output
	number int
	held   bytes.Buffer
	ended  bool
}

// mostHeld is how much may wait. Who says more waits as well; he is never one
// that an earlier stage needs.
const mostHeld = 1 << 20

func newOutput(to io.Writer) *output {
	o := &output{to: to}
	o.turn = sync.NewCond(&o.lock)
	return o
}

// part is for one more stage, the next in the order.
func (o *output) part() *part {
	o.lock.Lock()
	defer o.lock.Unlock()
	p := &part{output: o, number: len(o.parts)}
	o.parts = append(o.parts, p)
	return p
}

func (p *part) Write(text []byte) (int, error) {
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

// finish lets the next ones speak.
func (p *part) finish() {
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
