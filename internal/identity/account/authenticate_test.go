package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// A Werkzeug hash of herons with few rounds.
const foreignHash = "pbkdf2:sha256:10$salt$" + "%x"

func (f *fixture) withHash(a Account, hash string) {
	f.t.Helper()
	if _, err := f.db.Exec(f.ctx(), `UPDATE password_credential SET hash = $2 WHERE account_id = $1`, string(a.ID), hash); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) hashOf(a Account) (hash string) {
	f.t.Helper()
	if err := f.db.QueryRow(f.ctx(), `SELECT hash FROM password_credential WHERE account_id = $1`, string(a.ID)).Scan(&hash); err != nil {
		f.t.Fatal(err)
	}
	return hash
}

// Unknown, wrong, disabled, without a password: one error, and the same statements.
func TestAuthenticate_OneAnswerForEveryFailure(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.signUp("alice@example.com", "alice")
		disabled := f.signUp("disabled@example.com", "disabled")
		if err := f.Disable(f.ctx(), disabled.ID); err != nil {
			f.t.Fatal(err)
		}
		if _, err := f.Create(f.ctx(), NewAccount{Username: "empty"}); err != nil {
			f.t.Fatal(err)
		}
		broken := f.signUp("broken@example.com", "broken")
		f.withHash(broken, "$argon2id$v=19$m=4194304,t=9,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA")

		counting, count := storetest.FailAt(f.db, 0, storetest.Before)
		s := newService(f.t, counting, f.clock)
		var text string
		for _, tt := range []struct {
			identifier string
			pw         seal.Secret
		}{
			{"alice@example.com", otters}, {"alice", otters}, {"nobody@example.com", otters}, {"nobody", otters},
			{"disabled@example.com", otters}, {"disabled", herons}, {"empty", otters}, {"empty", ""}, {"alice", ""},
			{"broken", otters}, {"alice", seal.Secret(strings.Repeat("x", 1<<20))},
		} {
			count.Store(0)
			a, err := s.Authenticate(f.ctx(), tt.identifier, tt.pw)
			if !errs.Is(err, errs.Unauthenticated) || a.ID != "" {
				f.t.Errorf("%s: %v, %v", tt.identifier, a.ID, err)
				continue
			}
			if text == "" {
				text = err.Error()
			}
			if err.Error() != text || errors.Unwrap(err) != nil {
				f.t.Errorf("%s is told apart: %v", tt.identifier, err)
			}
			if count.Load() != 4 { // look up, reserve, count the failure, record
				f.t.Errorf("%s: %d statements", tt.identifier, count.Load())
			}
		}
		if n := f.audited("login", audit.Refused); n != 11 {
			f.t.Errorf("%d records", n)
		}
		// What was typed is in no record: it may be a password in the wrong field.
		if n := f.count(`SELECT count(*) FROM audit_event WHERE target LIKE '%nobody%' OR detail LIKE '%nobody%'`); n != 0 {
			f.t.Errorf("%d records hold what was typed", n)
		}
	})
}

// Every spelling and every channel draws on one budget, whether the account exists or not.
func TestAuthenticate_VariantsShareTheBudget(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "alice")
		spellings := []string{"alice", "ALICE", "ａｌｉｃｅ", " alice ", "alice@example.com", "Alice@EXAMPLE.com", "alice@example.com."}
		try := func(i int, identifier string) error {
			ctx := audit.WithSource(f.t.Context(), audit.Source{IP: fmt.Sprintf("198.51.100.%d", i)}) // each from elsewhere
			_, err := f.Authenticate(ctx, identifier, otters)
			return err
		}
		for i := range 8 {
			if err := try(i, spellings[i%len(spellings)]); !errs.Is(err, errs.Unauthenticated) {
				f.t.Fatal(err)
			}
		}
		if err := f.Reauthenticate(f.ctx(), a.ID, otters); !errs.Is(err, errs.Unauthenticated) {
			f.t.Fatal(err)
		}
		if err := f.ChangePassword(f.ctx(), a.ID, otters, "a wholly different sentence"); !errs.Is(err, errs.Unauthenticated) {
			f.t.Fatal(err)
		}
		for i, s := range spellings {
			if err := try(20+i, s); !errs.Is(err, errs.Limited) || errs.As(err).RetryAfter < 80*time.Second {
				f.t.Errorf("%q after the limit: %v", s, err)
			}
		}
		if _, err := f.Authenticate(f.ctx(), "alice", herons); !errs.Is(err, errs.Limited) {
			f.t.Errorf("the right password while limited: %v", err)
		}
		for i := range 12 {
			err := try(100+i, []string{"ghost", "GHOST"}[i%2])
			if want := map[bool]errs.Kind{true: errs.Unauthenticated, false: errs.Limited}[i < 10]; !errs.Is(err, want) {
				f.t.Errorf("unknown name, try %d: %v", i, err)
			}
		}
		f.clock.Advance(15 * time.Minute)
		if _, err := f.Authenticate(f.ctx(), "alice", herons); err != nil {
			f.t.Error(err)
		}
	})
}

func TestAuthenticate_SuccessCostsNothing(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.signUp("alice@example.com", "")
		for range 30 {
			if _, err := f.Authenticate(f.ctx(), "alice@example.com", herons); err != nil {
				f.t.Fatal(err)
			}
		}
	})
}

// Credential stuffing: many accounts, one guess each, from one network of IPv6.
func TestAuthenticate_SourceBudget(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.signUp("alice@example.com", "")
		limited := 0
		for i := range 110 {
			ctx := audit.WithSource(f.t.Context(), audit.Source{IP: fmt.Sprintf("2001:db8:1:2::%x", i)})
			_, err := f.Authenticate(ctx, fmt.Sprintf("user%d@example.com", i), otters)
			if errs.Is(err, errs.Limited) {
				limited++
			} else if !errs.Is(err, errs.Unauthenticated) {
				f.t.Fatal(err)
			}
		}
		if limited != 10 {
			f.t.Errorf("%d of 110 limited", limited)
		}
		if _, err := f.Authenticate(f.ctx(), "alice@example.com", herons); err != nil {
			f.t.Errorf("somebody elsewhere: %v", err)
		}
	})
}

// 100 guesses at once over two instances: at most ten reach the comparison.
func TestAuthenticate_ParallelGuesses(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			one := newFixture(t, storetest.Connect(t, url))
			instances := []*Service{one.Service, newService(t, storetest.Connect(t, url), one.clock)}
			one.signUp("alice@example.com", "alice")
			var evaluated, limited atomic.Int64
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					ctx := audit.WithSource(context.Background(), audit.Source{IP: fmt.Sprintf("198.51.100.%d", i)})
					_, err := instances[i%2].Authenticate(ctx, []string{"alice", "ALICE@example.com"}[i%2], otters)
					switch {
					case errs.Is(err, errs.Unauthenticated):
						evaluated.Add(1)
					case errs.Is(err, errs.Limited):
						limited.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if evaluated.Load() != 10 || limited.Load() != 90 {
				t.Errorf("%d evaluated, %d limited", evaluated.Load(), limited.Load())
			}
		})
	}
}

// The count survives whatever happens after the guess: a failing audit write, a visitor who leaves.
func TestAuthenticate_FailedRequestsStayCounted(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.signUp("alice@example.com", "alice")
		for i := range 5 {
			ctx, cancel := context.WithCancel(f.ctx())
			view, _ := storetest.FailAt(f.db, 4, storetest.Before) // look up, reserve, count the failure, record
			if i%2 == 0 {
				n := 0
				view = f.db.Wrapped(func(q store.Querier) store.Querier {
					if n++; n == 4 {
						cancel() // gone when the record is to be written
					}
					return q
				})
			}
			if _, err := newService(f.t, view, f.clock).Authenticate(ctx, "alice", otters); err == nil || errs.Is(err, errs.Limited) || errs.Is(err, errs.Unauthenticated) {
				f.t.Fatalf("try %d: %v", i, err)
			}
			cancel()
		}
		if _, err := f.Authenticate(f.ctx(), "alice", otters); !errs.Is(err, errs.Limited) {
			f.t.Errorf("sixth try: %v", err)
		}
	})
}

// Nothing was checked while the server was busy, so nothing is counted.
func TestAuthenticate_BusyIsNotCounted(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.signUp("alice@example.com", "alice")
		busy := newService(f.t, f.db, f.clock)
		busy.passwords = occupied(f.t)
		for range 15 {
			if _, err := busy.Authenticate(f.ctx(), "alice", herons); !errs.Is(err, errs.Busy) {
				f.t.Fatal(err)
			}
		}
		if _, err := f.Authenticate(f.ctx(), "alice", herons); err != nil {
			f.t.Error(err)
		}
	})
}

func TestAuthenticate_UpgradesForeignHashes(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "alice")
		foreign := fmt.Sprintf(foreignHash, pbkdf2SHA256(string(herons.Reveal()), "salt", 10))
		f.withHash(a, foreign)
		if _, err := f.Authenticate(f.ctx(), "alice", otters); !errs.Is(err, errs.Unauthenticated) {
			f.t.Fatal(err)
		}
		if f.hashOf(a) != foreign {
			f.t.Error("replaced after a wrong password")
		}
		if _, err := f.Authenticate(f.ctx(), "alice", herons); err != nil {
			f.t.Fatal(err)
		}
		ours := f.hashOf(a)
		if !strings.HasPrefix(ours, "$argon2id$") || f.audited("password.upgrade", audit.OK) != 1 {
			f.t.Errorf("after the login: %s", ours)
		}
		if _, err := f.Authenticate(f.ctx(), "alice", herons); err != nil || f.hashOf(a) != ours {
			f.t.Errorf("second login: %v", err)
		}
		// In a change of password too: the upgrade in between is not taken for somebody else's change.
		f.withHash(a, foreign)
		if err := f.ChangePassword(f.ctx(), a.ID, herons, otters); err != nil {
			f.t.Error(err)
		}
		if _, err := f.Authenticate(f.ctx(), "alice", otters); err != nil {
			f.t.Error(err)
		}
	})
}

// Every statement of a login with an upgrade fails once, before and after its effect. The login
// succeeds or fails as a whole, and afterwards the password still works.
func TestAuthenticate_Faults(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "alice")
		foreign := fmt.Sprintf(foreignHash, pbkdf2SHA256(string(herons.Reveal()), "salt", 10))
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); ; n++ {
				f.withHash(a, foreign)
				records := f.audited("password.upgrade", audit.OK)
				faulty, seen := storetest.FailAt(f.db, n, mode)
				s := newService(f.t, faulty, f.clock)
				_, err := s.Authenticate(f.ctx(), "alice", herons)
				if err != nil && !errs.Is(err, errs.Unavailable) {
					f.t.Errorf("statement %d: %v", n, err)
				}
				if upgraded := f.hashOf(a) != foreign; upgraded != (f.audited("password.upgrade", audit.OK) > records) {
					f.t.Errorf("statement %d: upgraded %v without its record, or the reverse", n, upgraded)
				}
				if _, err := f.Authenticate(f.ctx(), "alice", herons); err != nil {
					f.t.Fatalf("after statement %d: %v", n, err)
				}
				f.clock.Advance(15 * time.Minute)
				if seen.Load() < n {
					break
				}
			}
		}
	})
}

func TestReauthenticate(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "")
		if err := f.Reauthenticate(f.ctx(), a.ID, herons); err != nil {
			f.t.Error(err)
		}
		if err := f.Reauthenticate(f.ctx(), a.ID, otters); !errs.Is(err, errs.Unauthenticated) {
			f.t.Errorf("wrong: %v", err)
		}
		if err := f.Disable(f.ctx(), a.ID); err != nil {
			f.t.Fatal(err)
		}
		if err := f.Reauthenticate(f.ctx(), a.ID, herons); !errs.Is(err, errs.Unauthenticated) {
			f.t.Errorf("disabled: %v", err)
		}
	})
}

// A login that was being checked while the password was replaced opens nothing; one whose hash was
// only improved meanwhile does.
func TestAuthenticate_PasswordReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "alice")
		during := func(act func()) *Service { // act happens after the check: look up, reserve, give back, begin
			n := 0
			return newService(f.t, f.db.Wrapped(func(q store.Querier) store.Querier {
				if n++; n == 3 {
					act()
				}
				return q
			}), f.clock)
		}
		opened := 0
		open := func(ctx context.Context, got Account) error {
			store.MustTx(ctx)
			if got.ID != a.ID {
				f.t.Errorf("opened for %q", got.ID)
			}
			opened++
			return nil
		}
		s := during(func() {
			if err := f.SetPassword(f.ctx(), a.ID, otters); err != nil {
				f.t.Error(err)
			}
		})
		if _, err := s.Authenticate(f.ctx(), "alice", herons, open); !errs.Is(err, errs.Unauthenticated) || opened != 0 {
			f.t.Errorf("with the old password: %v, opened %d", err, opened)
		}
		foreign := fmt.Sprintf(foreignHash, pbkdf2SHA256(string(otters.Reveal()), "salt", 10))
		s = during(func() { f.withHash(a, foreign) })
		if _, err := s.Authenticate(f.ctx(), "alice", otters, open); err != nil || opened != 1 {
			f.t.Errorf("with the same password under another hash: %v, opened %d", err, opened)
		}
		s = during(func() {
			if err := f.Delete(f.ctx(), a.ID); err != nil {
				f.t.Error(err)
			}
		})
		if _, err := s.Authenticate(f.ctx(), "alice", otters, open); !errs.Is(err, errs.Unauthenticated) || opened != 1 {
			f.t.Errorf("deleted: %v, opened %d", err, opened)
		}
	})
}
