package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

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
	r, w := io.Pipe()
	go func() { w.CloseWithError(Archive(path, w)) }()
	return r, nil
}

// Archive writes a directory as a tar archive, in the order of the names, and
// without sockets. The same files give the same bytes.
func Archive(dir string, w io.Writer) error {
	archive, links := tar.NewWriter(w), map[[2]uint64]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || info.Mode()&fs.ModeSocket != 0 {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		return archiveFile(archive, links, p, name, info)
	})
	if err == nil {
		err = archive.Close()
	}
	return err
}

func archiveFile(archive *tar.Writer, links map[[2]uint64]string, path,
	name string, info fs.FileInfo) error {
	st, target := info.Sys().(*syscall.Stat_t), ""
	if info.Mode()&fs.ModeSymlink != 0 {
		target, _ = os.Readlink(path)
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Format, h.Uname, h.Gname = name, tar.FormatPAX, "", ""
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	if info.IsDir() {
		h.Name += "/"
	}
	key := [2]uint64{st.Dev, st.Ino}
	if first := links[key]; st.Nlink > 1 && !info.IsDir() {
		if links[key] = name; first != "" {
			links[key] = first
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return archive.WriteHeader(h)
		}
	}
	if h.PAXRecords, err = readXattrs(path); err != nil {
		return err
	}
	if err = archive.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err = io.Copy(archive, file); errors.Is(err, tar.ErrWriteTooLong) {
		err = fmt.Errorf("%s grew while it was read", path)
	}
	return err
}

// readXattrs leaves out overlayfs's own, and what the host's security modules
// have put there.
func readXattrs(path string) (map[string]string, error) {
	list, value := make([]byte, 64<<10), make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if err == unix.EOPNOTSUPP || n == 0 {
		return nil, nil
	} else if err != nil {
		return nil, &os.PathError{Op: "listxattr", Path: path, Err: err}
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
			return nil, &os.PathError{Op: "getxattr", Path: path, Err: err}
		}
		records["SCHILY.xattr."+name] = string(value[:n])
	}
	return records, nil
}
