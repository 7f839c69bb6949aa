package app_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/oauth/client"
)

// TestFlow_DisabledAccountLosesItsGrantsForGood: what an operator ends stays ended when the account
// is let in again, also the offline grant of a session that expired long before.
func TestFlow_DisabledAccountLosesItsGrantsForGood(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp, person := a.RP(t, client.Web, apptest.FirstParty), a.Person(t)
		b := a.Browser(t)
		b.Open(rp.AuthURL())
		old := rp.Exchange(b.Login(person))
		a.Clock.Advance(25 * time.Hour) // the session ends by idleness; the offline grant does not
		b.Open(rp.AuthURL())
		tokens := rp.Exchange(b.Login(person))

		ctx := t.Context()
		user, err := a.Accounts.ByIdentifier(ctx, person.Email)
		if err != nil {
			t.Fatal(err)
		}
		err = a.DB.InTx(ctx, func(ctx context.Context) error {
			if err := a.Accounts.Disable(ctx, user.ID); err != nil {
				return err
			}
			return a.Journeys.EndUser(ctx, user.ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		if p := b.Arrive(rp.AuthURL("prompt", "none")); p.Query("error") != "login_required" {
			t.Errorf("prompt=none of a disabled account:\n%s", p)
		}
		if got := rp.Userinfo(tokens.AccessToken); got.Status != http.StatusUnauthorized {
			t.Errorf("userinfo of a disabled account: %d", got.Status)
		}
		if err := a.Accounts.Enable(ctx, user.ID); err != nil {
			t.Fatal(err)
		}
		for name, token := range map[string]string{"last": tokens.RefreshToken, "expired session's": old.RefreshToken} {
			if got := rp.Refresh(token); got.Error != "invalid_grant" {
				t.Errorf("the %s grant lives again: %d %s", name, got.Status, got.Body)
			}
		}
		if got := rp.Userinfo(tokens.AccessToken); got.Status != http.StatusUnauthorized {
			t.Errorf("the access token lives again: %d", got.Status)
		}
	})
}
