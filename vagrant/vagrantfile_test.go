package vagrant_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// prelude stands in for Vagrant: it records what the Vagrantfile sets, one
// "name = value" a line, and knows only what the given version knows.
const prelude = `
require "rbconfig"
RbConfig::CONFIG["host_cpu"] = ENV["CPU"] if ENV["CPU"]
class << File
  alias real_open open
  def open(path, *rest, &block)
    raise Errno::EACCES, path if path == "/dev/kvm"
    real_open(path, *rest, &block)
  end
  alias real_read read
  def read(path, *rest)
    return ENV.fetch("CPUINFO", "flags: vmx") if path == "/proc/cpuinfo"
    real_read(path, *rest)
  end
end
class Recorder
  def initialize(name) = @name = name
  def respond_to?(m, *) = m != :box_architecture= || ENV["NEW"] == "1"
  def method_missing(name, *args, **opts, &block)
    if name == :box_architecture= && ENV["NEW"] != "1"
      raise NoMethodError, "box_architecture="
    end
    key = "#{@name}.#{name.to_s.chomp("=")}"
    key += "(#{args.first})" if %i[provider synced_folder].include?(name)
    args = args.drop(1) if name == :synced_folder
    puts "#{key} = #{(args + [opts]).inspect}" unless block
    below = Recorder.new(key)
    block&.call(below)
    below
  end
end
module Vagrant
  VERSION = ENV.fetch("VAGRANT", "2.4.9")
  def self.has_plugin?(_) = false
  def self.configure(_) = yield(Recorder.new("config"))
end
load "./Vagrantfile"
`

// vagrantfile evaluates the Vagrantfile for `vagrant ARGS`.
func vagrantfile(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	if _, err := exec.LookPath("ruby"); err != nil {
		t.Skip("ruby is missing: apt-get install ruby")
	}
	clean := []string{"BOX_URL=", "LIBVIRT_DRIVER=kvm", "RUBYOPT=",
		"VAGRANT_DEFAULT_PROVIDER=virtualbox", "NEW=1"}
	return run(t, append(clean, env...), "ruby",
		append([]string{"-W0", "-e", prelude, "--"}, args...)...)
}

func TestVagrantfileRefuses(t *testing.T) {
	empty := t.TempDir()
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("ruby is missing: apt-get install ruby")
	}
	link(t, empty, "env", "sh")
	if err := os.Symlink(ruby, filepath.Join(empty, "ruby")); err != nil {
		t.Fatal(err)
	}
	bare := "PATH=" + empty
	catalog := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return "BOX_URL=" + path
	}
	other := catalog("c.json", `{"name":"x/y","versions":[]}`)
	nonsense := catalog("c.json", `[1`)
	for _, c := range []struct {
		name, want string
		env        []string
		args       string
	}{
		{"old", "too old: install 2.3.0", []string{"VAGRANT=2.2.19"}, "up"},
		{"arm", "install Vagrant 2.4", []string{"VAGRANT=2.3.4",
			"CPU=aarch64"}, "up"},
		{"rsync", "rsync is missing", []string{bare}, "up"},
		{"none", "no virtualization found", []string{bare,
			"VAGRANT_DEFAULT_PROVIDER="}, "up"},
		{"kvm", "LIBVIRT_DRIVER=qemu", nil, "up --provider=libvirt"},
		{"kvm 2", "LIBVIRT_DRIVER=qemu", nil, "up --provider libvirt"},
		{"kvm 3", "LIBVIRT_DRIVER=qemu", []string{
			"VAGRANT_DEFAULT_PROVIDER=libvirt"}, "--no-tty up"},
		{"vt-x", "switch VT-x", []string{"CPUINFO=flags: sse"}, "up"},
		{"no box", "no file /nowhere.box", []string{
			"BOX_URL=file:///nowhere.box"}, "up"},
		{"other box", "is for another box than bento/", []string{other},
			"up"},
		{"no catalog", "is no box catalog", []string{nonsense}, "up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, status := vagrantfile(t, c.env,
				strings.Fields(c.args)...)
			oneLine(t, out, c.want)
			if status != 1 {
				t.Errorf("status %d", status)
			}
		})
	}
}

// What looks at a machine or throws it away works without any of it.
func TestVagrantfileDestroys(t *testing.T) {
	env := []string{"LIBVIRT_DRIVER=kvm", "BOX_URL=/nowhere.json"}
	for _, word := range []string{"destroy", "status", "ssh", "validate"} {
		if out, status := vagrantfile(t, env, word); status != 0 {
			t.Errorf("vagrant %s: %s", word, out)
		}
	}
}

// settings are the lines of vagrantfile's output.
func settings(t *testing.T, out string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		key, value, ok := strings.Cut(line, " = ")
		if !ok {
			t.Fatalf("not a setting: %q in\n%s", line, out)
		}
		all[key] = value
	}
	return all
}

func TestVagrantfileSets(t *testing.T) {
	out, status := vagrantfile(t, []string{"LIBVIRT_DRIVER=qemu"}, "status")
	if status != 0 {
		t.Fatal(out)
	}
	set := settings(t, out)
	for key, want := range map[string]string{
		"config.vm.box":                           "bento/debian-13",
		"config.vm.box_version":                   "20",
		"config.vm.box_architecture":              ":auto",
		"config.vm.provider(libvirt).driver":      "qemu",
		"config.vm.provider(libvirt).cpu_model":   "qemu64",
		"config.vm.provider(libvirt).memory":      "2048",
		"config.vm.provider(virtualbox).memory":   "2048",
		"config.vm.provider(parallels).memory":    "2048",
		"config.vm.provider(vmware_desktop).gui":  "false",
		"config.vm.provider(libvirt).cpu_feature": "cx16",
		"config.ssh.insert_key":                   "false",
	} {
		if !strings.Contains(set[key], want) {
			t.Errorf("%s is %q, want %q", key, set[key], want)
		}
	}
}

func TestVagrantfileKVM(t *testing.T) {
	out, _ := vagrantfile(t, nil, "status")
	set := settings(t, out)
	key := "config.vm.provider(libvirt).cpu_model"
	if value, ok := set[key]; ok {
		t.Errorf("with KVM the CPU is the host's, not %s", value)
	}
}

func TestVagrantfileBoxURL(t *testing.T) {
	out, _ := vagrantfile(t, []string{"BOX_URL=http://lan/catalog.json"})
	set := settings(t, out)
	if set["config.vm.box_version"] == "" {
		t.Error("a catalog has versions: the pin must stay")
	}
	out, _ = vagrantfile(t, []string{"BOX_URL=http://lan/a.box"})
	set = settings(t, out)
	if v, ok := set["config.vm.box_version"]; ok {
		t.Errorf("a bare box has no version, %s cannot be met", v)
	}
	if !strings.Contains(set["config.vm.box_url"], "http://lan/a.box") {
		t.Errorf("box_url is %q", set["config.vm.box_url"])
	}
}

func TestVagrantfileOld(t *testing.T) {
	out, status := vagrantfile(t, []string{"VAGRANT=2.3.4", "NEW=0",
		"CPU=x86_64"}, "up")
	if status != 0 {
		t.Fatalf("Vagrant 2.3 must read it:\n%s", out)
	}
}

// The work of a learner is never deleted, and never goes with the rest.
func TestVagrantfileFolders(t *testing.T) {
	out, _ := vagrantfile(t, nil, "status")
	for _, line := range strings.Split(out, "\n") {
		if !strings.Contains(line, "synced_folder(") {
			continue
		}
		work := strings.Contains(line, "workshop/work")
		if work && strings.Contains(line, "--delete") {
			t.Errorf("deletes work: %s", line)
		}
		if !work && strings.Contains(line, "--delete") &&
			!strings.Contains(line, `"/work"`) {
			t.Errorf("does not leave out work/: %s", line)
		}
	}
	if strings.Count(out, "rsync__args") != 2 {
		t.Errorf("two rsync folders:\n%s", out)
	}
}
