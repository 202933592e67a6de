package rootfs

import (
	"cmp"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copyUp copies what is in the directory from into the directory to, with
// owners, modes and times. Nothing in it is followed.
func copyUp(from, to int) error {
	fd, err := unix.Openat(from, ".", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), "tmpcopyup")
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		var st unix.Stat_t
		err = cmp.Or(err, unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW))
		if err == nil {
			err = copyOne(fd, to, name, &st)
		}
		if err == nil && st.Mode&unix.S_IFMT != unix.S_IFLNK {
			err = unix.Fchmodat(to, name, st.Mode&0o7777, 0)
		}
		if err != nil {
			return fmt.Errorf("copy up %s: %w", name, err)
		}
	}
	return err
}

// copyOne copies what st says that name is, but not its mode: a symbolic link
// has none, and a change of owner clears set-user-ID.
func copyOne(from, to int, name string, st *unix.Stat_t) (err error) {
	const safe = unix.O_NOFOLLOW | unix.O_CLOEXEC
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR, unix.S_IFREG:
		source, bad := unix.Openat(from, name, safe|unix.O_RDONLY, 0)
		in := os.NewFile(uintptr(source), name)
		defer in.Close()
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = cmp.Or(bad, unix.Mkdirat(to, name, 0o700))
			copy, bad := unix.Openat(to, name, safe|unix.O_PATH, 0)
			if err = cmp.Or(err, bad); err == nil {
				err = copyUp(source, copy)
			}
			unix.Close(copy)
			break
		}
		copy, worse := unix.Openat(to, name,
			safe|unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
		out := os.NewFile(uintptr(copy), name)
		defer out.Close()
		if err = cmp.Or(bad, worse); err == nil {
			_, err = io.Copy(out, in)
		}
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, bad := unix.Readlinkat(from, name, target)
		if err = bad; err == nil {
			err = unix.Symlinkat(string(target[:n]), to, name)
		}
	default:
		err = unix.Mknodat(to, name, st.Mode, int(st.Rdev))
	}
	return cmp.Or(err, unix.Fchownat(to, name, int(st.Uid), int(st.Gid),
		unix.AT_SYMLINK_NOFOLLOW), unix.UtimesNanoAt(to, name,
		[]unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW))
}
