package rules

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// nft(8) writes the rules, in a network namespace of the test's own, and says
// them; then we do.
const table = `table ip t {
	set s {
		type ipv4_addr; elements = { 10.0.0.1 };
	}
	map m {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
	}
	chain other { return; }
	chain c {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "eth0" accept
		iifname "veth*" accept
		oifname != "eth1" drop
		ip saddr 10.1.0.0/16 ip daddr 10.2.3.4 jump other
		ip saddr @s goto other
		ip protocol icmp drop
		meta l4proto udp th dport 53 accept
		meta l4proto sctp th sport != 99 drop
		ct state established,related accept
		ct status dnat accept
		fib daddr type local dnat ip to ip daddr . meta l4proto . \
			th dport map @m
		fib daddr type local dnat ip to ip daddr & 0.0.0.0 . meta l4proto . \
			th dport map @m
		th dport > 1024 counter packets 0 bytes 0
	}
	chain d {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 127.0.0.0/8 oifname "br" masquerade
	}
}`

// fold does what nft does for the eye.
var fold = regexp.MustCompile(`meta l4proto ([a-z]+) th `)

func TestText(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft: apt install nftables")
	} else if os.Geteuid() != 0 {
		t.Skip("needs root: sudo make test-final FINAL=final/network/rules")
	}
	runtime.LockOSThread() // the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	write := exec.Command("nft", "-f", "-")
	write.Stdin = strings.NewReader(table)
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	list, err := exec.Command("nft", "list", "ruleset").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(list), "chain ") // after the sets
	var want, got []string
	line := regexp.MustCompile(`(?m)^\t\t([^t].*|th .*)$`)
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		want = append(want, m[1])
	}
	c := &nft.Conn{}
	chains, err := c.ListChains()
	if err != nil {
		t.Fatal(err)
	}
	for _, ch := range chains {
		rules, err := c.GetRules(ch.Table, ch)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			got = append(got, fold.ReplaceAllString(Text(r.Exprs), "$1 "))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 15 {
		t.Errorf("%d rules: -nft +ours\n%s", len(want), diff)
	}
}

// TestUnknown: what we have no words for, and what makes no sense.
func TestUnknown(t *testing.T) {
	for want, rule := range map[string][]expr.Any{
		"":         nil,
		"[Reject]": {&expr.Reject{}},
		"meta [3] 0x01020304": {&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
			&expr.Cmp{Register: 1, Data: []byte{1, 2, 3, 4}}},
		"@nh,8,16 0x0001": {&expr.Payload{DestRegister: 1, Offset: 1, Len: 2,
			Base: expr.PayloadBaseNetworkHeader}, &expr.Cmp{Register: 1,
			Data: []byte{0, 1}}},
		" 0x":                {&expr.Cmp{Register: 77}},
		" @":                 {&expr.Lookup{}},
		"dnat ip to ":        {&expr.NAT{Type: 7}},
		"verdict [-7] there": {&expr.Verdict{Kind: -7, Chain: "there"}},
	} {
		if got := Text(rule); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
}
