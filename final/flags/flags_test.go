package flags

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"container-workshop/final/cgroups"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
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
	const most = " 18446744073709551615"
	for text, want := range map[string]string{
		"nofile=10:20": "RLIMIT_NOFILE 10 20",
		"core=0":       "RLIMIT_CORE 0 0",
		"core=-1":      "RLIMIT_CORE" + most + most,
		"nproc=1:-1":   "RLIMIT_NPROC 1" + most,
		"nofile":       "invalid ulimit argument: nofile",
		"as=1":         "invalid ulimit type: as",
		"nofile=2:1":   "less than or equal to hard limit: 2 > 1",
		"nofile=-1:1":  "less than or equal to hard limit: -1 > 1",
		"nofile=-2":    "must be less than",
		"nofile=x":     "invalid ulimit argument",
		"nofile=1:2:3": "invalid ulimit argument",
		"nofile=":      "invalid ulimit argument",
		"cpu=1:2e9":    "invalid ulimit argument",
	} {
		l, err := Ulimit(text)
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
			list, err := Command(&test.o, &v1.ImageConfig{Cmd: test.cmd,
				Entrypoint: test.entry})
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
			Destination: "/c", MakeSource: true, ReadOnly: true, Options: ro},
			""},
		{"v", "./x:/b:rw,z", Mount{Type: "bind", Source: here + "/x",
			Destination: "/b", MakeSource: true, Options: bind}, ""},
		{"v", "/a:/b:rshared", Mount{Type: "bind", Source: "/a",
			Destination: "/b", MakeSource: true, Options: []string{"rbind",
				"rshared"}}, ""},
		{"v", "data:/b:nocopy,ro", Mount{Type: "volume", Name: "data",
			Destination: "/b", NoCopy: true, ReadOnly: true, Options: ro}, ""},
		{"v", "/b", Mount{Type: "volume", Destination: "/b", Options: bind},
			""},
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
				ReadOnly: true, Options: []string{"rbind", "rprivate", "ro"}},
			""},
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
			Type: "tmpfs", Source: "tmpfs", Destination: "/b",
			Options: []string{"noexec", "nosuid", "nodev", "rprivate",
				"size=1048576",
				"mode=700"}}, ""},
		{"mount", "type=tmpfs,dst=/b,tmpfs-mode=9", Mount{},
			"invalid value for tmpfs-mode: 9"},
		{"mount", "type=tmpfs,dst=/b,src=/x", Mount{},
			"Source must not be specified"},
		{"mount", "type=nfs,dst=/b", Mount{}, "mount type unknown"},
		{"mount", "type=bind,x=/a", Mount{}, "unexpected key 'x' in 'x=/a'"},
		{"mount", "bind", Mount{}, "must be a key=value pair"},
		{"mount", "ro=perhaps,dst=/b", Mount{},
			"invalid value for ro: perhaps"},
		{"mount", `"`, Mount{}, "invalid argument"},
		{"tmpfs", "/t", Mount{Type: "tmpfs", Source: "tmpfs",
			Destination: "/t", Options: []string{"noexec", "nosuid", "nodev",
				"rprivate"}}, ""},
		{"tmpfs", "/t:exec,size=64m,ro,mode=755", Mount{Type: "tmpfs",
			Source: "tmpfs", Destination: "/t", ReadOnly: true,
			Options: []string{"nosuid", "nodev", "rprivate", "exec", "size=64m",
				"ro", "mode=755"}}, ""},
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
		{"swap", Limits{Memory: "64m", MemorySwap: "65m"}, `"swap":68157440`,
			""},
		{"no swap", Limits{Memory: "64m", MemorySwap: "64m"},
			`"swap":67108864`, ""},
		{"all swap", Limits{Memory: "64m", MemorySwap: "-1"}, `"swap":-1`, ""},
		{"little", Limits{Memory: "5m"}, "",
			"Minimum memory limit allowed is 6MB"},
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
		{"short", Limits{CPUPeriod: "999"}, "",
			"CPU cfs period can not be less"},
		{"little", Limits{CPUQuota: "999"}, "",
			"CPU cfs quota can not be less"},
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
	if err != nil || (len(warnings) == 1) != (v2 || kernel() >= 5016) {
		t.Errorf("kernel memory: %v %q", err, warnings)
	}
	r, warnings, err := Resources(&Limits{MemorySwappiness: "10",
		OomKillDisable: true, Memory: "64m"})
	if err != nil || v2 != (len(warnings) == 2) || v2 !=
		(r.Memory.Swappiness == nil) || v2 !=
		(r.Memory.DisableOOMKiller == nil) {
		t.Errorf("v2 %v: %v %q", v2, err, warnings)
	}
}
