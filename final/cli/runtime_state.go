package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"container-workshop/final/capabilities"
	"container-workshop/final/runtime"
)

func stateVerbs() []*cli.Command {
	format := &cli.StringFlag{Name: "format", Aliases: []string{"f"},
		Value: "table", Usage: "table or json"}
	return []*cli.Command{
		verb("state", "", "print the state as JSON", nil,
			func(_ *cli.Context, box *runtime.Container) error {
				return printJSON(info(box), "  ")
			}),
		verb("kill", "[SIGNAL]", "send a signal, TERM if none is given",
			[]cli.Flag{&cli.BoolFlag{Name: "all", Aliases: []string{"a"},
				Usage: "to all processes"}}, kill),
		verb("delete", "", "remove what is left of a container",
			[]cli.Flag{&cli.BoolFlag{Name: "force", Aliases: []string{"f"},
				Usage: "kill it first"}},
			func(c *cli.Context, box *runtime.Container) error {
				return box.Delete(c.Bool("force"))
			}),
		verb("pause", "", "freeze all processes", nil,
			func(_ *cli.Context, box *runtime.Container) error {
				return box.Pause()
			}),
		verb("resume", "", "let them go on", nil,
			func(_ *cli.Context, box *runtime.Container) error {
				return box.Resume()
			}),
		verb("ps", "[PS OPTION...]", "list processes",
			[]cli.Flag{format}, processes),
		verb("update", "", "change limits", updateFlags(), update),
		verb("events", "", "print statistics and out-of-memory events",
			[]cli.Flag{&cli.BoolFlag{Name: "stats", Usage: "once"},
				&cli.DurationFlag{Name: "interval", Value: 5 * time.Second}},
			events),
		{Name: "list", Usage: "list containers", Action: list,
			Flags: []cli.Flag{format, &cli.BoolFlag{Name: "quiet",
				Aliases: []string{"q"}, Usage: "IDs only"}}},
		{Name: "features", Usage: "print what this runtime can do",
			Action: printFeatures},
	}
}

func printJSON(v any, indent string) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", indent)
	return e.Encode(v)
}

// described is runc's form of a state.
type described struct {
	specs.State
	Rootfs  string    `json:"rootfs"`
	Created time.Time `json:"created"`
	Owner   string    `json:"owner"`
}

func info(box *runtime.Container) described {
	return described{box.State(), box.Rootfs, box.Created,
		strconv.Itoa(box.Owner)}
}

func list(c *cli.Context) error {
	boxes, err := runtime.List(c.String("root"))
	if err != nil {
		return err
	}
	all := []described{}
	for _, box := range boxes {
		all = append(all, info(box))
	}
	if c.String("format") == "json" {
		return printJSON(all, "")
	}
	w := tabwriter.NewWriter(os.Stdout, 12, 1, 3, ' ', 0)
	if !c.Bool("quiet") {
		fmt.Fprintln(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER")
	}
	for _, d := range all {
		if c.Bool("quiet") {
			fmt.Fprintln(w, d.ID)
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", d.ID, d.Pid, d.Status,
			d.Bundle, d.Created.Format(time.RFC3339Nano), d.Owner)
	}
	return w.Flush()
}

// kill takes numbers and names, with SIG or without.
func kill(c *cli.Context, box *runtime.Container) error {
	name := c.Args().Get(1)
	if name == "" {
		name = "TERM"
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		name = "SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")
		n = int(unix.SignalNum(name))
	}
	if n <= 0 || n > 64 {
		return fmt.Errorf("unknown signal %q", c.Args().Get(1))
	}
	return box.Kill(unix.Signal(n), c.Bool("all"))
}

// processes prints those lines of ps(1) that are about the container.
func processes(c *cli.Context, box *runtime.Container) error {
	pids, err := box.Processes()
	if err != nil {
		return err
	}
	if c.String("format") == "json" {
		return printJSON(append([]int{}, pids...), "")
	}
	args := c.Args().Tail()
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	out, err := exec.Command("ps", args...).Output()
	if err != nil {
		return fmt.Errorf("ps %s: %w", strings.Join(args, " "), err)
	}
	column := -1
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if column < 0 {
			if column = slices.Index(f, "PID"); column < 0 {
				return errors.New("ps: no column PID")
			}
			fmt.Print(line)
		} else if column < len(f) {
			pid, _ := strconv.Atoi(f[column])
			if slices.Contains(pids, pid) {
				fmt.Print(line)
			}
		}
	}
	return nil
}

func updateFlags() []cli.Flag {
	flags := []cli.Flag{&cli.StringFlag{Name: "resources",
		Aliases: []string{"r"}, Usage: "JSON `FILE`; -: standard input"},
		&cli.StringFlag{Name: "cpuset-cpus"}, &cli.StringFlag{Name: "cpuset-mems"}}
	for _, name := range []string{"memory", "memory-reservation", "memory-swap",
		"cpu-share", "cpu-quota", "cpu-period", "pids-limit", "blkio-weight"} {
		flags = append(flags, &cli.Int64Flag{Name: name})
	}
	return flags
}

func update(c *cli.Context, box *runtime.Container) error {
	r := &specs.LinuxResources{}
	if file := c.String("resources"); file != "" {
		in := os.Stdin
		if file != "-" {
			var err error
			if in, err = os.Open(file); err != nil {
				return err
			}
			defer in.Close()
		}
		if err := json.NewDecoder(in).Decode(r); err != nil {
			return fmt.Errorf("resources %s: %w", file, err)
		}
		return box.Update(r)
	}
	r.Memory = &specs.LinuxMemory{Limit: number64(c, "memory"),
		Reservation: number64(c, "memory-reservation"),
		Swap:        number64(c, "memory-swap")}
	r.CPU = &specs.LinuxCPU{Cpus: c.String("cpuset-cpus"),
		Mems: c.String("cpuset-mems"), Quota: number64(c, "cpu-quota")}
	if n := number64(c, "cpu-share"); n != nil {
		r.CPU.Shares = new(uint64)
		*r.CPU.Shares = uint64(*n)
	}
	if n := number64(c, "cpu-period"); n != nil {
		r.CPU.Period = new(uint64)
		*r.CPU.Period = uint64(*n)
	}
	if n := number64(c, "pids-limit"); n != nil {
		r.Pids = &specs.LinuxPids{Limit: n}
	}
	if n := number64(c, "blkio-weight"); n != nil {
		weight := uint16(*n)
		r.BlockIO = &specs.LinuxBlockIO{Weight: &weight}
	}
	return box.Update(r)
}

func number64(c *cli.Context, name string) *int64 {
	if !c.IsSet(name) {
		return nil
	}
	n := c.Int64(name)
	return &n
}

// events prints a line of JSON each time, until the container has stopped.
func events(c *cli.Context, box *runtime.Container) error {
	type event struct {
		Type string `json:"type"`
		ID   string `json:"id"`
		Data any    `json:"data,omitempty"`
	}
	stop := make(chan struct{})
	defer close(stop)
	if !c.Bool("stats") {
		go box.Cgroup().OOM(stop, func() {
			printJSON(event{Type: "oom", ID: box.ID}, "")
		})
	}
	for box.Pid() != 0 {
		stats, err := box.Cgroup().Stats()
		if err != nil {
			return err
		}
		err = printJSON(event{"stats", box.ID, stats}, "")
		if err != nil || c.Bool("stats") {
			return err
		}
		time.Sleep(c.Duration("interval"))
	}
	if c.Bool("stats") {
		return fmt.Errorf("%s: %w", box.ID, runtime.ErrNotRunning)
	}
	return nil
}

func printFeatures(*cli.Context) error {
	yes, no := true, false
	apparmor, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	armored := strings.HasPrefix(string(apparmor), "Y")
	return printJSON(features.Features{OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks: []string{"prestart", "createRuntime", "createContainer",
			"startContainer", "poststart", "poststop"},
		Linux: &features.Linux{
			Namespaces: []string{"cgroup", "ipc", "mount", "network", "pid",
				"time", "user", "uts"},
			Capabilities: capabilities.All(),
			Cgroup: &features.Cgroup{V1: &yes, V2: &yes, Systemd: &no,
				SystemdUser: &no, Rdma: &no},
			Seccomp:  &features.Seccomp{Enabled: &yes},
			Apparmor: &features.Apparmor{Enabled: &armored},
			Selinux:  &features.Selinux{Enabled: &no},
			IntelRdt: &features.IntelRdt{Enabled: &no},
		}}, "    ")
}
