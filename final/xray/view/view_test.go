package view

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"container-workshop/final/xray"
)

// normal is a container as there are many.
func normal() *xray.Report {
	power := xray.Security{Permitted: 0xa80425fb, Effective: 0xa80425fb,
		Bounding: 0xa80425fb, Seccomp: "filter", Filters: 1}
	r := &xray.Report{ID: strings.Repeat("c0ffee", 11)[:64], Name: "web",
		Pid: 4711, Known: 41, Security: power,
		Processes: []*xray.Process{
			{Pid: 4711, Parent: 4700, Inside: []int{1}, Name: "httpd",
				Command: "httpd -f", State: "sleeping", Threads: 3,
				Security: power},
			{Pid: 4712, Parent: 4711, Inside: []int{7, 1}, Name: "sh",
				Command: "sh", State: "running", Threads: 1,
				Elsewhere: []string{"pid"}, Security: power},
			{Pid: 4720, Parent: 99, Inside: []int{9}, Name: "top",
				State: "zombie", Threads: 1}},
		Users: xray.Users{UID: []xray.Map{{Outside: 100000, Count: 65536}},
			Setgroups: "allow", GID: []xray.Map{{Outside: 200000, Count: 1}}},
		Mounts: xray.Mounts{Table: []xray.Mount{
			{ID: 9, Parent: 5, Target: "/", Root: "/", Options: "rw",
				Propagation: "private", Type: "overlay", Source: "overlay"},
			{ID: 10, Parent: 9, Target: "/data", Root: "/srv/data",
				Options: "ro", Propagation: "shared:3", Type: "ext4",
				Source: "/dev/vda"}},
			Overlay: &xray.Overlay{Upper: xray.Layer{Name: "/proc/self/fd/6",
				Dir: "/var/lib/x/upper", Proof: "inode 5"},
				Lower: []xray.Layer{{Name: "/proc/self/fd/4"}, {Name: "/low"}},
				Work:  xray.Layer{Name: "/work"}, Options: []string{"rw"}}},
		Cgroups: []xray.Cgroup{{Version: 2, Path: "/minidocker/c0ffee",
			Files: []xray.Value{{Name: "memory.max", Text: "67108864"},
				{Name: "memory.current", Text: "33554432"},
				{Name: "pids.max", Text: "50"},
				{Name: "pids.current", Text: "3"}}},
			{Version: 1, Path: "/", Controllers: []string{"cpu", "cpuacct"},
				Callers: true}, {Version: 1, Path: "/", Error: "not here"}},
		Network: xray.Network{Hostname: "c0ffeec0ffee",
			Interfaces: []*xray.Interface{{Name: "lo", Kind: "device",
				Addresses: []string{"127.0.0.1/8"}}, {Name: "eth0",
				Kind: "veth", State: "up", MAC: "02:42:ac:11:00:02", MTU: 1500,
				Addresses: []string{"172.17.0.2/16"}, Peer: "vethac110002",
				Bridge: "minidocker0", Received: 1, Sent: 2,
				BridgeAddresses: []string{"172.17.0.1/16"}}},
			Routes: []string{"default via 172.17.0.1 dev eth0"},
			Published: []xray.Published{{Table: "t",
				Host: "0.0.0.0:8080/tcp", To: "172.17.0.2:80", Tag: "c0ffee"}},
			Rules: []xray.Rule{{Table: "t", Chain: "forward",
				Hook: "filter forward 0",
				Text: `oifname "minidocker0" drop`}, {Table: "t",
				Chain: "forward", Text: "accept", Tag: "mine"}}}}
	for i, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time",
		"user", "uts"} {
		n := xray.Namespace{Kind: kind, ID: fmt.Sprint(4026531834 + i),
			Host: kind == "user"}
		if kind == "time" {
			n.Offsets = "monotonic 5 0 boottime 0 0"
		} else if kind == "net" {
			n.With = []string{"db", "cache"}
		}
		r.Namespaces = append(r.Namespaces, n)
	}
	return r
}

// nasty is what a container may call itself and its files.
var nasty = []string{`<script>document.title="pwned"</script>`,
	`"><svg onload=alert(1)><a href="https://example.org">`,
	`</text></svg><img src=x onerror=alert(1)>`, "{{.}} &amp; &lt;",
	"\x1b[31mred\x1b]0;title\x07", "two\nlines\r\n", "\u202eturned",
	"wide 容器容器容器容器容器容器容器容器容器容器 end", "\xff\xfe",
	"Z" + strings.Repeat("\u0301\u0335", 200) + "algo",
	strings.Repeat("long", 2000), "</style><style>*{display:none}"}

// hostile has them everywhere.
func hostile() *xray.Report {
	r, n := normal(), 0
	next := func() string { n++; return nasty[n%len(nasty)] }
	r.Name, r.Network.Hostname = next(), next()
	for range nasty {
		p := *r.Processes[0]
		p.Name, p.Command, p.State = next(), next(), next()
		r.Processes = append(r.Processes, &p)
		r.Mounts.Table = append(r.Mounts.Table, xray.Mount{ID: 100 + n,
			Target: next(), Root: next(), Type: next(), Source: next(),
			Super: next(), Options: next(), Propagation: next()})
		r.Mounts.Overlay.Lower = append(r.Mounts.Overlay.Lower, xray.Layer{
			Name: next(), Dir: "/" + next() + "/x", Proof: next()})
		r.Cgroups = append(r.Cgroups, xray.Cgroup{Path: next(), Version: 1,
			Controllers: []string{next()}, Error: next(),
			Files: []xray.Value{{Name: next(), Text: next()}}})
		r.Network.Interfaces = append(r.Network.Interfaces, &xray.Interface{
			Name: next(), Kind: next(), Peer: next(), Bridge: next(),
			Addresses: []string{next()}, BridgeAddresses: []string{next()}})
		r.Network.Rules = append(r.Network.Rules, xray.Rule{Table: next(),
			Chain: next(), Hook: next(), Text: next(), Tag: next()})
		r.Network.Published = append(r.Network.Published, xray.Published{
			Table: next(), Host: next(), To: next(), Tag: next()})
		r.Namespaces[n%8].With = append(r.Namespaces[n%8].With, next())
		r.Network.Routes = append(r.Network.Routes, next())
	}
	r.Network.Error, r.Network.RuleError = next(), next()
	return r
}

func write(t *testing.T, r *xray.Report) string {
	t.Helper()
	file := t.TempDir() + "/page.html"
	if err := WriteFile(file, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTree: the whole of a small one, as it is printed.
func TestTree(t *testing.T) {
	r := normal()
	r.Mounts.Table, r.Cgroups = r.Mounts.Table[:1], r.Cgroups[1:]
	r.Network.Rules, r.Namespaces = r.Network.Rules[1:], r.Namespaces[3:7]
	var got bytes.Buffer
	Tree(r).Write(&got, 80)
	want, err := os.ReadFile("testdata/tree.txt")
	if os.Getenv("UPDATE") != "" {
		want, err = got.Bytes(), os.WriteFile("testdata/tree.txt",
			got.Bytes(), 0o644)
	}
	if diff := cmp.Diff(string(want), got.String()); err != nil || diff != "" {
		t.Errorf("%v -want +got\n%s", err, diff)
	}
}

// TestHostileTree: one line is one line, and nothing reaches the terminal.
func TestHostileTree(t *testing.T) {
	var got bytes.Buffer
	Tree(hostile()).Write(&got, 0)
	for _, line := range strings.Split(got.String(), "\n") {
		if strings.ContainsAny(line, "\x1b\x07\r\u202e") ||
			!utf8.ValidString(line) ||
			line != "" && !strings.ContainsAny(line[:3], "│├└ <\"") {
			t.Errorf("line %q", line)
		}
	}
	for _, text := range []string{`\x1b[31mred`, `two\nlines`, `\u202eturned`,
		"<script>document"} {
		if !strings.Contains(got.String(), text) {
			t.Errorf("the tree does not show %s", text)
		}
	}
}

// TestAlone: the page refers to nothing and has no program in it.
func TestAlone(t *testing.T) {
	for _, text := range []string{write(t, normal()), write(t, hostile())} {
		for _, bad := range []string{"<script", "<img", "<link", "<iframe",
			"<object", "@import", "url(", "<a ", "xlink"} {
			if strings.Contains(text, bad) {
				t.Errorf("the page has %s", bad)
			}
		}
		if !strings.Contains(text, "default-src 'none'") {
			t.Error("the page does not forbid programs")
		}
	}
}

// TestWriteFile: the old page or the new one, and nothing else.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/page.html"
	for range 2 {
		if err := WriteFile(file, normal()); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	os.Mkdir(dir+"/dir", 0o755)
	for _, file := range []string{dir + "/dir", dir + "/none/page.html"} {
		err := WriteFile(file, normal())
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
	var names []string
	list, _ := os.ReadDir(dir)
	for _, d := range list {
		names = append(names, d.Name())
	}
	if diff := cmp.Diff([]string{"dir", "page.html"}, names); diff != "" {
		t.Error(diff)
	}
}

// seen is what a browser says of a page.
type seen struct {
	Title, Head, Text  string
	Tags               map[string]int
	Overlaps, Outside  []string
	Unboxed            []string
	Back, Ink          string
	Foreign, Summaries int
}

const measure = `<script id="ours">
const r = {Overlaps: [], Outside: [], Unboxed: [], Tags: {}, Foreign: 0};
const svg = document.querySelector('svg').getBoundingClientRect();
const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 &&
  a.top >= b.top - 2 && a.bottom <= b.bottom + 2;
const texts = [...document.querySelectorAll('svg text')];
const boxes = [...document.querySelectorAll('svg rect')];
const at = e => e.getBoundingClientRect();
texts.forEach((a, i) => {
  const x = at(a);
  if (!inside(x, svg)) r.Outside.push(a.textContent);
  texts.slice(i + 1).forEach(b => {
    const y = at(b);
    if (x.left < y.right && y.left < x.right && x.top + 1 < y.bottom &&
        y.top + 1 < x.bottom) r.Overlaps.push(a.textContent + ' | ' +
          b.textContent);
  });
  // At least five pixels a letter, or nobody can read it.
  if (x.width * 960 / svg.width < 5 * [...a.textContent].length - 5)
    r.Unboxed.push('squeezed: ' + a.textContent);
  if (a.className.baseVal === 'label' && !boxes.some(b => inside(x, at(b))))
    r.Unboxed.push(a.textContent);
});
boxes.forEach(b => { if (!inside(at(b), svg)) r.Outside.push('a box'); });
document.querySelectorAll('*').forEach(e => {
  r.Tags[e.localName] = (r.Tags[e.localName] || 0) + 1;
  for (const a of e.attributes)
    if (/^on|href|^src$/.test(a.name)) r.Foreign++; });
r.Title = document.title;
r.Head = document.querySelector('h1').textContent;
r.Text = document.body.textContent;
r.Summaries = document.querySelectorAll('summary').length;
r.Back = getComputedStyle(document.body).backgroundColor;
r.Ink = getComputedStyle(document.querySelector('svg text')).fill;
const out = document.createElement('pre');
out.id = 'seen';
out.textContent = JSON.stringify(r);
document.body.append(out);
</script></body>`

// open has headless Chromium load a page, in which we measure.
func open(t *testing.T, page string, flags ...string) (s seen) {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium: apt install chromium")
	}
	dir, err := os.MkdirTemp("", "page")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for range 100 { // it may still be writing
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Errorf("%s is left", dir)
	}()
	policy := regexp.MustCompile(`<meta http-equiv[^>]*>`)
	page = policy.ReplaceAllString(page, "")
	page = strings.Replace(page, "</body>", measure, 1)
	file := dir + "/page.html"
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(flags, "--headless",
		"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-dev-shm-usage", "--user-data-dir="+dir+
			"/profile", "--window-size=1200,900", "--dump-dom",
		"file://"+file)...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	out, err := cmd.Output()
	_, text, ok := strings.Cut(string(out), `<pre id="seen">`)
	text, _, _ = strings.Cut(text, "</pre>")
	if err != nil || !ok {
		t.Fatalf("chromium: %v, %d bytes", err, len(out))
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(text)),
		&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// tidy: no two labels on each other, all in the picture, each in its box.
func (s seen) tidy(t *testing.T) {
	t.Helper()
	if len(s.Overlaps)+len(s.Outside)+len(s.Unboxed) > 0 {
		t.Errorf("overlaps: %q\noutside: %q\nnot in a box: %q", s.Overlaps,
			s.Outside, s.Unboxed)
	}
	var tags []string
	for tag := range s.Tags {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	if got := strings.Join(tags, " "); got != "body details h1 head html li "+
		"line meta p rect script span style summary svg text title ul" ||
		s.Tags["script"] != 1 || s.Tags["style"] != 1 || s.Tags["svg"] != 1 ||
		s.Foreign != 0 {
		t.Errorf("elements: %v, attributes that lead elsewhere: %d", s.Tags,
			s.Foreign)
	}
}

// TestPage: all parts are there.
func TestPage(t *testing.T) {
	s := open(t, write(t, normal()))
	s.tidy(t)
	if s.Title != "web: what the kernel made of it" ||
		!strings.HasPrefix(s.Head, "web (c0ffeec0ffee): PID 4711") {
		t.Errorf("title %q, heading %q", s.Title, s.Head)
	}
	for _, part := range []string{"4711 here, 1 inside: httpd -f",
		"4712 here, 7/1 inside: sh", "net: shared with db, cache",
		"user: the host's", "upper, to write: x/upper", "lower 2: /low",
		"memory: 32MiB of 64MiB", "processes and threads: 3 of 50",
		"14 capabilities of 41", "seccomp filter, no_new_privs false",
		"eth0 172.17.0.2/16", "veth peer vethac110002",
		"bridge minidocker0 172.17.0.1/16", "nf_tables: 1 rules",
		"0.0.0.0:8080/tcp to 172.17.0.2:80"} {
		svg, _, _ := strings.Cut(s.Text, "the container's own")
		if !strings.Contains(svg, part) {
			t.Errorf("the picture has no %q", part)
		}
	}
	Walk(Tree(normal()), func(n *Node) {
		if !strings.Contains(s.Text, n.Text) {
			t.Errorf("the page has no %q", n.Text)
		}
	})
}

// Walk visits all nodes.
func Walk(n *Node, f func(*Node)) {
	f(n)
	for _, child := range n.Nodes {
		Walk(child, f)
	}
}

// TestHostilePage: names stay text, and stay where they belong.
func TestHostilePage(t *testing.T) {
	s := open(t, write(t, hostile()))
	s.tidy(t)
	if strings.Contains(s.Title, "pwned") {
		t.Error("a name was executed")
	}
	for _, text := range []string{nasty[0], nasty[1], nasty[2], nasty[3],
		`\x1b[31mred`, "容器容器", nasty[11]} {
		if !strings.Contains(s.Text, text) {
			t.Errorf("the page does not show %s", text)
		}
	}
}

// TestExtremes: a container with too much of all, and one with nothing.
func TestExtremes(t *testing.T) {
	r := normal()
	for range 200 {
		r.Processes = append(r.Processes, r.Processes[1])
		r.Mounts.Overlay.Lower = append(r.Mounts.Overlay.Lower,
			r.Mounts.Overlay.Lower[0])
		r.Network.Interfaces = append(r.Network.Interfaces,
			r.Network.Interfaces[1])
		r.Network.Published = append(r.Network.Published,
			r.Network.Published[0])
	}
	s := open(t, write(t, r))
	s.tidy(t)
	if !strings.Contains(s.Text, "and 195 more: see below") {
		t.Error("the picture does not say that there are more processes")
	}
	// Another font may be wider.
	open(t, strings.Replace(write(t, hostile()), "svg text {",
		"svg text { letter-spacing: 4px;", 1)).tidy(t)
	page := write(t, &xray.Report{})
	if s = open(t, page); len(s.Overlaps)+len(s.Outside) > 0 {
		t.Errorf("nothing: %v %v", s.Overlaps, s.Outside)
	}
}

// TestColours: light and dark, and what is written can be read.
func TestColours(t *testing.T) {
	page := write(t, normal())
	light := open(t, page, "--blink-settings=preferredColorScheme=1")
	dark := open(t, page, "--blink-settings=preferredColorScheme=0")
	if light.Back != "rgb(255, 255, 255)" || dark.Back != "rgb(20, 24, 31)" ||
		light.Ink == dark.Ink {
		t.Errorf("light: %s on %s; dark: %s on %s", light.Ink, light.Back,
			dark.Ink, dark.Back)
	}
}

func TestMeaning(t *testing.T) {
	for _, c := range [][3]string{{"memory.max", "max", "no limit"},
		{"memory.limit_in_bytes", "9223372036854771712", "no limit"},
		{"memory.limit_in_bytes", "1073741824", "1GiB"},
		{"memory.failcnt", "5", ""}, {"pids.max", "5", ""},
		{"pids.max", "max", "no limit"},
		{"cpu.max", "50000 100000", "0.50 processors"},
		{"cpu.max", "max 100000", "no limit"}, {"cpu.max", "x", ""},
		{"cpu.max", "1 0", "1.00 processors"},
		{"cpu.cfs_quota_us", "-1", "no limit"}} {
		if got := meaning(xray.Value{Name: c[0], Text: c[1]}); got != c[2] {
			t.Errorf("%s %s is %q, not %q", c[0], c[1], got, c[2])
		}
	}
}
