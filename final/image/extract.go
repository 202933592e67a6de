package image

import "io"

// ExtractOptions bound what an archive may do.
type ExtractOptions struct {
	MaxBytes int64        // 0: 64 GiB
	MaxFiles int          // 0: 2 million
	Warn     func(string) // told once of each kind that cannot be had; or nil
}

// Extract unpacks a layer's tar archive into dir, which it makes and, if it
// fails, removes. It returns how many bytes the files have.
func Extract(r io.Reader, dir string, o ExtractOptions) (int64, error) {
	return 0, errLater
}
