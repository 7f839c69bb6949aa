package pages_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signet/internal/platform/id"
)

func TestAccount_SignedOutComesBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		for _, path := range []string{"/account", "/account/profile", "/account/password", "/account/sessions", "/account/applications", "/account/username"} {
			b := s.browser()
			b.login(b.get(path).at(200, "/login"), "alice").at(200, path)
		}
		b := s.browser()
		b.get("/.well-known/change-password").at(200, "/login")
		b.login(b.get("/"), "alice").at(200, "/account")
		b.get("/login").at(200, "/account")
		b.get("/signup").at(200, "/account")
		s.browser().get("/signup").at(200, "/signup")
		// A post without a session does nothing but lead to the sign-in.
		s.browser().follow(s.browser().send(http.MethodPost, "/account/password", url.Values{"current": {secret}, "password": {"x"}}))
	})
}

func TestAccount_DisabledIsSignedOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		a := s.user("alice")
		b := s.signedIn("alice")
		if err := s.Accounts.Disable(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		b.get("/account").at(200, "/login")
		if b.cookie("signet_session") != "" {
			t.Error("the cookie stays")
		}
	})
}

func TestProfile_AllClaims(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		a := s.user("alice")
		b := s.signedIn("alice")
		values := []string{
			"name", "Alice Kim", "given_name", "Alice", "family_name", "Kim", "middle_name", "M", "nickname", "Al",
			"birthdate", "1990-12-31", "gender", "female", "language", "ko-KR", "zoneinfo", "Asia/Seoul", "website", "https://alice.example/",
			"profile", "https://alice.example/me", "picture", "https://alice.example/me.png", "phone_number", "+82 2 312 3456",
			"street_address", "1 Main", "locality", "Seoul", "region", "Seoul", "postal_code", "04524", "country", "Korea",
		}
		p := b.submit(b.get("/account/profile"), "/profile", values...).at(200, "/account/profile")
		if !strings.Contains(p.body, `role="status">Your profile is saved.`) {
			t.Error("nobody is told that it is saved")
		}
		for i := 0; i+1 < len(values); i += 2 {
			if got := attr(p.find("input", "name", values[i]), "value"); got == "" {
				t.Errorf("%s is empty after saving", values[i])
			}
		}
		got, err := s.Accounts.ByID(t.Context(), a.ID)
		if err != nil || got.Profile.Locale != "ko-KR" || got.Profile.ProfileURL != "https://alice.example/me" || got.Profile.Address.PostalCode != "04524" {
			t.Errorf("%+v %v", got.Profile, err)
		}
		bad := b.submit(p, "/profile", "website", "javascript:alert(1)", "birthdate", "soon", "name", "New").at(422, "/account/profile")
		if attr(bad.find("input", "name", "website"), "aria-invalid") != "true" || bad.find("a", "href", "#birthdate") == nil || attr(bad.find("input", "name", "name"), "value") != "New" {
			t.Error("problems are not at their fields, or what was typed is gone")
		}
		if p := b.get("/account/profile?saved=evil%22%3E"); strings.Contains(p.body, "evil") {
			t.Error("a word from the address is on the page")
		}
	})
}

// Security case SE-12: what could lock the owner out needs a fresh sign-in.
func TestUsername_NeedsAFreshSignIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("bob")
		a := s.user("alice")
		b := s.signedIn("alice")
		p := b.get("/account/username").at(200, "/account/username")
		taken := b.submit(p, "/username", "username", "BOB").at(409, "/account/username")
		b.submit(taken, "/username", "username", "alice.k").at(200, "/account/profile")
		if got, _ := s.Accounts.ByID(t.Context(), a.ID); got.Username != "alice.k" {
			t.Errorf("username %q", got.Username)
		}
		s.clock.Advance(11 * time.Minute)
		if p := b.submit(p, "/username", "username", "mallory").at(200, "/login"); p.heading() != "Confirm that it is you" {
			t.Errorf("%q", p.heading())
		}
		p = b.get("/account/username").at(200, "/login")
		b.login(p, "alice.k").at(200, "/account/username")
		if got, _ := s.Accounts.ByID(t.Context(), a.ID); got.Username != "alice.k" {
			t.Errorf("a stale session changed the username to %q", got.Username)
		}
	})
}

// Each try tells whether a name is taken, so there are only so many.
func TestUsername_TriesAreCounted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("bob")
		s.user("alice")
		b := s.signedIn("alice")
		p := b.get("/account/username").at(200, "/account/username")
		for range 10 {
			p = b.submit(p, "/username", "username", "bob").at(409, "/account/username")
		}
		p = b.submit(p, "/username", "username", "carol").at(429, "/account/username")
		b.submit(p, "/username", "username", "bob").at(429, "/account/username")
	})
}

func TestPassword_ChangeEndsOtherSessions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		here, there := s.signedIn("alice"), s.signedIn("alice")
		const next = "another fjord without lamps"
		p := here.get("/account/password")
		if !strings.Contains(p.body, "every other browser and device is signed out") {
			t.Error("the page does not say what else ends")
		}
		if wrong := here.submit(p, "/password", "current", "wrong", "password", next).at(401, "/account/password"); attr(wrong.find("input", "name", "current"), "aria-invalid") != "true" {
			t.Error("the wrong password is not marked")
		}
		if short := here.submit(p, "/password", "current", secret, "password", "short").at(422, "/account/password"); strings.Contains(short.body, secret) {
			t.Error("a password came back")
		}
		before := here.cookie("signet_session")
		here.submit(p, "/password", "current", secret, "password", next).at(200, "/account/password")
		if here.cookie("signet_session") == before {
			t.Error("the cookie is the old one")
		}
		here.get("/account").at(200, "/account")
		there.get("/account").at(200, "/login")
		b := s.browser()
		b.submit(b.get("/login"), "/login", "identifier", "alice", "password", secret).at(401, "/login")
		b.submit(b.get("/login"), "/login", "identifier", "alice", "password", next).at(200, "/account")
	})
}

func TestSessions_EndOneAndOthers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		s.user("bob")
		a, b, c, bob := s.signedIn("alice"), s.signedIn("alice"), s.signedIn("alice"), s.signedIn("bob")
		p := a.get("/account/sessions")
		if n := strings.Count(p.body, `name="session"`); n != 3 || strings.Count(p.body, "This browser") != 1 {
			t.Errorf("%d sessions listed", n)
		}
		foreign, err := s.Sessions.Lookup(t.Context(), bob.cookie("signet_session"))
		if err != nil {
			t.Fatal(err)
		}
		a.follow(a.send(http.MethodPost, "/account/sessions", url.Values{"session": {string(foreign.ID)}}))
		bob.get("/account").at(200, "/account")
		mine, _ := s.Sessions.Lookup(t.Context(), b.cookie("signet_session"))
		a.follow(a.send(http.MethodPost, "/account/sessions", url.Values{"session": {string(mine.ID)}})).at(200, "/account/sessions")
		b.get("/account").at(200, "/login")
		c.get("/account").at(200, "/account")
		a.follow(a.send(http.MethodPost, "/account/sessions", url.Values{"all": {"others"}})).at(200, "/account/sessions")
		c.get("/account").at(200, "/login")
		own, _ := s.Sessions.Lookup(t.Context(), a.cookie("signet_session"))
		a.follow(a.send(http.MethodPost, "/account/sessions", url.Values{"session": {string(own.ID)}})).at(200, "/logged-out")
	})
}

func TestApplications_ListAndRevoke(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b, c := s.signedIn("alice"), s.client(false)
		if p := b.get("/account/applications"); !strings.Contains(p.body, "No application has access") {
			t.Error("something out of nothing")
		}
		b.submit(b.get(s.authorize(c)), "/consent", "answer", "allow").answer()
		p := b.get("/account/applications")
		if !strings.Contains(p.body, "Team Wiki") || !strings.Contains(p.body, "See your email address") {
			t.Error("the application is not listed in plain words")
		}
		if p = b.submit(p, "/applications"); strings.Contains(p.body, "Team Wiki") || !strings.Contains(p.body, "The access is removed") {
			t.Error("the application is still listed")
		}
		b.get(s.authorize(c)).at(200, "/consent")
	})
}

func TestLogout_ByThePerson(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b := s.signedIn("alice")
		p := b.get("/logout").at(200, "/logout")
		b.get("/account").at(200, "/account") // a GET ends nothing
		b.submit(p, "/logout", "answer", "stay").at(200, "/account")
		cookie := b.cookie("signet_session")
		out := b.send(http.MethodPost, "/logout", url.Values{"answer": {"leave"}})
		if out.Header.Get("Clear-Site-Data") != `"cache"` || b.cookie("signet_session") != "" {
			t.Errorf("%v", out.Header)
		}
		b.follow(out).at(200, "/logged-out")
		if sess, _ := s.Sessions.Lookup(t.Context(), cookie); sess != nil {
			t.Error("the session lives on the server")
		}
		b.follow(b.send(http.MethodPost, "/logout", url.Values{})).at(200, "/logged-out")
		b.get("/logout").at(200, "/logged-out")
		s.signedIn("alice").get("/logged-out").at(200, "/account")
	})
}

// OIDC RP-Initiated Logout §2, §3; security cases LO-01 and LO-02.
func TestLogout_ByAnApplication(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		c := s.client(true)
		b := s.signedIn("alice")
		hint := func(b *agent) string {
			sess, err := s.Sessions.Lookup(t.Context(), b.cookie("signet_session"))
			if err != nil || sess == nil {
				t.Fatal(err)
			}
			claims, _ := json.Marshal(map[string]any{
				"iss": s.url, "aud": string(c), "sub": string(sess.User), "sid": string(sess.ID),
				"exp": s.clock.Now().Add(time.Minute).Unix(), "iat": s.clock.Now().Unix(),
			})
			token, err := s.Keys.Sign("ES256", "JWT", claims)
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		bye := "https://rp.test/bye"
		leave := func(b *agent, hint, uri string) *page {
			return b.get("/oauth2/logout?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {uri}, "state": {"a&b"}}.Encode())
		}
		// Without a hint: asked, and never sent to an address that anybody could have typed.
		p := b.get("/oauth2/logout?client_id="+string(c)+"&post_logout_redirect_uri="+url.QueryEscape(bye)).at(200, "/logout")
		b.submit(p, "/logout", "answer", "stay").at(200, "/account")
		b.get("/account").at(200, "/account")
		b.submit(p, "/logout", "answer", "leave").at(200, "/logged-out")
		b.submit(p, "/logout", "answer", "leave").at(200, "/logged-out") // twice is harmless

		b = s.signedIn("alice")
		if p := leave(b, hint(b), bye); p.Header.Get("Location") != bye+"?state=a%26b" {
			t.Errorf("with the hint: %d %s", p.StatusCode, p.Header.Get("Location"))
		}
		b.get("/account").at(200, "/login")
		b = s.signedIn("alice")
		// An address that is not registered: nobody is sent there, and nothing ends.
		p = leave(b, hint(b), "https://evil.test/bye")
		if p.StatusCode != 400 || !strings.Contains(p.body, "We cannot sign you out") || !strings.Contains(p.body, "post_logout_redirect_uri is not registered") {
			t.Errorf("unregistered: %d %s", p.StatusCode, p.body)
		}
		b.get("/account").at(200, "/account")

		// A hint about another session: asked first, then back to the application.
		other, b := s.signedIn("alice"), s.signedIn("alice")
		p = leave(b, hint(other), bye).at(200, "/logout")
		if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://rp.test;") {
			t.Errorf("%s", csp)
		}
		if p = b.submit(p, "/logout", "answer", "leave"); p.Header.Get("Location") != bye+"?state=a%26b" {
			t.Errorf("%d %s", p.StatusCode, p.Header.Get("Location"))
		}
		other.get("/account").at(200, "/account")

		parts := strings.Split(hint(other), ".")
		forged := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + "." + parts[2]
		if p := leave(other, forged, bye); p.StatusCode != 400 || p.heading() != "The sign-out request cannot be used" || !strings.Contains(p.body, "We cannot sign you out") {
			t.Errorf("forged: %d %q", p.StatusCode, p.heading())
		}
		if p := leave(s.browser(), hint(other), bye); p.Header.Get("Location") != bye+"?state=a%26b" {
			t.Errorf("nobody signed in: %d %s", p.StatusCode, p.Header.Get("Location"))
		}
	})
}

func TestLanguage_SwitchKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b, c := s.browser(), s.client(false)
		p := b.get(s.authorize(c, "ui_locales", "ko")).at(200, "/login")
		if p.heading() != "로그인" || attr(p.find("html", "lang", "ko"), "lang") != "ko" || p.Header.Get("Content-Language") != "ko" {
			t.Errorf("ui_locales: %q", p.heading())
		}
		p = b.submit(p, "/login", "identifier", "alice", "password", secret, "locale", "en").at(200, "/login")
		if p.heading() != "Sign in" || attr(p.find("input", "name", "identifier"), "value") != "alice" || strings.Contains(p.body, secret) {
			t.Errorf("after the switch: %q", p.heading())
		}
		if b.cookie("signet_session") != "" {
			t.Error("a language button signed in")
		}
		p = b.login(p, "alice").at(200, "/consent")
		if p.heading() != "Allow access?" {
			t.Errorf("the choice does not last in the journey: %q", p.heading())
		}
		p = b.submit(p, "/locale", "locale", "ko").at(200, "/consent")
		if p.heading() != "접근을 허용할까요?" {
			t.Errorf("the form in the foot: %q", p.heading())
		}
		if p := b.get("/account"); p.heading() != "내 계정" {
			t.Errorf("elsewhere: %q", p.heading())
		}
		for _, target := range []string{"//evil.test", "https://evil.test", `/\evil.test`} {
			r := b.send(http.MethodPost, "/locale", url.Values{"locale": {"en"}, "return": {target}})
			if r.Header.Get("Location") != "/" {
				t.Errorf("%q leads to %q", target, r.Header.Get("Location"))
			}
		}
		fr := s.browser()
		fr.lang = "ko-KR,ko;q=0.9"
		if p := fr.get("/login"); p.heading() != "로그인" {
			t.Errorf("Accept-Language: %q", p.heading())
		}
		signup := fr.get(strings.TrimSuffix(fr.get("/signup").path, "x"))
		signup = fr.submit(signup, "/signup", "name", "Ada", "email", "ada@example.com", "password", secret, "locale", "en").at(200, "/signup")
		if attr(signup.find("input", "name", "name"), "value") != "Ada" || strings.Contains(signup.body, secret) {
			t.Error("sign-up loses what was typed, or keeps the password")
		}
	})
}

// Security cases SE-01, HT-14, AZ-12: cookies and headers of every page.
func TestHeaders_OnEveryPage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b, c := s.signedIn("alice"), s.client(false)
		for _, path := range []string{
			s.authorize(c), "/account", "/account/profile", "/account/password", "/account/sessions", "/account/applications", "/logout",
			"/nothing", "/signin/" + id.New(), s.authorize("nobody"), s.authorize(c, "prompt", "login"), s.authorize(c, "prompt", "select_account"),
		} {
			p := b.get(path)
			for name, want := range map[string]string{
				"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
			} {
				if got := p.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q", path, name, got)
				}
			}
			csp := p.Header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "style-src 'self';", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
				if !strings.Contains(csp, part) {
					t.Errorf("%s: the policy lacks %s", path, part)
				}
			}
			if p.Header.Get("Permissions-Policy") == "" || p.Header.Get("Referrer-Policy") == "" || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: %v", path, p.Header)
			}
		}
		fresh := s.browser()
		p := fresh.send(http.MethodGet, "/login", nil)
		for _, cookie := range p.Cookies() {
			if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" || len(cookie.Value) > 200 {
				t.Errorf("%+v", cookie)
			}
		}
		if len(p.Cookies()) != 1 {
			t.Errorf("cookies %v", p.Cookies())
		}
	})
}

// Security case SE-03: whatever is in the cookie, nobody is signed in by it and nothing breaks.
func TestCookies_ForgedOnesMeanNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		good := s.signedIn("alice")
		value, brw := good.cookie("signet_session"), good.cookie("signet_browser")
		for name, cookie := range map[string]string{
			"empty": "signet_session=", "other kind": "signet_session=" + brw, "cut": "signet_session=" + value[:len(value)-1],
			"flipped": "signet_session=" + value[:20] + "A" + value[21:], "long": "signet_session=" + strings.Repeat("x", 8000),
			"twice": "signet_session=" + value + "; signet_session=" + value, "made up": "signet_session=" + id.NewToken(id.SessionCookie),
			"prefixed": "__Host-signet_session=" + value, "hostile": "signet_session=' OR 1=1 --; signet_browser=<x>; signet_locale=../../x",
		} {
			r, _ := http.NewRequest(http.MethodGet, s.url+"/account", nil)
			r.Header.Set("Cookie", cookie)
			resp, err := s.browser().client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != 303 || !strings.HasPrefix(resp.Header.Get("Location"), "/signin/") {
				if name == "flipped" && value[20] == 'A' {
					continue
				}
				t.Errorf("%s: %d %s", name, resp.StatusCode, resp.Header.Get("Location"))
			}
		}
	})
}
