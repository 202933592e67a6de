//go:build lab

package main_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A new network namespace is a router if the machine is one. The stage must
// not be, or the tests would find it changed.
func init() {
	isHelper := len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "helper:")
	if os.Getenv("WORKSHOP_STAGE") != "" && !isHelper {
		os.WriteFile(ipv4+"ip_forward", []byte("0"), 0)
	}
}

// --publish-local HOST:INSIDE[/udp] is for the host's 127.0.0.1 alone: nobody
// outside, and no other container, gets through.
func TestPublishLocal(t *testing.T) {
	onBridge(t, func(t *testing.T, p program) {
		w, tcp, udp := newWorld(t), newPort(), newPort()
		r := server(t, p, "web", "--publish-local", tcp+":80",
			"--publish-local", udp+":80/udp")
		p = p.helped(t)
		for network, port := range map[string]string{"tcp": tcp, "udp": udp} {
			equal(t, network+" from 127.0.0.1", ask(network,
				"127.0.0.1:"+port), "web 172.29.0.1")
		}
		const no = "ECONNREFUSED"
		equal(t, "by the host's address", ask("tcp", w.host+":"+tcp), no)
		equal(t, "from outside", w.ask(t, "tcp", w.host+":"+tcp), no)
		inside := byHelper("call", "tcp", "172.29.0.1:"+tcp)
		equal(t, "from another container", p.must(t, run(inside)...), no)
		// It holds the port, but only there.
		p.refuses(t, 125, words("EADDRINUSE"), "run", "--publish-local",
			tcp+":81", "true")
		p.refuses(t, 125, words("publish"), "run", "--publish-local", "80",
			"true")
		r.signal(unix.SIGTERM)
		r.wait(t)
		equal(t, "afterwards", ask("tcp", "127.0.0.1:"+tcp), no)
		clean(t)
	})
}
