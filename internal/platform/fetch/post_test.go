package fetch

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestPost: the status is the answer, whatever stands in it; a redirect is not followed (security
// case SS-01).
func TestPost(t *testing.T) {
	t.Parallel()
	for status, h := range map[int]http.HandlerFunc{
		200: func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || r.FormValue("logout_token") != "a.b&c" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Cookie") != "" {
				t.Errorf("%s %v %v", r.Method, r.Form, r.Header)
			}
		},
		204: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		307: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/elsewhere", http.StatusTemporaryRedirect)
		},
		400: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(strings.Repeat("x", 2*MaxBody))) // far more than anybody would read
		},
	} {
		c, nw, asked := serve(t, long, h)
		got, err := c.Post(t.Context(), "https://example.com/logout", url.Values{"logout_token": {"a.b&c"}})
		if err != nil || got != status || nw.count() != 1 || asked.Load() != 1 {
			t.Errorf("%d: %d %v, %d connections, %d requests", status, got, err, nw.count(), asked.Load())
		}
	}
}

func TestPost_Guarded(t *testing.T) {
	t.Parallel()
	nw := &network{}
	c := New(Options{Timeout: long, dial: nw.dial})
	for _, u := range []string{"https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "https://10.0.0.1/?key=hunter2", "http://example.com/", "https://u:hunter2@example.com/", ""} {
		_, err := c.Post(t.Context(), u, url.Values{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", u, err)
		}
	}
	if _, err := c.Post(t.Context(), "https://example.com/", nil); err == nil {
		t.Error("a post without a form")
	}
	if nw.count() != 0 {
		t.Errorf("connections to %v", nw.dialed)
	}
	slow, _, _ := serve(t, short, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	began := time.Now()
	if _, err := slow.Post(t.Context(), "https://example.com/", url.Values{}); err == nil || time.Since(began) > long {
		t.Error("waits for ever")
	}
}

// A document goes the same way as a form, with what the caller puts into the head.
func TestPostJSON(t *testing.T) {
	t.Parallel()
	c, nw, _ := serve(t, long, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(body) != `{"a":1}` || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer x" {
			t.Errorf("%s %s %v", r.Method, body, r.Header)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
	})
	status, err := c.PostJSON(t.Context(), "https://example.com/ciba", http.Header{"Authorization": {"Bearer x"}}, []byte(`{"a":1}`))
	if err != nil || status != http.StatusFound || nw.count() != 1 {
		t.Errorf("%d %v, %d connections", status, err, nw.count())
	}
	if _, err := c.PostJSON(t.Context(), "https://example.com/", nil, nil); err == nil {
		t.Error("a post without a document")
	}
	if _, err := c.PostJSON(t.Context(), "https://127.0.0.1/", nil, []byte(`{}`)); err == nil || nw.count() != 1 {
		t.Errorf("into our network: %v", err)
	}
}
