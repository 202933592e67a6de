package monitor

import (
	"os"
	"testing"
	"time"
)

func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		policy      string
		code, count int
		stopped     bool
		want        bool
	}{
		{"no", 1, 0, false, false}, {"", 1, 0, false, false},
		{"always", 0, 5, false, true}, {"always", 0, 0, true, false},
		{"unless-stopped", 1, 0, false, true},
		{"on-failure", 0, 0, false, false}, {"on-failure", 1, 9, false, true},
		{"on-failure:2", 1, 1, false, true},
		{"on-failure:2", 1, 2, false, false},
	} {
		s := State{Restart: c.policy, RestartCount: c.count, Stopped: c.stopped}
		if got, _ := s.Ended(c.code, false); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	s := State{Restart: "always", StartedAt: time.Now()}
	var delays []time.Duration
	for range 12 {
		_, delay := s.Ended(0, false)
		delays = append(delays, delay)
	}
	if delays[0] != 100*time.Millisecond || delays[1] != 200*time.Millisecond ||
		delays[11] != time.Minute {
		t.Error(delays)
	}
}

func TestAlive(t *testing.T) {
	me := StartTime(os.Getpid())
	if me == 0 || !Alive(os.Getpid(), me) || Alive(os.Getpid(), me+1) ||
		Alive(0, 0) || Alive(-1, 1) {
		t.Error(me)
	}
}

// Update changes the state and nothing else, and a failure changes nothing.
func TestUpdate(t *testing.T) {
	dir := t.TempDir() + "/id"
	os.Mkdir(dir, 0o700)
	file := dir + "/container.json"
	err := Write(file, map[string]any{"Name": "n", "State": State{Pid: 1}})
	if err != nil {
		t.Fatal(err)
	}
	err = Update(dir, func(s *State) error { s.Pid = 2; return nil })
	s, bad := Read(file)
	if err != nil || bad != nil || s.Pid != 2 {
		t.Error(s, err, bad)
	}
	if Update(dir, func(*State) error { return os.ErrInvalid }) == nil {
		t.Error("no error")
	}
	os.WriteFile(file, []byte("{"), 0o600)
	if Update(dir, func(*State) error { return nil }) == nil {
		t.Error("no error for half a file")
	}
}
