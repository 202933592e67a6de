package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strings"

	"container-workshop/final/cgroups"
	"container-workshop/final/engine"
	"container-workshop/final/network"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// pairsOf reads --label KEY=VALUE and --opt KEY=VALUE.
func pairsOf(list []string) map[string]string {
	m := map[string]string{}
	for _, text := range list {
		key, value, _ := strings.Cut(text, "=")
		m[key] = value
	}
	return m
}

func networkCommands() []*cli.Command {
	var o network.Options
	var a engine.Attachment
	var labels, options []string
	plug := func(name, usage string, flags []cli.Flag, do func(*engine.Engine,
		*engine.Container, string) error) *cli.Command {
		return command(name, "NETWORK CONTAINER", usage, 2, 2, flags,
			func(c *cli.Context, e *engine.Engine) error {
				n, err := e.Networks.Get(c.Args().First())
				if err != nil {
					return err
				}
				b, err := e.Find(c.Args().Get(1))
				if err == nil {
					err = do(e, b, n.Name)
				}
				if err == nil {
					e.Event("network", name, n.ID, "container", b.ID)
				}
				return err
			})
	}
	return []*cli.Command{
		command("create", "NETWORK", "make a network", 1, 1, []cli.Flag{
			text(&o.Driver, "driver,d", "`DRIVER`: bridge"),
			text(&o.Subnet, "subnet", "addresses `CIDR`"),
			text(&o.Gateway, "gateway", "`ADDRESS` of the bridge"),
			text(&o.IPRange, "ip-range", "only hand out `CIDR`"),
			yes(&o.Internal, "internal", "without a way out"),
			many(&labels, "label", "remember `KEY=VALUE`"),
			many(&options, "opt,o", "driver option `KEY=VALUE`")},
			func(c *cli.Context, e *engine.Engine) error {
				o.Name = c.Args().First()
				o.Labels, o.Options = pairsOf(labels), pairsOf(options)
				return createNetwork(e, o)
			}),
		command("ls,list", "", "list networks", 0, 0,
			listFlags("id name driver type label"), listNetworks),
		inspectCommand("network"),
		command("rm,remove", "NETWORK...", "remove networks", 1, -1, nil,
			func(c *cli.Context, e *engine.Engine) error {
				return each(c, e, "network", e.Networks.Remove)
			}),
		plug("connect", "connect a container", []cli.Flag{
			text(&a.IP, "ip", "have `ADDRESS`"),
			many(&a.Aliases, "alias", "have `NAME` there, too")},
			func(e *engine.Engine, b *engine.Container, name string) error {
				a.Network = name
				return e.Connect(b, a)
			}),
		plug("disconnect", "disconnect a container", nil,
			func(e *engine.Engine, b *engine.Container, name string) error {
				return e.Disconnect(b, name)
			}),
	}
}

func listNetworks(c *cli.Context, e *engine.Engine) error {
	all, err := e.Networks.List()
	var rows []row
	for _, n := range all {
		kind := "custom"
		if engine.Predefined(n.Name) {
			kind = "builtin"
		}
		rows = append(rows, row{"ID": short(n.ID, c), "Name": n.Name,
			"Driver": n.Driver, "Scope": "local", "Labels": strings.Join(
				pairs(n.Labels), ","), "Internal": fmt.Sprint(n.Internal),
			"CreatedAt": n.Created.Local().Format(clock), "id": n.ID,
			"name": n.Name, "driver": n.Driver, "type": kind,
			"label": strings.Join(pairs(n.Labels), "\n")})
	}
	return join(show(c, "NETWORK ID=ID|NAME=Name|DRIVER=Driver|SCOPE=Scope",
		rows), []error{err})
}

func volumeCommands() []*cli.Command {
	var v engine.Volume
	var labels, options []string
	return []*cli.Command{
		command("create", "[VOLUME]", "make a volume", 0, 1, []cli.Flag{
			text(&v.Driver, "driver,d", "`DRIVER`: local"),
			text(&v.Name, "name", "call it `NAME`"),
			many(&labels, "label", "remember `KEY=VALUE`"),
			many(&options, "opt,o", "driver option")},
			func(c *cli.Context, e *engine.Engine) error {
				v.Name = cmp.Or(c.Args().First(), v.Name)
				v.Labels, v.Options = pairsOf(labels), pairsOf(options)
				made, _, err := e.CreateVolume(v)
				if err == nil {
					fmt.Println(made.Name)
					e.Event("volume", "create", made.Name)
				}
				return err
			}),
		command("ls,list", "", "list volumes", 0, 0, listFlags(
			"name driver dangling label"), listVolumes),
		inspectCommand("volume"),
		command("rm,remove", "VOLUME...", "remove volumes", 1, -1,
			[]cli.Flag{yes(nil, "force,f", "it is no error if there is none")},
			func(c *cli.Context, e *engine.Engine) error {
				return each(c, e, "volume", func(name string) error {
					_, gone := e.Volume(name)
					if gone != nil && c.Bool("force") {
						return nil
					}
					return e.RemoveVolume(name)
				})
			}),
		pruner("volumes that no container uses", yes(nil, "all,a",
			"also those with a name"), func(c *cli.Context,
			e *engine.Engine) (p engine.Pruned, err error) {
			p.Volumes, p.Freed, err = e.PruneVolumes(c.Bool("all"))
			return p, err
		}),
	}
}

func listVolumes(c *cli.Context, e *engine.Engine) error {
	all, bad := e.Volumes()
	var rows []row
	for _, v := range all {
		rows = append(rows, row{"Name": v.Name, "Driver": v.Driver,
			"Scope": "local", "Mountpoint": v.Mountpoint,
			"Labels": strings.Join(pairs(v.Labels), ","),
			"name":   v.Name, "driver": v.Driver,
			"dangling": fmt.Sprint(len(e.VolumeUsers(v.Name)) == 0),
			"label":    strings.Join(pairs(v.Labels), "\n")})
	}
	columns := "DRIVER=Driver|VOLUME NAME=Name"
	if c.Bool("quiet") {
		columns = "VOLUME NAME=Name"
	}
	return join(show(c, columns, rows), bad)
}

// pruner is a command that asks, unless it was told not to, and prunes.
func pruner(what string, flag cli.Flag, prune func(*cli.Context,
	*engine.Engine) (engine.Pruned, error)) *cli.Command {
	return command("prune", "", "remove "+what, 0, 0, []cli.Flag{flag,
		yes(nil, "volumes", "and anonymous volumes"),
		yes(nil, "force,f", "do not ask")},
		func(c *cli.Context, e *engine.Engine) error {
			if !c.Bool("force") {
				fmt.Printf("WARNING! This will remove all %s.\nAre you sure "+
					"you want to continue? [y/N] ", what)
				answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
				if !strings.EqualFold(strings.TrimSpace(answer), "y") {
					return nil
				}
			}
			p, err := prune(c, e)
			for i, names := range [][]string{p.Containers, p.Networks,
				p.Volumes, p.Images} {
				if len(names) > 0 {
					fmt.Println("Deleted " + []string{"Containers", "Networks",
						"Volumes", "Images"}[i] + ":\n" +
						strings.Join(names, "\n") + "\n")
				}
			}
			fmt.Println("Total reclaimed space:", size(p.Freed))
			return err
		})
}

func systemCommands() []*cli.Command {
	return []*cli.Command{infoCommand(),
		group("system", "all of it", []*cli.Command{dfCommand(), infoCommand(),
			eventsCommand(), pruner("stopped containers, unused networks and "+
				"images", yes(nil, "all,a", "also images with a name"),
				func(c *cli.Context, e *engine.Engine) (engine.Pruned, error) {
					return e.Prune(c.Bool("all"), c.Bool("volumes"))
				})}),
		command("version", "", "say which version this is", 0, 0, []cli.Flag{
			text(nil, "format,f", "json, or a `TEMPLATE`")},
			func(c *cli.Context, _ *engine.Engine) error {
				return printRow(os.Stdout, cmp.Or(c.String("format"),
					"minidocker\n Version:    {{.Version}}\n Go version: "+
						"{{.GoVersion}}\n OS/Arch:    {{.Os}}/{{.Arch}}"),
					row{"Version": Version, "GoVersion": runtime.Version(),
						"Os": runtime.GOOS, "Arch": runtime.GOARCH})
			}),
		command("completion", "bash|zsh|fish", "print what a shell needs to "+
			"complete words", 1, 1, nil, completion),
	}
}

// dfCommand adds up sizes.
func dfCommand() *cli.Command {
	return command("df", "", "show what is on the disk", 0, 0,
		[]cli.Flag{formatFlag()},
		func(c *cli.Context, e *engine.Engine) error {
			uses, err := e.DiskUsage()
			var rows []row
			for _, u := range uses {
				rows = append(rows, row{"Type": u.Type, "Size": size(u.Bytes),
					"TotalCount": fmt.Sprint(u.Count),
					"Active":     fmt.Sprint(u.Active),
					"Reclaimable": fmt.Sprintf("%s (%d%%)", size(u.Free),
						u.Free*100/max(u.Bytes, 1))})
			}
			return join(show(c, "TYPE=Type|TOTAL=TotalCount|ACTIVE=Active|"+
				"SIZE=Size|RECLAIMABLE=Reclaimable", rows), []error{err})
		})
}

const infoText = `Containers: {{.Containers}}
 Running: {{.ContainersRunning}}
 Paused: {{.ContainersPaused}}
 Stopped: {{.ContainersStopped}}
Images: {{.Images}}
Server Version: {{.ServerVersion}}
Storage Driver: {{.Driver}}
Cgroup Version: {{.CgroupVersion}}
Kernel Version: {{.KernelVersion}}
Architecture: {{.Architecture}}
CPUs: {{.NCPU}}
Total Memory: {{.MemTotal}} bytes
Root Dir: {{.DockerRootDir}}
State Dir: {{.StateDir}}
Rootless: {{.Rootless}}`

func infoCommand() *cli.Command {
	return command("info", "", "say what this machine and the engine are", 0, 0,
		[]cli.Flag{text(nil, "format,f", "json, or a `TEMPLATE`")},
		func(c *cli.Context, e *engine.Engine) error {
			boxes, bad := e.List()
			states := map[string]int{}
			for _, b := range boxes {
				states[b.State.Status]++
			}
			uses, err := e.DiskUsage()
			version := "1"
			if cgroups.V2() {
				version = "2"
			}
			var host unix.Utsname
			unix.Uname(&host)
			images := 0
			if len(uses) > 0 {
				images = uses[0].Count
			}
			format := cmp.Or(c.String("format"), infoText)
			return join(printRow(os.Stdout, format,
				object{"ServerVersion": Version, "Containers": len(boxes),
					"ContainersRunning": states["running"], "Images": images,
					"ContainersPaused": states["paused"],
					"ContainersStopped": len(boxes) - states["running"] -
						states["paused"], "Driver": "overlay2",
					"OSType":        "linux",
					"CgroupVersion": version, "Architecture": runtime.GOARCH,
					"KernelVersion": unix.ByteSliceToString(host.Release[:]),
					"NCPU":          runtime.NumCPU(),
					"MemTotal":      engine.Memory(),
					"DockerRootDir": e.Data, "StateDir": e.Run,
					"Rootless": e.Rootless}), append(bad, err))
		})
}

const bashCompletion = `_minidocker() {
  COMPREPLY=($(compgen -W "$("${COMP_WORDS[@]:0:$COMP_CWORD}" \
    --generate-bash-completion 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _minidocker minidocker
`

const zshCompletion = `#compdef minidocker
_minidocker() {
  local -a words_; words_=("${(@f)$("${(@)words[1,$CURRENT-1]}" \
    --generate-bash-completion 2>/dev/null)}")
  compadd -- "${(@)words_%%:*}" || _files
}
compdef _minidocker minidocker
`

// completion prints scripts that ask us for the words.
func completion(c *cli.Context, _ *engine.Engine) error {
	fish, err := c.App.ToFishCompletion()
	script, ok := map[string]string{"bash": bashCompletion,
		"zsh": zshCompletion, "fish": fish}[c.Args().First()]
	if !ok {
		return fmt.Errorf("no completion for %q: bash, zsh or fish",
			c.Args().First())
	}
	fmt.Print(script)
	return err
}

func createNetwork(e *engine.Engine, o network.Options) error {
	n, err := e.Networks.Create(o)
	if err != nil {
		return err
	}
	for _, text := range e.Networks.Warnings(n.ID) {
		warn(text)
	}
	fmt.Println(n.ID)
	e.Event("network", "create", n.ID, "name", n.Name)
	return nil
}
