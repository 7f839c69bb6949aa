package client

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/fetch"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// instance is one running process as far as clients are concerned.
func instance(t testing.TB, db *store.DB, c clock.Clock, f *fetch.Client) *Service {
	t.Helper()
	log, err := audit.New(audit.Deps{DB: db, Clock: c})
	must(t, err)
	if f == nil {
		f = fetch.New(fetch.Options{Timeout: time.Second})
	}
	s, err := New(Deps{DB: db, Clock: c, Changes: store.NewChanges(db, time.Minute), Audit: log, Fetch: f})
	must(t, err)
	return s
}

func each(t *testing.T, fn func(t *testing.T, s *Service, c *clock.Fake)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := clock.NewFake(start)
		fn(t, instance(t, db, c, nil), c)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, s *Service, kind Kind) (Client, string) {
	t.Helper()
	c, secret, err := s.Create(t.Context(), NewClient{Name: "Shop", Kind: kind, Metadata: valid(kind)})
	must(t, err)
	return c, secret.Reveal()
}

func get(t testing.TB, s *Service, cid id.Client) *Client {
	t.Helper()
	c, err := s.Get(t.Context(), cid)
	must(t, err)
	return c
}

func audited(t testing.TB, s *Service, action string) int {
	t.Helper()
	l, err := s.d.Audit.List(context.Background(), audit.Filter{Action: action, Limit: 1000})
	must(t, err)
	return len(l)
}

func TestCreate_EachKind(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		for _, kind := range Kinds() {
			made, secret := create(t, s, kind)
			got := get(t, s, made.ID)
			if d := cmp.Diff(&made, got, cmp.AllowUnexported(Client{}, secretHash{})); d != "" {
				t.Errorf("%s: %s", kind, d)
			}
			public := kind == SPA || kind == Native
			if public != (secret == "") || public != got.Public() {
				t.Errorf("%s: secret %q", kind, secret)
			}
			if !public {
				if _, ok := id.Hash(id.ClientSecret, secret); !ok {
					t.Errorf("%s: secret is not a generated one", kind)
				}
				if !got.VerifySecret(secret, c.Now()) || got.VerifySecret(secret+"x", c.Now()) || got.VerifySecret("", c.Now()) {
					t.Errorf("%s: secret check", kind)
				}
			} else if got.VerifySecret("", c.Now()) {
				t.Errorf("%s: the empty secret passes for a public client", kind)
			}
		}
		if n := audited(t, s, "client.create"); n != 4 {
			t.Errorf("%d audit events", n)
		}
		list, err := s.List(t.Context(), ListOptions{})
		must(t, err)
		if len(list) != 4 || !slices.IsSortedFunc(list, func(a, b Client) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
			t.Errorf("list: %v", list)
		}
		page, err := s.List(t.Context(), ListOptions{After: list[1].ID, Limit: 1})
		must(t, err)
		if len(page) != 1 || page[0].ID != list[2].ID {
			t.Errorf("page: %v", page)
		}
	})
}

// The stored form of a secret is of no use to a thief of the database.
func TestCreate_SecretIsNotStored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		made, secret := create(t, s, Web)
		var hash string
		must(t, s.d.DB.Q(t.Context()).QueryRow(t.Context(), `SELECT hash FROM client_secret WHERE client_id = $1`, made.ID).Scan(&hash))
		if strings.Contains(hash, secret) || get(t, s, made.ID).VerifySecret(hash, start) {
			t.Errorf("stored as %q", hash)
		}
	})
}

func TestCreate_RefusesWithAllProblems(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		m := Defaults(Web)
		m.Scopes = append(m.Scopes, "orders:read")
		_, _, err := s.Create(t.Context(), NewClient{ID: "a b", Name: "", Kind: Web, Metadata: m})
		var fields []string
		for _, p := range ProblemsOf(err) {
			fields = append(fields, p.Field)
		}
		if d := cmp.Diff([]string{"id", "name", "scopes", "redirect_uris"}, fields); d != "" || !errs.Is(err, errs.Invalid) {
			t.Errorf("%v: %s", err, d)
		}
		list, _ := s.List(t.Context(), ListOptions{})
		if len(list) != 0 || audited(t, s, "client.create") != 0 {
			t.Error("something was written")
		}
		_, _, err = s.Create(t.Context(), NewClient{ID: "shop", Name: "Shop", Kind: Web, Metadata: valid(Web)})
		must(t, err)
		if _, _, err = s.Create(t.Context(), NewClient{ID: "shop", Name: "Shop", Kind: Web, Metadata: valid(Web)}); !errs.Is(err, errs.Conflict) {
			t.Errorf("the same id again: %v", err)
		}
	})
}

func TestGet_UnknownAndImpossibleIDs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		for _, cid := range []id.Client{"", "nobody", "a\x00b", "' OR 1=1", id.Client(strings.Repeat("a", 10_000)), "\xff"} {
			c, err := s.Get(t.Context(), cid)
			if !errs.Is(err, errs.NotFound) || c != nil {
				t.Errorf("%.20q: %v, %v", cid, c, err)
			}
			// An unknown client runs the same comparison.
			if c.VerifySecret("anything", start) || c.VerifySecret("", start) {
				t.Error("a client that does not exist has a secret")
			}
		}
	})
}

func TestRotateSecret_TwoLiveThenOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		made, first := create(t, s, Web)
		second, err := s.RotateSecret(ctx, made.ID, time.Hour)
		must(t, err)
		live := func(secret string) bool { return get(t, s, made.ID).VerifySecret(secret, c.Now()) }
		if !live(first) || !live(second.Reveal()) {
			t.Error("during the overlap both must be live")
		}
		if n := len(get(t, s, made.ID).Secrets(c.Now())); n != 2 {
			t.Errorf("%d secrets", n)
		}
		if _, err := s.RotateSecret(ctx, made.ID, time.Hour); !errs.Is(err, errs.Conflict) {
			t.Errorf("a third live secret: %v", err)
		}
		c.Advance(time.Hour)
		if live(first) || !live(second.Reveal()) {
			t.Error("after the overlap only the new one may be live")
		}
		third, err := s.RotateSecret(ctx, made.ID, time.Hour)
		must(t, err)
		fourth, err := s.RotateSecret(ctx, made.ID, 0)
		must(t, err)
		if live(second.Reveal()) || live(third.Reveal()) || !live(fourth.Reveal()) {
			t.Error("a rotation without overlap ends all others")
		}
		if n := audited(t, s, "client.rotate_secret"); n != 3 {
			t.Errorf("%d audit events", n)
		}
		for _, d := range []time.Duration{-1, MaxOverlap + 1} {
			if _, err := s.RotateSecret(ctx, made.ID, d); !errs.Is(err, errs.Invalid) {
				t.Errorf("overlap %s: %v", d, err)
			}
		}
		app, _ := create(t, s, Native)
		if _, err := s.RotateSecret(ctx, app.ID, 0); !errs.Is(err, errs.Conflict) {
			t.Errorf("a public client gets a secret: %v", err)
		}
	})
}

// However many rotate at once, at most two secrets are live and every one that was handed out
// under the cap works.
func TestRotateSecret_Race(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url, c := storetest.NewURL(t, engine), clock.NewFake(start)
			a, b := instance(t, storetest.Connect(t, url), c, nil), instance(t, storetest.Connect(t, url), c, nil)
			made, _ := create(t, a, Web)
			var mu sync.Mutex
			var won []string
			var wg sync.WaitGroup
			for i := range 12 {
				s := []*Service{a, b}[i%2]
				wg.Go(func() {
					secret, err := s.RotateSecret(context.Background(), made.ID, time.Hour)
					if err != nil && !errs.Is(err, errs.Conflict) {
						t.Errorf("loser: %v", err)
					}
					if err == nil {
						mu.Lock()
						defer mu.Unlock()
						won = append(won, secret.Reveal())
					}
				})
			}
			wg.Wait()
			got := get(t, b, made.ID)
			if len(won) != 1 || len(got.Secrets(c.Now())) != 2 || !got.VerifySecret(won[0], c.Now()) {
				t.Errorf("%d winners, %d live", len(won), len(got.Secrets(c.Now())))
			}
			var rows int
			must(t, a.d.DB.Q(t.Context()).QueryRow(t.Context(), `SELECT count(*) FROM client_secret`).Scan(&rows))
			if rows != 2 {
				t.Errorf("%d rows", rows)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		made, secret := create(t, s, Web)
		before := get(t, s, made.ID)
		c.Advance(time.Minute)
		up, err := s.Update(ctx, made.ID, func(d *Draft) error {
			d.Name, d.Metadata.RedirectURIs[0] = "Store", "https://rp.test/new"
			return nil
		})
		must(t, err)
		if up.Name != "Store" || !up.UpdatedAt.Equal(c.Now()) || up.CreatedAt != made.CreatedAt {
			t.Errorf("%+v", up)
		}
		if before.Name != "Shop" || before.AllowsRedirect("https://rp.test/new") {
			t.Error("a snapshot that was handed out has changed")
		}
		if got := get(t, s, made.ID); !got.AllowsRedirect("https://rp.test/new") || !got.VerifySecret(secret, c.Now()) {
			t.Error("the change is not visible, or the secret is lost")
		}
		_, err = s.Update(ctx, made.ID, func(d *Draft) error { d.Metadata.RedirectURIs = nil; return nil })
		if !errs.Is(err, errs.Invalid) || get(t, s, made.ID).Metadata.RedirectURIs == nil {
			t.Errorf("invalid change: %v", err)
		}
		_, err = s.Update(ctx, made.ID, func(d *Draft) error {
			d.Metadata.AuthMethod, d.Metadata.JWKS = PrivateKeyJWT, testJWKS()
			return nil
		})
		must(t, err)
		if get(t, s, made.ID).VerifySecret(secret, c.Now()) {
			t.Error("the secret outlives its method")
		}
		if _, err := s.Update(ctx, "nobody", func(*Draft) error { return nil }); !errs.Is(err, errs.NotFound) {
			t.Errorf("unknown client: %v", err)
		}
	})
}

// No change is lost when many are made at once.
func TestUpdate_Race(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		made, _ := create(t, s, Web)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, err := s.Update(context.Background(), made.ID, func(d *Draft) error {
					d.Metadata.RedirectURIs = append(d.Metadata.RedirectURIs, "https://rp.test/"+string(rune('a'+i)))
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(get(t, s, made.ID).Metadata.RedirectURIs); n != 11 {
			t.Errorf("%d redirect URIs, want 11", n)
		}
	})
}

func TestDisableEnableDelete(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		ctx := t.Context()
		made, _ := create(t, s, SPA)
		allowed := func() bool {
			ok, err := s.OriginAllowed(ctx, "https://rp.test")
			must(t, err)
			return ok
		}
		if !allowed() {
			t.Error("origin of an SPA")
		}
		must(t, s.Disable(ctx, made.ID))
		must(t, s.Disable(ctx, made.ID))
		if get(t, s, made.ID).Active() || allowed() {
			t.Error("disabled client is active")
		}
		must(t, s.Enable(ctx, made.ID))
		if !get(t, s, made.ID).Active() || !allowed() {
			t.Error("enabled client is not active")
		}
		must(t, s.Delete(ctx, made.ID))
		if _, err := s.Get(ctx, made.ID); !errs.Is(err, errs.NotFound) || allowed() {
			t.Errorf("deleted client: %v", err)
		}
		for _, err := range []error{s.Delete(ctx, made.ID), s.Disable(ctx, made.ID), s.Enable(ctx, made.ID)} {
			if !errs.Is(err, errs.NotFound) {
				t.Errorf("unknown client: %v", err)
			}
		}
		if audited(t, s, "client.disable") != 1 || audited(t, s, "client.enable") != 1 || audited(t, s, "client.delete") != 1 {
			t.Error("audit does not match what happened")
		}
	})
}

// A cached client costs no statement while the counters are fresh, is dropped by a change in any
// process, and is not trusted when the counters were not read lately.
func TestCache(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			ctx, url, c := t.Context(), storetest.NewURL(t, engine), clock.NewFake(start)
			other := instance(t, storetest.Connect(t, url), c, nil)
			db, count := storetest.FailAt(storetest.Connect(t, url), 0, storetest.Before)
			s := instance(t, db, c, nil)
			made, _ := create(t, other, SPA)

			statements := func(fn func()) int64 {
				before := count.Load()
				fn()
				return count.Load() - before
			}
			read := func() {
				get(t, s, made.ID)
				_, err := s.APIs(ctx)
				must(t, err)
				_, err = s.OriginAllowed(ctx, "https://x.test")
				must(t, err)
			}
			if n := statements(read) + statements(read); n != 6 {
				t.Errorf("before the counters are read: %d statements, want 6", n)
			}
			must(t, s.d.Changes.Poll(ctx))
			if n := statements(read); n != 3 {
				t.Errorf("first: %d statements, want 3", n)
			}
			if n := statements(read); n != 0 {
				t.Errorf("cached: %d statements", n)
			}
			must(t, other.Disable(ctx, made.ID))
			must(t, s.d.Changes.Poll(ctx))
			if get(t, s, made.ID).Active() {
				t.Error("a change by another process is not seen")
			}
			must(t, s.Enable(ctx, made.ID))
			if !get(t, s, made.ID).Active() {
				t.Error("an own change is not seen at once")
			}
		})
	}
}

// A row that was read before a change must not enter the cache after it.
func TestCache_RefusesOldReads(t *testing.T) {
	t.Parallel()
	var c cache
	c.empty()
	gen := c.generation()
	c.empty()
	c.keep(gen, func() { t.Error("kept") })
	kept := false
	c.keep(c.generation(), func() { kept = true })
	if !kept {
		t.Error("not kept")
	}
	for i := range maxCached + 10 {
		c.putClient(&Client{ID: id.Client(string(rune(i)) + "x")})
	}
	if len(c.clients) > maxCached {
		t.Errorf("%d entries", len(c.clients))
	}
}

// Store down: an error of kind unavailable, never "no such client".
func TestGet_StoreDown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		made, _ := create(t, s, Web)
		get(t, s, made.ID)
		s.d.DB.Close()
		if _, err := s.Get(t.Context(), made.ID); !errs.Is(err, errs.Unavailable) {
			t.Errorf("got %v", err)
		}
	})
}

func TestIDTokenAlgs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		for _, alg := range []string{"", "RS256", "EdDSA", "RS256"} {
			m := valid(Web)
			m.IDTokenAlg = alg
			_, _, err := s.Create(t.Context(), NewClient{Name: "Shop", Kind: Web, Metadata: m})
			must(t, err)
		}
		algs, err := s.IDTokenAlgs(t.Context())
		must(t, err)
		if d := cmp.Diff([]string{"EdDSA", "RS256"}, algs); d != "" {
			t.Error(d)
		}
	})
}

func TestNew_ChecksDependencies(t *testing.T) {
	t.Parallel()
	if _, err := New(Deps{}); err == nil {
		t.Error("no dependencies, no error")
	}
}
