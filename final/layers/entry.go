package layers

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// make makes one entry, without what add gives to all kinds of them.
func (t *tree) make(dir int, base string, h *tar.Header, r io.Reader) error {
	device := unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	kind := uint32(unix.S_IFIFO)
	switch h.Typeflag {
	case tar.TypeDir:
		return unix.Mkdirat(dir, base, 0o700)
	case tar.TypeReg, tar.TypeGNUSparse:
		return t.write(dir, base, r, h)
	case tar.TypeSymlink:
		return unix.Symlinkat(h.Linkname, dir, base)
	case tar.TypeLink:
		return t.link(dir, base, h.Linkname)
	case tar.TypeFifo:
		device = 0
	case tar.TypeChar:
		kind = unix.S_IFCHR
	case tar.TypeBlock:
		kind = unix.S_IFBLK
	default:
		return fmt.Errorf("unknown type %q", h.Typeflag)
	}
	err := unix.Mknodat(dir, base, kind|0o600, int(device))
	if err == unix.EPERM {
		err = errors.New("only root can make a device node")
	}
	return err
}

// replace makes an entry in the place of an earlier one. What was a whiteout
// still hides what the lower layers have in a directory of that name.
func (t *tree) replace(dir int, base string, h *tar.Header,
	r io.Reader) error {
	var old unix.Stat_t
	err := unix.Fstatat(dir, base, &old, unix.AT_SYMLINK_NOFOLLOW)
	isDir := old.Mode&unix.S_IFMT == unix.S_IFDIR
	if err != nil || isDir && h.Typeflag == tar.TypeDir {
		return err
	} else if base == "." {
		return unix.EISDIR
	} else if t.o.Plain && isDir {
		return errors.New("cannot overwrite directory with non-directory")
	} else if t.o.Plain && h.Typeflag == tar.TypeDir {
		return errors.New("cannot overwrite non-directory with directory")
	} else if err = os.RemoveAll(within(dir, base)); err != nil {
		return err
	}
	if err = t.make(dir, base, h, r); err == nil && IsWhiteout(&old) &&
		h.Typeflag == tar.TypeDir {
		err = setOpaque(within(dir, base))
	}
	if isDir { // parent may have been in there
		t.in = ""
	}
	return err
}

// whiteout hides what lower layers have: one name, or all that is in dir. Its
// form is overlayfs's own; a user may make that device, too.
func (t *tree) whiteout(dir int, name string) error {
	if name == ".wh..opq" {
		return setOpaque(within(dir, "."))
	} else if strings.HasPrefix(name, ".wh.") {
		return nil // aufs's own notes
	} else if name == "" || name == "." || name == ".." {
		return errors.New("a whiteout of nothing")
	}
	err := unix.Mknodat(dir, name, unix.S_IFCHR, 0)
	if err == unix.EEXIST { // this layer has the name, too
		err = setOpaque(within(dir, name))
		if err == unix.EPERM || err == unix.ENOTDIR {
			err = nil // a file hides what is below by itself
		}
	}
	return err
}

// setOpaque marks a directory for overlays that root mounts, and for those
// that are mounted in a user namespace.
func setOpaque(dir string) error {
	err := unix.Lsetxattr(dir, "trusted.overlay.opaque", []byte("y"), 0)
	bad := unix.Lsetxattr(dir, "user.overlay.opaque", []byte("y"), 0)
	if err == nil && bad == unix.EOPNOTSUPP {
		return nil
	}
	return bad
}

// link makes a hard link, which must lead to something in the same layer.
func (t *tree) link(dir int, base, target string) error {
	name, err := local(target)
	if err == nil {
		var from int
		if from, err = t.resolve(path.Dir(name)); err == nil {
			err = unix.Linkat(from, path.Base(name), dir, base, 0)
			unix.Close(from)
		}
	}
	if err != nil && err != unix.EEXIST {
		err = fmt.Errorf("hard link to %.200q: %w", target, err)
	}
	return err
}

// write copies a file, and leaves a hole where there are only zeros.
func (t *tree) write(dir int, base string, r io.Reader,
	h *tar.Header) error {
	fd, err := unix.Openat(dir, base, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|
		unix.O_CLOEXEC|unix.O_NOFOLLOW, uint32(h.Mode&0o777))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	at, hole := int64(0), false
	for err == nil {
		var n int
		n, err = io.ReadFull(r, t.buf)
		part := t.buf[:n]
		hole = n > 4096 && bytes.Equal(part, zeros[:n]) || hole && n == 0
		if hole {
			at, part = at+int64(n), nil
		}
		for len(part) > 0 {
			n, bad := unix.Pwrite(fd, part, at)
			if bad != nil {
				return bad
			}
			at, part = at+int64(n), part[n:]
		}
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF || at != h.Size {
		return fmt.Errorf("read archive: %w", err)
	} else if !hole {
		return nil
	}
	return unix.Ftruncate(fd, at)
}

var zeros [64 << 10]byte

// xattrs sets the extended attributes. overlayfs's own are no image's business:
// they could make a file of one layer show another's content.
func (t *tree) xattrs(path string, h *tar.Header) error {
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if !ok {
			continue
		} else if strings.HasPrefix(name, "trusted.overlay.") ||
			strings.HasPrefix(name, "user.overlay.") {
			return fmt.Errorf("xattr %s is for overlayfs alone", name)
		}
		err := unix.Lsetxattr(path, name, []byte(value), 0)
		if err == unix.EPERM || err == unix.EOPNOTSUPP {
			t.warn(fmt.Sprintf("xattr %.80q: %v: files go without", name, err))
		} else if err != nil {
			return fmt.Errorf("xattr %.80q: %w", name, err)
		}
	}
	return nil
}

func (t *tree) warn(text string) {
	if t.o.Warn != nil && !t.warned[text] {
		t.o.Warn(text)
	}
	t.warned[text] = true
}

// touch sets the mode, unless it is right, and the times, dirfd and name being
// those of a file that was made just now.
func touch(dir int, base string, h *tar.Header, right bool) error {
	if h.Typeflag != tar.TypeSymlink && !right {
		err := unix.Fchmodat(dir, base, uint32(h.Mode&0o7777), 0)
		if err != nil {
			return fmt.Errorf("chmod: %w", err)
		}
	}
	modified, err := unix.TimeToTimespec(h.ModTime)
	accessed, bad := unix.TimeToTimespec(h.AccessTime)
	if bad != nil || h.AccessTime.IsZero() {
		accessed = modified
	}
	if err == nil {
		err = unix.UtimesNanoAt(dir, base, []unix.Timespec{accessed, modified},
			unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}
