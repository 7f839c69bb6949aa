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
	CreatedAt     time.Time
	UpdatedAt     time.Time
	DeleteAt      time.Time // when it will be deleted, as its owner asked; zero: it stays
	TermsVersion  string    // of the terms last accepted; "" for none
	TermsAt       time.Time
}

// Budgets bound the attempts at what can be guessed or flooded. Zero ones get their default.
type Budgets struct {
	// Account bounds failed password checks of one account, whichever name it is called by and
	// whichever page asks: 10 per 15 minutes. NIST SP 800-63B-4 §3.2.2 would stop for good after
	// 100 in a row; that takes a way back in which needs mail, or anybody could lock an owner out.
	Account ratelimit.Budget
	// Source bounds failed password checks from one network over all accounts: 100 per 15 minutes.
	Source ratelimit.Budget
	// SignUp bounds sign-ups from one network, successful or not: 30 per hour.
	SignUp ratelimit.Budget
	// Username bounds the usernames that one account tries, taken or not: 10 per hour. Each answer
	// tells whether somebody has that name.
	Username ratelimit.Budget
	// Mail bounds the mails that visitors can have sent to one address, known or not: 3 per hour.
	// Beyond it the answer stays the same and nothing is sent.
	Mail ratelimit.Budget
	// MailSource bounds the mails that one network can have sent: 30 per hour. As with Mail.
	MailSource ratelimit.Budget
	// Codes bounds the mails with a code to sign in to one address: 6 per hour. As with Mail.
	Codes ratelimit.Budget
}

func (b *Budgets) setDefaults() {
	for _, d := range []struct {
		at  *ratelimit.Budget
		def ratelimit.Budget
	}{
		{&b.Account, ratelimit.Budget{Name: "password-account", Limit: 10, Per: 15 * time.Minute}},
		{&b.Source, ratelimit.Budget{Name: "password-source", Limit: 100, Per: 15 * time.Minute}},
		{&b.SignUp, ratelimit.Budget{Name: "signup-source", Limit: 30, Per: time.Hour}},
		{&b.Username, ratelimit.Budget{Name: "username-account", Limit: 10, Per: time.Hour}},
		{&b.Mail, ratelimit.Budget{Name: "mail-address", Limit: 3, Per: time.Hour}},
		{&b.MailSource, ratelimit.Budget{Name: "mail-source", Limit: 30, Per: time.Hour}},
		{&b.Codes, ratelimit.Budget{Name: "mail-code-address", Limit: 6, Per: time.Hour}},
	} {
		if d.at.Limit == 0 {
			*d.at = d.def
		}
	}
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

	// OneTime and Mail are needed for everything that is proven by mail; without them there is
	// no such way. Issuer is where the links in mails lead.
	OneTime *onetime.Service
	Mail    Mailer
	Issuer  string
	// Grace is how long an account that its owner gave up can be taken back; 0: not at all.
	Grace time.Duration
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
	oneTime   *onetime.Service
	mail      Mailer
	issuer    string
	grace     time.Duration
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
	return &Service{
		db: d.DB, clock: d.Clock, passwords: d.Passwords, limits: d.Limits, audit: d.Audit, log: d.Log, budgets: d.Budgets,
		oneTime: d.OneTime, mail: d.Mail, issuer: d.Issuer, grace: d.Grace,
	}, nil
}

// about is what a password of a must not be built on.
func (a Account) about() []string {
	p := a.Profile
	return []string{a.Email, a.Username, p.Name, p.GivenName, p.FamilyName, p.MiddleName, p.Nickname}
}
