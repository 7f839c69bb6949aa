// Package session keeps browser sessions: server-side rows found by the hash of a random cookie
// value, with the list of authentication events that happened in them, an idle and an absolute
// lifetime, and a cap per account. It owns the session table. It does not authenticate anybody
// (account does), set cookies (pages does), decide whether a session satisfies a request (signin
// does) or know what was issued under a session (oauth does; signin ends both together).
package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Event is one authentication: how and when the user proved to be present.
type Event struct {
	Method string
	At     time.Time
	// Verified says that a passkey checked its holder (WebAuthn §6.1, the UV flag).
	Verified bool
	// Credential names which passkey or provider it was, for the owner's eyes; "" where there is
	// only one.
	Credential string
}

// Session is a browser session.
type Session struct {
	ID         id.Session
	User       id.User
	Events     []Event // oldest first, at most one per method
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time // absolute
	UserAgent  string
	IP         string
	// Displaced are the sessions that gave way to a new one because there were too many. Only Start
	// says so.
	Displaced []id.Session
}

// AuthTime is when the user last authenticated (OIDC Core §2, "auth_time").
func (s Session) AuthTime() time.Time {
	var at time.Time
	for _, e := range s.Events {
		if e.At.After(at) {
			at = e.At
		}
	}
	return at
}

// Deps is what a Service needs.
type Deps struct {
	DB    *store.DB
	Clock clock.Clock
	Audit *audit.Log
	// Idle ends a session that was not used for so long; Absolute ends any. 0 means 24 h and
	// 30 days.
	Idle, Absolute time.Duration
	// MaxPerAccount bounds the sessions of one account: a login beyond it ends the oldest. 0
	// means 50.
	MaxPerAccount int
}

// Service starts, finds and ends sessions.
type Service struct {
	db             *store.DB
	clock          clock.Clock
	audit          *audit.Log
	idle, absolute time.Duration
	max            int
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Audit == nil {
		return nil, errors.New("session: DB, Clock and Audit are required")
	}
	if d.Idle == 0 {
		d.Idle = 24 * time.Hour
	}
	if d.Absolute == 0 {
		d.Absolute = 30 * 24 * time.Hour
	}
	if d.MaxPerAccount == 0 {
		d.MaxPerAccount = 50
	}
	if d.Idle < touchEvery || d.Absolute < d.Idle || d.MaxPerAccount < 1 {
		return nil, fmt.Errorf("session: Idle must be at least %v, Absolute at least Idle, MaxPerAccount at least 1", touchEvery)
	}
	return &Service{db: d.DB, clock: d.Clock, audit: d.Audit, idle: d.Idle, absolute: d.Absolute, max: d.MaxPerAccount}, nil
}

// touchEvery is how precisely idle time is known: more often would make every page view a write.
const touchEvery = time.Minute

// Start begins a session for a user who just authenticated and returns it with the value of its
// cookie, which is known nowhere else. A login always starts a new row under a new cookie, so
// a cookie planted before the login is worth nothing after it (session fixation).
func (s *Service) Start(ctx context.Context, user id.User, events ...Event) (Session, string, error) {
	now := s.clock.Now()
	src := audit.SourceOf(ctx).Kept()
	cookie := id.NewToken(id.SessionCookie)
	sess := Session{
		ID: id.Session(id.New()), User: user, Events: events,
		CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(s.absolute),
		UserAgent: src.UserAgent, IP: src.IP,
	}
	text, err := encodeEvents(sess.Events)
	if err != nil {
		return Session{}, "", err
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		_, err := s.db.Q(ctx).Exec(ctx, sqlInsert, string(sess.ID), id.Digest(cookie), string(user), text,
			sess.UserAgent, sess.IP, store.Micros(now), store.Micros(now), store.Micros(sess.ExpiresAt))
		if errors.Is(err, store.ErrForeignKey) {
			return errs.New(errs.Unauthenticated, "", err) // the account was deleted meanwhile
		}
		if err != nil {
			return err
		}
		if err := s.record(ctx, "session.start", user, sess.ID, map[string]string{"method": methods(events)}); err != nil {
			return err
		}
		sess.Displaced, err = s.enforceCap(ctx, user)
		return err
	})
	if err != nil {
		return Session{}, "", errs.Wrap("start session", err)
	}
	return sess, cookie, nil
}

// enforceCap ends the oldest sessions beyond the cap. Logins at the very same moment may leave a
// few more on Postgres; the next login ends those too.
func (s *Service) enforceCap(ctx context.Context, user id.User) ([]id.Session, error) {
	ended, err := s.delete(ctx, sqlDeleteOverCap, string(user), s.max)
	for _, sid := range ended {
		if err == nil {
			err = s.record(ctx, "session.end", user, sid, map[string]string{"reason": "cap"})
		}
	}
	return ended, err
}

// Lookup returns the session of a cookie value, or nil if there is none: never made, ended,
// expired, superseded or malformed, which all look alike. One read of one row by unique key; at
// most once a minute it also moves the idle time, and a failure of that is not the visitor's.
func (s *Service) Lookup(ctx context.Context, cookie string) (*Session, error) {
	hash, ok := id.Hash(id.SessionCookie, cookie)
	if !ok {
		return nil, nil
	}
	sess, err := scan(s.db.Q(ctx).QueryRow(ctx, sqlByToken, hash))
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.Wrap("look up session", err)
	}
	now := s.clock.Now()
	if !s.live(sess, now) {
		return nil, nil
	}
	if now.Sub(sess.LastSeenAt) >= touchEvery {
		// Conditional, so that of several requests at once one writes; and bound to the token,
		// so that a cookie superseded meanwhile does not keep its successor alive.
		_, _ = s.db.Q(ctx).Exec(ctx, sqlTouch, string(sess.ID), hash, store.Micros(now), store.Micros(now.Add(-touchEvery)))
		sess.LastSeenAt = now
	}
	return &sess, nil
}

// live reports whether neither lifetime has passed.
func (s *Service) live(sess Session, now time.Time) bool {
	return now.Before(sess.ExpiresAt) && now.Before(sess.LastSeenAt.Add(s.idle))
}

// Reauthenticate adds authentication events to a session and gives it a new cookie value; the
// old one is worthless from then on. The absolute lifetime stays.
func (s *Service) Reauthenticate(ctx context.Context, sid id.Session, events ...Event) (Session, string, error) {
	cookie := id.NewToken(id.SessionCookie)
	var sess Session
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		var err error
		sess, err = s.rotate(ctx, sid, events, id.Digest(cookie))
		if err != nil {
			return err
		}
		return s.record(ctx, "session.reauthenticate", sess.User, sid, map[string]string{"method": methods(events)})
	})
	if err != nil {
		return Session{}, "", errs.Wrap("reauthenticate session", err)
	}
	return sess, cookie, nil
}

func (s *Service) rotate(ctx context.Context, sid id.Session, events []Event, hash string) (Session, error) {
	const tries = 8 // each lost try means that another reauthentication of this session won
	for range tries {
		var old string
		q := s.db.Q(ctx)
		sess, err := scan(q.QueryRow(ctx, sqlByID, string(sid)), &old)
		now := s.clock.Now()
		if errors.Is(err, store.ErrNoRows) || err == nil && !s.live(sess, now) {
			return Session{}, errs.New(errs.Unauthenticated, "", errors.New("the session has ended"))
		}
		if err != nil {
			return Session{}, err
		}
		for _, e := range events {
			sess.Events = append(slices.DeleteFunc(sess.Events, func(o Event) bool { return o.Method == e.Method }), e)
		}
		sess.LastSeenAt = now
		text, err := encodeEvents(sess.Events)
		if err != nil {
			return Session{}, err
		}
		n, err := q.Exec(ctx, sqlRotate, string(sid), old, hash, text, store.Micros(now))
		if err != nil {
			return Session{}, err
		}
		if n == 1 {
			return sess, nil
		}
	}
	return Session{}, errs.New(errs.Conflict, "", errors.New("session rotated by others"))
}

// End ends a session. Ending one that has ended already is no error.
func (s *Service) End(ctx context.Context, sid id.Session) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		var user id.User
		err := s.db.Q(ctx).QueryRow(ctx, sqlDelete, string(sid)).Scan((*string)(&user))
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.record(ctx, "session.end", user, sid, nil)
	})
	return errs.Wrap("end session", err)
}

// EndAll ends every session of the user but except ("" for none) and returns those it ended.
func (s *Service) EndAll(ctx context.Context, user id.User, except id.Session) ([]id.Session, error) {
	var ended []id.Session
	err := s.db.InTx(ctx, func(ctx context.Context) (err error) {
		ended, err = s.delete(ctx, sqlDeleteAll, string(user), string(except))
		for _, sid := range ended {
			if err == nil {
				err = s.record(ctx, "session.end", user, sid, map[string]string{"reason": "all"})
			}
		}
		return err
	})
	return ended, errs.Wrap("end all sessions", err)
}

// List returns the live sessions of the user, the last used first.
func (s *Service) List(ctx context.Context, user id.User) ([]Session, error) {
	now := s.clock.Now()
	list, err := store.All(ctx, s.db.Q(ctx), func(r store.Row) (Session, error) { return scan(r) },
		sqlList, string(user), store.Micros(now), store.Micros(now.Add(-s.idle)), s.max)
	return list, errs.Wrap("list sessions", err)
}

// Active reports whether the session is alive.
func (s *Service) Active(ctx context.Context, sid id.Session) (bool, error) {
	now := s.clock.Now()
	var one int64
	err := s.db.Q(ctx).QueryRow(ctx, sqlActive, string(sid), store.Micros(now), store.Micros(now.Add(-s.idle))).Scan(&one)
	if errors.Is(err, store.ErrNoRows) {
		return false, nil
	}
	return err == nil, errs.Wrap("check session", err)
}

// DeleteExpired removes at most limit sessions that have expired and returns how many went. Idle
// time alone finds them all: nothing touches a session after its absolute end.
func (s *Service) DeleteExpired(ctx context.Context, limit int) (int64, error) {
	return s.db.Q(ctx).Exec(ctx, sqlDeleteExpired, store.Micros(s.clock.Now().Add(-s.idle)), limit)
}

func (s *Service) delete(ctx context.Context, sql string, args ...any) ([]id.Session, error) {
	return store.All(ctx, s.db.Q(ctx), func(r store.Row) (sid id.Session, err error) {
		err = r.Scan((*string)(&sid))
		return sid, err
	}, sql, args...)
}

func (s *Service) record(ctx context.Context, action string, user id.User, sid id.Session, detail map[string]string) error {
	actor := audit.SourceOf(ctx).Actor
	if actor == "" {
		actor = string(user)
	}
	if detail == nil {
		detail = map[string]string{}
	}
	detail["session"] = string(sid)
	return s.audit.Record(ctx, audit.Event{Action: action, Result: audit.OK, Actor: actor, Target: string(user), Detail: detail})
}

// scan reads the columns of sqlColumns; extra takes further columns.
func scan(r store.Row, extra ...any) (Session, error) {
	var sess Session
	var events string
	var created, seen, expires int64
	dest := []any{(*string)(&sess.ID), (*string)(&sess.User), &events, &sess.UserAgent, &sess.IP, &created, &seen, &expires}
	if err := r.Scan(append(dest, extra...)...); err != nil {
		return Session{}, err
	}
	sess.CreatedAt, sess.LastSeenAt, sess.ExpiresAt = store.Time(created), store.Time(seen), store.Time(expires)
	var err error
	sess.Events, err = decodeEvents(events)
	return sess, err
}
