package signin

import (
	"context"
	"errors"
	"slices"
	"time"

	"signet/internal/identity/account"
	"signet/internal/identity/device"
	"signet/internal/identity/mfa"
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
	EndProofs(ctx context.Context, user id.User) error
	HoldProof(ctx context.Context, user id.User, at time.Time) error
	Policy() account.SignUpPolicy
	OwesTerms(a account.Account) bool
}

// Engine is what a journey needs of the protocol; oauth.Engine is it.
type Engine interface {
	Issue(ctx context.Context, r *oauth.Request, l oauth.Login) (*oauth.Response, error)
	Refuse(ctx context.Context, r *oauth.Request, code, description string) (*oauth.Response, error)
	Hinted(r *oauth.Request, user id.User) bool
	MissingConsent(ctx context.Context, r *oauth.Request, user id.User) (scopes, resources []string, err error)
	Admit(ctx context.Context, r *oauth.Request, user id.User) error
	Approve(ctx context.Context, r *oauth.Request, user id.User) error
	RevokeSession(ctx context.Context, s id.Session) (oauth.Farewell, error)
	LeaveSession(ctx context.Context, s id.Session) error
	RevokeUser(ctx context.Context, user id.User, except id.Session) error
}

// Factors knows which second factors an account has; mfa.Service is it.
type Factors interface {
	Of(ctx context.Context, user id.User) (mfa.Factors, error)
}

// Browsers knows where an account has signed in before; device.Service is it.
type Browsers interface {
	Known(ctx context.Context, user id.User) (*device.Browser, error)
	Note(ctx context.Context, user id.User) (known bool, cookie string, err error)
	Trust(ctx context.Context, user id.User, d time.Duration) error
	UntrustAll(ctx context.Context, user id.User) (int64, error)
}

// Links writes an upstream identity that waited for the owner of an account; federation.Service is
// it. It runs in the transaction of the sign-in that proves the owner.
type Links interface {
	Complete(ctx context.Context, user id.User, parked string) error
}

// Notices tells people of a sign-in in a browser that their account does not know. It runs in the
// transaction of the sign-in.
type Notices interface {
	NewSignIn(ctx context.Context, user id.User) error
}

// Offers knows whether a passkey may be offered to somebody.
type Offers interface {
	OfferDue(ctx context.Context, user id.User) (bool, error)
}

// Policy is what the deployment asks of everybody.
type Policy struct {
	Mode Mode // of second factors; "" means MFAOptional
	// RememberFor is how long a browser may be remembered; 0 means never.
	RememberFor time.Duration
}

// Deps is what a Service needs. Links, Notices and Offers may be nil: then there are none.
type Deps struct {
	DB       *store.DB
	Clock    clock.Clock
	Accounts Accounts
	Sessions *session.Service
	Engine   Engine
	Factors  Factors
	Browsers Browsers
	Links    Links
	Notices  Notices
	Offers   Offers
	Policy   Policy
}

// Service moves journeys.
type Service struct {
	db       *store.DB
	clock    clock.Clock
	accounts Accounts
	sessions *session.Service
	engine   Engine
	factors  Factors
	browsers Browsers
	links    Links
	notices  Notices
	offers   Offers
	policy   Policy
	maxOpen  int
}

// New returns a Service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Clock == nil || d.Accounts == nil || d.Sessions == nil || d.Engine == nil || d.Factors == nil || d.Browsers == nil {
		return nil, errors.New("signin: DB, Clock, Accounts, Sessions, Engine, Factors and Browsers are required")
	}
	if d.Policy.Mode == "" {
		d.Policy.Mode = MFAOptional
	}
	return &Service{
		db: d.DB, clock: d.Clock, accounts: d.Accounts, sessions: d.Sessions, engine: d.Engine, factors: d.Factors, browsers: d.Browsers,
		links: d.Links, notices: d.Notices, offers: d.Offers, policy: d.Policy, maxOpen: MaxOpen,
	}, nil
}

// Policy returns what the deployment asks of everybody.
func (s *Service) Policy() Policy { return s.policy }

// Authorize answers a checked authorization request at once if it can: with a code when the
// person is signed in and owes nothing, with an error for prompt=none. Otherwise it parks the
// request and returns the journey. sess is nil when nobody is signed in.
func (s *Service) Authorize(ctx context.Context, browser string, r *oauth.Request, sess *session.Session) (*oauth.Response, id.Journey, error) {
	asked := &Journey{Request: r}
	f := s.facts(asked, sess)
	if s.accounts.Policy().Terms != "" && sess != nil {
		a, err := s.accounts.ByID(ctx, sess.User)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return nil, "", errs.Wrap("authorize", err)
		}
		f.TermsOwed = s.accounts.OwesTerms(a)
	}
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
		resp, err := s.engine.Issue(ctx, r, s.login(asked, sess))
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
		resp, err := s.engine.Refuse(ctx, r, code, "")
		return resp, "", errs.Wrap("authorize", err)
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
	// Half is who has proven the first factor, while MFA or Enroll is owed; nil otherwise. For a
	// session that is to be raised it is Account.
	Half *account.Account
	// Factors are the second factors of Half.
	Factors mfa.Factors
	// Resistant says that only a passkey will do.
	Resistant bool
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
			f.Deleting = !a.DeleteAt.IsZero()
			f.TermsOwed = s.accounts.OwesTerms(a)
			o.Account = &a
		}
	}
	if f.Disabled {
		o.Account = nil
	}
	if err := s.strength(ctx, j, &f, &o); err != nil {
		return o, errs.Wrap("decide", err)
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
	if o.Step != MFA && o.Step != Enroll {
		o.Half = nil
	}
	return o, nil
}

// strength gathers the facts about second factors and offers, as far as they matter.
func (s *Service) strength(ctx context.Context, j *Journey, f *Facts, o *Owed) error {
	o.Half = o.Account
	if h := j.state.Half; h != nil {
		a, err := s.accounts.ByID(ctx, h.User)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		void := a.Status != account.Active || a.ProofsSince.After(h.At)
		if f.Half = err == nil && !void; f.Half {
			o.Half = &a
		}
	}
	strong := j.Local != nil && j.Local.Strong && s.policy.Mode != MFAOff
	if o.Half != nil && (f.Half || f.short() || strong && f.Level < 2) {
		var err error
		if o.Factors, err = s.factors.Of(ctx, o.Half.ID); err != nil {
			return err
		}
		f.TwoFactors = f.TwoFactors || strong && o.Factors.Any()
		f.TOTP, f.Passkeys = o.Factors.TOTP, o.Factors.Passkeys > 0
		o.Resistant = !f.Half && f.resistantOnly()
	}
	if s.offers != nil && o.Account != nil && j.state.Offer && f.Proved {
		var err error
		if f.OfferDue, err = s.offers.OfferDue(ctx, o.Account.ID); err != nil {
			return err
		}
	}
	return nil
}

// Standing says what somebody who is signed in owes before one of our own pages is theirs: Done
// for nothing.
func (s *Service) Standing(ctx context.Context, sess *session.Session, l Local) (Owed, error) {
	return s.Decide(ctx, &Journey{Local: &l}, sess)
}

// somebodyElse is whom a hint names that is not about who is signed in; no account has such an id.
const somebodyElse id.User = "-"

func (s *Service) facts(j *Journey, sess *session.Session) Facts {
	f := Facts{Now: s.clock.Now(), Mode: s.policy.Mode}
	switch {
	case j.Request != nil:
		r := j.Request
		f.Prompt, f.MaxAge, f.TwoFactors, f.ACRDemanded = r.Prompt, r.MaxAge, r.RequireMFA, r.ACREssential
		switch {
		case r.HintSubject == "":
		case sess != nil && s.engine.Hinted(r, sess.User): // the application may know people by another sub
			f.HintSubject = sess.User
		default: // and must not learn that it named one of ours
			f.HintSubject = somebodyElse
		}
		for _, acr := range r.ACRValues {
			if slices.Contains(session.ACRValues(), acr) {
				f.ACRValues = append(f.ACRValues, acr)
			}
		}
	case j.Local != nil:
		f.MaxAge, f.TwoFactors = j.Local.MaxAge, j.Local.TwoFactors
		f.ACRValues = slices.DeleteFunc(slices.Clone(j.Local.ACRValues), func(acr string) bool { return !slices.Contains(session.ACRValues(), acr) })
		if j.Local.Create {
			f.Prompt = []string{"create"}
		}
	}
	f.SigningUp, f.Linking = j.Parked(ParkedSignUp) != "", j.Parked(ParkedLink) != ""
	if sess == nil {
		return f
	}
	counted := sess.Without(f.stale(j.CreatedAt))
	f.User, f.AuthTime, f.Level, f.Resistant = sess.User, sess.AuthTime(), counted.Level(), counted.Resistant()
	f.Recent = sess.Without(func(at time.Time) bool { return f.Now.Sub(at) > fresh }).Level()
	f.Known = sess.Has(session.KnownBrowser)
	if j.state.Session == sess.ID && j.state.User == sess.User {
		f.Proved, f.Chosen, f.Approved = j.state.Proved, j.state.Chosen, j.state.Approved
	}
	return f
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
	if err := s.engine.Admit(ctx, j.Request, sess.User); err != nil {
		return errs.Wrap("approve", err)
	}
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
		resp, err = s.engine.Issue(ctx, j.Request, s.login(j, sess))
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
	var resp *oauth.Response
	err := s.db.InTx(ctx, func(ctx context.Context) (err error) {
		if err := s.step(ctx, j, j.state, true); err != nil || j.Request == nil {
			return err
		}
		resp, err = s.engine.Refuse(ctx, j.Request, code, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	j.moved(j.state, s.clock.Now())
	return resp, nil
}

// EndSession signs out: the session ends, everything issued under it is revoked and its applications
// are put down to be told, in one transaction. What it returns is for the browser of that session.
func (s *Service) EndSession(ctx context.Context, sid id.Session) (oauth.Farewell, error) {
	var f oauth.Farewell
	err := s.db.InTx(ctx, func(ctx context.Context) (err error) {
		if err = s.sessions.End(ctx, sid); err != nil {
			return err
		}
		f, err = s.engine.RevokeSession(ctx, sid)
		return err
	})
	return f, errs.Wrap("end session", err)
}

// EndOthers ends all that the user is signed in to but one session: every other session and every
// grant that was not made in it, those of sessions long expired included. With except "" nothing
// is left. Half sign-ins are void, and no browser is remembered any longer: the second factor is
// asked for everywhere. It joins the transaction that ctx carries, so that a change of status or
// password and its consequence are one.
func (s *Service) EndOthers(ctx context.Context, user id.User, except id.Session) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.accounts.EndProofs(ctx, user); err != nil {
			return err
		}
		if _, err := s.sessions.EndAll(ctx, user, except); err != nil {
			return err
		}
		if _, err := s.browsers.UntrustAll(ctx, user); err != nil {
			return err
		}
		return s.engine.RevokeUser(ctx, user, except)
	})
	return errs.Wrap("end sign-ins", err)
}

// login is what an application is told of a sign-in.
func (s *Service) login(j *Journey, sess *session.Session) oauth.Login {
	return s.loginSince(j, sess, j.CreatedAt, j.Request.ACRValues)
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
