package account

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/mail"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
)

// PurposeSignUp marks sign-ups that wait for the proof of their address among the one-time things.
const PurposeSignUp onetime.Purpose = "signup"

// SignUpLife is how long a mailed link makes the account. The code lives only as long as the journey
// that it is bound to.
const SignUpLife = 24 * time.Hour

// waiting is a sign-up as it is kept until the address is proven. It is sealed.
type waiting struct {
	User       id.User `json:"user"` // the id that the account will have
	Email      string  `json:"email"`
	Name       string  `json:"name,omitempty"`
	Locale     string  `json:"locale,omitempty"`
	Hash       string  `json:"hash"`
	Terms      string  `json:"terms,omitempty"`
	Invitation string  `json:"invitation,omitempty"`
}

// Waiting is a sign-up that waits for the proof of its address, as the browser where it began sees
// it: the same for an address that somebody has already.
type Waiting struct {
	Email, Name      string
	Began, ExpiresAt time.Time
	// Made is the account, once the link was used: "" before.
	Made id.User
	// Over says that no code and no link of it works any more.
	Over bool
}

// RequestSignUp takes what a visitor typed and asks for the proof of the address by mail: a code for
// the journey where it began, and a link. Whoever has the address already is told so by mail in its
// place; nothing else differs, neither the answer nor the work. A username is not taken: it would tell
// who has it. What must be written together with it is given as also, with the id of what waits.
func (s *Service) RequestSignUp(ctx context.Context, journey id.Journey, in SignUp, also func(ctx context.Context, thing string) error) error {
	if !s.MailEnabled() {
		return errs.New(errs.Unavailable, "", errors.New("account: no mail"))
	}
	in.Username = ""
	row, invitation, err := s.signUpDraft(ctx, in)
	if err != nil {
		return err
	}
	hash, err := s.hashNewcomer(ctx, in.Password)
	if err != nil {
		return errs.Wrap("request sign-up", err)
	}
	w := waiting{
		User: row.id, Email: row.email.address, Name: row.profile.Name, Locale: row.profile.Locale,
		Hash: hash, Terms: row.terms, Invitation: invitation,
	}
	send, err := s.mayMailTo(ctx, row.email)
	if err == nil {
		err = s.askProof(ctx, journey, w, send, also)
	}
	return errs.Wrap("request sign-up", err)
}

// ResendSignUp sends another mail for a sign-up of this journey; only the newest works. If no more
// mail may be sent to that address for a while, nothing happens, and the last one stays good.
func (s *Service) ResendSignUp(ctx context.Context, journey id.Journey, thing string, also func(ctx context.Context, thing string) error) error {
	w, _, err := s.waiting(ctx, journey, thing)
	if err != nil {
		return errs.Wrap("resend sign-up", err)
	}
	if _, err := s.ByID(ctx, w.User); !errs.Is(err, errs.NotFound) {
		return errs.Wrap("resend sign-up", err) // made meanwhile: nothing to prove any more
	}
	email, err := ParseEmail(w.Email)
	if err != nil {
		return errs.Wrap("resend sign-up", err)
	}
	send, err := s.mayMailTo(ctx, email)
	if err != nil || !send {
		return errs.Wrap("resend sign-up", err)
	}
	return errs.Wrap("resend sign-up", s.askProof(ctx, journey, w, send, also))
}

// askProof keeps a sign-up and mails for it. Known and unknown addresses take the same statements.
func (s *Service) askProof(ctx context.Context, journey id.Journey, w waiting, send bool, also func(ctx context.Context, thing string) error) error {
	email, err := ParseEmail(w.Email)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(ctx context.Context) error {
		issued, err := s.oneTime.Put(ctx, onetime.Draft{
			Purpose: PurposeSignUp, Subject: string(journey), Binding: string(journey), Payload: w,
			TTL: SignUpLife, Token: id.MailLink, Code: true, Void: true,
		})
		if err != nil {
			return err
		}
		m := mail.Message{
			To: email.address, Kind: "verify_signup", Locale: w.Locale, Expires: issued.ExpiresAt,
			Data: map[string]any{"Code": issued.Code, "Link": s.link(issued)},
		}
		owner, address, locale, err := s.owner(ctx, email)
		if err != nil {
			return err
		}
		if owner != "" {
			// To the address as its owner wrote it. What was just issued is known to nobody.
			m = mail.Message{
				To: address, Account: owner, Kind: "already_registered", Locale: locale, Expires: issued.ExpiresAt,
				Data: map[string]any{"SignIn": s.issuer + "/login", "Reset": s.issuer + "/forgot"},
			}
		}
		deliver := s.mail.Send
		if !send {
			deliver = s.mail.SendNothing
		}
		if err := deliver(ctx, m); err != nil {
			return err
		}
		if err := s.audit.Record(ctx, audit.Event{Action: "signup.request", Result: audit.OK, Target: string(owner)}); err != nil {
			return err
		}
		return also(ctx, issued.ID)
	})
}

// mayMail counts a mail that a visitor wants sent and reports whether it may be, within all of the
// budgets. Whoever asks is answered alike either way, so that the answer says nothing about what
// others have asked for the same address; errs.Limited is for an asker, a network or known browser,
// that asks all the time. Call it outside of a transaction.
func (s *Service) mayMail(ctx context.Context, asker string, keys ...ratelimit.Key) (bool, error) {
	if _, err := s.limits.Reserve(ctx, ratelimit.Key{Budget: s.budgets.Asks, Value: asker}); err != nil {
		return false, err
	}
	_, err := s.limits.Reserve(ctx, keys...)
	if errs.Is(err, errs.Limited) {
		return false, nil
	}
	return err == nil, err
}

// mayMailTo is mayMail to an address, whoever may have it.
func (s *Service) mayMailTo(ctx context.Context, email Email) (bool, error) {
	return s.mayMailFromAnywhere(ctx, ratelimit.Key{Budget: s.budgets.Mail, Value: email.key})
}

// mayMailFromAnywhere is mayMail within the budgets of the visitor's network, too.
func (s *Service) mayMailFromAnywhere(ctx context.Context, key ratelimit.Key) (bool, error) {
	network := ratelimit.SourceNetwork(audit.SourceOf(ctx).IP)
	return s.mayMail(ctx, network, key, ratelimit.Key{Budget: s.budgets.MailSource, Value: network})
}

// owner says who has an address, "" for nobody, with the address as they wrote it and their language.
func (s *Service) owner(ctx context.Context, email Email) (user id.User, address, locale string, err error) {
	var profile string
	err = s.db.Q(ctx).QueryRow(ctx, sqlOwner, email.key).Scan(&address, (*string)(&user), &profile)
	if errors.Is(err, store.ErrNoRows) {
		return "", "", "", nil
	}
	var p Profile
	if err == nil {
		err = json.Unmarshal([]byte(profile), &p)
	}
	return user, address, p.Locale, err
}

// waiting reads a sign-up of this journey, whether or not it can still be used.
func (s *Service) waiting(ctx context.Context, journey id.Journey, thing string) (waiting, onetime.Thing, error) {
	if s.oneTime == nil {
		return waiting{}, onetime.Thing{}, errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	t, err := s.oneTime.ByID(ctx, PurposeSignUp, thing)
	if t.ID == "" || t.Binding != string(journey) {
		if err == nil {
			err = errs.New(errs.NotFound, onetime.KeyUnknown, nil)
		}
		return waiting{}, onetime.Thing{}, err
	}
	w, err := onetime.Read[waiting](t)
	return w, t, err
}

// SignUpWaiting shows a sign-up to the journey in which it began; errs.NotFound for any other.
func (s *Service) SignUpWaiting(ctx context.Context, journey id.Journey, thing string) (Waiting, error) {
	w, t, err := s.waiting(ctx, journey, thing)
	if err != nil {
		return Waiting{}, errs.Wrap("sign-up", err)
	}
	out := Waiting{
		Email: w.Email, Name: w.Name, Began: t.CreatedAt, ExpiresAt: t.ExpiresAt,
		Over: t.Used || t.Tries >= onetime.MaxTries || !s.clock.Now().Before(t.ExpiresAt),
	}
	switch _, err := s.ByID(ctx, w.User); {
	case err == nil:
		out.Made = w.User
	case !errs.Is(err, errs.NotFound):
		return Waiting{}, err
	}
	return out, nil
}

// FinishSignUp makes the account of a sign-up whose code was typed where it began. A wrong code is
// errs.Unauthenticated (onetime.KeyWrong, KeySpent after the fifth), one whose time is over
// errs.NotFound. What follows from it is given as also, in the same transaction.
func (s *Service) FinishSignUp(ctx context.Context, journey id.Journey, thing, code string, also ...func(context.Context, Account) error) (Account, error) {
	if s.oneTime == nil {
		return Account{}, errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	if err := s.oneTime.CheckCode(ctx, PurposeSignUp, thing, string(journey), code); err != nil {
		return Account{}, errs.Wrap("finish sign-up", err)
	}
	a, err := s.finish(ctx, also, func(ctx context.Context) (onetime.Thing, error) {
		return s.oneTime.TakeID(ctx, PurposeSignUp, thing, string(journey))
	})
	return a, errs.Wrap("finish sign-up", err)
}

// SignUpLink is a sign-up as the mailed link names it.
type SignUpLink struct {
	Email   string
	Journey id.Journey // where it began
}

// PeekSignUp looks at what a mailed link would do, and changes nothing: mail scanners open links too.
func (s *Service) PeekSignUp(ctx context.Context, token string) (SignUpLink, error) {
	if s.oneTime == nil {
		return SignUpLink{}, errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	t, err := s.oneTime.Peek(ctx, PurposeSignUp, token)
	if err != nil {
		return SignUpLink{}, errs.Wrap("sign-up link", err)
	}
	w, err := onetime.Read[waiting](t)
	return SignUpLink{Email: w.Email, Journey: id.Journey(t.Binding)}, err
}

// FinishSignUpByLink makes the account of a sign-up whose link was opened. journey says that it is
// the very browser where the sign-up began. In another browser (journey "") the password chosen
// there is asked for: whoever merely opens a mail must not give an account in their name to
// somebody who typed their address. A wrong one is errs.Unauthenticated, and counted.
func (s *Service) FinishSignUpByLink(ctx context.Context, token string, journey id.Journey, pw seal.Secret, also ...func(context.Context, Account) error) (Account, error) {
	if s.oneTime == nil {
		return Account{}, errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	binding := string(journey)
	if journey == "" {
		var err error
		if binding, err = s.proveElsewhere(ctx, token, pw); err != nil {
			return Account{}, errs.Wrap("finish sign-up", err)
		}
	}
	a, err := s.finish(ctx, also, func(ctx context.Context) (onetime.Thing, error) {
		return s.oneTime.Take(ctx, PurposeSignUp, token, binding)
	})
	return a, errs.Wrap("finish sign-up", err)
}

// proveElsewhere checks the password of a sign-up that waits, within the budgets of signing in.
func (s *Service) proveElsewhere(ctx context.Context, token string, pw seal.Secret) (binding string, err error) {
	t, err := s.oneTime.Peek(ctx, PurposeSignUp, token)
	if err != nil {
		return "", err
	}
	w, err := onetime.Read[waiting](t)
	if err != nil {
		return "", err
	}
	// As if the account were there already: the same budgets, and the same record of a refusal.
	c := credential{Account: Account{ID: w.User, Status: Active}, hash: w.Hash, bucket: "account:" + string(w.User)}
	_, err = s.verify(ctx, "signup.confirm", c, pw)
	return t.Binding, err
}

// finish uses up what waited and makes the account, with a verified address. A failure leaves the
// sign-up as it was.
func (s *Service) finish(ctx context.Context, also []func(context.Context, Account) error, take func(context.Context) (onetime.Thing, error)) (a Account, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		t, err := take(ctx)
		if err != nil {
			return err
		}
		w, err := onetime.Read[waiting](t)
		if err != nil {
			return err
		}
		email, err := ParseEmail(w.Email)
		if err != nil {
			return err
		}
		if err := s.readmit(email, w.Invitation); err != nil {
			return err
		}
		row := newRow{
			id: w.User, status: Active, email: email, verified: true, profile: Profile{Name: w.Name, Locale: w.Locale},
			source: "signup", hash: w.Hash, terms: w.Terms,
		}
		a, err = s.found(ctx, row, w.Invitation, also)
		return err
	})
	if err != nil {
		return Account{}, err
	}
	return a, nil
}
