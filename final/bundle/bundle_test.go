package bundle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"container-workshop/final/cgroups"

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

func TestBytes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1024": 1024, "1b": 1,
		"4k": 4096, "4K": 4096, "4kb": 4096, "4KiB": 4096, "64m": 64 << 20,
		"1.5g": 3 << 29, "2T": 2 << 40, "1 m": 1 << 20, ".5k": 512} {
		if n, err := Bytes(text); err != nil || n != want {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "m", "-1", "-1m", "1x", "1bb", "1kbb",
		"1kib ", "1 2m", "1,5g", "9e30", "8192p", "inf", "nan", "0x", "--1"} {
		if n, err := Bytes(text); err == nil {
			t.Errorf("%q: %d", text, n)
		}
	}
}

func TestUlimit(t *testing.T) {
	for text, want := range map[string]string{
		"nofile=10:20": "RLIMIT_NOFILE 10 20", "core=0": "RLIMIT_CORE 0 0",
		"core=-1":                       "RLIMIT_CORE 18446744073709551615 18446744073709551615",
		"nproc=1:-1":                    "RLIMIT_NPROC 1 18446744073709551615",
		"nofile":                        "invalid ulimit argument: nofile",
		"as=1":                          "invalid ulimit type: as",
		"nofile=2:1":                    "must be less than or equal to hard limit: 2 > 1",
		"nofile=-1:1":                   "must be less than or equal to hard limit: -1 > 1",
		"nofile=-2":                     "must be less than",
		"nofile=x":                      "invalid ulimit argument",
		"nofile=1:2:3":                  "invalid ulimit argument",
		"nofile=":                       "invalid ulimit argument",
		"nofile=1:99999999999999999999": "out of range",
	} {
		l, err := ulimit(text)
		got := fmt.Sprint(l.Type, " ", l.Soft, " ", l.Hard)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, test := range []struct {
		name       string
		o          Options
		entry, cmd []string
		want       string
	}{
		{"image's", Options{}, []string{"e"}, []string{"c"}, "e c"},
		{"args", Options{Args: []string{"a", "b"}}, []string{"e"},
			[]string{"c"}, "e a b"},
		{"cmd alone", Options{}, nil, []string{"c", "d"}, "c d"},
		{"entrypoint drops cmd", Options{Entrypoint: text("n")}, []string{"e"},
			[]string{"c"}, "n"},
		{"entrypoint with args", Options{Entrypoint: text("n"), Args: []string{
			"a"}}, []string{"e"}, []string{"c"}, "n a"},
		{"cleared", Options{Entrypoint: text(""), Args: []string{"a"}},
			[]string{"e"}, []string{"c"}, "a"},
		{"cleared and nothing", Options{Entrypoint: text("")}, []string{"e"},
			[]string{"c"}, "no command specified"},
		{"nothing", Options{}, nil, nil, "no command specified"},
		{"empty", Options{Args: []string{""}}, nil, nil, "no command"},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := Command(&test.o, &v1.ImageConfig{Entrypoint: test.entry,
				Cmd: test.cmd})
			got := strings.Join(list, " ")
			if err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("%s, not %s", got, test.want)
			}
		})
	}
}

func TestEnv(t *testing.T) {
	t.Setenv("CALLER", "mine")
	os.Unsetenv("ABSENT")
	file := filepath.Join(t.TempDir(), "env")
	os.WriteFile(file, []byte("\xef\xbb\xbf# comment\n\n  A=file \nB='q'\r\n"+
		"CALLER\nABSENT\n"), 0o600)
	base := []string{"A=image", "Z=image", "ABSENT=image"}
	got, err := Env(base, &Options{EnvFile: []string{file}, Env: []string{
		"B=flag", "C=1=2", "CALLER", "ABSENT", "E="}})
	want := []string{"A=file ", "Z=image", "B=flag", "CALLER=mine", "C=1=2",
		"E="}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(err, d)
	}
	if d := cmp.Diff([]string{"A=image", "Z=image", "ABSENT=image"},
		base); d != "" {
		t.Error("the image's environment has changed:", d)
	}
	got, err = Env(nil, &Options{Env: []string{"X=1", "ABSENT", "CALLER"}})
	if d := cmp.Diff([]string{"X=1", "ABSENT", "CALLER=mine"}, got); d != "" ||
		err != nil {
		t.Error(err, d)
	}
	for _, bad := range []string{"=x", "", "A=\x00"} {
		if _, err := Env(nil, &Options{Env: []string{bad}}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for text, want := range map[string]string{"=x": "no variable name",
		"A B=c": "contains whitespaces", "A=\xff": "invalid utf8"} {
		os.WriteFile(file, []byte("OK=1\n"+text+"\n"), 0o600)
		_, err := Env(nil, &Options{EnvFile: []string{file}})
		says(t, err, want)
	}
}

func TestMounts(t *testing.T) {
	here, _ := os.Getwd()
	bind := []string{"rbind", "rprivate"}
	ro := []string{"rbind", "rprivate", "rro"}
	for _, test := range []struct {
		flag, text string
		want       Mount
		err        string
	}{
		{"v", "/a:/b", Mount{Type: "bind", Source: "/a", Destination: "/b",
			MakeSource: true, Options: bind}, ""},
		{"v", "/a:/b/../c:ro", Mount{Type: "bind", Source: "/a",
			Destination: "/c", MakeSource: true, ReadOnly: true, Options: ro}, ""},
		{"v", "./x:/b:rw,z", Mount{Type: "bind", Source: here + "/x",
			Destination: "/b", MakeSource: true, Options: bind}, ""},
		{"v", "/a:/b:rshared", Mount{Type: "bind", Source: "/a",
			Destination: "/b", MakeSource: true, Options: []string{"rbind",
				"rshared"}}, ""},
		{"v", "data:/b:nocopy,ro", Mount{Type: "volume", Name: "data",
			Destination: "/b", NoCopy: true, ReadOnly: true, Options: ro}, ""},
		{"v", "/b", Mount{Type: "volume", Destination: "/b", Options: bind}, ""},
		{"v", "/a:/", Mount{}, "destination can't be '/'"},
		{"v", "/a:/b/..", Mount{}, "destination can't be '/'"},
		{"v", "/a:b", Mount{}, "mount path must be absolute"},
		{"v", "b", Mount{}, "mount path must be absolute"},
		{"v", "/a:/b:xx", Mount{}, "invalid mode: xx"},
		{"v", "/a:/b:ro,rw", Mount{}, "invalid mode: ro,rw"},
		{"v", "/a:/b:ro:x", Mount{}, "invalid volume specification"},
		{"v", ":/b", Mount{}, "invalid volume specification"},
		{"v", "", Mount{}, "invalid volume specification"},
		{"v", "/a:", Mount{}, "invalid volume specification"},
		{"v", "a/b:/c", Mount{}, "includes invalid characters"},
		{"v", "x:/c", Mount{}, "includes invalid characters"},
		{"v", "data:/b:rslave", Mount{}, "has no propagation"},
		{"mount", "type=bind,src=/a,dst=/b", Mount{Type: "bind", Source: "/a",
			Destination: "/b", Options: bind}, ""},
		{"mount", `type=bind,"source=/a,b",target=/b,readonly`, Mount{
			Type: "bind", Source: "/a,b", Destination: "/b", ReadOnly: true,
			Options: ro}, ""},
		{"mount", "type=bind,src=/a,dst=/b,ro=true,bind-recursive=writable",
			Mount{Type: "bind", Source: "/a", Destination: "/b",
				ReadOnly: true, Options: []string{"rbind", "rprivate", "ro"}}, ""},
		{"mount", "type=bind,src=/a,dst=/b,bind-recursive=disabled," +
			"bind-propagation=slave", Mount{Type: "bind", Source: "/a",
			Destination: "/b", Options: []string{"bind", "slave"}}, ""},
		{"mount", "type=bind,src=/a,dst=/b,bind-recursive=readonly", Mount{},
			"requires 'readonly'"},
		{"mount", "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", Mount{},
			"requires 'bind-propagation=rprivate'"},
		{"mount", "type=bind,src=/a,dst=/b,bind-recursive=x", Mount{},
			"invalid value for bind-recursive: x"},
		{"mount", "type=bind,src=/a,dst=/b,bind-propagation=x", Mount{},
			"invalid propagation mode: x"},
		{"mount", "type=bind,dst=/b", Mount{}, "Source must not be empty"},
		{"mount", "type=bind,src=a,dst=/b", Mount{}, "must be absolute"},
		{"mount", "type=bind,src=/a", Mount{}, "target is required"},
		{"mount", "type=bind,src=/a,dst=/b,volume-nocopy", Mount{},
			"cannot mix 'volume-*' options with mount type 'bind'"},
		{"mount", "src=vol,dst=/b,volume-label=a=b,volume-opt=o=x," +
			"volume-nocopy,volume-subpath=in/it", Mount{Type: "volume",
			Name: "vol", Destination: "/b", NoCopy: true, Subpath: "in/it",
			Labels: []string{"a=b"}, DriverOpts: []string{"o=x"},
			Options: bind}, ""},
		{"mount", "src=vol,dst=/b,volume-subpath=../x", Mount{},
			"must be a relative path"},
		{"mount", "dst=/b,ro", Mount{}, "anonymous volumes"},
		{"mount", "src=vol,dst=/b,volume-driver=nfs", Mount{},
			`plugin "nfs" not found`},
		{"mount", "type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=700", Mount{
			Type: "tmpfs", Source: "tmpfs", Destination: "/b", Options: []string{
				"noexec", "nosuid", "nodev", "rprivate", "size=1048576",
				"mode=700"}}, ""},
		{"mount", "type=tmpfs,dst=/b,tmpfs-mode=9", Mount{},
			"invalid value for tmpfs-mode: 9"},
		{"mount", "type=tmpfs,dst=/b,src=/x", Mount{},
			"Source must not be specified"},
		{"mount", "type=nfs,dst=/b", Mount{}, "mount type unknown"},
		{"mount", "type=bind,x=/a", Mount{}, "unexpected key 'x' in 'x=/a'"},
		{"mount", "bind", Mount{}, "must be a key=value pair"},
		{"mount", "ro=perhaps,dst=/b", Mount{}, "invalid value for ro: perhaps"},
		{"mount", `"`, Mount{}, "invalid argument"},
		{"tmpfs", "/t", Mount{Type: "tmpfs", Source: "tmpfs",
			Destination: "/t", Options: []string{"noexec", "nosuid", "nodev",
				"rprivate"}}, ""},
		{"tmpfs", "/t:exec,size=64m,ro,mode=755", Mount{Type: "tmpfs",
			Source: "tmpfs", Destination: "/t", ReadOnly: true, Options: []string{
				"nosuid", "nodev", "rprivate", "exec", "size=64m", "ro",
				"mode=755"}}, ""},
		{"tmpfs", "/t:what", Mount{}, `invalid tmpfs option "what"`},
		{"tmpfs", "/t:what=1", Mount{}, `invalid tmpfs option "what=1"`},
		{"tmpfs", "t", Mount{}, "must be absolute"},
		{"tmpfs", "/", Mount{}, "destination can't be '/'"},
	} {
		t.Run(test.flag+" "+test.text, func(t *testing.T) {
			o := &Options{}
			*map[string]*[]string{"v": &o.Volume, "mount": &o.Mount,
				"tmpfs": &o.Tmpfs}[test.flag] = []string{test.text}
			list, err := Mounts(o, &v1.ImageConfig{})
			says(t, err, test.err)
			if err == nil {
				if d := cmp.Diff([]Mount{test.want}, list); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestMountsTogether(t *testing.T) {
	img := &v1.ImageConfig{Volumes: map[string]struct{}{"/data": {}, "/b": {},
		"rel": {}, "/": {}}}
	list, err := Mounts(&Options{Volume: []string{"/a:/b/c/d", "/a:/b"},
		Tmpfs: []string{"/b/c"}}, img)
	var got []string
	for _, m := range list {
		got = append(got, m.Type+" "+m.Destination)
	}
	if d := cmp.Diff([]string{"bind /b", "volume /data", "volume /rel",
		"tmpfs /b/c", "bind /b/c/d"}, got); d != "" || err != nil {
		t.Error(err, d)
	}
	_, err = Mounts(&Options{Volume: []string{"/a:/b", "/a:/b/"}}, img)
	says(t, err, "Duplicate mount point: /b")
}

func TestLimits(t *testing.T) {
	found := cgroups.Controllers()
	if found["memory"] == "" || found["cpu"] == "" || found["pids"] == "" {
		t.Skip("needs memory, cpu and pids cgroups")
	}
	_, v2 := found[""]
	v2 = v2 && found["memory"] == found[""]
	many := fmt.Sprint(runtime.NumCPU() + 1)
	for _, test := range []struct {
		name string
		l    Limits
		want string // what is set, in JSON
		err  string
	}{
		{"none", Limits{}, `{"memory":{},"cpu":{},"blockIO":{}}`, ""},
		{"memory", Limits{Memory: "64m", MemoryReservation: "32m"},
			`"limit":67108864,"reservation":33554432,"swap":134217728`, ""},
		{"swap", Limits{Memory: "64m", MemorySwap: "65m"}, `"swap":68157440`, ""},
		{"no swap", Limits{Memory: "64m", MemorySwap: "64m"},
			`"swap":67108864`, ""},
		{"all swap", Limits{Memory: "64m", MemorySwap: "-1"}, `"swap":-1`, ""},
		{"little", Limits{Memory: "5m"}, "", "Minimum memory limit allowed is 6MB"},
		{"less swap", Limits{Memory: "64m", MemorySwap: "63m"}, "",
			"Minimum memoryswap limit should be larger than memory limit"},
		{"swap alone", Limits{MemorySwap: "64m"}, "",
			"You should always set the Memory limit when using Memoryswap"},
		{"reservation", Limits{Memory: "64m", MemoryReservation: "65m"}, "",
			"can not be less than memory reservation limit"},
		{"little reservation", Limits{MemoryReservation: "1m"}, "",
			"Minimum memory reservation allowed is 6MB"},
		{"swappiness", Limits{MemorySwappiness: "101"}, "",
			"Valid memory swappiness range is 0-100"},
		{"no size", Limits{Memory: "many"}, "", "--memory: invalid size"},
		{"cpus", Limits{Cpus: "1.5"}, `"quota":150000,"period":100000`, ""},
		{"small", Limits{Cpus: "0.01"}, `"quota":1000,"period":100000`, ""},
		{"quota", Limits{CPUQuota: "5000", CPUPeriod: "10000"},
			`"quota":5000,"period":10000`, ""},
		{"shares", Limits{CPUShares: "512"}, `"shares":512`, ""},
		{"too many", Limits{Cpus: many}, "", "range of CPUs is from 0.01 to"},
		{"negative", Limits{Cpus: "-1"}, "", "range of CPUs is from 0.01 to"},
		{"precise", Limits{Cpus: "0.0000000001"}, "", "too precise"},
		{"huge", Limits{Cpus: "1e999999999"}, "", "as a rational number"},
		{"no number", Limits{Cpus: "x"}, "", "as a rational number"},
		{"both", Limits{Cpus: "1", CPUPeriod: "1000"}, "",
			"Nano CPUs and CPU Period cannot both be set"},
		{"both", Limits{Cpus: "1", CPUQuota: "1000"}, "",
			"Nano CPUs and CPU Quota cannot both be set"},
		{"short", Limits{CPUPeriod: "999"}, "", "CPU cfs period can not be less"},
		{"little", Limits{CPUQuota: "999"}, "", "CPU cfs quota can not be less"},
		{"shares", Limits{CPUShares: "-2"}, "", "invalid CPU shares (-2)"},
		{"cpuset", Limits{CpusetCpus: "0", CpusetMems: "0"},
			`"cpus":"0","mems":"0"`, ""},
		{"no such", Limits{CpusetCpus: "0,4095"}, "",
			"Requested CPUs are not available - requested 0,4095, available"},
		{"no such", Limits{CpusetMems: "1000"}, "",
			"Requested memory nodes are not available"},
		{"no list", Limits{CpusetCpus: "2-1"}, "",
			"Invalid value 2-1 for cpuset cpus"},
		{"no list", Limits{CpusetCpus: "0,"}, "", "for cpuset cpus"},
		{"pids", Limits{PidsLimit: "20"}, `"pids":{"limit":20}`, ""},
		{"no limit", Limits{PidsLimit: "-1"}, `"pids":{"limit":-1}`, ""},
		{"no limit", Limits{PidsLimit: "0"}, `"cpu":{},"blockIO"`, ""},
		{"weight", Limits{BlkioWeight: "9"}, "", "from 10 to 1000"},
		{"rate", Limits{DeviceReadBps: []string{"/dev/null:1m"}}, "",
			"not a block device"},
		{"rate", Limits{DeviceReadBps: []string{"/dev/absent:1m"}}, "",
			"stat /dev/absent: no such file"},
		{"rate", Limits{DeviceWriteIOPS: []string{"/dev/vda:1m"}}, "",
			"invalid rate for device: /dev/vda:1m"},
		{"rate", Limits{DeviceWriteIOPS: []string{"vda:1"}}, "",
			"bad format for device path: vda:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, warnings, err := Resources(&test.l)
			says(t, err, test.err)
			text, _ := json.Marshal(r)
			if err == nil && !strings.Contains(string(text), test.want) {
				t.Errorf("%s, not %s %q", text, test.want, warnings)
			}
		})
	}
	_, warnings, err := Resources(&Limits{KernelMemory: "10m"})
	kmem := found["memory"] + "/memory.kmem.limit_in_bytes"
	_, bad := os.Stat(kmem)
	if err != nil || (len(warnings) == 1) != (bad != nil) {
		t.Errorf("kernel memory: %v %q, %v", err, warnings, bad)
	}
	r, warnings, err := Resources(&Limits{MemorySwappiness: "10",
		OomKillDisable: true, Memory: "64m"})
	if err != nil || v2 != (len(warnings) == 2) || v2 !=
		(r.Memory.Swappiness == nil) || v2 != (r.Memory.DisableOOMKiller == nil) {
		t.Errorf("v2 %v: %v %q", v2, err, warnings)
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
		{"0", []string{"none"}, "Unable to find group none"},
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
			t.Errorf("%s %v: %s, not %s", test.user, test.groups, got, test.want)
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
			"core=2"}, Sysctl: []string{"net.ipv4.ip_unprivileged_port_start=7"},
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
	s, _, err := spec(&Options{ReadOnly: true, Ipc: "none", Network: "container:x",
		Volume: []string{"/tmp:/dev:rshared", "data:/etc/hosts"}},
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
		"0:0", "core=-1", "/dev/zero:rw", "B", "kernel.msgmax=5", "label=disable")
	f.Fuzz(func(t *testing.T, v, mount, tmpfs, size, cpus, cpuset, user, limit,
		device, env, sysctl, security string) {
		if !strings.HasPrefix(device, "/dev/") || strings.Contains(device, "..") {
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
