package account

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/identity/password"
	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
	"signet/internal/platform/store/storetest"
)

func pbkdf2SHA256(pw, salt string, rounds int) []byte {
	k, err := pbkdf2.Key(sha256.New, pw, []byte(salt), rounds, 32)
	if err != nil {
		panic(err)
	}
	return k
}

// occupied returns a password service that is busy for the rest of the test: the slot goes from
// one patient waiter to the next.
func occupied(t *testing.T) *password.Service {
	t.Helper()
	s, err := password.New(password.Deps{Params: password.Params{MemoryKiB: 1024, Time: 1, Parallelism: 1}, Slots: 1, QueueTimeout: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg, began sync.WaitGroup
	for range 8 {
		began.Add(1)
		wg.Go(func() {
			_, _ = s.HashPatiently(ctx, herons)
			began.Done()
			for ctx.Err() == nil {
				_, _ = s.HashPatiently(ctx, herons)
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	began.Wait() // from here on the slot passes from one to the next in line
	return s
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "alice")
		change := func(current, next seal.Secret) error { return f.ChangePassword(f.ctx(), a.ID, current, next) }
		if err := change(otters, "another fine sentence here"); !errs.Is(err, errs.Unauthenticated) {
			f.t.Errorf("wrong current one: %v", err)
		}
		for next, key := range map[seal.Secret]string{"short": password.KeyTooShort, "passwordpassword1": password.KeyCommon, "alice@example.com": password.KeyContainsName, "signetsignet2024": password.KeyContainsService} {
			if err := change(herons, next); errs.As(err).Key != key || errs.As(err).Field != "password" {
				f.t.Errorf("%s: %v", key, err)
			}
		}
		if _, err := f.Authenticate(f.ctx(), "alice", herons); err != nil {
			f.t.Fatalf("the old one is gone: %v", err)
		}
		if err := change(herons, otters); err != nil {
			f.t.Fatal(err)
		}
		if _, err := f.Authenticate(f.ctx(), "alice", herons); !errs.Is(err, errs.Unauthenticated) {
			f.t.Errorf("the old one still works: %v", err)
		}
		if _, err := f.Authenticate(f.ctx(), "alice", otters); err != nil {
			f.t.Error(err)
		}
		if f.audited("password.change", audit.OK) != 1 || f.audited("password.change", audit.Refused) != 1 {
			f.t.Error("audit records")
		}
	})
}

// Of many changes at once, each knowing the current password, one wins; the others are told.
func TestChangePassword_RaceHasOneWinner(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			f := newFixture(t, storetest.Connect(t, url))
			f.budgets.Account.Limit, f.budgets.Pair.Limit = 1000, 1000
			other := newService(t, storetest.Connect(t, url), f.clock)
			other.budgets = f.budgets
			a := f.signUp("alice@example.com", "alice")
			var winner atomic.Value
			var wins atomic.Int64
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					next := seal.Secret(fmt.Sprintf("quite another sentence %d", i))
					err := []*Service{f.Service, other}[i%2].ChangePassword(context.Background(), a.ID, herons, next)
					switch {
					case err == nil:
						wins.Add(1)
						winner.Store(next)
					case !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.Unauthenticated):
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if wins.Load() != 1 {
				t.Fatalf("%d winners", wins.Load())
			}
			if _, err := f.Authenticate(f.ctx(), "alice", winner.Load().(seal.Secret)); err != nil {
				t.Errorf("the acknowledged password: %v", err)
			}
		})
	}
}

func TestChangePassword_Faults(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "alice")
		current, next := herons, otters
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); ; n++ {
				records := f.audited("password.change", audit.OK)
				faulty, seen := storetest.FailAt(f.db, n, mode)
				err := newService(f.t, faulty, f.clock).ChangePassword(f.ctx(), a.ID, current, next)
				if err == nil {
					current, next = next, current
				} else if !errs.Is(err, errs.Unavailable) {
					f.t.Errorf("statement %d: %v", n, err)
				}
				if changed := f.audited("password.change", audit.OK) > records; changed != (err == nil) {
					f.t.Errorf("statement %d: answered %v, recorded %v", n, err, changed)
				}
				if _, err := f.Authenticate(f.ctx(), "alice", current); err != nil {
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

func TestSignUp_Faults(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		rows := func() int64 {
			return f.count(`SELECT (SELECT count(*) FROM account) + (SELECT count(*) FROM email_address) + (SELECT count(*) FROM password_credential) + (SELECT count(*) FROM audit_event)`)
		}
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); ; n++ {
				before := rows()
				faulty, seen := storetest.FailAt(f.db, n, mode)
				_, err := newService(f.t, faulty, f.clock).SignUp(f.ctx(), SignUp{Email: fmt.Sprintf("u%d-%d@example.com", mode, n), Username: fmt.Sprintf("u%d-%d", mode, n), Password: herons})
				if made := rows() - before; (err == nil) != (made == 4) || err != nil && made != 0 {
					f.t.Errorf("statement %d: %v and %d rows", n, err, made)
				}
				if err != nil && !errs.Is(err, errs.Unavailable) {
					f.t.Errorf("statement %d: %v", n, err)
				}
				if seen.Load() < n {
					break
				}
			}
		}
	})
}

// Many sign-ups for one address at once: one account, clean conflicts for the rest.
func TestSignUp_RaceHasOneWinner(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			f := newFixture(t, storetest.Connect(t, url))
			other := newService(t, storetest.Connect(t, url), f.clock)
			var won, lost atomic.Int64
			var wg sync.WaitGroup
			for i := range 24 {
				wg.Go(func() {
					_, err := []*Service{f.Service, other}[i%2].SignUp(context.Background(), SignUp{Email: []string{"alice@example.com", "ALICE@example.com"}[i/2%2], Password: herons})
					switch {
					case err == nil:
						won.Add(1)
					case errs.Is(err, errs.Conflict) && errs.As(err).Key == KeyEmailTaken:
						lost.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 || lost.Load() != 23 || f.count(`SELECT count(*) FROM account`) != 1 {
				t.Errorf("%d won, %d lost", won.Load(), lost.Load())
			}
		})
	}
}
