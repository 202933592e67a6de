package layers

import (
	"archive/tar"
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
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
	return newArchive(w).all(dir, "", ".")
}

// Entry writes one name of a directory, with all that is below, under another
// name; or, if that is "", only what is below.
func Entry(dir *Dir, name, as string, w io.Writer) error {
	a := newArchive(w)
	if a.as = as; as != "" {
		return a.all(dir, "", name)
	}
	err := a.directory(dir, name, "")
	return cmp.Or(err, a.Close())
}

// Diff writes the archive of one layer, with the signs for what it hides of
// those below. Empty files that skip names are places for the runtime to mount
// something, and left out.
func Diff(upper string, w io.Writer, skip ...string) error {
	dir, err := Open([]string{upper})
	if err != nil {
		return err
	}
	defer dir.Close()
	a := newArchive(w)
	a.diff, a.skip = true, skip
	return a.all(dir, "", ".")
}

// Pack is Archive to be read from.
func Pack(list []string, from string) io.ReadCloser {
	return Stream(func(w io.Writer) error { return Archive(list, from, w) })
}

// Stream lets a writer run beside the one who reads.
func Stream(write func(io.Writer) error) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		b := bufio.NewWriterSize(w, 1<<18)
		w.CloseWithError(cmp.Or(write(b), b.Flush()))
	}()
	return r
}

type archive struct {
	*tar.Writer
	links map[[2]uint64]string // the first name of files that have several
	as    string               // the first entry's name, if it has another one
	dev   uint64               // of the first directory
	diff  bool
	skip  []string
	buf   []byte
	edit  func(*tar.Header) (write, descend bool)
}

func newArchive(w io.Writer) *archive {
	return &archive{Writer: tar.NewWriter(w), buf: make([]byte, 64<<10),
		links: map[[2]uint64]string{}}
}

func (a *archive) all(dir *Dir, in, name string) error {
	err := a.add(dir, in, name)
	if err == nil {
		err = a.Close()
	}
	return err
}

// add writes one entry of dir, and all that is below. What vanishes meanwhile
// has not been there.
func (a *archive) add(dir *Dir, in, name string) error {
	where, st, err := dir.Lstat(name)
	if err == unix.ENOENT && a.diff && IsWhiteout(&st) {
		return a.WriteHeader(&tar.Header{Typeflag: tar.TypeReg,
			Name: path.Join(in, ".wh."+name), Format: tar.FormatPAX})
	} else if err == unix.ENOENT || st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return nil
	} else if err != nil {
		return fmt.Errorf("%s: %w", path.Join(in, name), err)
	}
	h, err := header(where, &st)
	if err != nil {
		return fmt.Errorf("%s: %w", path.Join(in, name), err)
	}
	if h.Name = path.Join(in, name); a.as != "" {
		h.Name, a.as = a.as, ""
	}
	as := h.Name
	if h.Typeflag == tar.TypeDir {
		h.Name, st.Nlink = h.Name+"/", 1
	} else if h.Size == 0 && slices.Contains(a.skip, h.Name) {
		return nil
	}
	write, descend := true, true
	if a.edit != nil {
		write, descend = a.edit(h)
	}
	if !write && descend && h.Typeflag == tar.TypeDir {
		return a.directory(dir, name, as)
	} else if !write {
		return nil
	}
	key := [2]uint64{st.Dev, st.Ino}
	if first := a.links[key]; first != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		return a.WriteHeader(h)
	} else if st.Nlink > 1 {
		a.links[key] = h.Name
	}
	if h.PAXRecords, err = xattrs(where); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	if err = a.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return a.copy(where, h.Size)
	case tar.TypeDir:
		if a.dev == 0 {
			a.dev = st.Dev
		}
		if descend && (st.Dev == a.dev || !kernels(where, as)) {
			return a.directory(dir, name, as)
		}
	}
	return nil
}

// kernels says whether a file system that is mounted there has nothing but what
// the kernel says, or devices: a container's /proc, /sys and /dev.
func kernels(where, as string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(where, &fs) != nil {
		return false
	}
	switch fs.Type {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC,
		unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC, 0x19800202:
		return true // the last is mqueue
	}
	return fs.Type == unix.TMPFS_MAGIC && path.Base(as) == "dev"
}

// header has what stat(2) tells. To a user his files are root's, as they are to
// root in his containers.
func header(where string, st *unix.Stat_t) (h *tar.Header, err error) {
	h = &tar.Header{Mode: int64(st.Mode & 0o7777), Format: tar.FormatPAX,
		Uid: int(st.Uid), Gid: int(st.Gid), ModTime: time.Unix(st.Mtim.Sec, 0)}
	if me := os.Geteuid(); me != 0 && h.Uid == me {
		h.Uid = 0
	}
	if me := os.Getegid(); os.Geteuid() != 0 && h.Gid == me {
		h.Gid = 0
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
	case unix.S_IFDIR:
		h.Typeflag = tar.TypeDir
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
		h.Linkname, err = os.Readlink(where)
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR:
		h.Typeflag = tar.TypeChar
	case unix.S_IFBLK:
		h.Typeflag = tar.TypeBlock
	}
	if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
		h.Devmajor = int64(unix.Major(st.Rdev))
		h.Devminor = int64(unix.Minor(st.Rdev))
	}
	return h, err
}

// directory writes what is in a directory that has the name as in the archive.
func (a *archive) directory(dir *Dir, name, as string) error {
	if name != "." {
		sub, err := dir.Sub(name)
		if err != nil {
			return err
		}
		defer sub.Close()
		dir = sub
	}
	if a.diff && isOpaque(dir.fds[0]) {
		err := a.WriteHeader(&tar.Header{Typeflag: tar.TypeReg,
			Name: path.Join(as, ".wh..wh..opq"), Format: tar.FormatPAX})
		if err != nil {
			return err
		}
	}
	names, err := dir.Names()
	for _, next := range names {
		if err == nil {
			err = a.add(dir, as, next)
		}
	}
	return err
}

func (a *archive) copy(where string, size int64) error {
	if size == 0 {
		return nil
	}
	fd, err := unix.Open(where, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|
		unix.O_NONBLOCK, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: where, Err: err}
	}
	defer unix.Close(fd)
	for size > 0 {
		n, err := unix.Read(fd, a.buf[:min(size, int64(len(a.buf)))])
		if err == nil && n == 0 {
			err = errors.New("a file shrank while it was read")
		} else if err == nil {
			_, err = a.Write(a.buf[:n])
		}
		if err != nil && err != unix.EINTR {
			return err
		}
		size -= int64(max(n, 0))
	}
	return nil
}

// xattrs leaves out overlayfs's own, and what only the host understands. Two of
// overlayfs's would make it wrong to look at the files alone.
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
		if strings.HasSuffix(name, ".overlay.redirect") ||
			strings.HasSuffix(name, ".overlay.metacopy") {
			return nil, fmt.Errorf("overlayfs keeps it elsewhere: %s", name)
		}
		if name == "" || strings.HasPrefix(name, "trusted.") ||
			strings.HasPrefix(name, "user.overlay.") ||
			name == "security.selinux" {
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
