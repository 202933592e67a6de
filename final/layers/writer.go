package layers

import (
	"archive/tar"
	"io"
)

// Writer writes an archive of what comes from several places.
type Writer struct{ archive }

// NewWriter makes one. edit may change each header, its name apart, and says
// whether it is written, and whether what is below that directory may be.
func NewWriter(w io.Writer, edit func(*tar.Header) (write,
	descend bool)) *Writer {
	a := newArchive(w)
	a.edit = edit
	return &Writer{*a}
}

// Add writes one name of a directory, with all that is below, under another
// name.
func (w *Writer) Add(dir *Dir, name, as string) error {
	w.as = as
	return w.add(dir, "", name)
}
