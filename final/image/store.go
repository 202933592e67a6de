// Package image keeps images: an OCI layout (oci-layout, index.json,
// blobs/sha256) with the unpacked layers beside it.
package image

import (
	"errors"
	"io"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

var errLater = errors.New("image: not written yet")

// A Store is a directory. Nothing is kept in memory: every call reads it anew.
type Store struct{ Dir string }

// Image is what the store knows of an image.
type Image struct {
	ID     string        // sha256:HEX of the configuration
	Digest string        // sha256:HEX of the manifest
	Refs   []string      // short names, as "busybox:latest"; none: dangling
	Size   int64         // bytes of the unpacked layers
	Config v1.Image      // what the image says of itself
	Layers []string      // unpacked layers: directories, the lowest first
	Blobs  v1.Descriptor // the manifest
}

// Use is what an object takes on the disk.
type Use struct {
	Path  string // below the store
	Bytes int64
	Live  bool // false: Prune removes it
}

// NotFound is the error for a name that no image has.
type NotFound struct{ Name string }

func (e *NotFound) Error() string { return "No such image: " + e.Name }

// ImportOptions say what the archive does not.
type ImportOptions struct {
	Ref      string   // the name to give; may be ""
	Changes  []string // Dockerfile instructions: "CMD sh"
	Message  string   // the comment in the history
	Platform string   // os/arch[/variant]; this machine's
}

// Open makes the store in dir if it is not there, and leaves what killed
// processes have left to Prune.
func Open(dir string) (*Store, error) { return nil, errLater }

// Source opens what import takes: "-" is stdin, a directory becomes a tar
// archive, and a file is itself.
func Source(path string, stdin io.Reader) (io.ReadCloser, error) {
	return nil, errLater
}

// Import makes an image of one layer from a tar archive, plain, gzip or zstd.
func (s *Store) Import(r io.Reader, o ImportOptions) (*Image, error) {
	return nil, errLater
}

// List returns all images, the newest first.
func (s *Store) List() ([]*Image, error) { return nil, errLater }

// Get finds an image by name, name and digest, ID or the start of its ID.
func (s *Store) Get(name string) (*Image, error) { return nil, errLater }

// Tag gives the image one more name, taking it from the one that had it.
func (s *Store) Tag(img *Image, ref string) error { return errLater }

// Remove untags ref, and deletes the image with its last name. inUse says who
// uses an image, "" for nobody: an error unless force. The lines say what was
// done, as Docker's: "Untagged: ...", "Deleted: ...".
func (s *Store) Remove(ref string, force bool,
	inUse func(id string) string) (lines []string, err error) {
	return nil, errLater
}

// Prune deletes what no image needs and what killed processes have left; with
// dangling, the images too that have no name, with all those that keep says no
// to. It returns the images' lines and the bytes that are free now.
func (s *Store) Prune(keep func(*Image) bool) (lines []string, freed int64,
	err error) {
	return nil, 0, errLater
}

// Usage lists every object in the store.
func (s *Store) Usage() ([]Use, error) { return nil, errLater }

// ParseRef completes a name as Docker does: busybox is
// docker.io/library/busybox:latest.
func ParseRef(name string) (full string, err error) { return "", errLater }

// Short is the opposite of ParseRef: what Docker shows.
func Short(full string) string { return full }
