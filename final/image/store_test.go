package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"container-workshop/final/harness"
	"container-workshop/final/layers"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func store(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "images"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *Store, ref, content string) *Image {
	t.Helper()
	img, err := s.Import(harness.Archive(t, harness.File("f", content, 0o644)),
		ImportOptions{Ref: ref})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// whole fails unless every object of the store is needed and every image can
// be read.
func whole(t testing.TB, s *Store) []*Image {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range list {
		for _, dir := range img.Layers {
			if _, err := os.Stat(dir); err != nil {
				t.Error(err)
			}
		}
	}
	uses, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uses {
		if !u.Live {
			t.Errorf("waste: %+v", u)
		}
	}
	return list
}

func TestImport(t *testing.T) {
	harness.Again(t, "user", harness.Nobody)
	plain := harness.Archive(t, harness.Directory("bin", 0o755),
		harness.File("bin/sh", "#!", 0o755))
	var zipped, zstandard bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(plain.Bytes())
	z.Close()
	y, _ := zstd.NewWriter(&zstandard)
	y.Write(plain.Bytes())
	y.Close()
	dir := t.TempDir()
	os.Mkdir(dir+"/bin", 0o755)
	os.WriteFile(dir+"/bin/sh", []byte("#!"), 0o755)
	os.WriteFile(dir+".tar", plain.Bytes(), 0o644)
	want := map[string]string{"bin": "drwxr-xr-x", "bin/sh": "-rwxr-xr-x #!"}
	for _, test := range []struct {
		name, source string
		stdin        io.Reader
	}{{"stdin", "-", plain}, {"gzip", "-", &zipped}, {"zstd", "-", &zstandard},
		{"directory", dir, nil}, {"file", dir + ".tar", nil}} {
		t.Run(test.name, func(t *testing.T) {
			s := store(t)
			r, err := Source(test.source, test.stdin)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			img, err := s.Import(r, ImportOptions{Ref: "test:1",
				Changes: []string{`CMD ["sh","-l"]`, "ENV A=1 B='2 3'",
					"EXPOSE 80 53/udp", "USER app", "WORKDIR /srv",
					"ENTRYPOINT run it", `VOLUME ["/data"]`, "LABEL a=b",
					"STOPSIGNAL SIGINT", "env A=2"},
				Message: "hello", Platform: "linux/arm64/v8"})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, harness.Look(t, img.Layers[0])); d != "" {
				t.Error(d)
			}
			config := v1.ImageConfig{Cmd: []string{"sh", "-l"},
				Env: []string{"A=2", "B=2 3"}, User: "app", WorkingDir: "/srv",
				ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}},
				Entrypoint:   []string{"/bin/sh", "-c", "run it"},
				Volumes:      map[string]struct{}{"/data": {}},
				Labels:       map[string]string{"a": "b"}, StopSignal: "SIGINT"}
			if d := cmp.Diff(config, img.Config.Config); d != "" {
				t.Error(d)
			}
			if img.Config.Architecture != "arm64" || img.Config.Variant !=
				"v8" || img.Config.History[0].Comment != "hello" ||
				img.Size != 2 {
				t.Errorf("%+v", img)
			}
			if d := cmp.Diff([]*Image{img}, whole(t, s)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestImportErrors(t *testing.T) {
	good := harness.Archive(t, harness.File("f", "", 0o644)).Bytes()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(good)
	z.Close()
	damaged := bytes.Clone(zipped.Bytes())
	damaged[len(damaged)-6] ^= 1
	for _, test := range []struct {
		name string
		in   []byte
		o    ImportOptions
		want string
	}{
		{"empty", nil, ImportOptions{}, "not a tar archive"},
		{"text", []byte(strings.Repeat("text", 500)), ImportOptions{},
			"invalid tar header"},
		{"short gzip", zipped.Bytes()[:20], ImportOptions{}, "unexpected EOF"},
		{"damaged gzip", damaged, ImportOptions{}, "invalid checksum"},
		{"bad name", good, ImportOptions{Ref: "UPPER"}, "must be lowercase"},
		{"digest", good, ImportOptions{Ref: "x@sha256:" + strings.Repeat("0",
			64)}, "cannot import digest reference"},
		{"platform", good, ImportOptions{Platform: "a/b/c/d"}, "platform"},
		{"change", good, ImportOptions{Changes: []string{"RUN x"}},
			"RUN is not a valid change command"},
		{"change", good, ImportOptions{Changes: []string{"ENV"}},
			"requires at least one argument"},
		{"change", good, ImportOptions{Changes: []string{"ENV a"}},
			"must have two arguments"},
		{"change", good, ImportOptions{Changes: []string{`LABEL a="b`}},
			"matching double-quote"},
		{"bomb", good, ImportOptions{Extract: layers.ExtractOptions{
			MaxFiles: -1}}, "more than -1 files"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := store(t)
			_, err := s.Import(bytes.NewReader(test.in), test.o)
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, not %s", err, test.want)
			}
			if uses, err := s.Usage(); err != nil || len(uses) > 0 {
				t.Error("left behind:", uses, err)
			}
		})
	}
}

func TestGet(t *testing.T) {
	s := store(t)
	a, b := put(t, s, "a", "1"), put(t, s, "not-hex:2", "2")
	if err := s.Tag(a, "example.com/a:x"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]*Image{"a": a, "a:latest": a,
		"docker.io/library/a": a, "example.com/a:x": a, a.ID: a, a.ID[7:]: a,
		a.ID[:19]: a, a.ID[7:19]: a, "a@" + a.Digest: a,
		"example.com/a@" + a.Digest: a, "not-hex:2": b} {
		img, err := s.Get(name)
		if err != nil || img.ID != want.ID {
			t.Errorf("%s: %v", name, err)
		}
	}
	img, _ := s.Get("a")
	if d := cmp.Diff([]string{"a:latest", "example.com/a:x"},
		img.Refs); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{
		"not-hex": "No such image: not-hex:latest",
		"a:3":     "No such image: a:3", "ffffffffffffffff": "No such image",
		"a@" + b.Digest: "No such image", "": "invalid reference",
		"sha256:": "invalid reference", "A": "must be lowercase"} {
		if _, err := s.Get(name); err == nil || !strings.Contains(err.Error(),
			want) {
			t.Errorf("%q: %v, not %s", name, err, want)
		}
	}
	var missing *NotFound
	if _, err := s.Get("absent"); !errors.As(err, &missing) {
		t.Error(err)
	}
	alike := &v1.Index{}
	for _, id := range []string{"12", "13"} {
		alike.Manifests = append(alike.Manifests, v1.Descriptor{
			Digest:      digest.Digest(id),
			Annotations: map[string]string{imageID: "sha256:" + id}})
	}
	if _, err := find(alike, "1"); err == nil || !strings.Contains(err.Error(),
		"ambiguous") {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	s := store(t)
	first := put(t, s, "a", "1")
	second := put(t, s, "a", "2") // takes the name
	list := whole(t, s)
	refs := map[string][]string{}
	for _, img := range list {
		refs[img.ID] = img.Refs
	}
	want := map[string][]string{first.ID: nil, second.ID: {"a:latest"}}
	if d := cmp.Diff(want, refs, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	if err := s.Tag(first, "a"); err != nil {
		t.Fatal(err)
	}
	lines, freed, err := s.Prune(func(i *Image) bool { return i.Refs != nil })
	if len(lines) != 1 || lines[0] != "Deleted: "+second.ID || freed == 0 ||
		err != nil {
		t.Error(lines, freed, err)
	}
	if list = whole(t, s); len(list) != 1 || list[0].ID != first.ID {
		t.Error(list)
	}
}

func TestRemove(t *testing.T) {
	nobody := func(string) string { return "" }
	somebody := func(string) string { return "c0ffee" }
	for _, test := range []struct {
		name, ref string
		tags      []string
		force     bool
		inUse     func(string) string
		want      []string // ID for the image's
		err       string
	}{
		{"last name", "a", nil, false, nobody, []string{"Untagged: a:latest",
			"Deleted: ID"}, ""},
		{"one of two", "a", []string{"b"}, false, nobody, []string{
			"Untagged: a:latest"}, ""},
		{"by ID", "ID", nil, false, nobody, []string{"Untagged: a:latest",
			"Deleted: ID"}, ""},
		{"by ID, two names", "ID", []string{"b"}, false, nobody, nil,
			"(must be forced) - image is referenced in multiple repositories"},
		{"by ID, forced", "ID", []string{"b"}, true, nobody, []string{
			"Untagged: a:latest", "Untagged: b:latest", "Deleted: ID"}, ""},
		{"in use", "a", nil, false, somebody, nil,
			"(must force) - container c0ffee is using its referenced image"},
		{"in use, one of two", "a", []string{"b"}, false, somebody, []string{
			"Untagged: a:latest"}, ""},
		{"in use, forced", "a", nil, true, somebody, []string{
			"Untagged: a:latest"}, ""},
		{"none", "absent", nil, true, nobody, nil, "No such image: absent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := store(t)
			img := put(t, s, "a", "1")
			other := put(t, s, "other", "1") // has the same layer
			for _, tag := range test.tags {
				if err := s.Tag(img, tag); err != nil {
					t.Fatal(err)
				}
			}
			ref := strings.ReplaceAll(test.ref, "ID", img.ID)
			lines, err := s.Remove(ref, test.force, test.inUse)
			if fmt.Sprint(err) == "<nil>" != (test.err == "") || err != nil &&
				!strings.Contains(err.Error(), test.err) {
				t.Errorf("%v, not %s", err, test.err)
			}
			for i := range lines {
				lines[i] = strings.ReplaceAll(lines[i], img.ID, "ID")
			}
			if d := cmp.Diff(test.want, lines); d != "" {
				t.Error(d)
			}
			whole(t, s)
			if _, err := s.Get(other.ID); err != nil {
				t.Error(err)
			}
			if _, err := s.Remove("other", false, nobody); err != nil {
				t.Error(err)
			}
			whole(t, s)
		})
	}
}

// A damaged store says what is damaged, in one line, and the other images stay
// usable.
func TestDamaged(t *testing.T) {
	for _, test := range []struct {
		name, want string
		damage     func(s *Store, img *Image) error
	}{
		{"manifest", "blobs/sha256/", func(s *Store, img *Image) error {
			return os.WriteFile(s.path("blobs/sha256", img.Digest[7:]),
				[]byte("{}"), 0o600)
		}},
		{"configuration", "blobs/sha256/", func(s *Store, img *Image) error {
			return os.Truncate(s.path("blobs/sha256", img.ID[7:]), 0)
		}},
		{"no layer", "layers/", func(s *Store, img *Image) error {
			return os.RemoveAll(filepath.Dir(img.Layers[0]))
		}},
		{"index", "index.json is damaged", func(s *Store, _ *Image) error {
			return os.WriteFile(s.path("index.json"), []byte("{"), 0o600)
		}},
		{"hostile index", "index.json is damaged", func(s *Store,
			img *Image) error {
			text, err := os.ReadFile(s.path("index.json"))
			text = bytes.ReplaceAll(text, []byte(img.Digest),
				[]byte("sha256:../../../../etc/passwd"))
			return errors.Join(err, os.WriteFile(s.path("index.json"), text,
				0o600))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := store(t)
			good, bad := put(t, s, "good", "1"), put(t, s, "bad", "2")
			if err := test.damage(s, bad); err != nil {
				t.Fatal(err)
			}
			_, err := s.Get("bad")
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, not %s", err, test.want)
			}
			if test.name == "index" {
				return
			}
			if img, err := s.Get("good"); err != nil || img.ID != good.ID {
				t.Error(err)
			}
			list, err := s.List()
			if len(list) != 1 || err == nil {
				t.Error(list, err)
			}
			_, err = s.Remove("bad", false, func(string) string { return "" })
			if err != nil {
				t.Error(err)
			}
			whole(t, s)
		})
	}
}

// Another tool reads our layout.
func TestLayout(t *testing.T) {
	if _, err := exec.LookPath("skopeo"); err != nil {
		t.Skip("needs skopeo: apt-get install skopeo")
	}
	s := store(t)
	put(t, s, "a", "content")
	out, err := exec.Command("skopeo", "copy", "--insecure-policy", "oci:"+
		s.Dir+":docker.io/library/a:latest", "dir:"+t.TempDir()).
		CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// Whoever is killed, and wherever: what is listed can be used, and what is not
// listed goes with Prune.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("KILLED"); dir != "" {
		s, err := Open(dir)
		for i := 0; err == nil; i++ {
			_, err = s.Import(random(i), ImportOptions{Ref: "r:" +
				fmt.Sprint(i%4)})
			harness.Round()
			if err == nil && i%3 == 2 {
				_, err = s.Remove("r:"+fmt.Sprint(i%4), true,
					func(string) string { return "" })
			}
		}
		fmt.Println(err)
		os.Exit(3)
	}
	s := store(t)
	harness.Kill(t, 25, func() error {
		_, err := s.List()
		return err
	}, "KILLED="+s.Dir)
	if _, _, err := s.Prune(func(*Image) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if len(whole(t, s)) == 0 {
		t.Error("no import came to its end")
	}
	if left, _ := os.ReadDir(s.path("tmp")); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

func random(seed int) io.Reader {
	var list []tar.Header
	for i := range 40 {
		list = append(list, harness.File(fmt.Sprintf("d%d/f%d", i%5, i),
			strings.Repeat(fmt.Sprint(seed, os.Getpid()), 500), 0o644))
	}
	list = append(list, harness.Link(tar.TypeSymlink, "link", "d0/f0"))
	return harness.Archive(&testing.T{}, list...)
}

// Many at once, in one process and with pruning between them.
func TestTogether(t *testing.T) {
	s := store(t)
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := range 5 {
				ref := fmt.Sprint("r", i, ":", n)
				img, err := s.Import(random(n), ImportOptions{Ref: ref})
				if err == nil {
					img, err = s.Get(ref)
				}
				if err == nil {
					_, err = os.Stat(img.Layers[0] + "/d0/f0")
				}
				if err == nil && n%2 == 0 {
					_, err = s.Remove(ref, false, func(string) string {
						return ""
					})
				}
				if err != nil {
					t.Error(err)
				}
				s.Prune(func(*Image) bool { return true })
			}
		}()
	}
	wait.Wait()
	if list := whole(t, s); len(list) != 8 {
		t.Errorf("%d images, not 8", len(list))
	}
}

// What is large passes through: it is never in memory as a whole.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	s := store(t)
	r, w := io.Pipe()
	go func() {
		archive := tar.NewWriter(w)
		archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "f",
			Size: 256 << 20, Mode: 0o644})
		io.CopyN(archive, bytes.NewReader(bytes.Repeat([]byte("x"), 256<<20)),
			256<<20)
		archive.Close()
		w.Close()
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if _, err := s.Import(r, ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > (256+32)<<20 {
		t.Errorf("%d MiB", used>>20)
	}
}
