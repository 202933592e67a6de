package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"container-workshop/final/harness"
	"container-workshop/final/image"
	"container-workshop/final/layers"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

func store(t testing.TB) *image.Store {
	t.Helper()
	s, err := image.Open(filepath.Join(t.TempDir(), "images"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// entry is a file of an archive that a test makes.
type entry struct {
	name, text string
	kind       byte // 0: a file
}

func archiveOf(t testing.TB, list ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range list {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: 0o644,
			Size: int64(len(e.text))}
		if e.kind != 0 {
			h.Typeflag, h.Linkname, h.Size = e.kind, e.text, 0
			e.text = ""
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, e.text)
	}
	w.Close()
	return b.Bytes()
}

func put(t testing.TB, s *image.Store, texts []string,
	refs ...string) *image.Image {
	t.Helper()
	work, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer work.End()
	var parts []*image.Layer
	for i, text := range texts {
		l, err := work.Stage(bytes.NewReader(archiveOf(t, entry{fmt.Sprint("f",
			i), text, 0})), image.Layer{}, layers.ExtractOptions{})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, l)
	}
	img, err := work.Commit(spec.Image{Author: strings.Join(texts, " "),
		Platform: spec.Platform{OS: "linux"}}, parts, refs...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// whole fails unless the store has so many images and nothing else.
func whole(t *testing.T, s *image.Store, images int) {
	t.Helper()
	list, err := s.List()
	if err != nil || len(list) != images {
		t.Errorf("%d images, not %d: %v", len(list), images, err)
	}
	uses, err := s.Usage()
	if err != nil || images == 0 && len(uses) > 0 {
		t.Error("left behind:", uses, err)
	}
	for _, u := range uses {
		if !u.Live {
			t.Errorf("waste: %+v", u)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	from := store(t)
	a := put(t, from, []string{"1", "2", "2"}, "a:1", "x.io/b:2")
	b := put(t, from, []string{"1", "3"}, "b")
	var saved, again, zipped bytes.Buffer
	refs := []string{"a:1", "x.io/b:2", b.ID}
	if err := Save(from, refs, &saved); err != nil {
		t.Fatal(err)
	}
	if err := Save(from, refs, &again); err != nil || !bytes.Equal(
		saved.Bytes(), again.Bytes()) {
		t.Error("another archive of the same images", err)
	}
	z := gzip.NewWriter(&zipped)
	z.Write(saved.Bytes())
	z.Close()
	dir := t.TempDir()
	if _, err := layers.Extract(bytes.NewReader(saved.Bytes()), dir,
		layers.ExtractOptions{Into: true}); err != nil {
		t.Fatal(err)
	}
	// docker-archive alone: without index.json.
	old := t.TempDir()
	os.CopyFS(old, os.DirFS(dir))
	os.Remove(old + "/index.json")
	for name, load := range map[string]func(*image.Store) ([]string, error){
		"plain": func(s *image.Store) ([]string, error) {
			return Load(s, bytes.NewReader(saved.Bytes()),
				layers.ExtractOptions{})
		},
		"gzip": func(s *image.Store) ([]string, error) {
			return Load(s, bytes.NewReader(zipped.Bytes()),
				layers.ExtractOptions{})
		},
		"directory": func(s *image.Store) ([]string, error) {
			return LoadDir(s, dir, layers.ExtractOptions{})
		},
		"docker-archive": func(s *image.Store) ([]string, error) {
			return LoadDir(s, old, layers.ExtractOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := store(t)
			lines, err := load(to)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"Loaded image: a:1", "Loaded image: x.io/b:2",
				"Loaded image ID: " + b.ID}
			if d := cmp.Diff(want, lines); d != "" {
				t.Error(d)
			}
			whole(t, to, 2)
			img, err := to.Get("a:1")
			if err != nil || img.ID != a.ID || img.Digest != a.Digest ||
				!cmp.Equal(img.Refs, []string{"a:1", "x.io/b:2"}) {
				t.Errorf("%+v %v", img, err)
			}
			text, err := os.ReadFile(img.Layers[1] + "/f1")
			if string(text) != "2" {
				t.Errorf("%q %v", text, err)
			}
			if _, err = load(to); err != nil {
				t.Error("once more:", err)
			}
			whole(t, to, 2)
		})
	}
	if err := Save(from, []string{"nonesuch"}, io.Discard); err == nil ||
		!strings.Contains(err.Error(), "No such image") {
		t.Error(err)
	}
}

// docker is a docker-archive of one layer as `docker save` wrote it for years:
// a directory for each layer, and a link where one is there twice.
func docker(t testing.TB, change func(config *spec.Image,
	m []dockerImage) []entry) []byte {
	layer := string(archiveOf(t, entry{"f", "text", 0}))
	id := digest.FromString(layer)
	c := spec.Image{RootFS: spec.RootFS{Type: "layers",
		DiffIDs: []digest.Digest{id, id}}}
	m := []dockerImage{{Config: "config.json", RepoTags: []string{"old:1"},
		Layers: []string{"1/layer.tar", "2/layer.tar"}}}
	more := []entry{}
	if change != nil {
		more = change(&c, m)
	}
	config, _ := json.Marshal(c)
	manifest, _ := json.Marshal(m)
	return archiveOf(t, append([]entry{{"1/layer.tar", layer, 0},
		{"2/layer.tar", "../1/layer.tar", tar.TypeSymlink},
		{"config.json", string(config), 0},
		{"manifest.json", string(manifest), 0}}, more...)...)
}

func TestOldArchive(t *testing.T) {
	s := store(t)
	lines, err := Load(s, bytes.NewReader(docker(t, nil)),
		layers.ExtractOptions{})
	if err != nil || !cmp.Equal(lines, []string{"Loaded image: old:1"}) {
		t.Fatal(lines, err)
	}
	img, err := s.Get("old:1")
	if err != nil || len(img.Layers) != 2 || img.Layers[0] != img.Layers[1] {
		t.Errorf("%+v %v", img, err)
	}
	whole(t, s, 1)
}

func TestHostile(t *testing.T) {
	canary := filepath.Join(t.TempDir(), "canary")
	os.WriteFile(canary, archiveOf(t, entry{"f", "text", 0}), 0o644)
	changed := func(change func(c *spec.Image, m []dockerImage)) []byte {
		return docker(t, func(c *spec.Image, m []dockerImage) []entry {
			change(c, m)
			return nil
		})
	}
	with := func(more ...entry) []byte {
		return docker(t, func(*spec.Image, []dockerImage) []entry {
			return more
		})
	}
	loop := spec.Descriptor{MediaType: spec.MediaTypeImageIndex}
	blobs := []entry{}
	for range 8 { // an index in an index, and so on
		text, _ := json.Marshal(spec.Index{Manifests: []spec.Descriptor{loop}})
		loop.Digest = digest.FromBytes(text)
		blobs = append(blobs, entry{"blobs/sha256/" + loop.Digest.Encoded(),
			string(text), 0})
	}
	outer, _ := json.Marshal(spec.Index{Manifests: []spec.Descriptor{loop}})
	for _, test := range []struct {
		name, want string
		in         []byte
	}{
		{"nothing", "no image that was saved", nil},
		{"junk", "load: ", []byte(strings.Repeat("junk", 1000))},
		{"a root file system", "no image that was saved", archiveOf(t,
			entry{"bin/sh", "x", 0})},
		{"truncated", "unexpected EOF", docker(t, nil)[:2000]},
		{"wrong digest", "wrong digest", changed(func(c *spec.Image,
			_ []dockerImage) {
			c.RootFS.DiffIDs[1] = digest.FromString("")
		})},
		{"layers are missing", "1 layers in manifest.json, 2 in", changed(func(
			_ *spec.Image, m []dockerImage) {
			m[0].Layers = m[0].Layers[:1]
		})},
		{"path out", "escapes", changed(func(_ *spec.Image, m []dockerImage) {
			m[0].Layers[0] = "../../../../../../../.." + canary
		})},
		{"absolute path", "escapes", changed(func(_ *spec.Image,
			m []dockerImage) {
			m[0].Config = "/etc/passwd"
		})},
		{"link out", "escapes", with(entry{"1/layer.tar", canary,
			tar.TypeSymlink})},
		{"a pipe", "is not a file", with(entry{"1/layer.tar", "",
			tar.TypeFifo})},
		{"bad name", "invalid reference", changed(func(_ *spec.Image,
			m []dockerImage) {
			m[0].RepoTags[0] = "UPPER"
		})},
		{"null", "there is no image", with(entry{"manifest.json", "null", 0})},
		{"large JSON", "more than", with(entry{"manifest.json",
			strings.Repeat(" ", most+1), 0})},
		{"deep index", "an index in an index", archiveOf(t, append(blobs,
			entry{"index.json", string(outer), 0})...)},
		{"bad digest", "digest", archiveOf(t, entry{"index.json",
			`{"manifests":[{"digest":"sha256:../../x"}]}`, 0})},
		{"bomb", "more than", with(entry{"zeros", strings.Repeat("x",
			2_000_000), 0})},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := store(t)
			max := int64(most + 1_000_000)
			if test.name == "bomb" {
				max = 1_000_000
			}
			_, err := Load(s, bytes.NewReader(test.in), layers.ExtractOptions{
				MaxBytes: max})
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, not %q", err, test.want)
			}
			whole(t, s, 0)
		})
	}
}

// kill -9 wherever it meets a load: what is listed is whole, and what is not
// listed goes with Prune.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("KILLED"); dir != "" {
		s, err := image.Open(dir)
		for err == nil {
			var in *os.File
			if in, err = os.Open(os.Getenv("ARCHIVE")); err == nil {
				_, err = Load(s, in, layers.ExtractOptions{})
				in.Close()
				harness.Round()
			}
			if err == nil {
				_, err = s.Remove("a", true, func(string) string { return "" })
			}
		}
		fmt.Println(err)
		os.Exit(3)
	}
	from, to := store(t), store(t)
	put(t, from, []string{strings.Repeat("1", 5_000_000),
		strings.Repeat("2", 1_000_000)}, "a")
	archive := filepath.Join(t.TempDir(), "saved")
	f, _ := os.Create(archive)
	if err := Save(from, []string{"a"}, f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	harness.Kill(t, 15, func() error {
		_, err := to.List()
		return err
	}, "KILLED="+to.Dir, "ARCHIVE="+archive)
	f, _ = os.Open(archive)
	defer f.Close()
	if _, err := Load(to, f, layers.ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := to.Prune(func(*image.Image) bool { return true }); err !=
		nil {
		t.Fatal(err)
	}
	whole(t, to, 1)
	if left, _ := os.ReadDir(to.Dir + "/tmp"); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

func FuzzLoad(f *testing.F) {
	s := store(f)
	put(f, s, []string{"1", "2"}, "a")
	var saved bytes.Buffer
	if err := Save(s, []string{"a"}, &saved); err != nil {
		f.Fatal(err)
	}
	f.Add(saved.Bytes())
	f.Add(docker(f, nil))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Add(archiveOf(f, entry{"manifest.json", `[{"Layers":["x"]}]`, 0},
		entry{"x", "/", tar.TypeSymlink}))
	unix.Umask(0)
	f.Fuzz(func(t *testing.T, data []byte) {
		s := store(t)
		lines, err := Load(s, bytes.NewReader(data), layers.ExtractOptions{
			MaxFiles: 200, MaxBytes: 1 << 20})
		list, bad := s.List()
		if bad != nil || (err == nil) != (len(lines) > 0) {
			t.Error(lines, err, bad)
		}
		if len(list) == 0 {
			whole(t, s, 0)
		}
	})
}
