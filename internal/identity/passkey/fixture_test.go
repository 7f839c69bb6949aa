package passkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"signet/internal/identity/passkey/passkeytest"
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

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	alice, bob = id.User("user-alice"), id.User("user-bob")
	issuer     = "https://id.example.com"
	journey    = "journey-1"
)

type fixture struct {
	*Service
	t      *testing.T
	db     *store.DB
	clock  *clock.Fake
	audit  *audit.Log
	active bool // every account
	others bool // there are other ways in
}

// newFixture is a service on db. Two of them on one db stand for two instances.
func newFixture(t *testing.T, db *store.DB, change ...func(*Deps)) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, clock: clock.NewFake(start), active: true, others: true}
	master, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f.audit, err = audit.New(audit.Deps{DB: db, Clock: f.clock})
	must(err)
	once, err := onetime.New(onetime.Deps{DB: db, Clock: f.clock, Seal: master})
	must(err)
	limits, err := ratelimit.New(ratelimit.Deps{DB: db, Clock: f.clock, Key: master.Subkey("ratelimit")})
	must(err)
	d := Deps{
		DB: db, Clock: f.clock, Onetime: once, Limits: limits, Audit: f.audit, Key: master.Subkey("passkey"), Issuer: issuer, Name: "Test",
		Active:    func(context.Context, id.User) (bool, error) { return f.active, nil },
		OtherWays: func(context.Context, id.User) (bool, error) { return f.others, nil },
	}
	for _, c := range change {
		c(&d)
	}
	f.Service, err = New(d)
	must(err)
	return f
}

// each runs a test on both engines, with alice and bob.
func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		users(t, db)
		test(t, newFixture(t, db))
	})
}

func users(t *testing.T, db *store.DB) {
	t.Helper()
	for _, u := range []id.User{alice, bob} {
		_, err := db.Q(t.Context()).Exec(t.Context(),
			`INSERT INTO account (id, status, profile, source, created_at, updated_at) VALUES ($1, 'active', '{}', 'test', 1, 1)`, string(u))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// add gives a user a passkey on an authenticator.
func (f *fixture) add(u id.User, a *passkeytest.Authenticator, bends ...passkeytest.Bend) Credential {
	f.t.Helper()
	o, err := f.RegisterOptions(f.t.Context(), Owner{User: u, Name: string(u)}, "session-1")
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := f.Register(f.t.Context(), u, "session-1", a.Create(f.t, o, bends...), "Here")
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) options() []byte {
	f.t.Helper()
	o, err := f.LoginOptions(journey)
	if err != nil {
		f.t.Fatal(err)
	}
	return o
}

// login answers fresh options and returns what came of it.
func (f *fixture) login(a *passkeytest.Authenticator, bends ...passkeytest.Bend) (Credential, bool, error) {
	f.t.Helper()
	c, e, err := f.Login(f.t.Context(), journey, a.Get(f.t, f.options(), bends...))
	return c, e.Verified, err
}

// refused asserts that err is the refusal that people are told as key, and why it was one.
func (f *fixture) refused(t *testing.T, err error, key, reason string) {
	t.Helper()
	e := errs.As(err)
	if err == nil || e.Kind != errs.Unauthenticated || e.Key != key {
		t.Fatalf("got %v, want unauthenticated %s", err, key)
	}
	var r *refusal
	if !errors.As(err, &r) || r.reason != reason {
		t.Errorf("refused for %v, want %s", err, reason)
	}
}

func (f *fixture) records(action string) []audit.Record {
	f.t.Helper()
	list, err := f.audit.List(f.t.Context(), audit.Filter{Action: action})
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// edit changes fields of a JSON object.
func edit(t *testing.T, raw []byte, change func(m map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
