package keys

import (
	"context"
	"crypto"
	"log/slog"
	"sync"
	"testing"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const day = 24 * time.Hour

var (
	start  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	policy = Policy{RotateEvery: 90 * day, PublishBefore: day, Retention: time.Hour}
	master = []byte("0123456789abcdef0123456789abcdef")
)

// instance is one running process as far as keys are concerned.
func instance(t testing.TB, db *store.DB, c clock.Clock, key []byte) *Service {
	t.Helper()
	sealer, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(audit.Deps{DB: db, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Deps{DB: db, Clock: c, Changes: store.NewChanges(db, time.Millisecond), Seal: sealer, Audit: log,
		Log: slog.New(slog.DiscardHandler), Generate: quick, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// quick is Generate with one RSA key for all: making one takes up to a second.
func quick(alg string) (crypto.Signer, error) {
	if alg == RS256 || alg == PS256 {
		return oneRSA()
	}
	return Generate(alg)
}

var oneRSA = sync.OnceValues(func() (crypto.Signer, error) { return Generate(RS256) })

// each runs fn on every engine with one instance whose keys are there.
func each(t *testing.T, fn func(t *testing.T, s *Service, c *clock.Fake)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		s := instance(t, db, c, master)
		must(t, s.Bootstrap(t.Context()))
		fn(t, s, c)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, s *Service) []Key {
	t.Helper()
	l, err := s.List(t.Context())
	must(t, err)
	return l
}

// states maps the state at now to how many keys of the algorithm are in it.
func states(l []Key, alg string, now time.Time) map[State]int {
	m := map[State]int{}
	for _, k := range l {
		if k.Alg == alg {
			m[k.State(now)]++
		}
	}
	return m
}

// memory makes a service with one ready-made key per algorithm and no database.
func memory(t testing.TB) *Service {
	t.Helper()
	c := clock.NewFake(start)
	s := &Service{d: Deps{Clock: c, Policy: policy}}
	var signers []*signer
	for _, alg := range Algorithms() {
		priv := newPriv(t, alg)
		k, err := newSigner(Key{ID: id.Key("kid-" + alg), Alg: alg, CreatedAt: start, ActivateAt: start}, priv)
		must(t, err)
		signers = append(signers, k)
	}
	snap, err := newSnapshot(signers, start)
	must(t, err)
	s.current.Store(snap)
	return s
}

func newPriv(t testing.TB, alg string) crypto.Signer {
	t.Helper()
	priv, err := quick(alg)
	must(t, err)
	return priv
}

func audited(t testing.TB, s *Service, action string) int {
	t.Helper()
	l, err := s.d.Audit.List(context.Background(), audit.Filter{Action: action, Limit: 1000})
	must(t, err)
	return len(l)
}
