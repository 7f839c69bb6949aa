package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/errs"
)

const (
	short  = 300 * time.Millisecond // of requests that fail: that is how long they take
	long   = 10 * time.Second       // of requests that succeed: at most
	public = "93.184.216.34"        // any public address; the tests' network never leaves the machine
)

// names is a resolver whose answers change from one question to the next.
type names struct {
	mu    sync.Mutex
	asked int
	seq   [][]string // answers in order; the last one repeats
}

func (n *names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := min(n.asked, len(n.seq)-1)
	n.asked++
	var out []netip.Addr
	for _, s := range n.seq[i] {
		out = append(out, netip.MustParseAddr(s))
	}
	if out == nil {
		return nil, errors.New("no such host")
	}
	return out, nil
}

// network is a dialer that knows one server, at any address, and counts connections.
type network struct {
	to     string // host:port of the test server
	mu     sync.Mutex
	dialed []string
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialed = append(n.dialed, address)
	n.mu.Unlock()
	if n.to == "" {
		return nil, errors.New("connection refused")
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", n.to)
}

func (n *network) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.dialed)
}

// serve starts a TLS server for https://example.com and a client that reaches it there.
func serve(t *testing.T, timeout time.Duration, h http.HandlerFunc) (*Client, *network, *atomic.Int64) {
	t.Helper()
	asked := new(atomic.Int64)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	nw := &network{to: srv.Listener.Addr().String()}
	return New(Options{
		Timeout: timeout, NegativeTTL: time.Nanosecond, Resolver: &names{seq: [][]string{{public}}},
		TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, dial: nw.dial,
	}), nw, asked
}

func sendJSON(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

func TestGetJSON(t *testing.T) {
	t.Parallel()
	c, nw, _ := serve(t, long, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") == "gzip" || r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("headers: %v", r.Header)
		}
		sendJSON(`{"keys":[]}`)(w, r)
	})
	body, err := c.GetJSON(t.Context(), "https://example.com/jwks")
	if err != nil || string(body) != `{"keys":[]}` {
		t.Fatalf("%s, %v", body, err)
	}
	if nw.dialed[0] != public+":443" {
		t.Errorf("dialed %v", nw.dialed)
	}
}

// SS-01: no connection is even tried, and the error is always the same.
func TestGetJSON_RefusedAddresses(t *testing.T) {
	t.Parallel()
	resolved := map[string]string{
		"internal.test": "10.0.0.7", "localhost.": "127.0.0.1", "localhost": "::1", "meta.test": "169.254.169.254", "ula.test": "fd00::1",
		"mapped.test": "::ffff:127.0.0.1", "nat64.test": "64:ff9b::7f00:1", "cgnat.test": "100.64.0.1", "zero.test": "0.0.0.0",
	}
	urls := []string{
		"https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://0.0.0.0/", "https://169.254.169.254/latest/meta-data",
		"https://[fd00::1]/", "https://100.64.0.1/", "https://[64:ff9b::7f00:1]/", "https://[::ffff:7f00:1]/", "https://[fe80::1%25eth0]/",
		"https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://[::]/",
		"http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "https://u:p@example.com/", "https://example.com/#f",
		"https://", "https:///x", "https:example.com", "", "://", "https://example.com:99999/", "https://ex ample.com/", "https://example.com/" + strings.Repeat("a", 3000),
	}
	for name := range resolved {
		urls = append(urls, "https://"+name+"/jwks")
	}
	for _, u := range urls {
		t.Run(u[:min(len(u), 60)], func(t *testing.T) {
			t.Parallel()
			nw := &network{}
			c := New(Options{Timeout: short / 5, dial: nw.dial, Resolver: resolverFunc(func(host string) ([]netip.Addr, error) {
				a, ok := resolved[host]
				if !ok {
					return nil, errors.New("no such host")
				}
				return []netip.Addr{netip.MustParseAddr(a)}, nil
			})})
			refused(t, c, u)
			if nw.count() != 0 {
				t.Errorf("connection to %v", nw.dialed)
			}
		})
	}
}

type resolverFunc func(host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return f(host)
}

// refused wants the one error and the one delay that every failure has (SS-05).
func refused(t *testing.T, c *Client, u string) {
	t.Helper()
	began := time.Now()
	body, err := c.GetJSON(t.Context(), u)
	took := time.Since(began)
	if body != nil || !errs.Is(err, errs.Unavailable) || err.Error() != failure().Error() {
		t.Errorf("%q, %v", body, err)
	}
	if took < c.opt.Timeout-20*time.Millisecond {
		t.Errorf("answered after %s: the reason can be told from the time", took)
	}
}

// SS-02: the address that was checked is the one that is dialed.
func TestGetJSON_Rebinding(t *testing.T) {
	t.Parallel()
	t.Run("second answer internal", func(t *testing.T) {
		t.Parallel()
		c, nw, _ := serve(t, time.Second, sendJSON(`{}`))
		r := &names{seq: [][]string{{public}, {"127.0.0.1"}}}
		c.opt.Resolver = r
		if _, err := c.GetJSON(t.Context(), "https://example.com/"); err != nil {
			t.Fatal(err)
		}
		if r.asked != 1 || nw.dialed[0] != public+":443" {
			t.Errorf("asked %d times, dialed %v", r.asked, nw.dialed)
		}
		refused(t, c, "https://example.com/") // the next request is checked anew
		if nw.count() != 1 {
			t.Errorf("dialed %v", nw.dialed)
		}
	})
	t.Run("public and internal at once", func(t *testing.T) {
		t.Parallel()
		for _, mix := range [][]string{{public, "127.0.0.1"}, {"::1", public}, {public, "::ffff:10.0.0.1"}} {
			nw := &network{}
			refused(t, New(Options{Timeout: short, dial: nw.dial, Resolver: &names{seq: [][]string{mix}}}), "https://example.com/")
			if nw.count() != 0 {
				t.Errorf("%v: dialed %v", mix, nw.dialed)
			}
		}
	})
}

// SS-03, SS-04 and the rest of what an owner may answer.
func TestGetJSON_RefusedAnswers(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(bytes.Repeat([]byte("0"), 10<<20))
	_ = z.Close()
	for name, h := range map[string]http.HandlerFunc{
		"redirect inside": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1/", http.StatusFound)
		},
		"redirect loop": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) },
		"redirect file": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusSeeOther)
		},
		"created":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) },
		"not found": http.NotFound,
		"error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`{}`))
		},
		"no content type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = w.Write([]byte(`{}`))
		},
		"not JSON":      sendJSON(`{"keys":`),
		"empty":         sendJSON(``),
		"too large":     sendJSON(`"` + strings.Repeat("x", MaxBody) + `"`),
		"two documents": sendJSON(`{}{}`),
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		},
		"endless body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 4096)); err != nil {
					return
				}
			}
		},
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"endless headers": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 2000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 50))
			}
			sendJSON(`{}`)(w, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, nw, asked := serve(t, short, h)
			refused(t, c, "https://example.com/")
			if nw.count() > 1 || asked.Load() > 1 {
				t.Errorf("%d connections, %d requests", nw.count(), asked.Load())
			}
		})
	}
	t.Run("foreign certificate", func(t *testing.T) {
		t.Parallel()
		c, _, asked := serve(t, short, sendJSON(`{}`))
		refused(t, c, "https://other.test/")
		if asked.Load() != 0 {
			t.Error("request sent to a server that did not prove its name")
		}
	})
}

func TestGetJSON_IgnoresProxyVariables(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	c, nw, _ := serve(t, long, sendJSON(`{}`))
	if _, err := c.GetJSON(t.Context(), "https://example.com/"); err != nil || nw.dialed[0] != public+":443" {
		t.Errorf("%v, dialed %v", err, nw.dialed)
	}
}

func TestGetJSON_ManyShareOneRequest(t *testing.T) {
	t.Parallel()
	c, _, asked := serve(t, long, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		sendJSON(`{}`)(w, r)
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i == 0 { // one that gives up does not end it for the others
				time.AfterFunc(10*time.Millisecond, cancel)
			}
			if _, err := c.GetJSON(ctx, "https://example.com/"); err != nil && i != 0 {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestGetJSON_RemembersFailures(t *testing.T) {
	t.Parallel()
	nw := &network{}
	c := New(Options{Timeout: short, NegativeTTL: time.Hour, dial: nw.dial, Resolver: &names{seq: [][]string{{public}}}})
	for range 5 {
		if _, err := c.GetJSON(t.Context(), "https://example.com/"); err == nil || err.Error() != failure().Error() {
			t.Errorf("%v", err)
		}
	}
	if nw.count() != 1 {
		t.Errorf("%d connections", nw.count())
	}
	for i := range 2 * maxNegative {
		c.remember(fmt.Sprint(i))
	}
	if len(c.failed) > maxNegative {
		t.Errorf("%d remembered", len(c.failed))
	}
}

func TestGetJSON_BoundsWhatRuns(t *testing.T) {
	t.Parallel()
	c, nw, _ := serve(t, short, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	var wg sync.WaitGroup
	for i := range 4 * maxRunning {
		wg.Go(func() { _, _ = c.GetJSON(t.Context(), fmt.Sprintf("https://example.com/%d", i)) })
	}
	wg.Wait()
	if n := nw.count(); n > maxRunning {
		t.Errorf("%d connections at once", n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != 0 || len(c.inFlight) != 0 {
		t.Errorf("%d running, %d in flight after all have ended", c.running, len(c.inFlight))
	}
}

// Slow servers of strangers hold up strangers alone.
func TestGet_StrangersLeaveRoom(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	c, _, asked := serve(t, 30*time.Second, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slow") {
			<-gate
		}
		sendJSON(`{}`)(w, r)
	})
	var wg sync.WaitGroup
	for i := range 4 * maxRunning {
		wg.Go(func() { _, _ = c.GetJSON(Stranger(t.Context()), fmt.Sprintf("https://example.com/slow/%d", i)) })
	}
	for asked.Load() < maxRunning/strangersShare {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.GetJSON(t.Context(), "https://example.com/keys"); err != nil {
		t.Error("strangers take all the room")
	}
	if _, err := c.GetJSON(Stranger(t.Context()), "https://example.com/other"); err == nil {
		t.Error("strangers take more than their share")
	}
	close(gate)
	wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != 0 || len(c.inFlight) != 0 || c.strange.running != 0 || c.strange.waiting != 0 {
		t.Errorf("%d running, %d in flight, %+v after all have ended", c.running, len(c.inFlight), c.strange)
	}
}

// The operator's exceptions: named hosts inside, and everything in development.
func TestOptions_Exceptions(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(sendJSON(`{}`))
	t.Cleanup(srv.Close)
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	get := func(o Options, host string, timeout time.Duration) error {
		o.Timeout, o.Resolver = timeout, &names{seq: [][]string{{"127.0.0.1"}}}
		_, err := New(o).GetJSON(t.Context(), fmt.Sprintf("http://%s:%d/", host, port))
		return err
	}
	for name, c := range map[string]struct {
		o    Options
		host string
		ok   bool
	}{
		"nothing allowed":    {Options{AllowHTTP: true}, "keys.internal", false},
		"host allowed":       {Options{AllowHTTP: true, AllowHosts: []string{"keys.internal"}}, "keys.internal", true},
		"other host":         {Options{AllowHTTP: true, AllowHosts: []string{"keys.internal"}}, "other.internal", false},
		"name that ends so":  {Options{AllowHTTP: true, AllowHosts: []string{"keys.internal"}}, "evil-keys.internal", false},
		"still https only":   {Options{AllowHosts: []string{"keys.internal"}}, "keys.internal", false},
		"private allowed":    {Options{AllowHTTP: true, AllowPrivate: true}, "127.0.0.1", true},
		"private over https": {Options{AllowPrivate: true}, "127.0.0.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := short
			if c.ok {
				timeout = long
			}
			if err := get(c.o, c.host, timeout); (err == nil) != c.ok {
				t.Errorf("%v", err)
			}
		})
	}
}

// The log has the cause, which the caller does not get, and no query.
func TestGetJSON_LogsTheCause(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := New(Options{Timeout: short, Log: slog.New(slog.NewTextHandler(&out, nil)), Resolver: &names{seq: [][]string{{"10.0.0.1"}}}})
	if _, err := c.GetJSON(t.Context(), "https://example.com/jwks?token=hunter2"); err == nil {
		t.Fatal("no error")
	}
	if s := out.String(); !strings.Contains(s, "10.0.0.1") || strings.Contains(s, "hunter2") {
		t.Errorf("%s", s)
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://example.com/", "https://u@example.com/", "http://a", "https://[::1]/", "https:x"} {
		f.Add(s)
	}
	c := New(Options{})
	f.Fuzz(func(t *testing.T, s string) {
		u, err := c.checkURL(s)
		if err == nil && (u.Scheme != "https" || u.User != nil || u.Hostname() == "" || len(s) > maxURL) {
			t.Errorf("%q accepted", s)
		}
	})
}
