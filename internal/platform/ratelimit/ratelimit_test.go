package ratelimit

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ten   = Budget{Name: "login-account", Limit: 10, Per: 15 * time.Minute}
	three = Budget{Name: "login-source", Limit: 3, Per: time.Minute}
)

func newLimiter(t *testing.T, db *store.DB, c clock.Clock) *Limiter {
	t.Helper()
	l, err := New(Deps{DB: db, Clock: c, Key: bytes.Repeat([]byte("k"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustReserve(t *testing.T, l *Limiter, keys ...Key) *Reservation {
	t.Helper()
	r, err := l.Reserve(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func refusedFor(t *testing.T, l *Limiter, keys ...Key) time.Duration {
	t.Helper()
	_, err := l.Reserve(t.Context(), keys...)
	if !errs.Is(err, errs.Limited) {
		t.Fatalf("got %v, want limited", err)
	}
	return errs.As(err).RetryAfter
}

func TestReserve_LimitThenRefill(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		l := newLimiter(t, db, c)
		k := Key{ten, "alice"}
		for range 10 {
			mustReserve(t, l, k)
		}
		// One attempt comes back every 90 seconds; the client is told when, not earlier.
		wait := refusedFor(t, l, k)
		if wait < 90*time.Second || wait > 92*time.Second {
			t.Errorf("retry after %v", wait)
		}
		mustReserve(t, l, Key{ten, "bob"}) // others are not concerned
		c.Advance(89 * time.Second)
		refusedFor(t, l, k)
		c.Advance(time.Second)
		mustReserve(t, l, k)
		refusedFor(t, l, k)
		c.Advance(15 * time.Minute) // rest refills, but never beyond the limit
		for range 10 {
			mustReserve(t, l, k)
		}
		refusedFor(t, l, k)
	})
}

func TestReserve_AllKeysOrNone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLimiter(t, db, clock.NewFake(start))
		account, source := Key{ten, "alice"}, Key{three, "192.0.2.1"}
		for range 3 {
			mustReserve(t, l, account, source)
		}
		for range 20 {
			refusedFor(t, l, account, source) // must not drain the account's bucket
		}
		for range 7 {
			mustReserve(t, l, account)
		}
		refusedFor(t, l, account)
	})
}

func TestReservation_ReturnGivesBackOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLimiter(t, db, clock.NewFake(start))
		k := Key{three, "x"}
		mustReserve(t, l, k)
		mustReserve(t, l, k)
		for range 20 {
			r := mustReserve(t, l, k)
			if err := r.Return(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := r.Return(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		mustReserve(t, l, k)
		refusedFor(t, l, k)
	})
}

// The attempt is committed before the check: 100 guesses at once over two instances evaluate
// at most the limit.
func TestReserve_ParallelGuessesOverTwoInstances(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			c := clock.NewFake(start)
			instances := []*Limiter{newLimiter(t, storetest.Connect(t, url), c), newLimiter(t, storetest.Connect(t, url), c)}
			var evaluated, refused atomic.Int64
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					// The order of keys differs between callers; that must not deadlock.
					keys := []Key{{ten, "alice"}, {Budget{Name: "wide", Limit: 1000, Per: time.Hour}, "net"}}
					if i%3 == 0 {
						keys[0], keys[1] = keys[1], keys[0]
					}
					_, err := instances[i%2].Reserve(context.Background(), keys...)
					switch {
					case err == nil:
						evaluated.Add(1)
					case errs.Is(err, errs.Limited):
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if evaluated.Load() != 10 || refused.Load() != 90 {
				t.Errorf("%d evaluated, %d refused", evaluated.Load(), refused.Load())
			}
		})
	}
}

func TestReserve_FailsClosedAndStoresNoNames(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		l := newLimiter(t, db, c)
		mustReserve(t, l, Key{three, "alice@example.com"})
		keys, err := store.All(t.Context(), db.Q(t.Context()), func(r store.Row) (s string, err error) {
			err = r.Scan(&s)
			return s, err
		}, `SELECT key FROM attempt_budget`)
		if err != nil || len(keys) != 1 || strings.Contains(keys[0], "alice") || len(keys[0]) != 43 {
			t.Errorf("stored keys %q, %v", keys, err)
		}
		other, err := New(Deps{DB: db, Clock: c, Key: bytes.Repeat([]byte("z"), 32)})
		if err != nil {
			t.Fatal(err)
		}
		mustReserve(t, other, Key{three, "alice@example.com"}) // another secret, another key
		faulty, _ := storetest.FailAt(db, 1, storetest.Before)
		if r, err := newLimiter(t, faulty, c).Reserve(t.Context(), Key{three, "x"}); !errs.Is(err, errs.Unavailable) || r != nil {
			t.Errorf("store down: %v, %v", r, err)
		}
		for _, b := range []Budget{{}, {Name: "x", Limit: 0, Per: time.Hour}, {Name: "x", Limit: 5}} {
			if _, err := l.Reserve(t.Context(), Key{b, "x"}); err == nil {
				t.Errorf("budget %+v accepted", b)
			}
		}
	})
}

// A reservation outlives the transaction around it: a rollback must not forget an attempt. (Postgres
// alone: on SQLite the one writer would wait for itself.)
func TestReserve_IsOutsideTheCallersTransaction(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if db.Engine() == store.SQLite {
			return
		}
		l := newLimiter(t, db, clock.NewFake(start))
		k := Key{three, "x"}
		for range 3 {
			boom := errors.New("boom")
			if err := db.InTx(t.Context(), func(ctx context.Context) error {
				if _, err := l.Reserve(ctx, k); err != nil {
					return err
				}
				return boom
			}); !errors.Is(err, boom) {
				t.Fatal(err)
			}
		}
		refusedFor(t, l, k)
	})
}

func TestDeleteExpired_KeepsWhatCounts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		l := newLimiter(t, db, c)
		for range 10 {
			mustReserve(t, l, Key{ten, "alice"})
		}
		for _, v := range []string{"a", "b", "c"} {
			mustReserve(t, l, Key{three, v})
		}
		c.Advance(61 * time.Second)
		if n, err := l.DeleteExpired(t.Context(), 2); err != nil || n != 2 {
			t.Errorf("deleted %d, %v", n, err)
		}
		if n, err := l.DeleteExpired(t.Context(), 100); err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
		refusedFor(t, l, Key{ten, "alice"})
		c.Advance(15 * time.Minute)
		if n, err := l.DeleteExpired(t.Context(), 100); err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
	})
}

// A row lasts until its bucket is full, not for the whole period: a long streak that was tried once
// or ended is soon forgotten.
func TestDeleteExpired_TakesWhatIsFull(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		l := newLimiter(t, db, c)
		month := Budget{Name: "month", Limit: 30, Per: 30 * 24 * time.Hour, Streak: true}
		mustReserve(t, l, Key{month, "once"})
		if err := mustReserve(t, l, Key{month, "right at once"}).Succeed(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			mustReserve(t, l, Key{month, "three"})
		}
		for _, step := range []struct {
			after time.Duration
			gone  int64
		}{{time.Second, 1}, {24 * time.Hour, 1}, {24 * time.Hour, 0}, {24 * time.Hour, 1}} {
			c.Advance(step.after)
			if n, err := l.DeleteExpired(t.Context(), 100); err != nil || n != step.gone {
				t.Errorf("%s later: deleted %d, %v, want %d", step.after, n, err, step.gone)
			}
		}
	})
}

func TestSourceNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
		"": "unknown", "nonsense": "unknown", "192.0.2.1:80": "unknown",
	} {
		if got := SourceNetwork(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A success ends a streak; attempts that were not checked do not.
func TestReservation_SucceedEndsStreaks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLimiter(t, db, clock.NewFake(start))
		streak := Budget{Name: "streak", Limit: 4, Per: 24 * time.Hour, Streak: true}
		plain, row := Key{three, "x"}, Key{streak, "x"}
		mustReserve(t, l, row)
		for range 2 {
			mustReserve(t, l, plain, row)
		}
		r := mustReserve(t, l, row) // the last of the streak
		refusedFor(t, l, row)
		if err := r.Return(t.Context()); err != nil {
			t.Fatal(err)
		}
		r = mustReserve(t, l, row, plain)
		refusedFor(t, l, row)
		for range 2 {
			if err := r.Succeed(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			mustReserve(t, l, row)
		}
		refusedFor(t, l, row)
		mustReserve(t, l, plain) // one came back, not all
		refusedFor(t, l, plain)
	})
}

// What happens is counted over all instances, outside of any transaction.
func TestCount_TellsWhenItIsTooMuch(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			c := clock.NewFake(start)
			instances := []*Limiter{newLimiter(t, storetest.Connect(t, url), c), newLimiter(t, storetest.Connect(t, url), c)}
			k := Key{three, "all"}
			for i, want := range []bool{true, true, true, false, false} {
				if within, err := instances[i%2].Count(t.Context(), k); err != nil || within != want {
					t.Errorf("event %d: %v, %v", i, within, err)
				}
			}
			c.Advance(20 * time.Second)
			for i, want := range []bool{true, false} {
				if within, err := instances[i%2].Count(t.Context(), k); err != nil || within != want {
					t.Errorf("after a refill, event %d: %v, %v", i, within, err)
				}
			}
		})
	}
}

func TestReserve_NamesTheBudgetThatRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var named []string
		l, err := New(Deps{DB: db, Clock: clock.NewFake(start), Key: bytes.Repeat([]byte("k"), 32), Observe: func(b string) { named = append(named, b) }})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			mustReserve(t, l, Key{ten, "alice"}, Key{three, "net"})
		}
		refusedFor(t, l, Key{ten, "alice"}, Key{three, "net"})
		if len(named) != 1 || named[0] != three.Name {
			t.Errorf("named %v", named)
		}
	})
}

func TestSiteNetwork(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1": "", "::ffff:192.0.2.1": "", "": "", "nonsense": "",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1::/48", "2001:db8:1:ffff::": "2001:db8:1::/48", "2001:db8:2::1": "2001:db8:2::/48", "fe80::1%eth0": "fe80::/48",
	} {
		if got := SiteNetwork(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzSourceNetwork(f *testing.F) {
	f.Add("2001:db8::1")
	f.Fuzz(func(t *testing.T, ip string) {
		if SourceNetwork(ip) == "" {
			t.Error("empty network")
		}
		if site := SiteNetwork(ip); site != "" && strings.Contains(SourceNetwork(ip), ".") {
			t.Errorf("an IPv4 address has the site %s", site)
		}
	})
}
