package keys

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

func TestNew_ChecksDependencies(t *testing.T) {
	t.Parallel()
	if _, err := New(Deps{}); err == nil {
		t.Error("no dependencies, no error")
	}
	db := storetest.Open(t, store.SQLite)
	good := instance(t, db, clock.NewFake(start), master).d
	for name, p := range map[string]Policy{
		"no retention":               {RotateEvery: 90 * day, PublishBefore: day},
		"rotation before publishing": {RotateEvery: day, PublishBefore: day, Retention: time.Hour},
		"negative":                   {RotateEvery: -day, Retention: time.Hour},
	} {
		d := good
		d.Policy = p
		if _, err := New(d); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBootstrap_MakesBothKeysOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		first := list(t, s)
		if len(first) != 2 || first[0].Alg != ES256 || first[1].Alg != RS256 {
			t.Fatalf("keys: %+v", first)
		}
		for _, alg := range always {
			if _, err := s.Sign(alg, "JWT", []byte(`{}`)); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
		}
		must(t, s.Bootstrap(t.Context()))
		if again := list(t, s); !slices.Equal(first, again) {
			t.Errorf("a second start changed the keys: %+v", again)
		}
		if n := audited(t, s, "key.create"); n != 2 {
			t.Errorf("%d audit events, want 2", n)
		}
		if bits := s.current.Load().signer(RS256, c.Now()).priv.Public().(*rsa.PublicKey).N.BitLen(); bits != 2048 {
			t.Errorf("RS256 has %d bits", bits)
		}
	})
}

// JW-07: only public parts, kid, alg and use set, RSA at least 2048 bits.
func TestJWKS_OnlyPublicParts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		must(t, s.EnsureAlg(t.Context(), EdDSA))
		must(t, s.EnsureAlg(t.Context(), PS256))
		body, etag := s.JWKS()
		var set struct{ Keys []map[string]any }
		must(t, json.Unmarshal(body, &set))
		if len(set.Keys) != 4 || set.Keys[0]["alg"] != "ES256" {
			t.Fatalf("keys: %s", body)
		}
		allowed := []string{"use", "kty", "kid", "crv", "alg", "x", "y", "n", "e"}
		for _, k := range set.Keys {
			for name := range k {
				if !slices.Contains(allowed, name) {
					t.Errorf("member %q is published", name)
				}
			}
			if k["use"] != "sig" || k["kid"] == "" || k["alg"] == "" {
				t.Errorf("incomplete key: %v", k)
			}
		}
		again, etag2 := s.JWKS()
		if &body[0] != &again[0] || etag != etag2 || !strings.HasPrefix(etag, `"`) {
			t.Error("the set is not rendered once")
		}
		_, err := s.Rotate(t.Context(), ES256, false)
		must(t, err)
		if _, etag3 := s.JWKS(); etag3 == etag {
			t.Error("the entity tag does not follow the set")
		}
	})
}

// Several instances that start at once on an empty database agree on one key per algorithm.
func TestBootstrap_OneWinner(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url := storetest.NewURL(t, engine)
			c := clock.NewFake(start)
			const n = 6
			var all []*Service
			for range n {
				all = append(all, instance(t, storetest.Connect(t, url), c, master))
			}
			race(t, all, func(s *Service) error { return s.Bootstrap(t.Context()) })
			if l := list(t, all[0]); len(l) != 2 {
				t.Fatalf("%d keys, want 2", len(l))
			}
			body, _ := all[0].JWKS()
			for _, s := range all {
				if b, _ := s.JWKS(); !bytes.Equal(b, body) {
					t.Error("instances publish different sets")
				}
			}
			if got := audited(t, all[0], "key.create"); got != 2 {
				t.Errorf("%d audit events, want 2", got)
			}
			race(t, all, func(s *Service) error { return s.EnsureAlg(t.Context(), EdDSA) })
			if got := states(list(t, all[0]), EdDSA, start)[Active]; got != 1 {
				t.Errorf("EnsureAlg made %d keys", got)
			}
			c.Advance(policy.RotateEvery - policy.PublishBefore)
			race(t, all, func(s *Service) error { return s.Tick(t.Context()) })
			for _, alg := range []string{ES256, RS256, EdDSA} {
				if got := states(list(t, all[0]), alg, c.Now()); got[Published] != 1 || got[Active] != 1 {
					t.Errorf("Tick of %d instances: %s %v, want one successor", n, alg, got)
				}
			}
		})
	}
}

func race(t *testing.T, all []*Service, fn func(*Service) error) {
	t.Helper()
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for _, s := range all {
		wg.Go(func() {
			<-gate
			if err := fn(s); err != nil {
				t.Errorf("instance failed: %v", err)
			}
		})
	}
	close(gate)
	wg.Wait()
}

// JW-08: published ahead, active by time alone, retired until the last token has expired.
func TestTick_WholeLifeOfAKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		first := list(t, s)[0]
		must(t, s.Tick(ctx))
		if len(list(t, s)) != 2 {
			t.Fatal("a fresh key is rotated")
		}
		c.Advance(89*day - time.Second)
		must(t, s.Tick(ctx))
		if len(list(t, s)) != 2 {
			t.Fatal("the successor comes too early")
		}
		c.Advance(time.Second)
		must(t, s.Tick(ctx))
		must(t, s.Tick(ctx))
		if got := states(list(t, s), ES256, c.Now()); got[Published] != 1 || got[Active] != 1 || len(got) != 2 {
			t.Fatalf("a day before: %v", got)
		}
		body, _ := s.JWKS()
		if n := strings.Count(string(body), `"alg":"ES256"`); n != 2 {
			t.Errorf("%d ES256 keys in the JWKS, want 2", n)
		}
		if got := signedBy(t, s); got != string(first.ID) {
			t.Error("the successor signs before its time")
		}
		old := sign(t, s)

		// An instance that cannot reach the database switches like the others.
		c.Advance(day)
		if got := signedBy(t, s); got == string(first.ID) {
			t.Error("the successor does not take over by time alone")
		}
		if _, err := s.Verify(old, "JWT"); err != nil {
			t.Errorf("token of the retired key: %v", err)
		}
		must(t, s.Tick(ctx))
		if body, _ := s.JWKS(); !strings.Contains(string(body), string(first.ID)) {
			t.Error("the retired key left the JWKS while its tokens live")
		}

		c.Advance(policy.Retention)
		if _, err := s.Verify(old, "JWT"); err == nil {
			t.Error("the removed key still verifies")
		}
		must(t, s.Tick(ctx))
		if body, _ := s.JWKS(); strings.Contains(string(body), string(first.ID)) {
			t.Error("the removed key is still published")
		}
		if got := states(list(t, s), ES256, c.Now()); got[Active] != 1 || len(got) != 1 {
			t.Errorf("in the end: %v", got)
		}
		if audited(t, s, "key.create") != 4 || audited(t, s, "key.remove") != 2 {
			t.Errorf("audit: %d created, %d removed", audited(t, s, "key.create"), audited(t, s, "key.remove"))
		}
	})
}

func sign(t *testing.T, s *Service) string {
	t.Helper()
	token, err := s.Sign(ES256, "JWT", []byte(`{"sub":"u"}`))
	must(t, err)
	return token
}

func signedBy(t *testing.T, s *Service) string {
	t.Helper()
	head, _, _ := strings.Cut(sign(t, s), ".")
	h, err := parseHeader(head)
	must(t, err)
	return h.kid
}

// An instance that was down over the whole rotation still gets the next key published ahead.
func TestTick_LateScheduleStillPublishesAhead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		c.Advance(400 * day)
		must(t, s.Tick(t.Context()))
		for _, k := range list(t, s) {
			if k.State(c.Now()) == Published && k.ActivateAt != c.Now().Add(policy.PublishBefore) {
				t.Errorf("activates %s, want a whole PublishBefore ahead", k.ActivateAt)
			}
		}
		if got := states(list(t, s), ES256, c.Now()); got[Published] != 1 || got[Active] != 1 {
			t.Errorf("%v", got)
		}
	})
}

func TestRotate_SchedulesOnceAndNowBringsForward(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		first := list(t, s)[0]
		planned, err := s.Rotate(ctx, ES256, false)
		must(t, err)
		if planned.ActivateAt != c.Now().Add(policy.PublishBefore) {
			t.Errorf("activates %s", planned.ActivateAt)
		}
		again, err := s.Rotate(ctx, ES256, false)
		must(t, err)
		if again.ID != planned.ID {
			t.Error("a second order made a second successor")
		}
		soon, err := s.Rotate(ctx, ES256, true)
		must(t, err)
		if soon.ID != planned.ID || soon.ActivateAt != c.Now().Add(lead) {
			t.Errorf("now: %+v", soon)
		}
		if got := signedBy(t, s); got != string(first.ID) {
			t.Error("signs before other instances know the key")
		}
		c.Advance(lead)
		if got := signedBy(t, s); got != string(soon.ID) {
			t.Error("does not sign after the lead")
		}
		for _, k := range list(t, s) {
			if k.ID == first.ID && (k.RetireAt != soon.ActivateAt || k.RemoveAt != soon.ActivateAt.Add(policy.Retention)) {
				t.Errorf("predecessor: %+v", k)
			}
		}
		// And without a waiting successor.
		next, err := s.Rotate(ctx, RS256, true)
		must(t, err)
		if next.ActivateAt != c.Now().Add(lead) {
			t.Errorf("RS256 activates %s", next.ActivateAt)
		}
	})
}

func TestRotate_RefusesUnknownAlgorithm(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		for _, alg := range []string{"", "none", "HS256"} {
			if _, err := s.Rotate(t.Context(), alg, false); !errs.Is(err, errs.Invalid) {
				t.Errorf("Rotate %q: %v", alg, err)
			}
			if _, err := s.Replace(t.Context(), alg); !errs.Is(err, errs.Invalid) {
				t.Errorf("Replace %q: %v", alg, err)
			}
			if err := s.EnsureAlg(t.Context(), alg); !errs.Is(err, errs.Invalid) {
				t.Errorf("EnsureAlg %q: %v", alg, err)
			}
		}
	})
}

// JW-09: one command; the key leaves the JWKS and verifies nothing, on every instance.
func TestReplace_VoidsEverythingOnEveryInstance(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url, c := storetest.NewURL(t, engine), clock.NewFake(start)
			a := instance(t, storetest.Connect(t, url), c, master)
			b := instance(t, storetest.Connect(t, url), c, master)
			ctx := t.Context()
			must(t, a.Bootstrap(ctx))
			must(t, b.Bootstrap(ctx))
			must(t, b.d.Changes.Poll(ctx))
			token := sign(t, b)
			_, err := a.Rotate(ctx, ES256, false) // a waiting successor is as compromised as the key
			must(t, err)
			next, err := a.Replace(ctx, ES256)
			must(t, err)
			must(t, b.d.Changes.Poll(ctx)) // the background poller's work
			deadline := time.Now().Add(5 * time.Second)
			for _, s := range []*Service{a, b} {
				for signedBy(t, s) != string(next.ID) && time.Now().Before(deadline) {
					time.Sleep(5 * time.Millisecond)
				}
				if got := signedBy(t, s); got != string(next.ID) {
					t.Errorf("signs with %s, want %s", got, next.ID)
				}
				if _, err := s.Verify(token, "JWT"); err == nil {
					t.Error("a token of the compromised key verifies")
				}
				if body, _ := s.JWKS(); strings.Count(string(body), `"alg":"ES256"`) != 1 {
					t.Errorf("JWKS: %s", body)
				}
			}
		})
	}
}

func TestLoad_FailsClosedWithTheWrongMasterKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		other := instance(t, s.d.DB, c, []byte("another master key of 32 bytes.."))
		err := other.Bootstrap(t.Context())
		if err == nil || !strings.Contains(err.Error(), "master key") {
			t.Fatalf("got %v", err)
		}
		if _, err := other.Sign(ES256, "JWT", []byte(`{}`)); err == nil {
			t.Error("signs all the same")
		}
		if body, _ := other.JWKS(); string(body) != `{"keys":[]}` {
			t.Errorf("publishes %s", body)
		}
		_, rotateErr := other.Rotate(t.Context(), ES256, true)
		_, replaceErr := other.Replace(t.Context(), ES256)
		c.Advance(policy.RotateEvery)
		for _, err := range []error{rotateErr, replaceErr, other.EnsureAlg(t.Context(), EdDSA), other.Tick(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), "master key") {
				t.Errorf("got %v", err)
			}
		}
		if len(list(t, s)) != 2 || s.Load(t.Context()) != nil {
			t.Error("keys were made under the wrong master key")
		}
	})
}

// JW-10: a sealed key opens only in its own row, with its own algorithm and public part.
func TestLoad_RefusesTamperedRows(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"swapped private keys": `UPDATE signing_key SET private_sealed = (SELECT o.private_sealed FROM signing_key AS o WHERE o.alg <> signing_key.alg)`,
		"renamed":              `UPDATE signing_key SET id = 'attacker' WHERE alg = 'ES256'`,
		"other algorithm":      `UPDATE signing_key SET alg = 'PS256' WHERE alg = 'RS256'`,
		"other public key":     `UPDATE signing_key SET public_jwk = '{}' WHERE alg = 'ES256'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *Service, c *clock.Fake) {
				_, err := s.d.DB.Q(t.Context()).Exec(t.Context(), tamper)
				must(t, err)
				fresh := instance(t, s.d.DB, c, master)
				if err := fresh.Load(t.Context()); err == nil {
					t.Error("loaded")
				}
				if _, err := fresh.Sign(ES256, "JWT", []byte(`{}`)); err == nil {
					t.Error("signs")
				}
			})
		})
	}
}

// When the store goes away, what is in memory stays in use and nothing is lost.
func TestLoad_StoreDownKeepsKeys(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		token := sign(t, s)
		s.d.DB.Close()
		if err := s.Load(t.Context()); !errs.Is(err, errs.Unavailable) {
			t.Errorf("Load: %v", err)
		}
		if err := s.Tick(t.Context()); !errs.Is(err, errs.Unavailable) {
			t.Errorf("Tick: %v", err)
		}
		if _, err := s.Verify(token, "JWT"); err != nil {
			t.Errorf("Verify: %v", err)
		}
		sign(t, s)
	})
}
