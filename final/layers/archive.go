package layers

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Archive writes a directory of the layers, as they lie upon each other, as a
// tar archive: in the order of the names, with times in whole seconds, without
// sockets. The same files give the same bytes.
func Archive(list []string, from string, w io.Writer) error {
	dir, base, err := Lookup(list, from)
	if err == nil && base != "." {
		parent := dir
		dir, err = parent.Sub(base)
		parent.Close()
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	a := &archive{tar.NewWriter(w), map[[2]uint64]string{}}
	if err = a.add(dir, "", "."); err == nil {
		err = a.Close()
	}
	return err
}

type archive struct {
	*tar.Writer
	links map[[2]uint64]string // the first name of files that have several
}

// add writes one entry of dir, and all that is below. What vanishes meanwhile
// has not been there.
func (a *archive) add(dir *Dir, in, name string) error {
	where, st, err := dir.Lstat(name)
	if err == unix.ENOENT || st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return nil
	}
	info, bad := os.Lstat(where)
	target := ""
	if st.Mode&unix.S_IFMT == unix.S_IFLNK && bad == nil {
		target, bad = os.Readlink(where)
	}
	if err = cmp.Or(err, bad); err != nil {
		return fmt.Errorf("%s: %w", path.Join(in, name), err)
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	*h = tar.Header{Typeflag: h.Typeflag, Name: path.Join(in, name),
		Linkname: target, Size: h.Size, Mode: int64(st.Mode & 0o7777),
		Uid: h.Uid, Gid: h.Gid, ModTime: h.ModTime.Truncate(time.Second),
		Devmajor: h.Devmajor, Devminor: h.Devminor, Format: tar.FormatPAX}
	if info.IsDir() {
		h.Name, st.Nlink = h.Name+"/", 1
	}
	key := [2]uint64{st.Dev, st.Ino}
	if first := a.links[key]; first != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		return a.WriteHeader(h)
	} else if st.Nlink > 1 {
		a.links[key] = h.Name
	}
	if h.PAXRecords, err = xattrs(where); err != nil {
		return err
	}
	if err = a.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return a.copy(where, h.Size)
	case tar.TypeDir:
		return a.directory(dir, in, name)
	}
	return nil
}

func (a *archive) directory(dir *Dir, in, name string) error {
	if name != "." {
		sub, err := dir.Sub(name)
		if err != nil {
			return err
		}
		defer sub.Close()
		dir = sub
	}
	names, err := dir.Names()
	for _, next := range names {
		if err == nil {
			err = a.add(dir, path.Join(in, name), next)
		}
	}
	return err
}

func (a *archive) copy(where string, size int64) error {
	file, err := os.OpenFile(where, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err = io.CopyN(a, file, size); err == io.EOF {
		err = errors.New("a file shrank while it was read")
	}
	return err
}

// xattrs leaves out overlayfs's own, and what only the host understands.
func xattrs(path string) (map[string]string, error) {
	n, err := unix.Llistxattr(path, nil)
	if err == unix.EOPNOTSUPP || n == 0 && err == nil {
		return nil, nil
	}
	list, value := make([]byte, 64<<10), make([]byte, 64<<10)
	if n, err = unix.Llistxattr(path, list); err != nil {
		return nil, fmt.Errorf("listxattr: %w", err)
	}
	records := map[string]string{}
	for _, name := range strings.Split(strings.Trim(string(list[:n]), "\x00"),
		"\x00") {
		if strings.HasPrefix(name, "trusted.") || name == "security.selinux" ||
			strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, fmt.Errorf("getxattr %s: %w", name, err)
		}
		records["SCHILY.xattr."+name] = string(value[:n])
	}
	return records, nil
}
