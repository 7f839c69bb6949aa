package account

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store/storetest"
)

// browsers is known browsers without cookies: the request id says which browser asks.
type browsers struct {
	known map[string]id.User // browser → who has signed in in it
	asked atomic.Int64
}

func (b *browsers) Lane(ctx context.Context, user id.User) (string, error) {
	b.asked.Add(1)
	if name := audit.SourceOf(ctx).RequestID; user != "" && b.known[name] == user {
		return name, nil
	}
	return "", nil
}

func from(t *testing.T, browser, ip string) context.Context {
	return audit.WithSource(t.Context(), audit.Source{IP: ip, RequestID: browser})
}

// guess fails n checks and returns how many of them were looked at.
func (f *fixture) guess(ctx func(i int) context.Context, who string, n int) (looked int) {
	f.t.Helper()
	for i := range n {
		_, err := f.Authenticate(ctx(i), who, otters)
		switch {
		case errs.Is(err, errs.Unauthenticated):
			looked++
		case !errs.Is(err, errs.Limited):
			f.t.Fatal(err)
		}
	}
	return looked
}

// Nobody locks the owner out of a browser of theirs, and what happens in it is not held against
// them elsewhere.
func TestBudgets_StrangersDoNotLockTheOwnerOut(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		alice := f.signUp("alice@example.com", "alice")
		lanes := &browsers{known: map[string]id.User{"home": alice.ID, "phone": alice.ID, "others": "somebody"}}
		f.lanes = lanes
		botnet := func(i int) context.Context {
			return from(f.t, []string{"", "others"}[i%2], fmt.Sprintf("198.51.100.%d", i%250))
		}
		if n := f.guess(botnet, "alice", 60); n != f.budgets.Account.Limit {
			f.t.Errorf("strangers had %d checks", n)
		}
		for _, browser := range []string{"home", "phone"} {
			if _, err := f.Authenticate(from(f.t, browser, "192.0.2.7"), "alice", herons); err != nil {
				f.t.Errorf("the owner in %s: %v", browser, err)
			}
		}
		// A network that is full of attackers does not matter to a known browser in it.
		everybody := func(i int) context.Context { return from(f.t, "", "192.0.2.7") }
		for i := range 30 {
			f.guess(everybody, fmt.Sprintf("ghost%d", i), 4)
		}
		if _, err := f.Authenticate(from(f.t, "", "192.0.2.7"), "bystander", herons); !errs.Is(err, errs.Limited) {
			f.t.Errorf("a stranger in that network: %v", err)
		}
		if _, err := f.Authenticate(from(f.t, "home", "192.0.2.7"), "alice", herons); err != nil {
			f.t.Errorf("the owner in that network: %v", err)
		}
		// The reverse: a known browser has attempts of its own, bounded too.
		f.clock.Advance(15 * time.Minute)
		home := func(int) context.Context { return from(f.t, "home", "192.0.2.7") }
		if n := f.guess(home, "alice", 30); n != f.budgets.Account.Limit {
			f.t.Errorf("%d checks in a known browser", n)
		}
		for _, elsewhere := range []context.Context{from(f.t, "phone", "192.0.2.8"), from(f.t, "", "203.0.113.5")} {
			if _, err := f.Authenticate(elsewhere, "alice", herons); err != nil {
				f.t.Errorf("elsewhere: %v", err)
			}
		}
		if err := f.Reauthenticate(home(0), alice.ID, herons); !errs.Is(err, errs.Limited) {
			f.t.Errorf("another page of the same browser: %v", err)
		}
		// Unknown names ask for a lane too: the same work.
		before := lanes.asked.Load()
		f.guess(func(int) context.Context { return from(f.t, "home", "203.0.113.9") }, "nobody@example.com", 1)
		if lanes.asked.Load() != before+1 {
			f.t.Error("no lane is asked for an unknown name: the time tells it")
		}
	})
}

// One network cannot use up what strangers have together.
func TestBudgets_OneNetworkDoesNotUseUpTheAccount(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.signUp("alice@example.com", "alice")
		if n := f.guess(func(i int) context.Context { return from(f.t, "", fmt.Sprintf("2001:db8:1:2::%x", i)) }, "alice", 30); n != f.budgets.Pair.Limit {
			f.t.Errorf("%d checks from one network", n)
		}
		if _, err := f.Authenticate(from(f.t, "", "203.0.113.5"), "alice", herons); err != nil {
			f.t.Errorf("the owner in a new browser: %v", err)
		}
	})
}

// NIST SP 800-63B-4 §3.2.2: at most 100 failures in a row, however patient the attacker; then one
// more every seven hours. A success or a new password ends the streak.
func TestBudgets_AHundredFailuresInARow(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "alice")
		patient := func(i int) context.Context {
			f.clock.Advance(2 * time.Minute) // within Account's refill
			return from(f.t, "", fmt.Sprintf("198.51.%d.%d", i/200, i%200))
		}
		if n := f.guess(patient, "alice", 200); n != 100 {
			f.t.Errorf("%d failures in a row were looked at", n)
		}
		f.clock.Advance(15 * time.Minute) // the other budgets are full again
		if _, err := f.Authenticate(from(f.t, "", "203.0.113.5"), "alice", herons); !errs.Is(err, errs.Limited) {
			f.t.Errorf("after the streak: %v", err)
		}
		if err := f.SetPassword(f.ctx(), a.ID, "walnuts on a slow river"); err != nil { // as a reset does
			f.t.Fatal(err)
		}
		for range 3 {
			f.clock.Advance(15 * time.Minute)
			if n := f.guess(patient, "alice", 40); n != 40 {
				f.t.Errorf("%d of 40 failures were looked at", n)
			}
			if _, err := f.Authenticate(from(f.t, "", "203.0.113.5"), "alice", "walnuts on a slow river"); err != nil {
				f.t.Errorf("the new password: %v", err)
			}
		}
	})
}

// Whoever has a /48 has 65,536 networks.
func TestBudgets_IPv6Site(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.budgets.Site.Limit = 40
		looked := 0
		for i := range 60 {
			looked += f.guess(func(int) context.Context { return from(f.t, "", fmt.Sprintf("2001:db8:5:%x::1", i)) }, fmt.Sprintf("user%d", i), 1)
		}
		if looked != 40 {
			f.t.Errorf("%d checks from one site", looked)
		}
		if n := f.guess(func(int) context.Context { return from(f.t, "", "2001:db8:6::1") }, "user99", 1); n != 1 {
			f.t.Error("another site is limited too")
		}
	})
}

// Credential stuffing over two instances: each network stays below its own budget, all together do
// not. Then a network has few attempts; people elsewhere and in known browsers notice nothing.
func TestBudgets_AlarmOverInstances(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			f := newFixture(t, storetest.Connect(t, url))
			other := &fixture{newService(t, storetest.Connect(t, url), f.clock), t, f.db, f.clock}
			alice := f.signUp("alice@example.com", "alice")
			for _, s := range []*fixture{f, other} {
				s.budgets.Failures.Limit, s.budgets.Alarm.Limit = 200, 3
				s.lanes = &browsers{known: map[string]id.User{"home": alice.ID}}
			}
			instances, looked := []*fixture{f, other}, 0
			for i := range 600 { // 20 networks, 30 accounts each
				ip := fmt.Sprintf("198.51.100.%d", i%20)
				looked += instances[i/20%2].guess(func(int) context.Context { return from(t, "", ip) }, fmt.Sprintf("user%d", i), 1)
			}
			// Until the alarm 200, until both instances know a few more, then three of each network.
			if looked < 200 || looked > 200+20*3+2 {
				t.Errorf("%d of 600 guesses were looked at", looked)
			}
			for i, s := range instances {
				if !s.alarm.on(f.clock.Now()) {
					t.Errorf("instance %d knows of no alarm", i)
				}
				for j := range 100 { // people in their own networks, with their first browser
					if _, err := s.Authenticate(from(t, "", fmt.Sprintf("203.0.113.%d", j)), "alice", herons); err != nil {
						t.Fatalf("instance %d: somebody elsewhere: %v", i, err)
					}
				}
				if _, err := s.Authenticate(from(t, "home", "198.51.100.1"), "alice", herons); err != nil {
					t.Errorf("instance %d: a known browser in an attacker's network: %v", i, err)
				}
			}
			f.clock.Advance(15 * time.Minute)
			if n := f.guess(func(int) context.Context { return from(t, "", "198.51.100.1") }, "bob", 5); n != 5 || f.alarm.on(f.clock.Now()) {
				t.Errorf("after the alarm: %d of 5, alarm %v", n, f.alarm.on(f.clock.Now()))
			}
		})
	}
}

// Lanes hold at once and over instances: 100 guesses in a known browser and 100 of strangers.
func TestBudgets_LanesInParallelOverInstances(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, e)
			f := newFixture(t, storetest.Connect(t, url))
			other := newService(t, storetest.Connect(t, url), f.clock)
			alice := f.signUp("alice@example.com", "alice")
			known := map[string]id.User{"home": alice.ID}
			f.lanes, other.lanes = &browsers{known: known}, &browsers{known: known}
			var looked [2]atomic.Int64
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() {
					browser := []string{"", "home"}[i/2%2]
					_, err := []*Service{f.Service, other}[i%2].Authenticate(from(t, browser, fmt.Sprintf("198.51.100.%d", i)), "alice", otters)
					if errs.Is(err, errs.Unauthenticated) {
						looked[i/2%2].Add(1)
					} else if !errs.Is(err, errs.Limited) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if looked[0].Load() != 10 || looked[1].Load() != 10 {
				t.Errorf("%d checks of strangers, %d in the known browser", looked[0].Load(), looked[1].Load())
			}
		})
	}
}

// However many budgets a check draws on, a login is three statements.
func TestBudgets_StatementsOfALogin(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.signUp("alice@example.com", "alice")
		counting, count := storetest.FailAt(f.db, 0, storetest.Before)
		s := newService(f.t, counting, f.clock)
		if _, err := s.Authenticate(from(f.t, "", "2001:db8::1"), "alice", herons); err != nil || count.Load() != 3 { // look up, reserve, give back
			f.t.Errorf("%d statements, %v", count.Load(), err)
		}
	})
}
