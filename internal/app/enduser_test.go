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
			return a.Journeys.EndOthers(ctx, user.ID, "")
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

// TestFlow_NewPasswordEndsOtherSignIns: the browser that changes the password goes on with its
// application; every other sign-in, open or long expired, is over.
func TestFlow_NewPasswordEndsOtherSignIns(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp, person := a.RP(t, client.Web, apptest.FirstParty), a.Person(t)
		signIn := func() (*apptest.Browser, apptest.Answer) {
			b := a.Browser(t)
			b.Open(rp.AuthURL())
			return b, rp.Exchange(b.Login(person))
		}
		_, old := signIn()
		a.Clock.Advance(25 * time.Hour)
		other, others := signIn()
		here, mine := signIn()

		here.Open(a.URL + "/account/password")
		p := here.Fill("current", person.Password).Fill("password", "another-quiet-harbour-7").Click("Change password")
		if p.Status != http.StatusOK || p.Query("saved") != "password" {
			t.Fatalf("password change:\n%s", p)
		}
		for name, token := range map[string]string{"other browser's": others.RefreshToken, "expired session's": old.RefreshToken} {
			if got := rp.Refresh(token); got.Error != "invalid_grant" {
				t.Errorf("the %s grant lives on: %d %s", name, got.Status, got.Body)
			}
		}
		if p := other.Arrive(rp.AuthURL("prompt", "none")); p.Query("error") != "login_required" {
			t.Errorf("the other browser is still signed in:\n%s", p)
		}
		if got := rp.Refresh(mine.RefreshToken); got.Status != http.StatusOK {
			t.Errorf("this browser's application lost its grant: %d %s", got.Status, got.Body)
		}
		if p := here.Arrive(rp.AuthURL("prompt", "none")); p.Query("code") == "" {
			t.Errorf("this browser was signed out:\n%s", p)
		}
	})
}
