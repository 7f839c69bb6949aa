package federation

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

func identity(sub string) Identity {
	return Identity{Provider: "corp", Issuer: "https://corp.example", Subject: sub, Email: sub + "@corp.example"}
}

func (r *rig) link(user id.User, i Identity) (isNew bool, err error) {
	err = r.inTx(func(ctx context.Context) (err error) {
		isNew, err = r.Link(ctx, user, i)
		return err
	})
	return isNew, err
}

func TestLink_BelongsToOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, ada, eve := t.Context(), r.user("ada"), r.user("eve")
		if _, err := r.Owner(ctx, identity("1")); !errs.Is(err, errs.NotFound) {
			t.Errorf("nobody's identity: %v", err)
		}
		if isNew, err := r.link(ada, identity("1")); err != nil || !isNew {
			t.Fatal(isNew, err)
		}
		if isNew, err := r.link(ada, identity("1")); err != nil || isNew {
			t.Errorf("again: %v %v", isNew, err)
		}
		if _, err := r.link(eve, identity("1")); !errs.Is(err, errs.Conflict) || errs.As(err).Key != KeyTaken {
			t.Errorf("by another: %v", err)
		}
		if owner, err := r.Owner(ctx, identity("1")); err != nil || owner != ada {
			t.Errorf("%s %v", owner, err)
		}
		// The same subject elsewhere is somebody else.
		for _, other := range []Identity{
			{Provider: "hub", Issuer: "https://corp.example", Subject: "1"}, {Provider: "corp", Issuer: "https://other.example", Subject: "1"},
		} {
			if _, err := r.Owner(ctx, other); !errs.Is(err, errs.NotFound) {
				t.Errorf("%+v: %v", other, err)
			}
		}
	})
}

func TestLink_OneWinner(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		users := []id.User{r.user("ada"), r.user("eve")}
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				isNew, err := r.link(users[i%2], identity("1"))
				if err != nil && !errs.Is(err, errs.Conflict) {
					t.Error(err)
				}
				if isNew {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("linked %d times", won.Load())
		}
	})
}

func TestSignedIn_NotAfterUnlink(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ctx, ada := t.Context(), r.user("ada")
		if _, err := r.link(ada, identity("1")); err != nil {
			t.Fatal(err)
		}
		list, err := r.List(ctx, ada)
		if err != nil || len(list) != 1 || list[0].Label != "1@corp.example" {
			t.Fatal(list, err)
		}
		signedIn := func() error {
			return r.inTx(func(ctx context.Context) error { return r.SignedIn(ctx, ada, identity("1")) })
		}
		r.must(signedIn())
		refusal := errors.New("the last way in")
		if err := r.Unlink(ctx, list[0], func(context.Context) error { return refusal }); !errors.Is(err, refusal) {
			t.Errorf("%v", err)
		}
		r.must(signedIn())
		r.must(r.Unlink(ctx, list[0]))
		if err := signedIn(); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("after it was unlinked: %v", err)
		}
		if err := r.Unlink(ctx, list[0]); !errs.Is(err, errs.NotFound) {
			t.Errorf("twice: %v", err)
		}
	})
}

// A way in through a provider that is gone is none.
func TestCount_OnlyWhatWorks(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ada := r.user("ada")
		works := Identity{Provider: "corp", Issuer: r.op.URL, Subject: "1"}
		for _, i := range []Identity{works, identity("2"), {Provider: "gone", Issuer: r.op.URL, Subject: "3"}} {
			if _, err := r.link(ada, i); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := r.Count(t.Context(), ada); err != nil || n != 1 {
			t.Errorf("%d %v", n, err)
		}
	})
}

func TestLink_Faults(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		good := newRig(t, db)
		ada := good.user("ada")
		acts := map[string]func(s *Service, i Identity) error{
			"link": func(s *Service, i Identity) error {
				return s.d.DB.InTx(context.Background(), func(ctx context.Context) error { _, err := s.Link(ctx, ada, i); return err })
			},
			"unlink": func(s *Service, i Identity) error {
				_, _ = good.link(ada, i)
				return s.Unlink(context.Background(), Link{Provider: i.Provider, Issuer: i.Issuer, Subject: i.Subject, User: ada})
			},
		}
		for name, act := range acts {
			for _, mode := range []storetest.Mode{storetest.Before, storetest.After} {
				for n := int64(1); n < 20; n++ {
					i := identity(id.New())
					broken, seen := storetest.FailAt(db, n, mode)
					err := act(good.service(broken), i)
					if seen.Load() < n {
						good.must(err)
						break
					}
					_, gone := good.Owner(t.Context(), i)
					if there := gone == nil; err == nil || there != (name == "unlink") {
						t.Errorf("%s, statement %d: %v, linked %v", name, n, err, there)
					}
				}
			}
		}
	})
}
