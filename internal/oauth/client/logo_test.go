package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// RFC 7591 §5, security cases RG-03 and IJ-06: a logo is our copy, pixels only, made once.
func TestLogo(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		var logo bytes.Buffer
		must(t, png.Encode(&logo, image.NewGray(image.Rect(0, 0, 400, 200))))
		var asked atomic.Int64
		var down atomic.Bool
		owner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			switch {
			case down.Load():
				w.WriteHeader(http.StatusInternalServerError)
			case r.URL.Path == "/logo.png":
				w.Header().Set("Content-Type", "image/png")
				_, _ = w.Write(append(logo.Bytes(), "<script>"...))
			case r.URL.Path == "/logo.svg":
				w.Header().Set("Content-Type", "image/svg+xml")
				_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`))
			case r.URL.Path == "/lie.png":
				w.Header().Set("Content-Type", "image/png")
				_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`))
			case r.URL.Path == "/moved.png":
				http.Redirect(w, r, "/logo.png", http.StatusFound)
			}
		}))
		defer owner.Close()
		with := func(path string) *Client {
			return &Client{ID: "c", ManagedBy: ManagedByItself, Metadata: Metadata{LogoURI: owner.URL + path}}
		}
		first, err := s.Logo(t.Context(), with("/logo.png"))
		must(t, err)
		img, err := png.Decode(bytes.NewReader(first.PNG))
		if err != nil || img.Bounds().Dx() != logoSide || bytes.Contains(first.PNG, []byte("script")) || first.ETag == "" {
			t.Errorf("%v, %v", img, err)
		}
		other := open(t, s.d.DB, c, nil) // another instance has the copy
		for _, one := range []*Service{s, s, other} {
			if again, err := one.Logo(t.Context(), with("/logo.png")); err != nil || !bytes.Equal(again.PNG, first.PNG) {
				t.Errorf("again: %v", err)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		for _, path := range []string{"/logo.svg", "/lie.png", "/moved.png", "/none.png"} {
			if _, err := s.Logo(t.Context(), with(path)); !errs.Is(err, errs.NotFound) {
				t.Errorf("%s: %v", path, err)
			}
		}
		if _, err := s.Logo(t.Context(), &Client{}); !errs.Is(err, errs.NotFound) {
			t.Errorf("none: %v", err)
		}
		down.Store(true)
		c.Advance(logoFresh + time.Hour)
		if old, err := s.Logo(t.Context(), with("/logo.png")); err != nil || !bytes.Equal(old.PNG, first.PNG) {
			t.Errorf("while its owner is away: %v", err)
		}
		// What could not be used is not decoded again for everybody who asks.
		down.Store(false)
		_, _ = s.Logo(t.Context(), with("/lie.png"))
		before := asked.Load()
		if _, err := s.Logo(t.Context(), with("/lie.png")); !errs.Is(err, errs.NotFound) || asked.Load() != before {
			t.Errorf("%v, asked %d times more", err, asked.Load()-before)
		}
		c.Advance(documentLeast + time.Second)
		if _, err := s.Logo(t.Context(), with("/lie.png")); !errs.Is(err, errs.NotFound) || asked.Load() == before {
			t.Errorf("%v, never asked again", err)
		}
		// For a document that nobody consented to there is none: anybody could name it.
		before = asked.Load()
		unknown := with("/logo.png?v=2")
		unknown.ManagedBy = ManagedByDocument
		if _, err := s.Logo(t.Context(), unknown); !errs.Is(err, errs.NotFound) || asked.Load() != before {
			t.Errorf("a stranger's: %v", err)
		}
		unknown.stored = true
		if _, err := s.Logo(t.Context(), unknown); err != nil {
			t.Error(err)
		}
	})
}

// Whoever has many logos asked for at once makes a few requests, and holds up nobody.
func TestLogo_Flood(t *testing.T) {
	t.Parallel()
	s, _ := openSQLite(t)
	wait := make(chan struct{})
	var at atomic.Int64
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		at.Add(1)
		<-wait
	}))
	defer slow.Close()
	defer close(wait)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			c := &Client{ID: "c", ManagedBy: ManagedByItself, Metadata: Metadata{LogoURI: fmt.Sprintf("%s/%d.png", slow.URL, i%10)}}
			if _, err := s.Logo(t.Context(), c); !errs.Is(err, errs.NotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := at.Load(); n > maxMaking {
		t.Errorf("%d at once", n)
	}
}

// OIDC Registration §5 (oidcc-registration-sector-uri, -sector-bad): the document lists every redirect
// URI, or the client is none of that sector.
func TestCheckSector(t *testing.T) {
	t.Parallel()
	uris := []string{"https://a.test/cb", "https://b.test/cb"}
	var body atomic.Value
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body.Load().(string)))
	}))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	f := fetch.New(fetch.Options{AllowPrivate: true, Timeout: 2 * time.Second, NegativeTTL: time.Millisecond, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	s := open(t, storetest.Open(t, store.SQLite), clock.NewFake(start), f)
	m := Metadata{RedirectURIs: uris, Protocol: Protocol{SectorIdentifierURI: srv.URL + "/uris.json"}}
	list := func(v any) string {
		b, err := json.Marshal(v)
		must(t, err)
		return string(b)
	}
	for text, fine := range map[string]bool{
		list(append([]string{"https://c.test/"}, uris...)): true,
		list(uris[:1]):                    false,
		list([]string{}):                  false,
		`{"redirect_uris":[]}`:            false,
		`null`:                            false,
		`[1, 2]`:                          false,
		list([]string{"https://a.test/"}): false,
	} {
		body.Store(text)
		if err := s.CheckSector(t.Context(), m); (err == nil) != fine || err != nil && len(ProblemsOf(err)) == 0 {
			t.Errorf("%s: %v", text, err)
		}
	}
	m.SectorIdentifierURI = "https://127.0.0.1:1/"
	if err := s.CheckSector(t.Context(), m); len(ProblemsOf(err)) == 0 {
		t.Errorf("unreachable: %v", err)
	}
	if err := s.CheckSector(t.Context(), Metadata{RedirectURIs: uris}); err != nil {
		t.Errorf("none: %v", err)
	}
}
