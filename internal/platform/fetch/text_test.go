package fetch

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

func sendText(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestGetText(t *testing.T) {
	t.Parallel()
	c, _, _ := serve(t, long, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Add-Padding") != "true" || r.Header.Get("Accept") != "text/plain" || r.Header.Get("Accept-Encoding") != "identity" || r.Method != http.MethodGet {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		sendText(200, "text/plain; charset=utf-8", "A:1\r\n")(w, r)
	})
	body, err := c.GetText(t.Context(), "https://example.com/range/ABCDE", http.Header{"Add-Padding": {"true"}})
	if err != nil || string(body) != "A:1\r\n" {
		t.Errorf("%q, %v", body, err)
	}
}

// Refused answers and addresses give a cause at once, without the address.
func TestGetText_Refuses(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"status": sendText(429, "text/plain", "later"),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.org/", http.StatusFound)
		},
		"type":      sendText(200, "text/html", "x"),
		"no type":   sendText(200, "", "x"),
		"too large": sendText(200, "text/plain", strings.Repeat("x", MaxBody+1)),
		"not text":  sendText(200, "text/plain", "\xff\xfe"),
		"packed": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			sendText(200, "text/plain", "x")(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, nw, _ := serve(t, long, h)
			body, err := c.GetText(t.Context(), "https://example.com/range/ABCDE", nil)
			if err == nil || body != nil || strings.Contains(err.Error(), "ABCDE") {
				t.Errorf("%q, %v", body, err)
			}
			if nw.count() != 1 {
				t.Errorf("%d connections", nw.count())
			}
		})
	}
	c, nw, _ := serve(t, long, sendText(200, "text/plain", "x"))
	for _, u := range []string{"http://example.com/range/ABCDE", "https://u:p@example.com/range/ABCDE", "https://127.0.0.1/range/ABCDE"} {
		if _, err := c.GetText(t.Context(), u, nil); err == nil || strings.Contains(err.Error(), "ABCDE") {
			t.Errorf("%s: %v", u, err)
		}
	}
	if nw.count() != 0 {
		t.Errorf("dialed %v", nw.dialed)
	}
}

// A server that does not answer takes no longer than the timeout, or than the caller waits.
func TestGetText_Time(t *testing.T) {
	t.Parallel()
	c, _, _ := serve(t, short, func(_ http.ResponseWriter, r *http.Request) {
		select { // a server that is being closed waits for its handlers
		case <-r.Context().Done():
		case <-time.After(2 * long):
		}
	})
	began := time.Now()
	if _, err := c.GetText(t.Context(), "https://example.com/", nil); err == nil || time.Since(began) > long {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.GetText(ctx, "https://example.com/", nil); err == nil {
		t.Error("no error after the caller left")
	}
}
