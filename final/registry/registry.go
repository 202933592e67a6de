// Package registry brings images from a registry into the store, and from there
// to a registry. The protocol is the library's: GET and PUT of manifests and
// blobs, and the tokens that some registries want for it.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"container-workshop/final/reference"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Options are what Pull and Push have in common.
type Options struct {
	Platform string    // os/arch[/variant]; linux and this machine's
	Insecure bool      // plain http and any certificate will do
	Progress *Progress // what is shown meanwhile
}

// at is how many layers are on their way at the same time, as in Docker.
const at = 3

// stalled is how long a registry may be silent in the middle of a layer.
var stalled = time.Minute

// most is what a registry may answer, except for layers.
const most = 4 << 20

// target is the registry and the repository of a full name: reference.Parse's.
func target(full string, o Options) (name.Reference, error) {
	var options []name.Option
	host, _, _ := strings.Cut(full, "/")
	if o.Insecure || loopback(host) {
		options = append(options, name.Insecure)
	}
	return name.ParseReference(full, options...)
}

// loopback says whether nobody else can listen to what we send there.
func loopback(host string) bool {
	if bare, _, err := net.SplitHostPort(host); err == nil {
		host = bare
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// options are the library's. Who we are stands in Docker's config.json.
func options(ctx context.Context, o Options) ([]remote.Option, error) {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = stalled
	if o.Insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	list := []remote.Option{remote.WithContext(ctx),
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithTransport(&guard{t, o.Insecure}), remote.WithJobs(at),
		remote.WithUserAgent("minidocker")}
	if o.Platform == "" {
		return list, nil
	}
	p, err := v1.ParsePlatform(o.Platform)
	if err != nil {
		return nil, fmt.Errorf("platform %q: %w", o.Platform, err)
	}
	return append(list, remote.WithPlatform(*p)), nil
}

// A guard stands before the network. The library speaks plain http also to
// hosts in private networks, and follows any registry to where that sends it,
// with its password; and what it gets it takes into memory.
type guard struct {
	http.RoundTripper
	insecure bool
}

// layer marks the requests whose answer may be large.
type layer struct{}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !g.insecure && !loopback(r.URL.Host) {
		return nil, fmt.Errorf("%s is not to be asked in plain http: use "+
			"--tls-verify=false if you want that", r.URL.Host)
	}
	answer, err := g.RoundTripper.RoundTrip(r)
	if err == nil && r.Context().Value(layer{}) == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, most), answer.Body}
	}
	return answer, err
}

// watch ends a request whose answer has stopped coming, and counts.
type watch struct {
	io.ReadCloser
	timer *time.Timer
	count func(n int)
}

func watched(r io.ReadCloser, cancel func(error), count func(int)) *watch {
	return &watch{r, time.AfterFunc(stalled, func() {
		cancel(fmt.Errorf("the registry has sent nothing for %v", stalled))
	}), count}
}

func (w *watch) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.timer.Reset(stalled)
	w.count(n)
	return n, err
}

func (w *watch) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}

// failed makes one line of an error, with the words that Docker has for the
// ones that people meet.
func failed(what, full string, err error) error {
	if err == nil {
		return nil
	}
	var answer *transport.Error
	ref := reference.Short(full)
	why := strings.Join(strings.Fields(err.Error()), " ")
	if errors.As(err, &answer) {
		switch answer.StatusCode {
		case http.StatusNotFound:
			why = "not found: " + why
		case http.StatusUnauthorized, http.StatusForbidden:
			why = "access denied: the repository may not exist, or you need " +
				"to log in (~/.docker/config.json): " + why
		case http.StatusTooManyRequests:
			why = "too many requests: wait, or log in: " + why
		}
	}
	if len(why) > 500 {
		why = why[:500] + "..."
	}
	return fmt.Errorf("%s %s: %s", what, ref, why)
}
