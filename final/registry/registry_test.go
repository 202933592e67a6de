package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"container-workshop/final/harness"
	"container-workshop/final/image"
	"container-workshop/final/layers"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A server is a registry in this process. hook sees each request first, and
// says whether it has answered.
type server struct {
	*httptest.Server
	hook func(w http.ResponseWriter, r *http.Request) bool
	lock sync.Mutex
	seen []string
}

func serve(t *testing.T) *server {
	s := &server{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		s.lock.Lock()
		s.seen = append(s.seen, r.Method+" "+r.URL.Path)
		hook := s.hook
		s.lock.Unlock()
		if hook == nil || !hook(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	return s
}

func (s *server) name(rest string) string {
	return strings.TrimPrefix(s.URL, "http://") + "/" + rest
}

// count forgets the requests that have been seen, and says how many were so.
func (s *server) count(prefix string) (n int) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, line := range s.seen {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	s.seen = nil
	return n
}

func store(t testing.TB) *image.Store {
	t.Helper()
	s, err := image.Open(filepath.Join(t.TempDir(), "images"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put makes an image with a layer for each text.
func put(t testing.TB, s *image.Store, ref string,
	texts ...string) *image.Image {
	t.Helper()
	work, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer work.End()
	var parts []*image.Layer
	for i, text := range texts {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Mode: 0o644,
			Name: fmt.Sprint("f", i), Size: int64(len(text))})
		w.Write([]byte(text))
		w.Close()
		l, err := work.Stage(&b, image.Layer{}, layers.ExtractOptions{})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, l)
	}
	img, err := work.Commit(spec.Image{Platform: spec.Platform{OS: "linux",
		Architecture: "amd64"}}, parts, ref)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

var quiet = Options{Progress: NewProgress(nil)}

// whole fails unless every object of the store belongs to an image, or there
// is none if none is wanted.
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

func noise(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return string(b)
}

func TestPushPull(t *testing.T) {
	at := serve(t)
	ctx, from, to := context.Background(), store(t), store(t)
	name := at.name("team/app:1")
	pushed := put(t, from, name, noise(100_000), "two", "two")
	id, err := Push(ctx, from, name, quiet)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, from, 1)
	img, err := Pull(ctx, to, name, quiet)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, to, 1)
	if img.ID != pushed.ID || img.Digest != string(id) ||
		!cmp.Equal(img.Refs, []string{name}) || len(img.Layers) != 3 {
		t.Errorf("%+v", img)
	}
	text, err := os.ReadFile(img.Layers[1] + "/f1")
	if string(text) != "two" {
		t.Errorf("%q %v", text, err)
	}
	// The same once more, and by its digest: only a manifest and a
	// configuration are asked for.
	at.count("")
	if _, err = Pull(ctx, to, name, quiet); err != nil {
		t.Fatal(err)
	}
	if n := at.count("GET /v2/team/app/blobs/"); n != 1 {
		t.Errorf("%d blobs of an image that is there", n)
	}
	pinned := at.name("team/app@" + string(id))
	if _, err = Pull(ctx, to, pinned, quiet); err != nil {
		t.Fatal(err)
	}
	if img, err = to.Get(pinned); err != nil || img.ID != pushed.ID {
		t.Error(err)
	}
	// One layer more: only that travels, in both directions.
	pushed, _ = from.Get(name) // its layers have been compressed
	next := put(t, from, name, "another")
	_, base, _ := from.Parts(pushed)
	_, more, _ := from.Parts(next)
	work, _ := from.Begin()
	_, err = work.Commit(pushed.Config, append(base, more...), name)
	work.End()
	if err != nil {
		t.Fatal(err)
	}
	at.count("")
	if _, err = Push(ctx, from, name, quiet); err != nil {
		t.Fatal(err)
	}
	if n := at.count("PATCH "); n != 2 {
		t.Errorf("%d uploads, not layer and configuration", n)
	}
	if img, err = Pull(ctx, to, name, quiet); err != nil ||
		len(img.Layers) != 4 {
		t.Fatal(err)
	}
	if n := at.count("GET /v2/team/app/blobs/"); n != 2 {
		t.Errorf("%d blobs, not layer and configuration", n)
	}
	whole(t, to, 2)
}

// Of an index the image of a platform is taken.
func TestPlatform(t *testing.T) {
	at := serve(t)
	ctx, from := context.Background(), store(t)
	index := spec.Index{MediaType: spec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for _, arch := range []string{"amd64", "arm64"} {
		name := at.name("app:" + arch)
		img := put(t, from, name, arch)
		img.Config.Architecture = arch
		_, parts, _ := from.Parts(img)
		work, _ := from.Begin()
		_, err := work.Commit(img.Config, parts, name)
		work.End()
		if err != nil {
			t.Fatal(err)
		}
		id, err := Push(ctx, from, name, quiet)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(file(from, id))
		index.Manifests = append(index.Manifests, spec.Descriptor{Digest: id,
			MediaType: spec.MediaTypeImageManifest, Size: int64(len(text)),
			Platform: &spec.Platform{OS: "linux", Architecture: arch}})
	}
	text, _ := json.Marshal(index)
	r, _ := http.NewRequest("PUT", at.URL+"/v2/app/manifests/all",
		bytes.NewReader(text))
	r.Header.Set("Content-Type", spec.MediaTypeImageIndex)
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != 201 {
		t.Fatal(err, answer)
	}
	for _, test := range []struct{ tag, platform, arch, want string }{
		{"all", "linux/arm64", "arm64", ""},
		{"all", "linux/amd64", "amd64", ""},
		{"arm64", "", "arm64", ""},
		{"all", "linux/s390x", "", "no child with platform linux/s390x"},
		{"arm64", "linux/amd64", "", "is for linux/arm64, not for linux/amd64"},
		{"all", "a/b/c/d", "", "platform"},
	} {
		to := store(t)
		img, err := Pull(ctx, to, at.name("app:"+test.tag), Options{
			Platform: test.platform, Progress: NewProgress(nil)})
		if test.want != "" {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v: %v", test, err)
			}
			whole(t, to, 0)
		} else if err != nil || img.Config.Architecture != test.arch {
			t.Errorf("%+v: %+v %v", test, img, err)
		}
	}
}

// The two kinds of passwords that registries want, from the places that Docker
// keeps them in.
func TestLogin(t *testing.T) {
	at := serve(t)
	ctx, s := context.Background(), store(t)
	name := at.name("secret:1")
	put(t, s, name, "x")
	basic := func(w http.ResponseWriter, r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		if user == "me" && password == "pass" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(401)
		return true
	}
	token := func(w http.ResponseWriter, r *http.Request) bool {
		switch user, password, _ := r.BasicAuth(); {
		case r.URL.Path == "/token" && user == "me" && password == "pass":
			fmt.Fprintf(w, `{"token": "for %s"}`, r.FormValue("scope"))
		case r.URL.Path != "/token" && strings.HasPrefix(
			r.Header.Get("Authorization"), "Bearer for repository:secret:"):
			return false
		default:
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(
				`Bearer realm="%s/token",service="x"`, at.URL))
			w.WriteHeader(401)
		}
		return true
	}
	host := at.name("")
	inFile := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`,
		strings.TrimSuffix(host, "/"),
		base64.StdEncoding.EncodeToString([]byte("me:pass")))
	helper := fmt.Sprintf(`{"credHelpers": {%q: "test"}}`,
		strings.TrimSuffix(host, "/"))
	bin := t.TempDir()
	os.WriteFile(bin+"/docker-credential-test", []byte("#!/bin/sh\n"+
		`echo '{"Username": "me", "Secret": "pass"}'`+"\n"), 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, test := range []struct {
		name, config string
		hook         func(http.ResponseWriter, *http.Request) bool
		works        bool
	}{
		{"basic, file", inFile, basic, true},
		{"token, file", inFile, token, true},
		{"basic, helper", helper, basic, true},
		{"token, helper", helper, token, true},
		{"basic, nobody", "{}", basic, false},
		{"token, nobody", "{}", token, false},
		{"basic, wrong", strings.Replace(inFile, "bWU6cGFzcw==", "bWU6d3Jvbmc=",
			1), basic, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			at.hook = test.hook
			os.WriteFile(os.Getenv("DOCKER_CONFIG")+"/config.json",
				[]byte(test.config), 0o600)
			_, err := Push(ctx, s, name, quiet)
			if err == nil {
				_, err = Pull(ctx, store(t), name, quiet)
			}
			if (err == nil) != test.works {
				t.Error(err)
			}
			if err != nil && (!strings.Contains(err.Error(), "access denied") ||
				strings.Contains(err.Error(), "\n") ||
				strings.Contains(err.Error(), "pass")) {
				t.Error(err)
			}
		})
	}
}

// Whatever a registry does: one line, and nothing of it stays.
func TestHostile(t *testing.T) {
	at := serve(t)
	stalled = time.Second
	defer func() { stalled = time.Minute }()
	ctx, from := context.Background(), store(t)
	name := at.name("bad:1")
	put(t, from, name, noise(300_000), noise(200_000))
	if _, err := Push(ctx, from, name, quiet); err != nil {
		t.Fatal(err)
	}
	img, _ := from.Get(name)
	m, _, err := from.Parts(img)
	if err != nil {
		t.Fatal(err)
	}
	layer := string(m.Layers[1].Digest)
	blob, _ := os.ReadFile(file(from, m.Layers[1].Digest))
	config, _ := os.ReadFile(file(from, m.Config.Digest))
	// answers gives a path another answer.
	answers := func(part string, do http.HandlerFunc) func(http.ResponseWriter,
		*http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == "GET" && strings.Contains(r.URL.Path, part) {
				do(w, r)
				return true
			}
			return false
		}
	}
	says := func(text []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", m.MediaType)
			w.Write(text)
		}
	}
	// manifest is one that has been changed, with its configuration.
	manifest := func(change func(*spec.Manifest, *spec.Image)) func(
		http.ResponseWriter, *http.Request) bool {
		m, c := m, spec.Image{}
		json.Unmarshal(config, &c)
		m.Layers = append([]spec.Descriptor{}, m.Layers...)
		change(&m, &c)
		text, _ := json.Marshal(c)
		if m.Config.Size == int64(len(config)) {
			m.Config.Digest = digest.FromBytes(text)
			m.Config.Size = int64(len(text))
		}
		all, _ := json.Marshal(m)
		return func(w http.ResponseWriter, r *http.Request) bool {
			return answers("/manifests/", says(all))(w, r) ||
				answers(string(m.Config.Digest), says(text))(w, r)
		}
	}
	half := func(end func(r *http.Request)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(blob)))
			w.Write(blob[:len(blob)/2])
			w.(http.Flusher).Flush()
			end(r)
		}
	}
	for _, test := range []struct {
		name, want string
		hook       func(http.ResponseWriter, *http.Request) bool
	}{
		{"no such tag", "not found: ", answers("/manifests/",
			http.NotFound)},
		{"text", "invalid character", answers("/manifests/",
			says([]byte("hello")))},
		{"empty object", "digest", answers("/manifests/",
			says([]byte("{}")))},
		{"endless manifest", "unexpected end of JSON", answers("/manifests/",
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", m.MediaType)
				for range 20 {
					w.Write(bytes.Repeat([]byte(" "), 1<<20))
				}
			})},
		{"another layer", "sha256", answers(layer, says(append(append(
			bytes.Clone(blob[:4]), blob[4]^1), blob[5:]...)))}, // gzip's time
		{"other compressed data", "layer ", answers(layer, says(
			bytes.Repeat([]byte{0x1f, 0x8b, 8}, len(blob)/3)))},
		{"the end is missing", "EOF", answers(layer, half(
			func(*http.Request) { panic(http.ErrAbortHandler) }))},
		{"silence", "sent nothing for 1s", answers(layer, half(
			func(r *http.Request) { <-r.Context().Done() }))},
		{"more than it said", "layer ", answers(layer,
			func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush() // so there is no length
				w.Write(blob)
				for range 100 {
					w.Write(make([]byte, 1<<20))
				}
			})},
		{"no layer", "not found", answers(layer, http.NotFound)},
		{"wrong configuration", "sha256", answers(string(m.Config.Digest),
			says(append(bytes.Clone(config[:len(config)-1]), '\n')))},
		{"huge configuration", "a configuration of", manifest(
			func(m *spec.Manifest, _ *spec.Image) { m.Config.Size = 1 << 40 })},
		{"wrong diff ID", "wrong digest", manifest(func(_ *spec.Manifest,
			c *spec.Image) {
			c.RootFS.DiffIDs = append([]digest.Digest{}, c.RootFS.DiffIDs...)
			c.RootFS.DiffIDs[1] = digest.FromString("")
		})},
		{"fewer layers", "not an image", manifest(func(m *spec.Manifest,
			_ *spec.Image) {
			m.Layers = m.Layers[:1]
		})},
		{"a path for a digest", "digest", manifest(func(m *spec.Manifest,
			_ *spec.Image) {
			m.Layers[1].Digest = "sha256:../../../../../../etc/passwd"
		})},
		{"many lines", "one two", answers("/manifests/",
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(418)
				io.WriteString(w, "one\ntwo\n"+strings.Repeat("x", 5000))
			})},
		{"elsewhere in plain http", "not to be asked in plain http",
			answers(layer, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://192.0.2.1/layer",
					http.StatusTemporaryRedirect)
			})},
	} {
		t.Run(test.name, func(t *testing.T) {
			at.lock.Lock()
			at.hook = test.hook
			at.lock.Unlock()
			to := store(t)
			_, err := Pull(ctx, to, name, quiet)
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "\n") ||
				len(err.Error()) > 600 {
				t.Errorf("%v, not %q", err, test.want)
			}
			whole(t, to, 0)
		})
	}
}

// Who interrupts a pull finds nothing of it.
func TestInterrupted(t *testing.T) {
	at := serve(t)
	from, to := store(t), store(t)
	name := at.name("app:1")
	put(t, from, name, noise(300_000))
	if _, err := Push(context.Background(), from, name, quiet); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	gets := 0
	at.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if gets++; strings.Contains(r.URL.Path, "/blobs/") && gets > 3 {
			w.Write([]byte{0x1f, 0x8b})
			w.(http.Flusher).Flush()
			cancel()
			<-r.Context().Done()
			return true
		}
		return false
	}
	_, err := Pull(ctx, to, name, quiet)
	if err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Error(err)
	}
	whole(t, to, 0)
}

// kill -9 wherever it meets a pull: what is listed is whole, and what is not
// listed goes with Prune.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("KILLED"); dir != "" {
		s, err := image.Open(dir)
		for err == nil {
			if _, err = Pull(context.Background(), s, os.Getenv("NAME"),
				quiet); err == nil {
				harness.Round()
				_, err = s.Remove(os.Getenv("NAME"), true,
					func(string) string { return "" })
			}
		}
		fmt.Println(err)
		os.Exit(3)
	}
	at := serve(t)
	from, to := store(t), store(t)
	name := at.name("app:1")
	put(t, from, name, noise(2_000_000), noise(1_000_000), noise(10))
	if _, err := Push(context.Background(), from, name, quiet); err != nil {
		t.Fatal(err)
	}
	harness.Kill(t, 15, func() error {
		_, err := to.List()
		return err
	}, "KILLED="+to.Dir, "NAME="+name)
	if _, err := Pull(context.Background(), to, name, quiet); err != nil {
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

func TestGuard(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true,
		"localhost:5000": true, "127.0.0.1": true, "127.9.9.9:5": true,
		"[::1]:5000": true, "::1": true, "10.0.0.1:5000": false,
		"127.0.0.1.example.com": false, "registry.local": false,
		"localhost.example.com": false, "": false} {
		if loopback(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
	at := serve(t)
	for _, insecure := range []bool{false, true} {
		// The address is nobody's: what matters is whether it is asked.
		g := &guard{http.DefaultTransport, insecure}
		ctx, cancel := context.WithTimeout(context.Background(),
			50*time.Millisecond)
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://192.0.2.1/v2/",
			nil)
		_, err := g.RoundTrip(r)
		cancel()
		refused := err != nil && strings.Contains(err.Error(), "--tls-verify")
		if refused == insecure {
			t.Error(insecure, err)
		}
		r, _ = http.NewRequest("GET", at.URL+"/v2/", nil)
		if _, err = g.RoundTrip(r); err != nil {
			t.Error(err)
		}
	}
}

// A certificate that nobody knows is an error, unless one has said so.
func TestCertificate(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	at := httptest.NewTLSServer(registry.New(registry.Logger(log.New(io.Discard,
		"", 0))))
	at.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer at.Close()
	s := store(t)
	name := strings.TrimPrefix(at.URL, "https://") + "/app:1"
	put(t, s, name, "x")
	_, err := Push(context.Background(), s, name, quiet)
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
	_, err = Push(context.Background(), s, name, Options{Insecure: true,
		Progress: NewProgress(nil)})
	if err != nil {
		t.Error(err)
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(nil)
	p.out = &b
	p.step("aa", "Pulling fs layer")
	p.bar("aa", "Downloading", 1, 2)
	p.step("aa", "Pull complete")
	want := "aa: Pulling fs layer\naa: Pull complete\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	b.Reset()
	p.width = 60
	p.step("aa", "Waiting")
	p.step("bb", "Waiting")
	p.bar("aa", "Downloading", 500, 1000)
	p.bar("aa", "Downloading", 501, 1000) // too soon
	p.step("aa", "Pull complete")
	bar := strings.Repeat("=", 8) + ">" + strings.Repeat(" ", 9)
	want = "aa: Waiting\nbb: Waiting\n" +
		"\x1b[2A\r\x1b[Kaa: Downloading [" + bar + "] 500B/1kB\x1b[2B\r" +
		"\x1b[2A\r\x1b[Kaa: Pull complete\x1b[2B\r"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}
