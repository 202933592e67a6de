package cli

import (
	"bufio"
	"cmp"
	"errors"
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

// labelMap reads --label KEY=VALUE and --opt KEY=VALUE.
func labelMap(list []string) map[string]string {
	m := map[string]string{}
	for _, text := range list {
		key, value, _ := strings.Cut(text, "=")
		m[key] = value
	}
	return m
}

func networkCommands() []*cli.Command {
	var o network.Options
	var labels, options, filters, aliases []string
	var ip string
	var force bool
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
				o.Labels, o.Options = labelMap(labels), labelMap(options)
				n, err := e.Networks.Create(o)
				if err == nil {
					fmt.Println(n.ID)
					e.Event("network", "create", n.ID, "name", n.Name)
				}
				return err
			}),
		command("ls,list", "", "list networks", 0, 0, listFlags(&filters),
			func(c *cli.Context, e *engine.Engine) error {
				return listNetworks(c, e, filters)
			}),
		inspectCommand("network"),
		command("rm,remove", "NETWORK...", "remove networks", 1, -1, []cli.Flag{
			yes(&force, "force,f", "it is no error if there is none")},
			func(c *cli.Context, e *engine.Engine) error {
				return each(c, func(name string) error {
					err := e.Networks.Remove(name)
					if err == nil {
						e.Event("network", "destroy", name)
					}
					return err
				})
			}),
		command("connect", "NETWORK CONTAINER", "connect a container", 2, 2,
			[]cli.Flag{text(&ip, "ip", "have `ADDRESS`"),
				many(&aliases, "alias", "have `NAME` there, too")},
			func(c *cli.Context, e *engine.Engine) error {
				b, n, err := pair(c, e)
				if err == nil {
					err = e.Connect(b, engine.Attachment{Network: n.Name, IP: ip,
						Aliases: aliases})
				}
				if err == nil {
					e.Event("network", "connect", n.ID, "container", b.ID)
				}
				return err
			}),
		command("disconnect", "NETWORK CONTAINER", "disconnect a container", 2,
			2, []cli.Flag{yes(nil, "force,f", "at any rate")},
			func(c *cli.Context, e *engine.Engine) error {
				b, n, err := pair(c, e)
				if err == nil {
					err = e.Disconnect(b, n.Name)
				}
				if err == nil {
					e.Event("network", "disconnect", n.ID, "container", b.ID)
				}
				return err
			}),
	}
}

func pair(c *cli.Context, e *engine.Engine) (*engine.Container,
	*network.Network, error) {
	n, err := e.Networks.Get(c.Args().First())
	if err != nil {
		return nil, nil, err
	}
	b, err := e.Find(c.Args().Get(1))
	return b, n, err
}

func listNetworks(c *cli.Context, e *engine.Engine, filters []string) error {
	all, err := e.Networks.List()
	var rows []row
	for _, n := range all {
		ok, wrong := matches(filters, func(key, v string) (bool, error) {
			switch key {
			case "name":
				return strings.Contains(n.Name, v), nil
			case "id":
				return strings.HasPrefix(n.ID, v), nil
			case "driver":
				return n.Driver == v, nil
			case "label":
				return hasLabel(n.Labels, v), nil
			case "type":
				return (v == "builtin") == engine.Predefined(n.Name), nil
			}
			return false, fmt.Errorf("invalid filter '%s'", key)
		})
		if wrong != nil {
			return wrong
		}
		if ok {
			rows = append(rows, row{"ID": short(n.ID, c.Bool("no-trunc")),
				"Name": n.Name, "Driver": n.Driver, "Scope": "local",
				"Labels": pairs(n.Labels), "Internal": fmt.Sprint(n.Internal),
				"CreatedAt": n.Created.Local().Format(clock), "IPv6": "false"})
		}
	}
	return errors.Join(show(c, "ID", []string{"NETWORK ID", "ID", "NAME", "Name",
		"DRIVER", "Driver", "SCOPE", "Scope"}, rows), err)
}

func volumeCommands() []*cli.Command {
	var v engine.Volume
	var labels, options, filters []string
	var force, all bool
	return []*cli.Command{
		command("create", "[VOLUME]", "make a volume", 0, 1, []cli.Flag{
			text(&v.Driver, "driver,d", "`DRIVER`: local"),
			text(&v.Name, "name", "call it `NAME`"),
			many(&labels, "label", "remember `KEY=VALUE`"),
			many(&options, "opt,o", "driver option")},
			func(c *cli.Context, e *engine.Engine) error {
				v.Name = cmp.Or(c.Args().First(), v.Name)
				v.Labels, v.Options = labelMap(labels), labelMap(options)
				made, _, err := e.CreateVolume(v)
				if err == nil {
					fmt.Println(made.Name)
					e.Event("volume", "create", made.Name)
				}
				return err
			}),
		command("ls,list", "", "list volumes", 0, 0, listFlags(&filters),
			func(c *cli.Context, e *engine.Engine) error {
				return listVolumes(c, e, filters)
			}),
		inspectCommand("volume"),
		command("rm,remove", "VOLUME...", "remove volumes", 1, -1, []cli.Flag{
			yes(&force, "force,f", "it is no error if there is none")},
			func(c *cli.Context, e *engine.Engine) error {
				return each(c, func(name string) error {
					if _, gone := e.Volume(name); gone != nil && force {
						return nil
					}
					err := e.RemoveVolume(name)
					if err == nil {
						e.Event("volume", "destroy", name)
					}
					return err
				})
			}),
		command("prune", "", "remove volumes that nobody uses", 0, 0,
			[]cli.Flag{yes(&force, "force,f", "do not ask"),
				yes(&all, "all,a", "also those with a name")},
			func(c *cli.Context, e *engine.Engine) error {
				if !agreed(force, "all volumes that no container uses") {
					return nil
				}
				names, freed, err := e.PruneVolumes(all)
				printPruned("Deleted Volumes:", names)
				fmt.Println("Total reclaimed space:", size(freed))
				return err
			}),
	}
}

func listVolumes(c *cli.Context, e *engine.Engine, filters []string) error {
	all, bad := e.Volumes()
	var rows []row
	for _, v := range all {
		ok, wrong := matches(filters, func(key, value string) (bool, error) {
			switch key {
			case "name":
				return strings.Contains(v.Name, value), nil
			case "dangling":
				return (len(e.VolumeUsers(v.Name)) == 0) == (value == "true"), nil
			case "driver":
				return v.Driver == value, nil
			case "label":
				return hasLabel(v.Labels, value), nil
			}
			return false, fmt.Errorf("invalid filter '%s'", key)
		})
		if wrong != nil {
			return wrong
		}
		if ok {
			rows = append(rows, row{"Name": v.Name, "Driver": v.Driver,
				"Scope": "local", "Mountpoint": v.Mountpoint,
				"Labels": pairs(v.Labels)})
		}
	}
	return errors.Join(show(c, "Name", []string{"DRIVER", "Driver",
		"VOLUME NAME", "Name"}, rows), errors.Join(bad...))
}

// agreed asks, unless it was told not to.
func agreed(force bool, what string) bool {
	if force {
		return true
	}
	fmt.Printf("WARNING! This will remove %s.\nAre you sure you want to "+
		"continue? [y/N] ", what)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(answer), "y")
}

func printPruned(title string, names []string) {
	if len(names) > 0 {
		fmt.Println(title + "\n" + strings.Join(names, "\n") + "\n")
	}
}

func systemCommands() []*cli.Command {
	return []*cli.Command{
		group("system", "all of it", []*cli.Command{dfCommand(),
			pruneCommand(), infoCommand(), eventsCommand()}),
		infoCommand(),
		command("version", "", "say which version this is", 0, 0, []cli.Flag{
			text(nil, "format,f", "json, or a `TEMPLATE`")},
			func(c *cli.Context, _ *engine.Engine) error {
				v := row{"Version": Version, "GoVersion": runtime.Version(),
					"Os": runtime.GOOS, "Arch": runtime.GOARCH}
				if f := c.String("format"); f != "" {
					return printRow(f, v)
				}
				fmt.Printf("minidocker\n Version:    %s\n Go version: %s\n "+
					"OS/Arch:    %s/%s\n", Version, v["GoVersion"], v["Os"],
					v["Arch"])
				return nil
			}),
		command("completion", "bash|zsh|fish", "print what a shell needs to "+
			"complete words", 1, 1, nil, completion),
	}
}

func pruneCommand() *cli.Command {
	var all, force, volumes bool
	return command("prune", "", "remove what nobody uses", 0, 0, []cli.Flag{
		yes(&all, "all,a", "also images with a name"),
		yes(&volumes, "volumes", "also anonymous volumes"),
		yes(&force, "force,f", "do not ask")},
		func(c *cli.Context, e *engine.Engine) error {
			if !agreed(force, "all stopped containers, unused networks and "+
				"images") {
				return nil
			}
			p, err := e.Prune(all, volumes)
			printPruned("Deleted Containers:", p.Containers)
			printPruned("Deleted Networks:", p.Networks)
			printPruned("Deleted Volumes:", p.Volumes)
			printPruned("Deleted Images:", p.Images)
			fmt.Println("Total reclaimed space:", size(p.Freed))
			return err
		})
}

// dfCommand adds up sizes.
func dfCommand() *cli.Command {
	return command("df", "", "show what is on the disk", 0, 0, []cli.Flag{
		text(nil, "format", "json, table, or a `TEMPLATE`")},
		func(c *cli.Context, e *engine.Engine) error {
			images, err := e.Images()
			if err != nil {
				return err
			}
			uses := []engine.Usage{{Type: "Images"}, {Type: "Containers"},
				{Type: "Local Volumes"}}
			all, bad := images.List()
			for _, img := range all {
				uses[0].Add(img.Size, e.ImageUser(img.ID) != "")
			}
			boxes, wrong := e.List()
			for _, b := range boxes {
				uses[1].Add(b.UpperSize(), b.State.Running())
			}
			volumes, more := e.Volumes()
			for _, v := range volumes {
				uses[2].Add(engine.Size(v.Mountpoint),
					len(e.VolumeUsers(v.Name)) > 0)
			}
			var rows []row
			for _, u := range uses {
				rows = append(rows, row{"Type": u.Type, "Size": size(u.Bytes),
					"TotalCount": fmt.Sprint(u.Count),
					"Active":     fmt.Sprint(u.Active),
					"Reclaimable": fmt.Sprintf("%s (%d%%)", size(u.Free),
						u.Free*100/max(u.Bytes, 1))})
			}
			return errors.Join(show(c, "Type", []string{"TYPE", "Type", "TOTAL",
				"TotalCount", "ACTIVE", "Active", "SIZE", "Size", "RECLAIMABLE",
				"Reclaimable"}, rows), bad, errors.Join(append(wrong, more...)...))
		})
}

func infoCommand() *cli.Command {
	return command("info", "", "say what this machine and the engine are", 0, 0,
		[]cli.Flag{text(nil, "format,f", "json, or a `TEMPLATE`")},
		func(c *cli.Context, e *engine.Engine) error {
			boxes, bad := e.List()
			states := map[string]int{}
			for _, b := range boxes {
				states[b.State.Status]++
			}
			images, err := e.Images()
			n := 0
			if err == nil {
				list, wrong := images.List()
				n, err = len(list), wrong
			}
			version := "1"
			if cgroups.V2() {
				version = "2"
			}
			var host unix.Utsname
			unix.Uname(&host)
			kernel := unix.ByteSliceToString(host.Release[:])
			info := object{"ServerVersion": Version, "Containers": len(boxes),
				"ContainersRunning": states["running"],
				"ContainersPaused":  states["paused"],
				"ContainersStopped": len(boxes) - states["running"] -
					states["paused"], "Images": n, "Driver": "overlay2",
				"CgroupVersion": version, "KernelVersion": kernel,
				"OSType": "linux", "Architecture": runtime.GOARCH,
				"NCPU": engine.CPUs(), "MemTotal": engine.Memory(),
				"DockerRootDir": e.Data, "StateDir": e.Run,
				"Rootless": e.Rootless}
			err = errors.Join(append(bad, err)...)
			if f := c.String("format"); f != "" {
				return errors.Join(printRow(f, info), err)
			}
			fmt.Printf("Containers: %d\n Running: %d\n Paused: %d\n Stopped: "+
				"%d\nImages: %d\nServer Version: %s\nStorage Driver: overlay2\n"+
				"Logging Driver: json-file\nCgroup Version: %s\nKernel Version: "+
				"%s\nArchitecture: %s\nCPUs: %d\nTotal Memory: %s\nRoot Dir: %s\n"+
				"State Dir: %s\nRootless: %v\n", len(boxes), states["running"],
				states["paused"], info["ContainersStopped"], n, Version, version,
				kernel, runtime.GOARCH, engine.CPUs(), binary(engine.Memory()),
				e.Data, e.Run, e.Rootless)
			return err
		})
}

// completion prints scripts that ask us for the words.
func completion(c *cli.Context, _ *engine.Engine) error {
	switch shell := c.Args().First(); shell {
	case "bash":
		fmt.Print(`_minidocker() {
  COMPREPLY=($(compgen -W "$("${COMP_WORDS[@]:0:$COMP_CWORD}" \
    --generate-bash-completion 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _minidocker minidocker
`)
	case "zsh":
		fmt.Print(`#compdef minidocker
_minidocker() {
  local -a words_; words_=("${(@f)$("${(@)words[1,$CURRENT-1]}" \
    --generate-bash-completion 2>/dev/null)}")
  compadd -- "${(@)words_%%:*}" || _files
}
compdef _minidocker minidocker
`)
	case "fish":
		s, err := c.App.ToFishCompletion()
		fmt.Print(s)
		return err
	default:
		return fmt.Errorf("no completion for %q: bash, zsh or fish", shell)
	}
	return nil
}
