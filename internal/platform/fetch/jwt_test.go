package fetch

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/platform/errs"
)

// TestGet_JWT: request objects come as their own type or as text (RFC 9101 §5.2.3), and nothing else is
// looked at.
func TestGet_JWT(t *testing.T) {
	t.Parallel()
	c, _, _ := serve(t, 2*time.Second, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Accept"), "application/oauth-authz-req+jwt, application/jwt") {
			t.Errorf("Accept %q", r.Header.Get("Accept"))
		}
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		if r.URL.Path == "/raw" {
			_, _ = w.Write([]byte("\xff\xfe"))
			return
		}
		_, _ = w.Write([]byte("a.b.c"))
	})
	for _, kind := range []string{"application/oauth-authz-req%2Bjwt", "application/jwt", "text/plain%3Bcharset=utf-8"} {
		if doc, err := c.Get(t.Context(), "https://example.com/object?type="+kind, JWT); err != nil || string(doc.Body) != "a.b.c" {
			t.Errorf("%s: %q, %v", kind, doc.Body, err)
		}
	}
	var refused sync.WaitGroup
	for _, path := range []string{"object?type=text/html", "object?type=application/json", "object?type=", "raw?type=application/jwt"} {
		refused.Go(func() { // each takes the whole time of a request
			if doc, err := c.Get(t.Context(), "https://example.com/"+path, JWT); !errs.Is(err, errs.Unavailable) || doc.Body != nil {
				t.Errorf("%s: %v", path, err)
			}
		})
	}
	refused.Wait()
}
