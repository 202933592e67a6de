package monitor

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"container-workshop/final/journal"
	"container-workshop/final/network/names"
	"container-workshop/final/runtime"
	"container-workshop/final/terminal"

	"golang.org/x/sys/unix"
)

// Name is argv[0] of a monitor.
const Name = "minidocker-monitor"

// Config is what the engine tells a monitor, in its first frame.
type Config struct {
	ID, Dir, Run  string // Dir holds container.json, Run is the bundle
	Root          string // of the runtime
	Rootless      bool
	TTY           bool
	Width, Height uint16 // of the terminal
	OpenStdin     bool   // else the container reads /dev/null
	StdinOnce     bool   // who started it is the only one to write
	Log           string
	LogSize       int64 // bytes; 0 is no limit
	LogFiles      int
	Owner         bool     // who started it stays, and cleans up
	Cleanup       []string // our arguments to clean up; none if needless
	Restart       []string // our arguments to start it again
	Restarted     bool     // by the policy, not by hand
	DNS           *names.Server
	Attributes    map[string]string // of events
}

type server struct {
	Config
	container *runtime.Container
	input     *os.File // the container's stdin: a pipe or the terminal
	outputs   sync.WaitGroup
	done      chan bool // whether the owner cleans up

	mu      sync.Mutex // of what follows, and of what is sent to clients
	log     *journal.Writer
	clients map[*os.File]bool
}

// A monitor starts before the packages that only the command line needs are
// initialised: this one depends on few, and Go takes the ready packages in the
// order of their paths. That is its speed and its size in memory.
func init() {
	if os.Args[0] != Name {
		begin(os.Args[1:])
		return
	}
	if len(os.Args) > 1 { // drain: see leave in package engine
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	} else {
		os.Exit(serve(socketFile(3)))
	}
}

// serve is a monitor's life. Descriptor 3 is a socket to the engine, and those
// above it are the host's ports that the container publishes: to hold them is
// all it takes.
func serve(engine *os.File) int {
	unix.CloseRange(4, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	s := &server{clients: map[*os.File]bool{}, done: make(chan bool, 1)}
	kind, data, err := Receive(engine)
	if err == nil && kind == Create {
		err = json.Unmarshal(data, &s.Config)
	}
	// The container's orphans become our children, and end as such.
	err = cmp.Or(err, os.Chdir("/"),
		unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	if err == nil {
		err = s.create(func(pid int) { SendJSON(engine, Created, pid) })
	}
	if err == nil {
		if kind, _, _ = Receive(engine); kind == Start {
			err = s.start(engine)
		}
	}
	if err != nil || kind != Start {
		if s.container != nil {
			s.container.Delete(true)
		}
		os.RemoveAll(s.Run)
		if err != nil {
			SendJSON(engine, Failed, failure(err))
		}
		return 125
	}
	return s.finish(s.wait())
}

// failure finds the exit status of an error: Docker's convention.
func failure(err error) *Failure {
	code := 125
	var failed *runtime.Error
	if errors.As(err, &failed) {
		code = failed.Code
	}
	return &Failure{err.Error(), code}
}

// create makes the container, whose process then waits for start; begun is told
// its PID already when there are its namespaces.
func (s *server) create(begun func(pid int)) (err error) {
	if s.log, err = journal.Open(s.Log, s.LogSize, s.LogFiles); err != nil {
		return err
	}
	o := runtime.Options{Root: s.Root, Bundle: s.Run, Rootless: s.Rootless,
		Begun: begun}
	if s.TTY {
		return s.createTerminal(o)
	}
	var out, errs *os.File
	if out, o.Stdout, err = os.Pipe(); err != nil {
		return err
	}
	if errs, o.Stderr, err = os.Pipe(); err != nil {
		return err
	}
	if s.OpenStdin {
		o.Stdin, s.input, err = os.Pipe()
	} else {
		o.Stdin, err = os.Open(os.DevNull)
	}
	if err != nil {
		return err
	}
	s.container, err = runtime.Create(s.ID, o)
	o.Stdin.Close()
	o.Stdout.Close()
	o.Stderr.Close()
	if err == nil {
		s.outputs.Add(2)
		go s.relay(out, Stdout, "stdout")
		go s.relay(errs, Stderr, "stderr")
	}
	return err
}

// createTerminal makes the container with a terminal, which the container's
// own devpts gives and which comes to us through a socket.
func (s *server) createTerminal(o runtime.Options) error {
	pair, err := unix.Socketpair(unix.AF_UNIX,
		unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	ours := os.NewFile(uintptr(pair[0]), "console")
	defer ours.Close()
	o.Console = os.NewFile(uintptr(pair[1]), "console")
	s.container, err = runtime.Create(s.ID, o)
	o.Console.Close()
	if err == nil {
		s.input, err = terminal.ReceiveFD(ours)
	}
	if err == nil {
		if s.Width > 0 && s.Height > 0 {
			terminal.Resize(s.input, s.Width, s.Height)
		}
		s.outputs.Add(1)
		go s.relay(s.input, Stdout, "stdout")
	}
	return err
}

// start lets the container go. The engine's socket becomes the first client.
func (s *server) start(engine *os.File) error {
	listener, err := listen(s.Run)
	if err != nil {
		return err
	}
	if s.DNS != nil {
		sandbox := fmt.Sprintf("/proc/%d/ns/net", s.container.InitPid)
		if err := s.DNS.Serve(sandbox); err != nil {
			return err
		}
	}
	s.mu.Lock() // the container's first output comes after Started
	defer s.mu.Unlock()
	if err := s.container.Start(); err != nil {
		return err
	}
	pid := s.container.InitPid
	err = Update(s.Dir, func(st *State) error {
		if !s.Restarted {
			st.RestartCount, st.Backoff, st.Stopped = 0, 0, false
		} else if st.Stopped {
			return errors.New("the container has been stopped")
		}
		st.Status, st.Pid, st.PidStart = "running", pid, StartTime(pid)
		st.Monitor = os.Getpid()
		st.MonitorStart = StartTime(st.Monitor)
		st.ExitCode, st.OOMKilled, st.Error = 0, false, ""
		st.StartedAt, st.FinishedAt = time.Now().UTC(), time.Time{}
		return nil
	})
	if err == nil {
		err = Send(engine, Started, nil)
	}
	s.clients[engine] = true
	go s.serveClient(engine, true)
	go s.accept(listener)
	return err
}

// wait reaps what ends here until it is the init process.
func (s *server) wait() unix.WaitStatus {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		if err == unix.ECHILD || pid == s.container.InitPid {
			return ws
		}
	}
}

// finish records the end and tells those who are attached. Nothing is left of
// the container then but its directory, its name and its address, and these
// are for the owner, if it is still there, or for another of our programs.
func (s *server) finish(ws unix.WaitStatus) int {
	oom, _ := s.container.Cgroup().OOMKills()
	s.container.Delete(true)
	s.drain()
	os.RemoveAll(s.Run)
	code := ws.ExitStatus()
	if ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	var again bool
	var delay time.Duration
	Update(s.Dir, func(st *State) error {
		again, delay = st.Ended(code, oom > 0)
		return nil
	})
	if oom > 0 {
		s.event("oom")
	}
	s.Attributes["exitCode"] = strconv.Itoa(code)
	s.event("die")
	s.mu.Lock()
	for client := range s.clients {
		SendJSON(client, Exit, code)
	}
	s.mu.Unlock()
	if s.Owner && <-s.done {
		return 0
	}
	if again && s.sleep(delay) {
		s.become(s.Restart)
	} else if len(s.Cleanup) > 0 {
		s.become(s.Cleanup)
	}
	return 0
}

func (s *server) event(action string) {
	event := journal.Event{Type: "container", Action: action,
		Actor: journal.Actor{ID: s.ID, Attributes: s.Attributes}}
	event.Append(filepath.Dir(s.Run))
}

// become turns this process into the command that goes on: execve(2). It stays
// the container's monitor for those who ask whether that is alive.
func (s *server) become(args []string) {
	unix.Exec("/proc/self/exe", append([]string{"minidocker"}, args...),
		os.Environ())
}

// sleep waits before a restart. It says no when somebody has stopped or
// removed the container in the meantime.
func (s *server) sleep(delay time.Duration) bool {
	for end := time.Now().Add(delay); ; time.Sleep(50 * time.Millisecond) {
		state, err := Read(filepath.Join(s.Dir, "container.json"))
		if err != nil || state.Stopped || state.Status != "restarting" {
			return false
		}
		if time.Now().After(end) {
			return true
		}
	}
}
