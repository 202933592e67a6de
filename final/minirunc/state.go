package minirunc

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"golang.org/x/sys/unix"

	"container-workshop/final/capabilities"
	"container-workshop/final/runtime"
)

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

func describe(c *runtime.Container) described {
	return described{c.State(), c.Rootfs, c.Created, strconv.Itoa(c.Owner)}
}

func state(_ *options, c *runtime.Container, _ []string) error {
	return printJSON(describe(c), "  ")
}

func printFlags(f *flag.FlagSet, o *options) {
	both(f, &o.format, "format", "f", "table or json")
	bothBool(f, &o.quiet, "quiet", "q", "IDs only")
}

func list(o *options, _ []string) error {
	found, err := runtime.List(o.Root)
	if err != nil {
		return err
	}
	all := []described{}
	for _, c := range found {
		all = append(all, describe(c))
	}
	if o.format == "json" {
		return printJSON(all, "")
	}
	w := tabwriter.NewWriter(os.Stdout, 12, 1, 3, ' ', 0)
	if !o.quiet {
		fmt.Fprintln(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER")
	}
	for _, d := range all {
		fmt.Fprint(w, d.ID)
		if !o.quiet {
			fmt.Fprintf(w, "\t%d\t%s\t%s\t%s\t%s", d.Pid, d.Status, d.Bundle,
				d.Created.Format(time.RFC3339Nano), d.Owner)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func allFlag(f *flag.FlagSet, o *options) {
	bothBool(f, &o.all, "all", "a", "to all processes")
}

// kill takes numbers and names, with SIG or without.
func kill(o *options, c *runtime.Container, args []string) error {
	name := strings.ToUpper(strings.Join(args, " "))
	if name == "" {
		name = "TERM"
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		n = int(unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG")))
	}
	if n <= 0 || n > 64 {
		return fmt.Errorf("unknown signal %q", name)
	}
	return c.Kill(unix.Signal(n), o.all)
}

func forceFlag(f *flag.FlagSet, o *options) {
	bothBool(f, &o.force, "force", "f", "kill it first")
}

func remove(o *options, c *runtime.Container, _ []string) error {
	return c.Delete(o.force)
}

// ps prints those lines of ps(1) that are about the container.
func ps(o *options, c *runtime.Container, args []string) error {
	pids, err := c.Processes()
	if err != nil {
		return err
	}
	if o.format == "json" {
		return printJSON(append([]int{}, pids...), "")
	}
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	out, err := exec.Command("ps", args...).Output()
	if err != nil {
		return fmt.Errorf("ps %s: %w", strings.Join(args, " "), err)
	}
	column := -1
	for line := range strings.Lines(string(out)) {
		f, pid := strings.Fields(line), 0
		if column < 0 {
			if column = slices.Index(f, "PID"); column < 0 {
				return errors.New("ps: no column PID")
			}
			fmt.Print(line)
		} else if column < len(f) {
			pid, _ = strconv.Atoi(f[column])
		}
		if pid != 0 && slices.Contains(pids, pid) {
			fmt.Print(line)
		}
	}
	return nil
}

// updateFlags puts each value where it is in the JSON of --resources.
func updateFlags(f *flag.FlagSet, o *options) {
	both(f, &o.resources, "resources", "r", "JSON `FILE`; -: standard input")
	o.limits = map[string]map[string]any{}
	for _, l := range [][3]string{{"memory", "memory", "limit"},
		{"memory-reservation", "memory", "reservation"},
		{"memory-swap", "memory", "swap"}, {"cpu-share", "cpu", "shares"},
		{"cpu-quota", "cpu", "quota"}, {"cpu-period", "cpu", "period"},
		{"cpuset-cpus", "cpu", "cpus"}, {"cpuset-mems", "cpu", "mems"},
		{"pids-limit", "pids", "limit"},
		{"blkio-weight", "blockIO", "weight"}} {
		f.Func(l[0], l[1]+"."+l[2], func(s string) error {
			if o.limits[l[1]] == nil {
				o.limits[l[1]] = map[string]any{}
			}
			o.limits[l[1]][l[2]] = s
			if _, err := strconv.Atoi(s); err == nil && l[0][:4] != "cpus" {
				o.limits[l[1]][l[2]] = json.Number(s)
			}
			return nil
		})
	}
}

func update(o *options, c *runtime.Container, _ []string) (err error) {
	data, err := json.Marshal(o.limits)
	if o.resources == "-" {
		data, err = io.ReadAll(os.Stdin)
	} else if o.resources != "" {
		data, err = os.ReadFile(o.resources)
	}
	r := &specs.LinuxResources{}
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err != nil {
		return fmt.Errorf("resources: %w", err)
	}
	return c.Update(r)
}

func eventFlags(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.stats, "stats", false, "statistics, once")
	f.DurationVar(&o.interval, "interval", 5*time.Second, "between two lines")
}

// events prints a line of JSON each time, until the container has stopped.
func events(o *options, c *runtime.Container, _ []string) error {
	type event struct {
		Type string `json:"type"`
		ID   string `json:"id"`
		Data any    `json:"data,omitempty"`
	}
	stop := make(chan struct{})
	defer close(stop)
	if !o.stats {
		go c.Cgroup().OOM(stop, func() {
			printJSON(event{Type: "oom", ID: c.ID}, "")
		})
	}
	for c.Pid() != 0 {
		stats, err := c.Cgroup().Stats()
		if err == nil {
			err = printJSON(event{"stats", c.ID, stats}, "")
		}
		if err != nil || o.stats {
			return err
		}
		time.Sleep(o.interval)
	}
	if o.stats {
		return fmt.Errorf("%s: %w", c.ID, runtime.ErrNotRunning)
	}
	return nil
}

func printFeatures(*options, []string) error {
	yes, no := true, false
	text, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	armored := strings.HasPrefix(string(text), "Y")
	return printJSON(features.Features{OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks: []string{"prestart", "createRuntime", "createContainer",
			"startContainer", "poststart", "poststop"},
		Linux: &features.Linux{
			Namespaces: []string{"cgroup", "ipc", "mount", "network", "pid",
				"time", "user", "uts"},
			Capabilities: capabilities.All(),
			Cgroup:       &features.Cgroup{V1: &yes, V2: &yes, Systemd: &no},
			Seccomp:      &features.Seccomp{Enabled: &yes},
			Apparmor:     &features.Apparmor{Enabled: &armored},
			Selinux:      &features.Selinux{Enabled: &no},
			IntelRdt:     &features.IntelRdt{Enabled: &no},
		}}, "    ")
}
