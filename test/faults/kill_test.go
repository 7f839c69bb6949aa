package faults_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
	"signet/test/rig"
)

const (
	workers = 8
	kills   = 3
)

// ledger is what the provider acknowledged to one worker.
type ledger struct {
	codes    map[string]string // code → verifier, of every code that a redirect delivered
	redeemed map[string]int    // code → acknowledged exchanges
	families []*family
}

// family is the chain of refresh tokens of one exchange.
type family struct {
	last    string // the newest that was acknowledged
	revoked bool   // and its revocation was acknowledged
}

type worker struct {
	ledger
	party  *party
	person *rig.Person
	email  string
	faults chan<- string
}

// round is one sign-in, its exchange, some refreshes, and now and then a revocation. Every
// request whose answer was lost is sent again, as an honest client does.
func (w *worker) round(n int, goOn func() bool) {
	verifier := oauth2.GenerateVerifier()
	landed, err := w.person.Authorize(w.party.authorizeURL(verifier), w.email, rig.Password)
	for err != nil && goOn() {
		landed, err = w.person.Authorize(w.party.authorizeURL(verifier), w.email, rig.Password)
	}
	if err != nil {
		return
	}
	code := landed.Query().Get("code")
	w.codes[code] = verifier
	if n%3 == 0 {
		w.race(code, verifier)
		return
	}
	got, result := w.party.exchange(code, verifier)
	for result == unknown && goOn() {
		got, result = w.party.exchange(code, verifier)
	}
	if result != acknowledged {
		// Refused on the second try: the first was served and its answer lost. A code is good
		// once (RFC 6749 §4.1.2), so the application starts over.
		return
	}
	w.redeemed[code]++
	f := &family{last: got.RefreshToken}
	w.families = append(w.families, f)
	for range 4 {
		if !w.refresh(f, goOn) {
			return
		}
	}
	if n%5 == 0 {
		for f.revoked = w.party.revoke(f.last); !f.revoked && goOn(); {
			f.revoked = w.party.revoke(f.last)
		}
	}
}

// race redeems one code twice at once, as a thief with a copy would: at most one may succeed.
// What came of it is worth nothing afterwards, since a reused code revokes it.
func (w *worker) race(code, verifier string) {
	var wg sync.WaitGroup
	var successes atomic.Int64
	for range 2 {
		wg.Go(func() {
			if _, result := w.party.exchange(code, verifier); result == acknowledged {
				successes.Add(1)
			}
		})
	}
	wg.Wait()
	w.redeemed[code] += int(successes.Load())
}

func (w *worker) refresh(f *family, goOn func() bool) bool {
	got, result := w.party.refresh(f.last)
	for result == unknown && goOn() {
		got, result = w.party.refresh(f.last)
	}
	switch result {
	case acknowledged:
		f.last = got.RefreshToken
	case refused:
		w.faults <- fmt.Sprintf("%s: an acknowledged refresh token was refused: %s", w.email, got.Error)
	case unknown: // the load ended before the provider came back
	}
	return result == acknowledged
}

// audit asks the provider, now calm, for everything it acknowledged.
func (w *worker) audit() {
	for _, n := range w.redeemed {
		if n > 1 {
			w.faults <- fmt.Sprintf("%s: code redeemed %d times", w.email, n)
		}
	}
	for _, f := range w.families {
		got, result := w.party.refresh(f.last)
		switch {
		case f.revoked && result != refused:
			w.faults <- fmt.Sprintf("%s: refresh after an acknowledged revocation: %s", w.email, result)
		case !f.revoked && result != acknowledged:
			w.faults <- fmt.Sprintf("%s: acknowledged refresh token lost: %s %s", w.email, result, got.Error)
		}
	}
	// Last, because a reused code revokes what came of it: every code once more.
	for code, verifier := range w.codes {
		got, result := w.party.exchange(code, verifier)
		if result == acknowledged && w.redeemed[code] > 0 {
			w.faults <- fmt.Sprintf("%s: a redeemed code was good again: %v", w.email, got)
		}
	}
}

// underKills runs the load while kill stops and restarts instances, then audits the ledgers.
func underKills(t *testing.T, p *rig.Provider, kill func(n int)) {
	t.Helper()
	party := newParty(t, p)
	faults := make(chan string, 1000)
	var list []*worker
	var emails []string
	for i := range workers {
		email := fmt.Sprintf("worker-%d@example.com", i)
		emails = append(emails, email)
		list = append(list, &worker{
			ledger: ledger{codes: map[string]string{}, redeemed: map[string]int{}},
			party:  party, person: rig.NewPerson(p.Issuer), email: email, faults: faults,
		})
	}
	p.ImportUsers(emails...)

	var over atomic.Bool
	var rounds atomic.Int64
	var wg sync.WaitGroup
	for _, w := range list {
		wg.Go(func() {
			for n := 1; !over.Load(); n++ {
				// Between kills the provider is back within a second or two; half a minute of
				// no answer is a provider that does not come back.
				end := time.Now().Add(30 * time.Second)
				w.round(n, func() bool {
					time.Sleep(5 * time.Millisecond) // between tries, as a client would
					return time.Now().Before(end)
				})
				rounds.Add(1)
			}
		})
	}
	for n := range kills {
		// Each kill comes after the load has done something since the one before.
		for target := rounds.Load() + 2*workers; rounds.Load() < target; {
			if t.Context().Err() != nil || len(faults) > 50 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		kill(n)
	}
	for target := rounds.Load() + workers; rounds.Load() < target && len(faults) <= 50; {
		time.Sleep(time.Millisecond)
	}
	over.Store(true)
	wg.Wait()

	exchanges := 0
	for _, w := range list {
		w.audit()
		exchanges += len(w.redeemed)
	}
	close(faults)
	for fault := range faults {
		t.Error(fault)
	}
	if exchanges < workers*kills {
		t.Errorf("only %d exchanges were acknowledged: the load proves nothing", exchanges)
	}
	t.Logf("%d rounds, %d acknowledged exchanges", rounds.Load(), exchanges)
}

func TestKill_OneOfTwoInstancesLosesNothing(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines(t) {
		if engine != store.Postgres {
			continue // an SQLite store has one instance: the test below
		}
		p := rig.Cluster(t, storetest.NewURL(t, engine), 2).Start()
		underKills(t, p, func(n int) {
			victim := p.Instances[n%2]
			victim.Kill()
			victim.Start()
		})
	}
}

func TestKill_SQLiteInstanceLosesNothing(t *testing.T) {
	t.Parallel()
	p := rig.Dev(t).Start()
	underKills(t, p, func(int) {
		p.Instances[0].Kill()
		p.Instances[0].Start()
	})
}
