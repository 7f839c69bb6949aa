// Package account owns the people: their accounts, the addresses and usernames they sign in with,
// their profile (the standard OIDC claims), their password credentials, sign-up, and import from
// other systems. It owns the tables account, email_address and password_credential. It hashes
// nothing itself (password does), counts attempts through ratelimit, and keeps no sessions and
// no grants: signin ends those when an account is disabled or its password changes. pages and
// signin call it, app hands its claims to the OAuth half, cmd/signet administrates through it.
package account

import (
	"errors"
	"log/slog"
	"time"

	"signet/internal/identity/password"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
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
	} {
		if d.at.Limit == 0 {
			*d.at = d.def
		}
	}
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
	return &Service{
		db: d.DB, clock: d.Clock, passwords: d.Passwords, limits: d.Limits, audit: d.Audit, log: d.Log, budgets: d.Budgets,
	}, nil
}

// about is what a password of a must not be built on.
func (a Account) about() []string {
	p := a.Profile
	return []string{a.Email, a.Username, p.Name, p.GivenName, p.FamilyName, p.MiddleName, p.Nickname}
}
