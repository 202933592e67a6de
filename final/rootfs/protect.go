package rootfs

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// protect mounts some paths on themselves, read-only with all that is below,
// and hides others: files under /dev/null, directories under an empty one. What
// is not there needs nothing. The image may have made /dev/null something else:
// it must be device 1:3.
func (r *root) protect(linux *specs.Linux) error {
	for _, path := range linux.ReadonlyPaths {
		at, err := r.lookup(path, 0)
		if err == unix.ENOENT || err == unix.ENOTDIR {
			continue
		}
		tree, bad := r.tree(at, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
		err = cmp.Or(err, bad, setattr(tree, unix.AT_RECURSIVE, readOnly),
			place(tree, at))
		if err != nil {
			return fmt.Errorf("make %s read-only: %w", path, err)
		}
		r.closeRest()
	}
	null, err := r.lookup("/dev/null", 0)
	if len(linux.MaskedPaths) > 0 && (err != nil ||
		!isDevice(null, "", unix.S_IFCHR, unix.Mkdev(1, 3))) {
		return fmt.Errorf("mask: /dev/null is not the device 1:3 (%v)", err)
	}
	empty := mount{Mount: specs.Mount{Type: "tmpfs", Source: "tmpfs"}}
	for _, path := range linux.MaskedPaths {
		at, err := r.lookup(path, 0)
		if err == unix.ENOENT || err == unix.ENOTDIR {
			continue
		}
		var st unix.Stat_t
		tree := -1
		if err = cmp.Or(err, unix.Fstat(at, &st)); err != nil {
		} else if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			tree, err = r.make(&empty, at, false)
		} else {
			tree, err = r.tree(null, "", unix.AT_EMPTY_PATH)
		}
		err = cmp.Or(err, setattr(tree, 0, readOnly), place(tree, at))
		if err != nil {
			return fmt.Errorf("mask %s: %w", path, err)
		}
	}
	return nil
}

// sysctlPath turns dots into slashes, and slashes into dots, unless the first
// of them is a slash: sysctl.d(5).
func sysctlPath(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		key = strings.NewReplacer(".", "/", "/", ".").Replace(key)
	}
	return filepath.Clean("/proc/sys/" + key)
}

// checkSysctl refuses what is not the container's own but the whole machine's:
// namespaces(7).
func checkSysctl(linux *specs.Linux) error {
	own := map[specs.LinuxNamespaceType]bool{}
	for _, ns := range linux.Namespaces {
		own[ns.Type] = true
	}
	for key := range linux.Sysctl {
		needs := specs.LinuxNamespaceType("")
		for prefix, ns := range map[string]specs.LinuxNamespaceType{
			"net/": "network", "fs/mqueue/": "ipc", "kernel/msg": "ipc",
			"kernel/shm": "ipc", "kernel/sem": "ipc",
			"kernel/domainname": "uts"} {
			if strings.HasPrefix(sysctlPath(key), "/proc/sys/"+prefix) {
				needs = ns
			}
		}
		if !own[needs] {
			return fmt.Errorf("sysctl %s: it is the host's, not one of a "+
				"namespace of this container", key)
		}
	}
	return nil
}

// Sysctl writes kernel parameters; Enter does it for spec.Linux.Sysctl.
func Sysctl(values map[string]string) error {
	for key, value := range values {
		err := os.WriteFile(sysctlPath(key), []byte(value), 0)
		if err != nil {
			return fmt.Errorf("sysctl %s=%s: %w", key, value, err)
		}
	}
	return nil
}
