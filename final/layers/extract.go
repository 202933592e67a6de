package layers

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ExtractOptions bound what an archive may do.
type ExtractOptions struct {
	MaxBytes int64        // 0: 64 GiB
	MaxFiles int          // 0: 2 million
	Into     bool         // the directory is there, and stays
	Mine     bool         // all belongs to the caller, whoever had it
	Plain    bool         // no layer: no whiteouts, no file for a directory
	Warn     func(string) // told once of each kind that cannot be had; or nil
}

// A tree is a layer's directory while it fills. Nothing is ever opened by a
// path on the host: what an archive calls /etc or ../etc, and where its links
// lead, is resolved by the kernel with root for "/": openat2(2). parent is the
// directory that the last entry was in, as the next one usually is.
type tree struct {
	root, parent int
	in           string // parent's name; "": to be looked up again
	dirs         []*tar.Header
	bytes        int64
	files        int
	buf          []byte
	o            ExtractOptions
	warned       map[string]bool
	owners       bool // files get the owners that the archive has
}

// Extract unpacks a layer's tar archive into dir, which it makes and, if it
// fails, removes. It returns how many bytes the files have. Whiteouts become
// what overlayfs has instead of them. Only root can give files away and make
// devices: for others all files are theirs, and a device is an error.
func Extract(r io.Reader, dir string, o ExtractOptions) (int64, error) {
	if !o.Into {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return 0, err
		}
	}
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	t := &tree{root: fd, parent: -1, o: o, warned: map[string]bool{},
		owners: os.Geteuid() == 0 && !o.Mine, buf: make([]byte, 64<<10)}
	if o.MaxBytes == 0 {
		t.o.MaxBytes = 64 << 30
	}
	if o.MaxFiles == 0 {
		t.o.MaxFiles = 2_000_000
	}
	if err = t.fill(tar.NewReader(r)); err == nil {
		err = t.finish()
	}
	t.forget()
	if err != nil && !o.Into {
		RemoveAll(dir)
	}
	return t.bytes, err
}

func (t *tree) fill(archive *tar.Reader) error {
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		shown := h.Name
		if h.Name, err = local(h.Name); err == nil {
			err = t.count(h)
		}
		if err == nil {
			err = t.add(h, archive)
		}
		if err != nil {
			return fmt.Errorf("extract %.200q: %w", shown, err)
		}
	}
}

// local is a name without what is superfluous, or an error if it could mean
// anything outside of the layer.
func local(name string) (string, error) {
	if path.IsAbs(name) {
		return "", errors.New("an absolute path")
	} else if slices.Contains(strings.Split(name, "/"), "..") {
		return "", errors.New("a path with .. in it")
	}
	return path.Clean(name), nil
}

func (t *tree) count(h *tar.Header) error {
	t.files++
	if h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeGNUSparse {
		t.bytes += h.Size
	}
	if t.files > t.o.MaxFiles {
		return fmt.Errorf("more than %d files", t.o.MaxFiles)
	} else if t.bytes > t.o.MaxBytes || t.bytes < 0 {
		return fmt.Errorf("more than %d bytes", t.o.MaxBytes)
	}
	return nil
}

// add makes one entry. The order matters: chown(2) clears set-user-ID bits and
// file capabilities, and the time comes last. Directories get their modes when
// all is there, or nobody but root could fill one that is read-only.
func (t *tree) add(h *tar.Header, data io.Reader) error {
	base := path.Base(h.Name)
	dir, err := t.open(path.Dir(h.Name))
	if err != nil {
		return err
	}
	if hidden, ok := strings.CutPrefix(base, ".wh."); ok && !t.o.Plain {
		return t.whiteout(dir, hidden)
	}
	if err = t.make(dir, base, h, data); err == unix.EEXIST {
		err = t.replace(dir, base, h, data)
	}
	if err != nil || h.Typeflag == tar.TypeLink {
		return err
	}
	// What is right already is left alone: a change is a journal's entry.
	var is unix.Stat_t
	err = unix.Fstatat(dir, base, &is, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return err
	}
	right := is.Mode&0o7777 == uint32(h.Mode&0o7777)
	if t.owners && (is.Uid != uint32(h.Uid) || is.Gid != uint32(h.Gid)) {
		err = unix.Fchownat(dir, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW)
		if right = false; err != nil {
			return fmt.Errorf("chown to %d:%d: %w", h.Uid, h.Gid, err)
		}
	}
	if err = t.xattrs(within(dir, base), h); err != nil {
		return err
	} else if h.Typeflag == tar.TypeDir {
		t.dirs = append(t.dirs, h)
		return nil
	}
	return touch(dir, base, h, right)
}

// finish gives the directories their modes and times, the deepest first and
// the last entry for each; not those that later entries have replaced.
func (t *tree) finish() error {
	slices.SortStableFunc(t.dirs, func(a, b *tar.Header) int {
		return strings.Compare(b.Name, a.Name)
	})
	for i, h := range t.dirs {
		if i+1 < len(t.dirs) && t.dirs[i+1].Name == h.Name {
			continue
		}
		dir, err := t.resolve(path.Dir(h.Name))
		if err == nil {
			var now unix.Stat_t
			err = unix.Fstatat(dir, path.Base(h.Name), &now,
				unix.AT_SYMLINK_NOFOLLOW)
			if err == nil && now.Mode&unix.S_IFMT == unix.S_IFDIR {
				err = touch(dir, path.Base(h.Name), h, false)
			}
			unix.Close(dir)
		}
		if err != nil && err != unix.ENOENT && err != unix.ENOTDIR &&
			err != unix.ELOOP {
			return fmt.Errorf("extract %.200q: %w", h.Name, err)
		}
	}
	return nil
}

// open finds the directory of an entry, and makes it if the archive has none.
func (t *tree) open(dir string) (int, error) {
	if dir == t.in {
		return t.parent, nil
	}
	fd, err := t.resolve(dir)
	if err == unix.ENOENT {
		var up int
		if up, err = t.open(path.Dir(dir)); err == nil {
			err = unix.Mkdirat(up, path.Base(dir), 0o755)
		}
		if err == nil {
			err = t.count(&tar.Header{Typeflag: tar.TypeDir})
		}
		if err == nil {
			fd, err = t.resolve(dir)
		} else if err == unix.EEXIST {
			err = errors.New("in a directory that is a link to nowhere")
		}
	}
	if err == nil {
		t.forget()
		t.parent, t.in = fd, dir
	}
	return t.parent, err
}

func (t *tree) forget() {
	if t.parent >= 0 {
		unix.Close(t.parent)
	}
	t.parent = -1
}

func (t *tree) resolve(dir string) (fd int, err error) {
	how := &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for err = unix.EAGAIN; err == unix.EAGAIN || err == unix.EINTR; {
		fd, err = unix.Openat2(t.root, dir, how)
	}
	return fd, err
}

// within is a path to name in an open directory, for calls without a dirfd.
func within(dir int, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir, name)
}

// RemoveAll removes a tree in which directories may be closed to their owner.
func RemoveAll(dir string) error {
	err := os.RemoveAll(dir)
	if err != nil {
		filepath.WalkDir(dir, func(p string, e fs.DirEntry, _ error) error {
			if e != nil && e.IsDir() {
				os.Chmod(p, 0o700)
			}
			return nil
		})
		err = os.RemoveAll(dir)
	}
	return err
}
