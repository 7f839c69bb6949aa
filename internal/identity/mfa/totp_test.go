package mfa_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"signet/internal/identity/mfa"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// A secret counts for nothing until one of its codes was typed, in the session that it was shown
// in, and only the newest one does.
func TestEnrol_BoundToSessionAndNewest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		old, err := f.BeginTOTP(ctx, alice, session, "alice@example.com")
		if err != nil {
			t.Fatal(err)
		}
		e, err := f.BeginTOTP(ctx, alice, session, "alice@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if e.Secret == old.Secret {
			t.Fatal("the same secret twice")
		}
		if again, err := f.PendingTOTP(ctx, alice, e.ID, session, "alice@example.com"); err != nil || again != e {
			t.Errorf("shown again: %+v, %v", again, err)
		}
		for name, err := range map[string]error{
			"older tab":       f.ConfirmTOTP(ctx, alice, old.ID, session, f.code(t, old.Secret, 0)),
			"another session": f.ConfirmTOTP(ctx, alice, e.ID, "session-2", f.code(t, e.Secret, 0)),
			"no session":      f.ConfirmTOTP(ctx, alice, e.ID, "", f.code(t, e.Secret, 0)),
			"another person":  f.ConfirmTOTP(ctx, bob, e.ID, session, f.code(t, e.Secret, 0)),
			"no such":         f.ConfirmTOTP(ctx, alice, "none", session, f.code(t, e.Secret, 0)),
		} {
			if !errs.Is(err, errs.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := f.ConfirmTOTP(ctx, alice, e.ID, session, f.code(t, old.Secret, 0)); key(err) != mfa.KeyWrong {
			t.Errorf("a code of another secret: %v", err)
		}
		if f.factors(t, alice).TOTP || f.factors(t, bob).TOTP {
			t.Error("an unconfirmed app counts")
		}
		if err := f.VerifyTOTP(ctx, alice, f.code(t, e.Secret, 0)); key(err) != mfa.KeyNone {
			t.Errorf("a code of an unconfirmed app: %v", err)
		}
		code := f.code(t, e.Secret, 0)
		if err := f.ConfirmTOTP(ctx, alice, e.ID, session, code); err != nil {
			t.Fatal(err)
		}
		if _, err := f.PendingTOTP(ctx, alice, e.ID, session, ""); key(err) != onetime.KeyUsed {
			t.Errorf("the secret can be read again: %v", err)
		}
		if err := f.VerifyTOTP(ctx, alice, code); key(err) != mfa.KeyUsed {
			t.Errorf("the code of the confirmation signs in: %v", err)
		}
	})
}

func TestEnrol_ExpiresAndReplaces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		first := f.enrol(t, alice)
		late, err := f.BeginTOTP(ctx, alice, session, "alice@example.com")
		if err != nil {
			t.Fatal(err)
		}
		f.clock.Advance(10 * time.Minute)
		if err := f.ConfirmTOTP(ctx, alice, late.ID, session, f.code(t, late.Secret, 0)); key(err) != onetime.KeyExpired {
			t.Errorf("ten minutes later: %v", err)
		}
		second := f.enrol(t, alice)
		if err := f.VerifyTOTP(ctx, alice, f.code(t, first, 0)); key(err) != mfa.KeyWrong {
			t.Errorf("the app that was replaced: %v", err)
		}
		if err := f.VerifyTOTP(ctx, alice, f.code(t, second, 0)); err != nil {
			t.Errorf("its successor: %v", err)
		}
	})
}

// Who began without an app does not replace one that was set up meanwhile: of two people who know a
// password, the first one's stays.
func TestEnrol_FirstOneStays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		other, err := f.BeginTOTP(t.Context(), bob, session, "bob@example.com")
		if err != nil {
			t.Fatal(err)
		}
		mine, err := f.BeginTOTP(t.Context(), alice, session, "alice@example.com")
		if err != nil {
			t.Fatal(err)
		}
		// Begun at the same time in another browser: neither made the other worthless.
		if _, err := f.db.Exec(t.Context(), `UPDATE one_time SET subject = $1 WHERE id = $2`, string(alice), other.ID); err != nil {
			t.Fatal(err)
		}
		if err := f.ConfirmTOTP(t.Context(), alice, mine.ID, session, f.code(t, mine.Secret, 0)); err != nil {
			t.Fatal(err)
		}
		if err := f.ConfirmTOTP(t.Context(), alice, other.ID, session, f.code(t, other.Secret, 0)); !errs.Is(err, errs.Conflict) {
			t.Errorf("the second one: %v", err)
		}
		f.clock.Advance(time.Minute)
		if err := f.VerifyTOTP(t.Context(), alice, f.code(t, mine.Secret, 0)); err != nil {
			t.Errorf("the first one: %v", err)
		}
	})
}

func TestEnrol_WhatAppsRead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		e, err := f.BeginTOTP(t.Context(), alice, session, "kim: one@example.com")
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"otpauth://totp/Signet:", "issuer=Signet", "secret=" + e.Secret.Reveal(), "digits=6", "period=30", "algorithm=SHA1"} {
			if !strings.Contains(e.URI.Reveal(), part) {
				t.Errorf("%s lacks %s", e.URI.Reveal(), part)
			}
		}
		if strings.Count(e.URI.Reveal(), ":") != 2 { // otpauth: and issuer:account
			t.Errorf("ambiguous label: %s", e.URI.Reveal())
		}
		// RFC 4226 §4 R6: 160 bits.
		if n := len(e.Secret.Reveal()); n != 32 {
			t.Errorf("secret of %d characters", n)
		}
		path := e.QR.Path.Reveal()
		if e.QR.Size < 21+8 || !strings.HasPrefix(path, "M4 4h7v1h-7z") || strings.Trim(path, "Mhvz -0123456789") != "" {
			t.Errorf("QR of size %d: %.60s", e.QR.Size, path)
		}
	})
}

// Whatever fails on the way, either the app is set up with all that belongs to it, or nothing has
// happened and the same code still does it.
func TestEnrol_AllOrNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		confirm := func(db *store.DB, e mfa.Enrolment) error {
			over := newFixture(t, db, f.clock)
			return over.ConfirmTOTP(t.Context(), alice, e.ID, session, f.code(t, e.Secret, 0), func(ctx context.Context) error {
				_, err := over.NewRecoveryCodes(ctx, alice)
				return err
			})
		}
		begin := func() mfa.Enrolment {
			if _, err := f.Reset(t.Context(), alice); err != nil {
				t.Fatal(err)
			}
			f.clock.Advance(time.Hour)
			e, err := f.BeginTOTP(t.Context(), alice, session, "alice@example.com")
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		counting, statements := storetest.FailAt(f.db, 0, storetest.Before)
		if err := confirm(counting, begin()); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); n < statements.Load(); n++ { // the last one gives the attempt back
				e := begin()
				broken, _ := storetest.FailAt(f.db, n, mode)
				if err := confirm(broken, e); !errors.Is(err, storetest.ErrInjected) {
					t.Errorf("statement %d failed: %v", n, err)
				}
				if got := f.factors(t, alice); got != (mfa.Factors{}) {
					t.Errorf("statement %d failed: %+v", n, got)
				}
				if err := confirm(f.db, e); err != nil {
					t.Errorf("statement %d failed, and so does another try: %v", n, err)
				}
			}
		}
	})
}

// Concurrent confirmations of one enrolment: one of them has it.
func TestEnrol_TwentyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		e, err := f.BeginTOTP(t.Context(), alice, session, "alice@example.com")
		if err != nil {
			t.Fatal(err)
		}
		code := f.code(t, e.Secret, 0)
		got := parallel(20, func(int) error { return f.ConfirmTOTP(context.Background(), alice, e.ID, session, code) })
		if got[""] != 1 {
			t.Errorf("outcomes %v", got)
		}
	})
}

// RFC 6238 §5.2: one step before and after the present one, never more.
func TestTOTP_Window(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		secret := f.enrol(t, alice)
		for _, c := range []struct {
			steps int
			want  string
		}{{-2, mfa.KeyWrong}, {2, mfa.KeyWrong}, {-1, ""}, {0, ""}, {1, ""}} {
			if err := f.VerifyTOTP(t.Context(), alice, f.code(t, secret, c.steps)); key(err) != c.want {
				t.Errorf("step %+d: %v", c.steps, err)
			}
		}
		f.clock.Advance(30 * time.Minute)
		code := f.code(t, secret, 0).Reveal()
		if err := f.VerifyTOTP(t.Context(), alice, seal.Secret(" "+code[:3]+" "+code[3:]+"\u00a0")); err != nil {
			t.Errorf("written in groups: %v", err)
		}
	})
}

// RFC 6238 §5.2: a code is accepted once, and none of an earlier step after it.
func TestTOTP_SameStepTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		secret := f.enrol(t, alice)
		code, earlier := f.code(t, secret, 0), f.code(t, secret, -1)
		if err := f.VerifyTOTP(t.Context(), alice, code); err != nil {
			t.Fatal(err)
		}
		for name, replay := range map[string]seal.Secret{"same": code, "earlier": earlier} {
			if err := f.VerifyTOTP(t.Context(), alice, replay); key(err) != mfa.KeyUsed {
				t.Errorf("%s step: %v", name, err)
			}
		}
		if err := f.VerifyTOTP(t.Context(), alice, f.code(t, secret, 1)); err != nil {
			t.Errorf("the next step: %v", err)
		}
	})
}

// Two instances over one database, twenty at once: one success.
func TestTOTP_ReplayAcrossInstances(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			c := clock.NewFake(start)
			a := newFixture(t, accounts(t, storetest.Connect(t, url)), c)
			b := newFixture(t, storetest.Connect(t, url), c)
			secret := a.enrol(t, alice)
			code := a.code(t, secret, 0)
			got := parallel(20, func(i int) error {
				return []*fixture{a, b}[i%2].VerifyTOTP(context.Background(), alice, code)
			})
			if got[""] != 1 || got[""]+got[mfa.KeyUsed]+got["too_many_attempts"] != 20 {
				t.Errorf("outcomes %v", got)
			}
		})
	}
}

// Guesses share one budget of five in five minutes, however many come at once and wherever: the
// attempt is counted before the code is looked at.
func TestTOTP_GuessesShareOneBudget(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			c := clock.NewFake(start)
			a := newFixture(t, accounts(t, storetest.Connect(t, url)), c)
			b := newFixture(t, storetest.Connect(t, url), c) // as after a restart, too
			secret := a.enrol(t, alice)
			wrong := a.wrong(t, secret)
			got := parallel(40, func(i int) error {
				return []*fixture{a, b}[i%2].VerifyTOTP(context.Background(), alice, wrong)
			})
			if got[mfa.KeyWrong] != 5 || got["too_many_attempts"] != 35 {
				t.Errorf("outcomes %v", got)
			}
			err := b.VerifyTOTP(t.Context(), alice, a.code(t, secret, 0))
			if !errs.Is(err, errs.Limited) || errs.As(err).RetryAfter <= 0 {
				t.Errorf("the right code while the budget is dry: %v", err)
			}
			a.lane.Store("browser-1")
			if err := a.VerifyTOTP(t.Context(), alice, a.code(t, secret, 0)); err != nil {
				t.Errorf("its owner, in a known browser, meanwhile: %v", err)
			}
			a.lane.Store("")
			c.Advance(5 * time.Minute)
			got = parallel(10, func(int) error { return a.VerifyTOTP(context.Background(), alice, wrong) })
			if got[mfa.KeyWrong] != 5 {
				t.Errorf("five minutes later: %v", got)
			}
		})
	}
}

// A right code gives back its own attempt, not those of the wrong ones before it.
func TestTOTP_RightCodeDoesNotRefill(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		secret := f.enrol(t, alice)
		wrong := f.wrong(t, secret)
		for range 4 {
			if err := f.VerifyTOTP(t.Context(), alice, wrong); key(err) != mfa.KeyWrong {
				t.Fatal(err)
			}
		}
		if err := f.VerifyTOTP(t.Context(), alice, f.code(t, secret, 0)); err != nil {
			t.Fatal(err)
		}
		if err := f.VerifyTOTP(t.Context(), alice, wrong); key(err) != mfa.KeyWrong {
			t.Errorf("the fifth wrong one: %v", err)
		}
		if err := f.VerifyTOTP(t.Context(), alice, wrong); !errs.Is(err, errs.Limited) {
			t.Errorf("the sixth: %v", err)
		}
	})
}

// NIST SP 800-63B-4 §3.2.2: wrong codes in a row end, whatever time they take. Strangers use up
// half of them; the other half is for browsers that the account knows.
func TestTOTP_LockedAfterManyInARow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		secret := f.enrol(t, alice)
		guess := func() int {
			n := 0
			for ; n <= 200; n++ {
				err := f.VerifyTOTP(t.Context(), alice, f.wrong(t, secret))
				if key(err) == mfa.KeyLocked {
					break
				}
				if key(err) != mfa.KeyWrong {
					t.Fatal(err)
				}
				f.clock.Advance(time.Minute)
			}
			return n
		}
		if n := guess(); n != 50 {
			t.Errorf("locked after %d from unknown browsers", n)
		}
		f.clock.Advance(24 * time.Hour)
		if err := f.VerifyTOTP(t.Context(), alice, f.code(t, secret, 0)); key(err) != mfa.KeyLocked {
			t.Errorf("the right code, a day later: %v", err)
		}
		if app, err := f.TOTP(t.Context(), alice); err != nil || !app.Locked {
			t.Errorf("%+v, %v", app, err)
		}
		f.lane.Store("browser-1")
		if err := f.VerifyTOTP(t.Context(), alice, f.code(t, secret, 0)); err != nil {
			t.Errorf("the right code in a known browser: %v", err)
		}
		f.clock.Advance(time.Hour)
		if n := guess(); n != 100 {
			t.Errorf("locked after %d from a known browser", n)
		}
		f.clock.Advance(time.Hour)
		codes, err := f.NewRecoveryCodes(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.UseRecoveryCode(t.Context(), alice, codes[3]); err != nil {
			t.Fatal(err)
		}
		f.lane.Store("")
		if err := f.VerifyTOTP(t.Context(), alice, f.code(t, secret, 0)); err != nil {
			t.Errorf("after a recovery code: %v", err)
		}
	})
}

// A failure after the check leaves the code unused and the attempt counted.
func TestTOTP_FailureAfterwards(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		secret := f.enrol(t, alice)
		code := f.code(t, secret, 0)
		for range 4 {
			if err := f.VerifyTOTP(t.Context(), alice, code, fails); !errors.Is(err, errAlso) {
				t.Fatal(err)
			}
		}
		if err := f.VerifyTOTP(t.Context(), alice, code); err != nil {
			t.Errorf("the code was used up: %v", err)
		}
		if err := f.VerifyTOTP(t.Context(), alice, f.wrong(t, secret)); key(err) != mfa.KeyWrong {
			t.Errorf("the fifth attempt: %v", err)
		}
		if err := f.VerifyTOTP(t.Context(), alice, f.wrong(t, secret)); !errs.Is(err, errs.Limited) {
			t.Errorf("the sixth attempt: %v", err)
		}
	})
}

// The count of wrong codes survives a database that fails at any later statement.
func TestTOTP_CountSurvivesFaults(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		secret := f.enrol(t, alice)
		failures := func() (n int64) {
			if err := f.db.QueryRow(t.Context(), `SELECT failures FROM totp_credential`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		counting, statements := storetest.FailAt(f.db, 0, storetest.Before)
		if err := newFixture(t, counting, f.clock).VerifyTOTP(t.Context(), alice, f.wrong(t, secret)); key(err) != mfa.KeyWrong {
			t.Fatal(err)
		}
		before := failures()
		if before != 1 || statements.Load() < 3 {
			t.Fatalf("%d failures after %d statements", before, statements.Load())
		}
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(3); n <= statements.Load(); n++ { // the first reserves, the second counts
				f.clock.Advance(time.Hour)
				broken, _ := storetest.FailAt(f.db, n, mode)
				if err := newFixture(t, broken, f.clock).VerifyTOTP(t.Context(), alice, f.wrong(t, secret)); !errors.Is(err, storetest.ErrInjected) {
					t.Errorf("statement %d failed: %v", n, err)
				}
				if now := failures(); now != before+1 {
					t.Errorf("statement %d failed: %d failures after %d", n, now, before)
				}
				before = failures()
			}
		}
	})
}

func TestTOTP_Remove(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		secret := f.enrol(t, alice)
		if _, err := f.NewRecoveryCodes(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		if err := f.RemoveTOTP(t.Context(), alice, fails); !errors.Is(err, errAlso) || !f.factors(t, alice).TOTP {
			t.Errorf("removed although what belongs to it failed: %v", err)
		}
		f.keys.Store(1)
		if err := f.RemoveTOTP(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		if got := f.factors(t, alice); got.TOTP || got.RecoveryLeft != 10 {
			t.Errorf("with a passkey left: %+v", got)
		}
		if err := f.VerifyTOTP(t.Context(), alice, f.code(t, secret, 0)); key(err) != mfa.KeyNone {
			t.Errorf("a code of the removed app: %v", err)
		}
		if err := f.RemoveTOTP(t.Context(), alice); !errs.Is(err, errs.NotFound) {
			t.Errorf("removed twice: %v", err)
		}
		f.keys.Store(0)
		f.enrol(t, alice)
		if err := f.RemoveTOTP(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		if got := f.factors(t, alice); got != (mfa.Factors{}) {
			t.Errorf("without any factor left: %+v", got)
		}
	})
}

func TestReset_TakesAllAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.enrol(t, alice)
		if _, err := f.NewRecoveryCodes(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		e, err := f.BeginTOTP(t.Context(), alice, session, "alice@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if had, err := f.Reset(t.Context(), alice); err != nil || !had {
			t.Fatalf("%v, %v", had, err)
		}
		if got := f.factors(t, alice); got != (mfa.Factors{}) {
			t.Errorf("left: %+v", got)
		}
		if err := f.ConfirmTOTP(t.Context(), alice, e.ID, session, f.code(t, e.Secret, 0)); key(err) != onetime.KeyUsed {
			t.Errorf("an enrolment from before: %v", err)
		}
		if had, err := f.Reset(t.Context(), alice); err != nil || had {
			t.Errorf("nothing to reset: %v, %v", had, err)
		}
	})
}
