package keys

import (
	"testing"

	"signet/internal/platform/clock"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// Each statement of each change fails once, before and after it took effect. Whatever happens,
// every algorithm has exactly one signing key afterwards, no successor without a predecessor
// that retires when it starts, and the next try succeeds.
func TestFaults_NoHalfRotation(t *testing.T) {
	t.Parallel()
	ops := map[string]func(t *testing.T, s *Service, c *clock.Fake) error{
		"bootstrap": func(t *testing.T, s *Service, _ *clock.Fake) error { return s.Bootstrap(t.Context()) },
		"ensure":    func(t *testing.T, s *Service, _ *clock.Fake) error { return s.EnsureAlg(t.Context(), EdDSA) },
		"rotate": func(t *testing.T, s *Service, _ *clock.Fake) error {
			_, err := s.Rotate(t.Context(), ES256, false)
			return err
		},
		"now": func(t *testing.T, s *Service, _ *clock.Fake) error {
			_, err := s.Rotate(t.Context(), ES256, true)
			return err
		},
		"replace": func(t *testing.T, s *Service, _ *clock.Fake) error {
			_, err := s.Replace(t.Context(), ES256)
			return err
		},
		"tick": func(t *testing.T, s *Service, c *clock.Fake) error {
			c.Advance(policy.RotateEvery)
			return s.Tick(t.Context())
		},
	}
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) { faults(t, db, name, op) })
		})
	}
}

func faults(t *testing.T, db *store.DB, name string, op func(*testing.T, *Service, *clock.Fake) error) {
	ctx := t.Context()
	for n := int64(1); n <= 30; n++ {
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			_, err := db.Q(ctx).Exec(ctx, `DELETE FROM signing_key`)
			must(t, err)
			c := clock.NewFake(start)
			sound := instance(t, db, c, master)
			if name != "bootstrap" {
				must(t, sound.ensure(ctx, ES256)) // RSA keys would make this test slow
				must(t, sound.Load(ctx))
			}
			before := list(t, sound)
			broken, count := storetest.FailAt(db, n, mode)
			s := instance(t, broken, c, master)
			s.current.Store(sound.current.Load())
			err = op(t, s, c)
			if count.Load() < n {
				must(t, err)
				return // every statement has had its turn
			}
			// The last statement is the Load after the commit: there, the change stands.
			after := list(t, sound)
			if err == nil {
				t.Errorf("statement %d: the failure is not reported", n)
			}
			sane(t, after, c)
			if len(after) < len(before) {
				t.Errorf("statement %d: keys are lost", n)
			}
			must(t, op(t, sound, clock.NewFake(start)))
			sane(t, list(t, sound), c)
		}
	}
	t.Error("more than 30 statements: is there a loop?")
}

func sane(t *testing.T, l []Key, c *clock.Fake) {
	t.Helper()
	for alg, group := range byAlg(l) {
		got := states(l, alg, c.Now())
		if got[Active] > 1 || got[Published] > 1 {
			t.Errorf("%s: %v", alg, got)
		}
		if signerAt(group, c.Now()) < 0 {
			t.Errorf("%s: nothing signs", alg)
		}
		for i, k := range group {
			if k.State(c.Now()) == Published && i > 0 && group[i-1].State(c.Now()) == Active && group[i-1].RetireAt != k.ActivateAt {
				t.Errorf("%s: successor starts %s, predecessor stops %s", alg, k.ActivateAt, group[i-1].RetireAt)
			}
		}
	}
}
