// Package oauth is the protocol engine: it checks authorization requests, issues codes and
// tokens, and answers introspection, revocation, userinfo and logout questions. It owns the
// grants and everything issued under them, and is the sole importer of fosite, whose provider
// and request types run its endpoints; every handler, strategy and writer is ours
// (docs/decisions/0002). It does not render, read cookies or know how people prove who they
// are: internal/signin and internal/server/oidc call it.
package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"signet/internal/oauth/client"
	"signet/internal/oauth/consent"
	"signet/internal/oauth/keys"
	"signet/internal/oauth/logout"
	"signet/internal/oauth/trust"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/outbox"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// Subject is what the engine needs to know of a person.
type Subject struct {
	ID     id.User
	Active bool
	// Claims holds every standard claim that is known (OIDC Core §5.1), under its wire name.
	Claims map[string]any
}

// Subjects tells about people. A user who does not exist is a Subject that is not active.
type Subjects interface {
	Subject(ctx context.Context, user id.User) (Subject, error)
}

// TTLs are the server's lifetimes. Those of a client take precedence where it has its own.
type TTLs struct {
	Code            time.Duration // 0 means 60 s
	Access          time.Duration // 0 means 10 min
	ID              time.Duration // 0 means 10 min
	RefreshIdle     time.Duration // 0 means 30 d
	RefreshAbsolute time.Duration // 0 means 90 d
}

func (t TTLs) withDefaults() TTLs {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	const day = 24 * time.Hour
	set(&t.Code, time.Minute)
	set(&t.Access, 10*time.Minute)
	set(&t.ID, 10*time.Minute)
	set(&t.RefreshIdle, 30*day)
	set(&t.RefreshAbsolute, 90*day)
	return t
}

// Deps is what an Engine needs.
type Deps struct {
	// Authorities are those whose certificates tls_client_auth accepts; nil: none.
	Authorities *x509.CertPool

	DB       *store.DB
	Clock    clock.Clock
	Issuer   string // without a trailing slash; the one and only source of it
	Keys     *keys.Service
	Clients  *client.Service
	Consents *consent.Service
	Subjects Subjects
	Audit    *audit.Log
	Seal     *seal.Sealer
	Log      *slog.Logger
	TTLs     TTLs
	Policy   Policy
	Logout   *logout.Service    // nil: no application is told when a session ends
	Limits   *ratelimit.Limiter // nil: no device grant, whose codes can be guessed without
	Device   DeviceTerms
	CIBA     CIBATerms
	// Directory, Outbox and Ping are what backchannel authentication needs besides Limits: who is meant,
	// and how they and the applications are told. Without one of them there is none.
	Directory Directory
	Outbox    *outbox.Service
	Ping      Poster
	Trust     *trust.Service // issuers of assertions; nil for none, as is Resolver
	Resolver  Resolver
	Fetch     Fetcher // of request objects by reference; needed where the policy accepts them
}

// Engine is the protocol engine. It is safe for concurrent use; any number of engines may
// share one database.
type Engine struct {
	ending
	sender

	db        *store.DB
	clock     clock.Clock
	issuer    string
	keys      *keys.Service
	clients   *client.Service
	consents  *consent.Service
	subjects  Subjects
	audit     *audit.Log
	seal      *seal.Sealer
	log       *slog.Logger
	ttl       TTLs
	policy    Policy
	pairwise  []byte // key of pairwise subjects (OIDC Core §8.1)
	limits    *ratelimit.Limiter
	trust     *trust.Service
	resolver  Resolver
	device    DeviceTerms
	ciba      ciba
	userCodes []byte // key of the hashes of user codes
	provider  *fosite.Fosite
	grants    map[string]fosite.TokenEndpointHandlers
	claims    claimsMemory
	things    *onetime.Service // pushed requests
	fetch     Fetcher
	objects   references
}

// New returns an Engine. A missing dependency is an error at start, not at the first request.
func New(d Deps) (*Engine, error) {
	for _, c := range []struct {
		name    string
		missing bool
	}{
		{"DB", d.DB == nil}, {"Clock", d.Clock == nil}, {"Keys", d.Keys == nil}, {"Clients", d.Clients == nil},
		{"Consents", d.Consents == nil}, {"Subjects", d.Subjects == nil}, {"Audit", d.Audit == nil},
		{"Seal", d.Seal == nil}, {"Log", d.Log == nil}, {"Fetch", d.Fetch == nil && d.Policy.RequestURIs},
	} {
		if c.missing {
			return nil, errors.New("oauth: missing dependency " + c.name)
		}
	}
	u, err := url.Parse(d.Issuer)
	if err != nil || u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(d.Issuer, "/") {
		return nil, fmt.Errorf("oauth: issuer %q is not an absolute URL without query, fragment and trailing slash (OIDC Discovery §3)", d.Issuer)
	}
	e := &Engine{
		db: d.DB, clock: d.Clock, issuer: d.Issuer, keys: d.Keys, clients: d.Clients, consents: d.Consents,
		subjects: d.Subjects, audit: d.Audit, seal: d.Seal, log: d.Log, ttl: d.TTLs.withDefaults(),
		policy: d.Policy, pairwise: d.Seal.Subkey("pairwise"),
		limits: d.Limits, trust: d.Trust, resolver: d.Resolver, device: d.Device.withDefaults(), userCodes: d.Seal.Subkey("user-code"),
	}
	if e.things, err = onetime.New(onetime.Deps{DB: d.DB, Clock: d.Clock, Seal: d.Seal}); err != nil {
		return nil, err
	}
	e.fetch = d.Fetch
	e.ciba = ciba{d.CIBA.withDefaults(), d.Directory, d.Outbox, d.Ping}
	if d.Outbox != nil {
		d.Outbox.Register(PingKind, e.deliverPing, outbox.Options{Loops: pingLoops, Patience: 3 * fetch.DefaultTimeout})
	}
	e.sender = sender{nonces{d.Seal.Subkey("dpop-nonce")}, d.Authorities}
	e.ending = e.endWith(d)
	e.wire()
	return e, nil
}

// Issuer returns the issuer identifier.
func (e *Engine) Issuer() string { return e.issuer }
