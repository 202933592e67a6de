// Package input reads what a build is made of.
package input

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"container-workshop/final/dockerfile/ignore"
	"container-workshop/final/layers"
)

// Input is what a build is made of.
type Input struct {
	Name    string // of the Dockerfile, as errors name it
	Text    []byte // what is in it
	Context string // the directory to copy from; "": there is none
	Ignore  *ignore.List
	Args    map[string]string // --build-arg
	Epoch   *time.Time        // SOURCE_DATE_EPOCH
}

// Read takes the context's directory, or - for none; the Dockerfile, which is
// the context's own, a file, or - for stdin; .dockerignore; and the arguments,
// which without a value take the caller's.
func (o *Input) Read(dir, file string, args []string, stdin io.Reader) (
	err error) {
	if o.Context = dir; dir == "-" {
		if file != "" {
			return errors.New("stdin cannot be a Dockerfile when -f names one")
		}
		o.Context, file = "", "-"
	} else if info, err := os.Stat(dir); err != nil {
		return fmt.Errorf("unable to prepare context: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("unable to prepare context: %s: not a directory", dir)
	}
	if o.Text, err = o.readFile(file, stdin); err != nil {
		return err
	}
	if o.Ignore, err = readIgnore(o.Context, o.Name); err != nil {
		return err
	}
	o.Args = map[string]string{}
	for _, arg := range args {
		name, value, valued := strings.Cut(arg, "=")
		if !valued {
			value, valued = os.LookupEnv(name)
		}
		if valued {
			o.Args[name] = value
		}
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if given, ok := o.Args["SOURCE_DATE_EPOCH"]; ok {
		epoch = given
	}
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil || seconds < 0 {
			return fmt.Errorf("invalid SOURCE_DATE_EPOCH: %q: not seconds "+
				"since 1970", epoch)
		}
		at := time.Unix(seconds, 0).UTC()
		o.Epoch = &at
	}
	return nil
}

const mostText = 1 << 20

// readFile reads stdin, a file of the caller's, or the context's own, from
// which no link leads out.
func (o *Input) readFile(file string, stdin io.Reader) (text []byte,
	err error) {
	switch o.Name = file; file {
	case "":
		o.Name = "Dockerfile"
		text, err = layers.ReadFile([]string{o.Context}, o.Name)
	case "-":
		text, err = io.ReadAll(io.LimitReader(stdin, mostText+1))
	default:
		text, err = layers.ReadFile([]string{filepath.Dir(file)},
			filepath.Base(file))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("unable to prepare context: unable to evaluate "+
			"symlinks in Dockerfile path: %w", err)
	} else if err == nil && len(text) > mostText {
		err = fmt.Errorf("%s: more than %d bytes: not a Dockerfile", o.Name,
			mostText)
	}
	return text, err
}

func readIgnore(dir, dockerfile string) (*ignore.List, error) {
	if dir == "" {
		return nil, nil
	}
	for _, place := range [][2]string{{filepath.Dir(dockerfile),
		filepath.Base(dockerfile) + ".dockerignore"}, {dir, ".dockerignore"}} {
		if dockerfile == "Dockerfile" {
			place[0] = dir
		}
		text, err := layers.ReadFile([]string{place[0]}, place[1])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		list, err := ignore.Parse(string(text))
		if err != nil {
			err = fmt.Errorf("%s:%w", place[1], err)
		}
		return list, err
	}
	return nil, nil
}
