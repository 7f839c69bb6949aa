package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// open is an instance for clients that nobody registers.
func open(t testing.TB, db *store.DB, c clock.Clock, f *fetch.Client) *Service {
	t.Helper()
	s := unpolled(t, db, c, f)
	must(t, s.d.Changes.Poll(t.Context()))
	return s
}

// unpolled is open before it has looked at the store, and so without a cache.
func unpolled(t testing.TB, db *store.DB, c clock.Clock, f *fetch.Client) *Service {
	t.Helper()
	log, err := audit.New(audit.Deps{DB: db, Clock: c})
	must(t, err)
	if f == nil {
		f = fetch.New(fetch.Options{AllowPrivate: true, AllowHTTP: true, Timeout: 2 * time.Second, NegativeTTL: time.Millisecond})
	}
	sealer, err := seal.New(slices.Repeat([]byte{7}, 32))
	must(t, err)
	changes := store.NewChanges(db, time.Minute)
	s, err := New(Deps{DB: db, Clock: c, Changes: changes, Audit: log, Fetch: f, Seal: sealer, Documents: &Documents{Terms: Terms{RequirePKCE: true}}, UnusedFor: 7 * 24 * time.Hour})
	must(t, err)
	return s
}

func eachOpen(t *testing.T, fn func(t *testing.T, s *Service, c *clock.Fake)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		fn(t, open(t, db, c, nil), c)
	})
}

func described(t testing.TB, text string) Registration {
	t.Helper()
	r, err := ReadRegistration([]byte(text), Terms{RequirePKCE: true}, false)
	must(t, err)
	return r
}

const webText = `{"client_name":"Owl","redirect_uris":["https://owl.test/cb"]}`

var stranger = Registered{Source: "192.0.2.1", MaxQuarantined: 3}

// RFC 7591 §3, RFC 7592 §2: what comes in can be read, changed and ended by its holder alone, and the
// store holds neither the token nor the secret.
func TestRegister_ReadUpdateDelete(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		made, secret, token, err := s.Register(ctx, described(t, webText), stranger)
		must(t, err)
		if !made.Metadata.Quarantined || made.ManagedBy != ManagedByItself || !get(t, s, made.ID).VerifySecret(secret.Reveal(), c.Now()) {
			t.Errorf("%+v", made)
		}
		other, _, otherToken, err := s.Register(ctx, described(t, webText), Registered{})
		must(t, err)
		if other.Metadata.Quarantined {
			t.Error("vouched for, but quarantined")
		}
		for _, wrong := range []string{"", "sgn_rat_x", otherToken.Reveal(), secret.Reveal(), token.Reveal() + "x"} {
			if _, err := s.Holder(ctx, made.ID, wrong); !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("read with %q: %v", wrong, err)
			}
			if _, _, _, err := s.Reregister(ctx, made.ID, wrong, described(t, webText), ""); !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("update with %q: %v", wrong, err)
			}
			if err := s.Unregister(ctx, made.ID, wrong); !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("end with %q: %v", wrong, err)
			}
		}
		if _, err := s.Holder(ctx, "nobody", token.Reveal()); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("another client: %v", err)
		}
		held, err := s.Holder(ctx, made.ID, token.Reveal())
		must(t, err)
		if held.ID != made.ID {
			t.Errorf("%s", held.ID)
		}
		changed, again, next, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, `{"client_name":"Owl 2","redirect_uris":["https://owl.test/2"]}`), "")
		must(t, err)
		if again != "" || next == token || changed.Name != "Owl 2" || !get(t, s, made.ID).AllowsRedirect("https://owl.test/2") || get(t, s, made.ID).AllowsRedirect("https://owl.test/cb") {
			t.Errorf("%+v", changed)
		}
		if _, err := s.Holder(ctx, made.ID, token.Reveal()); !errs.Is(err, errs.Unauthenticated) { // security case RG-06
			t.Errorf("the old token: %v", err)
		}
		must(t, s.Unregister(ctx, made.ID, next.Reveal()))
		if _, err := s.Get(ctx, made.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("after its end: %v", err)
		}
		if audited(t, s, "client.register") != 2 || audited(t, s, "client.reregister") != 1 || audited(t, s, "client.unregister") != 1 {
			t.Error("not everything is in the audit log")
		}
		var hash string
		must(t, s.d.DB.Q(ctx).QueryRow(ctx, `SELECT token_hash FROM client_registration WHERE client_id = $1`, other.ID).Scan(&hash))
		if hash != id.Digest(otherToken.Reveal()) {
			t.Errorf("stored: %s", hash)
		}
	})
}

// A disabled client manages nothing: to it, the answer is that of a wrong token.
func TestRegister_DisabledHoldsNothing(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		made, _, token, err := s.Register(t.Context(), described(t, webText), Registered{})
		must(t, err)
		must(t, s.Disable(t.Context(), made.ID))
		if _, err := s.Holder(t.Context(), made.ID, token.Reveal()); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("read: %v", err)
		}
		if _, _, _, err := s.Reregister(t.Context(), made.ID, token.Reveal(), described(t, webText), ""); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("update: %v", err)
		}
		if err := s.Unregister(t.Context(), made.ID, token.Reveal()); !errs.Is(err, errs.Unauthenticated) || !there(t, s, &made) {
			t.Errorf("end: %v", err)
		}
	})
}

// Security case RG-06: of many updates with one token one is done.
func TestRace_Reregister(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		made, _, token, err := s.Register(t.Context(), described(t, webText), Registered{})
		must(t, err)
		var done atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				_, _, _, err := s.Reregister(context.WithoutCancel(t.Context()), made.ID, token.Reveal(), described(t, webText), "")
				switch {
				case err == nil:
					done.Add(1)
				case !errs.Is(err, errs.Unauthenticated):
					t.Errorf("loser: %v", err)
				}
			})
		}
		wg.Wait()
		if done.Load() != 1 {
			t.Errorf("%d updates", done.Load())
		}
	})
}

// What an operator decided about a client survives its own updates; that he vouched for it does not,
// once it looks different.
func TestReregister_KeepsWhatTheOperatorDecided(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		ctx := t.Context()
		made, _, token, err := s.Register(ctx, described(t, webText), stranger)
		must(t, err)
		must(t, s.Approve(ctx, made.ID))
		_, err = s.Update(ctx, made.ID, func(d *Draft) error {
			d.Metadata.FirstParty, d.Metadata.RequireMFA, d.Metadata.AccessTokenTTL, d.Metadata.AccessTokenFormat = true, true, 5*time.Minute, FormatOpaque
			return nil
		})
		must(t, err)
		same, _, token, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, `{"client_name":"Owl","redirect_uris":["https://owl.test/cb"],"contacts":["a@owl.test"]}`), "")
		must(t, err)
		m := same.Metadata
		if !m.FirstParty || !m.RequireMFA || m.AccessTokenTTL != 5*time.Minute || m.AccessTokenFormat != FormatOpaque || m.Quarantined || m.Contacts == nil {
			t.Errorf("%+v", m)
		}
		other, _, _, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, `{"client_name":"Bank","redirect_uris":["https://owl.test/cb"]}`), "")
		must(t, err)
		if m := other.Metadata; m.FirstParty || !m.Quarantined || !m.RequireMFA {
			t.Errorf("%+v", m)
		}
	})
}

// People are not asked about a first-party application, so it may not become another one by itself,
// whoever let it in.
func TestReregister_FirstPartyIsWhatItWas(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		ctx := t.Context()
		made, _, token, err := s.Register(ctx, described(t, webText), Registered{})
		must(t, err)
		_, err = s.Update(ctx, made.ID, func(d *Draft) error { d.Metadata.FirstParty = true; return nil })
		must(t, err)
		other, _, _, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, `{"client_name":"Owl","redirect_uris":["https://elsewhere.test/cb"]}`), "")
		must(t, err)
		if m := other.Metadata; m.FirstParty || m.Quarantined {
			t.Errorf("%+v", m)
		}
	})
}

// Only people keep a client in quarantine: its own updates do not.
func TestReregister_DoesNotProlongQuarantine(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		made, _, token, err := s.Register(t.Context(), described(t, webText), stranger)
		must(t, err)
		c.Advance(6 * 24 * time.Hour)
		_, _, _, err = s.Reregister(t.Context(), made.ID, token.Reveal(), described(t, `{"client_name":"Owl 2","redirect_uris":["https://owl.test/cb"]}`), "")
		must(t, err)
		c.Advance(25 * time.Hour)
		if n, err := s.DeleteUnused(t.Context(), 10); n != 1 || err != nil {
			t.Errorf("%d went, %v", n, err)
		}
	})
}

func TestReregister_SecretsFollowTheMethod(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		made, first, token, err := s.Register(ctx, described(t, webText), Registered{})
		must(t, err)
		keys := `{"client_name":"Owl","redirect_uris":["https://owl.test/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks":` + string(testJWKS()) + `}`
		_, none, token, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, keys), "")
		must(t, err)
		if none != "" || get(t, s, made.ID).VerifySecret(first.Reveal(), c.Now()) {
			t.Error("the secret outlived its method")
		}
		_, second, token, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, webText), "")
		must(t, err)
		if second == "" || !get(t, s, made.ID).VerifySecret(second.Reveal(), c.Now()) || get(t, s, made.ID).VerifySecret(first.Reveal(), c.Now()) {
			t.Error("no secret of its own")
		}
		public := `{"redirect_uris":["https://owl.test/cb"],"token_endpoint_auth_method":"none"}`
		if _, _, _, err := s.Reregister(ctx, made.ID, token.Reveal(), described(t, public), ""); len(ProblemsOf(err)) == 0 {
			t.Errorf("another kind of client: %v", err)
		}
		if _, err := s.Holder(ctx, made.ID, token.Reveal()); err != nil {
			t.Errorf("a refused update spent the token: %v", err)
		}
	})
}

func TestRegister_QuarantineIsBounded(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		for range stranger.MaxQuarantined {
			_, _, _, err := s.Register(ctx, described(t, webText), stranger)
			must(t, err)
		}
		if _, _, _, err := s.Register(ctx, described(t, webText), stranger); !errs.Is(err, errs.Busy) {
			t.Errorf("one too many: %v", err)
		}
		if _, _, _, err := s.Register(ctx, described(t, webText), Registered{}); err != nil {
			t.Errorf("vouched for: %v", err)
		}
		list, err := s.List(ctx, ListOptions{})
		must(t, err)
		if len(list) != stranger.MaxQuarantined+1 {
			t.Errorf("%d clients", len(list))
		}
		// Use keeps one, approval another.
		quarantined := slices.DeleteFunc(list, func(c Client) bool { return !c.Metadata.Quarantined })
		c.Advance(6 * 24 * time.Hour)
		must(t, s.Used(ctx, &quarantined[0]))
		must(t, s.Approve(ctx, quarantined[1].ID))
		c.Advance(25 * time.Hour)
		n, err := s.DeleteUnused(ctx, 100)
		must(t, err)
		if n != 1 || audited(t, s, "client.expire") != 1 {
			t.Errorf("%d went", n)
		}
		if _, err := s.Get(ctx, quarantined[2].ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("unused: %v", err)
		}
		if n, err := s.DeleteUnused(ctx, 100); n != 0 || err != nil {
			t.Errorf("again: %d, %v", n, err)
		}
	})
}

// Whatever goes along with a registration is undone with it, and the other way round.
func TestRegister_OneTransaction(t *testing.T) {
	t.Parallel()
	eachOpen(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		refused := errors.New("no use left")
		_, _, _, err := s.Register(t.Context(), described(t, webText), Registered{With: func(context.Context) error { return refused }})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		if list, err := s.List(t.Context(), ListOptions{}); err != nil || len(list) != 0 || audited(t, s, "client.register") != 0 {
			t.Errorf("%d clients, %v", len(list), err)
		}
	})
}

// A store that fails at any statement leaves nothing half done, and says so.
func TestRegister_Faults(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		for n := int64(1); n < 40; n++ {
			broken, count := storetest.FailAt(db, n, storetest.Before)
			_, _, _, err := unpolled(t, broken, c, nil).Register(t.Context(), described(t, webText), stranger)
			whole := open(t, db, c, nil)
			list, lerr := whole.List(t.Context(), ListOptions{})
			must(t, lerr)
			if err == nil && count.Load() < n {
				return // no statement left to fail
			}
			if err != nil && (len(list) != 0 || !errs.Is(err, errs.Unavailable)) {
				t.Fatalf("statement %d: %v, %d clients", n, err, len(list))
			}
			for _, made := range list {
				must(t, whole.Delete(t.Context(), made.ID))
			}
		}
		t.Fatal("it never ends")
	})
}
