package output

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Whatever the order of the writes, the output has that of the parts, also when
// a later one has more to say than may wait.
func TestOrder(t *testing.T) {
	var out bytes.Buffer
	o := New(&out)
	var wait sync.WaitGroup
	want := ""
	for i := range 5 {
		part := o.Part()
		line := strings.Repeat(fmt.Sprint(i), 999) + "\n"
		want += strings.Repeat(line, 3000)
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range 3000 {
				if n, err := part.Write([]byte(line)); n != 1000 || err != nil {
					t.Error(n, err)
				}
			}
			part.Finish()
		}()
	}
	wait.Wait()
	if out.String() != want {
		t.Error("the parts are mixed up")
	}
}
