package onetime_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const mailed onetime.Purpose = "test"

type payload struct{ Address string }

func each(t *testing.T, fn func(t *testing.T, s *onetime.Service, db *store.DB, c *clock.Fake)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
		sealer, err := seal.Parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
		if err != nil {
			t.Fatal(err)
		}
		s, err := onetime.New(onetime.Deps{DB: db, Clock: c, Seal: sealer})
		if err != nil {
			t.Fatal(err)
		}
		fn(t, s, db, c)
	})
}

func put(t *testing.T, s *onetime.Service, d onetime.Draft) onetime.Issued {
	t.Helper()
	d.Purpose, d.Payload = mailed, payload{"kim@example.com"}
	if d.TTL == 0 {
		d.TTL = time.Minute
	}
	out, err := s.Put(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tryCode does what an act does: it checks a code and takes the thing.
func tryCode(ctx context.Context, s *onetime.Service, p onetime.Purpose, thing, binding, code string) (onetime.Thing, error) {
	if err := s.CheckCode(ctx, p, thing, binding, code); err != nil {
		return onetime.Thing{}, err
	}
	return s.TakeID(ctx, p, thing, binding)
}

func key(err error) string {
	if err == nil {
		return ""
	}
	return errs.As(err).Key
}

func TestTake_OnceAndOnlyByWhomItIsBoundTo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *onetime.Service, _ *store.DB, c *clock.Fake) {
		ctx := t.Context()
		one := put(t, s, onetime.Draft{Binding: "journey-1", Token: id.MailLink})
		if _, err := s.Take(ctx, mailed, one.Token.Reveal(), "journey-2"); key(err) != onetime.KeyUnknown {
			t.Errorf("another journey: %v", err)
		}
		if _, err := s.Take(ctx, "other", one.Token.Reveal(), "journey-1"); key(err) != onetime.KeyUnknown {
			t.Errorf("another purpose: %v", err)
		}
		for range 3 { // looking uses nothing up
			if _, err := s.Peek(ctx, mailed, one.Token.Reveal()); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Take(ctx, mailed, one.Token.Reveal(), "journey-1")
		if err != nil {
			t.Fatal(err)
		}
		if p, err := onetime.Read[payload](got); err != nil || p.Address != "kim@example.com" {
			t.Errorf("payload %+v, %v", p, err)
		}
		if _, err := s.Take(ctx, mailed, one.Token.Reveal(), "journey-1"); key(err) != onetime.KeyUsed {
			t.Errorf("a second time: %v", err)
		}
		late := put(t, s, onetime.Draft{Token: id.MailLink})
		c.Advance(time.Minute)
		if _, err := s.Take(ctx, mailed, late.Token.Reveal(), ""); key(err) != onetime.KeyExpired {
			t.Errorf("at the end of its time: %v", err)
		}
	})
}

func TestTake_FiftyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *onetime.Service, _ *store.DB, _ *clock.Fake) {
		one := put(t, s, onetime.Draft{Token: id.MailLink, Code: true})
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				var err error
				switch i % 3 {
				case 0:
					_, err = s.Take(context.Background(), mailed, one.Token.Reveal(), "")
				case 1:
					_, err = s.TakeID(context.Background(), mailed, one.ID, "")
				default:
					_, err = tryCode(context.Background(), s, mailed, one.ID, "", one.Code.Reveal())
				}
				if err == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d takers won", won.Load())
		}
	})
}

func TestCheckCode_FiveTriesInAll(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *onetime.Service, _ *store.DB, _ *clock.Fake) {
		one := put(t, s, onetime.Draft{Code: true})
		wrong := "00000000"
		if one.Code.Reveal() == wrong {
			wrong = "11111111"
		}
		var seen atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := tryCode(context.Background(), s, mailed, one.ID, "", wrong); key(err) == onetime.KeyWrong {
					seen.Add(1)
				}
			})
		}
		wg.Wait()
		if seen.Load() != onetime.MaxTries {
			t.Errorf("%d codes were compared, want %d", seen.Load(), onetime.MaxTries)
		}
		if _, err := tryCode(t.Context(), s, mailed, one.ID, "", one.Code.Reveal()); key(err) != onetime.KeySpent {
			t.Errorf("the right code after the last try: %v", err)
		}
	})
}

// A try stays counted although everything after it fails.
func TestCheckCode_CountSurvivesAFailure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *onetime.Service, _ *store.DB, _ *clock.Fake) {
		one := put(t, s, onetime.Draft{Code: true})
		_, _ = tryCode(t.Context(), s, mailed, one.ID, "", "1")
		got, err := s.ByID(t.Context(), mailed, one.ID)
		if err != nil || got.Tries != 1 {
			t.Errorf("tries %d, %v", got.Tries, err)
		}
		if _, err := tryCode(t.Context(), s, mailed, one.ID, "", " "+one.Code.Reveal()[:4]+" "+one.Code.Reveal()[4:]+"\u00a0"); err != nil {
			t.Errorf("the code as shown in the mail: %v", err)
		}
	})
}

func TestPut_VoidsOlderOnes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *onetime.Service, _ *store.DB, _ *clock.Fake) {
		old := put(t, s, onetime.Draft{Subject: "u1", Token: id.MailLink, Void: true})
		other := put(t, s, onetime.Draft{Subject: "u2", Token: id.MailLink, Void: true})
		newest := put(t, s, onetime.Draft{Subject: "u1", Token: id.MailLink, Void: true})
		if _, err := s.Take(t.Context(), mailed, old.Token.Reveal(), ""); key(err) != onetime.KeyUsed {
			t.Errorf("the older one: %v", err)
		}
		for name, one := range map[string]onetime.Issued{"newest": newest, "of somebody else": other} {
			if _, err := s.Take(t.Context(), mailed, one.Token.Reveal(), ""); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestSpend_FirstOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *onetime.Service, _ *store.DB, c *clock.Fake) {
		var firsts atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				first, err := s.Spend(context.Background(), mailed, "challenge", c.Now().Add(time.Minute))
				if err != nil {
					t.Error(err)
				}
				if first {
					firsts.Add(1)
				}
			})
		}
		wg.Wait()
		if firsts.Load() != 1 {
			t.Errorf("%d were first", firsts.Load())
		}
		if first, err := s.Spend(t.Context(), "another", "challenge", c.Now().Add(time.Minute)); err != nil || !first {
			t.Errorf("another purpose: %v, %v", first, err)
		}
		c.Advance(time.Minute)
		if n, err := s.DeleteExpired(t.Context(), 100); err != nil || n != 2 {
			t.Errorf("deleted %d, %v", n, err)
		}
	})
}

func TestPut_NothingInClear(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *onetime.Service, db *store.DB, _ *clock.Fake) {
		one := put(t, s, onetime.Draft{Token: id.MailLink, Code: true})
		var hash, mac string
		var sealed []byte
		if err := db.QueryRow(t.Context(), `SELECT token_hash, code_mac, payload FROM one_time`).Scan(&hash, &mac, &sealed); err != nil {
			t.Fatal(err)
		}
		row := hash + mac + string(sealed)
		for _, secret := range []string{one.Token.Reveal(), one.Code.Reveal(), "kim@example.com"} {
			if strings.Contains(row, secret) {
				t.Errorf("%q stands in the row", secret)
			}
		}
	})
}

func FuzzCleanCode(f *testing.F) {
	f.Add("1234 5678")
	f.Add("１２３４-5678")
	f.Fuzz(func(t *testing.T, typed string) {
		if got := onetime.CleanCode(typed); len(got) > 64*3 || got != onetime.CleanCode(got) && len(got) <= 64 {
			t.Errorf("%q became %q", typed, got)
		}
	})
}

// A check counts like a try, and leaves the thing to the transaction that takes it.
func TestCheckCode_CountsAndUsesNothingUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *onetime.Service, _ *store.DB, _ *clock.Fake) {
		one := put(t, s, onetime.Draft{Binding: "journey-1", Code: true})
		if err := s.CheckCode(t.Context(), mailed, one.ID, "journey-2", one.Code.Reveal()); key(err) != onetime.KeyUnknown {
			t.Errorf("another journey: %v", err)
		}
		for range onetime.MaxTries {
			if err := s.CheckCode(t.Context(), mailed, one.ID, "journey-1", one.Code.Reveal()); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.CheckCode(t.Context(), mailed, one.ID, "journey-1", one.Code.Reveal()); key(err) != onetime.KeySpent {
			t.Errorf("after the last try: %v", err)
		}
		if _, err := s.TakeID(t.Context(), mailed, one.ID, "journey-1"); err != nil {
			t.Errorf("checks used it up: %v", err)
		}
	})
}

func TestOpen_WhatCanStillBeUsed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *onetime.Service, _ *store.DB, c *clock.Fake) {
		ctx := t.Context()
		put(t, s, onetime.Draft{TTL: time.Second})
		used := put(t, s, onetime.Draft{})
		if _, err := s.TakeID(ctx, mailed, used.ID, ""); err != nil {
			t.Fatal(err)
		}
		one, two := put(t, s, onetime.Draft{}), put(t, s, onetime.Draft{})
		c.Advance(time.Second)
		list, err := s.Open(ctx, mailed, "")
		if err != nil || len(list) != 2 || list[0].ID != one.ID || list[1].ID != two.ID {
			t.Fatalf("%+v, %v", list, err)
		}
		if p, err := onetime.Read[payload](list[0]); err != nil || p.Address == "" {
			t.Errorf("%+v, %v", p, err)
		}
		if list, err := s.Open(ctx, mailed, one.ID); err != nil || len(list) != 1 || list[0].ID != two.ID {
			t.Errorf("the rest: %+v, %v", list, err)
		}
	})
}
