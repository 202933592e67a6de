package docs

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// A need is what a transcript asks of the machine. It returns what is missing
// and how to get it, or nothing.
var needs = map[string]func() string{
	"root": func() string {
		if os.Geteuid() != 0 {
			return "not root: run the check with sudo"
		}
		return ""
	},
	"userns":   sync.OnceValue(needUserns),
	"net":      sync.OnceValue(needNet),
	"cgroup1":  needCgroup1,
	"cgroup2":  needCgroup2,
	"overlay":  needOverlay,
	"rootfs":   needRootfs,
	"internet": sync.OnceValue(needInternet),

	"newuidmap": needNewuidmap,
}

// packages have other names than the programs in them.
var packages = map[string]string{"getfattr": "attr", "ip": "iproute2",
	"ipcmk": "util-linux", "ipcs": "util-linux",
	"lsns": "util-linux", "nft": "nftables", "nsenter": "util-linux",
	"pgrep": "procps", "ps": "procps", "pstree": "psmisc",
	"unshare": "util-linux"}

// missing says why the block cannot run here.
func (b *block) missing() string {
	all := b.needs
	if b.usesRootfs() {
		all = append([]string{"rootfs"}, all...)
	}
	if strings.Contains(b.text(), "bin/c/") && os.Getenv("BIN") == "" {
		all = append([]string{"gcc"}, all...)
	}
	for _, word := range all {
		need, known := needs[word]
		if known {
			if reason := need(); reason != "" {
				return reason
			}
		} else if _, err := exec.LookPath(word); err != nil {
			return word + " is not on the PATH: apt-get install " +
				cmp.Or(packages[word], word)
		}
	}
	return ""
}

func needUserns() string {
	cmd := exec.Command("unshare", "-Ur", "true")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.
			Credential{Uid: uint32(ordinaryUser), Gid: uint32(ordinaryUser)}}
	}
	if cmd.Run() != nil {
		return "ordinary users may not create user namespaces: " +
			"`make doctor` says how to allow it"
	}
	return ""
}

func needNet() string {
	if os.Geteuid() != 0 {
		return "not root: run the check with sudo"
	}
	err := onStage(true, func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "b0"}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return errors.New("no bridge: modprobe bridge")
		}
		if _, err := (&nftables.Conn{}).ListTables(); err != nil {
			return errors.New("no nf_tables: modprobe nf_tables")
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return ""
}

// needCgroup1 wants the controllers that the chapters use on version 1.
func needCgroup1() string {
	for _, c := range []string{"memory", "cpu", "pids"} {
		if writable("/sys/fs/cgroup/"+c+"/tasks") != nil {
			return "no cgroup v1 " + c + " controller that we may use: " +
				"try `make test-vm`"
		}
	}
	return ""
}

func needCgroup2() string {
	text, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	for _, c := range []string{"memory", "cpu", "pids"} {
		if err != nil || !strings.Contains(string(text), c) {
			return "no cgroup v2 " + c + " controller: try `make test-vm`"
		}
	}
	if writable("/sys/fs/cgroup/cgroup.procs") != nil {
		return "cgroup v2 is read-only: run the check with sudo"
	}
	return ""
}

func writable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		f.Close()
	}
	return err
}

func needOverlay() string {
	text, _ := os.ReadFile("/proc/filesystems")
	if !strings.Contains(string(text), "\toverlay\n") {
		return "no overlay file system: modprobe overlay"
	}
	return ""
}

func needRootfs() string {
	sh := filepath.Join(rootfsDir(), "bin", "sh")
	if _, err := os.Lstat(sh); err != nil {
		return "no root filesystem: make rootfs"
	}
	return ""
}

func needInternet() string {
	if exec.Command("getent", "hosts", "example.org").Run() != nil {
		return "no network to the outside: connect the machine"
	}
	return ""
}
