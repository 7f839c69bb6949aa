package app_test

import (
	"net/http"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/oauth/client"
)

// TestFlow_SignUpToLogout is the main journey: sign-up, consent, verified tokens, refresh,
// introspection, logout, and nothing lives on after it.
func TestFlow_SignUpToLogout(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp := a.RP(t, client.Web)
		b := a.Browser(t)
		if p := b.Open(rp.AuthURL()); !p.Has("password") {
			t.Fatalf("no login form:\n%s", p)
		}
		b.Click("/signup")
		b.SignUp(apptest.Person{Name: "Mina Park", Email: "mina@example.com", Password: "violet-harbour-lantern"})
		tokens := rp.Exchange(b.Click("answer=allow"))
		claims := apptest.Claims(t, tokens.IDToken)
		if claims["iss"] != a.URL || claims["aud"] != string(rp.ID) || claims["nonce"] != rp.Nonce || claims["sid"] == nil {
			t.Errorf("ID token: %v", claims)
		}
		info := rp.Userinfo(tokens.AccessToken)
		if info.Status != http.StatusOK || info.JSON(t)["email"] != "mina@example.com" || info.JSON(t)["sub"] != claims["sub"] {
			t.Errorf("userinfo: %d %s", info.Status, info.Body)
		}
		if m := rp.Introspect(tokens.AccessToken); m["active"] != true {
			t.Errorf("introspection: %v", m)
		}
		a.Clock.Advance(time.Minute)
		next := rp.Refresh(tokens.RefreshToken)
		if next.Status != http.StatusOK || next.RefreshToken == tokens.RefreshToken || apptest.Claims(t, next.IDToken)["sub"] != claims["sub"] {
			t.Fatalf("refresh: %d %s", next.Status, next.Body)
		}
		// Signed in and consented: the second login asks nothing.
		if p := b.Arrive(rp.AuthURL()); !p.Left() || p.Query("code") == "" {
			t.Errorf("second login:\n%s", p)
		}
		p := b.Arrive(a.URL + "/oauth2/logout?id_token_hint=" + next.IDToken + "&post_logout_redirect_uri=https://app.example/&state=s")
		if p.URL.String() != "https://app.example/?state=s" {
			t.Errorf("logout led to\n%s", p)
		}
		if ref := rp.Refresh(next.RefreshToken); ref.Error != "invalid_grant" {
			t.Errorf("refresh after logout: %d %s", ref.Status, ref.Body)
		}
		if m := rp.Introspect(next.AccessToken); m["active"] != false {
			t.Errorf("introspection after logout: %v", m)
		}
		if p := b.Arrive(rp.AuthURL("prompt", "none")); p.Query("error") != "login_required" {
			t.Errorf("prompt=none after logout:\n%s", p)
		}
	})
}

// TestFlow_SplitBetweenInstances: every step of one login goes to the other of two instances.
func TestFlow_SplitBetweenInstances(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, one *apptest.App) {
		two := one.StartSecond(t)
		rp, person, b := one.RP(t, client.Web), one.Person(t), one.Browser(t)
		b.Open(rp.AuthURL())
		b.Use(two)
		b.Login(person)
		b.Use(one)
		page := b.Click("answer=allow")
		rp.Use(two)
		tokens := rp.Exchange(page)
		rp.Use(one)
		if a := rp.Redeem(page.Query("code")); a.Error != "invalid_grant" {
			t.Errorf("the other instance redeemed the code again: %d %s", a.Status, a.Body)
		}
		// RFC 6749 §4.1.2: the second use revokes what the first one brought.
		if m := rp.Introspect(tokens.AccessToken); m["active"] != false {
			t.Errorf("tokens of a code used twice are active: %v", m)
		}
	})
}

// TestFlow_RestartInTheMiddle: a journey survives the instance it began on.
func TestFlow_RestartInTheMiddle(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, one *apptest.App) {
		rp, person, b := one.RP(t, client.Web, apptest.FirstParty), one.Person(t), one.Browser(t)
		b.Open(rp.AuthURL())
		two := one.StartSecond(t)
		one.Close()
		b.Use(two)
		rp.Use(two)
		if tokens := rp.Exchange(b.Login(person)); tokens.IDToken == "" {
			t.Error("no ID token")
		}
	})
}

// TestClient_ChangeReachesOtherInstances: a client disabled on one instance is refused by the
// other within the polling interval.
func TestClient_ChangeReachesOtherInstances(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, one *apptest.App) {
		two := one.StartSecond(t)
		rp := one.RP(t, client.Machine)
		rp.Use(two)
		ask := func() apptest.Answer { return rp.Token("grant_type", "client_credentials") }
		if a := ask(); a.Error == "invalid_client" {
			t.Fatalf("not known to the other instance: %s", a.Body)
		}
		if err := one.Clients.Disable(t.Context(), rp.ID); err != nil {
			t.Fatal(err)
		}
		eventually(t, "refused", func() bool { return ask().Error == "invalid_client" })
	})
}
