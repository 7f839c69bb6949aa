package signin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/store"
)

// Life is how long a journey may take. Half an hour covers a person who goes looking for a
// password; a parked page that is older starts again at the application.
const Life = 30 * time.Minute

// MaxOpen is how many unfinished journeys one source network may have (ratelimit.SourceNetwork):
// anybody can begin one, and it holds up to some 16 kB. A large office behind one address has far
// fewer people who are signing in at the same time.
const MaxOpen = 2000

// The message keys of the two ways in which a journey cannot be opened.
const (
	KeyExpired   = "error.journey_expired"
	KeyElsewhere = "error.journey_elsewhere"
)

// Journey is a sign-in under way. What was asked is frozen; only state moves.
type Journey struct {
	ID        id.Journey
	Request   *oauth.Request // nil unless an application asked
	Local     *Local         // nil unless one of our own pages asked
	Leave     *Leave         // nil unless it is a sign-out waiting for a yes
	CreatedAt time.Time
	ExpiresAt time.Time
	DoneAt    time.Time

	state   state
	version int64
}

// Done reports whether the journey has ended, by a code or by a refusal.
func (j *Journey) Done() bool { return !j.DoneAt.IsZero() }

// UILocales are the languages that the application asked for (OIDC Core §3.1.2.1).
func (j *Journey) UILocales() []string {
	if j.Request == nil {
		return nil
	}
	return j.Request.UILocales
}

// LoginHint is what the application knows about who will sign in.
func (j *Journey) LoginHint() string {
	if j.Request == nil {
		return ""
	}
	return j.Request.LoginHint
}

// Local is a journey of our own pages. Target is a path chosen by our code, never by input.
type Local struct {
	Target string `json:"target"`
	MaxAge *int64 `json:"max_age,omitempty"` // seconds, as in an authorization request
	Create bool   `json:"create,omitempty"`  // start at the sign-up page
	// Strong asks, of whom has a second factor, that it was proven within MaxAge too: a remembered
	// browser or a second factor of this morning is not enough to change what protects the account.
	Strong bool `json:"strong,omitempty"`
	// TwoFactors and ACRValues are what an application demands that is let in on our own page.
	TwoFactors bool     `json:"two_factors,omitempty"`
	ACRValues  []string `json:"acr_values,omitempty"`
}

// Leave is a sign-out that waits for the person's yes. Location was checked against the
// client's registration; "" means our own page.
type Leave struct {
	Client   id.Client `json:"client,omitempty"`
	Location string    `json:"location,omitempty"`
	Locales  []string  `json:"locales,omitempty"`
}

// frozen is the column request: exactly one of the three.
type frozen struct {
	Authorize *oauth.Request `json:"authorize,omitempty"`
	Local     *Local         `json:"local,omitempty"`
	Leave     *Leave         `json:"leave,omitempty"`
}

// state is the column state: what the journey settled. The first group counts only while that
// very session is the one in the browser; somebody else's steps are never inherited. The second
// belongs to the journey itself.
type state struct {
	User     id.User    `json:"user,omitempty"`
	Session  id.Session `json:"session,omitempty"`
	Proved   bool       `json:"proved,omitempty"`
	Chosen   bool       `json:"chosen,omitempty"`
	Approved bool       `json:"approved,omitempty"`
	// Offer says that a passkey may be offered: signed in by password in a browser that can.
	Offer bool `json:"offer,omitempty"`

	// Half is somebody who proved the first factor and owes the second. It is no session: it is
	// worth nothing outside of this journey.
	Half *half `json:"half,omitempty"`
	// Parked are the one-time things that this journey waits for.
	Parked map[Parked]string `json:"parked,omitempty"`
}

// half is a sign-in that waits for its second factor.
type half struct {
	User   id.User         `json:"user"`
	Events []session.Event `json:"events"`
	// At is when it was proven here; the event of another provider may be older.
	At    time.Time `json:"at"`
	Offer bool      `json:"offer,omitempty"`
	New   bool      `json:"new,omitempty"`
}

// Parked names what a journey may wait for. The value is chosen by our code, mostly the id of a
// one-time thing.
type Parked string

// What a journey may wait for.
const (
	ParkedSignUp   Parked = "signup"    // the address of a sign-up; while it is there, Verify is owed
	ParkedReset    Parked = "reset"     // the code of a password reset
	ParkedNewWord  Parked = "new_word"  // a reset was proven; the new password is owed
	ParkedMailCode Parked = "mail_code" // the code of a sign-in by mail
	ParkedLink     Parked = "link"      // an upstream identity that waits for the owner of an account
)

// Parked returns what the journey waits for, "" for nothing.
func (j *Journey) Parked(p Parked) string { return j.state.Parked[p] }

// HalfUser returns who has proven the first factor and owes the second, "" for nobody.
func (j *Journey) HalfUser() id.User {
	if j.state.Half == nil {
		return ""
	}
	return j.state.Half.User
}

// HalfEvents returns what was proven so far.
func (j *Journey) HalfEvents() []session.Event {
	if j.state.Half == nil {
		return nil
	}
	return slices.Clone(j.state.Half.Events)
}

func (s *Service) begin(ctx context.Context, browser string, client id.Client, f frozen) (id.Journey, error) {
	hash, ok := id.Hash(id.BrowserCookie, browser)
	if !ok {
		return "", errs.New(errs.Forbidden, KeyElsewhere, errors.New("no browser cookie"))
	}
	request, err := json.Marshal(f)
	if err != nil {
		return "", errs.Wrap("begin journey", err)
	}
	now := s.clock.Now()
	j := id.Journey(id.New())
	source := ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)
	err = s.db.Q(ctx).QueryRow(ctx, sqlInsertJourney, string(j), hash, string(client), source, string(request),
		store.Micros(now), store.Micros(now.Add(Life)), s.maxOpen).Scan(new(int64))
	if errors.Is(err, store.ErrNoRows) {
		return "", errs.Retry(errs.Limited, "too_many_attempts", time.Minute)
	}
	if err != nil {
		return "", errs.Wrap("begin journey", err)
	}
	return j, nil
}

// Load finds a journey for the browser that started it. Anybody else's browser gets KeyElsewhere
// (RFC 9700 §4.7: neither can an attacker finish a victim's sign-in, nor the reverse), and an
// unknown or expired one KeyExpired.
func (s *Service) Load(ctx context.Context, j id.Journey, browser string) (*Journey, error) {
	var hash, request, st string
	var created, expires, done int64
	out := &Journey{ID: j}
	err := s.db.Q(ctx).QueryRow(ctx, sqlSelectJourney, string(j)).
		Scan(&hash, &request, &st, &out.version, &created, &expires, &done)
	if errors.Is(err, store.ErrNoRows) {
		return nil, errs.New(errs.NotFound, KeyExpired, nil)
	}
	if err != nil {
		return nil, errs.Wrap("load journey", err)
	}
	out.CreatedAt, out.ExpiresAt, out.DoneAt = store.Time(created), store.Time(expires), store.Time(done)
	if mine, ok := id.Hash(id.BrowserCookie, browser); !ok || mine != hash {
		return nil, errs.New(errs.Forbidden, KeyElsewhere, nil)
	}
	if !s.clock.Now().Before(out.ExpiresAt) {
		return nil, errs.New(errs.NotFound, KeyExpired, nil)
	}
	var f frozen
	if err := errors.Join(json.Unmarshal([]byte(request), &f), json.Unmarshal([]byte(st), &out.state)); err != nil {
		return nil, errs.Wrap("load journey", err)
	}
	out.Request, out.Local, out.Leave = f.Authorize, f.Local, f.Leave
	return out, nil
}

// step writes the journey's next state, and its end if done is set. errs.Conflict means that
// another request moved it first: look again, nothing was changed by this one.
func (s *Service) step(ctx context.Context, j *Journey, st state, done bool) error {
	text, err := json.Marshal(st)
	if err != nil {
		return errs.Wrap("step journey", err)
	}
	now := s.clock.Now()
	var doneAt int64
	if done {
		doneAt = store.Micros(now)
	}
	err = s.db.Q(ctx).QueryRow(ctx, sqlStepJourney, string(j.ID), j.version, string(text), doneAt, store.Micros(now)).Scan(new(int64))
	if errors.Is(err, store.ErrNoRows) {
		return errs.New(errs.Conflict, "", errors.New("the journey moved on"))
	}
	return errs.Wrap("step journey", err)
}

// Park notes what the journey waits for, or with value "" that it waits no more. It joins the
// transaction that ctx carries. errs.Conflict as with every transition.
func (s *Service) Park(ctx context.Context, j *Journey, p Parked, value string) error {
	st := j.state
	st.Parked = maps.Clone(st.Parked)
	if st.Parked == nil {
		st.Parked = map[Parked]string{}
	}
	if st.Parked[p] = value; value == "" {
		delete(st.Parked, p)
	}
	if err := s.step(ctx, j, st, false); err != nil {
		return err
	}
	j.moved(st, time.Time{})
	return nil
}

// moved notes in memory what step wrote, once its transaction has committed.
func (j *Journey) moved(st state, doneAt time.Time) {
	j.state, j.DoneAt = st, doneAt
	j.version++
}

// DeleteExpired removes at most limit journeys whose time is over and returns how many went.
func (s *Service) DeleteExpired(ctx context.Context, limit int) (int64, error) {
	return s.db.Q(ctx).Exec(ctx, sqlDeleteExpired, store.Micros(s.clock.Now()), limit)
}
