package mfa_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"signet/internal/identity/mfa"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
	"signet/internal/platform/store/storetest"
)

func (f *fixture) recovery(t *testing.T) []seal.Secret {
	t.Helper()
	codes, err := f.NewRecoveryCodes(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

func TestRecovery_OnceEach(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		codes := f.recovery(t)
		seen := map[string]bool{}
		for _, c := range codes {
			// 24 symbols of 5 bits: NIST SP 800-63B-4 §3.1.2.2 lets 112 bits be hashed plainly.
			if !regexp.MustCompile(`^([0-9a-hjkmnp-tv-z]{4}-){5}[0-9a-hjkmnp-tv-z]{4}$`).MatchString(c.Reveal()) {
				t.Errorf("code %q", c.Reveal())
			}
			seen[c.Reveal()] = true
		}
		if len(seen) != mfa.RecoveryCodes {
			t.Errorf("%d different codes", len(seen))
		}
		told := -1
		left, err := f.UseRecoveryCode(ctx, alice, codes[0], func(_ context.Context, n int) error { told = n; return nil })
		if err != nil || left != 9 || told != 9 {
			t.Errorf("left %d, told %d, %v", left, told, err)
		}
		if _, err := f.UseRecoveryCode(ctx, alice, codes[0]); key(err) != mfa.KeyRecoveryUsed {
			t.Errorf("a second time: %v", err)
		}
		if _, err := f.UseRecoveryCode(ctx, bob, codes[1]); key(err) != mfa.KeyRecoveryWrong {
			t.Errorf("for somebody else: %v", err)
		}
		// As somebody types it from paper: capitals, no groups, letters for digits.
		typed := strings.NewReplacer("-", " ", "0", "O", "1", "l").Replace(strings.ToUpper(codes[1].Reveal()))
		if left, err := f.UseRecoveryCode(ctx, alice, seal.Secret(typed)); err != nil || left != 8 {
			t.Errorf("typed %q: %d, %v", typed, left, err)
		}
		if got := f.factors(t, alice).RecoveryLeft; got != 8 {
			t.Errorf("%d left", got)
		}
	})
}

func TestRecovery_FiftyAtOnce(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			c := clock.NewFake(start)
			a := newFixture(t, accounts(t, storetest.Connect(t, url)), c)
			b := newFixture(t, storetest.Connect(t, url), c)
			codes := a.recovery(t)
			got := parallel(50, func(i int) error {
				_, err := []*fixture{a, b}[i%2].UseRecoveryCode(context.Background(), alice, codes[0])
				return err
			})
			if got[""] != 1 || a.factors(t, alice).RecoveryLeft != 9 {
				t.Errorf("outcomes %v, %d left", got, a.factors(t, alice).RecoveryLeft)
			}
		})
	}
}

// A new set makes the old one worthless, and of several new ones at once one remains, whole.
func TestRecovery_NewSetReplaces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		old := f.recovery(t)
		if _, err := f.UseRecoveryCode(t.Context(), alice, old[0]); err != nil {
			t.Fatal(err)
		}
		sets := make([][]seal.Secret, 8)
		got := parallel(len(sets), func(i int) (err error) {
			sets[i], err = f.NewRecoveryCodes(context.Background(), alice)
			return err
		})
		if got[""] != len(sets) || f.factors(t, alice).RecoveryLeft != mfa.RecoveryCodes {
			t.Fatalf("outcomes %v, %d left", got, f.factors(t, alice).RecoveryLeft)
		}
		if _, err := f.UseRecoveryCode(t.Context(), alice, old[1]); key(err) != mfa.KeyRecoveryWrong {
			t.Errorf("a code of the old set: %v", err)
		}
		good := 0
		for _, set := range sets {
			f.clock.Advance(time.Hour)
			if _, err := f.UseRecoveryCode(t.Context(), alice, set[0]); err != nil {
				continue
			}
			good++
			for _, c := range set[1:] {
				if _, err := f.UseRecoveryCode(t.Context(), alice, c); err != nil {
					t.Errorf("the set that remains is not whole: %v", err)
				}
			}
		}
		if good != 1 {
			t.Errorf("%d sets work", good)
		}
	})
}

func TestRecovery_GuessesAreFew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		codes := f.recovery(t)
		got := parallel(40, func(int) error {
			_, err := f.UseRecoveryCode(context.Background(), alice, "0000-0000-0000-0000-0000-0000")
			return err
		})
		if got[mfa.KeyRecoveryWrong] != 5 || got["too_many_attempts"] != 35 {
			t.Errorf("outcomes %v", got)
		}
		if _, err := f.UseRecoveryCode(t.Context(), alice, codes[0]); !errs.Is(err, errs.Limited) {
			t.Errorf("the right code while the budget is dry: %v", err)
		}
		f.clock.Advance(15 * time.Minute)
		if _, err := f.UseRecoveryCode(t.Context(), alice, codes[0]); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

func TestRecovery_FailureAfterwardsKeepsTheCode(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		codes := f.recovery(t)
		_, err := f.UseRecoveryCode(t.Context(), alice, codes[0], func(context.Context, int) error { return errAlso })
		if !errors.Is(err, errAlso) || f.factors(t, alice).RecoveryLeft != 10 {
			t.Errorf("used up although what belongs to it failed: %v", err)
		}
		if _, err := f.NewRecoveryCodes(t.Context(), alice, fails); !errors.Is(err, errAlso) {
			t.Fatal(err)
		}
		if _, err := f.UseRecoveryCode(t.Context(), alice, codes[0]); err != nil {
			t.Errorf("the set that was not replaced: %v", err)
		}
		counting, statements := storetest.FailAt(f.db, 0, storetest.Before)
		if _, err := newFixture(t, counting, f.clock).UseRecoveryCode(t.Context(), alice, codes[1]); err != nil {
			t.Fatal(err)
		}
		// The last statement gives the attempt back; everything before it must hold or nothing.
		for n := int64(1); n < statements.Load(); n++ {
			f.clock.Advance(time.Hour)
			broken, _ := storetest.FailAt(f.db, n, storetest.After)
			if _, err := newFixture(t, broken, f.clock).UseRecoveryCode(t.Context(), alice, codes[2]); err == nil {
				t.Errorf("statement %d failed, and nothing happened", n)
			}
		}
		f.clock.Advance(time.Hour)
		if _, err := f.UseRecoveryCode(t.Context(), alice, codes[2]); err != nil {
			t.Errorf("after faults: %v", err)
		}
		if at, err := f.RecoveryCodesMade(t.Context(), alice); err != nil || !at.Equal(start) {
			t.Errorf("made at %v, %v", at, err)
		}
		if _, err := f.NewRecoveryCodes(t.Context(), "nobody"); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("codes for a deleted account: %v", err)
		}
	})
}
