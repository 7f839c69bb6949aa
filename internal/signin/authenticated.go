package signin

import (
	"context"
	"errors"
	"time"

	"signet/internal/identity/device"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// Proof is what somebody has just proven.
type Proof struct {
	User id.User
	// Event says how. Its time is now, unless another provider says that it was earlier.
	Event session.Event
	// Offer says that the browser could use a passkey, so that one may be offered.
	Offer bool
	// New says that the account was made within this journey.
	New bool
}

// Outcome is what a proof led to.
type Outcome struct {
	// Session is who is signed in now; nil while a second factor is owed.
	Session *session.Session
	// Cookie and Device are the new values of the browser's cookies; "" leaves them alone.
	Cookie, Device string
}

// Authenticated takes note of a first factor, or of one that counts for two. If nothing more is
// owed the person gets a session: the same one with a new cookie if they were signed in already,
// else a fresh row; a session id never passes from one person to another. If a second factor is
// owed there is no session yet: the journey remembers the first one, and only SecondFactor of this
// same journey goes on from there. The transition and the session are one transaction, so of
// several posts at once one signs in; the others get errs.Conflict.
func (s *Service) Authenticated(ctx context.Context, j *Journey, p Proof, current *session.Session) (Outcome, error) {
	if now := s.clock.Now(); p.Event.At.IsZero() || p.Event.At.After(now) {
		p.Event.At = now
	}
	var out Outcome
	var st state
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		events, owed, err := s.afterFirst(ctx, p)
		if err != nil {
			return err
		}
		if owed {
			st = state{Half: &half{User: p.User, Events: events, At: s.clock.Now(), Offer: p.Offer, New: p.New}, Parked: keepLink(j.state.Parked)}
			out = Outcome{}
			return s.step(ctx, j, st, false)
		}
		out, st, err = s.enter(ctx, j, p.User, events, current, entry{offer: p.Offer, isNew: p.New})
		return err
	})
	if err != nil {
		return Outcome{}, errs.Wrap("authenticated", err)
	}
	j.moved(st, time.Time{})
	return out, nil
}

// afterFirst says whether a second factor is owed after a first one, and what is proven.
func (s *Service) afterFirst(ctx context.Context, p Proof) (events []session.Event, owed bool, err error) {
	events = []session.Event{p.Event}
	if s.policy.Mode == MFAOff || session.Level(events) >= 2 {
		return events, false, nil
	}
	has, err := s.factors.Of(ctx, p.User)
	switch {
	case err != nil:
		return nil, false, err
	case !has.Any():
		return events, s.policy.Mode == MFARequired, nil
	case s.policy.RememberFor <= 0:
		return events, true, nil
	}
	browser, err := s.browsers.Known(ctx, p.User)
	if err != nil {
		return nil, false, err
	}
	if browser != nil && browser.Trusted {
		return append(events, session.Event{Method: session.KnownBrowser, At: p.Event.At, Credential: browser.ID}), false, nil
	}
	return events, true, nil
}

// SecondFactor takes note of a second factor: of somebody who proved the first one within this
// journey, who now gets a session with both; or of who is signed in, whose session is raised.
// trust asks that this browser be remembered. It joins the transaction in which the factor was
// checked.
func (s *Service) SecondFactor(ctx context.Context, j *Journey, e session.Event, trust bool, current *session.Session) (Outcome, error) {
	e.At = s.clock.Now()
	var out Outcome
	var st state
	err := s.db.InTx(ctx, func(ctx context.Context) (err error) {
		if h := j.state.Half; h != nil {
			// Whoever replaces a password ends what it had opened; this half must not be missed.
			if err := s.accounts.HoldProof(ctx, h.User, h.At); err != nil {
				return err
			}
			out, st, err = s.enter(ctx, j, h.User, append(j.HalfEvents(), e), current, entry{offer: h.Offer, isNew: h.New, trust: trust})
			return err
		}
		if current == nil {
			return errs.New(errs.Conflict, "", errors.New("nobody proved a first factor"))
		}
		sess, cookie, err := s.sessions.Reauthenticate(ctx, current.ID, e)
		if err != nil {
			if errs.Is(err, errs.Unauthenticated) {
				return errs.New(errs.Conflict, "", err) // it ended meanwhile
			}
			return err
		}
		out = Outcome{Session: &sess, Cookie: cookie}
		st = s.stateFor(j, current)
		return s.step(ctx, j, st, false)
	})
	if err != nil {
		return Outcome{}, errs.Wrap("second factor", err)
	}
	j.moved(st, time.Time{})
	return out, nil
}

type entry struct{ offer, isNew, trust bool }

// enter is the one way into a session. It runs in a transaction.
func (s *Service) enter(ctx context.Context, j *Journey, user id.User, events []session.Event, current *session.Session, e entry) (Outcome, state, error) {
	sess, cookie, err := s.open(ctx, user, events, current)
	if err != nil {
		return Outcome{}, state{}, err
	}
	known, deviceCookie, err := s.browsers.Note(ctx, user)
	if err != nil {
		return Outcome{}, state{}, err
	}
	if e.trust && s.policy.RememberFor > 0 {
		if err := s.browsers.Trust(device.WithCookie(ctx, deviceCookie), user, s.policy.RememberFor); err != nil {
			return Outcome{}, state{}, err
		}
	}
	if s.notices != nil && !known && !e.isNew {
		if err := s.notices.NewSignIn(ctx, user); err != nil {
			return Outcome{}, state{}, err
		}
	}
	if link := j.Parked(ParkedLink); link != "" && s.links != nil {
		if err := s.links.Complete(ctx, user, link); err != nil {
			return Outcome{}, state{}, err
		}
	}
	st := state{User: user, Session: sess.ID, Proved: true, Offer: e.offer}
	return Outcome{Session: &sess, Cookie: cookie, Device: deviceCookie}, st, s.step(ctx, j, st, false)
}

// keepLink is all that outlives a first factor: the identity that waits for the account's owner.
func keepLink(parked map[Parked]string) map[Parked]string {
	if link := parked[ParkedLink]; link != "" {
		return map[Parked]string{ParkedLink: link}
	}
	return nil
}

func (s *Service) open(ctx context.Context, user id.User, events []session.Event, current *session.Session) (session.Session, string, error) {
	if current != nil && current.User == user {
		sess, cookie, err := s.sessions.Reauthenticate(ctx, current.ID, events...)
		if !errs.Is(err, errs.Unauthenticated) { // else it ended meanwhile: a fresh one
			return sess, cookie, err
		}
	} else if current != nil {
		// The browser forgets the cookie, so nobody could end that session from here any
		// more. Its grants live on as after an idle expiry: switching is not signing out.
		if err := s.sessions.End(ctx, current.ID); err != nil {
			return session.Session{}, "", err
		}
		if err := s.engine.LeaveSession(ctx, current.ID); err != nil {
			return session.Session{}, "", err
		}
	}
	sess, cookie, err := s.sessions.Start(ctx, user, events...)
	for _, sid := range sess.Displaced {
		if err == nil {
			err = s.engine.LeaveSession(ctx, sid)
		}
	}
	return sess, cookie, err
}

// Offered takes note that the person has answered the offer of a passkey, either way.
func (s *Service) Offered(ctx context.Context, j *Journey, sess *session.Session) error {
	st := s.stateFor(j, sess)
	st.Offer = false
	if err := s.step(ctx, j, st, false); err != nil {
		return err
	}
	j.moved(st, time.Time{})
	return nil
}
