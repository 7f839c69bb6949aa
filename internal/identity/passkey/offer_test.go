package passkey

import (
	"context"
	"testing"
	"time"

	"signet/internal/identity/passkey/passkeytest"
	"signet/internal/platform/id"
	"signet/internal/platform/store"
	"signet/internal/platform/store/storetest"
)

// choices stands in for the accounts.
type choices map[id.User]string

func (c choices) Choice(_ context.Context, u id.User, _ string) (string, error) { return c[u], nil }
func (c choices) Choose(_ context.Context, u id.User, _, value string) error {
	c[u] = value
	return nil
}

func TestOfferDue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		users(t, db)
		f := newFixture(t, db, func(d *Deps) { d.Choices = choices{} })
		due := func(u id.User, want bool) {
			t.Helper()
			if got, err := f.OfferDue(t.Context(), u); err != nil || got != want {
				t.Errorf("due %v (%v), want %v", got, err, want)
			}
		}
		decline := func(u id.User, forever bool) {
			t.Helper()
			if err := f.DeclineOffer(t.Context(), u, forever); err != nil {
				t.Fatal(err)
			}
		}
		due(alice, true)
		decline(alice, false)
		due(alice, false)
		f.clock.Advance(AskAgain - time.Second)
		due(alice, false)
		f.clock.Advance(time.Second)
		due(alice, true)
		decline(alice, true)
		f.clock.Advance(10 * AskAgain)
		due(alice, false)

		c := f.add(bob, passkeytest.New(issuer))
		due(bob, false)
		if err := f.Remove(t.Context(), bob, c.ID); err != nil {
			t.Fatal(err)
		}
		due(bob, true)
		if got, err := newFixture(t, db).OfferDue(t.Context(), bob); err != nil || got {
			t.Errorf("where no offers are made: %v %v", got, err)
		}
	})
}
