package rootfs

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Annotations that ask for an overlay as the root, mounted before everything
// else and only in the container's own mount namespace. Lowerdir holds the
// layers, the lowest first as image.Image.Layers has them: a line each, or a
// JSON list. Without Upperdir and Workdir the root is read-only, and needs two
// layers.
const (
	Lowerdir = "minidocker.lowerdir"
	Upperdir = "minidocker.upperdir"
	Workdir  = "minidocker.workdir"
)

// mountOverlay mounts the layers on path. They are named by open files: names
// are free to have colons and commas then, and many fit into the one page that
// mount(2) takes. userxattr keeps overlayfs's own marks where a user namespace
// may write them.
func mountOverlay(annotations map[string]string, path string) error {
	layers := strings.Split(strings.Trim(annotations[Lowerdir], "\n"), "\n")
	if annotations[Lowerdir][0] == '[' {
		layers = nil
		err := json.Unmarshal([]byte(annotations[Lowerdir]), &layers)
		if err != nil {
			return fmt.Errorf("annotation %s: %w", Lowerdir, err)
		}
	}
	lower, options, open := "", "", root{}
	defer open.close()
	for i, dir := range append(layers, annotations[Upperdir],
		annotations[Workdir]) {
		if dir == "" && i >= len(layers) {
			continue
		}
		fd, err := open.keep(unix.Open(dir,
			unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0))
		if err != nil {
			return fmt.Errorf("open layer %s: %w", dir, err)
		}
		switch i - len(layers) {
		default:
			lower = fmt.Sprintf(":/proc/self/fd/%d%s", fd, lower)
		case 0:
			options += fmt.Sprintf(",upperdir=/proc/self/fd/%d", fd)
		case 1:
			options += fmt.Sprintf(",workdir=/proc/self/fd/%d", fd)
		}
	}
	options = "lowerdir=" + strings.TrimPrefix(lower, ":") + options
	if inUserNamespace() {
		options += ",userxattr"
	}
	err := error(unix.E2BIG)
	if len(options) < os.Getpagesize() {
		err = unix.Mount("overlay", path, "overlay", 0, options)
	}
	if err != nil {
		return fmt.Errorf("mount overlay of %d layers on %s: %w%s", len(layers),
			path, err, map[error]string{unix.E2BIG: ": their names fill the " +
				"page that mount(2) takes", unix.EINVAL: ": is the upper " +
				"directory on an overlay itself?"}[err])
	}
	return nil
}
