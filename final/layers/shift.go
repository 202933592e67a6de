package layers

import (
	"cmp"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Shift adds uid and gid to the owners of a directory and all that is in it: to
// those that they are for a user namespace that begins there. Symbolic links
// are not followed. chown(2) clears the setuid bits, so they are set again.
func Shift(dir string, uid, gid int) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry,
		err error) error {
		var st unix.Stat_t
		err = cmp.Or(err, unix.Lstat(path, &st))
		if err == nil {
			err = os.Lchown(path, uid+int(st.Uid), gid+int(st.Gid))
		}
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			err = unix.Chmod(path, st.Mode&0o7777)
		}
		return err
	})
}
