package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"container-workshop/final/engine"
	"container-workshop/final/image"

	"github.com/urfave/cli/v2"
)

type object = map[string]any

// inspectCommand shows objects of one kind, or of any: "".
func inspectCommand(kind string) *cli.Command {
	return command("inspect", "NAME...", "show all that is known, as JSON", 1,
		-1, []cli.Flag{text(nil, "format,f", "a `TEMPLATE`, or json"),
			text(nil, "type", "`KIND`: container, image, network, volume")},
		func(c *cli.Context, e *engine.Engine) (err error) {
			found := []any{}
			for _, name := range c.Args().Slice() {
				v, bad := find(e, name, cmp.Or(kind, c.String("type")))
				if bad == nil && c.String("format") != "" {
					bad = printRow(os.Stdout, c.String("format"), v)
				} else if bad == nil {
					found = append(found, v)
				}
				err = errors.Join(err, bad)
			}
			if c.String("format") == "" {
				out := json.NewEncoder(os.Stdout)
				out.SetIndent("", "    ")
				err = errors.Join(out.Encode(found), err)
			}
			return err
		})
}

// find looks for a name among containers, images, networks and volumes.
func find(e *engine.Engine, name, kind string) (any, error) {
	missing := fmt.Errorf("no such object: %s", name)
	for _, f := range []struct {
		kind string
		find func(*engine.Engine, string) (any, error)
	}{{"container", inspectContainer}, {"image", inspectImage},
		{"network", inspectNetwork}, {"volume", inspectVolume}} {
		if kind != "" && kind != f.kind {
			continue
		}
		v, err := f.find(e, name)
		if err == nil || kind != "" || f.kind == "container" &&
			!errors.As(err, new(*engine.NotFound)) {
			return v, err
		}
	}
	return nil, missing
}

// inspectContainer has Docker's words.
func inspectContainer(e *engine.Engine, name string) (any, error) {
	b, err := e.Find(name)
	if err != nil {
		return nil, err
	}
	networks, published, first := object{}, map[string][]object{}, object{}
	for _, a := range b.Networks {
		networks[a.Network] = object{"IPAddress": "", "Aliases": a.Aliases}
	}
	for name, point := range e.Endpoints(b) {
		first = object{"IPAddress": point.IP, "Gateway": point.Gateway,
			"MacAddress": point.MAC, "Aliases": point.Aliases}
		networks[name] = first
		for _, p := range point.Ports {
			key := fmt.Sprintf("%d/%s", p.Port, p.Proto)
			published[key] = append(published[key], object{"HostIp": p.HostIP,
				"HostPort": fmt.Sprint(p.HostPort)})
		}
	}
	mounts := []object{}
	for _, m := range b.Mounts {
		mounts = append(mounts, object{"Type": m.Type, "Name": m.Name,
			"Source": m.Source, "Destination": m.Destination,
			"RW": !m.ReadOnly})
	}
	s, o := b.State, b.Options
	policy, retries, _ := strings.Cut(s.Restart, ":")
	return object{"Id": b.ID, "Name": "/" + b.Name, "Created": b.Created,
		"Path": b.Command[0], "Args": b.Command[1:], "Image": b.ImageID,
		"RestartCount": s.RestartCount, "LogPath": b.LogFile(),
		"Mounts": mounts, "State": object{"Status": s.Status, "Pid": s.Pid,
			"Running": s.Running(), "Paused": s.Status == "paused",
			"Restarting": s.Status == "restarting", "OOMKilled": s.OOMKilled,
			"ExitCode": s.ExitCode, "Error": s.Error, "StartedAt": s.StartedAt,
			"FinishedAt": s.FinishedAt, "MonitorPid": s.Monitor},
		"Config": object{"Hostname": cmp.Or(o.Hostname, b.Short()),
			"Image": o.Image, "User": cmp.Or(o.User, b.Config.User),
			"Env": append(b.Config.Env, o.Env...), "Cmd": o.Args, "Tty": o.Tty,
			"OpenStdin": o.Interactive, "Labels": b.Labels,
			"WorkingDir": cmp.Or(o.Workdir, b.Config.WorkingDir)},
		"HostConfig": object{"NetworkMode": o.Network, "Binds": o.Volume,
			"AutoRemove": o.Remove, "Privileged": o.Privileged,
			"ReadonlyRootfs": o.ReadOnly, "CapAdd": o.CapAdd,
			"CapDrop": o.CapDrop, "SecurityOpt": o.SecurityOpt,
			"Limits": o.Limits, "LogOpt": o.LogOpt,
			"RestartPolicy": object{"Name": policy,
				"MaximumRetryCount": retries}},
		"NetworkSettings": object{"Networks": networks, "Ports": published,
			"IPAddress": first["IPAddress"], "Gateway": first["Gateway"],
			"MacAddress": first["MacAddress"]}}, nil
}

func inspectImage(e *engine.Engine, name string) (any, error) {
	store, err := e.Images()
	var img *image.Image
	if err == nil {
		img, err = store.Get(name)
	}
	if err != nil {
		return nil, err
	}
	tags, digests := []string{}, []string{}
	for _, ref := range img.Refs {
		name, tag := cutTag(ref)
		if tag != "<none>" {
			tags = append(tags, ref)
		}
		digests = append(digests, name+"@"+img.Digest)
	}
	slices.Sort(digests)
	config := img.Config
	return object{"Id": img.ID, "RepoTags": tags, "Size": img.Size,
		"RepoDigests": slices.Compact(digests), "Author": config.Author,
		"Created": config.Created, "Os": config.OS,
		"Architecture": config.Architecture, "Variant": config.Variant,
		"Config": config.Config, "RootFS": object{"Type": config.RootFS.Type,
			"Layers": config.RootFS.DiffIDs},
		"Digest": img.Digest, "GraphDriver": object{"Name": "overlay2",
			"Data": object{"Layers": img.Layers}}}, nil
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

func inspectVolume(e *engine.Engine, name string) (any, error) {
	v, err := e.Volume(name)
	return v, err
}
