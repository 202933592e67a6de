package image

import (
	"io"
	"os"

	"container-workshop/final/layers"
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
	return layers.Pack([]string{path}, "/"), nil
}
