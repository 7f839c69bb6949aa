package signin

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/identity/device"
	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

func (r *rig) first(ctx context.Context, j *Journey, user id.User, current *session.Session) Outcome {
	r.t.Helper()
	out, err := r.Authenticated(ctx, j, Proof{User: user, Event: session.Event{Method: session.Password}}, current)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// Somebody who owes a second factor has no session, in this browser or any other, until it is
// proven within the same journey (MF-04).
func TestSecondFactor_HalfIsNoSession(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		r.withTOTP(alice)
		j := r.begin(r.request(r.app(true), nil))
		if out := r.first(ctx, j, alice, nil); out.Session != nil || out.Cookie != "" || out.Device != "" {
			t.Fatalf("a first factor alone led to %+v", out)
		}
		if n := r.count(`SELECT count(*) FROM session`); n != 0 {
			t.Errorf("%d sessions", n)
		}
		j = r.load(j.ID) // after a restart, in another language, by hand: the same is owed
		o := r.owes(j, nil, MFA)
		if o.Half == nil || o.Half.ID != alice || !o.Factors.TOTP || o.Account != nil {
			t.Errorf("owed %+v", o)
		}
		if _, err := r.SecondFactor(ctx, r.begin(r.request(r.app(true), nil)), session.Event{Method: session.TOTP}, false, nil); !errs.Is(err, errs.Conflict) {
			t.Errorf("in another journey: %v", err)
		}
		out, err := r.SecondFactor(ctx, j, session.Event{Method: session.TOTP}, false, nil)
		if err != nil || out.Session == nil || out.Cookie == "" {
			t.Fatalf("%+v %v", out, err)
		}
		if diff := cmp.Diff([]string{"pwd", "otp", "mfa"}, out.Session.AMR()); diff != "" {
			t.Error(diff)
		}
		r.owes(r.load(j.ID), out.Session, Done)
		if len(r.noticed) != 1 || r.noticed[0] != alice {
			t.Errorf("noticed %v: a browser not seen before", r.noticed)
		}
	})
}

func TestSecondFactor_OneOfTwentyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		r.withTOTP(alice)
		j := r.begin(r.request(r.app(true), nil))
		r.first(ctx, j, alice, nil)
		j = r.load(j.ID)
		race(t, func() error {
			_, err := r.SecondFactor(ctx, r.copyOf(j), session.Event{Method: session.TOTP}, false, nil)
			return err
		})
		if n := r.count(`SELECT count(*) FROM session`); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

// A remembered browser is asked for one factor; what applications are told stays true, and one that
// asks for two gets two (RFC 9470).
func TestSecondFactor_RememberedBrowser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice, app := t.Context(), r.user("alice"), r.app(true)
		r.withTOTP(alice)
		j := r.begin(r.request(app, nil))
		r.first(ctx, j, alice, nil)
		out, err := r.SecondFactor(ctx, j, session.Event{Method: session.TOTP}, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		known := device.WithCookie(ctx, out.Device)
		r.clock.Advance(24 * time.Hour)

		j = r.begin(r.request(app, func(q *oauth.Request) { q.ACRValues = []string{session.TwoFactors} }))
		out = r.first(known, j, alice, nil)
		if out.Session == nil || out.Session.ACR() != session.OneFactor || !out.Session.Has(session.KnownBrowser) {
			t.Fatalf("in the remembered browser: %+v", out.Session)
		}
		if l, local := r.login(j, out.Session), r.LocalLogin(out.Session, Local{}); !l.Remembered || !local.Remembered {
			t.Errorf("the engine is not told that the browser was remembered: %+v, %+v", l, local)
		}
		r.owes(j, out.Session, MFA) // the application asked for two
		raised, err := r.SecondFactor(known, j, session.Event{Method: session.TOTP}, false, out.Session)
		if err != nil || raised.Session.ID != out.Session.ID || raised.Session.ACR() != session.TwoFactors || raised.Cookie == "" {
			t.Fatalf("%+v %v", raised.Session, err)
		}
		r.owes(r.load(j.ID), raised.Session, Done)

		j = r.begin(r.request(app, nil))
		if out := r.first(device.WithCookie(ctx, id.NewToken(id.DeviceCookie)), j, alice, nil); out.Session != nil {
			t.Error("a forged cookie was a remembered browser")
		}
		r.clock.Advance(31 * 24 * time.Hour)
		j = r.begin(r.request(app, nil))
		if out := r.first(known, j, alice, nil); out.Session != nil {
			t.Error("remembered beyond its time")
		}
	})
}

// Our own sensitive pages want the second factor of whoever has one, and recently (MF-08).
func TestStanding_StrongPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		alice := r.user("alice")
		strong := Local{Target: "/account/password", MaxAge: seconds(600), Strong: true}
		standing := func(sess *session.Session) Step {
			o, err := r.Standing(t.Context(), sess, strong)
			if err != nil {
				t.Fatal(err)
			}
			return o.Step
		}
		sess := r.signIn(alice)
		if got := standing(sess); got != Done {
			t.Errorf("without a second factor: %s", got)
		}
		r.withTOTP(alice)
		if got := standing(sess); got != MFA {
			t.Errorf("with one that was not proven: %s", got)
		}
		both := *sess
		both.Events = append(both.Events, session.Event{Method: session.TOTP, At: r.clock.Now()})
		if got := standing(&both); got != Done {
			t.Errorf("proven now: %s", got)
		}
		both.Events[1].At = r.clock.Now().Add(-time.Hour)
		if got := standing(&both); got != MFA {
			t.Errorf("proven an hour ago: %s", got)
		}
		both.Events[0].At = both.Events[1].At
		if got := standing(&both); got != Login {
			t.Errorf("all of it an hour ago: %s", got)
		}
	})
}

// An upstream identity is linked in the transaction that proves the account's owner, second factor
// included, and never before (LK-04).
func TestLink_OnlyWithTheWholeProof(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		r.withTOTP(alice)
		j := r.begin(r.request(r.app(true), nil))
		if err := r.Park(ctx, j, ParkedLink, "waiting"); err != nil {
			t.Fatal(err)
		}
		already := r.signIn(alice)
		r.owes(r.load(j.ID), already, Login) // to be signed in is not to have agreed
		r.first(ctx, j, alice, already)
		if len(r.linked) != 0 {
			t.Fatalf("linked after one factor: %v", r.linked)
		}
		out, err := r.SecondFactor(ctx, r.load(j.ID), session.Event{Method: session.TOTP}, false, already)
		if err != nil || !cmp.Equal(r.linked, []string{string(alice) + " waiting"}) {
			t.Fatalf("linked %v, %v", r.linked, err)
		}
		if j = r.load(j.ID); j.Parked(ParkedLink) != "" {
			t.Error("the identity still waits")
		}
		r.owes(j, out.Session, Done)
	})
}

func TestPark_OneOfTwentyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		j := r.begin(r.request(r.app(true), nil))
		var n atomic.Int32
		race(t, func() error { return r.Park(t.Context(), r.copyOf(j), ParkedSignUp, string('a'+n.Add(1))) })
		j = r.load(j.ID)
		r.owes(j, nil, Verify)
		if err := r.Park(t.Context(), j, ParkedSignUp, ""); err != nil {
			t.Fatal(err)
		}
		r.owes(r.load(j.ID), nil, Login)
	})
}

func TestOffer_AfterAPasswordAndOnlyOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		r.offer = true
		j := r.begin(r.request(r.app(true), nil))
		out, err := r.Authenticated(ctx, j, Proof{User: alice, Event: session.Event{Method: session.Password}, Offer: true, New: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.owes(r.load(j.ID), out.Session, Offer)
		if err := r.Offered(ctx, j, out.Session); err != nil {
			t.Fatal(err)
		}
		r.owes(r.load(j.ID), out.Session, Done)
		j = r.begin(r.request(r.app(true), func(q *oauth.Request) { q.Prompt = []string{"login"} }))
		again := r.first(ctx, j, alice, out.Session)
		r.owes(j, again.Session, Done) // a browser that said nothing of passkeys is offered none
		if len(r.noticed) != 1 {
			t.Errorf("noticed %v: not of the account's own first session", r.noticed)
		}
	})
}

// Who replaces a password, or ends everything, also ends the sign-in that has got as far as the
// second factor with the old one.
func TestSecondFactor_EndedBetweenTheFactors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		r.withTOTP(alice)
		j := r.begin(r.request(r.app(true), nil))
		r.first(ctx, j, alice, nil)
		r.clock.Advance(time.Second)
		if err := r.EndOthers(ctx, alice, ""); err != nil {
			t.Fatal(err)
		}
		j = r.load(j.ID)
		if _, err := r.SecondFactor(ctx, j, session.Event{Method: session.TOTP}, false, nil); !errs.Is(err, errs.Conflict) {
			t.Errorf("the second factor after the end: %v", err)
		}
		r.owes(j, nil, Login)
		if n := r.count(`SELECT count(*) FROM session`); n != 0 {
			t.Errorf("%d sessions", n)
		}
		r.clock.Advance(time.Second)
		r.first(ctx, j, alice, nil) // and from the start again
		r.owes(r.load(j.ID), nil, MFA)
		if err := r.people.Disable(ctx, alice); err != nil {
			t.Fatal(err)
		}
		if _, err := r.SecondFactor(ctx, r.load(j.ID), session.Event{Method: session.TOTP}, false, nil); !errs.Is(err, errs.Conflict) {
			t.Errorf("the second factor of a disabled account: %v", err)
		}
	})
}

// What another provider says about when it asked may lie before everything here was ended: the proof
// counts from when it came.
func TestSecondFactor_UpstreamSignInOlderThanTheEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, alice := t.Context(), r.user("alice")
		r.withTOTP(alice)
		if err := r.EndOthers(ctx, alice, ""); err != nil {
			t.Fatal(err)
		}
		there := r.clock.Now().Add(-time.Hour)
		r.clock.Advance(time.Second)
		j := r.begin(r.request(r.app(true), nil))
		if _, err := r.Authenticated(ctx, j, Proof{User: alice, Event: session.Event{Method: session.Upstream, At: there}}, nil); err != nil {
			t.Fatal(err)
		}
		j = r.load(j.ID)
		r.owes(j, nil, MFA)
		out, err := r.SecondFactor(ctx, j, session.Event{Method: session.TOTP}, false, nil)
		if err != nil || out.Session == nil {
			t.Fatalf("%+v %v", out, err)
		}
		if got := out.Session.Events[0].At; !got.Equal(there) {
			t.Errorf("signed in there at %s, noted as %s", there, got)
		}
	})
}
