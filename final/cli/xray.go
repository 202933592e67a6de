package cli

import (
	"cmp"
	"os"
	"path/filepath"

	"container-workshop/final/engine"
	"container-workshop/final/terminal"
	"container-workshop/final/xray"
	"container-workshop/final/xray/view"

	"github.com/urfave/cli/v2"
)

// xrayCommand shows what the kernel made of a container.
func xrayCommand() *cli.Command {
	var file string
	return command("xray", "CONTAINER", "show what the kernel made of it", 1, 1,
		[]cli.Flag{text(&file, "html", "write a page to `FILE` instead"),
			text(nil, "format", "json, or a `TEMPLATE`")},
		func(c *cli.Context, e *engine.Engine) error {
			b, err := e.Find(c.Args().First())
			if err != nil {
				return err
			}
			others, _ := e.List() // one that cannot be read shares nothing
			var boxes []xray.Container
			for _, other := range others {
				boxes = append(boxes, found(other))
			}
			r, err := xray.Read(found(b), boxes)
			switch format := c.String("format"); {
			case err != nil:
				return err
			case file != "":
				return view.WriteFile(file, r)
			case cmp.Or(format, "tree") != "tree":
				return printRow(os.Stdout, format, r)
			}
			columns, _, _ := terminal.Size(os.Stdout) // 0 where it is none
			view.Tree(r).Write(os.Stdout, int(columns))
			return nil
		})
}

func found(b *engine.Container) xray.Container {
	return xray.Container{ID: b.ID, Name: b.Name, Pid: b.State.Pid,
		Start: b.State.PidStart, Layers: b.Layers,
		Upper: filepath.Dir(b.LogFile()) + "/upper"}
}
