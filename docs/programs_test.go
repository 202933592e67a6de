package docs

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMain removes the programs that the transcripts used.
func TestMain(m *testing.M) {
	status := m.Run()
	programs.remove()
	os.Exit(status)
}

// builder builds each step once, when a transcript first names it.
type builder struct {
	sync.Mutex
	dir  string
	done map[string]error
}

var programs = &builder{done: map[string]error{}}

var programName = regexp.MustCompile(
	`step[0-9][0-9]-[a-z0-9]+|minidocker|minirunc`)

// build returns the directory with the programs that text names. Where there
// is no Go, BIN says where somebody else has put them.
func (b *builder) build(root, text string) (string, error) {
	if dir := os.Getenv("BIN"); dir != "" {
		return dir, nil
	}
	b.Lock()
	defer b.Unlock()
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "workshop-bin-")
		if err != nil {
			return "", err
		}
		// An ordinary user runs them too.
		if err := os.Chmod(dir, 0o755); err != nil {
			return "", err
		}
		b.dir = dir
	}
	for _, name := range programName.FindAllString(text, -1) {
		build := b.buildStep
		if !strings.HasPrefix(name, "step") {
			name, build = "minidocker", b.buildFinal
		} else if !slices.Contains(steps(root), name) {
			continue // perhaps a name that only looks like a step
		}
		err, done := b.done[name]
		if !done {
			err = build(root, name)
			b.done[name] = err
		}
		if err != nil {
			return "", err
		}
	}
	return b.dir, nil
}

// buildStep builds a step in Go and in C, as the Makefile does.
func (b *builder) buildStep(root, step string) error {
	if err := b.buildGo(root, step, step); err != nil {
		return err
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		return nil // what uses the C programs needs=gcc
	}
	files, _ := filepath.Glob(filepath.Join(root, step, "c", "*.c"))
	dir := filepath.Join(b.dir, "c", step)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".c")
		if err := execute("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra",
			"-Werror", "-static", "-o", filepath.Join(dir, name),
			file); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) buildFinal(root, name string) error {
	return b.buildGo(root, "final", name)
}

func (b *builder) buildGo(root, dir, name string) error {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-tags",
		"urfave_cli_no_docs", "-o", filepath.Join(b.dir, name), "./"+dir)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./%s: %w: %s", dir, err, out)
	}
	return nil
}

func (b *builder) remove() {
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}

func rootfsDir() string {
	if dir := os.Getenv("ROOTFS"); dir != "" {
		return dir
	}
	return filepath.Join(repoRoot, "rootfs")
}

func copyTree(from, to string) error {
	return execute("cp", "-a", from+"/.", to)
}

// copyRepo copies what the repository keeps, for transcripts that run make.
func copyRepo(root, to string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry,
		err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir() && ignored(rel) && filepath.Base(rel) != "testdata":
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		}
		return execute("cp", "-a", path, target)
	})
}
