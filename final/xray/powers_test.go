package xray

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestSecurity: what /proc says inside, for two containers that differ.
func TestSecurity(t *testing.T) {
	s := newStage(t, 0)
	s.run("run", "-d", "--name", "aa", "--network", "none", "box", "sleep",
		"1000")
	s.run("run", "-d", "--name", "bb", "--network", "none", "--cap-drop", "ALL",
		"--cap-add", "NET_RAW", "--security-opt", "no-new-privileges",
		"--security-opt", "seccomp=unconfined", "box", "sleep", "1000")
	for _, name := range []string{"aa", "bb"} {
		got := s.report(name).Security
		for field, set := range map[string]Caps{"CapInh": got.Inheritable,
			"CapPrm": got.Permitted, "CapEff": got.Effective,
			"CapBnd": got.Bounding, "CapAmb": got.Ambient} {
			s.equal(field, fmt.Sprintf("%016x", uint64(set)),
				s.status(name, 1, field))
		}
		mode := map[string]string{"none": "0", "filter": "2"}[got.Seccomp]
		s.equal("seccomp", mode, s.status(name, 1, "Seccomp"))
		s.equal("filters", fmt.Sprint(got.Filters), s.status(name, 1,
			"Seccomp_filters"))
		s.equal("no_new_privs", fmt.Sprint(got.NoNewPrivs),
			map[string]string{"aa": "false", "bb": "true"}[name])
	}
	a, b := s.report("aa").Security, s.report("bb").Security
	s.equal("names", b.Effective.Names(), []string{"CAP_NET_RAW"})
	if len(a.Effective.Names()) < 10 || a.Seccomp == b.Seccomp {
		t.Errorf("two containers are alike: %+v, %+v", a, b)
	}
	// A process with other powers is seen to have them.
	s.run("exec", "-d", "--privileged", "bb", "sleep", "1006")
	p := s.process(s.report("bb"), "sleep 1006")
	s.equal("exec --privileged", fmt.Sprintf("%016x",
		uint64(p.Security.Effective)), s.status("bb", p.Inside[0], "CapEff"))
	if len(p.Security.Effective.Names()) < 30 {
		t.Errorf("exec --privileged has %v", p.Security.Effective.Names())
	}
}

// TestCgroups: the files as the container reads them; then we change one behind
// minidocker's back.
func TestCgroups(t *testing.T) {
	s := newStage(t, 0)
	s.run("run", "-d", "--name", "aa", "--network", "none", "-m", "64m",
		"--pids-limit", "33", "--cpus", "0.5", "box", "sleep", "1000")
	want := map[string]string{"memory.limit_in_bytes": "67108864",
		"memory.max": "67108864", "pids.max": "33",
		"cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000"}
	find := func(names ...string) (dir string, v Value) {
		for _, c := range s.report("aa").Cgroups {
			if c.Callers || c.Error != "" {
				t.Errorf("cgroup: %+v", c)
			}
			for _, f := range c.Files {
				if slices.Contains(names, f.Name) {
					return c.Dir, f
				}
			}
		}
		t.Fatalf("there is none of %v", names)
		return "", v
	}
	for _, names := range [][]string{{"memory.limit_in_bytes", "memory.max"},
		{"pids.max"}, {"cpu.cfs_quota_us", "cpu.max"}} {
		_, v := find(names...)
		s.equal(v.Name, v.Text, want[v.Name])
		there := s.inside("aa", "cat /sys/fs/cgroup/"+v.Name+
			" /sys/fs/cgroup/*/"+v.Name+" 2>/dev/null || true")
		s.equal(v.Name+" inside", v.Text, there)
	}
	dir, v := find("memory.limit_in_bytes", "memory.max")
	s.ok(os.WriteFile(dir+"/"+v.Name, []byte("33554432"), 0))
	_, v = find("memory.limit_in_bytes", "memory.max")
	s.equal("the kernel, not the record", v.Text, "33554432")
	_, v = find("pids.current")
	s.equal("use", v.Text, "1")
}

// TestNetwork: the cable from both ends, and the rules as nft(8) says them.
func TestNetwork(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft: apt install nftables")
	}
	s := newStage(t, 0)
	s.run("network", "create", "--subnet", "10.88.0.0/24", "net")
	s.run("run", "-d", "--name", "aa", "--network", "net", "--ip", "10.88.0.7",
		"--hostname", "inside", "-p", "127.0.0.1:8088:80", "-p",
		"8089:81/udp", "box", "sleep", "1000")
	s.run("run", "-d", "--name", "bb", "--network", "net", "box", "sleep",
		"1000")
	id := s.run("inspect", "-f", "{{.Id}}", "aa")
	r := s.report("aa")
	s.equal("host name", r.Network.Hostname, s.inside("aa", "hostname"))
	s.equal("number of interfaces", fmt.Sprint(len(r.Network.Interfaces)),
		s.inside("aa", "ls /sys/class/net | wc -l"))
	i := r.Network.Interfaces[1]
	file := func(name string) string {
		return s.inside("aa", "cat /sys/class/net/eth0/"+name)
	}
	s.equal("link", fmt.Sprintln(i.Name, i.Index, i.PeerIndex, i.MTU, i.MAC,
		i.State), fmt.Sprintln("eth0", file("ifindex"), file("iflink"),
		file("mtu"), file("address"), file("operstate")))
	s.equal("address", strings.Join(i.Addresses, " "), s.inside("aa",
		"ip -4 addr show eth0 | sed -n 's/.*inet \\([^ ]*\\).*/\\1/p'"))
	s.equal("peer", i.Peer, s.host("sh", "-c", fmt.Sprintf(
		"ip -o link | sed -n 's/^%d: \\([^@]*\\)@.*/\\1/p'", i.PeerIndex)))
	s.equal("bridge", i.Bridge, s.host("sh", "-c", "ip -o link show "+i.Peer+
		" | sed -n 's/.* master \\([^ ]*\\) .*/\\1/p'"))
	s.equal("its address", i.BridgeAddresses, []string{"10.88.0.1/24"})
	s.equal("routes", r.Network.Routes[0], "default via 10.88.0.1 dev eth0")

	table := "minidocker-" + i.Bridge
	s.equal("published", r.Network.Published, []Published{
		{table, "0.0.0.0:8089/udp", "10.88.0.7:81", id},
		{table, "127.0.0.1:8088/tcp", "10.88.0.7:80", id}})
	rules := s.host("nft", "list", "table", "ip", table)
	for _, p := range r.Network.Published {
		if !strings.Contains(rules, p.Tag) {
			t.Errorf("nft knows no tag %s", p.Tag)
		}
	}
	var got, want []string
	for _, rule := range r.Network.Rules {
		got = append(got, rule.Text)
	}
	line := regexp.MustCompile(`(?m)^\t\t.*(drop|accept|masquerade|dnat.*)$`)
	for _, text := range line.FindAllString(rules, -1) {
		want = append(want, strings.TrimSpace(text))
	}
	s.equal("rules", got, want)
	s.equal("none of its own", len(s.report("bb").Network.Published), 0)

	// A rule that somebody else wrote counts as well, and a cable that he
	// pulled out is out.
	s.host("nft", "add table ip mine; add chain ip mine c { type filter hook "+
		"forward priority 5; }; add rule ip mine c ip daddr 10.88.0.7 tcp "+
		"dport 99 counter drop comment \"why not\"; add rule ip mine c ip "+
		"saddr 10.88.0.0/28 accept; add rule ip mine c ip daddr 10.88.0.70 "+
		"drop; add rule ip mine c ip saddr 10.88.0.16/28 drop")
	s.host("ip", "link", "set", i.Peer, "nomaster")
	s.host("nft", "delete", "table", "ip", table)
	r = s.report("aa")
	s.equal("pulled out", r.Network.Interfaces[1].Peer+
		r.Network.Interfaces[1].Bridge, i.Peer)
	s.host("ip", "link", "set", i.Peer, "master", i.Bridge)
	r = s.report("aa")
	s.equal("rules of others", r.Network.Rules, []Rule{{"mine", "c",
		"filter forward 5", "ip daddr 10.88.0.7 meta l4proto tcp th dport 99 " +
			"counter packets 0 bytes 0 drop", "why not"}, {"mine", "c",
		"filter forward 5", "ip saddr 10.88.0.0/28 accept", ""}})
	s.equal("published no more", len(r.Network.Published), 0)
}

// TestRootless: a user's own container, by its owner.
func TestRootless(t *testing.T) {
	s := newStage(t, 12345)
	s.run("run", "-d", "--name", "aa", "--network", "none", "--hostname",
		"mine", "box", "sleep", "1000")
	r := s.report("aa")
	s.equal("host name", r.Network.Hostname, "mine")
	s.equal("links", len(r.Network.Interfaces), 1)
	s.inside("aa", "touch /new")
	info, err := os.Stat(r.Mounts.Overlay.Upper.Dir + "/new")
	s.ok(err)
	owner := info.Sys().(*syscall.Stat_t).Uid
	s.equal("whom root is here", r.Users.UID, []Map{{0, owner, 1}})
	s.equal("setgroups", r.Users.Setgroups, s.inside("aa",
		"cat /proc/1/setgroups"))
	s.equal("user namespace", r.Namespaces[6].Host, false)
	s.equal("map inside", s.inside("aa", "cat /proc/1/uid_map | "+
		"sed 's/^ *//; s/  */ /g'"), fmt.Sprint("0 ", owner, " 1"))
	for _, c := range r.Cgroups {
		if !c.Callers && strings.HasPrefix(c.Path, "/minidocker") {
			t.Errorf("a cgroup that nobody delegated: %+v", c)
		}
	}
}

// TestGone: no report, and the advice to start it; nothing is written.
func TestGone(t *testing.T) {
	s := newStage(t, 0)
	s.run("create", "--name", "aa", "--network", "none", "box", "sleep", "1000")
	for _, args := range [][]string{{"xray", "aa"}, {"xray", "--html",
		s.dir + "/page.html", "aa"}, {"xray", "--format", "json", "aa"}} {
		out, err := s.command(s.program, args...).CombinedOutput()
		if err == nil || string(out) != "minidocker: container aa is not "+
			"running: minidocker start aa\n" {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	s.run("start", "aa")
	s.ok(os.Mkdir(s.dir+"/page.html", 0o755))
	out, err := s.command(s.program, "xray", "--html", s.dir+"/page.html",
		"aa").CombinedOutput()
	if err == nil || strings.Count(string(out), "\n") != 1 {
		t.Errorf("a directory in its place: %v: %s", err, out)
	}
	left, _ := filepath.Glob(s.dir + "/.xray*")
	s.equal("left", left, []string(nil))
}
