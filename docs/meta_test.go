package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestUpdate shows that UPDATE=1 mends code and the table of changes, and
// nothing else.
func TestUpdate(t *testing.T) {
	root := sampleRepo(t)
	p, err := readPage(root, chapterPage)
	if err != nil {
		t.Fatal(err)
	}
	right := strings.Join(p.lines, "\n")
	broken := strings.NewReplacer("\treturn \"hello\"\n", "",
		"new, 18 lines", "new", "| `c/clone.c` | unchanged | |\n", "",
		"4 lines added, 1 removed", "changed").Replace(right)
	if p, err = parsePage(root, chapterPage, broken); err != nil {
		t.Fatal(err)
	}
	if bad, changed := checkSnippets(p, true); len(bad) > 0 || !changed {
		t.Errorf("snippets: changed %v, %v", changed, bad)
	}
	if bad, changed := checkChanged(p, true); len(bad) > 0 || !changed {
		t.Errorf("table: changed %v, %v", changed, bad)
	}
	if got := strings.Join(p.lines, "\n"); got != right {
		t.Errorf("not as it was: %s", firstDifference(got, right))
	}
	if _, changed := checkChanged(p, true); changed {
		t.Error("the table is not the same the second time")
	}
}

// TestTranslatedUpdate shows that UPDATE=1 copies fences to the translation,
// and that TRANSLATED= makes a stale section fresh.
func TestTranslatedUpdate(t *testing.T) {
	root := sampleRepo(t)
	en, err := readPage(root, chapterPage)
	if err != nil {
		t.Fatal(err)
	}
	zh, err := readPage(root, chinesePage)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("echo b; echo a", "echo b; echo a; echo c",
		"Do it.", "Do it now.").Replace(strings.Join(en.lines, "\n"))
	if en, err = parsePage(root, chapterPage, text); err != nil {
		t.Fatal(err)
	}
	if bad := checkTranslation(en, zh); len(bad) != 2 {
		t.Errorf("want a stale section and an unequal fence, got %v", bad)
	}
	if !copyFences(en, zh) {
		t.Error("no fence was copied")
	}
	stampSections(en, zh)
	for _, problem := range checkTranslation(en, zh) {
		t.Error(problem)
	}
}

// TestSkipShare holds the rule of one in ten.
func TestSkipShare(t *testing.T) {
	for skipped, want := range map[int]bool{0: false, 3: false, 4: true} {
		if c := (&tally{total: 39, skipped: skipped}); want !=
			c.tooManySkipped() {
			t.Errorf("%d of %d: not %v", skipped, c.total, want)
		}
	}
}

// TestDeclarations finds declarations of every kind.
func TestDeclarations(t *testing.T) {
	for ref, want := range map[string]string{
		"part.go#verb": "// verb is what the program understands.\n" +
			"type verb struct{ name string }",
		"part.go#verb.say": "// say is a method.\nfunc (v *verb) say()",
		"part.go#see":      "// Words that part knows.\nconst (\n\tbye",
		"part.go#bye":      "see = \"see you\"\n)",
		"c/clone.c#main":   "int\nmain(void)\n{",
		"c/clone.c#child": "// child says hello.\n" +
			"static int child(void *arg)",
		"c/clone.c#LIMIT":   "#define LIMIT \\\n\t64",
		"c/clone.c#box":     "struct box {\n\tint size;\n};",
		"c/clone.c#names":   "/* Two names, for two\n * boxes. */\nstatic",
		"c/clone.c#stack":   "static char stack[1024 * 1024] __attribute__",
		"step_test.go#case": "",
	} {
		got, err := declaration("testdata/repo/step02-bb", ref)
		if want == "" && err == nil {
			t.Errorf("%s: found %q", ref, got)
		} else if want != "" && (err != nil || !strings.Contains(got, want)) {
			t.Errorf("%s: got %q, %v; want %q", ref, got, err, want)
		}
	}
}

// TestShellEndsAll shows that nothing which a block starts outlives it.
func TestShellEndsAll(t *testing.T) {
	dir := t.TempDir()
	sh, err := startShell(shellOptions{dir: dir, uid: -1,
		env: []string{"PATH=" + os.Getenv("PATH")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{
		"sleep 1001 & setsid sleep 1002 & env -i sleep 1003 &",
		"sh -c 'trap \"\" TERM; sleep 1004; sleep 1005' & sleep 0.2",
		"echo started",
	} {
		if _, err := sh.run(c, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int]bool{}
	sh.gather(seen)
	if len(seen) < 6 { // bash, sh, and four times sleep
		t.Errorf("started, but only %v are found", seen)
	}
	if err := sh.end(); err != nil {
		t.Error(err)
	}
	for pid := range seen {
		if !zombie(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
}

// TestStage shows that what a block mounts is seen and is not the machine's,
// and that the machine's network is not there.
func TestStage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: run the check with sudo")
	}
	dir, err := scratch(t)
	if err != nil {
		t.Fatal(err)
	}
	sh, err := startShell(shellOptions{dir: dir, uid: -1, stage: true,
		net: true, env: []string{"PATH=" + os.Getenv("PATH")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"mkdir left; mount -t tmpfs none left; touch left/file; ls left",
			"file"},
		{"tail -n +3 /proc/net/dev | cut -d: -f1", "lo"},
		{"hostname stage-$$; ls -d left", "left"},
	} {
		command, want := c[0], c[1]
		got, err := sh.run(command, 5*time.Second)
		if line := strings.Join(normalLines(got), "\n"); err != nil ||
			line != want {
			t.Errorf("%s: got %q, %v; want %q", command, line, err, want)
		}
	}
	on := filepath.Join(dir, "left")
	if got := sh.mounted(dir); len(got) != 1 || got[0] != on {
		t.Errorf("mounted: %v, not %s", got, on)
	}
	if _, err := os.Stat(filepath.Join(on, "file")); err == nil {
		t.Error("the host sees the mount")
	}
	if name, _ := os.Hostname(); strings.HasPrefix(name, "stage-") {
		t.Error("the host has the name")
	}
	if err := sh.end(); err != nil {
		t.Error(err)
	}
}
