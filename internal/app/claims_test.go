package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
)

func withLegacy(c *config.Config) { c.OAuth.LegacyResponseTypes = true }

// anyType registers an application for every response type, as the suite's hybrid and implicit clients
// are: without PKCE.
func anyType(m *client.Metadata) {
	m.GrantTypes = append(m.GrantTypes, client.GrantImplicit)
	m.ResponseTypes = client.ResponseTypes()
	m.RequirePKCE = false
}

// fragment reads the answer that the browser carried away.
func fragment(t *testing.T, p *apptest.Page) url.Values {
	t.Helper()
	if !p.Left() || p.URL.RawQuery != "" {
		t.Fatalf("the answer is not in the fragment:\n%s", p)
	}
	v, err := url.ParseQuery(p.URL.Fragment)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestFlow_Hybrid walks the hybrid flow as the conformance suite does (oidcc-server, -prompt-login,
// -max-age-10000, -id-token-hint, -prompt-none-not-logged-in of the hybrid and implicit plans; OIDC Core
// §3.2, §3.3): login page, consent, two ID tokens of one person, then silently again.
func TestFlow_Hybrid(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Config: withLegacy}, func(t *testing.T, a *apptest.App) {
		rp, person, b := a.RP(t, client.Web, anyType), a.Person(t), a.Browser(t)
		plain := []string{"code_challenge", "", "code_challenge_method", "", "scope", "openid"}
		state := strings.Repeat("s", 128)
		p := fragment(t, b.Arrive(rp.AuthURL(append(plain, "response_type", "code id_token token", "prompt", "none", "state", state)...)))
		if p.Get("error") != "login_required" || p.Get("state") != state || p.Get("iss") != a.URL {
			t.Fatalf("nobody, silent: %v", p)
		}
		b.Open(rp.AuthURL(append(plain, "response_type", "code id_token token", "max_age", "10000")...))
		nonce, sent := rp.Nonce, rp.State
		b.Login(person)
		p = fragment(t, b.Click("answer=allow"))
		first := apptest.Claims(t, p.Get("id_token"))
		if p.Get("state") != sent || p.Get("iss") != a.URL || p.Get("token_type") != "Bearer" || first["nonce"] != nonce || first["c_hash"] == nil || first["at_hash"] == nil {
			t.Errorf("%v %v", p, first)
		}
		rp.Verifier = ""
		tokens := rp.Post("/oauth2/token", "grant_type", "authorization_code", "code", p.Get("code"), "redirect_uri", rp.Redirect)
		second := apptest.Claims(t, tokens.IDToken)
		if second["sub"] != first["sub"] || second["iss"] != first["iss"] || second["auth_time"] != first["auth_time"] {
			t.Errorf("two ID tokens: %v, %v", first, second)
		}
		for _, token := range []string{p.Get("access_token"), tokens.AccessToken} {
			if info := rp.Userinfo(token); info.Status != http.StatusOK || info.JSON(t)["sub"] != first["sub"] {
				t.Errorf("userinfo: %d %s", info.Status, info.Body)
			}
		}
		a.Clock.Advance(time.Minute)
		for _, rt := range []string{"id_token", "id_token token", "code token", "token code id_token"} {
			p = fragment(t, b.Arrive(rp.AuthURL(append(plain, "response_type", rt, "prompt", "none", "id_token_hint", tokens.IDToken, "max_age", "10000")...)))
			if p.Get("error") != "" {
				t.Errorf("%s, silent: %v", rt, p)
			}
			if token := p.Get("id_token"); token != "" {
				if again := apptest.Claims(t, token); again["sub"] != first["sub"] || again["auth_time"] != first["auth_time"] {
					t.Errorf("%s: %v, first %v", rt, again, first)
				}
			}
		}
		// A sign-out ends what came through the browser, too.
		p = fragment(t, b.Arrive(rp.AuthURL(append(plain, "response_type", "id_token token")...)))
		b.Arrive(a.URL + "/oauth2/logout?id_token_hint=" + p.Get("id_token") + "&post_logout_redirect_uri=https://app.example/")
		if info := rp.Userinfo(p.Get("access_token")); info.Status != http.StatusUnauthorized {
			t.Errorf("userinfo after logout: %d", info.Status)
		}
	})
}

// TestFlow_HybridFormPost: the same by a form, which holds every part of the answer (Form Post Response
// Mode §2). Conformance: the formpost-hybrid and formpost-implicit plans.
func TestFlow_HybridFormPost(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{Config: withLegacy})
	rp, person, b := a.RP(t, client.Web, anyType, apptest.FirstParty), a.Person(t), a.Browser(t)
	b.Open(rp.AuthURL("response_type", "code id_token token", "response_mode", "form_post", "scope", "openid"))
	page := b.Login(person)
	for _, name := range []string{"code", "id_token", "access_token", "token_type", "expires_in", "state", "iss"} {
		if !page.Has(name) {
			t.Errorf("the form has no %s:\n%s", name, page)
		}
	}
	page = b.Open(rp.AuthURL("response_type", "id_token", "response_mode", "form_post", "nonce", ""))
	if page.Value("error") != "invalid_request" || page.Value("state") != rp.State {
		t.Errorf("no nonce:\n%s", page)
	}
}

// TestFlow_ClaimsByName: the consent page names what a single claim would open, and the claim comes
// (OIDC Core §5.5). Conformance: oidcc-claims-essential.
func TestFlow_ClaimsByName(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp, person, b := a.RP(t, client.Web), a.Person(t), a.Browser(t)
		b.Open(rp.AuthURL("scope", "openid"))
		b.Login(person)
		rp.Exchange(b.Click("answer=allow"))
		claims := `{"userinfo":{"email":{"essential":true}}}`
		page := b.Open(rp.AuthURL("scope", "openid", "claims", claims))
		if page.Left() || !strings.Contains(strings.ToLower(page.Text()), "email") {
			t.Fatalf("not asked:\n%s", page)
		}
		tokens := rp.Exchange(b.Click("answer=allow"))
		info := rp.Userinfo(tokens.AccessToken).JSON(t)
		if info["email"] != person.Email || info["email_verified"] != nil || apptest.Claims(t, tokens.IDToken)["email"] != nil {
			t.Errorf("userinfo %v", info)
		}
		if p := b.Arrive(rp.AuthURL("scope", "openid", "claims", claims, "prompt", "none")); p.Query("code") == "" {
			t.Errorf("asked twice:\n%s", p)
		}
		// An essential class that no sign-in reaches is an error, not a sign-in that falls short.
		demand := `{"id_token":{"acr":{"essential":true,"value":"urn:else"}}}`
		if p := b.Arrive(rp.AuthURL("scope", "openid", "claims", demand)); p.Query("error") != "unmet_authentication_requirements" {
			t.Errorf("essential acr:\n%s", p)
		}
	})
}

// TestFlow_Pairwise: the hint of a pairwise client names its person at sign-in and at logout (OIDC Core
// §8.1, §3.1.2.1; RP-Initiated Logout §2).
func TestFlow_Pairwise(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		pairwise := func(m *client.Metadata) { m.SubjectType = "pairwise" }
		rp, person, b := a.RP(t, client.Web, pairwise, apptest.FirstParty), a.Person(t), a.Browser(t)
		public := a.RP(t, client.Web, apptest.FirstParty)
		b.Open(rp.AuthURL())
		tokens := rp.Exchange(b.Login(person))
		sub := apptest.Claims(t, tokens.IDToken)["sub"]
		other := apptest.Claims(t, public.Exchange(b.Arrive(public.AuthURL())).IDToken)
		if sub == other["sub"] || apptest.Claims(t, tokens.AccessToken)["sub"] != sub || rp.Userinfo(tokens.AccessToken).JSON(t)["sub"] != sub || rp.Introspect(tokens.AccessToken)["sub"] != sub {
			t.Errorf("sub %v, elsewhere %v", sub, other["sub"])
		}
		if p := b.Arrive(rp.AuthURL("prompt", "none", "id_token_hint", tokens.IDToken)); p.Query("code") == "" {
			t.Errorf("own hint:\n%s", p)
		}
		stranger, second := a.Person(t), a.Browser(t)
		second.Open(rp.AuthURL())
		foreign := rp.Exchange(second.Login(stranger))
		if p := b.Arrive(rp.AuthURL("prompt", "none", "id_token_hint", foreign.IDToken)); p.Query("error") != "login_required" {
			t.Errorf("another's hint:\n%s", p)
		}
		p := b.Arrive(a.URL + "/oauth2/logout?id_token_hint=" + tokens.IDToken + "&post_logout_redirect_uri=https://app.example/&state=s")
		if p.URL.String() != "https://app.example/?state=s" {
			t.Errorf("logout led to\n%s", p)
		}
		if m := rp.Introspect(tokens.AccessToken); m["active"] != false {
			t.Errorf("after logout: %v", m)
		}
	})
}
