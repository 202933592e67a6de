package monitor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// State is what changes while a container lives: the key State of its
// container.json. Processes are known by PID and start time, for the kernel
// gives PIDs out again.
type State struct {
	Status       string // created running paused restarting exited
	Pid          int
	PidStart     uint64
	Monitor      int
	MonitorStart uint64
	ExitCode     int
	OOMKilled    bool
	Error        string
	StartedAt    time.Time
	FinishedAt   time.Time
	Restart      string // no always unless-stopped on-failure[:N]
	RestartCount int
	Backoff      int  // restarts since it last ran for ten seconds
	Stopped      bool // by hand: no restart
}

// Running says whether the container counts as running, as Docker does.
func (s *State) Running() bool {
	return s.Status == "running" || s.Status == "paused" ||
		s.Status == "restarting"
}

// Ended records how a container ended, and says whether its policy wants it
// again and after how long: 0.1 s, twice as long each time, at most a minute.
func (s *State) Ended(code int, oom bool) (again bool, delay time.Duration) {
	s.Status, s.Pid, s.PidStart = "exited", 0, 0
	s.ExitCode, s.OOMKilled, s.FinishedAt = code, oom, time.Now().UTC()
	if s.Stopped || !s.wanted() {
		return false, 0
	}
	if s.FinishedAt.Sub(s.StartedAt) > 10*time.Second {
		s.Backoff = 0
	}
	delay = min(100*time.Millisecond<<min(s.Backoff, 10), time.Minute)
	s.Status = "restarting"
	s.RestartCount++
	s.Backoff++
	return true, delay
}

func (s *State) wanted() bool {
	policy, count, limited := strings.Cut(s.Restart, ":")
	n, _ := strconv.Atoi(count)
	return policy == "always" || policy == "unless-stopped" ||
		policy == "on-failure" && s.ExitCode != 0 &&
			(!limited || n == 0 || s.RestartCount < n)
}

// StartTime is when a process started, in ticks since the boot: field 22 of
// proc_pid_stat(5). It is 0 when there is no such process, or only a zombie.
func StartTime(pid int) uint64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The name in field 2 may hold spaces and brackets.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if err != nil || pid <= 0 || len(fields) < 20 || fields[0][0] == 'Z' ||
		fields[0][0] == 'X' {
		return 0
	}
	n, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return n
}

// Alive says whether the process is still the one that started then.
func Alive(pid int, start uint64) bool {
	return start != 0 && StartTime(pid) == start
}

// Lock takes the one lock of all containers' records; dir has all of them.
func Lock(dir string) (unlock func(), err error) {
	return LockFile(filepath.Join(dir, ".lock"), true)
}

// LockFile takes a lock that the kernel releases whatever becomes of us,
// flock(2). If another has it, it waits or fails with EWOULDBLOCK.
func LockFile(name string, wait bool) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(f.Fd()), how)
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "flock", Path: name, Err: err}
	}
	return func() { f.Close() }, nil
}

// Write replaces a file by v as JSON. Who reads it sees the old file or the
// new one, and a disk that is full leaves the old one: rename(2).
func Write(file string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d", file, os.Getpid())
	err = os.WriteFile(tmp, data, 0o600)
	if err == nil {
		err = os.Rename(tmp, file)
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}

// Update changes the state in dir/container.json under the lock, and leaves
// the other keys as they are: only the engine knows them.
func Update(dir string, change func(s *State) error) error {
	unlock, err := Lock(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer unlock()
	file := filepath.Join(dir, "container.json")
	keys, state := map[string]json.RawMessage{}, State{}
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &keys)
	}
	if err == nil {
		err = json.Unmarshal(keys["State"], &state)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if err = change(&state); err == nil {
		keys["State"], err = json.Marshal(state)
	}
	if err == nil {
		err = Write(file, keys)
	}
	return err
}

// Read reads the state in a container.json.
func Read(file string) (s State, err error) {
	var record struct{ State *State }
	data, err := os.ReadFile(file)
	if err == nil {
		record.State = &s
		err = json.Unmarshal(data, &record)
	}
	return s, err
}
