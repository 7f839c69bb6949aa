package session

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const alice, bob = id.User("user-alice"), id.User("user-bob")

type fixture struct {
	*Service
	db    *store.DB
	clock *clock.Fake
	audit *audit.Log
}

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	c := clock.NewFake(start)
	log, err := audit.New(audit.Deps{DB: db, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Deps{DB: db, Clock: c, Audit: log, Idle: time.Hour, Absolute: 8 * time.Hour, MaxPerAccount: 3})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{s, db, c, log}
}

// withUsers opens a fixture in which alice and bob have accounts.
func withUsers(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	for _, u := range []id.User{alice, bob} {
		_, err := db.Exec(t.Context(), `INSERT INTO account (id, status, profile, source, created_at, updated_at) VALUES ($1, 'active', '{}', 'test', 1, 1)`, string(u))
		if err != nil {
			t.Fatal(err)
		}
	}
	return newFixture(t, db)
}

func (f *fixture) start(t *testing.T, u id.User) (Session, string) {
	t.Helper()
	s, cookie, err := f.Start(t.Context(), u, Event{Method: Password, At: f.clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return s, cookie
}

func (f *fixture) alive(t *testing.T, cookie string) bool {
	t.Helper()
	s, err := f.Lookup(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	return s != nil
}

func TestSession_StartAndLookup(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		ctx := audit.WithSource(t.Context(), audit.Source{IP: "192.0.2.7", UserAgent: "Browser\x00\n" + strings.Repeat("é", 300)})
		started, cookie, err := f.Start(ctx, alice, Event{Method: Password, At: start})
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Lookup(ctx, cookie)
		if err != nil || got == nil {
			t.Fatalf("%v, %v", got, err)
		}
		want := Session{ID: started.ID, User: alice, Events: []Event{{Method: Password, At: start}}, CreatedAt: start, LastSeenAt: start,
			ExpiresAt: start.Add(8 * time.Hour), IP: "192.0.2.7", UserAgent: "Browser" + strings.Repeat("é", 124)}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, started); diff != "" {
			t.Error(diff)
		}
		if got.ACR() != OneFactor || !got.AuthTime().Equal(start) || !cmp.Equal(got.AMR(), []string{"pwd"}) {
			t.Errorf("acr %q, auth_time %v, amr %v", got.ACR(), got.AuthTime(), got.AMR())
		}
		// The cookie's value is nowhere in the store.
		var n int64
		if err := db.QueryRow(ctx, `SELECT count(*) FROM session WHERE token_hash = $1 OR id = $1`, cookie).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d rows hold the cookie, %v", n, err)
		}
		if _, _, err := f.Start(ctx, "nobody", Event{Method: Password, At: start}); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("session for a deleted account: %v", err)
		}
		if _, _, err := f.Start(ctx, alice, Event{}); err == nil {
			t.Error("session without an authentication")
		}
	})
}

// A forged, malformed or foreign cookie is no cookie, and costs no statement.
func TestLookup_RefusesForgeries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		s, cookie := f.start(t, alice)
		counting, count := storetest.FailAt(db, 0, storetest.Before)
		f.Service.db = counting
		for _, c := range []string{
			"", "x", string(s.ID), cookie[:len(cookie)-1], cookie + "A", cookie + " ", strings.ToUpper(cookie), strings.Repeat("A", 8192),
			id.NewToken(id.BrowserCookie), strings.Replace(cookie, string(id.SessionCookie), string(id.RefreshToken), 1), "sgn_ses_\x00", cookie[:20] + "é" + cookie[22:],
		} {
			if f.alive(t, c) {
				t.Errorf("%.30q is a session", c)
			}
		}
		if count.Load() != 0 {
			t.Errorf("%d statements for malformed cookies", count.Load())
		}
		if f.alive(t, id.NewToken(id.SessionCookie)) {
			t.Error("a made-up token is a session")
		}
	})
}

func TestLookup_IsOneReadAndTouchesOnceAMinute(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		_, cookie := f.start(t, alice)
		counting, count := storetest.FailAt(db, 0, storetest.Before)
		f.Service.db = counting
		look := func(want int64) {
			t.Helper()
			count.Store(0)
			if !f.alive(t, cookie) {
				t.Fatal("no session")
			}
			if count.Load() != want {
				t.Errorf("%d statements, want %d", count.Load(), want)
			}
		}
		look(1)
		f.clock.Advance(59 * time.Second)
		look(1)
		f.clock.Advance(time.Second)
		look(2)
		look(1)
		// A failing touch is not the visitor's concern.
		f.clock.Advance(time.Minute)
		broken, _ := storetest.FailAt(db, 2, storetest.Before)
		f.Service.db = broken
		if !f.alive(t, cookie) {
			t.Error("lost a session to a failed touch")
		}
		down, _ := storetest.FailAt(db, 1, storetest.Before)
		f.Service.db = down
		if s, err := f.Lookup(t.Context(), cookie); s != nil || !errs.Is(err, errs.Unavailable) {
			t.Errorf("store down: %v, %v", s, err)
		}
	})
}

func TestSession_IdleAndAbsoluteLifetime(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		idle, idleCookie := f.start(t, alice)
		_, used := f.start(t, bob)
		for range 9 { // used every 50 minutes: idle never strikes, absolute does not slide
			f.clock.Advance(50 * time.Minute)
			if !f.alive(t, used) {
				t.Fatalf("ended after %v", f.clock.Now().Sub(start))
			}
		}
		if f.alive(t, idleCookie) {
			t.Error("idle for hours and alive")
		}
		if ok, err := f.Active(t.Context(), idle.ID); ok || err != nil {
			t.Errorf("active %v, %v", ok, err)
		}
		f.clock.Advance(30 * time.Minute) // 8 h
		if f.alive(t, used) {
			t.Error("alive at its absolute end")
		}
		if list, err := f.List(t.Context(), bob); err != nil || len(list) != 0 {
			t.Errorf("listed %v, %v", list, err)
		}
		if n, err := f.DeleteExpired(t.Context(), 10); err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
		f.clock.Advance(time.Hour)
		if n, err := f.DeleteExpired(t.Context(), 10); err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
	})
}

func TestDeleteExpired_InBatchesAndKeepsTheLiving(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		for range 3 {
			f.start(t, alice)
		}
		f.clock.Advance(time.Hour)
		_, living := f.start(t, bob)
		for _, want := range []int64{2, 1, 0} {
			if n, err := f.DeleteExpired(t.Context(), 2); err != nil || n != want {
				t.Errorf("deleted %d, %v, want %d", n, err, want)
			}
		}
		if !f.alive(t, living) {
			t.Error("deleted a living session")
		}
	})
}

func TestReauthenticate_RotatesAndKeepsTheEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		s, old := f.start(t, alice)
		f.clock.Advance(30 * time.Minute)
		again, cookie, err := f.Reauthenticate(t.Context(), s.ID, Event{Method: Password, At: f.clock.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if f.alive(t, old) {
			t.Error("the cookie from before still works")
		}
		got, err := f.Lookup(t.Context(), cookie)
		if err != nil || got == nil {
			t.Fatalf("%v, %v", got, err)
		}
		if diff := cmp.Diff(again, *got); diff != "" {
			t.Error(diff)
		}
		if got.ID != s.ID || !got.ExpiresAt.Equal(s.ExpiresAt) || !got.AuthTime().Equal(start.Add(30*time.Minute)) || len(got.Events) != 1 {
			t.Errorf("after reauthentication: %+v", got)
		}
		again, _, err = f.Reauthenticate(t.Context(), s.ID, Event{Method: "otp", At: f.clock.Now()})
		if err != nil || !cmp.Equal(again.AMR(), []string{"pwd", "otp", "mfa"}) {
			t.Errorf("amr %v, %v", again.AMR(), err)
		}
		if err := f.End(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Reauthenticate(t.Context(), s.ID, Event{Method: Password, At: f.clock.Now()}); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("ended session: %v", err)
		}
	})
}

// A superseded cookie must not keep its successor alive, even if it was read just before.
func TestLookup_StaleCookieTouchesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		s, old := f.start(t, alice)
		if _, _, err := f.Reauthenticate(t.Context(), s.ID, Event{Method: Password, At: f.clock.Now()}); err != nil {
			t.Fatal(err)
		}
		f.clock.Advance(10 * time.Minute)
		hash, _ := id.Hash(id.SessionCookie, old)
		now := store.Micros(f.clock.Now())
		if n, err := db.Exec(t.Context(), sqlTouch, string(s.ID), hash, now, now); err != nil || n != 0 {
			t.Errorf("touched %d rows, %v", n, err)
		}
	})
}

func TestEndAll_ButOne(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		a, _ := f.start(t, alice)
		b, _ := f.start(t, alice)
		c, cCookie := f.start(t, alice)
		_, bobs := f.start(t, bob)
		ended, err := f.EndAll(t.Context(), alice, c.ID)
		if diff := cmp.Diff([]id.Session{a.ID, b.ID}, ended, cmpopts.SortSlices(func(x, y id.Session) bool { return x < y })); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if !f.alive(t, cCookie) || !f.alive(t, bobs) {
			t.Error("ended too much")
		}
		if ended, err = f.EndAll(t.Context(), alice, ""); err != nil || len(ended) != 1 {
			t.Errorf("%v, %v", ended, err)
		}
		list, err := f.audit.List(t.Context(), audit.Filter{Action: "session.end", Target: string(alice)})
		if err != nil || len(list) != 3 {
			t.Errorf("%d records, %v", len(list), err)
		}
	})
}

func TestStart_CapEndsTheOldest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		var cookies []string
		_, bobs := f.start(t, bob)
		for range 10 {
			_, c := f.start(t, alice)
			cookies = append(cookies, c)
			f.clock.Advance(time.Second)
		}
		for i, c := range cookies {
			if got, want := f.alive(t, c), i >= 7; got != want {
				t.Errorf("session %d alive: %v", i, got)
			}
		}
		if !f.alive(t, bobs) {
			t.Error("another account paid for it")
		}
		list, err := f.List(t.Context(), alice)
		if err != nil || len(list) != 3 || list[0].CreatedAt.Before(list[2].CreatedAt) {
			t.Errorf("listed %d, %v", len(list), err)
		}
		var rows int64
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM session`).Scan(&rows); err != nil || rows != 4 {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}

// Of many reauthentications at once each leaves its event or fails cleanly, and one cookie works.
func TestReauthenticate_Race(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			one := withUsers(t, storetest.Connect(t, url))
			instances := []*fixture{one, newFixture(t, storetest.Connect(t, url))}
			s, _ := one.start(t, alice)
			var mu sync.Mutex
			won := map[string]string{} // method to cookie
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					method := fmt.Sprintf("m%d", i)
					_, cookie, err := instances[i%2].Reauthenticate(context.Background(), s.ID, Event{Method: method, At: start})
					if err != nil && !errs.Is(err, errs.Conflict) {
						t.Error(err)
					}
					if err == nil {
						mu.Lock()
						defer mu.Unlock()
						won[method] = cookie
					}
				})
			}
			wg.Wait()
			var live *Session
			for _, c := range won {
				if got, err := one.Lookup(t.Context(), c); err != nil {
					t.Fatal(err)
				} else if got != nil && live != nil {
					t.Fatal("two cookies work")
				} else if got != nil {
					live = got
				}
			}
			if live == nil {
				t.Fatal("no cookie works")
			}
			for m := range won {
				if !live.Has(m) {
					t.Errorf("acknowledged event %s is lost: %v", m, live.Events)
				}
			}
		})
	}
}

// Twenty logouts at once, racing a reauthentication: it ends signed out, with no error but a clean
// refusal, and one audit record.
func TestEnd_Race(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			one := withUsers(t, storetest.Connect(t, url))
			instances := []*fixture{one, newFixture(t, storetest.Connect(t, url))}
			s, cookie := one.start(t, alice)
			var rotated atomic.Value
			rotated.Store(cookie)
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					if err := instances[i%2].End(context.Background(), s.ID); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Go(func() {
				_, c, err := one.Reauthenticate(context.Background(), s.ID, Event{Method: Password, At: start})
				if err == nil {
					rotated.Store(c)
				} else if !errs.Is(err, errs.Unauthenticated) {
					t.Error(err)
				}
			})
			wg.Wait()
			for _, c := range []string{cookie, rotated.Load().(string)} {
				if one.alive(t, c) {
					t.Error("signed in after signing out")
				}
			}
			list, err := one.audit.List(t.Context(), audit.Filter{Action: "session.end"})
			if err != nil || len(list) != 1 {
				t.Errorf("%d audit records, %v", len(list), err)
			}
		})
	}
}

// Every statement of a login, a rotation and a logout fails once, before and after its effect:
// what was not acknowledged either happened whole or not at all.
func TestSession_Faults(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := withUsers(t, db)
		count := func(sql string) (n int64) {
			if err := db.QueryRow(t.Context(), sql).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for n := int64(1); ; n++ {
				sessions, records := count(`SELECT count(*) FROM session`), count(`SELECT count(*) FROM audit_event`)
				faulty, seen := storetest.FailAt(db, n, mode)
				broken := *f.Service
				broken.db = faulty
				broken.audit, _ = audit.New(audit.Deps{DB: faulty, Clock: f.clock})
				_, _, err := broken.Start(t.Context(), alice, Event{Method: Password, At: start})
				if seen.Load() < n {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				if !errs.Is(err, errs.Unavailable) {
					t.Errorf("statement %d: %v", n, err)
				}
				if s, r := count(`SELECT count(*) FROM session`), count(`SELECT count(*) FROM audit_event`); s != sessions || r != records {
					t.Errorf("statement %d left %d sessions and %d records", n, s-sessions, r-records)
				}
			}
			s, cookie := f.start(t, bob)
			for n := int64(1); ; n++ {
				faulty, seen := storetest.FailAt(db, n, mode)
				broken := *f.Service
				broken.db = faulty
				broken.audit, _ = audit.New(audit.Deps{DB: faulty, Clock: f.clock})
				_, next, err := broken.Reauthenticate(t.Context(), s.ID, Event{Method: Password, At: start})
				if err == nil {
					cookie = next
				}
				if !f.alive(t, cookie) {
					t.Errorf("statement %d: the acknowledged cookie does not work", n)
				}
				if seen.Load() < n {
					break
				}
				if err := broken.End(t.Context(), s.ID); err != nil {
					t.Error(err) // the fault is spent
				}
				if f.alive(t, cookie) {
					t.Error("alive after an acknowledged end")
				}
				s, cookie = f.start(t, bob)
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	db := storetest.Open(b, store.SQLite)
	c := clock.NewFake(start)
	log, _ := audit.New(audit.Deps{DB: db, Clock: c})
	s, err := New(Deps{DB: db, Clock: c, Audit: log})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := db.Exec(b.Context(), `INSERT INTO account (id, status, profile, source, created_at, updated_at) VALUES ('u', 'active', '{}', 'test', 1, 1)`); err != nil {
		b.Fatal(err)
	}
	_, cookie, err := s.Start(b.Context(), "u", Event{Method: Password, At: start})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if got, err := s.Lookup(b.Context(), cookie); err != nil || got == nil {
			b.Fatal(err)
		}
	}
}
