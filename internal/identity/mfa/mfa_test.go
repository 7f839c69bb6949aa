package mfa_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"signet/internal/identity/mfa"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// start is the beginning of a time step.
var start = time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)

const (
	alice, bob = id.User("user-alice"), id.User("user-bob")
	session    = "session-1"
)

type fixture struct {
	*mfa.Service
	db    *store.DB
	clock *clock.Fake
	audit *audit.Log
	lane  atomic.Value // of the requests that follow
	keys  atomic.Int32 // passkeys that alice and bob have
}

func (f *fixture) Count(context.Context, id.User) (int, error) { return int(f.keys.Load()), nil }

func newFixture(t *testing.T, db *store.DB, c *clock.Fake) *fixture {
	t.Helper()
	f := &fixture{db: db, clock: c}
	f.lane.Store("")
	sealer, err := seal.Parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	limits, err := ratelimit.New(ratelimit.Deps{DB: db, Clock: c, Key: sealer.Subkey("ratelimit")})
	if err != nil {
		t.Fatal(err)
	}
	if f.audit, err = audit.New(audit.Deps{DB: db, Clock: c}); err != nil {
		t.Fatal(err)
	}
	once, err := onetime.New(onetime.Deps{DB: db, Clock: c, Seal: sealer})
	if err != nil {
		t.Fatal(err)
	}
	f.Service, err = mfa.New(mfa.Deps{
		DB: db, Clock: c, Seal: sealer, Limits: limits, Audit: f.audit, Onetime: once, Issuer: "Signet", Passkeys: f,
		Lane: func(context.Context, id.User) (string, error) { return f.lane.Load().(string), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// each runs fn on every engine, with accounts for alice and bob.
func each(t *testing.T, fn func(t *testing.T, f *fixture)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(t, newFixture(t, accounts(t, db), clock.NewFake(start))) })
}

func accounts(t *testing.T, db *store.DB) *store.DB {
	t.Helper()
	for _, u := range []id.User{alice, bob} {
		_, err := db.Exec(t.Context(), `INSERT INTO account (id, status, profile, source, created_at, updated_at) VALUES ($1, 'active', '{}', 'test', 1, 1)`, string(u))
		if err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// code is what the app that holds secret shows so many steps from now.
func (f *fixture) code(t *testing.T, secret seal.Secret, steps int) seal.Secret {
	t.Helper()
	c, err := totp.GenerateCode(secret.Reveal(), f.clock.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return seal.Secret(c)
}

// wrong is a code of none of the steps around now.
func (f *fixture) wrong(t *testing.T, secret seal.Secret) seal.Secret {
	t.Helper()
	for _, candidate := range []seal.Secret{"000000", "111111", "222222", "333333", "444444", "555555"} {
		hit := false
		for at := -2; at <= 2; at++ {
			hit = hit || f.code(t, secret, at) == candidate
		}
		if !hit {
			return candidate
		}
	}
	t.Fatal("no wrong code")
	return ""
}

// enrol gives the user an authenticator app and moves on to a step whose codes are all unused.
func (f *fixture) enrol(t *testing.T, user id.User) seal.Secret {
	t.Helper()
	e, err := f.BeginTOTP(t.Context(), user, session, "alice@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.ConfirmTOTP(t.Context(), user, e.ID, session, f.code(t, e.Secret, 0)); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(2 * time.Minute)
	return e.Secret
}

func key(err error) string {
	if err == nil {
		return ""
	}
	return errs.As(err).Key
}

func (f *fixture) factors(t *testing.T, user id.User) mfa.Factors {
	t.Helper()
	got, err := f.Of(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// parallel calls fn n times at once and counts the outcomes by message key, "" for success.
func parallel(n int, fn func(i int) error) map[string]int {
	out := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			k := key(fn(i))
			mu.Lock()
			defer mu.Unlock()
			out[k]++
		})
	}
	wg.Wait()
	return out
}

func TestOf_CountsWhatThereIs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		if got := f.factors(t, alice); got != (mfa.Factors{}) || got.Any() {
			t.Errorf("nothing yet: %+v", got)
		}
		f.enrol(t, alice)
		if _, err := f.NewRecoveryCodes(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		f.keys.Store(2)
		if got, want := f.factors(t, alice), (mfa.Factors{TOTP: true, Passkeys: 2, RecoveryLeft: 10}); got != want || !got.Any() {
			t.Errorf("%+v, want %+v", got, want)
		}
		f.keys.Store(0)
		if got := f.factors(t, bob); got != (mfa.Factors{}) {
			t.Errorf("somebody else: %+v", got)
		}
		if (mfa.Factors{RecoveryLeft: 3}).Any() {
			t.Error("recovery codes alone are a second factor")
		}
	})
}

// Everything that is a secret is sealed or hashed in the rows, and printed nowhere.
func TestSecrets_NothingInClear(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		e, err := f.BeginTOTP(t.Context(), alice, session, "alice@example.com")
		if err != nil {
			t.Fatal(err)
		}
		code := f.code(t, e.Secret, 0)
		if err := f.ConfirmTOTP(t.Context(), alice, e.ID, session, code); err != nil {
			t.Fatal(err)
		}
		codes, err := f.NewRecoveryCodes(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.UseRecoveryCode(t.Context(), alice, codes[0]); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, sql := range []string{
			`SELECT seed_sealed FROM totp_credential`, `SELECT payload FROM one_time`,
			`SELECT code_hash FROM recovery_code`, `SELECT detail FROM audit_event`,
		} {
			rows, err := store.All(t.Context(), f.db.Driver, func(r store.Row) (b []byte, err error) {
				if strings.Contains(sql, "seed") || strings.Contains(sql, "payload") {
					return b, r.Scan(&b)
				}
				var s string
				err = r.Scan(&s)
				return []byte(s), err
			}, sql)
			if err != nil || len(rows) == 0 {
				t.Fatalf("%s: %d rows, %v", sql, len(rows), err)
			}
			for _, b := range rows {
				all.Write(b)
			}
		}
		secrets := []string{e.Secret.Reveal(), code.Reveal(), codes[0].Reveal(), strings.ReplaceAll(codes[1].Reveal(), "-", "")}
		for _, s := range secrets {
			if strings.Contains(all.String(), s) {
				t.Errorf("%q stands in a row", s)
			}
		}
	})
}

func TestAudit_RecordsEveryAct(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := audit.WithSource(t.Context(), audit.Source{IP: "192.0.2.7"})
		secret := f.enrol(t, alice)
		codes, err := f.NewRecoveryCodes(ctx, alice)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.VerifyTOTP(ctx, alice, f.wrong(t, secret))
		_ = f.VerifyTOTP(ctx, alice, f.code(t, secret, 0))
		_ = f.VerifyTOTP(ctx, alice, f.code(t, secret, 0))
		_, _ = f.UseRecoveryCode(ctx, alice, codes[0])
		_, _ = f.UseRecoveryCode(ctx, alice, codes[0])
		_, _ = f.UseRecoveryCode(ctx, alice, "nonsense")
		_ = f.RemoveTOTP(ctx, alice)
		_, _ = f.Reset(audit.WithSource(ctx, audit.Source{Actor: "cli"}), alice)
		list, err := f.audit.List(ctx, audit.Filter{Target: string(alice)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range list {
			got = append([]string{r.Actor + " " + r.Action + " " + r.Result + " " + r.Detail["reason"] + r.Detail["left"]}, got...)
		}
		want := []string{
			"user-alice totp.enrol ok ", "user-alice recovery_codes.create ok ",
			"user-alice totp.verify refused wrong", "user-alice totp.verify ok ", "user-alice totp.verify refused used",
			"user-alice recovery_code.use ok 9", "user-alice recovery_code.use refused used", "user-alice recovery_code.use refused wrong",
			"user-alice totp.remove ok ", "cli mfa.reset ok ",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("recorded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

var errAlso = errors.New("also failed")

func fails(context.Context) error { return errAlso }
