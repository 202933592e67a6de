package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"container-workshop/final/archive"
	"container-workshop/final/engine"
	"container-workshop/final/image"
	"container-workshop/final/layers"
	"container-workshop/final/reference"
	"container-workshop/final/terminal"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// Remote are the options of what speaks with a registry. Pull and Push are set
// by main, as the packages behind them make every start slower: main is only
// reached with the words pull or push on the command line.
type Remote struct {
	Platform string
	Insecure bool
	Show     *os.File // progress; nil: none
}

var (
	Pull func(context.Context, *image.Store, string, Remote) (*image.Image,
		error)
	Push func(context.Context, *image.Store, string, Remote) error
)

// Speaks says whether the words may be those of a command for which Pull or
// Push must be set.
func Speaks(args []string) bool {
	return slices.Contains(args, "pull") || slices.Contains(args, "push")
}

// imageCommands are at the top and, if sub, those of `image`.
func imageCommands(sub bool) []*cli.Command {
	list, remove := "images", "rmi"
	more := []*cli.Command{}
	if sub {
		list, remove = "ls,list", "rm,remove"
		more = append(more, inspectCommand("image"), pruneImages())
	}
	return append(more, buildCommand(), pullCommand(), pushCommand(),
		importCommand(),
		saveCommand(), loadCommand(), historyCommand(),
		command(list, "[NAME]", "list images", 0, 1, listFlags(
			"reference label dangling",
			yes(nil, "all,a", "all of them"), yes(nil, "digests", "and those")),
			listImages),
		command(remove, "IMAGE...", "remove images", 1, -1, []cli.Flag{
			yes(nil, "force,f", "also one that stopped containers use"),
			yes(nil, "no-prune", "as always")}, removeImages),
		onImages("tag", "IMAGE NAME", "give an image one more name", 2, 2, nil,
			func(c *cli.Context, e *engine.Engine, s *image.Store) error {
				img, err := s.Get(c.Args().First())
				if err == nil && strings.Contains(c.Args().Get(1), "@") {
					err = errors.New("refusing to create a tag with a digest " +
						"reference")
				}
				if err == nil {
					err = s.Tag(img, c.Args().Get(1))
				}
				if err == nil {
					e.Event("image", "tag", img.ID, "name", c.Args().Get(1))
				}
				return err
			}))
}

// onImages makes a command that needs the store.
func onImages(name, args, usage string, least, most int, flags []cli.Flag,
	do func(*cli.Context, *engine.Engine, *image.Store) error) *cli.Command {
	return command(name, args, usage, least, most, flags,
		func(c *cli.Context, e *engine.Engine) error {
			store, err := e.Images()
			if err == nil {
				err = do(c, e, store)
			}
			return err
		})
}

// interruptible ends with Ctrl-C, and cleans up before it does.
func interruptible() (context.Context, func()) {
	return signal.NotifyContext(context.Background(), unix.SIGINT,
		unix.SIGTERM, unix.SIGHUP)
}

func remoteFlags(r *Remote, more ...cli.Flag) []cli.Flag {
	return append(more, text(&r.Platform, "platform", "`OS/ARCH`"),
		&cli.BoolFlag{Name: "tls-verify", Value: true, Usage: "insist on " +
			"https and a certificate; never asked of this machine itself"},
		yes(nil, "quiet,q", "show no progress"))
}

func (r *Remote) fill(c *cli.Context) {
	if r.Insecure = !c.Bool("tls-verify"); !c.Bool("quiet") {
		r.Show = os.Stdout
	}
}

func pullCommand() *cli.Command {
	var r Remote
	return onImages("pull", "NAME[:TAG|@DIGEST]", "get an image from a "+
		"registry", 1, 1, remoteFlags(&r),
		func(c *cli.Context, e *engine.Engine, s *image.Store) error {
			ctx, stop := interruptible()
			defer stop()
			r.fill(c)
			name := c.Args().First()
			full, err := reference.Parse(name)
			if err == nil && r.Show != nil && strings.HasSuffix(full,
				":latest") && !strings.HasSuffix(name, ":latest") {
				fmt.Println("Using default tag: latest")
			}
			if err == nil {
				_, err = Pull(ctx, s, name, r)
			}
			if err == nil {
				fmt.Println(full)
				e.Event("image", "pull", reference.Short(full), "name",
					reference.Short(full))
			}
			return err
		})
}

// fetch pulls what run or create lack. As we cannot speak with a registry, a
// second process of ours does.
func fetch(e *engine.Engine, name string) error {
	full, err := reference.Parse(name)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Unable to find image '%s' locally\n",
		reference.Short(full))
	cmd := exec.Command("/proc/self/exe", "--root", e.Data, "--state", e.Run,
		"pull", name)
	cmd.Args[0] = program
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err = cmd.Run(); err != nil {
		return &status{nil, 125}
	}
	return nil
}

func pushCommand() *cli.Command {
	var r Remote
	return onImages("push", "NAME[:TAG]", "bring an image to a registry", 1, 1,
		remoteFlags(&r, yes(nil, "all-tags,a", "with all its tags")),
		func(c *cli.Context, e *engine.Engine, s *image.Store) error {
			ctx, stop := interruptible()
			defer stop()
			r.fill(c)
			names := []string{c.Args().First()}
			if c.Bool("all-tags") {
				all, err := s.List()
				if err != nil {
					return err
				}
				names = nil
				for _, img := range all {
					for _, ref := range img.Refs {
						if name, _ := cutTag(ref); name == c.Args().First() {
							names = append(names, ref)
						}
					}
				}
				if len(names) == 0 {
					return fmt.Errorf("an image does not exist locally with "+
						"the name: %s", c.Args().First())
				}
			}
			for _, name := range names {
				if err := Push(ctx, s, name, r); err != nil {
					return err
				}
				e.Event("image", "push", name, "name", name)
			}
			return nil
		})
}

func importCommand() *cli.Command {
	var o image.ImportOptions
	return onImages("import", "FILE|DIR|- [NAME]", "make an image of a root "+
		"file system", 1, 2, []cli.Flag{
		many(&o.Changes, "change,c", "Dockerfile `INSTRUCTION`: CMD sh"),
		text(&o.Message, "message,m", "`TEXT` for the history"),
		text(&o.Platform, "platform", "`OS/ARCH`")},
		func(c *cli.Context, e *engine.Engine, s *image.Store) error {
			r, err := image.Source(c.Args().First(), os.Stdin)
			if err != nil {
				return err
			}
			defer r.Close()
			o.Ref = c.Args().Get(1)
			img, err := s.Import(r, o)
			if err == nil {
				fmt.Println(img.ID)
				e.Event("image", "import", img.ID, "name", o.Ref)
			}
			return err
		})
}

// output is the file of -o, or stdout. What is not whole does not stay.
func output(c *cli.Context, write func(*os.File) error) error {
	name := c.String("output")
	if name == "" {
		if _, _, err := terminal.Size(os.Stdout); err == nil {
			return errors.New("cowardly refusing to save to a terminal: use " +
				"the -o flag or redirect")
		}
		return write(os.Stdout)
	}
	file, err := os.CreateTemp(dirOf(name), ".minidocker-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err = write(file); err == nil {
		err = errors.Join(file.Chmod(0o600), file.Close())
	}
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	return err
}

func saveCommand() *cli.Command {
	return onImages("save", "IMAGE...", "write images to an archive", 1, -1,
		[]cli.Flag{text(nil, "output,o", "write to `FILE`, not to stdout")},
		func(c *cli.Context, e *engine.Engine, s *image.Store) error {
			return output(c, func(file *os.File) error {
				return archive.Save(s, c.Args().Slice(), file)
			})
		})
}

func loadCommand() *cli.Command {
	return onImages("load", "", "read images from an archive", 0, 0, []cli.Flag{
		text(nil, "input,i", "read `FILE|DIR`, not stdin"),
		yes(nil, "quiet,q", "as always")},
		func(c *cli.Context, e *engine.Engine, s *image.Store) (err error) {
			in := os.Stdin
			o := layers.ExtractOptions{Warn: warn}
			if name := c.String("input"); name != "" {
				if in, err = os.Open(name); err != nil {
					return err
				}
				defer in.Close()
			} else if _, _, err := terminal.Size(in); err == nil {
				return errors.New("requested load from stdin, but stdin is " +
					"empty: use -i or redirect")
			}
			var lines []string
			if info, bad := in.Stat(); bad == nil && info.IsDir() {
				lines, err = archive.LoadDir(s, in.Name(), o)
			} else {
				lines, err = archive.Load(s, in, o)
			}
			for _, line := range lines {
				fmt.Println(line)
			}
			return err
		})
}

func warn(text string) { fmt.Fprintln(os.Stderr, "WARNING:", text) }

func removeImages(c *cli.Context, e *engine.Engine) error {
	store, err := e.Images()
	for _, name := range c.Args().Slice() {
		if store == nil {
			break
		}
		lines, bad := store.Remove(name, c.Bool("force"), e.ImageUser)
		for _, line := range lines {
			fmt.Println(line)
			if id, ok := strings.CutPrefix(line, "Deleted: "); ok {
				e.Event("image", "delete", id)
			}
		}
		err = errors.Join(err, bad)
	}
	return err
}

func pruneImages() *cli.Command {
	return pruner("images without a name", yes(nil, "all,a", "also those with "+
		"a name that no container uses"), func(c *cli.Context,
		e *engine.Engine) (p engine.Pruned, err error) {
		store, err := e.Images()
		if err == nil {
			p.Images, p.Freed, err = store.Prune(func(i *image.Image) bool {
				return e.ImageUser(i.ID) != "" || !c.Bool("all") &&
					len(i.Refs) > 0
			})
		}
		return p, err
	})
}
