// Package account owns the people: their accounts, the addresses and usernames they sign in with,
// their profile (the standard OIDC claims), their password credentials, sign-up, and import from
// other systems. It owns the tables account, email_address and password_credential. It hashes
// nothing itself (password does), counts attempts through ratelimit, and keeps no sessions and
// no grants: signin ends those when an account is disabled or its password changes. pages and
// signin call it, app hands its claims to the OAuth half, cmd/signet administrates through it.
package account

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"signet/internal/identity/password"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

// Status says whether an account may be used.
type Status string

// The statuses.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// Account is a person.
type Account struct {
	ID            id.User
	Status        Status
	Username      string // as typed; "" for none
	Email         string // the primary address; "" for none
	EmailVerified bool
	Profile       Profile
	Source        string // signup, cli, import:<name>, …
	CreatedAt     time.Time
	UpdatedAt     time.Time
	DeleteAt      time.Time // when it will be deleted, as its owner asked; zero: it stays
	TermsVersion  string    // of the terms last accepted; "" for none
	TermsAt       time.Time
	ProofsSince   time.Time // first factors proven before are worth nothing
}

// Mailer writes to people, in the transaction that ctx carries; mail.Service is it.
type Mailer interface {
	Enabled() bool
	Send(ctx context.Context, m mail.Message) error
	// SendNothing is as much work as Send.
	SendNothing(ctx context.Context, m mail.Message) error
}

// Deps is what a Service needs.
type Deps struct {
	DB        *store.DB
	Clock     clock.Clock
	Passwords *password.Service
	Limits    *ratelimit.Limiter
	Audit     *audit.Log
	Log       *slog.Logger
	Budgets   Budgets
	// Lanes counts attempts in known browsers apart; without it every browser is a stranger's.
	Lanes Lanes

	// OneTime and Mail are needed for everything that is proven by mail; without them there is
	// no such way. Issuer is where the links in mails lead.
	OneTime *onetime.Service
	Mail    Mailer
	Issuer  string
	// Grace is how long an account that its owner gave up can be taken back; 0: not at all.
	Grace time.Duration
	// SignUps says who may make an account.
	SignUps SignUpPolicy
}

// Service is the people of one store. It is safe for concurrent use.
type Service struct {
	db        *store.DB
	clock     clock.Clock
	passwords *password.Service
	limits    *ratelimit.Limiter
	audit     *audit.Log
	log       *slog.Logger
	budgets   Budgets
	lanes     Lanes
	alarm     alarm
	oneTime   *onetime.Service
	mail      Mailer
	issuer    string
	grace     time.Duration
	signUps   SignUpPolicy
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Passwords == nil || d.Limits == nil || d.Audit == nil {
		return nil, errors.New("account: DB, Clock, Passwords, Limits and Audit are required")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	d.Budgets.setDefaults()
	if d.Mail != nil && (d.OneTime == nil || d.Issuer == "") {
		return nil, errors.New("account: what is proven by mail needs OneTime and Issuer")
	}
	signUps, err := d.SignUps.check(d.Mail != nil && d.Mail.Enabled())
	if err != nil {
		return nil, err
	}
	return &Service{
		db: d.DB, clock: d.Clock, passwords: d.Passwords, limits: d.Limits, audit: d.Audit, log: d.Log, budgets: d.Budgets, lanes: d.Lanes,
		oneTime: d.OneTime, mail: d.Mail, issuer: d.Issuer, grace: d.Grace, signUps: signUps,
	}, nil
}

// about is what a password of a must not be built on.
func (a Account) about() []string {
	p := a.Profile
	return []string{a.Email, a.Username, p.Name, p.GivenName, p.FamilyName, p.MiddleName, p.Nickname}
}
