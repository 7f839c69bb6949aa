package client

import (
	"encoding/json"
	"fmt"
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

// owner is a client's own server that publishes keys.
type owner struct {
	*httptest.Server
	asked atomic.Int64
	mu    sync.Mutex
	body  string
	delay time.Duration
}

func newOwner(t *testing.T, body string) *owner {
	t.Helper()
	o := &owner{body: body}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		o.asked.Add(1)
		o.mu.Lock()
		body, delay := o.body, o.delay
		o.mu.Unlock()
		time.Sleep(delay)
		if body == "" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *owner) set(body string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.body = body
}

func withKid(t *testing.T, kid string) string {
	t.Helper()
	var set map[string][]map[string]any
	must(t, json.Unmarshal(testJWKS(), &set))
	set["keys"][0]["kid"] = kid
	b, err := json.Marshal(set)
	must(t, err)
	return string(b)
}

func remoteService(t *testing.T) (*Service, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(start)
	f := fetch.New(fetch.Options{AllowPrivate: true, AllowHTTP: true, Timeout: 600 * time.Millisecond, NegativeTTL: time.Nanosecond})
	return instance(t, storetest.Open(t, store.SQLite), c, f), c
}

func TestKeys_ByValue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		m := valid(Web)
		m.AuthMethod, m.JWKS = PrivateKeyJWT, testJWKS()
		made, secret, err := s.Create(t.Context(), NewClient{Name: "Shop", Kind: Web, Metadata: m})
		must(t, err)
		if secret != "" {
			t.Error("a client with keys got a secret")
		}
		c := get(t, s, made.ID)
		for kid, want := range map[string]int{"": 1, "k1": 1, "k2": 0, "../k1": 0} {
			set, err := s.Keys(t.Context(), c, kid)
			if err != nil || len(set.Keys) != want {
				t.Errorf("kid %q: %d keys, %v", kid, len(set.Keys), err)
			}
		}
	})
}

func TestKeys_ByURI(t *testing.T) {
	t.Parallel()
	s, c := remoteService(t)
	ctx := t.Context()
	o := newOwner(t, withKid(t, "a"))
	cl := &Client{Metadata: Metadata{JWKSURI: o.URL}}
	count := func(kid string) int {
		t.Helper()
		set, err := s.Keys(ctx, cl, kid)
		must(t, err)
		return len(set.Keys)
	}
	if count("a") != 1 || count("a") != 1 || o.asked.Load() != 1 {
		t.Errorf("asked %d times for one set", o.asked.Load())
	}
	// An unknown kid asks again, but not as often as anybody likes.
	if count("b") != 0 || o.asked.Load() != 1 {
		t.Errorf("no cool-down: asked %d times", o.asked.Load())
	}
	c.Advance(remoteCooldown)
	o.set(withKid(t, "b"))
	if count("b") != 1 || o.asked.Load() != 2 {
		t.Errorf("unknown kid: asked %d times", o.asked.Load())
	}
	if count("a") != 0 {
		t.Error("a key that left the set is still there")
	}
	// An older set is used while it is refreshed.
	c.Advance(remoteFresh)
	if count("b") != 1 {
		t.Error("older set")
	}
	eventually(t, func() bool { return o.asked.Load() == 3 && s.remote.entry(o.URL).fetchedAt.Equal(c.Now()) })
	// The owner is down: the set serves for an hour, then no longer.
	o.set("")
	c.Advance(remoteStale - time.Second)
	if count("b") != 1 {
		t.Error("stale set")
	}
	eventually(t, func() bool { return s.remote.entry(o.URL).flight == nil })
	c.Advance(time.Minute)
	if set, err := s.Keys(ctx, cl, "b"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("after an hour: %v, %v", set, err)
	}
	// And back.
	o.set(withKid(t, "b"))
	c.Advance(time.Minute)
	if count("b") != 1 {
		t.Error("the owner is back")
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("does not happen")
}

func TestKeys_ManyWaitForOneRequest(t *testing.T) {
	t.Parallel()
	s, _ := remoteService(t)
	o := newOwner(t, withKid(t, "a"))
	o.delay = 50 * time.Millisecond
	cl := &Client{Metadata: Metadata{JWKSURI: o.URL}}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			set, err := s.Keys(t.Context(), cl, "a")
			if err != nil || len(set.Keys) != 1 {
				t.Errorf("%v, %v", set, err)
			}
		})
	}
	wg.Wait()
	if n := o.asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// What an owner publishes by mistake or malice is no key of his: RFC 7517 §5.
// Slow key sets of clients that nobody approved do not keep those of others from being read.
func TestKeys_StrangersLeaveRoom(t *testing.T) {
	t.Parallel()
	s, _ := remoteService(t)
	var asked atomic.Int64
	gate := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-gate
	}))
	t.Cleanup(slow.Close)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			_, _ = s.Keys(t.Context(), &Client{Metadata: Metadata{JWKSURI: fmt.Sprintf("%s/%d", slow.URL, i), Quarantined: true}}, "")
		})
	}
	eventually(t, func() bool { return asked.Load() >= 8 })
	good := newOwner(t, withKid(t, "a"))
	if set, err := s.Keys(t.Context(), &Client{Metadata: Metadata{JWKSURI: good.URL}}, "a"); err != nil || len(set.Keys) != 1 {
		t.Errorf("%v, %v", set, err)
	}
	close(gate)
	wg.Wait()
}

func TestKeys_UnusableSets(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"symmetric": `{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`,
		"private":   `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA","d":"AA"}]}`,
	} {
		s, _ := remoteService(t)
		o := newOwner(t, body)
		set, err := s.Keys(t.Context(), &Client{Metadata: Metadata{JWKSURI: o.URL}}, "a")
		if err != nil || len(set.Keys) != 0 {
			t.Errorf("%s: %v, %v", name, set, err)
		}
	}
	for name, body := range map[string]string{"not a set": `[]`, "no keys": `{}`, "error": ""} {
		s, _ := remoteService(t)
		o := newOwner(t, body)
		cl := &Client{Metadata: Metadata{JWKSURI: o.URL}}
		for range 3 {
			if set, err := s.Keys(t.Context(), cl, "a"); !errs.Is(err, errs.Unavailable) {
				t.Errorf("%s: %v, %v", name, set, err)
			}
		}
		if n := o.asked.Load(); n != 1 {
			t.Errorf("%s: asked %d times within the cool-down", name, n)
		}
	}
}

func TestKeys_TableIsBounded(t *testing.T) {
	t.Parallel()
	var r remoteKeys
	r.entries = map[string]*remoteSet{}
	for i := range 2 * maxRemote {
		r.locked(string(rune(i)) + "x")
	}
	if len(r.entries) > maxRemote {
		t.Errorf("%d entries", len(r.entries))
	}
}

// Security case RG-14: strangers that name many addresses push no key set out, and one that names the address
// of a known client uses up none of its requests.
func TestKeys_StrangersApart(t *testing.T) {
	t.Parallel()
	s, c := remoteService(t)
	o := newOwner(t, withKid(t, "a"))
	known, strange := &Client{Metadata: Metadata{JWKSURI: o.URL}}, &Client{Metadata: Metadata{JWKSURI: o.URL, Quarantined: true}}
	if set, err := s.Keys(t.Context(), known, "a"); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%v, %v", set, err)
	}
	for i := range 2 * maxRemote {
		s.keySets(fetch.Stranger(t.Context())).locked(fmt.Sprint(i))
	}
	if set, err := s.Keys(t.Context(), known, "a"); err != nil || len(set.Keys) != 1 || o.asked.Load() != 1 {
		t.Errorf("pushed out: asked %d times, %v", o.asked.Load(), err)
	}
	c.Advance(remoteCooldown)
	if _, err := s.Keys(t.Context(), strange, "nobody's"); err != nil {
		t.Fatal(err)
	}
	before := o.asked.Load()
	if _, err := s.Keys(t.Context(), known, "b"); err != nil || o.asked.Load() != before+1 {
		t.Errorf("the stranger used up the request: asked %d times, %v", o.asked.Load(), err)
	}
}
