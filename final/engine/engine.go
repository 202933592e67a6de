// Package engine knows containers by name: it makes bundles of images and
// options, lets the runtime and a monitor run them, and keeps a record of each.
// There is no daemon: every command reads the records, acts, and ends.
package engine

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"container-workshop/final/image"
	"container-workshop/final/network"
)

// Engine is the two directories that everything is in: Data survives a reboot,
// Run does not.
type Engine struct {
	Data, Run string
	Rootless  bool
	Networks  *network.Store
}

// Open takes the directories, or, if they are "", the user's own.
func Open(data, run string) (*Engine, error) {
	e := &Engine{Rootless: os.Geteuid() != 0}
	home, uid := os.Getenv("HOME"), os.Geteuid()
	share := cmp.Or(os.Getenv("XDG_DATA_HOME"), home+"/.local/share")
	tmp := fmt.Sprintf("/tmp/minidocker-%d", uid)
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		tmp = dir + "/minidocker"
	}
	e.Data, e.Run = share+"/minidocker", tmp
	if !e.Rootless {
		e.Data, e.Run = "/var/lib/minidocker", "/run/minidocker"
	}
	var err, bad error
	e.Data, err = filepath.Abs(cmp.Or(data, e.Data))
	e.Run, bad = filepath.Abs(cmp.Or(run, e.Run))
	// What images bring, setuid programs too, is not for this machine's users.
	err = cmp.Or(err, bad, os.MkdirAll(filepath.Dir(e.Data), 0o755))
	if err == nil {
		err = os.Mkdir(e.Data, 0o710)
		if errors.Is(err, os.ErrExist) {
			err = nil
		}
	}
	for _, dir := range []string{e.containers(), e.names(), e.Run} {
		err = cmp.Or(err, os.MkdirAll(dir, 0o711))
	}
	// Others may write to /tmp as well.
	if info, bad := os.Lstat(e.Run); err == nil && bad == nil && run == "" &&
		!owned(info, uid) {
		err = fmt.Errorf("%s belongs to another user: use --state", e.Run)
	}
	e.Networks = &network.Store{Dir: e.Data + "/networks"}
	return e, err
}

// Images opens the store of images.
func (e *Engine) Images() (*image.Store, error) {
	return image.Open(e.Data + "/images")
}

func (e *Engine) containers() string { return e.Data + "/containers" }
func (e *Engine) names() string      { return e.Data + "/containers/.names" }

// runtimeRoot is the runtime's --root.
func (e *Engine) runtimeRoot() string { return e.Run + "/runtime" }

// self is how a monitor calls us: with the same directories.
func (e *Engine) self(args ...string) []string {
	return append([]string{"--root", e.Data, "--state", e.Run}, args...)
}
