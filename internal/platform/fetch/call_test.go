package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCall(t *testing.T) {
	t.Parallel()
	c, _, _ := serve(t, long, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodPost || r.FormValue("code") != "a&b" || r.Header.Get("Authorization") != "Basic x" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("%s %v %v", r.Method, r.Form, r.Header)
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
	})
	res, err := c.Call(t.Context(), "https://example.com/token", Request{Form: url.Values{"code": {"a&b"}}, Header: http.Header{"Authorization": {"Basic x"}}})
	if err != nil || res.Status != http.StatusBadRequest || string(res.Body) != `{"error":"invalid_grant"}` {
		t.Errorf("%d %s %v", res.Status, res.Body, err)
	}
}

// The guard is that of GetJSON, and a form goes nowhere but to where it was sent.
func TestCall_Guarded(t *testing.T) {
	t.Parallel()
	nw := &network{}
	c := New(Options{Timeout: long, dial: nw.dial})
	for _, u := range []string{"https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "http://example.com/", "https://u:p@example.com/", "file:///etc/passwd", ""} {
		began := time.Now()
		if _, err := c.Call(t.Context(), u, Request{Form: url.Values{}}); err == nil {
			t.Errorf("%s: no error", u)
		}
		if time.Since(began) > long/2 {
			t.Errorf("%s: waited", u)
		}
	}
	if nw.count() != 0 {
		t.Errorf("connections to %v", nw.dialed)
	}
	for name, h := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/elsewhere", http.StatusTemporaryRedirect)
		},
		"HTML":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<p>")) },
		"too large": sendJSON(`"` + strings.Repeat("x", MaxBody) + `"`),
		"not JSON":  sendJSON(`a=b`),
	} {
		c, nw, asked := serve(t, long, h)
		if _, err := c.Call(t.Context(), "https://example.com/", Request{Form: url.Values{"client_secret": {"hunter2"}}}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if nw.count() != 1 || asked.Load() != 1 {
			t.Errorf("%s: %d connections, %d requests", name, nw.count(), asked.Load())
		}
	}
	c, _, _ = serve(t, short, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if _, err := c.Call(t.Context(), "https://example.com/", Request{}); err == nil {
		t.Error("waits for ever")
	}
}

// What an error says may be logged: no query, no form.
func TestCall_ErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := New(Options{Timeout: long, dial: (&network{}).dial, Resolver: &names{seq: [][]string{{public}}}, Log: slog.New(slog.NewTextHandler(&out, nil)), TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	_, err := c.Call(t.Context(), "https://example.com/token?key=hunter2", Request{Form: url.Values{"client_secret": {"hunter2"}}, Header: http.Header{"Authorization": {"Bearer hunter2"}}})
	if err == nil || strings.Contains(err.Error()+out.String(), "hunter2") {
		t.Errorf("%v, %s", err, out.String())
	}
}

func TestCall_Bounded(t *testing.T) {
	t.Parallel()
	c, nw, _ := serve(t, long, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range maxCalls {
		wg.Go(func() { _, _ = c.Call(ctx, "https://example.com/", Request{}) })
	}
	for deadline := time.Now().Add(long); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		n := c.calls
		c.mu.Unlock()
		if n == maxCalls {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d under way", n)
		}
	}
	if _, err := c.Call(ctx, "https://example.com/", Request{}); err == nil {
		t.Error("one too many was made")
	}
	cancel()
	wg.Wait()
	if c.calls != 0 || nw.count() > maxCalls {
		t.Errorf("%d under way after all have ended, %d connections", c.calls, nw.count())
	}
}
