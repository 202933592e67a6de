package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"container-workshop/final/engine"
	"container-workshop/final/files"
	"container-workshop/final/layers"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// fileCommands are those that look into containers.
func fileCommands() []*cli.Command {
	return []*cli.Command{commitCommand(), copyCommand(),
		command("diff", "CONTAINER", "list what a container has changed", 1, 1,
			nil, func(c *cli.Context, e *engine.Engine) error {
				b, err := e.Find(c.Args().First())
				if err != nil {
					return err
				}
				list, err := layers.Changes(b.Layers, b.Upper(),
					engine.Places...)
				for _, change := range list {
					fmt.Printf("%c %s\n", change.Kind, change.Path)
				}
				return err
			}),
		command("export", "CONTAINER", "write a container's files to an "+
			"archive", 1, 1, []cli.Flag{text(nil, "output,o",
			"write to `FILE`, not to stdout")},
			func(c *cli.Context, e *engine.Engine) error {
				b, err := e.Find(c.Args().First())
				if err != nil {
					return err
				}
				return output(c, func(file *os.File) error {
					return layers.Archive(append(b.Layers, b.Upper()), "/",
						file)
				})
			}),
	}
}

func dirOf(file string) string {
	if dir := filepath.Dir(file); dir != "" {
		return dir
	}
	return "."
}

func commitCommand() *cli.Command {
	var o files.CommitOptions
	return command("commit", "CONTAINER [NAME[:TAG]]", "make an image of a "+
		"container", 1, 2, []cli.Flag{
		text(&o.Author, "author,a", "`WHO` made it"),
		many(&o.Changes, "change,c", "Dockerfile `INSTRUCTION`: CMD sh"),
		text(&o.Message, "message,m", "`TEXT` for the history"),
		&cli.BoolFlag{Name: "pause", Aliases: []string{"p"}, Value: true,
			Usage: "freeze it meanwhile"}},
		func(c *cli.Context, e *engine.Engine) error {
			b, err := e.Find(c.Args().First())
			if err != nil {
				return err
			}
			o.Ref, o.Running = c.Args().Get(1), !c.Bool("pause")
			o.Warn = warn
			img, err := files.Commit(e, b, o)
			if err == nil {
				fmt.Println(img.ID)
				e.Event("container", "commit", b, "imageID", img.ID)
			}
			return err
		})
}

func copyCommand() *cli.Command {
	var o files.CopyOptions
	return command("cp", "CONTAINER:SRC DST|-, or SRC|- CONTAINER:DST",
		"copy files from or to a container", 2, 2, []cli.Flag{
			yes(&o.Archive, "archive,a", "keep the owners"),
			yes(&o.Follow, "follow-link,L", "copy what SRC links to"),
			yes(nil, "quiet,q", "do not say how much it was")},
		func(c *cli.Context, e *engine.Engine) error {
			from, to := c.Args().First(), c.Args().Get(1)
			name, source := container(from)
			other, target := container(to)
			switch {
			case name != "" && other != "":
				return errors.New("copying between containers is not supported")
			case name == "" && other == "":
				return errors.New("must specify at least one container source")
			}
			b, err := e.Find(name + other)
			if err != nil {
				return err
			}
			if e.Rootless && b.State.Pid == 0 {
				return asRoot(e, c)
			}
			root, done, err := e.Root(b)
			if err != nil {
				return err
			}
			defer done()
			host, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
			if err != nil {
				return err
			}
			defer host.Close()
			inside := files.Place{Root: root, Path: source + target}
			switch {
			case to == "-":
				return files.Out(inside, o, os.Stdout)
			case from == "-":
				return files.In(os.Stdin, inside, o)
			}
			var n int64
			if other == "" {
				n, err = files.Copy(inside, local(host, to), o)
			} else {
				n, err = files.Copy(local(host, from), inside, o)
			}
			if err == nil && !c.Bool("quiet") {
				fmt.Fprintf(os.Stderr, "Successfully copied %s to %s\n",
					size(n), to)
			}
			return err
		})
}

// container splits CONTAINER:PATH. What begins with / or . is on this machine.
func container(arg string) (name, path string) {
	name, path, ok := strings.Cut(arg, ":")
	if !ok || strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".") {
		return "", ""
	}
	return name, "/" + path
}

// local is a path of this machine. Its end stays, as that means something.
func local(root *os.File, path string) files.Place {
	if !strings.HasPrefix(path, "/") {
		here, _ := os.Getwd()
		path = here + "/" + path
	}
	return files.Place{Root: root, Path: path}
}

// asRoot runs this command once more in a user namespace, where a user may
// mount the files of a container that does not run.
func asRoot(e *engine.Engine, c *cli.Context) error {
	args := []string{"--root", e.Data, "--state", e.Run, "cp"}
	for _, flag := range []string{"archive", "follow-link", "quiet"} {
		if c.Bool(flag) {
			args = append(args, "--"+flag)
		}
	}
	cmd := exec.Command("/proc/self/exe", append(append(args, "--"),
		c.Args().Slice()...)...)
	cmd.Args[0] = program
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
	err := cmd.Run()
	if errors.As(err, new(*exec.ExitError)) {
		return &status{nil, 1}
	}
	return err
}
