// Package rootfs gives a container its root: mounts, devices, pivot_root.
package rootfs

import (
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Annotations that ask for an overlay as the root, mounted before everything
// else and only in the container's own mount namespace. Lowerdir holds the
// layers, the lowest first as image.Image.Layers has them: a line each, or a
// JSON list.
const (
	Lowerdir = "minidocker.lowerdir"
	Upperdir = "minidocker.upperdir"
	Workdir  = "minidocker.workdir"
)

var errTODO = errors.New("not yet")

// Prepare makes everything below root that the container will see: it sets
// the propagation, mounts the root on itself (or the overlay), then the
// mounts, devices and links of /dev, and the working directory. It must run in
// the new mount namespace, with the ids of root inside, in the new cgroup
// namespace if there is one, and with the bundle as working directory, for
// relative sources.
func Prepare(spec *specs.Spec, root string) error { return errTODO }

// Enter writes the sysctls, masks paths, makes others and the root read-only,
// and makes root the root directory: by pivot_root(2), or by MS_MOVE and
// chroot(2). Hooks of createContainer run between Prepare and Enter. The
// terminal is opened after Enter: terminal.New, and /dev/console is there, an
// empty file to bind the slave to.
func Enter(spec *specs.Spec, root string, pivot bool) error { return errTODO }

// Sysctl writes kernel parameters; Enter does it. See sysctl(8).
func Sysctl(values map[string]string) error { return errTODO }
