package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"container-workshop/final/layers"

	"golang.org/x/sys/unix"
)

// Source opens what import takes: "-" is stdin, a directory becomes a tar
// archive, and a file is itself.
func Source(path string, stdin io.Reader) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(stdin), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.IsDir() {
		return file, err
	}
	file.Close()
	return pack([]string{path}, "/"), nil
}

// CopyUp fills a volume's directory, if it is empty, with what the image has in
// its place.
func CopyUp(list []string, from, dir string) error {
	old, err := os.ReadDir(dir)
	if err != nil || len(old) > 0 {
		return err
	}
	parent, base, err := layers.Lookup(list, from)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	} else if err != nil {
		return err
	}
	_, st, err := parent.Lstat(base)
	parent.Close()
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	archive := pack(list, from)
	defer archive.Close()
	_, err = Extract(archive, dir, ExtractOptions{Into: true})
	return err
}

func pack(list []string, from string) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(Archive(list, from, w)) }()
	return r
}

// Archive writes a directory of the layers, as they lie upon each other, as a
// tar archive: in the order of the names, with times in whole seconds, without
// sockets. The same files give the same bytes.
func Archive(list []string, from string, w io.Writer) error {
	dir, base, err := layers.Lookup(list, from)
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
func (a *archive) add(dir *layers.Dir, in, name string) error {
	where, st, err := dir.Lstat(name)
	if err == unix.ENOENT {
		return nil
	} else if err != nil {
		return fmt.Errorf("%s: %w", path.Join(in, name), err)
	}
	h := &tar.Header{Name: path.Join(in, name), Mode: int64(st.Mode & 0o7777),
		Uid: int(st.Uid), Gid: int(st.Gid), Format: tar.FormatPAX,
		ModTime: time.Unix(st.Mtim.Sec, 0)}
	key := [2]uint64{st.Dev, st.Ino}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
	case unix.S_IFDIR:
		h.Typeflag, h.Name, st.Nlink = tar.TypeDir, h.Name+"/", 1
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = os.Readlink(where); err != nil {
			return err
		}
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor = int64(unix.Major(st.Rdev))
		h.Devminor = int64(unix.Minor(st.Rdev))
	default:
		return nil
	}
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

func (a *archive) directory(dir *layers.Dir, in, name string) error {
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
