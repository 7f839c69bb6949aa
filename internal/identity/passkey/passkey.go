// Package passkey keeps passkeys (WebAuthn credentials): it makes the options that a browser gets,
// checks what its authenticator answers, and counts, names and removes credentials. It owns the
// table passkey and is the only importer of go-webauthn. Challenges have no row: they are signed,
// bound to a purpose, a journey or session and a person, and used up through platform/onetime. It
// opens no session and ends no journey (signin does, as also within the transaction of a proof) and
// holds no HTML (server/pages).
package passkey

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"signet/internal/identity/session"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

// The message keys of what can go wrong. KeyFailed says no more than that: what exactly did not
// fit is in the audit log.
const (
	KeyFailed   = "passkey.failed"
	KeyStale    = "passkey.stale"    // the challenge is too old or was used: ask again
	KeyUnknown  = "passkey.unknown"  // the credential is not ours (any more)
	KeyExists   = "passkey.exists"   // the authenticator has one for this account already
	KeyTooMany  = "passkey.too_many" // MaxPerAccount
	KeyLastWay  = "passkey.last_way" // nothing else is left to sign in with
	KeyNoName   = "passkey.no_name"
	KeyLongName = "passkey.long_name"
)

// MaxPerAccount bounds the passkeys of one account, and with them the options that list them.
const MaxPerAccount = 25

// MaxName is how long a name may be, in characters.
const MaxName = 60

// Life is how long a challenge may be answered.
const Life = 5 * time.Minute

// Credential is a passkey as its owner sees it.
type Credential struct {
	ID         string // of the row
	Key        string // credential id, base64url, as authenticators know it
	User       id.User
	Name       string
	AAGUID     string // model of the authenticator; all zero when it does not say
	Transports []string
	// Synced: the key may leave the device (backup eligible), and BackedUp whether it has. A
	// credential that may not is bound to one device (WebAuthn Level 3 §6.1.3).
	Synced, BackedUp bool
	CreatedAt        time.Time
	LastUsedAt       time.Time // zero: never

	publicKey []byte
	alg       int64
	signCount uint32
}

// DeviceBound reports whether the key cannot leave its device.
func (c Credential) DeviceBound() bool { return !c.Synced }

// Also is what follows from a proof, in its transaction.
type Also func(ctx context.Context, user id.User, e session.Event) error

// Deps is what a Service needs.
type Deps struct {
	DB      *store.DB
	Clock   clock.Clock
	Onetime *onetime.Service
	Limits  *ratelimit.Limiter
	Audit   *audit.Log
	Log     *slog.Logger
	// Key signs challenges: a secret subkey of at least 32 bytes.
	Key []byte
	// Issuer is our origin, RPID the domain that passkeys belong to ("" = the issuer's host), and
	// Related other origins on which they may be used.
	Issuer, RPID string
	Related      []string
	// Name is what authenticators call us.
	Name string
	// Active reports whether an account exists and may sign in.
	Active func(ctx context.Context, user id.User) (bool, error)
	// OtherWays reports whether somebody could sign in without any passkey; nil means that they
	// always could.
	OtherWays func(ctx context.Context, user id.User) (bool, error)
	// Choices remembers who wants no offer of a passkey; nil means that none is ever made.
	Choices Choices
	// Source bounds failed attempts from one network; zero means 100 per 15 minutes.
	Source ratelimit.Budget
}

// Service keeps the passkeys of one store. It is safe for concurrent use.
type Service struct {
	db      *store.DB
	clock   clock.Clock
	onetime *onetime.Service
	limits  *ratelimit.Limiter
	audit   *audit.Log
	log     *slog.Logger
	key     []byte
	rp      *webauthn.WebAuthn
	rpID    string
	rpName  string
	origins []string
	active  func(ctx context.Context, user id.User) (bool, error)
	others  func(ctx context.Context, user id.User) (bool, error)
	source  ratelimit.Budget
	choices Choices
}

// New returns a Service. It refuses an issuer on which no browser would use passkeys.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Onetime == nil || d.Active == nil || d.Limits == nil || d.Audit == nil || len(d.Key) < 32 {
		return nil, errors.New("passkey: DB, Clock, Onetime, Active, Limits, Audit and a Key of 32 bytes are required")
	}
	if err := CheckOrigin(d.Issuer, d.RPID, d.Related...); err != nil {
		return nil, err
	}
	if err := checkRelated(d.Related); err != nil {
		return nil, err
	}
	if d.RPID == "" {
		d.RPID = hostOf(d.Issuer)
	}
	if d.Name == "" {
		d.Name = "Signet"
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.OtherWays == nil {
		d.OtherWays = func(context.Context, id.User) (bool, error) { return true, nil }
	}
	if d.Source.Limit == 0 {
		d.Source = ratelimit.Budget{Name: "passkey-source", Limit: 100, Per: 15 * time.Minute}
	}
	own := originOf(d.Issuer)
	origins := append([]string{own}, slices.DeleteFunc(slices.Clone(d.Related), func(o string) bool { return o == own })...)
	rp, err := newRelyingParty(d.RPID, d.Name, origins)
	if err != nil {
		return nil, err
	}
	return &Service{
		db: d.DB, clock: d.Clock, onetime: d.Onetime, limits: d.Limits, audit: d.Audit, log: d.Log,
		key: bytes.Clone(d.Key), rp: rp, rpID: d.RPID, rpName: d.Name, origins: origins, active: d.Active, others: d.OtherWays, choices: d.Choices, source: d.Source,
	}, nil
}

// RPID is the domain that the passkeys belong to.
func (s *Service) RPID() string { return s.rpID }

// Related reports whether other origins are involved: then browsers look for their list.
func (s *Service) Related() bool {
	return len(s.origins) > 1 || hostOf(s.origins[0]) != s.rpID && !strings.HasSuffix(hostOf(s.origins[0]), "."+s.rpID)
}
