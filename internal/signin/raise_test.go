package signin

import (
	"context"
	"testing"
	"time"

	"signet/internal/identity/device"
	"signet/internal/identity/session"
	"signet/internal/oauth"
)

// remembered signs alice in with two factors in a browser that is to be remembered, and returns it
// with the session.
func (r *rig) remembered(ctx context.Context) (context.Context, *session.Session) {
	r.t.Helper()
	alice := r.user("alice")
	r.withTOTP(alice)
	j := r.begin(r.request(r.app(true), nil))
	r.first(ctx, j, alice, nil)
	out, err := r.SecondFactor(ctx, j, session.Event{Method: session.TOTP}, true, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return device.WithCookie(ctx, out.Device), out.Session
}

// code proves the authenticator app in a journey of who is signed in.
func (r *rig) code(ctx context.Context, j *Journey, sess *session.Session) *session.Session {
	r.t.Helper()
	out, err := r.SecondFactor(ctx, j, session.Event{Method: session.TOTP}, false, sess)
	if err != nil {
		r.t.Fatal(err)
	}
	return out.Session
}

// Whoever was asked for the second factor alone has now proven it: the question must not come again
// and again because the first one was proven earlier.
func TestStanding_SecondFactorProvenAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		strong := Local{Target: "/account/security/totp", MaxAge: seconds(600), Strong: true}
		sess := r.signIn(alice)
		r.withTOTP(alice)
		r.clock.Advance(9 * time.Minute)
		one, err := r.BeginLocal(ctx, r.browser, strong)
		if err != nil {
			t.Fatal(err)
		}
		j := r.load(one)
		r.owes(j, sess, MFA)
		r.clock.Advance(2 * time.Minute) // by now the password is eleven minutes old
		sess = r.code(ctx, j, sess)
		r.owes(r.load(one), sess, Done)
		if o, err := r.Standing(ctx, sess, strong); err != nil || o.Step != Done {
			t.Errorf("back on the page: %s, %v", o.Step, err)
		}
	})
}

// A second factor of days ago is not the new sign-in that an application asks for, and it is not told
// as one (OIDC Core §3.1.2.1, max_age and prompt; RFC 9470 §4).
func TestRaise_SecondFactorIsAsOldAsItsEvent(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*oauth.Request){
		"max_age":   func(q *oauth.Request) { q.MaxAge = seconds(300) },
		"max_age 0": func(q *oauth.Request) { q.MaxAge = seconds(0) },
		"prompt":    func(q *oauth.Request) { q.Prompt = []string{"login"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, r *rig) {
				known, sess := r.remembered(t.Context())
				app := r.app(true)
				r.clock.Advance(23 * time.Hour)

				j := r.begin(r.request(app, ask))
				r.owes(j, sess, Login)
				out := r.first(known, j, sess.User, sess)
				if out.Session == nil || out.Session.ID != sess.ID {
					t.Fatalf("in the remembered browser: %+v", out)
				}
				j = r.load(j.ID)
				r.owes(j, out.Session, Done) // nobody asked for two factors
				if l := r.login(j, out.Session); l.ACR != session.OneFactor || len(l.AMR) != 1 {
					t.Errorf("told %q %v of a password", l.ACR, l.AMR)
				}

				r.clock.Advance(10 * time.Minute)
				j = r.begin(r.request(app, func(q *oauth.Request) { ask(q); q.ACRValues = []string{session.TwoFactors} }))
				sess = r.first(known, j, sess.User, out.Session).Session
				r.owes(r.load(j.ID), sess, MFA)
				r.clock.Advance(time.Minute)
				j = r.load(j.ID)
				sess = r.code(known, j, sess)
				j = r.load(j.ID)
				r.owes(j, sess, Done)
				if l := r.login(j, sess); l.ACR != session.TwoFactors || len(l.AMR) != 3 {
					t.Errorf("told %q %v of both", l.ACR, l.AMR)
				}
			})
		})
	}
}

// Without any wish for a new sign-in, what was proven in the session counts.
func TestRaise_NoAgeAsked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		_, sess := r.remembered(t.Context())
		r.clock.Advance(23 * time.Hour)
		j := r.begin(r.request(r.app(true), func(q *oauth.Request) { q.ACRValues = []string{session.TwoFactors} }))
		r.owes(j, sess, Done)
		if l := r.login(j, sess); l.ACR != session.TwoFactors {
			t.Errorf("told %q", l.ACR)
		}
	})
}

// Whoever has a second factor proves it, and recently, before another one is set up: an application
// that accepts passkeys only is no way around it, as everybody can send an authorization request
// (MF-08).
func TestEnroll_NotOnTheWordOfARememberedBrowser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		known, sess := r.remembered(ctx)
		phr := r.request(r.app(true), func(q *oauth.Request) { q.ACRValues = []string{session.PhishingResistant} })
		r.clock.Advance(23 * time.Hour)
		for name, current := range map[string]*session.Session{"a new session": nil, "the old session": sess} {
			j := r.begin(phr)
			now := r.first(known, j, sess.User, current).Session
			j = r.load(j.ID)
			if o := r.owes(j, now, MFA); o.Resistant {
				t.Errorf("%s: the app is refused", name)
			}
			now = r.code(known, j, now)
			j = r.load(j.ID)
			if o := r.owes(j, now, Enroll); !o.Resistant {
				t.Errorf("%s: any factor will do", name)
			}
			r.clock.Advance(11 * time.Minute)
			r.owes(j, now, MFA) // the page was left open
		}
	})
}

func TestOffer_NotOnTheWordOfARememberedBrowser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		known, sess := r.remembered(t.Context())
		r.offer = true
		r.clock.Advance(23 * time.Hour)
		j := r.begin(r.request(r.app(true), func(q *oauth.Request) { q.Prompt = []string{"login"} }))
		out, err := r.Authenticated(known, j, Proof{User: sess.User, Event: session.Event{Method: session.Password}, Offer: true}, sess)
		if err != nil {
			t.Fatal(err)
		}
		r.owes(r.load(j.ID), out.Session, Done)
	})
}
