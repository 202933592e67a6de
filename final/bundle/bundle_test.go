package bundle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// says fails unless err says want, in one line; "" is no error.
func says(t *testing.T, err error, want string) {
	t.Helper()
	text := fmt.Sprint(err)
	if (err == nil) != (want == "") || !strings.Contains(text, want) &&
		want != "" || strings.Contains(text, "\n") {
		t.Errorf("error %v, not %q", err, want)
	}
}

// base makes layers with these files, by layer and path.
func base(t *testing.T, files ...map[string]string) (dirs []string) {
	t.Helper()
	for _, layer := range files {
		dir := t.TempDir()
		dirs = append(dirs, dir)
		for name, text := range layer {
			file := filepath.Join(dir, name)
			os.MkdirAll(filepath.Dir(file), 0o755)
			var err error
			if target, ok := strings.CutPrefix(text, "-> "); ok {
				err = os.Symlink(target, file)
			} else {
				err = os.WriteFile(file, []byte(text), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return dirs
}

func TestLookUp(t *testing.T) {
	root := base(t, map[string]string{"etc/passwd": "root:x:0:0:root:/root:" +
		"/bin/sh\nlow:x:1000:1000::/home/low:\n",
		"etc/group": "root:x:0:\nold:x:99:low\n"},
		map[string]string{"etc/passwd": "-> ../usr/passwd",
			"usr/passwd": "root:x:0:0:root:/root:/bin/sh\n\n# no\nshort:x:7\n" +
				"app:x:1000:1000:,,:/home/app:/bin/sh\nbad:x:y:z:::\n" +
				"2000:x:2001:2001::/named:\n",
			"etc/group": "root:x:0:\napp:x:1000:\nwheel:x:10:root,app\n" +
				"audio:x:29:app\n"})
	for _, test := range []struct {
		user   string
		groups []string
		want   string
	}{
		{"", nil, "0 0 [0 10] /root"},
		{"root", nil, "0 0 [0 10] /root"},
		{"app", nil, "1000 1000 [1000 10 29] /home/app"},
		{"1000", nil, "1000 1000 [1000 10 29] /home/app"},
		{"app:audio", nil, "1000 29 [29] /home/app"},
		{"app:5", nil, "1000 5 [5] /home/app"},
		{"1234", nil, "1234 0 [0] /"},
		{"1234:5678", []string{"wheel", "77"}, "1234 5678 [5678 10 77] /"},
		{"short", nil, "7 0 [0] /"},
		{"2000", nil, "2001 2001 [2001] /named"},
		{"low", nil, "unable to find user low: no matching entries in passwd"},
		{"app:none", nil, "unable to find group none: no matching entries"},
		{"0", []string{"none"}, "unable to find group none"},
		{"-1", nil, "must be in range 0-2147483647"},
		{"4294967296", nil, "must be in range 0-2147483647"},
		{"99999999999999999999", nil, "must be in range 0-2147483647"},
		{"0:-1", nil, "must be in range 0-2147483647"},
	} {
		u, home, err := LookUp(root, test.user, test.groups)
		got := fmt.Sprint(u.UID, u.GID, u.AdditionalGids, " ", home)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s %v: %s, not %s", test.user, test.groups, got,
				test.want)
		}
	}
}

// A link in an image never leads to the host's files.
func TestLookUpHostile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	os.WriteFile(secret, []byte("host:x:4242:4242::/:\n"), 0o644)
	for _, target := range []string{secret, "../../../../../../.." + secret,
		"/proc/self/root" + secret, "passwd", "/dev/zero"} {
		root := base(t, map[string]string{"etc/passwd": "-> " + target})
		if u, _, err := LookUp(root, "host", nil); err == nil {
			t.Errorf("%s: found %v", target, u)
		}
	}
	root := base(t, map[string]string{"etc/passwd/x": ""})
	_, _, err := LookUp(root, "", nil)
	says(t, err, "not a regular file")
}

// spec makes one as the engine does.
func spec(o *Options, img *v1.ImageConfig, p Paths) (*specs.Spec, []string,
	error) {
	var err error
	if p.Mounts, err = Mounts(o, img); err != nil {
		return nil, nil, err
	}
	for i := range p.Mounts {
		if p.Mounts[i].Type == "volume" {
			p.Mounts[i].Source = os.TempDir()
		}
	}
	if o.Env, err = Env(nil, o); err != nil {
		return nil, nil, err
	}
	if len(o.Args) == 0 {
		o.Args = []string{"true"}
	}
	p.ID = "0123456789abcdef"
	return Spec(o, img, p)
}

func TestSpecErrors(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Workdir: "rel"}, "needs to be an absolute path"},
		{Options{Pid: "private"}, "--pid: invalid PID mode: private"},
		{Options{Pid: "container:"}, "--pid: invalid PID mode"},
		{Options{Pid: "container:x"}, "--pid container:x: no such container"},
		{Options{Ipc: "what"}, "--ipc: invalid IPC mode: what"},
		{Options{Uts: "container:x"}, "--uts: invalid UTS mode"},
		{Options{Uts: "host", Hostname: "h"}, "hostname and the UTS mode"},
		{Options{Cgroupns: "x"}, "--cgroupns: invalid CGROUP mode: x"},
		{Options{Userns: "x"}, "--userns: invalid USER mode: x"},
		{Options{TimeOffset: []string{"tai=1"}}, "invalid time offset"},
		{Options{TimeOffset: []string{"boottime=x"}}, "invalid time offset"},
		{Options{CapAdd: []string{"NONSENSE"}}, "NONSENSE"},
		{Options{CapDrop: []string{"NONSENSE"}}, "NONSENSE"},
		{Options{SecurityOpt: []string{"x"}}, `invalid --security-opt: "x"`},
		{Options{SecurityOpt: []string{"seccomp="}}, "invalid --security-opt"},
		{Options{SecurityOpt: []string{"seccomp=/absent"}}, "/absent"},
		{Options{SecurityOpt: []string{"no-new-privileges=x"}}, "invalid"},
		{Options{SecurityOpt: []string{"label=type:x"}}, "not supported"},
		{Options{Sysctl: []string{"kernel.core_pattern=|/x"}}, "not allowed"},
		{Options{Sysctl: []string{"net/../kernel/core_pattern=|/x"}},
			"not allowed"},
		{Options{Sysctl: []string{"net.core.somaxconn"}}, "not allowed"},
		{Options{Sysctl: []string{"net.x=1"}, Network: "host"},
			"network namespace that is not the container's own"},
		{Options{Sysctl: []string{"kernel.msgmax=1"}, Ipc: "host"},
			"ipc namespace that is not the container's own"},
		{Options{Device: []string{"/dev/absent"}}, "error gathering device " +
			`information while adding custom device "/dev/absent"`},
		{Options{Device: []string{"/etc/hostname"}}, "not a device node"},
		{Options{Device: []string{"/dev/null:/x:q"}}, "bad mode specified: q"},
		{Options{Device: []string{"/dev/null:x"}}, "not an absolute path"},
		{Options{Device: []string{"a:b:c:d"}}, "bad format for path"},
		{Options{Ulimit: []string{"x"}}, "invalid ulimit argument"},
		{Options{OomScoreAdj: 1001}, "range for oom score adj"},
		{Options{ShmSize: "x"}, "--shm-size"},
		{Options{User: "absent"}, "unable to find user absent"},
		{Options{Mount: []string{"type=bind,src=/absent,dst=/x"}},
			"bind source path does not exist: /absent"},
		{Options{Limits: Limits{Memory: "1"}}, "allowed is 6MB"},
	} {
		_, _, err := spec(&test.o, &v1.ImageConfig{}, Paths{})
		says(t, err, test.want)
	}
}

func TestSpec(t *testing.T) {
	img := &v1.ImageConfig{Env: []string{"PATH=/bin", "FROM=image"},
		WorkingDir: "/srv", User: "5"}
	s, _, err := spec(&Options{Tty: true, Env: []string{"FROM=flag"},
		CapDrop: []string{"mknod"}, CapAdd: []string{"CAP_NET_ADMIN"},
		Init: true, Domainname: "example.org", Ulimit: []string{"core=1",
			"core=2"}, Sysctl: []string{
			"net.ipv4.ip_unprivileged_port_start=7"},
		SecurityOpt: []string{"no-new-privileges"}, Device: []string{
			"/dev/null:/dev/other:r"}, TimeOffset: []string{"60"}}, img,
		Paths{Root: "/root/fs", Exe: "/exe", Hosts: "/etc/hosts",
			Cgroup: "/minidocker/x"})
	if err != nil {
		t.Fatal(err)
	}
	p := s.Process
	if d := cmp.Diff([]string{"PATH=/bin", "HOSTNAME=0123456789ab",
		"TERM=xterm", "FROM=flag", "HOME=/"}, p.Env); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"/sbin/docker-init", "--", "true"},
		p.Args); d != "" || p.Cwd != "/srv" || !p.NoNewPrivileges ||
		!p.Terminal || p.User.UID != 5 || s.Domainname != "example.org" {
		t.Errorf("%s %+v", d, p)
	}
	caps := p.Capabilities
	if !slices.Contains(caps.Bounding, "CAP_NET_ADMIN") || slices.Contains(
		caps.Bounding, "CAP_MKNOD") || caps.Effective != nil {
		t.Errorf("%+v", caps)
	}
	if d := cmp.Diff([]specs.POSIXRlimit{{Type: "RLIMIT_CORE", Hard: 2,
		Soft: 2}}, p.Rlimits); d != "" {
		t.Error(d)
	}
	l := s.Linux
	var kinds []string
	for _, n := range l.Namespaces {
		kinds = append(kinds, string(n.Type))
	}
	if d := cmp.Diff([]string{"mount", "pid", "ipc", "uts", "cgroup", "network",
		"time"}, kinds); d != "" {
		t.Error(d)
	}
	if l.Sysctl["net.ipv4.ip_unprivileged_port_start"] != "7" ||
		l.TimeOffsets["boottime"].Secs != 60 || l.Seccomp == nil ||
		len(l.MaskedPaths) < 10 || len(l.ReadonlyPaths) != 5 {
		t.Errorf("%+v", l)
	}
	last := l.Resources.Devices[len(l.Resources.Devices)-1]
	if len(l.Devices) != 1 || l.Devices[0].Path != "/dev/other" ||
		*last.Minor != 3 || last.Access != "r" {
		t.Errorf("%+v %+v", l.Devices, last)
	}
	targets := []string{}
	for _, m := range s.Mounts {
		targets = append(targets, m.Destination)
	}
	if d := cmp.Diff([]string{"/proc", "/dev", "/dev/pts", "/sys",
		"/sys/fs/cgroup", "/dev/mqueue", "/dev/shm", "/etc/hosts",
		"/sbin/docker-init"}, targets); d != "" {
		t.Error(d)
	}
}

func TestPrivileged(t *testing.T) {
	s, _, err := spec(&Options{Privileged: true, Network: "host", Ipc: "host",
		Pid: "host", Uts: "host", Cgroupns: "host"}, &v1.ImageConfig{}, Paths{})
	if err != nil {
		t.Fatal(err)
	}
	l := s.Linux
	if len(l.Namespaces) != 1 || l.Seccomp != nil || l.MaskedPaths != nil ||
		l.ReadonlyPaths != nil || len(l.Devices) < 5 || len(l.Sysctl) != 0 ||
		s.Hostname != "" || !slices.Contains(s.Process.Capabilities.Effective,
		"CAP_SYS_ADMIN") {
		t.Errorf("%+v", l)
	}
	for _, m := range s.Mounts {
		if slices.Contains(m.Options, "ro") {
			t.Errorf("%+v", m)
		}
	}
	for _, d := range l.Devices {
		if strings.HasPrefix(d.Path, "/dev/pts") {
			t.Error(d.Path)
		}
	}
}

func TestShared(t *testing.T) {
	s, _, err := spec(&Options{ReadOnly: true, Ipc: "none",
		Network: "container:x",
		Volume:  []string{"/tmp:/dev:rshared", "data:/etc/hosts"}},
		&v1.ImageConfig{}, Paths{Hosts: "/etc/hosts", Resolv: "/etc/hosts",
			Namespaces: map[specs.LinuxNamespaceType]string{
				specs.NetworkNamespace: "/proc/1/ns/net"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range s.Mounts {
		got = append(got, m.Destination+" "+m.Options[len(m.Options)-1])
	}
	if d := cmp.Diff([]string{"/proc nodev", "/sys ro", "/sys/fs/cgroup nodev",
		"/etc/resolv.conf ro", "/dev rshared", "/etc/hosts rprivate"},
		got); d != "" || !s.Root.Readonly ||
		s.Linux.RootfsPropagation != "shared" || len(s.Linux.Sysctl) != 0 {
		t.Error(d)
	}
}

func TestCapabilities(t *testing.T) {
	for _, test := range []struct {
		add, drop []string
		has, not  string
	}{
		{nil, nil, "CAP_CHOWN", "CAP_SYS_ADMIN"},
		{[]string{"ALL"}, []string{"chown"}, "CAP_SYS_ADMIN", "CAP_CHOWN"},
		{[]string{"CHOWN"}, []string{"all"}, "CAP_CHOWN", "CAP_KILL"},
		{[]string{"ALL"}, []string{"ALL"}, "CAP_SYS_ADMIN", ""},
	} {
		s, _, err := spec(&Options{CapAdd: test.add, CapDrop: test.drop},
			&v1.ImageConfig{}, Paths{})
		if err != nil {
			t.Fatal(err)
		}
		got := s.Process.Capabilities.Effective
		if !slices.Contains(got, test.has) || slices.Contains(got, test.not) {
			t.Errorf("+%v -%v: %v", test.add, test.drop, got)
		}
	}
}

func TestRootless(t *testing.T) {
	s, _, err := spec(&Options{}, &v1.ImageConfig{}, Paths{Rootless: true})
	if err != nil {
		t.Fatal(err)
	}
	if m := s.Linux.UIDMappings; m[0].ContainerID != 0 || m[0].Size != 1 ||
		m[0].HostID != uint32(os.Getuid()) {
		t.Errorf("%+v", m)
	}
	if len(s.Linux.UIDMappings) == 1 {
		_, _, err = spec(&Options{User: "5"}, &v1.ImageConfig{},
			Paths{Rootless: true})
		says(t, err, "not in the maps of the user namespace")
		if s.Process.User.AdditionalGids != nil {
			t.Error(s.Process.User)
		}
	}
	s, _, err = spec(&Options{Network: "host", Pid: "host"}, &v1.ImageConfig{},
		Paths{Rootless: true})
	if err != nil || s.Mounts[0].Type != "bind" || s.Mounts[3].Type != "bind" {
		t.Errorf("%v %+v", err, s.Mounts)
	}
}

func TestRanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	os.WriteFile(file, []byte("a:100:10\n# no\nb:1:1\na:500:5\na:x:1\na:1:0\n"+
		"a:4294967290:100\n"), 0o600)
	want := []specs.LinuxIDMapping{{ContainerID: 1, HostID: 100, Size: 10},
		{ContainerID: 11, HostID: 500, Size: 5}}
	if d := cmp.Diff(want, ranges(file, []string{"absent", "a", "b"},
		1)); d != "" {
		t.Error(d)
	}
}

// Whatever the flags are, there is a specification that can be written, or an
// error of one line.
func FuzzFlags(f *testing.F) {
	f.Add("/a:/b:ro", "type=tmpfs,dst=/x,tmpfs-size=1k", "/t:size=1m", "64m",
		"1.5", "0-1", "app:users", "nofile=1:2", "/dev/null:/x:rw", "A=1",
		"net.x=1", "seccomp=unconfined")
	f.Add("data:/b", "src=v,dst=/x,volume-nocopy", "/t", "-1", "0.1", "0,1",
		"0:0", "core=-1", "/dev/zero:rw", "B", "kernel.msgmax=5",
		"label=disable")
	f.Fuzz(func(t *testing.T, v, mount, tmpfs, size, cpus, cpuset, user, limit,
		device, env, sysctl, security string) {
		if !strings.HasPrefix(device, "/dev/") ||
			strings.Contains(device, "..") {
			device = "/dev/null" // a directory may be all of the disk
		}
		o := &Options{Volume: []string{v}, Mount: []string{mount},
			Tmpfs: []string{tmpfs}, User: user, Ulimit: []string{limit},
			Device: []string{device}, Env: []string{env}, ShmSize: size,
			Sysctl: []string{sysctl}, SecurityOpt: []string{security},
			Limits: Limits{Memory: size, Cpus: cpus, CpusetCpus: cpuset}}
		s, _, err := spec(o, &v1.ImageConfig{}, Paths{})
		if err != nil {
			return
		}
		if _, err = json.Marshal(s); err != nil {
			t.Error(err)
		}
		for _, m := range s.Mounts {
			if !filepath.IsAbs(m.Destination) || m.Destination == "/" {
				t.Errorf("%+v", m)
			}
		}
	})
}
