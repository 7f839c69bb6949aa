package client

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// publisher is the web server of somebody whose client is a document.
type publisher struct {
	*httptest.Server
	asked atomic.Int64
	mu    sync.Mutex
	text  string // "" is 500
	cache string
}

const documentPath = "/client.json"

func publish(t testing.TB, change map[string]any) *publisher {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.text == "" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", p.cache)
		_, _ = w.Write([]byte(p.text))
	}))
	t.Cleanup(p.Close)
	p.say(t, change)
	return p
}

func (p *publisher) id() id.Client { return id.Client(p.URL + documentPath) }

// say publishes the document with changes; nil takes it down.
func (p *publisher) say(t testing.TB, change map[string]any) {
	t.Helper()
	doc := map[string]any{
		"client_id": p.URL + documentPath, "client_name": "Agent", "redirect_uris": []string{"https://agent.test/cb"}, "token_endpoint_auth_method": "none",
	}
	for k, v := range change {
		doc[k] = v
	}
	text, err := json.Marshal(doc)
	must(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = string(text)
}

func (p *publisher) fall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = ""
}

func (p *publisher) keep(header string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache = header
}

// draft-ietf-oauth-client-id-metadata-document §3: which URLs can be a client_id.
func TestDocumentID(t *testing.T) {
	t.Parallel()
	for cid, want := range map[string]bool{
		"https://agent.example/client.json": true, "https://agent.example:8443/a/b?v=1": true,
		"https://agent.example": false, "https://agent.example/": false, "https://agent.example/a#f": false, "https://agent.example/a/../b": false,
		"https://agent.example/./b": false, "https://agent.example/%2e%2e/b": false, "https://u:p@agent.example/c": false, "HTTPS://agent.example/c": false,
		"https://Agent.example/c": false, "http://agent.example/c": false, "ftp://agent.example/c": false, "agent": false, "": false,
		"https://agent.example/" + strings.Repeat("a", 256): false, "https://0x7f000001/c": false, "https:///c": false, "https://agent.example/\tc": false,
	} {
		if got := documentID(id.Client(cid)); got != want {
			t.Errorf("%q: %v", cid, got)
		}
	}
}

func FuzzDocumentID(f *testing.F) {
	f.Add("https://agent.example/client.json")
	f.Add("https://u@h/..%2f")
	f.Fuzz(func(t *testing.T, cid string) {
		if documentID(id.Client(cid)) && validID(id.Client(cid)) {
			t.Fatalf("%q is both a name and an address", cid)
		}
	})
}

// §4.1: a document that does not describe this client, or describes what nobody may have, is none.
func TestDocument_Rules(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		fine := publish(t, nil)
		c, err := s.Get(t.Context(), fine.id())
		must(t, err)
		if c.Name != "Agent" || c.Kind != SPA || c.ManagedBy != ManagedByDocument || c.DocumentHost() != strings.TrimPrefix(fine.URL, "http://") || !c.AllowsRedirect("https://agent.test/cb") {
			t.Errorf("%+v", c)
		}
		for name, change := range map[string]map[string]any{
			"another client_id": {"client_id": "https://other.test/client.json"},
			"no client_id":      {"client_id": nil},
			"a secret":          {"client_secret": "s3cr3t"},
			"its expiry":        {"client_secret_expires_at": 0},
			"secret method":     {"token_endpoint_auth_method": "client_secret_basic"},
			"no redirect":       {"redirect_uris": []string{}},
			"script":            {"redirect_uris": []string{"javascript:alert(1)"}},
			"machine":           {"grant_types": []string{"client_credentials"}, "redirect_uris": nil},
			"symmetric key":     {"jwks": map[string]any{"keys": []any{map[string]string{"kty": "oct", "k": "AAAA"}}}},
			"large":             {"software_version": strings.Repeat("a", maxDocument)},
			"sector":            {"subject_type": "pairwise", "sector_identifier_uri": "https://127.0.0.1:1/s.json"},
		} {
			if _, err := s.Get(t.Context(), publish(t, change).id()); !errs.Is(err, errs.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if list, err := s.List(t.Context(), ListOptions{}); err != nil || len(list) != 0 {
			t.Errorf("%d rows from strangers, %v", len(list), err)
		}
	})
}

func TestDocument_OffIsOff(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		p := publish(t, nil)
		if _, err := s.Get(t.Context(), p.id()); !errs.Is(err, errs.NotFound) || p.asked.Load() != 0 {
			t.Errorf("%v, asked %d times", err, p.asked.Load())
		}
	})
}

// Switching documents off shuts out those, too, that people had consented to.
func TestDocument_OffEndsAdopted(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		p := publish(t, nil)
		get(t, s, p.id())
		must(t, s.Adopt(t.Context(), p.id()))
		off := instance(t, s.d.DB, c, nil)
		if _, err := off.Get(t.Context(), p.id()); !errs.Is(err, errs.NotFound) {
			t.Errorf("%v", err)
		}
		if got, err := off.Recorded(t.Context(), p.id()); err != nil || got.Name != "Agent" { // lists of what was
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// A document that became wrong ends at once, also where a copy of the old one was stored.
func TestDocument_WrongEndsStored(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		p := publish(t, nil)
		get(t, s, p.id())
		must(t, s.Adopt(t.Context(), p.id()))
		p.say(t, map[string]any{"client_id": "https://other.test/c"})
		c.Advance(documentUnset + time.Second)
		_, _ = s.Get(t.Context(), p.id()) // asks its owner behind the answer
		later(t, "the end", func() bool {
			c.Advance(documentRetry)
			_, err := s.Get(t.Context(), p.id())
			return errs.Is(err, errs.NotFound)
		})
		for range 3 {
			c.Advance(documentRetry)
			if _, err := s.Get(t.Context(), p.id()); !errs.Is(err, errs.NotFound) {
				t.Fatalf("it is back: %v", err)
			}
		}
		if _, err := open(t, s.d.DB, c, nil).Get(t.Context(), p.id()); !errs.Is(err, errs.NotFound) {
			t.Errorf("on another instance: %v", err)
		}
	})
}

// Whoever names an address of somebody else again and again makes us ask there once in a while.
func TestDocument_WrongIsNotAskedAtOnce(t *testing.T) {
	t.Parallel()
	s, c := openSQLite(t)
	p := publish(t, map[string]any{"client_id": "https://other.test/c"})
	for range 10 {
		if _, err := s.Get(t.Context(), p.id()); !errs.Is(err, errs.NotFound) {
			t.Fatal(err)
		}
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	p.say(t, nil)
	c.Advance(documentWrong + time.Second)
	get(t, s, p.id())
}

// What strangers name is in memory once, among few: not with the clients as well.
func TestDocument_StrangersAreNotCached(t *testing.T) {
	t.Parallel()
	s, _ := openSQLite(t)
	p := publish(t, nil)
	get(t, s, p.id())
	if s.cache.client(p.id()) != nil {
		t.Error("cached among the clients")
	}
	must(t, s.Adopt(t.Context(), p.id()))
	get(t, s, p.id())
	if s.cache.client(p.id()) == nil {
		t.Error("one that people use is not cached")
	}
}

// §4.2: a document is kept as its owner says, within bounds; one that cannot be read or is wrong is
// not remembered.
func TestDocument_Cached(t *testing.T) {
	t.Parallel()
	for header, life := range map[string]time.Duration{
		"max-age=1": documentLeast, "no-store": documentUnset, "": documentUnset, "max-age=7200": 2 * time.Hour, "max-age=9999999": documentMost,
	} {
		s, c := openSQLite(t)
		p := publish(t, nil)
		p.keep(header)
		for range 3 {
			get(t, s, p.id())
		}
		c.Advance(life - time.Second)
		get(t, s, p.id())
		if n := p.asked.Load(); n != 1 {
			t.Errorf("%q: asked %d times", header, n)
		}
		p.say(t, map[string]any{"client_name": "Renamed"})
		c.Advance(2 * time.Second)
		later(t, header, func() bool {
			c.Advance(documentRetry) // what is stale is asked again after that
			return get(t, s, p.id()).Name == "Renamed"
		})
	}
	s, c := openSQLite(t)
	p := publish(t, nil)
	p.fall()
	if _, err := s.Get(t.Context(), p.id()); !errs.Is(err, errs.NotFound) {
		t.Fatal(err)
	}
	p.say(t, nil)
	later(t, "after a failure", func() bool { _, err := s.Get(t.Context(), p.id()); return err == nil })
	p.say(t, map[string]any{"client_id": "https://other.test/c"})
	c.Advance(documentUnset + time.Second)
	later(t, "a document that became wrong", func() bool {
		c.Advance(documentRetry)
		_, err := s.Get(t.Context(), p.id())
		return errs.Is(err, errs.NotFound)
	})
}

func openSQLite(t *testing.T) (*Service, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(start)
	return open(t, storetest.Open(t, store.SQLite), c, nil), c
}

// later waits for what happens in the background.
func later(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

// Nor does it end when only its sector cannot be asked for a while.
func TestDocument_SectorAway(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	var srv *httptest.Server
	srv = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		text := `["https://agent.test/cb"]`
		switch {
		case r.URL.Path == documentPath:
			text = `{"client_id":"` + srv.URL + documentPath + `","redirect_uris":["https://agent.test/cb"],"subject_type":"pairwise","sector_identifier_uri":"` + srv.URL + `/uris.json"}`
		case away.Load():
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write([]byte(text))
	}))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	f := fetch.New(fetch.Options{AllowPrivate: true, Timeout: time.Second, NegativeTTL: time.Millisecond, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	c := clock.NewFake(start)
	s := open(t, storetest.Open(t, store.SQLite), c, f)
	cid := id.Client(srv.URL + documentPath)
	get(t, s, cid)
	must(t, s.Adopt(t.Context(), cid))
	away.Store(true)
	c.Advance(documentUnset + time.Second)
	row, err := s.load(t.Context(), cid)
	must(t, err)
	if _, err := s.readDocument(t.Context(), cid, row); err == nil {
		t.Error("read without its sector")
	}
	for _, one := range []*Service{s, open(t, s.d.DB, c, f)} {
		get(t, one, cid)
	}
}

// A client that people use outlives its owner's bad day, and not more than that.
func TestDocument_OwnerAway(t *testing.T) {
	t.Parallel()
	s, c := openSQLite(t)
	p := publish(t, nil)
	get(t, s, p.id())
	p.fall()
	c.Advance(documentUnset + 23*time.Hour)
	get(t, s, p.id())
	c.Advance(documentMost + documentStale)
	if _, err := s.Get(t.Context(), p.id()); !errs.Is(err, errs.NotFound) {
		t.Errorf("after two days: %v", err)
	}
}

// The first consent gives a document its row; from then on it can be disabled here, and another
// instance knows it without asking its owner.
func TestAdopt(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		p := publish(t, nil)
		must(t, s.Adopt(ctx, "shop")) // no document: nothing to do
		must(t, s.Adopt(ctx, p.id())) // not met yet: nothing to adopt
		get(t, s, p.id())
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := s.Adopt(ctx, p.id()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		list, err := s.List(ctx, ListOptions{})
		must(t, err)
		if len(list) != 1 || list[0].ManagedBy != ManagedByDocument || audited(t, s, "client.adopt") != 1 {
			t.Fatalf("%+v", list)
		}
		asked := p.asked.Load()
		other := open(t, s.d.DB, c, nil)
		if got := get(t, other, p.id()); got.Name != "Agent" || p.asked.Load() != asked {
			t.Errorf("%+v, asked %d times more", got, p.asked.Load()-asked)
		}
		// Lists of what was ask nobody.
		if got, err := s.Recorded(ctx, p.id()); err != nil || got.Name != "Agent" {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := s.Recorded(ctx, "https://stranger.test/client.json"); !errs.Is(err, errs.NotFound) || p.asked.Load() != asked {
			t.Errorf("recorded: %v", err)
		}
		// The row follows the document, its kind included.
		p.say(t, map[string]any{"client_name": "Renamed", "redirect_uris": []string{"http://127.0.0.1/cb"}})
		c.Advance(documentUnset + time.Second)
		later(t, "the row", func() bool {
			c.Advance(documentRetry)
			get(t, s, p.id())
			list, err := s.List(ctx, ListOptions{})
			must(t, err)
			return list[0].Name == "Renamed" && list[0].Kind == Native
		})
		if _, err := s.Update(ctx, p.id(), func(*Draft) error { return nil }); !errs.Is(err, errs.Forbidden) {
			t.Errorf("edited here: %v", err)
		}
		must(t, s.Disable(ctx, p.id()))
		if get(t, s, p.id()).Active() {
			t.Error("disabled, but active")
		}
		must(t, s.Delete(ctx, p.id()))
	})
}

// Whoever sends many addresses makes a few requests at once and no rows.
func TestDocument_Flood(t *testing.T) {
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
	var busy atomic.Int64
	for i := range 50 {
		wg.Go(func() {
			if _, err := s.Get(t.Context(), id.Client(fmt.Sprintf("%s/%d.json", slow.URL, i))); errs.Is(err, errs.Busy) {
				busy.Add(1)
			}
		})
	}
	wg.Wait()
	if at.Load() > documentSlots || busy.Load() < 50-2*documentSlots {
		t.Errorf("%d requests at once, %d turned away", at.Load(), busy.Load())
	}
}

// Addresses that strangers name do not keep those from being read that people use.
func TestDocument_FloodSparesAdopted(t *testing.T) {
	t.Parallel()
	s, c := openSQLite(t)
	p := publish(t, nil)
	get(t, s, p.id())
	must(t, s.Adopt(t.Context(), p.id()))
	c.Advance(documentMost + documentStale + time.Hour)
	for range documentSlots { // all taken by strangers
		s.documents.slots <- struct{}{}
	}
	get(t, s, p.id())
	if _, err := s.Get(t.Context(), publish(t, nil).id()); !errs.Is(err, errs.Busy) {
		t.Errorf("a stranger's: %v", err)
	}
}

func TestDeleteDocuments(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		must(t, s.saveDocument(t.Context(), kindLogo, "https://a.test/l.png", "image/png", []byte("x"), c.Now(), c.Now()))
		c.Advance(documentKept - time.Hour)
		must(t, s.saveDocument(t.Context(), kindLogo, "https://b.test/l.png", "image/png", []byte("x"), c.Now(), c.Now()))
		c.Advance(2 * time.Hour)
		if n, err := s.DeleteDocuments(t.Context(), 10); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}
