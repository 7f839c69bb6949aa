package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

const (
	strong  = "q7Zt0pX2vLs9Kd4wNf8hRb3mYc6jGa1e"
	strong2 = "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6"
)

func plain(s string) FileSecret { return FileSecret{Plain: seal.Secret(s)} }

func declared() ([]FileClient, []FileAPI) {
	shop := FileClient{ID: "shop", Name: "Shop", Kind: Web, Metadata: valid(Web), Secrets: []FileSecret{plain(strong)}}
	job := FileClient{ID: "job", Name: "Job", Kind: Machine, Metadata: valid(Machine), Secrets: []FileSecret{plain(strong2)}}
	job.Metadata.Scopes = []string{"orders:read"}
	return []FileClient{shop, job}, []FileAPI{{Audience: "https://orders.test", Name: "Orders", Scopes: map[string]string{"orders:read": "See orders"}}}
}

func sync1(t testing.TB, s *Service, c []FileClient, a []FileAPI) FileSummary {
	t.Helper()
	sum, err := s.SyncFile(t.Context(), c, a)
	must(t, err)
	return sum
}

func TestSyncFile_WholeLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		ctx := t.Context()
		clients, apis := declared()
		own, _ := create(t, s, Web)
		got := sync1(t, s, clients, apis)
		want := FileSummary{Created: []id.Client{"shop", "job"}, APIsCreated: []string{"https://orders.test"}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		shop := get(t, s, "shop")
		if !shop.VerifySecret(strong, c.Now()) || shop.ManagedBy != ManagedByFile || !get(t, s, "job").AllowsAudience("https://orders.test") {
			t.Errorf("%+v", shop)
		}

		// Nothing changed: nothing is written.
		events, bumps := audited(t, s, ""), counter(t, s)
		if again := sync1(t, s, clients, apis); again.Changed() || audited(t, s, "") != events || counter(t, s) != bumps {
			t.Errorf("an unchanged file is written again: %+v", again)
		}

		// Read-only elsewhere, with words that say where to go.
		_, uerr := s.Update(ctx, "shop", func(*Draft) error { return nil })
		_, rerr := s.RotateSecret(ctx, "shop", 0)
		for _, err := range []error{uerr, rerr, s.Disable(ctx, "shop"), s.Enable(ctx, "shop"), s.Delete(ctx, "shop"), s.DeleteAPI(ctx, "https://orders.test")} {
			if !errs.Is(err, errs.Forbidden) || !strings.Contains(err.Error(), "configuration file") {
				t.Errorf("owned by the file: %v", err)
			}
		}

		// Changed, rotated.
		clients[0].Name = "Store"
		clients[0].Secrets = []FileSecret{plain(strong), plain(strong2)}
		apis[0].Scopes["orders:write"] = ""
		got = sync1(t, s, clients, apis)
		if d := cmp.Diff(FileSummary{Updated: []id.Client{"shop"}, APIsUpdated: []string{"https://orders.test"}}, got); d != "" {
			t.Error(d)
		}
		shop = get(t, s, "shop")
		if shop.Name != "Store" || !shop.VerifySecret(strong, c.Now()) || !shop.VerifySecret(strong2, c.Now()) {
			t.Error("two secrets during a rotation")
		}
		clients[0].Secrets = clients[0].Secrets[1:]
		sync1(t, s, clients, apis)
		if shop = get(t, s, "shop"); shop.VerifySecret(strong, c.Now()) || !shop.VerifySecret(strong2, c.Now()) {
			t.Error("a secret that left the file still works")
		}

		// Removed from the file: disabled, not deleted; and back again.
		got = sync1(t, s, clients[1:], apis)
		if d := cmp.Diff(FileSummary{Disabled: []id.Client{"shop"}}, got); d != "" || get(t, s, "shop").Active() {
			t.Error(d)
		}
		if again := sync1(t, s, clients[1:], apis); again.Changed() {
			t.Errorf("disabled again: %+v", again)
		}
		got = sync1(t, s, clients, apis)
		if d := cmp.Diff(FileSummary{Updated: []id.Client{"shop"}}, got); d != "" || !get(t, s, "shop").Active() {
			t.Error(d)
		}

		// All gone.
		got = sync1(t, s, nil, nil)
		if len(got.Disabled) != 2 || len(got.APIsDeleted) != 1 {
			t.Errorf("%+v", got)
		}
		must(t, s.Delete(ctx, "shop"))
		if got := get(t, s, own.ID); got.Name != own.Name || !got.Active() {
			t.Error("a client of the command line was touched")
		}
	})
}

func counter(t testing.TB, s *Service) (n int64) {
	t.Helper()
	must(t, s.d.DB.Q(t.Context()).QueryRow(t.Context(), `SELECT value FROM change_counter WHERE topic = $1`, Topic).Scan(&n))
	return n
}

func TestSyncFile_DisabledInTheFile(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		clients, apis := declared()
		clients[0].Disabled = true
		sync1(t, s, clients, apis)
		if get(t, s, "shop").Active() || sync1(t, s, clients, apis).Changed() {
			t.Error("declared as disabled")
		}
	})
}

func TestSyncFile_SecretAsHash(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, c *clock.Fake) {
		clients, apis := declared()
		sync1(t, s, clients, apis)
		sum := sha256.Sum256([]byte(strong))
		clients[0].Secrets = []FileSecret{{SHA256: hex.EncodeToString(sum[:])}}
		if got := sync1(t, s, clients, apis); got.Changed() {
			t.Errorf("the hash of the same secret is another secret: %+v", got)
		}
		clients[0].Secrets[0].SHA256 = "sha256:" + strings.ToUpper(clients[0].Secrets[0].SHA256)
		if got := sync1(t, s, clients, apis); got.Changed() || !get(t, s, "shop").VerifySecret(strong, c.Now()) {
			t.Errorf("%+v", got)
		}
	})
}

// All problems of all entries at once, and then nothing is written.
func TestSyncFile_AllProblemsNothingWritten(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		ctx := t.Context()
		_, _, err := s.Create(ctx, NewClient{ID: "mine", Name: "Mine", Kind: Web, Metadata: valid(Web)})
		must(t, err)
		_, err = s.CreateAPI(ctx, API{Audience: "urn:mine", Name: "Mine"})
		must(t, err)
		good, apis := declared()
		sync1(t, s, good, apis)
		bumps := counter(t, s)

		bad := []FileClient{
			{ID: "mine", Name: "Mine", Kind: Web, Metadata: valid(Web), Secrets: []FileSecret{plain(strong)}},
			{ID: "twice", Name: "A", Kind: SPA, Metadata: valid(SPA)},
			{ID: "twice", Name: "B", Kind: SPA, Metadata: valid(SPA)},
			{ID: "secretless", Name: "C", Kind: Web, Metadata: valid(Web)},
			{ID: "three", Name: "D", Kind: Web, Metadata: valid(Web), Secrets: []FileSecret{plain(strong), plain(strong2), plain(strong)}},
			{ID: "public", Name: "E", Kind: SPA, Metadata: valid(SPA), Secrets: []FileSecret{plain(strong)}},
			{ID: "shop", Name: "Shop", Kind: SPA, Metadata: valid(SPA)},
			{ID: "uri", Name: "", Kind: SPA, Metadata: Defaults(SPA)},
			{ID: "scope", Name: "F", Kind: SPA, Metadata: func() Metadata { m := valid(SPA); m.Scopes = []string{"nowhere"}; return m }()},
		}
		_, err = s.SyncFile(ctx, bad, []FileAPI{{Audience: "urn:mine", Name: "Mine"}, {Audience: "x", Name: "x"}, {Audience: "urn:y", Name: "Y"}, {Audience: "urn:y", Name: "Y"}})
		var fields []string
		for _, p := range ProblemsOf(err) {
			fields = append(fields, p.Field)
		}
		want := []string{
			"apis[urn:mine].audience", "apis[x].audience", "apis[urn:y]",
			"clients[mine].id", "clients[twice]", "clients[secretless].secrets", "clients[three].secrets", "clients[public].secrets",
			"clients[shop].kind", "clients[uri].name", "clients[uri].redirect_uris", "clients[scope].scopes",
		}
		if d := cmp.Diff(want, fields, cmpopts.EquateEmpty()); d != "" || !errs.Is(err, errs.Invalid) {
			t.Errorf("%v: %s", err, d)
		}
		if counter(t, s) != bumps || get(t, s, "shop").Kind != Web {
			t.Error("something was written")
		}
		if strings.Contains(err.Error(), strong) {
			t.Error("the error shows a secret")
		}
	})
}

func TestSyncFile_APIInUseCannotGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Service, _ *clock.Fake) {
		_, apis := declared()
		sync1(t, s, nil, apis)
		m := valid(Machine)
		m.Scopes = []string{"orders:read"}
		_, _, err := s.Create(t.Context(), NewClient{ID: "mine", Name: "Mine", Kind: Machine, Metadata: m})
		must(t, err)
		if _, err := s.SyncFile(t.Context(), nil, nil); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "mine") {
			t.Errorf("%v", err)
		}
	})
}

func TestWeakSecret(t *testing.T) {
	t.Parallel()
	for s, ok := range map[string]bool{
		strong: true, strong2: true, "8f14e45fceea167a5a36dedd4bea2543": true,
		"": false, "secret": false, strong[:31]: false, strings.Repeat("a", 40): false, strings.Repeat("changeme", 4): false,
		strings.Repeat("0123456789abcdef", 2): false, strings.Repeat("0123456789abcdef", 3) + "01": true,
		strong + "\n": false, strong + " x": false, strong + "é": false, strings.Repeat(strong, 9): false,
	} {
		if got := weakSecret(s); (got == "") != ok {
			t.Errorf("%q: %q", s, got)
		}
	}
	for _, s := range []FileSecret{{}, {Plain: strong, SHA256: strings.Repeat("0", 64)}, {SHA256: "0"}, {SHA256: strings.Repeat("g", 64)}} {
		if _, text := s.hash(); text == "" {
			t.Errorf("%+v accepted", s)
		}
	}
}

// N instances start at once with the same file: one writes, nobody fails.
func TestSyncFile_InstancesAtOnce(t *testing.T) {
	t.Parallel()
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url, c := storetest.NewURL(t, engine), clock.NewFake(start)
			const n = 8
			var all []*Service
			for range n {
				all = append(all, instance(t, storetest.Connect(t, url), c, nil))
			}
			var mu sync.Mutex
			var wrote int
			var wg sync.WaitGroup
			for _, s := range all {
				wg.Go(func() {
					clients, apis := declared()
					sum, err := s.SyncFile(context.Background(), clients, apis)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if sum.Changed() {
						wrote++
					}
				})
			}
			wg.Wait()
			if wrote != 1 || audited(t, all[0], "client.create") != 2 || audited(t, all[0], "api.create") != 1 {
				t.Errorf("%d instances wrote", wrote)
			}
			if !get(t, all[n-1], "shop").VerifySecret(strong, c.Now()) {
				t.Error("the secret does not work")
			}
		})
	}
}

// Each statement of each change fails once, before and after it took effect: either the whole
// change happened or none of it, with its audit record, and the next try succeeds.
func TestFaults_NoHalfState(t *testing.T) {
	t.Parallel()
	type op = func(s *Service) error
	ctx := context.Background()
	ops := map[string]struct {
		prepare, run op
	}{
		"create": {nil, func(s *Service) error {
			_, _, err := s.Create(ctx, NewClient{ID: "new", Name: "New", Kind: Web, Metadata: valid(Web)})
			return err
		}},
		"rotate":         {makeShop, func(s *Service) error { _, err := s.RotateSecret(ctx, "mine", 1e9); return err }},
		"rotate at once": {makeShop, func(s *Service) error { _, err := s.RotateSecret(ctx, "mine", 0); return err }},
		"update": {makeShop, func(s *Service) error {
			_, err := s.Update(ctx, "mine", func(d *Draft) error {
				d.Metadata.AuthMethod, d.Metadata.JWKS = PrivateKeyJWT, testJWKS()
				return nil
			})
			return err
		}},
		"delete": {makeShop, func(s *Service) error { return s.Delete(ctx, "mine") }},
		"sync": {nil, func(s *Service) error {
			c, a := declared()
			_, err := s.SyncFile(ctx, c, a)
			return err
		}},
		"sync again": {func(s *Service) error {
			c, a := declared()
			_, err := s.SyncFile(ctx, c, a)
			return err
		}, func(s *Service) error {
			c, a := declared()
			a[0].Name, c[0].Secrets = "Other", []FileSecret{plain(strong2)}
			_, err := s.SyncFile(ctx, c[:1], a)
			return err
		}},
	}
	for name, o := range ops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) { faults(t, db, o.prepare, o.run) })
		})
	}
}

func makeShop(s *Service) error {
	_, _, err := s.Create(context.Background(), NewClient{ID: "mine", Name: "Mine", Kind: Web, Metadata: valid(Web)})
	return err
}

func faults(t *testing.T, db *store.DB, prepare, run func(*Service) error) {
	ctx := t.Context()
	c := clock.NewFake(start)
	sound := instance(t, db, c, nil)
	for n := int64(1); n <= 40; n++ {
		for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
			for _, table := range []string{"client", "api", "audit_event"} {
				_, err := db.Q(ctx).Exec(ctx, `DELETE FROM `+table)
				must(t, err)
			}
			if prepare != nil {
				must(t, prepare(sound))
			}
			before := dump(t, db)
			broken, count := storetest.FailAt(db, n, mode)
			err := run(instance(t, broken, c, nil))
			if count.Load() < n {
				must(t, err)
				if dump(t, db) == before {
					t.Error("the change changed nothing")
				}
				return
			}
			if !errs.Is(err, errs.Unavailable) {
				t.Errorf("statement %d: %v", n, err)
			}
			if after := dump(t, db); after != before {
				t.Errorf("statement %d leaves half a change:\n%s\n%s", n, before, after)
			}
			if err := run(sound); err != nil {
				t.Errorf("statement %d: the next try: %v", n, err)
			}
		}
	}
	t.Error("more than 40 statements: is there a loop?")
}

// dump is everything that the package writes, as text.
func dump(t *testing.T, db *store.DB) string {
	t.Helper()
	var out strings.Builder
	for _, q := range []string{
		`SELECT id || status || metadata FROM client ORDER BY id`, `SELECT client_id || hash || expires_at FROM client_secret ORDER BY client_id, hash`,
		`SELECT audience || name || scopes FROM api ORDER BY audience`, `SELECT id || action FROM audit_event ORDER BY id`,
	} {
		lines, err := store.All(t.Context(), db.Q(t.Context()), func(r store.Row) (s string, err error) { return s, r.Scan(&s) }, q)
		must(t, err)
		out.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return out.String()
}
