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
	"strings"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
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

// presented returns the hash of the cookie that ctx carries; ok is false without a well-formed one.
func presented(ctx context.Context) (hash string, ok bool) {
	value, _ := ctx.Value(cookieKey{}).(string)
	return id.Hash(id.DeviceCookie, value)
}

// Known returns the account's entry of the browser that ctx carries the cookie of, or nil. A cookie
// that is malformed, forged, expired, revoked or of another account is no cookie.
func (s *Service) Known(ctx context.Context, user id.User) (*Browser, error) {
	hash, ok := presented(ctx)
	if !ok || user == "" {
		return nil, nil
	}
	b, err := s.scan(ctx, s.db.Q(ctx).QueryRow(ctx, sqlKnown, hash, string(user), store.Micros(s.clock.Now())))
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.Wrap("known browser", err)
	}
	return &b, nil
}

// Lane returns the id of the browser that ctx carries the cookie of if the user has signed in in it
// before, or "": under it attempts are counted apart.
func (s *Service) Lane(ctx context.Context, user id.User) (string, error) {
	b, err := s.Known(ctx, user)
	if b == nil || err != nil {
		return "", err
	}
	return b.ID, nil
}

// Note takes note that the user has signed in in this browser. It returns whether that has happened
// before, and the value that its cookie is to have from now on. It joins the transaction that ctx
// carries, and needs one.
//
// A browser in which the user is new gets a new cookie, and the entries of the other people who use
// it move along: whoever had planted the old one, or copied it, does not become known to this user.
func (s *Service) Note(ctx context.Context, user id.User) (known bool, cookie string, err error) {
	store.MustTx(ctx)
	now := s.clock.Now()
	src := audit.SourceOf(ctx).Kept()
	agent, ip := src.UserAgent, src.IP
	at, expires := store.Micros(now), store.Micros(now.Add(Life))
	q := s.db.Q(ctx)
	old, ok := presented(ctx)
	if ok {
		err := q.QueryRow(ctx, sqlSeen, old, string(user), agent, ip, at, expires).Scan(new(string))
		if err == nil {
			value, _ := ctx.Value(cookieKey{}).(string)
			return true, value, nil
		}
		if !errors.Is(err, store.ErrNoRows) {
			return false, "", errs.Wrap("note browser", err)
		}
	}
	cookie = id.NewToken(id.DeviceCookie)
	if ok {
		if _, err := q.Exec(ctx, sqlRenew, old, id.Digest(cookie), at); err != nil {
			return false, "", errs.Wrap("note browser", err)
		}
	}
	one := id.New()
	_, err = q.Exec(ctx, sqlInsert, one, id.Digest(cookie), string(user), agent, ip, at, expires)
	if errors.Is(err, store.ErrForeignKey) {
		return false, "", errs.New(errs.Unauthenticated, "", err) // the account was deleted meanwhile
	}
	if err == nil {
		_, err = q.Exec(ctx, sqlDeleteOverCap, string(user), s.max)
	}
	if err == nil {
		err = s.record(ctx, "browser.new", user, one, nil)
	}
	if err != nil {
		return false, "", errs.Wrap("note browser", err)
	}
	return false, cookie, nil
}

// Trust promises not to ask the user for a second factor in this browser for a while. Note has seen
// it before (give ctx the cookie that Note returned). It needs a transaction.
func (s *Service) Trust(ctx context.Context, user id.User, d time.Duration) error {
	store.MustTx(ctx)
	hash, ok := presented(ctx)
	if !ok || d <= 0 {
		return errors.New("device: nothing to trust")
	}
	now := s.clock.Now()
	var one string
	err := s.db.Q(ctx).QueryRow(ctx, sqlTrust, hash, string(user), store.Micros(now), store.Micros(now.Add(d))).Scan(&one)
	if errors.Is(err, store.ErrNoRows) {
		return errs.New(errs.Conflict, "", errors.New("the browser was forgotten meanwhile"))
	}
	if err == nil {
		err = s.record(ctx, "browser.trust", user, one, map[string]string{"until": now.Add(d).Format(time.RFC3339)})
	}
	return errs.Wrap("trust browser", err)
}

// List returns the known browsers of the user, the last seen first.
func (s *Service) List(ctx context.Context, user id.User) ([]Browser, error) {
	list, err := store.All(ctx, s.db.Q(ctx), func(r store.Row) (Browser, error) { return s.scan(ctx, r) },
		sqlList, string(user), store.Micros(s.clock.Now()))
	return list, errs.Wrap("list browsers", err)
}

// Revoke forgets one browser of the user. errs.NotFound if there is none of that id.
func (s *Service) Revoke(ctx context.Context, user id.User, browser string) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		err := s.db.Q(ctx).QueryRow(ctx, sqlDelete, string(user), browser).Scan(new(string))
		if errors.Is(err, store.ErrNoRows) {
			return errs.New(errs.NotFound, "", nil)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, "browser.revoke", user, browser, nil)
	})
	return errs.Wrap("revoke browser", err)
}

// RevokeAll forgets every browser of the user and returns how many there were: afterwards each is as
// good as a stranger's. It joins the transaction that ctx carries.
func (s *Service) RevokeAll(ctx context.Context, user id.User) (int64, error) {
	return s.all(ctx, sqlDeleteAll, "browser.revoke_all", user)
}

// UntrustAll has every browser of the user asked for the second factor again. They stay known. It
// joins the transaction that ctx carries.
func (s *Service) UntrustAll(ctx context.Context, user id.User) (int64, error) {
	return s.all(ctx, sqlUntrustAll, "browser.untrust_all", user)
}

func (s *Service) all(ctx context.Context, sql, action string, user id.User) (n int64, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context) (err error) {
		if n, err = s.db.Q(ctx).Exec(ctx, sql, string(user)); n == 0 || err != nil {
			return err
		}
		return s.record(ctx, action, user, "", nil)
	})
	return n, errs.Wrap(action, err)
}

// DeleteExpired removes at most limit browsers that were not seen for Life and returns how many went.
func (s *Service) DeleteExpired(ctx context.Context, limit int) (int64, error) {
	return s.db.Q(ctx).Exec(ctx, sqlDeleteExpired, store.Micros(s.clock.Now()), limit)
}

func (s *Service) record(ctx context.Context, action string, user id.User, browser string, detail map[string]string) error {
	actor := audit.SourceOf(ctx).Actor
	if actor == "" {
		actor = string(user)
	}
	if detail == nil {
		detail = map[string]string{}
	}
	if browser != "" {
		detail["browser"] = browser
	}
	return s.audit.Record(ctx, audit.Event{Action: action, Result: audit.OK, Actor: actor, Target: string(user), Detail: detail})
}

func (s *Service) scan(ctx context.Context, r store.Row) (Browser, error) {
	var b Browser
	var hash string
	var created, seen, expires, trusted int64
	if err := r.Scan(&b.ID, &hash, &b.UserAgent, &b.IP, &created, &seen, &expires, &trusted); err != nil {
		return b, err
	}
	b.CreatedAt, b.LastSeenAt, b.ExpiresAt, b.TrustedUntil = store.Time(created), store.Time(seen), store.Time(expires), store.Time(trusted)
	mine, ok := presented(ctx)
	b.Current = ok && mine == hash
	b.Trusted = s.clock.Now().Before(b.TrustedUntil) && (!b.Current || alike(b.UserAgent, audit.SourceOf(ctx).Kept().UserAgent))
	return b, nil
}

// alike reports whether two User-Agents differ in nothing but versions. It is no proof of anything:
// it makes a cookie that was copied into another browser worth a little less.
func alike(a, b string) bool { return unversioned(a) == unversioned(b) }

func unversioned(agent string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' || r == '_' {
			return -1
		}
		return r
	}, agent)
}
