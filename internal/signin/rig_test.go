package signin

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"signet/internal/identity/account"
	"signet/internal/identity/device"
	"signet/internal/identity/mfa"
	"signet/internal/identity/password"
	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/oauth/consent"
	"signet/internal/oauth/keys"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// rig is a Service over the real accounts, sessions and engine.
type rig struct {
	*Service
	t        testing.TB
	clock    *clock.Fake
	people   *account.Service
	clients  *client.Service
	consents *consent.Service
	factors  *mfa.Service
	client   id.Client
	browser  string
	offer    bool

	mu      sync.Mutex // tests race sign-ins against each other
	linked  []string
	noticed []id.User
}

const callback = "https://rp.test/cb"

func each(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		fn(t, newRig(t, db, db))
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newRig wires everything over db; what a journey itself does runs over under, which may be a
// faulty view of it.
func newRig(t testing.TB, db, under *store.DB) *rig {
	t.Helper()
	now := clock.NewFake(noon)
	log := slog.New(slog.DiscardHandler)
	sealer := must(seal.New(slices.Repeat([]byte{7}, 32)))
	events := must(audit.New(audit.Deps{DB: db, Clock: now}))
	changes := store.NewChanges(db, time.Hour)
	clients := must(client.New(client.Deps{DB: db, Clock: now, Changes: changes, Audit: events, Fetch: fetch.New(fetch.Options{})}))
	ks := must(keys.New(keys.Deps{DB: db, Clock: now, Changes: changes, Seal: sealer, Audit: events, Policy: keys.Policy{Retention: 24 * time.Hour}}))
	limits := must(ratelimit.New(ratelimit.Deps{DB: db, Clock: now, Key: sealer.Subkey("ratelimit")}))
	words := must(password.New(password.Deps{Params: password.Params{MemoryKiB: 64, Time: 1, Parallelism: 1}, MinLength: 8, Log: log}))
	people := must(account.New(account.Deps{DB: db, Clock: now, Passwords: words, Limits: limits, Audit: events, Log: log}))
	sessions := must(session.New(session.Deps{DB: under, Clock: now, Audit: events}))
	consents := must(consent.New(consent.Deps{DB: under, Clock: now, Audit: events}))
	engine := must(oauth.New(oauth.Deps{
		DB: under, Clock: now, Issuer: "https://id.test", Keys: ks, Clients: clients, Consents: consents, Subjects: subjects{people},
		Audit: events, Seal: sealer, Log: log,
	}))
	things := must(onetime.New(onetime.Deps{DB: db, Clock: now, Seal: sealer}))
	factors := must(mfa.New(mfa.Deps{DB: db, Clock: now, Seal: sealer, Limits: limits, Audit: events, Onetime: things, Issuer: "Signet"}))
	browsers := must(device.New(device.Deps{DB: under, Clock: now, Audit: events}))
	r := &rig{t: t, clock: now, people: people, clients: clients, consents: consents, factors: factors, browser: id.NewToken(id.BrowserCookie)}
	r.Service = must(New(Deps{
		DB: under, Clock: now, Accounts: people, Sessions: sessions, Engine: engine, Factors: factors, Browsers: browsers,
		Links: r, Notices: r, Offers: r, Policy: Policy{RememberFor: 30 * 24 * time.Hour},
	}))
	return r
}

// Complete, NewSignIn and OfferDue stand in for the services that a sign-in calls.
func (r *rig) Complete(_ context.Context, user id.User, parked string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.linked = append(r.linked, string(user)+" "+parked)
	return nil
}

func (r *rig) NewSignIn(_ context.Context, user id.User) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noticed = append(r.noticed, user)
	return nil
}

func (r *rig) OfferDue(context.Context, id.User) (bool, error) { return r.offer, nil }

// withTOTP gives the user an authenticator app.
func (r *rig) withTOTP(user id.User) {
	r.t.Helper()
	e := must(r.factors.BeginTOTP(r.t.Context(), user, "b", "label"))
	code := must(totp.GenerateCode(strings.ReplaceAll(e.Secret.Reveal(), " ", ""), r.clock.Now()))
	if err := r.factors.ConfirmTOTP(r.t.Context(), user, e.ID, "b", seal.Secret(code)); err != nil {
		r.t.Fatal(err)
	}
}

type subjects struct{ people *account.Service }

func (s subjects) Subject(ctx context.Context, user id.User) (oauth.Subject, error) {
	a, err := s.people.ByID(ctx, user)
	return oauth.Subject{ID: user, Active: err == nil && a.Status == account.Active}, err
}

func (r *rig) app(firstParty bool) id.Client {
	r.t.Helper()
	meta := client.Defaults(client.Web)
	meta.RedirectURIs, meta.FirstParty = []string{callback}, firstParty
	c, _, err := r.clients.Create(r.t.Context(), client.NewClient{Name: "Wiki", Kind: client.Web, Metadata: meta})
	if err != nil {
		r.t.Fatal(err)
	}
	return c.ID
}

func (r *rig) user(name string) id.User {
	r.t.Helper()
	a, err := r.people.Create(r.t.Context(), account.NewAccount{Username: name, Source: "cli"})
	if err != nil {
		r.t.Fatal(err)
	}
	return a.ID
}

func (r *rig) signIn(user id.User) *session.Session {
	r.t.Helper()
	sess, _, err := r.sessions.Start(r.t.Context(), user, session.Event{Method: session.Password, At: r.clock.Now()})
	if err != nil {
		r.t.Fatal(err)
	}
	return &sess
}

func (r *rig) request(c id.Client, change func(*oauth.Request)) *oauth.Request {
	out := &oauth.Request{
		ClientID: c, RedirectURI: callback, ResponseMode: oauth.ModeQuery, Scopes: []string{"openid", "email"}, State: "s&é",
		Nonce: "n", CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
	}
	if change != nil {
		change(out)
	}
	return out
}

// begin parks a request and loads it again, as every request of the browser does.
func (r *rig) begin(req *oauth.Request) *Journey {
	r.t.Helper()
	j, err := r.Begin(r.t.Context(), r.browser, req)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.load(j)
}

func (r *rig) load(j id.Journey) *Journey {
	r.t.Helper()
	out, err := r.Load(r.t.Context(), j, r.browser)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *rig) owes(j *Journey, sess *session.Session, want Step) Owed {
	r.t.Helper()
	o, err := r.Decide(r.t.Context(), j, sess)
	if err != nil || o.Step != want {
		r.t.Fatalf("owed is %s (%v), want %s", o.Step, err, want)
	}
	return o
}

// prove signs in with a password where nothing else is owed.
func (r *rig) prove(ctx context.Context, j *Journey, user id.User, current *session.Session) (session.Session, string, error) {
	out, err := r.Authenticated(ctx, j, Proof{User: user, Event: session.Event{Method: session.Password}}, current)
	if err != nil || out.Session == nil {
		return session.Session{}, "", err
	}
	return *out.Session, out.Cookie, nil
}
