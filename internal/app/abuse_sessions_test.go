package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/identity/passkey"
	"signet/internal/identity/passkey/passkeytest"
	"signet/internal/oauth/client"
	"signet/internal/server"
)

// Security case LG-18: a session begins in one place, whatever way led there, and its cookie is
// given in two: after a sign-in, and after the current password was given again. A new way that
// opens one of its own fails here.
func TestAbuse_SessionsBeginInOnePlace(t *testing.T) {
	t.Parallel()
	for what, want := range map[string][]string{
		`[sS]essions\.Start\(`:                          {"internal/signin/authenticated.go"},
		`[sS]essions\.(Reauthenticate|Strengthen\w*)\(`: {"internal/server/pages/password.go", "internal/signin/authenticated.go"},
		`setCookie\(w, r, cookieSession, [^"]`:          {"internal/server/pages/login.go", "internal/server/pages/password.go"},
	} {
		re, found := regexp.MustCompile(what), []string{}
		for _, dir := range []string{"../signin", "../server/pages", "../server/oidc", "../app", "../identity/*", "../oauth", "../oauth/*"} {
			files, err := filepath.Glob(dir + "/*.go")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if re.Match(text) && !strings.HasSuffix(file, "_test.go") {
					found = append(found, "internal/"+strings.TrimPrefix(filepath.ToSlash(file), "../"))
				}
			}
		}
		slices.Sort(found)
		if !slices.Equal(found, want) {
			t.Errorf("%s is in %v, want %v", what, found, want)
		}
	}
}

// Security case SE-05: whatever a path looks like, a form from elsewhere changes nothing.
func TestAbuse_PathsThatLookExempt(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		b := a.Browser(t)
		b.Open("/login")
		at(t, b.Login(person), 200, "/account")
		for _, path := range []string{
			"/account/password", "/oauth2/token/../../account/password", "/oauth2/token/%2e%2e/%2e%2e/account/password", "//account/password", "/account//password",
			"/account%2fpassword", "/ACCOUNT/password", "/account/password/", "/./account/password", "/oauth2/authorize/../../account/password",
			"/account/password;/oauth2/token", "/account/password%00", "/.well-known/../account/password", "/logout/../account/password",
		} {
			for _, from := range []http.Header{
				{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://other.localhost"}},
				{"Origin": {"null"}}, {"Origin": {"https://evil.example"}}, {},
				{"Origin": {"https://evil.example"}, "X-Http-Method-Override": {"POST"}, "Content-Type": {"text/plain"}},
			} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL, strings.NewReader(url.Values{"current": {person.Password}, "password": {"walnuts on a slow river"}}.Encode()))
				if err != nil {
					t.Fatal(err)
				}
				req.URL.Opaque = "//" + req.URL.Host + path // as it stands
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				for name, values := range from {
					req.Header[name] = values
				}
				for name, value := range b.Cookies() {
					req.AddCookie(&http.Cookie{Name: name, Value: value})
				}
				resp, err := a.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode >= 500 || resp.StatusCode < 300 || resp.StatusCode == http.StatusSeeOther {
					t.Errorf("%s %v: %d", path, from, resp.StatusCode)
				}
			}
		}
		if status := guess(a.Browser(t), person.Email, person.Password); status != 200 {
			t.Errorf("the password was changed: %d", status)
		}
	})
}

// Security case SE-08: many sign-outs at once, while pages and applications go on: nothing breaks,
// and afterwards nothing of it lives.
func TestAbuse_SignOutsAtOnce(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp, person := a.RP(t, client.Web, apptest.FirstParty), a.Person(t)
		b := a.Browser(t)
		b.Open(rp.AuthURL())
		tokens := rp.Exchange(b.Login(person))
		var wg sync.WaitGroup
		var pages []*apptest.Browser
		for range 20 {
			out := b.Tab()
			out.Open("/logout")
			pages = append(pages, out)
		}
		for _, out := range pages {
			on, url := b.Tab(), rp.AuthURL("prompt", "none")
			wg.Go(func() {
				if p := out.Click("Sign out"); p.Status >= 500 {
					t.Errorf("sign-out: %d", p.Status)
				}
			})
			wg.Go(func() {
				if p := on.Arrive(url); p.Status >= 500 {
					t.Errorf("authorize: %d", p.Status)
				}
			})
		}
		wg.Wait()
		if p := b.Arrive(rp.AuthURL("prompt", "none")); p.Query("error") != "login_required" {
			t.Errorf("still signed in:\n%s", p)
		}
		if r := rp.Refresh(tokens.RefreshToken); r.Error != "invalid_grant" {
			t.Errorf("refresh after the sign-out: %d %s", r.Status, r.Body)
		}
		if m := rp.Introspect(tokens.AccessToken); m["active"] != false {
			t.Errorf("introspection after the sign-out: %v", m)
		}
	})
}

// Security case SE-10: an account has so many sessions and no more; the oldest end.
func TestAbuse_SessionCap(t *testing.T) {
	t.Parallel()
	const most = 4
	apptest.Each(t, apptest.Options{Config: func(c *config.Config) { c.Sessions.PerAccount = most }}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		var first *apptest.Browser
		for range most + 6 {
			b := a.Browser(t)
			b.Open("/login")
			at(t, b.Login(person), 200, "/account")
			if first == nil {
				first = b
			}
			a.Clock.Advance(time.Second)
		}
		list, err := a.Sessions.List(t.Context(), person.ID)
		if err != nil || len(list) != most {
			t.Errorf("%d sessions, %v", len(list), err)
		}
		if p := first.Open("/account"); !strings.HasSuffix(p.URL.Path, "/login") {
			t.Errorf("the oldest lives:\n%s", p)
		}
	})
}

// Security case SE-11: cookies that somebody else has set, many of them or twice, are nobody's session.
func TestAbuse_CookiesOfOthers(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		victim, attacker := a.Person(t), a.Person(t)
		cookies := map[string]map[string]string{}
		for _, p := range []apptest.Person{victim, attacker} {
			b := a.Browser(t)
			b.Open("/login")
			at(t, b.Login(p), 200, "/account")
			cookies[p.Email] = b.Cookies()
		}
		ask := func(header ...string) (int, string) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+"/account", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header["Cookie"] = header
			resp, err := a.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			return resp.StatusCode, resp.Header.Get("Location")
		}
		mine, theirs := "signet_session="+cookies[victim.Email]["signet_session"], "signet_session="+cookies[attacker.Email]["signet_session"]
		flood := make([]string, 200)
		for i := range flood {
			flood[i] = fmt.Sprintf("signet_session%d=%s", i, strings.Repeat("x", 60))
		}
		for name, header := range map[string][]string{
			"flood": {strings.Join(flood, "; ")}, "flood of ours": {strings.Join(slices.Repeat([]string{"signet_session=x"}, 200), "; ")},
			"twice": {theirs + "; " + mine}, "twice in two lines": {theirs, mine}, "huge": {"signet_session=" + strings.Repeat("x", 8<<10)},
			"no value": {"signet_session"}, "quoted": {`signet_session="` + strings.TrimPrefix(mine, "signet_session=") + `x"`},
		} {
			status, to := ask(header...)
			switch {
			case status >= 500:
				if status != http.StatusRequestHeaderFieldsTooLarge {
					t.Errorf("%s: %d", name, status)
				}
			case status == http.StatusOK:
				t.Errorf("%s: is somebody's session", name)
			case status == http.StatusSeeOther && !strings.Contains(to, "/login") && !strings.Contains(to, "/signin"):
				t.Errorf("%s: leads to %s", name, to)
			}
		}
		if status, _ := ask(mine); status != http.StatusOK {
			t.Errorf("the cookie itself: %d", status)
		}
	})
}

// Security case SE-13: no page of ours can be read by a script of another origin.
func TestAbuse_PagesAreNotShared(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Config: everythingOn}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		b := a.Browser(t)
		b.Open("/login")
		at(t, b.Login(person), 200, "/account")
		hole := regexp.MustCompile(`\{[^}]*\}`)
		origins := []string{"https://evil.example", "null", a.URL + ".evil.example"}
		for i, r := range a.Routes() {
			if r.Area != server.Browser {
				continue
			}
			for _, method := range []string{http.MethodOptions, http.MethodGet} {
				req, err := http.NewRequestWithContext(t.Context(), method, a.URL+hole.ReplaceAllString(r.Path, "x"), nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Origin", origins[i%len(origins)])
				req.Header.Set("Access-Control-Request-Method", "POST")
				for name, value := range b.Cookies() {
					req.AddCookie(&http.Cookie{Name: name, Value: value})
				}
				resp, err := a.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				for name := range resp.Header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s for %s: %s", method, r.Path, origins[i%len(origins)], name)
					}
				}
			}
		}
	})
}

// Security case SE-12: what protects the account, or ends it, is changed only by who has signed in
// within ten minutes. Each form of the account pages is in one of the two lists; a new one fails here
// until somebody has thought about it.
func TestAbuse_SensitiveActsNeedAFreshSignIn(t *testing.T) {
	t.Parallel()
	fresh := []string{
		"/account/username", "/account/address", "/account/data", "/account/delete", "/account/security/totp", "/account/security/recovery-codes",
		"/account/passkeys/add", "/account/passkeys/{passkey}/remove", "/account/upstream",
	}
	free := []string{
		"/account/profile", "/account/sessions", "/account/applications", "/account/security/browsers", "/account/passkeys", // what ends or names something
		"/account/password",     // asks for the password itself
		"/account/address/code", // asks for a code from the new address
		// Lets in an application like the consent page, and like it asks for what the application demands; the
		// account stays as it is.
		"/account/requests/{request}",
	}
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		b := a.Browser(t)
		b.Open("/login")
		at(t, b.Login(person), 200, "/account")
		options, err := a.Passkeys.RegisterOptions(t.Context(), passkey.Owner{User: person.ID, Name: person.Name}, "test")
		if err != nil {
			t.Fatal(err)
		}
		key, err := a.Passkeys.Register(t.Context(), person.ID, "test", passkeytest.New(a.URL).Create(t, options), "Key")
		if err != nil {
			t.Fatal(err)
		}
		a.Clock.Advance(11 * time.Minute)
		for _, r := range a.Routes() {
			if r.Method != http.MethodPost || r.Area != server.Browser || !strings.HasPrefix(r.Path, "/account/") {
				continue
			}
			ask := func(cookies map[string]string) (int, bool) {
				req := post(t, a, strings.NewReplacer("{passkey}", key.ID, "{request}", uuid.NewString()).Replace(r.Path), url.Values{})
				for name, value := range cookies {
					req.AddCookie(&http.Cookie{Name: name, Value: value})
				}
				resp, err := a.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				return resp.StatusCode, strings.HasPrefix(resp.Header.Get("Location"), "/signin/")
			}
			status, again := ask(b.Cookies())
			switch {
			case slices.Contains(fresh, r.Path) && (status != http.StatusSeeOther || !again):
				t.Errorf("%s: %d with a sign-in of eleven minutes ago", r.Path, status)
			case slices.Contains(free, r.Path) && again:
				t.Errorf("%s asks for a fresh sign-in now: move it to the other list", r.Path)
			case !slices.Contains(fresh, r.Path) && !slices.Contains(free, r.Path):
				t.Errorf("%s is in neither list", r.Path)
			}
			if status, again := ask(nil); status != http.StatusSeeOther || !again {
				t.Errorf("%s: %d to nobody", r.Path, status)
			}
		}
	})
}
