// Package fetch is the one outbound HTTP client of the house. It reads a JSON document from an
// address that somebody else chose (a client's jwks_uri, say, or the token endpoint of an upstream
// provider) without letting that somebody reach into the network we run in: https only, the address really dialed is checked, no
// redirects, no proxies, little time, little data, and one error for every failure.
// It does not interpret or cache what it read; callers do.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"signet/internal/platform/errs"
)

// Limits (security bar SS-04).
const (
	DefaultTimeout     = 5 * time.Second
	DefaultNegativeTTL = 10 * time.Second
	MaxBody            = 256 << 10
	maxHeader          = 16 << 10
	maxURL             = 2048
	maxRunning         = 16  // requests on the network at once
	maxWaiting         = 256 // those, and failures whose time is not up yet
	strangersShare     = 2   // of both, strangers get one part in so many
	maxNegative        = 1000
)

// Resolver finds the addresses of a name. net.DefaultResolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options of a Client. The zero value is the safe one.
type Options struct {
	// AllowHosts are host names or addresses (no port) that may be dialed whatever they resolve
	// to: for an operator whose relying parties publish their keys inside the network.
	AllowHosts []string
	// AllowPrivate dials any address and AllowHTTP admits plain http. Development and tests only.
	AllowPrivate, AllowHTTP bool

	Timeout     time.Duration // whole request, DefaultTimeout if zero
	NegativeTTL time.Duration // how long a failure is remembered, DefaultNegativeTTL if zero
	Resolver    Resolver      // the system's if nil
	TLS         *tls.Config   // additional roots; the system's if nil
	Log         *slog.Logger  // where the cause of a failure goes; discarded if nil
	dial        dialFunc      // the network, replaced by tests that count connections
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Client fetches documents. It is safe for concurrent use.
type Client struct {
	opt  Options
	http *http.Client

	mu       sync.Mutex
	running  int                            // of GetJSON
	strange  struct{ running, waiting int } // those of them for strangers
	calls    int                            // of Call
	inFlight map[string]*call
	failed   map[string]time.Time
}

// call is one request under way and everyone who waits for it.
type call struct {
	done     chan struct{}
	stranger bool
	doc      Document
	err      error
}

type strangerKey struct{}

// Stranger marks what is read in ctx as asked for by somebody whom nobody here let in. Such requests
// never take all the room that there is: whoever makes them wait for slow servers makes other strangers
// wait, not the applications of an operator.
func Stranger(ctx context.Context) context.Context {
	return context.WithValue(ctx, strangerKey{}, true)
}

// IsStranger reports whether ctx is of Stranger.
func IsStranger(ctx context.Context) bool { return ctx.Value(strangerKey{}) != nil }

// errFetch is the only error a caller sees. Which of port open, port closed, refused address,
// bad certificate or wrong document it was would map the network for whoever chose the address.
var errFetch = errors.New("the document could not be fetched")

// New returns a Client.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.NegativeTTL == 0 {
		o.NegativeTTL = DefaultNegativeTTL
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.dial == nil {
		o.dial = (&net.Dialer{}).DialContext
	}
	c := &Client{opt: o, inFlight: map[string]*call{}, failed: map[string]time.Time{}}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // the environment does not decide where we connect
			DialContext:            c.dial,
			TLSClientConfig:        o.TLS.Clone(),
			DisableCompression:     true, // no decompression bombs
			DisableKeepAlives:      true, // every request is dialed and therefore checked
			MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// GetJSON returns the JSON document at address. Every failure is the same errs.Unavailable, and
// comes only when the time for the request is up, so that neither text nor time tell what is
// at the address; the cause is logged. Callers at the same time share one request, and a
// failure is remembered for NegativeTTL.
func (c *Client) GetJSON(ctx context.Context, address string) ([]byte, error) {
	doc, err := c.Get(ctx, address, JSON)
	return doc.Body, err
}

// Get is GetJSON for a document of any kind.
func (c *Client) Get(ctx context.Context, address string, want Kind) (Document, error) {
	cl, err := c.join(address, want, IsStranger(ctx))
	if err != nil {
		return Document{}, err
	}
	select {
	case <-cl.done:
		return cl.doc, cl.err
	case <-ctx.Done():
		return Document{}, failure()
	}
}

func failure() error { return errs.New(errs.Unavailable, "", errFetch) }

// join returns the request under way for a document, or starts it.
func (c *Client) join(address string, want Kind, stranger bool) (*call, error) {
	key := want.name + " " + address
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl, ok := c.inFlight[key]; ok {
		return cl, nil
	}
	// A duration, so monotonic time, which the house clock does not give.
	if until, ok := c.failed[key]; ok && time.Now().Before(until) {
		return nil, failure()
	}
	delete(c.failed, key)
	if c.running >= maxRunning || len(c.inFlight) >= maxWaiting ||
		stranger && (c.strange.running >= maxRunning/strangersShare || c.strange.waiting >= maxWaiting/strangersShare) {
		return nil, failure()
	}
	c.running++
	if stranger {
		c.strange.running++
		c.strange.waiting++
	}
	cl := &call{done: make(chan struct{}), stranger: stranger}
	c.inFlight[key] = cl
	go c.run(key, address, want, cl)
	return cl, nil
}

// run is detached from the callers: one that gives up does not end it for the others.
func (c *Client) run(key, address string, want Kind, cl *call) {
	deadline := time.NewTimer(c.opt.Timeout)
	defer deadline.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), c.opt.Timeout)
	defer cancel()
	doc, err := c.get(ctx, address, want)
	c.mu.Lock()
	c.running--
	if cl.stranger {
		c.strange.running--
	}
	c.mu.Unlock()
	if err != nil {
		c.opt.Log.WarnContext(ctx, "outbound request failed", "url", redact(address), "error", err.Error())
		<-deadline.C
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.inFlight, key)
	if cl.stranger {
		c.strange.waiting--
	}
	if err != nil {
		cl.err = failure()
		c.remember(key)
	} else {
		cl.doc = doc
	}
	close(cl.done)
}

// remember notes a failure. The table is bounded: when it is full, any entry makes room.
func (c *Client) remember(key string) {
	for k := range c.failed {
		if len(c.failed) < maxNegative {
			break
		}
		delete(c.failed, k)
	}
	c.failed[key] = time.Now().Add(c.opt.NegativeTTL) // monotonic, see join
}

func (c *Client) get(ctx context.Context, address string, want Kind) (Document, error) {
	req, err := c.request(ctx, address, Request{})
	if err != nil {
		return Document{}, err
	}
	req.Header.Set("Accept", want.accept)
	res, err := c.send(req, want)
	if err != nil {
		return Document{}, err
	}
	if res.Status != http.StatusOK {
		return Document{}, fmt.Errorf("status %d", res.Status)
	}
	return Document{Body: res.Body, Life: lifeOf(res.header)}, nil
}

// checkURL refuses what must not even be resolved.
func (c *Client) checkURL(address string) (*url.URL, error) {
	if len(address) > maxURL {
		return nil, errors.New("URL too long")
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "https" && !(u.Scheme == "http" && c.opt.AllowHTTP):
		return nil, errors.New("not an https URL")
	case u.User != nil || u.Fragment != "" || u.Opaque != "":
		return nil, errors.New("URL has userinfo or a fragment")
	case u.Hostname() == "":
		return nil, errors.New("URL has no host")
	}
	return u, nil
}

// dial resolves, checks and connects to the very address that it checked: a name that answers
// differently the second time (DNS rebinding) is never asked a second time.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := c.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	free := c.opt.AllowPrivate || slices.ContainsFunc(c.opt.AllowHosts, func(h string) bool { return strings.EqualFold(h, host) })
	if !free {
		// One bad address condemns the name: a mix of public and internal addresses is an attack.
		for _, a := range addrs {
			if !Global(a) {
				return nil, fmt.Errorf("%s resolves to %s, which is not a public address", host, a)
			}
		}
	}
	for _, a := range addrs {
		var conn net.Conn
		if conn, err = c.opt.dial(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (c *Client) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	addrs, err := c.opt.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	out := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		out[i] = a.Unmap() // the resolver writes IPv4 as an IPv6 address
	}
	return out, nil
}
