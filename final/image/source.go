package image

import (
	"errors"
	"io"
	"os"

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
	_, err = layers.Extract(archive, dir, layers.ExtractOptions{Into: true})
	return err
}

func pack(list []string, from string) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(layers.Archive(list, from, w)) }()
	return r
}
