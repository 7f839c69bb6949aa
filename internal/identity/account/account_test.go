package account

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"signet/internal/identity/password"
	"signet/internal/platform/audit"
	"signet/internal/platform/clock"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/ratelimit"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	herons = seal.Secret("tulips and herons again")
	otters = seal.Secret("otters below the old mill")
)

type fixture struct {
	*Service
	t     *testing.T
	db    *store.DB
	clock *clock.Fake
}

// newFixture wires accounts over db with cheap hashes. Several over one database act as several
// instances.
func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	c := clock.NewFake(start)
	return &fixture{newService(t, db, c), t, db, c}
}

func newService(t testing.TB, db *store.DB, c clock.Clock) *Service {
	t.Helper()
	log, err := audit.New(audit.Deps{DB: db, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	limits, err := ratelimit.New(ratelimit.Deps{DB: db, Clock: c, Key: bytes.Repeat([]byte("k"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	pw, err := password.New(password.Deps{Params: password.Params{MemoryKiB: 64, Time: 1, Parallelism: 1}, Slots: 4, QueueTimeout: time.Minute, ServiceNames: []string{"signet"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Deps{DB: db, Clock: c, Passwords: pw, Limits: limits, Audit: log})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func each(t *testing.T, fn func(f *fixture)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) { fn(newFixture(t, db)) })
}

func (f *fixture) ctx() context.Context {
	return audit.WithSource(f.t.Context(), audit.Source{IP: "192.0.2.1"})
}

func (f *fixture) signUp(email, username string) Account {
	f.t.Helper()
	a, err := f.SignUp(f.ctx(), SignUp{Email: email, Username: username, Password: herons, Name: "Test Person", Locale: "en"})
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

func (f *fixture) count(sql string, args ...any) (n int64) {
	f.t.Helper()
	if err := f.db.QueryRow(f.t.Context(), sql, args...).Scan(&n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

func (f *fixture) audited(action, result string) int64 {
	f.t.Helper()
	return f.count(`SELECT count(*) FROM audit_event WHERE action = $1 AND result = $2`, action, result)
}

// keys lists the fields and message keys of a joined error.
func keys(err error) []string {
	var out []string
	var e *errs.Error
	if j, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the tree is walked by hand
		for _, one := range j.Unwrap() {
			out = append(out, keys(one)...)
		}
	} else if errors.As(err, &e) {
		out = append(out, e.Field+" "+e.Key)
	}
	return out
}

func TestSignUp_MakesAnAccountThatSignsIn(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("Alice@Example.com", "Alice")
		want := Account{ID: a.ID, Status: Active, Username: "Alice", Email: "Alice@example.com", Profile: Profile{Name: "Test Person", Locale: "en"}, Source: "signup", CreatedAt: start, UpdatedAt: start}
		if diff := cmp.Diff(want, a); diff != "" {
			f.t.Error(diff)
		}
		got, err := f.ByID(f.ctx(), a.ID)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			f.t.Errorf("%v %s", err, diff)
		}
		for _, identifier := range []string{"alice@example.com", "ALICE@EXAMPLE.COM.", "alice", " Alice ", "ＡＬＩＣＥ"} {
			if got, err := f.Authenticate(f.ctx(), identifier, herons); err != nil || got.ID != a.ID {
				f.t.Errorf("%q: %v, %v", identifier, got.ID, err)
			}
			if got, err := f.ByIdentifier(f.ctx(), identifier); err != nil || got.ID != a.ID {
				f.t.Errorf("%q: %v, %v", identifier, got.ID, err)
			}
		}
		if got, err := f.ByIdentifier(f.ctx(), string(a.ID)); err != nil || got.ID != a.ID {
			f.t.Errorf("by id: %v", err)
		}
		if f.audited("account.create", audit.OK) != 1 {
			f.t.Error("no audit record")
		}
		var hash string
		if err := f.db.QueryRow(f.ctx(), `SELECT hash FROM password_credential`).Scan(&hash); err != nil || !bytes.HasPrefix([]byte(hash), []byte("$argon2id$")) {
			f.t.Errorf("stored %q, %v", hash, err)
		}
	})
}

func TestSignUp_ReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		f.signUp("alice@example.com", "alice")
		tests := []struct {
			in   SignUp
			want []string
		}{
			{SignUp{}, []string{"email identifier_required", "password password_too_short"}},
			{SignUp{Email: "x", Username: "a@b", Password: "short", Name: "a\nb", Locale: "!!"},
				[]string{"email email_invalid", "username username_is_email", "name bad_characters", "locale locale_invalid", "password password_too_short"}},
			{SignUp{Username: "bob", Password: herons}, []string{"email email_invalid"}},
			{SignUp{Email: "bob@example.com", Password: "bob@example.com!!"}, []string{"password password_contains_name"}},
			{SignUp{Email: "ALICE@example.com", Password: herons}, []string{"email email_taken"}},
			{SignUp{Email: "other@example.com", Username: "ALICE", Password: herons}, []string{"username username_taken"}},
		}
		for _, tt := range tests {
			_, err := f.SignUp(f.ctx(), tt.in)
			if diff := cmp.Diff(tt.want, keys(err), cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
				f.t.Errorf("%v: %s", err, diff)
			}
		}
		if n := f.count(`SELECT count(*) FROM account`); n != 1 {
			f.t.Errorf("%d accounts", n)
		}
	})
}

func TestSignUp_BoundedPerSource(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		for i := range 30 {
			f.signUp(string(rune('a'+i%26))+string(rune('a'+i/26))+"@example.com", "")
		}
		_, err := f.SignUp(f.ctx(), SignUp{Email: "more@example.com", Password: herons})
		if !errs.Is(err, errs.Limited) {
			f.t.Errorf("31st: %v", err)
		}
		other := audit.WithSource(f.t.Context(), audit.Source{IP: "192.0.2.2"})
		if _, err := f.SignUp(other, SignUp{Email: "more@example.com", Password: herons}); err != nil {
			f.t.Errorf("another network: %v", err)
		}
	})
}

func TestCreate_ByAdministrator(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		ctx := audit.WithSource(f.t.Context(), audit.Source{Actor: "cli"})
		a, err := f.Create(ctx, NewAccount{Username: "robot", Source: "cli"}) // no address, no password
		if err != nil {
			f.t.Fatal(err)
		}
		if _, err := f.Authenticate(ctx, "robot", ""); !errs.Is(err, errs.Unauthenticated) {
			f.t.Errorf("signed in without a password: %v", err)
		}
		if err := f.SetPassword(ctx, a.ID, otters); err != nil {
			f.t.Fatal(err)
		}
		if _, err := f.Authenticate(ctx, "robot", otters); err != nil {
			f.t.Error(err)
		}
		b, err := f.Create(ctx, NewAccount{Email: "b@example.com", EmailVerified: true, Password: herons, Profile: Profile{GivenName: "B"}, Source: "cli"})
		if err != nil || !b.EmailVerified {
			f.t.Errorf("%+v, %v", b, err)
		}
		if got, _ := f.ByID(ctx, b.ID); !cmp.Equal(got, b) {
			f.t.Error(cmp.Diff(b, got))
		}
		if _, err := f.Create(ctx, NewAccount{}); keys(err)[0] != "email identifier_required" {
			f.t.Errorf("nameless: %v", err)
		}
		if n := f.count(`SELECT count(*) FROM audit_event WHERE action = 'account.create' AND actor = 'cli'`); n != 2 {
			f.t.Errorf("%d records of the command line", n)
		}
		if err := f.SetPassword(ctx, "nobody", otters); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("password of nobody: %v", err)
		}
	})
}

func TestUpdateProfile(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "")
		f.clock.Advance(time.Hour)
		// Verified flags are nobody's to set through a profile.
		p := Profile{Name: "Alice", PhoneNumber: "+44 20 7946 0000", PhoneVerified: true, Address: &Address{Country: "UK"}}
		if err := f.UpdateProfile(f.ctx(), a.ID, p); err != nil {
			f.t.Fatal(err)
		}
		got, err := f.ByID(f.ctx(), a.ID)
		want := Profile{Name: "Alice", PhoneNumber: "+442079460000", Address: &Address{Country: "UK"}}
		if diff := cmp.Diff(want, got.Profile); diff != "" || err != nil || !got.UpdatedAt.Equal(start.Add(time.Hour)) {
			f.t.Errorf("%v, updated %v: %s", err, got.UpdatedAt, diff)
		}
		list, err := f.audit.List(f.ctx(), audit.Filter{Action: "profile.update"})
		if err != nil || len(list) != 1 || list[0].Detail["fields"] != "name locale phone_number country" || list[0].Actor != string(a.ID) {
			f.t.Errorf("%+v, %v", list, err)
		}
		err = f.UpdateProfile(f.ctx(), a.ID, Profile{Name: "x\ny", Website: "javascript:x"})
		if diff := cmp.Diff([]string{"name bad_characters", "website url_invalid"}, keys(err)); diff != "" {
			f.t.Error(diff)
		}
		if err := f.UpdateProfile(f.ctx(), "nobody", p); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("nobody: %v", err)
		}
	})
}

func TestSetUsername(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a, b := f.signUp("alice@example.com", "alice"), f.signUp("bob@example.com", "bob")
		if err := f.SetUsername(f.ctx(), a.ID, "BOB"); !errs.Is(err, errs.Conflict) || errs.As(err).Field != "username" {
			f.t.Errorf("taken: %v", err)
		}
		if err := f.SetUsername(f.ctx(), a.ID, "Alice"); err != nil { // another spelling of her own
			f.t.Error(err)
		}
		if err := f.SetUsername(f.ctx(), b.ID, ""); err != nil {
			f.t.Error(err)
		}
		if err := f.SetUsername(f.ctx(), a.ID, "bob"); err != nil { // free now
			f.t.Error(err)
		}
		if got, _ := f.ByIdentifier(f.ctx(), "bob"); got.ID != a.ID || got.Username != "bob" {
			f.t.Errorf("%+v", got)
		}
		c, err := f.Create(f.ctx(), NewAccount{Username: "only"})
		if err != nil {
			f.t.Fatal(err)
		}
		if err := f.SetUsername(f.ctx(), c.ID, ""); errs.As(err).Key != KeyNameNeeded {
			f.t.Errorf("removed the only name: %v", err)
		}
		if err := f.SetUsername(f.ctx(), "nobody", "x"); !errs.Is(err, errs.NotFound) {
			f.t.Errorf("nobody: %v", err)
		}
	})
}

func TestStatus_DisableEnableDelete(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		a := f.signUp("alice@example.com", "alice")
		for range 2 { // twice is once
			if err := f.Disable(f.ctx(), a.ID); err != nil {
				f.t.Fatal(err)
			}
		}
		if got, _ := f.ByID(f.ctx(), a.ID); got.Status != Disabled {
			f.t.Errorf("status %s", got.Status)
		}
		if _, err := f.Authenticate(f.ctx(), "alice", herons); !errs.Is(err, errs.Unauthenticated) {
			f.t.Errorf("disabled: %v", err)
		}
		if err := f.Enable(f.ctx(), a.ID); err != nil {
			f.t.Fatal(err)
		}
		if _, err := f.Authenticate(f.ctx(), "alice", herons); err != nil {
			f.t.Error(err)
		}
		if f.audited("account.disable", audit.OK) != 1 || f.audited("account.enable", audit.OK) != 1 {
			f.t.Error("audit records")
		}
		if err := f.Delete(f.ctx(), a.ID); err != nil {
			f.t.Fatal(err)
		}
		if n := f.count(`SELECT (SELECT count(*) FROM account) + (SELECT count(*) FROM email_address) + (SELECT count(*) FROM password_credential)`); n != 0 {
			f.t.Errorf("%d rows left", n)
		}
		for name, err := range map[string]error{
			"delete": f.Delete(f.ctx(), a.ID), "disable": f.Disable(f.ctx(), a.ID), "enable": f.Enable(f.ctx(), a.ID),
			"reauthenticate": f.Reauthenticate(f.ctx(), a.ID, herons), "change": f.ChangePassword(f.ctx(), a.ID, herons, otters),
		} {
			if !errs.Is(err, errs.NotFound) {
				f.t.Errorf("%s of nobody: %v", name, err)
			}
		}
		// OIDC Core §5.7: the same address later is another subject.
		if again := f.signUp("alice@example.com", "alice"); again.ID == a.ID {
			f.t.Error("subject reused")
		}
	})
}

func TestList_PagesAndSearch(t *testing.T) {
	t.Parallel()
	each(t, func(f *fixture) {
		var all []id.User
		for _, n := range []string{"ann", "b_b", "cat", "d%d", "eve"} {
			a, err := f.Create(f.ctx(), NewAccount{Email: n + "@example.com", Username: n + "-name"})
			if err != nil {
				f.t.Fatal(err)
			}
			all = append(all, a.ID)
		}
		ids := func(o ListOptions) []id.User {
			f.t.Helper()
			list, err := f.List(f.ctx(), o)
			if err != nil {
				f.t.Fatal(err)
			}
			var out []id.User
			for _, a := range list {
				out = append(out, a.ID)
			}
			return out
		}
		var paged []id.User
		for after := id.User(""); ; {
			page := ids(ListOptions{After: after, Limit: 2})
			if len(page) == 0 {
				break
			}
			paged, after = append(paged, page...), page[len(page)-1]
		}
		if diff := cmp.Diff(all, paged); diff != "" {
			f.t.Error(diff)
		}
		for search, want := range map[string][]id.User{
			"CAT": all[2:3], "b_b@": all[1:2], "_": all[1:2], "%": all[3:4], "-name": all, "example.com": all, `\`: nil, "nobody": nil,
		} {
			if diff := cmp.Diff(want, ids(ListOptions{Search: search})); diff != "" {
				f.t.Errorf("%q: %s", search, diff)
			}
		}
		// Cursors are typed values, whatever they hold.
		for _, o := range []ListOptions{{After: "x' OR 1=1"}, {After: "\x00"}, {Search: "a\x00b"}, {Search: "\xff"}} {
			if _, err := f.List(f.ctx(), o); !errs.Is(err, errs.Invalid) {
				f.t.Errorf("%+v: %v", o, err)
			}
		}
	})
}
