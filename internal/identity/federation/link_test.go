package federation

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// Of two who take the last two ways in away at once, one is refused.
func TestUnlink_TwoAtOnceLeaveOne(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		none := func(d *Deps) {
			d.OtherWays = func(context.Context, id.User) (bool, error) { return false, nil }
		}
		r := newRig(t, db, none)
		second := r.service(db, none)
		for range 5 {
			ada := r.user(id.New())
			var links []Link
			for _, sub := range []string{id.New(), id.New()} {
				i := Identity{Provider: "corp", Issuer: r.op.URL, Subject: sub}
				if _, err := r.link(ada, i); err != nil {
					t.Fatal(err)
				}
				links = append(links, Link{Provider: i.Provider, Issuer: i.Issuer, Subject: sub, User: ada})
			}
			var refused atomic.Int64
			var wg sync.WaitGroup
			for i, s := range []*Service{r.Service, second} {
				wg.Go(func() {
					switch err := s.Unlink(t.Context(), links[i]); {
					case errs.Is(err, errs.Conflict) && errs.As(err).Key == KeyLastWay:
						refused.Add(1)
					case err != nil:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n, err := r.Count(t.Context(), ada); err != nil || n != 1 || refused.Load() != 1 {
				t.Errorf("%d ways left, %d refused (%v)", n, refused.Load(), err)
			}
		}
		// One with which nobody can sign in may go, whatever else there is.
		ada := r.user("ada")
		gone := Identity{Provider: "gone", Issuer: r.op.URL, Subject: "1"}
		if _, err := r.link(ada, gone); err != nil {
			t.Fatal(err)
		}
		r.must(r.Unlink(t.Context(), Link{Provider: gone.Provider, Issuer: gone.Issuer, Subject: gone.Subject, User: ada}))
	})
}

// What waits is linked once, for whom it waits, and never instead of a sign-in.
func TestComplete(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var told []string
		r := newRig(t, db, func(d *Deps) {
			d.Linked = func(_ context.Context, user id.User, label string) error {
				told = append(told, string(user)+" "+label)
				return nil
			}
		})
		ada, eve := r.user("ada"), r.user("eve")
		complete := func(user id.User, thing string) {
			t.Helper()
			r.must(r.inTx(func(ctx context.Context) error { return r.Complete(ctx, user, thing) }))
		}
		park := func(p Parked) string {
			t.Helper()
			thing, err := r.Park(t.Context(), p)
			r.must(err)
			return thing
		}
		owns := func(i Identity, want id.User) {
			t.Helper()
			if owner, _ := r.Owner(t.Context(), i); owner != want {
				t.Errorf("%s belongs to %q, want %q", i.Subject, owner, want)
			}
		}
		thing := park(Parked{Identity: identity("1"), For: ada})
		complete(eve, thing)
		owns(identity("1"), "")
		complete(ada, thing)
		owns(identity("1"), ada)
		r.must(r.Unlink(t.Context(), Link{Provider: "corp", Issuer: "https://corp.example", Subject: "1", User: ada}))
		complete(ada, thing) // a second time it is nothing
		owns(identity("1"), "")

		thing = park(Parked{Identity: identity("2")})
		r.clock.Advance(parkLife)
		complete(eve, thing)
		owns(identity("2"), "")
		complete(eve, "nothing")

		// Taken by another account meanwhile: the sign-in stands.
		thing = park(Parked{Identity: identity("3"), For: ada})
		if _, err := r.link(eve, identity("3")); err != nil {
			t.Fatal(err)
		}
		complete(ada, thing)
		owns(identity("3"), eve)
		if len(told) != 1 || told[0] != "ada Corp" {
			t.Errorf("told %q", told)
		}
	})
}

// Whoever takes another way in away sees what a removal at the same moment leaves.
func TestHeldCount_WaitsForRemovals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		ada, i := r.user("ada"), Identity{Provider: "corp", Issuer: r.op.URL, Subject: "1"}
		if _, err := r.link(ada, i); err != nil {
			t.Fatal(err)
		}
		begun, counted := make(chan struct{}), make(chan int, 1)
		go func() {
			<-begun
			n := -1
			err := r.inTx(func(ctx context.Context) (err error) {
				n, err = r.HeldCount(ctx, ada)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			counted <- n
		}()
		var once sync.Once
		r.must(r.Unlink(t.Context(), Link{Provider: "corp", Issuer: r.op.URL, Subject: "1", User: ada}, func(context.Context) error {
			once.Do(func() { close(begun) })
			time.Sleep(100 * time.Millisecond) // time for a count that would not wait
			return nil
		}))
		if n := <-counted; n != 0 {
			t.Errorf("%d ways counted while the only one was being removed", n)
		}
	})
}
