package passkey

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"signet/internal/identity/passkey/passkeytest"
	"signet/internal/platform/errs"
)

func TestRename(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		c := f.add(alice, passkeytest.New(issuer))
		if err := f.Rename(ctx, alice, c.ID, "  The \u202eblue\x00   one\t "); err != nil {
			t.Fatal(err)
		}
		if kept, err := f.ByID(ctx, alice, c.ID); err != nil || kept.Name != "The blue one" {
			t.Errorf("called %q (%v)", kept.Name, err)
		}
		if err := f.Rename(ctx, alice, c.ID, strings.Repeat("가", MaxName)); err != nil {
			t.Errorf("%d characters: %v", MaxName, err)
		}
		for name, key := range map[string]string{" \n ": KeyNoName, strings.Repeat("가", MaxName+1): KeyLongName} {
			if err := f.Rename(ctx, alice, c.ID, name); errs.As(err).Key != key || errs.As(err).Field != "name" {
				t.Errorf("%q: %v, want %s", name, err, key)
			}
		}
		if err := f.Rename(ctx, bob, c.ID, "mine"); !errs.Is(err, errs.NotFound) {
			t.Errorf("another's passkey: %v", err)
		}
		if n := len(f.records("passkey.rename")); n != 2 {
			t.Errorf("%d records", n)
		}
	})
}

func TestRemove(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		a := passkeytest.New(issuer)
		c := f.add(alice, a)
		f.add(alice, a)
		if err := f.Remove(ctx, bob, c.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("another's passkey: %v", err)
		}
		if err := f.Remove(ctx, alice, "no-such"); !errs.Is(err, errs.NotFound) {
			t.Errorf("an unknown one: %v", err)
		}
		var gone Credential
		if err := f.Remove(ctx, alice, c.ID, func(_ context.Context, c Credential) error { gone = c; return nil }); err != nil {
			t.Fatal(err)
		}
		if gone.ID != c.ID {
			t.Errorf("told of %+v", gone)
		}
		if n, err := f.Count(ctx, alice); err != nil || n != 1 {
			t.Errorf("%d are left (%v)", n, err)
		}
		if list := f.records("passkey.remove"); len(list) != 1 || list[0].Detail["name"] != c.Name {
			t.Errorf("records %+v", list)
		}
	})
}

func TestRemove_LastWayIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		f.others = false
		a := passkeytest.New(issuer)
		first, last := f.add(alice, a), f.add(alice, a)
		if err := f.Remove(ctx, alice, first.ID); err != nil {
			t.Fatal(err)
		}
		if e := errs.As(f.Remove(ctx, alice, last.ID)); e.Kind != errs.Conflict || e.Key != KeyLastWay {
			t.Errorf("got %v", e)
		}
		if e := errs.As(f.Remove(ctx, alice, first.ID)); e.Kind != errs.NotFound {
			t.Errorf("one that is gone: %v", e)
		}
		f.others = true
		if err := f.Remove(ctx, alice, last.ID); err != nil {
			t.Errorf("with another way in: %v", err)
		}
	})
}

// Two who remove the last two at the same moment leave one.
func TestRemove_LastTwoAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.others = false
		a := passkeytest.New(issuer)
		for range 5 {
			list := []Credential{f.add(alice, a), f.add(alice, a)}
			if n, err := f.Count(t.Context(), alice); err != nil || n > 3 {
				t.Fatalf("%d (%v)", n, err)
			}
			left, err := f.List(t.Context(), alice)
			if err != nil {
				t.Fatal(err)
			}
			var refused atomic.Int64
			var wg sync.WaitGroup
			for _, c := range left {
				wg.Go(func() {
					switch err := f.Remove(t.Context(), alice, c.ID); {
					case errs.As(err).Key == KeyLastWay:
						refused.Add(1)
					case err != nil:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n, err := f.Count(t.Context(), alice); err != nil || n != 1 || refused.Load() != 1 {
				t.Fatalf("of %d, %d are left and %d refused (%v)", len(list), n, refused.Load(), err)
			}
		}
	})
}

func TestSignals_NameWhatIsGood(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		read := func() (out struct {
			RPID, UserID, Name, DisplayName string
			All                             []string `json:"allAcceptedCredentialIds"`
		}) {
			b, err := f.Signals(t.Context(), Owner{User: alice, Name: "alice@example.com"})
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &out); err != nil {
				t.Fatal(err)
			}
			return out
		}
		if got := read(); got.All == nil || len(got.All) != 0 || got.UserID != encode([]byte(alice)) || got.RPID != "id.example.com" || got.DisplayName != "alice@example.com" {
			t.Errorf("without any: %+v", got)
		}
		c := f.add(alice, passkeytest.New(issuer))
		f.add(bob, passkeytest.New(issuer))
		if got := read(); len(got.All) != 1 || got.All[0] != c.Key {
			t.Errorf("with one: %+v", got)
		}
	})
}
