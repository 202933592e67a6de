package image

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"container-workshop/final/layers"
	"container-workshop/final/reference"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Work is an image in the making: a directory for its layers, locked so that
// Prune leaves it alone. Commit or Put moves all of it into the store.
type Work struct {
	Dir   string
	Steps []string // Image.Steps of what Commit makes
	store *Store
	lock  *os.File
}

// A Layer is unpacked in a Work and waits, or is in the store already.
type Layer struct {
	Blob   v1.Descriptor // of the archive as it came
	DiffID digest.Digest // of the archive without compression
	dir    string        // holds blob, diff and size; "": in the store
}

// Begin makes a Work, which must End.
func (s *Store) Begin() (*Work, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(s.path("tmp"), "")
	if err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	file, err := os.Open(dir)
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	return &Work{Dir: dir, store: s, lock: file}, err
}

// Path is the directory that a layer is unpacked in, as long as it stays where
// it is.
func (w *Work) Path(l *Layer) string {
	if l.dir != "" {
		return l.dir + "/diff"
	}
	return w.store.path("layers", l.DiffID.Encoded(), "diff")
}

// End removes what has not been moved into the store.
func (w *Work) End() {
	layers.RemoveAll(w.Dir)
	w.lock.Close()
}

// Find returns the layer if the store has it, archive and directory.
func (w *Work) Find(blob v1.Descriptor, diffID digest.Digest) *Layer {
	l := &Layer{Blob: blob, DiffID: diffID}
	if w.store.has(l) != nil {
		return nil
	}
	return l
}

// has looks for a layer. Its names are digests, or they would be paths.
func (s *Store) has(l *Layer) error {
	blob, err := reference.Hex(string(l.Blob.Digest))
	diff, bad := reference.Hex(string(l.DiffID))
	if err = cmp.Or(err, bad); err != nil {
		return err
	}
	_, err = os.Stat(s.path("blobs/sha256", blob))
	_, bad = os.Stat(s.path("layers", diff, "size"))
	return cmp.Or(err, bad)
}

// Stage unpacks a layer while it streams past, and keeps it as it came. What
// want says of it must be true: the digests, and with a digest the size.
func (w *Work) Stage(r io.Reader, want Layer, o layers.ExtractOptions) (*Layer,
	error) {
	dir, err := os.MkdirTemp(w.Dir, "layer")
	if err != nil {
		return nil, err
	}
	blob, err := os.Create(filepath.Join(dir, "blob"))
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	if want.Blob.Digest != "" {
		r = io.LimitReader(r, want.Blob.Size+1)
	}
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
	l := &Layer{dir: dir, DiffID: digest.Digest(digestOf(plain)),
		Blob: v1.Descriptor{MediaType: mediaType, Size: at,
			Digest: digest.Digest(digestOf(packed))}}
	for _, pair := range [][2]digest.Digest{{l.Blob.Digest, want.Blob.Digest},
		{l.DiffID, want.DiffID}} {
		if pair[1] != "" && pair[0] != pair[1] {
			return nil, fmt.Errorf("wrong digest: %s, not %s", pair[0],
				pair[1])
		}
	}
	return l, os.WriteFile(filepath.Join(dir, "size"), fmt.Append(nil, size),
		0o600)
}

// Pack compresses a layer of the store that is a plain archive, as those are
// that come from containers.
func (w *Work) Pack(l *Layer) (*Layer, error) {
	in, err := os.Open(w.store.path("blobs/sha256", l.Blob.Digest.Encoded()))
	if err != nil {
		return nil, err
	}
	defer in.Close()
	dir, err := os.MkdirTemp(w.Dir, "layer")
	if err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(dir, "blob"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	packed := sha256.New()
	z, err := gzip.NewWriterLevel(io.MultiWriter(out, packed), 4)
	if err == nil {
		_, err = io.Copy(z, in)
		err = cmp.Or(err, z.Close())
	}
	size, bad := out.Seek(0, io.SeekCurrent)
	return &Layer{dir: dir, DiffID: l.DiffID, Blob: v1.Descriptor{Size: size,
		MediaType: v1.MediaTypeImageLayerGzip,
		Digest:    digest.Digest(digestOf(packed))}}, cmp.Or(err, bad)
}

// Decompress reads an archive that may be compressed.
func Decompress(r *bufio.Reader) (io.ReadCloser, error) {
	_, plain, err := decompress(r)
	return plain, err
}

func decompress(r *bufio.Reader) (mediaType string, _ io.ReadCloser, _ error) {
	magic, _ := r.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		return v1.MediaTypeImageLayerGzip, z, err
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(16<<20),
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
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
