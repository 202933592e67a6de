package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

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
