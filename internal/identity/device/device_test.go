package device_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/identity/device"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	alice, bob = id.User("user-alice"), id.User("user-bob")
	chrome     = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0.1 Safari/537.36"
	chromeNext = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.2 Safari/537.36"
	firefox    = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	month      = 30 * 24 * time.Hour
)

type fixture struct {
	*device.Service
	db    *store.DB
	clock *clock.Fake
	audit *audit.Log
}

func open(t *testing.T, db *store.DB, c *clock.Fake) *fixture {
	t.Helper()
	log, err := audit.New(audit.Deps{DB: db, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	s, err := device.New(device.Deps{DB: db, Clock: c, Audit: log, MaxPerAccount: 3})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{s, db, c, log}
}

// each runs fn on every engine, with accounts for alice and bob.
func each(t *testing.T, fn func(t *testing.T, f *fixture)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, u := range []id.User{alice, bob} {
			_, err := db.Exec(t.Context(), `INSERT INTO account (id, status, profile, source, created_at, updated_at) VALUES ($1, 'active', '{}', 'test', 1, 1)`, string(u))
			if err != nil {
				t.Fatal(err)
			}
		}
		fn(t, open(t, db, clock.NewFake(start)))
	})
}

// from is a request out of a browser that has the cookie.
func from(t *testing.T, cookie, agent string) context.Context {
	t.Helper()
	ctx := audit.WithSource(context.Background(), audit.Source{IP: "192.0.2.7", UserAgent: agent})
	return device.WithCookie(ctx, cookie)
}

func (f *fixture) note(t *testing.T, ctx context.Context, user id.User) (known bool, cookie string) { //nolint:revive // t first
	t.Helper()
	err := f.db.InTx(ctx, func(ctx context.Context) (err error) {
		known, cookie, err = f.Note(ctx, user)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return known, cookie
}

func (f *fixture) trust(t *testing.T, ctx context.Context, user id.User) { //nolint:revive // t first
	t.Helper()
	if err := f.db.InTx(ctx, func(ctx context.Context) error { return f.Trust(ctx, user, month) }); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) lane(t *testing.T, ctx context.Context, user id.User) string { //nolint:revive // t first
	t.Helper()
	lane, err := f.Lane(ctx, user)
	if err != nil {
		t.Fatal(err)
	}
	return lane
}

func (f *fixture) trusted(t *testing.T, ctx context.Context, user id.User) bool { //nolint:revive // t first
	t.Helper()
	b, err := f.Known(ctx, user)
	if err != nil {
		t.Fatal(err)
	}
	return b != nil && b.Trusted
}

func TestNote_KnownFromThenOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		known, cookie := f.note(t, from(t, "", chrome), alice)
		if known || cookie == "" {
			t.Fatalf("first sign-in: %v, %q", known, cookie)
		}
		ctx := from(t, cookie, chrome)
		if f.lane(t, ctx, alice) == "" {
			t.Error("unknown after a sign-in")
		}
		f.clock.Advance(time.Hour)
		known, again := f.note(t, ctx, alice)
		if !known || again != cookie {
			t.Errorf("second sign-in: %v, cookie changed: %v", known, again != cookie)
		}
		list, err := f.List(ctx, alice)
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		want := device.Browser{ID: list[0].ID, UserAgent: chrome, IP: "192.0.2.7", CreatedAt: start, LastSeenAt: start.Add(time.Hour),
			ExpiresAt: start.Add(time.Hour + device.Life), Current: true}
		if list[0] != want {
			t.Errorf("%+v, want %+v", list[0], want)
		}
		f.clock.Advance(device.Life)
		if f.lane(t, ctx, alice) != "" {
			t.Error("known after its time")
		}
		if n, err := f.DeleteExpired(ctx, 10); err != nil || n != 1 {
			t.Errorf("deleted %d, %v", n, err)
		}
	})
}

// A cookie that is forged, malformed, of another purpose or unknown to the account is no cookie.
func TestKnown_RefusesForgeries(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		_, cookie := f.note(t, from(t, "", chrome), alice)
		var row string
		if err := f.db.QueryRow(t.Context(), `SELECT id || token_hash FROM known_browser`).Scan(&row); err != nil || strings.Contains(row, cookie) {
			t.Errorf("the cookie stands in the row: %v", err)
		}
		last := "A"
		if strings.HasSuffix(cookie, last) {
			last = "B"
		}
		for name, forged := range map[string]string{
			"none": "", "one bit": cookie[:len(cookie)-1] + last, "random": id.NewToken(id.DeviceCookie), "user id": string(alice),
			"session cookie": id.NewToken(id.SessionCookie), "long": strings.Repeat("a", 9000), "row": row,
		} {
			if f.lane(t, from(t, forged, chrome), alice) != "" {
				t.Errorf("%s: known", name)
			}
		}
		if f.lane(t, from(t, cookie, chrome), bob) != "" {
			t.Error("known to another account")
		}
	})
}

// Whoever planted a cookie in a browser is not known to the people who sign in there afterwards.
func TestNote_PlantedCookie(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		_, planted := f.note(t, from(t, "", chrome), bob)
		known, cookie := f.note(t, from(t, planted, chrome), alice)
		if known || cookie == planted {
			t.Fatal("the planted cookie was kept")
		}
		if f.lane(t, from(t, planted, chrome), alice) != "" {
			t.Error("the planted cookie is known to alice")
		}
		ctx := from(t, cookie, chrome)
		if f.lane(t, ctx, alice) == "" || f.lane(t, ctx, bob) == "" {
			t.Error("the browser is not known to both of its people")
		}
		if f.lane(t, ctx, alice) == f.lane(t, ctx, bob) {
			t.Error("one lane for two people")
		}
	})
}

func TestTrust_ForAWhileInThatBrowser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		_, cookie := f.note(t, from(t, "", chrome), alice)
		ctx := from(t, cookie, chrome)
		if f.trusted(t, ctx, alice) {
			t.Error("trusted unasked")
		}
		f.trust(t, ctx, alice)
		if !f.trusted(t, ctx, alice) || !f.trusted(t, from(t, cookie, chromeNext), alice) {
			t.Error("not trusted, or not after an update of the browser")
		}
		_, others := f.note(t, from(t, cookie, chrome), bob)
		cookie = others // one browser, one cookie
		for name, other := range map[string]context.Context{
			"copied into another browser": from(t, cookie, firefox),
			"without the cookie":          from(t, "", chrome),
		} {
			if f.trusted(t, other, alice) {
				t.Errorf("%s: trusted", name)
			}
		}
		if f.trusted(t, from(t, cookie, chrome), bob) {
			t.Error("trusted for somebody else")
		}
		f.clock.Advance(month)
		if f.trusted(t, from(t, cookie, chrome), alice) {
			t.Error("trusted after its time")
		}
		if f.lane(t, from(t, cookie, chrome), alice) == "" {
			t.Error("unknown after the trust ended")
		}
	})
}

func TestRevoke_OneAllAndTrustAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		_, one := f.note(t, from(t, "", chrome), alice)
		_, two := f.note(t, from(t, "", firefox), alice)
		_, his := f.note(t, from(t, "", firefox), bob)
		c1, c2, c3 := from(t, one, chrome), from(t, two, firefox), from(t, his, firefox)
		for ctx, u := range map[context.Context]id.User{c1: alice, c2: alice, c3: bob} {
			f.trust(t, ctx, u)
		}
		foreign := f.lane(t, c3, bob)
		if err := f.Revoke(c1, alice, foreign); !errs.Is(err, errs.NotFound) || f.lane(t, c3, bob) == "" {
			t.Errorf("somebody else's browser: %v", err)
		}
		if err := f.Revoke(c1, alice, f.lane(t, c2, alice)); err != nil {
			t.Fatal(err)
		}
		if f.lane(t, c2, alice) != "" || f.lane(t, c1, alice) == "" {
			t.Error("not the one that was named")
		}
		if n, err := f.UntrustAll(c1, alice); err != nil || n != 1 || f.trusted(t, c1, alice) || f.lane(t, c1, alice) == "" {
			t.Errorf("untrusted %d, %v", n, err)
		}
		if n, err := f.RevokeAll(c1, alice); err != nil || n != 1 || f.lane(t, c1, alice) != "" {
			t.Errorf("revoked %d, %v", n, err)
		}
		if !f.trusted(t, c3, bob) {
			t.Error("bob's browser suffered")
		}
		err := f.db.InTx(c1, func(ctx context.Context) error { return f.Trust(ctx, alice, month) })
		if !errs.Is(err, errs.Conflict) {
			t.Errorf("trust in a browser that was forgotten: %v", err)
		}
		list, err := f.audit.List(t.Context(), audit.Filter{Target: string(alice)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range list {
			got = append([]string{r.Action}, got...)
		}
		want := "browser.new browser.new browser.trust browser.trust browser.revoke browser.untrust_all browser.revoke_all"
		if strings.Join(got, " ") != want {
			t.Errorf("recorded %v", got)
		}
	})
}

func TestNote_CapsPerAccount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		var cookies []string
		for range 5 {
			_, c := f.note(t, from(t, "", chrome), alice)
			cookies = append(cookies, c)
			f.clock.Advance(time.Second)
		}
		for i, c := range cookies {
			if known := f.lane(t, from(t, c, chrome), alice) != ""; known != (i >= 2) {
				t.Errorf("browser %d known: %v", i, known)
			}
		}
	})
}

// Ten sign-ins at once in one browser leave one entry for it, on two instances.
func TestNote_ManyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		_, cookie := f.note(t, from(t, "", chrome), alice)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if known, again := f.note(t, from(t, cookie, chrome), alice); !known || again != cookie {
					t.Errorf("%v, cookie changed: %v", known, again != cookie)
				}
			})
		}
		wg.Wait()
		if list, err := f.List(t.Context(), alice); err != nil || len(list) != 1 {
			t.Errorf("%d entries, %v", len(list), err)
		}
		if err := f.db.InTx(t.Context(), func(ctx context.Context) error {
			_, _, err := f.Note(ctx, "nobody")
			return err
		}); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("a deleted account: %v", err)
		}
	})
}
