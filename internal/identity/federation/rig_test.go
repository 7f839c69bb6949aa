package federation

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"signet/internal/identity/federation/federationtest"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// rig is a Service with one OpenID provider ("corp"), which a test can make say anything, and the
// same server as a GitHub ("hub").
type rig struct {
	*Service
	t       *testing.T
	db      *store.DB
	clock   *clock.Fake
	op      *federationtest.OP
	browser string
}

func newRig(t *testing.T, db *store.DB, change ...func(*Deps)) *rig {
	t.Helper()
	r := &rig{t: t, db: db, clock: clock.NewFake(time.Now()), op: federationtest.New(t), browser: id.NewToken(id.BrowserCookie)}
	r.op.Change(func(o *federationtest.OP) { o.Now = r.clock.Now })
	r.Service = r.service(db, change...)
	return r
}

// service is another instance over the same store and clock.
func (r *rig) service(db *store.DB, change ...func(*Deps)) *Service {
	r.t.Helper()
	log, err := audit.New(audit.Deps{DB: db, Clock: r.clock})
	r.must(err)
	limits, err := ratelimit.New(ratelimit.Deps{DB: db, Clock: r.clock, Key: bytes.Repeat([]byte("k"), 32)})
	r.must(err)
	sealer, err := seal.New(bytes.Repeat([]byte("s"), 32))
	r.must(err)
	once, err := onetime.New(onetime.Deps{DB: db, Clock: r.clock, Seal: sealer})
	r.must(err)
	d := Deps{
		DB: db, Clock: r.clock, OneTime: once, Limits: limits, Audit: log, Issuer: "https://id.example",
		Fetch: fetch.New(fetch.Options{AllowPrivate: true, AllowHTTP: true, Timeout: 10 * time.Second, NegativeTTL: time.Nanosecond}),
		Providers: []Provider{
			{Name: "corp", Label: "Corp", Kind: OIDC, Issuer: r.op.URL, ClientID: federationtest.ClientID, ClientSecret: federationtest.ClientSecret, TrustEmail: true, Domains: []string{"corp.example"}},
			{Name: "hub", Label: "Hub", Kind: GitHub, Issuer: r.op.URL, ClientID: federationtest.ClientID, ClientSecret: federationtest.ClientSecret, TrustEmail: true},
		},
	}
	for _, fn := range change {
		fn(&d)
	}
	s, err := New(d)
	r.must(err)
	return s
}

// impatient is for documents that cannot be had: fetch tells so only when its time is up.
func impatient(d *Deps) {
	d.Fetch = fetch.New(fetch.Options{AllowPrivate: true, AllowHTTP: true, Timeout: 300 * time.Millisecond, NegativeTTL: time.Nanosecond})
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// start leaves for the provider and returns what it sends the browser back with.
func (r *rig) start(provider string, change ...func(*Start)) url.Values {
	r.t.Helper()
	in := Start{Provider: provider, Browser: r.browser, Journey: "journey-1"}
	for _, fn := range change {
		fn(&in)
	}
	to, err := r.Start(r.t.Context(), in)
	r.must(err)
	if !strings.HasPrefix(to, r.op.URL+"/") {
		r.t.Fatalf("sent to %s", to)
	}
	return r.op.Visit(r.t, to)
}

func (r *rig) callback(provider string, q url.Values) (Answer, error) {
	return r.Callback(r.t.Context(), provider, r.browser, q)
}

// whole goes there and back.
func (r *rig) whole(provider string, change ...func(*Start)) (Answer, error) {
	r.t.Helper()
	return r.callback(provider, r.start(provider, change...))
}

// says changes what the provider says.
func (r *rig) says(fn func(*federationtest.OP)) {
	r.t.Helper()
	r.op.Change(fn)
}

func (r *rig) refuses(name string, a Answer, err error, key string) {
	r.t.Helper()
	if err == nil || errs.As(err).Key != key {
		r.t.Errorf("%s: %v, want %s", name, err, key)
	}
	if a.Identity != (Identity{}) {
		r.t.Errorf("%s: an identity in spite of it: %+v", name, a.Identity)
	}
}

func (r *rig) user(name string) id.User {
	r.t.Helper()
	now := store.Micros(r.clock.Now())
	_, err := r.db.Q(r.t.Context()).Exec(r.t.Context(),
		`INSERT INTO account (id, status, username, username_key, profile, source, created_at, updated_at) VALUES ($1, 'active', $1, $1, '{}', 'test', $2, $2)`, name, now)
	r.must(err)
	return id.User(name)
}

func (r *rig) inTx(fn func(ctx context.Context) error) error {
	return r.db.InTx(r.t.Context(), fn)
}

func each(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(t, newRig(t, db)) })
}

// one is for what does not touch the store much: SQLite will do.
func one(t *testing.T, change ...func(*Deps)) *rig {
	t.Helper()
	return newRig(t, storetest.Open(t, store.SQLite), change...)
}
