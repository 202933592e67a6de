package image

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"container-workshop/final/layers"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// ImportOptions say what the archive does not.
type ImportOptions struct {
	Ref      string   // the name to give; may be ""
	Changes  []string // Dockerfile instructions: "CMD sh"
	Message  string   // the comment in the history
	Platform string   // os/arch[/variant]; this machine's
	Extract  layers.ExtractOptions
}

// A Layer is unpacked in a temporary directory and waits for commit.
type Layer struct {
	Blob   v1.Descriptor // of the archive as it came
	DiffID digest.Digest // of the archive without compression
	dir    string        // holds blob, diff and size
}

// Import makes an image of one layer from a tar archive, plain, gzip or zstd.
func (s *Store) Import(r io.Reader, o ImportOptions) (*Image, error) {
	now := time.Now().UTC()
	config := v1.Image{Created: &now, Platform: v1.Platform{OS: "linux",
		Architecture: runtime.GOARCH}}
	part := strings.Split(o.Platform, "/")
	if o.Platform != "" && (len(part) > 3 || slices.Contains(part, "")) {
		return nil, fmt.Errorf("platform %q: not OS[/ARCH[/VARIANT]]",
			o.Platform)
	} else if o.Platform != "" {
		part = append(part, "", "")
		config.Platform = v1.Platform{OS: part[0], Variant: part[2],
			Architecture: cmp.Or(part[1], runtime.GOARCH)}
	}
	if err := Apply(&config.Config, o.Changes); err != nil {
		return nil, err
	}
	if strings.Contains(o.Ref, "@") {
		return nil, errors.New("cannot import digest reference")
	} else if _, err := ParseRef(o.Ref); o.Ref != "" && err != nil {
		return nil, err
	}
	dir, done, err := s.temp()
	if err != nil {
		return nil, err
	}
	defer done()
	layer, err := stage(dir, r, "", o.Extract)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	config.History = []v1.History{{Created: &now, Comment: cmp.Or(o.Message,
		"Imported from -")}}
	return s.commit(dir, config, []*Layer{layer}, o.Ref)
}

// temp makes a directory for unfinished work, which is locked so that Prune
// leaves it alone. done removes it.
func (s *Store) temp() (dir string, done func(), err error) {
	unlock, err := s.lock()
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	dir, err = os.MkdirTemp(s.path("tmp"), "")
	if err != nil {
		return "", nil, fmt.Errorf("image store: %w", err)
	}
	file, err := os.Open(dir)
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	return dir, func() { layers.RemoveAll(dir); file.Close() }, err
}

// stage unpacks a layer below dir while it streams past, and keeps it as it
// came. want is the digest that it must have, or "".
func stage(dir string, r io.Reader, want string,
	o layers.ExtractOptions) (*Layer, error) {
	dir, err := os.MkdirTemp(dir, "layer")
	if err != nil {
		return nil, err
	}
	blob, err := os.Create(filepath.Join(dir, "blob"))
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	packed, plain := sha256.New(), sha256.New()
	raw := bufio.NewReaderSize(io.TeeReader(r, io.MultiWriter(blob, packed)),
		1<<18)
	mediaType, unpacked, err := decompress(raw)
	if err != nil {
		return nil, err
	}
	defer unpacked.Close()
	archive := bufio.NewReaderSize(io.TeeReader(unpacked, plain), 1<<18)
	if _, err = archive.Peek(512); err == io.EOF {
		return nil, errors.New("not a tar archive: it is too short")
	}
	size, err := layers.Extract(archive, filepath.Join(dir, "diff"), o)
	if err == nil { // the digest includes what follows the end mark
		err = cmp.Or(drain(archive), drain(raw))
	}
	at, bad := blob.Seek(0, io.SeekCurrent)
	if err = cmp.Or(err, bad); err != nil {
		return nil, err
	}
	layer := &Layer{dir: dir, DiffID: digest.Digest(digestOf(plain)),
		Blob: v1.Descriptor{MediaType: mediaType, Size: at,
			Digest: digest.Digest(digestOf(packed))}}
	if want != "" && want != string(layer.Blob.Digest) {
		return nil, fmt.Errorf("wrong digest: %s, not %s", layer.Blob.Digest,
			want)
	}
	return layer, os.WriteFile(filepath.Join(dir, "size"),
		fmt.Append(nil, size), 0o600)
}

func decompress(r *bufio.Reader) (mediaType string, _ io.ReadCloser, _ error) {
	magic, _ := r.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		return v1.MediaTypeImageLayerGzip, z, err
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(128<<20),
			zstd.WithDecoderConcurrency(1))
		if err != nil {
			return "", nil, err
		}
		return v1.MediaTypeImageLayerZstd, z.IOReadCloser(), nil
	}
	return v1.MediaTypeImageLayer, io.NopCloser(r), nil
}

// drain reads what is left, which should not be much.
func drain(r io.Reader) error {
	n, err := io.CopyN(io.Discard, r, 64<<20)
	if err == io.EOF {
		return nil
	} else if err == nil {
		err = fmt.Errorf("%d bytes and more follow the archive", n)
	}
	return err
}
