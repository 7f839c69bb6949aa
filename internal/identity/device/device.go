// Package device knows the browsers in which an account has signed in before, by a random cookie of
// theirs. It owns the table known_browser. A known browser is no proof of anybody. It is good for
// three things: its failed attempts are counted apart, so that strangers cannot lock an owner out
// (Lane); a sign-in from any other browser is worth a notice (Note); and its owner may have asked
// not to be asked for a second factor in it for a while (Trust). account and mfa ask for the lane,
// signin notes and trusts, pages carry the cookie and list the rows to their owner.
package device

import (
	"context"
	"errors"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Life is how long a browser stays known after the last sign-in in it: the Max-Age of its cookie.
const Life = 180 * 24 * time.Hour

// Browser is one in which an account has signed in.
type Browser struct {
	ID           string
	UserAgent    string
	IP           string
	CreatedAt    time.Time
	LastSeenAt   time.Time
	ExpiresAt    time.Time
	TrustedUntil time.Time // the second factor is not asked before; zero = always asked

	// Trusted is whether it is not asked now: within the time, and by a browser that looks like
	// the one it was promised to.
	Trusted bool
	// Current is whether the request comes from it.
	Current bool
}

type cookieKey struct{}

// WithCookie returns a context that carries the value of the browser's cookie, as it came in or as
// Note renewed it.
func WithCookie(ctx context.Context, value string) context.Context {
	return context.WithValue(ctx, cookieKey{}, value)
}

// Deps is what a Service needs.
type Deps struct {
	DB    *store.DB
	Clock clock.Clock
	Audit *audit.Log
	// MaxPerAccount bounds the browsers of one account: one more pushes out the one that was not
	// seen for longest. 0 means 50.
	MaxPerAccount int
}

// Service is the known browsers of one store. It is safe for concurrent use.
type Service struct {
	db    *store.DB
	clock clock.Clock
	audit *audit.Log
	max   int
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Audit == nil {
		return nil, errors.New("device: DB, Clock and Audit are required")
	}
	if d.MaxPerAccount == 0 {
		d.MaxPerAccount = 50
	}
	return &Service{db: d.DB, clock: d.Clock, audit: d.Audit, max: d.MaxPerAccount}, nil
}

// Known returns the account's entry of the browser that ctx carries the cookie of, or nil.
func (s *Service) Known(ctx context.Context, user id.User) (*Browser, error) {
	panic("being written")
}

// Lane returns the id of the browser that ctx carries the cookie of if the user has signed in in it
// before, or "": under it attempts are counted apart.
func (s *Service) Lane(ctx context.Context, user id.User) (string, error) {
	panic("being written")
}

// Note takes note that the user has signed in in this browser. It returns whether that has happened
// before, and the value that its cookie is to have from now on. It joins the transaction that ctx
// carries, and needs one.
func (s *Service) Note(ctx context.Context, user id.User) (known bool, cookie string, err error) {
	panic("being written")
}

// Trust promises not to ask the user for a second factor in this browser for a while. Note has seen
// it before (give ctx the cookie that Note returned). It needs a transaction.
func (s *Service) Trust(ctx context.Context, user id.User, d time.Duration) error {
	panic("being written")
}

// List returns the known browsers of the user, the last seen first.
func (s *Service) List(ctx context.Context, user id.User) ([]Browser, error) {
	panic("being written")
}

// Revoke forgets one browser of the user. errs.NotFound if there is none of that id.
func (s *Service) Revoke(ctx context.Context, user id.User, browser string) error {
	panic("being written")
}

// RevokeAll forgets every browser of the user and returns how many there were. It joins the
// transaction that ctx carries.
func (s *Service) RevokeAll(ctx context.Context, user id.User) (int64, error) {
	panic("being written")
}

// DeleteExpired removes at most limit browsers that were not seen for Life and returns how many went.
func (s *Service) DeleteExpired(ctx context.Context, limit int) (int64, error) {
	panic("being written")
}
