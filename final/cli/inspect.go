package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"container-workshop/final/engine"

	"github.com/urfave/cli/v2"
)

type object = map[string]any

// inspectCommand shows objects of one kind, or of any: "".
func inspectCommand(kind string) *cli.Command {
	var format, only string
	return command("inspect", "NAME...", "show all that is known, as JSON", 1,
		-1, []cli.Flag{text(&format, "format,f", "a `TEMPLATE`, or json"),
			text(&only, "type", "`KIND`: container, image, network, volume"),
			yes(nil, "size,s", "with sizes")},
		func(c *cli.Context, e *engine.Engine) error {
			var err error
			found := []any{}
			for _, name := range c.Args().Slice() {
				v, bad := find(e, name, kind+only)
				err = errors.Join(err, bad)
				if bad != nil {
					continue
				}
				if format != "" {
					err = errors.Join(err, printRow(format, v))
				}
				found = append(found, v)
			}
			if format == "" {
				out := json.NewEncoder(os.Stdout)
				out.SetIndent("", "    ")
				err = errors.Join(out.Encode(found), err)
			}
			return err
		})
}

// find looks for a name among containers, images, networks and volumes.
func find(e *engine.Engine, name, kind string) (any, error) {
	finders := []struct {
		kind string
		find func() (any, error)
	}{
		{"container", func() (any, error) {
			b, err := e.Find(name)
			if err != nil {
				return nil, err
			}
			return inspectContainer(e, b), nil
		}},
		{"image", func() (any, error) { return inspectImage(e, name) }},
		{"network", func() (any, error) { return inspectNetwork(e, name) }},
		{"volume", func() (any, error) {
			v, err := e.Volume(name)
			return v, err
		}},
	}
	for _, f := range finders {
		if kind != "" && kind != f.kind {
			continue
		}
		v, err := f.find()
		if err == nil || kind != "" {
			return v, err
		}
		if f.kind == "container" && !errors.As(err, new(*engine.NotFound)) {
			return nil, err
		}
	}
	if kind != "" {
		return nil, fmt.Errorf("invalid --type %s", kind)
	}
	return nil, fmt.Errorf("no such object: %s", name)
}

// inspectContainer has Docker's words.
func inspectContainer(e *engine.Engine, b *engine.Container) object {
	s, o := b.State, b.Options
	networks, published := object{}, object{}
	first := object{}
	for name, point := range endpoints(e, b) {
		networks[name] = object{"IPAddress": point.IP, "Gateway": point.Gateway,
			"MacAddress": point.MAC, "Aliases": point.Aliases,
			"NetworkID": point.Network}
		first = networks[name].(object)
		for _, p := range point.Ports {
			key := fmt.Sprintf("%d/%s", p.Port, p.Proto)
			bound, _ := published[key].([]object)
			published[key] = append(bound, object{"HostIp": p.HostIP,
				"HostPort": fmt.Sprint(p.HostPort)})
		}
	}
	for _, a := range b.Networks {
		if networks[a.Network] == nil {
			networks[a.Network] = object{"IPAddress": "", "Aliases": a.Aliases}
		}
	}
	var path string
	args := []string{}
	if len(b.Command) > 0 {
		path, args = b.Command[0], b.Command[1:]
	}
	mounts := []object{}
	for _, m := range b.Mounts {
		mounts = append(mounts, object{"Type": m.Type, "Name": m.Name,
			"Source": m.Source, "Destination": m.Destination, "RW": !m.ReadOnly})
	}
	policy, retries, _ := strings.Cut(s.Restart, ":")
	return object{"Id": b.ID, "Name": "/" + b.Name, "Created": b.Created,
		"Path": path, "Args": args, "Image": b.ImageID,
		"RestartCount": s.RestartCount, "LogPath": b.LogFile(),
		"Driver": "overlay2", "Platform": "linux", "Mounts": mounts,
		"State": object{"Status": s.Status, "Running": s.Running(),
			"Paused": s.Status == "paused", "Pid": s.Pid, "Dead": false,
			"Restarting": s.Status == "restarting", "OOMKilled": s.OOMKilled,
			"ExitCode": s.ExitCode, "Error": s.Error, "StartedAt": s.StartedAt,
			"FinishedAt": s.FinishedAt, "MonitorPid": s.Monitor},
		"Config": object{"Hostname": hostname(b), "Image": o.Image,
			"User": or(o.User, b.Config.User), "Env": environment(b),
			"Cmd": o.Args, "Tty": o.Tty, "OpenStdin": o.Interactive,
			"WorkingDir": or(o.Workdir, b.Config.WorkingDir),
			"Labels":     b.Labels, "StopSignal": or(o.StopSignal,
				b.Config.StopSignal), "StopTimeout": b.StopTimeout()},
		"HostConfig": object{"NetworkMode": o.Network, "Binds": o.Volume,
			"AutoRemove": o.Remove, "Privileged": o.Privileged,
			"ReadonlyRootfs": o.ReadOnly, "CapAdd": o.CapAdd,
			"CapDrop": o.CapDrop, "SecurityOpt": o.SecurityOpt,
			"Limits": o.Limits, "LogConfig": object{"Type": "json-file",
				"Config": o.LogOpt}, "RestartPolicy": object{"Name": policy,
				"MaximumRetryCount": retries}},
		"NetworkSettings": object{"Networks": networks, "Ports": published,
			"IPAddress": first["IPAddress"], "Gateway": first["Gateway"],
			"MacAddress": first["MacAddress"]}}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func hostname(b *engine.Container) string {
	return or(b.Options.Hostname, b.Short())
}

func environment(b *engine.Container) []string {
	return append(append([]string{}, b.Config.Env...), b.Options.Env...)
}

func inspectImage(e *engine.Engine, name string) (any, error) {
	store, err := e.Images()
	if err != nil {
		return nil, err
	}
	img, err := store.Get(name)
	if err != nil {
		return nil, err
	}
	return object{"Id": img.ID, "RepoTags": img.Refs, "Size": img.Size,
		"Created": img.Config.Created, "Os": img.Config.OS,
		"Architecture": img.Config.Architecture, "Config": img.Config.Config,
		"RootFS": img.Config.RootFS, "Digest": img.Digest,
		"GraphDriver": object{"Name": "overlay2", "Data": img.Layers}}, nil
}

func inspectNetwork(e *engine.Engine, name string) (any, error) {
	n, err := e.Networks.Get(name)
	if err != nil {
		return nil, err
	}
	boxes := object{}
	for _, point := range n.Endpoints {
		boxes[point.Container] = object{"Name": point.Name,
			"IPv4Address": point.IP, "MacAddress": point.MAC}
	}
	return object{"Name": n.Name, "Id": n.ID, "Created": n.Created,
		"Scope": "local", "Driver": n.Driver, "Internal": n.Internal,
		"IPAM": object{"Config": []object{{"Subnet": n.Subnet,
			"Gateway": n.Gateway, "IPRange": n.IPRange}}},
		"Labels": n.Labels, "Options": n.Options, "Containers": boxes}, nil
}
