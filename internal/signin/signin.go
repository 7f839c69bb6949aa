package signin

import (
	"context"
	"errors"
	"time"

	"signet/internal/identity/account"
	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
)

// Accounts is what a journey needs to know of people; account.Service is it.
type Accounts interface {
	ByID(ctx context.Context, user id.User) (account.Account, error)
}

// Engine is what a journey needs of the protocol; oauth.Engine is it.
type Engine interface {
	Issue(ctx context.Context, r *oauth.Request, l oauth.Login) (*oauth.Response, error)
	Refuse(r *oauth.Request, code, description string) *oauth.Response
	MissingConsent(ctx context.Context, r *oauth.Request, user id.User) (scopes, resources []string, err error)
	Approve(ctx context.Context, r *oauth.Request, user id.User) error
	RevokeSession(ctx context.Context, s id.Session) error
	RevokeUser(ctx context.Context, user id.User, except id.Session) error
}

// Deps is what a Service needs.
type Deps struct {
	DB       *store.DB
	Clock    clock.Clock
	Accounts Accounts
	Sessions *session.Service
	Engine   Engine
}

// Service moves journeys.
type Service struct {
	db       *store.DB
	clock    clock.Clock
	accounts Accounts
	sessions *session.Service
	engine   Engine
	maxOpen  int
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Accounts == nil || d.Sessions == nil || d.Engine == nil {
		return nil, errors.New("signin: DB, Clock, Accounts, Sessions and Engine are required")
	}
	return &Service{db: d.DB, clock: d.Clock, accounts: d.Accounts, sessions: d.Sessions, engine: d.Engine, maxOpen: MaxOpen}, nil
}

// Authorize answers a checked authorization request at once if it can: with a code when the
// person is signed in and owes nothing, with an error for prompt=none. Otherwise it parks the
// request and returns the journey. sess is nil when nobody is signed in.
func (s *Service) Authorize(ctx context.Context, browser string, r *oauth.Request, sess *session.Session) (*oauth.Response, id.Journey, error) {
	f := s.facts(&Journey{Request: r}, sess)
	step, code := Next(f)
	if step == Done { // only then is it worth a look at the consent
		scopes, resources, err := s.engine.MissingConsent(ctx, r, sess.User)
		if err != nil {
			return nil, "", errs.Wrap("authorize", err)
		}
		f.ConsentMissing = len(scopes)+len(resources) > 0
		step, code = Next(f)
	}
	if step == Done {
		// Issuing reads the state of user, session and consent once more, in its own
		// statement; so the account needs no read of its own here.
		resp, err := s.engine.Issue(ctx, r, loginOf(sess))
		refused := refusal(err)
		switch {
		case err == nil:
			return resp, "", nil
		case refused == nil:
			return nil, "", errs.Wrap("authorize", err)
		case f.asks("none") || !curable(refused.Code):
			step, code = Refuse, refused.Code
		}
	}
	if step == Refuse {
		return s.engine.Refuse(r, code, ""), "", nil
	}
	j, err := s.Begin(ctx, browser, r)
	return nil, j, err
}

// Begin parks a checked authorization request.
func (s *Service) Begin(ctx context.Context, browser string, r *oauth.Request) (id.Journey, error) {
	return s.begin(ctx, browser, r.ClientID, frozen{Authorize: r})
}

// BeginLocal starts a journey of our own pages.
func (s *Service) BeginLocal(ctx context.Context, browser string, l Local) (id.Journey, error) {
	return s.begin(ctx, browser, "", frozen{Local: &l})
}

// BeginLeave parks a sign-out until the person says yes.
func (s *Service) BeginLeave(ctx context.Context, browser string, l Leave) (id.Journey, error) {
	return s.begin(ctx, browser, l.Client, frozen{Leave: &l})
}

// Owed is what a journey owes now.
type Owed struct {
	Step Step
	Code string // for Refuse
	// Account is who is signed in, nil for nobody.
	Account *account.Account
	// Scopes and Resources are what was never granted.
	Scopes, Resources []string
	// Again says that somebody is signed in and has to prove it once more; Other that the
	// application named another account than that.
	Again, Other bool
}

// Decide gathers the facts and asks Next.
func (s *Service) Decide(ctx context.Context, j *Journey, sess *session.Session) (Owed, error) {
	var o Owed
	f := s.facts(j, sess)
	if sess != nil {
		a, err := s.accounts.ByID(ctx, sess.User)
		switch {
		case errs.Is(err, errs.NotFound):
			f.Disabled = true
		case err != nil:
			return o, errs.Wrap("decide", err)
		default:
			f.Disabled = a.Status != account.Active
			o.Account = &a
		}
	}
	if f.Disabled {
		o.Account = nil
	}
	if j.Request != nil && o.Account != nil {
		var err error
		if o.Scopes, o.Resources, err = s.engine.MissingConsent(ctx, j.Request, sess.User); err != nil {
			return o, errs.Wrap("decide", err)
		}
		f.ConsentMissing = len(o.Scopes)+len(o.Resources) > 0
	}
	o.Step, o.Code = Next(f)
	if o.Step == Login && o.Account != nil {
		o.Other = f.otherThanHinted()
		o.Again = !o.Other
	}
	return o, nil
}

func (s *Service) facts(j *Journey, sess *session.Session) Facts {
	f := Facts{Now: s.clock.Now()}
	switch {
	case j.Request != nil:
		f.Prompt, f.MaxAge, f.HintSubject = j.Request.Prompt, j.Request.MaxAge, j.Request.HintSubject
	case j.Local != nil:
		f.MaxAge = j.Local.MaxAge
		if j.Local.Create {
			f.Prompt = []string{"create"}
		}
	}
	if sess == nil {
		return f
	}
	f.User, f.AuthTime = sess.User, sess.AuthTime()
	if j.state.Session == sess.ID && j.state.User == sess.User {
		f.Proved, f.Chosen, f.Approved = j.state.Proved, j.state.Chosen, j.state.Approved
	}
	return f
}

// Authenticated takes note that user has just proved who they are (method as in session.Event),
// and gives them a session: the same one with a new cookie if they were signed in already, else
// a fresh row. A session id never passes from one person to another. The transition and the
// session are one transaction, so of several posts at once one signs in; the others get
// errs.Conflict.
func (s *Service) Authenticated(ctx context.Context, j *Journey, user id.User, method string, current *session.Session) (session.Session, string, error) {
	var sess session.Session
	var cookie string
	var st state
	err := s.db.InTx(ctx, func(ctx context.Context) (err error) {
		sess, cookie, err = s.open(ctx, user, session.Event{Method: method, At: s.clock.Now()}, current)
		if err != nil {
			return err
		}
		st = state{User: user, Session: sess.ID, Proved: true}
		return s.step(ctx, j, st, false)
	})
	if err != nil {
		return session.Session{}, "", errs.Wrap("authenticated", err)
	}
	j.moved(st, time.Time{})
	return sess, cookie, nil
}

func (s *Service) open(ctx context.Context, user id.User, e session.Event, current *session.Session) (session.Session, string, error) {
	if current != nil && current.User == user {
		sess, cookie, err := s.sessions.Reauthenticate(ctx, current.ID, e)
		if !errs.Is(err, errs.Unauthenticated) { // else it ended meanwhile: a fresh one
			return sess, cookie, err
		}
	} else if current != nil {
		// The browser forgets the cookie, so nobody could end that session from here any
		// more. Its grants live on as after an idle expiry: switching is not signing out.
		if err := s.sessions.End(ctx, current.ID); err != nil {
			return session.Session{}, "", err
		}
	}
	return s.sessions.Start(ctx, user, e)
}

// Choose takes note that the signed-in person was picked on the account chooser.
func (s *Service) Choose(ctx context.Context, j *Journey, sess *session.Session) error {
	st := s.stateFor(j, sess)
	st.Chosen = true
	if err := s.step(ctx, j, st, false); err != nil {
		return err
	}
	j.moved(st, time.Time{})
	return nil
}

// Approve takes note that the signed-in person allows what the application asks: the consent
// and the transition in one transaction.
func (s *Service) Approve(ctx context.Context, j *Journey, sess *session.Session) error {
	st := s.stateFor(j, sess)
	st.Approved = true
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.step(ctx, j, st, false); err != nil {
			return err
		}
		return s.engine.Approve(ctx, j.Request, sess.User)
	})
	if err != nil {
		return errs.Wrap("approve", err)
	}
	j.moved(st, time.Time{})
	return nil
}

// stateFor is the journey's state if it is about this session, else a fresh one.
func (s *Service) stateFor(j *Journey, sess *session.Session) state {
	if j.state.Session == sess.ID && j.state.User == sess.User {
		return j.state
	}
	return state{User: sess.User, Session: sess.ID}
}

// Finish ends the journey with a code. The end and the code are one transaction: at most one
// code comes out of a journey, and a failure leaves it open for another try. For a journey of
// our own pages the response is nil; go to Local.Target.
func (s *Service) Finish(ctx context.Context, j *Journey, sess *session.Session) (*oauth.Response, error) {
	var resp *oauth.Response
	err := s.db.InTx(ctx, func(ctx context.Context) (err error) {
		if err := s.step(ctx, j, j.state, true); err != nil || j.Request == nil {
			return err
		}
		resp, err = s.engine.Issue(ctx, j.Request, loginOf(sess))
		return err
	})
	if refused := refusal(err); refused != nil {
		return s.Refuse(ctx, j, refused.Code)
	}
	if err != nil {
		return nil, errs.Wrap("finish journey", err)
	}
	j.moved(j.state, s.clock.Now())
	return resp, nil
}

// Refuse ends the journey with an error for the application; the response is nil for a
// journey of our own pages.
func (s *Service) Refuse(ctx context.Context, j *Journey, code string) (*oauth.Response, error) {
	if err := s.step(ctx, j, j.state, true); err != nil {
		return nil, err
	}
	j.moved(j.state, s.clock.Now())
	if j.Request == nil {
		return nil, nil
	}
	return s.engine.Refuse(j.Request, code, ""), nil
}

// EndSession signs out: the session and everything issued under it, in one transaction.
func (s *Service) EndSession(ctx context.Context, sid id.Session) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.sessions.End(ctx, sid); err != nil {
			return err
		}
		return s.engine.RevokeSession(ctx, sid)
	})
	return errs.Wrap("end session", err)
}

// EndOthers ends all that the user is signed in to but one session: every other session and every
// grant that was not made in it, those of sessions long expired included. With except "" nothing
// is left. It joins the transaction that ctx carries, so that a change of status or password and
// its consequence are one.
func (s *Service) EndOthers(ctx context.Context, user id.User, except id.Session) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.sessions.EndAll(ctx, user, except); err != nil {
			return err
		}
		return s.engine.RevokeUser(ctx, user, except)
	})
	return errs.Wrap("end sign-ins", err)
}

func loginOf(sess *session.Session) oauth.Login {
	return oauth.Login{User: sess.User, Session: sess.ID, AuthTime: sess.AuthTime(), ACR: sess.ACR(), AMR: sess.AMR()}
}

// refusal returns the protocol error in err if the application may hear it: the user, session,
// consent or registration changed under the request.
func refusal(err error) *oauth.Error {
	var e *oauth.Error
	if errors.As(err, &e) && e.Redirect != nil {
		return e
	}
	return nil
}

// curable reports whether a person can mend what an error complains about.
func curable(code string) bool { return code == LoginRequired || code == ConsentRequired }
