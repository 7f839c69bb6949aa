// Package logout tells applications that a session has ended (OIDC Back-Channel Logout). It owns the
// table of who is to be told: an application with a logout address gets a row when a session signs
// somebody in to it, in the transaction that writes the code. Whoever ends a session takes the rows out
// and puts a notice for each into the outbox, in that one transaction, so that neither exists without
// the other. The outbox delivers them, for days if need be. The package does not make logout tokens
// (oauth does, which knows keys and subjects), does not show frames (pages does) and does not decide
// when a session ends.
package logout

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"signet/internal/oauth/client"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/outbox"
	"signet/internal/platform/store"
)

// Kind names logout notices in the outbox.
const Kind = "logout"

// Life is how long a notice is tried: over a long weekend. An application that was down for longer has
// lost its own sessions, or has to ask again by then.
const Life = 4 * 24 * time.Hour

// Party is an application that a session signed somebody in to.
type Party struct {
	Session id.Session
	Client  id.Client
	User    id.User
	Subject string // as the application knows the person
}

// Notice is what an application is told, before it is a token.
type Notice struct {
	Session id.Session `json:"session"`
	Subject string     `json:"sub"`
}

// TokenFunc makes the logout token of one attempt. jti is the same in attempts of unknown end.
type TokenFunc func(ctx context.Context, c *client.Client, n Notice, jti string) (string, error)

// Deps is what a Service needs.
type Deps struct {
	DB      *store.DB
	Clock   clock.Clock
	Clients *client.Service
	Outbox  *outbox.Service
	// Fetch posts the notices: a client of its own, so that other outbound requests need not wait.
	Fetch *fetch.Client
	// Kept is how long a row is good for: longer than any session lives.
	Kept time.Duration
}

// Service keeps who is to be told, and tells them. It is safe for concurrent use.
type Service struct {
	d     Deps
	gates gates
}

// New returns a Service. Notices leave once Tokens was called.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Clients == nil || d.Outbox == nil || d.Fetch == nil || d.Kept <= 0 {
		return nil, errors.New("logout: DB, Clock, Clients, Outbox, Fetch and Kept are required")
	}
	return &Service{d: d}, nil
}

// Tokens names who makes the logout tokens, and is the last step of wiring.
func (s *Service) Tokens(make TokenFunc) {
	s.d.Outbox.Register(Kind, func(ctx context.Context, d outbox.Delivery) error { return s.deliver(ctx, d, make) },
		outbox.Options{Loops: loops, Patience: patience})
}

// Concerns reports whether the application wants to know when a session ends.
func Concerns(c *client.Client) bool {
	return c.Metadata.BackchannelLogoutURI != "" || c.Metadata.FrontchannelLogoutURI != ""
}

// Join notes that a session signs somebody in to an application, in the transaction that ctx carries.
func (s *Service) Join(ctx context.Context, p Party) error {
	store.MustTx(ctx)
	_, err := s.d.DB.Q(ctx).Exec(ctx, sqlJoin, string(p.Session), string(p.Client), string(p.User), p.Subject, store.Micros(s.d.Clock.Now()))
	return err
}

// EndSession puts a notice for every application of the session, in the transaction that ends it, and
// returns the applications.
func (s *Service) EndSession(ctx context.Context, sid id.Session) ([]Party, error) {
	return s.end(ctx, sqlEndSession, string(sid))
}

// EndUser does the same for all sessions of somebody but one ("" for none), those included that
// expired without word: the applications may not have noticed.
func (s *Service) EndUser(ctx context.Context, user id.User, except id.Session) ([]Party, error) {
	return s.end(ctx, sqlEndUser, string(user), string(except))
}

// EndClient does the same for one application, from which somebody takes their consent back.
func (s *Service) EndClient(ctx context.Context, user id.User, c id.Client) ([]Party, error) {
	return s.end(ctx, sqlEndClient, string(user), string(c))
}

// end takes the rows out by one statement: of two that end the same session at once, each application
// is told by one.
func (s *Service) end(ctx context.Context, sql string, args ...any) ([]Party, error) {
	store.MustTx(ctx)
	parties, err := store.All(ctx, s.d.DB.Q(ctx), func(r store.Row) (p Party, err error) {
		err = r.Scan((*string)(&p.Session), (*string)(&p.Client), (*string)(&p.User), &p.Subject)
		return p, err
	}, sql, args...)
	if err != nil {
		return nil, err
	}
	for _, p := range parties {
		if err := s.put(ctx, p); err != nil {
			return nil, err
		}
	}
	return parties, nil
}

// put queues one notice, for an application that has an address for it: the recorded one, because a
// transaction waits for no document's owner.
func (s *Service) put(ctx context.Context, p Party) error {
	c, err := s.d.Clients.Recorded(ctx, p.Client)
	if errs.Is(err, errs.NotFound) || err == nil && c.Metadata.BackchannelLogoutURI == "" {
		return nil
	}
	if err != nil {
		return err
	}
	payload, err := json.Marshal(Notice{Session: p.Session, Subject: p.Subject})
	if err != nil {
		return err
	}
	_, err = s.d.Outbox.Put(ctx, outbox.Message{
		Kind: Kind, Subject: string(p.User), Recipient: string(p.Client), Payload: payload, Expires: s.d.Clock.Now().Add(Life),
	})
	return err
}

// DeleteExpired removes at most limit rows of sessions that are long over and returns how many went. A
// session that only expires is no sign-out: nobody is told (decision 0006), but for a while somebody
// may still sign out everywhere.
func (s *Service) DeleteExpired(ctx context.Context, limit int) (int64, error) {
	return s.d.DB.Q(ctx).Exec(ctx, sqlSweep, store.Micros(s.d.Clock.Now().Add(-s.d.Kept)), limit)
}
