package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// overlay tells Go where the variation's test seems to stand, and that the
// suite waits less: what it waits for has to come from a learner's program,
// which may well be wrong.
func (l *lab) overlay(top string) (string, error) {
	base := top + "/.cache/lab/" + l.step
	name := l.step + "/harness_test.go"
	harness, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	const long, short = "patience = 30 * time.S", "patience = 10 * time.S"
	if !strings.Contains(string(harness), long) {
		return "", fmt.Errorf("%s: no %q", name, long)
	}
	quick := strings.Replace(string(harness), long, short, 1)
	text, _ := json.Marshal(map[string]any{"Replace": map[string]string{
		top + "/" + l.step + "/variation_test.go": top + "/" + l.step +
			"/lab/variation_test.go",
		top + "/" + name: base + "-harness.go"}})
	return base + ".json", errors.Join(
		os.WriteFile(base+"-harness.go", []byte(quick), 0o644),
		os.WriteFile(base+".json", text, 0o644))
}

const buildLimit = 3 * time.Minute // the first time, all of the libraries

// suite builds the step's tests and the lab's variation, as if that stood
// beside them.
func (l *lab) suite() (string, error) {
	top, _ := os.Getwd()
	out := top + "/.cache/lab/" + l.step + ".test"
	if err := os.MkdirAll(top+"/.cache/lab", 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(out + ".lock") // another check may build it now
	if err != nil {
		return "", err
	}
	defer lock.Close()
	syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	if l.fresh(out) {
		return out, nil
	}
	overlay, err := l.overlay(top)
	if err != nil {
		return "", err
	}
	part := out + ".part" // the old one may be running
	said, err := goTool(top, "test", "-c", "-tags", "lab,urfave_cli_no_docs",
		"-overlay", overlay, "-o", part, "./"+l.step)
	if err != nil {
		return "", fmt.Errorf("the tests of %s: %w\n%s", l.step, err, said)
	}
	return out, os.Rename(part, out)
}

// fresh is whether a suite is newer than all that it is made of.
func (l *lab) fresh(suite string) bool {
	built, err := os.Stat(suite)
	for _, pattern := range []string{"/*.go", "/lab/*.go", "/../go.*"} {
		files, _ := filepath.Glob(l.step + pattern)
		for _, file := range files {
			info, bad := os.Stat(file)
			if err != nil || bad != nil || info.ModTime().After(
				built.ModTime()) {
				return false
			}
		}
	}
	return err == nil
}

// goTool runs the go command in dir, without cgo.
func goTool(dir string, args ...string) (string, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("%w: make doctor", err)
	}
	args = append([]string{"env", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false",
		tool}, args...)
	return output(buildLimit, dir, args...)
}

// build makes the learner's program: STEP_BIN, or what is in work/.
func (l *lab) build() (string, error) {
	if bin := os.Getenv("STEP_BIN"); bin != "" {
		_, err := os.Stat(bin)
		if err != nil {
			return "", fmt.Errorf("STEP_BIN: %w", err)
		}
		return filepath.Abs(bin)
	}
	if _, err := os.Stat(l.work() + "/main.go"); err != nil {
		return "", fmt.Errorf("%s: nothing there yet: make lab-step%s "+
			"(or STEP_BIN=PROGRAM)", l.work(), l.number)
	}
	top, _ := os.Getwd()
	bin := top + "/bin/mystep" + l.number
	said, err := goTool(top, "build", "-tags", "urfave_cli_no_docs", "-o", bin,
		"./"+l.work())
	if err != nil {
		return "", fmt.Errorf("%s does not build:\n%s", l.work(), said)
	}
	return bin, nil
}

// sudo is what to become root with, if these tests are about root and there
// is a way. Steps 4 and 7 are for everybody.
func (l *lab) sudo() []string {
	if os.Getuid() == 0 || strings.Contains("47", l.number) {
		return nil
	}
	if sudo, set := os.LookupEnv("SUDO"); set && sudo == "" {
		return nil
	}
	if exec.Command("sudo", "-n", "true").Run() == nil {
		return []string{"sudo", "-n"}
	}
	if info, err := os.Stdin.Stat(); err == nil &&
		info.Mode()&os.ModeCharDevice != 0 && !asked {
		asked = true
		fmt.Fprintln(os.Stderr, "The tests of step "+l.number+" are for root:"+
			" sudo may ask for your password (SUDO= does without).")
		ask := exec.Command("sudo", "-v")
		ask.Stdin, ask.Stdout, ask.Stderr = os.Stdin, os.Stdout, os.Stderr
		if ask.Run() == nil {
			return []string{"sudo", "-n"}
		}
	}
	return nil
}

var asked bool
