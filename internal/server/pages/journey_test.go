package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signet/internal/platform/id"
)

func TestJourney_SignUpConsentCode(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		b, c := s.browser(), s.client(false)
		p := b.get(s.authorize(c)).at(200, "/login")
		if !strings.Contains(p.body, "Team Wiki") || !strings.Contains(p.body, "rp.test") {
			t.Error("the login page does not say where one is going")
		}
		p = b.get(attr(p.find("a", "href", strings.TrimSuffix(p.path, "login")+"signup"), "href")).at(200, "/signup")
		if !strings.Contains(p.body, "At least 15 characters") {
			t.Error("the rules of the password are not on the page before typing")
		}
		bad := b.submit(p, "/signup", "name", "Ada", "email", "ada@", "password", "short").at(422, "/signup")
		if strings.Contains(bad.body, `value="short"`) || attr(bad.find("input", "name", "email"), "value") != "ada@" {
			t.Error("typed values: passwords never come back, the rest does")
		}
		if attr(bad.find("input", "name", "password"), "aria-invalid") != "true" || bad.find("a", "href", "#email") == nil {
			t.Error("the problems are not at their fields and in the summary")
		}
		p = b.submit(bad, "/signup", "email", "ada@example.com", "password", secret).at(200, "/consent")
		answer := b.submit(p, "/consent", "answer", "allow").answer()
		if answer.Get("code") == "" || answer.Get("state") != "s t&é" || answer.Get("iss") != s.url {
			t.Errorf("the application was told %v", answer)
		}
		// From now on, without a page.
		if again := b.get(s.authorize(c)).answer(); again.Get("code") == "" || again.Get("code") == answer.Get("code") {
			t.Errorf("the second time: %v", again)
		}
	})
}

func TestJourney_ReloadBackAndSecondTab(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b, c := s.browser(), s.client(false)
		one, two := b.get(s.authorize(c, "state", "one")), b.get(s.authorize(c, "state", "two"))
		consent := b.login(one, "alice").at(200, "/consent")
		b.get(one.path).at(200, "/login")                                 // back: another account may still be used
		b.get(two.path).at(200, "/login")                                 // the other tab shows what it showed
		b.get(strings.TrimSuffix(two.path, "/login")).at(200, "/consent") // and knows that one is signed in
		b.get(consent.path).at(200, "/consent")                           // reload
		first := b.submit(consent, "/consent", "answer", "allow").answer()
		if first.Get("state") != "one" {
			t.Errorf("tab one answers %v", first)
		}
		for _, path := range []string{one.path, consent.path, strings.TrimSuffix(one.path, "/login")} {
			done := b.get(path)
			if done.StatusCode != 200 || done.heading() != "This sign-in is finished" || done.find("a", "href", "https://rp.test/") == nil {
				t.Errorf("%s after the end: %d %q", path, done.StatusCode, done.heading())
			}
		}
		if again := b.submit(consent, "/consent", "answer", "allow"); again.heading() != "This sign-in is finished" {
			t.Errorf("a second yes: %d %s", again.StatusCode, again.Header.Get("Location"))
		}
		if second := b.get(two.path).answer(); second.Get("state") != "two" {
			t.Errorf("tab two answers %v", second)
		}
	})
}

// Security case AZ-08: what comes later changes nothing of what was asked.
func TestJourney_LaterParametersAreIgnored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b := s.browser()
		p := b.get(s.authorize(s.client(false)))
		more := "?client_id=other&redirect_uri=https://evil.test&scope=admin&state=x&response_type=token&prompt=none&acr_values=z"
		b.get(p.path+more).at(200, "/login")
		p = b.submit(p, "/login", "identifier", "alice", "password", secret, "redirect_uri", "https://evil.test", "scope", "openid admin").at(200, "/consent")
		answer := b.submit(p, "/consent", "answer", "allow", "scope", "openid admin", "client_id", "other", "user", "bob").answer()
		if answer.Get("state") != "s t&é" || answer.Get("code") == "" {
			t.Errorf("%v", answer)
		}
		var scopes string
		if err := s.DB.Q(t.Context()).QueryRow(t.Context(), `SELECT scopes FROM consent`).Scan(&scopes); err != nil || scopes != `["email","openid"]` {
			t.Errorf("consent holds %s (%v)", scopes, err)
		}
	})
}

// Security case AZ-22, in both directions.
func TestJourney_AnotherBrowserIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		victim, attacker, c := s.signedIn("alice"), s.browser(), s.client(true)
		p := attacker.get(s.authorize(c))
		for _, b := range []*agent{victim, s.browser()} {
			for _, path := range []string{p.path, strings.TrimSuffix(p.path, "/login")} {
				refused := b.get(path)
				if refused.StatusCode != 403 || refused.heading() != "This sign-in was started in another browser" {
					t.Errorf("%s: %d %q", path, refused.StatusCode, refused.heading())
				}
			}
			if r := b.send(http.MethodPost, p.path, url.Values{"identifier": {"alice"}, "password": {secret}}); r.StatusCode != 403 || len(r.Cookies()) > 0 {
				t.Errorf("post: %d %v", r.StatusCode, r.Cookies())
			}
		}
		b := s.browser()
		if r := b.get("/signin/" + id.New()); r.StatusCode != 404 || r.heading() != "This sign-in has expired" {
			t.Errorf("unknown: %d %q", r.StatusCode, r.heading())
		}
		s.clock.Advance(31 * time.Minute)
		if r := attacker.get(p.path); r.StatusCode != 404 || r.heading() != "This sign-in has expired" {
			t.Errorf("expired: %d %q", r.StatusCode, r.heading())
		}
	})
}

// Security case LG-01: unknown, wrong and disabled look alike to the byte.
func TestLogin_FailuresLookAlike(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		gone := s.user("carol")
		if err := s.Accounts.Disable(t.Context(), gone.ID); err != nil {
			t.Fatal(err)
		}
		volatile := regexp.MustCompile(`/signin/[0-9a-f-]+|value="(alice|nobod|carol)"|challenge&#34;:&#34;[\w-]+`)
		c := s.client(true)
		var want string
		for who, pw := range map[string]string{"alice": "wrong", "nobod": "wrong", "carol": secret} {
			b := s.browser()
			p := b.submit(b.get(s.authorize(c)), "/login", "identifier", who, "password", pw)
			p.at(401, "/login")
			if attr(p.find("input", "name", "identifier"), "value") != who || strings.Contains(p.body, pw) || b.cookie("signet_session") != "" {
				t.Errorf("%s: the name stays, the password goes, nobody is signed in", who)
			}
			if n := p.find("input", "name", "password"); attr(n, "aria-invalid") != "true" || !strings.Contains(p.body, "<title>Error: Sign in") {
				t.Errorf("%s: the error is not told to all", who)
			}
			if got := volatile.ReplaceAllString(p.body, ""); want == "" {
				want = got
			} else if got != want {
				t.Errorf("%s gets another page", who)
			}
		}
		b := s.browser()
		if p := b.submit(b.get("/login"), "/login", "identifier", "", "password", ""); p.StatusCode != 422 || p.find("a", "href", "#password") == nil {
			t.Errorf("empty: %d", p.StatusCode)
		}
	})
}

func TestLogin_TooManyAttemptsSayWhen(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b := s.browser()
		p := b.get("/login")
		for range 40 {
			p = b.submit(p, "/login", "identifier", "alice", "password", "wrong")
			if p.StatusCode == http.StatusTooManyRequests {
				break
			}
		}
		if p.StatusCode != 429 || p.Header.Get("Retry-After") == "" || !regexp.MustCompile(`Try again in \d+ minute`).MatchString(p.body) {
			t.Errorf("%d, Retry-After %q", p.StatusCode, p.Header.Get("Retry-After"))
		}
		if attr(p.find("input", "name", "identifier"), "value") != "alice" {
			t.Error("the name is gone")
		}
	})
}

func TestLogin_SessionIsRotated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		s.user("bob")
		b, c := s.signedIn("alice"), s.client(true)
		before := b.cookie("signet_session")
		old, err := s.Sessions.Lookup(t.Context(), before)
		if err != nil || old == nil {
			t.Fatal(err)
		}
		s.clock.Advance(time.Second)
		p := b.get(s.authorize(c, "prompt", "login")).at(200, "/login")
		if p.heading() != "Confirm that it is you" || attr(p.find("input", "name", "identifier"), "value") != "alice@example.com" {
			t.Errorf("asked again: %q", p.heading())
		}
		b.login(p, "alice").answer()
		mid := b.cookie("signet_session")
		same, err := s.Sessions.Lookup(t.Context(), mid)
		if err != nil || mid == before || same == nil || same.ID != old.ID {
			t.Errorf("same person: %v, cookie changed %v", same, mid != before)
		}
		if stale, _ := s.Sessions.Lookup(t.Context(), before); stale != nil {
			t.Error("the old cookie still works")
		}
		b.login(b.get(s.authorize(c, "prompt", "login")), "bob").answer()
		other, err := s.Sessions.Lookup(t.Context(), b.cookie("signet_session"))
		if err != nil || other == nil || other.ID == old.ID {
			t.Errorf("another person: %v %v", other, err)
		}
	})
}

func TestSelectAccount_AndPromptCreate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b, c := s.signedIn("alice"), s.client(true)
		p := b.get(s.authorize(c, "prompt", "select_account")).at(200, "/select")
		if !strings.Contains(p.body, "Continue as ALICE") || p.find("a", "href", strings.TrimSuffix(p.path, "select")+"login") == nil {
			t.Error("the chooser lacks a choice")
		}
		forged := b.send(http.MethodPost, p.path, url.Values{"account": {"somebody"}})
		b.follow(forged).at(200, "/select")
		if answer := b.submit(p, "/select").answer(); answer.Get("code") == "" {
			t.Errorf("%v", answer)
		}
		b.get(s.authorize(c, "prompt", "create")).at(200, "/signup")
		if p := s.browser().get(s.authorize(c, "login_hint", "x@y.example")); attr(p.find("input", "name", "identifier"), "value") != "x@y.example" {
			t.Error("login_hint is not in the field")
		}
	})
}

func TestConsent_DenyCancelAndStaleForm(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		s.user("bob")
		b, c := s.signedIn("alice"), s.client(false)
		p := b.get(s.authorize(c, "scope", "openid email offline_access", "prompt", "consent")).at(200, "/consent")
		for _, words := range []string{"Team Wiki", "See your email address", "alice@example.com", "while you are away", ">Deny<", ">Allow<"} {
			if !strings.Contains(p.body, words) {
				t.Errorf("the page lacks %q", words)
			}
		}
		if answer := b.submit(p, "/consent", "answer", "deny").answer(); answer.Get("error") != "access_denied" || answer.Get("iss") != s.url {
			t.Errorf("%v", answer)
		}
		// The page was made for alice; bob signs in in another tab; her yes is not his.
		p = b.get(s.authorize(c)).at(200, "/consent")
		b.login(b.get(s.authorize(c, "prompt", "login")), "bob").at(200, "/consent")
		stale := b.submit(p, "/consent", "answer", "allow").at(200, "/consent")
		if !strings.Contains(stale.body, "bob@example.com") {
			t.Error("the page is not about who is signed in")
		}
		// Neither yes nor no: asked again.
		b.submit(stale, "/consent", "answer", "perhaps").at(200, "/consent")
		login := s.browser()
		if answer := login.submit(login.get(s.authorize(c)), "/cancel").answer(); answer.Get("error") != "access_denied" {
			t.Errorf("%v", answer)
		}
	})
}

// Security case AZ-21: twenty posts at once give one code; the rest land on a harmless page.
func TestJourney_TwentyPostsAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b := s.browser()
		p := b.login(b.get(s.authorize(s.client(false))), "alice").at(200, "/consent")
		action, form := p.form("/consent")
		form.Set("answer", "allow")
		var codes atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				r := b.follow(b.send(http.MethodPost, action, form))
				switch {
				case strings.HasPrefix(r.Header.Get("Location"), callback):
					codes.Add(1)
				case r.StatusCode != 200:
					t.Errorf("%d at %s", r.StatusCode, r.path)
				}
			})
		}
		wg.Wait()
		if codes.Load() != 1 {
			t.Errorf("%d codes", codes.Load())
		}
	})
}

// The generated half of security case SE-04 for our forms: nothing is done for another site.
func TestForms_FromElsewhereAreRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b := s.signedIn("alice")
		for _, route := range s.Routes() {
			if route.Method != http.MethodPost || route.CrossSite || strings.HasPrefix(route.Path, "/oauth2/") {
				continue
			}
			path := strings.ReplaceAll(route.Path, "{journey}", id.New())
			for name, headers := range map[string][2]string{
				"cross-site": {"cross-site", "https://evil.test"}, "sibling": {"same-site", "http://127.0.0.1:1"}, "no header": {"", ""}, "null": {"", "null"},
			} {
				r, _ := http.NewRequest(http.MethodPost, s.url+path, strings.NewReader("locale=ko&answer=leave"))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				for i, h := range []string{"Sec-Fetch-Site", "Origin"} {
					if headers[i] != "" {
						r.Header.Set(h, headers[i])
					}
				}
				resp, err := b.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusForbidden || len(resp.Cookies()) > 0 {
					t.Errorf("%s %s: %d", name, path, resp.StatusCode)
				}
			}
		}
		b.get("/account").at(200, "/account")
	})
}

func TestFormPost_PageAndPolicy(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b, c := s.browser(), s.client(true)
		p := b.get(s.authorize(c, "response_mode", "form_post", "state", `"><script>`))
		if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://rp.test;") {
			t.Errorf("login: %s", csp)
		}
		p = b.login(p, "alice")
		action, form := p.form("/cb")
		if p.StatusCode != 200 || action != callback || form.Get("code") == "" || form.Get("state") != `"><script>` || form.Get("iss") != s.url || form.Get("session_state") == "" || len(form) != 4 {
			t.Errorf("%d %s %v", p.StatusCode, action, form)
		}
		if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://rp.test;") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s", csp)
		}
		// It sends itself, by a script that is no module: not every browser knows those (OAuth 2.0 Form
		// Post Response Mode §2).
		script := b.get(attr(p.find("script", "type", ""), "src"))
		if script.StatusCode != 200 || strings.Trim(script.body, "\n") != `document.querySelector("form[data-autosubmit]").submit();` {
			t.Errorf("%d %s", script.StatusCode, script.body)
		}
		// An error by redirect takes the same way.
		p = s.browser().get(s.authorize(c, "response_mode", "form_post", "prompt", "none"))
		if _, form := p.form("/cb"); form.Get("error") != "login_required" {
			t.Errorf("%v", form)
		}
	})
}

func TestErrors_UnknownClientAndRedirect(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		b, c := s.browser(), s.client(true)
		for name, q := range map[string]struct{ path, heading, shown string }{
			"client":   {s.authorize("nobody"), "The application is not known here", "nobody"},
			"redirect": {s.authorize(c, "redirect_uri", "https://rp.test/cb/x<b>"), "The application sent a wrong return address", "https://rp.test/cb/x&lt;b&gt;"},
			"closest":  {s.authorize(c, "redirect_uri", "https://rp.test/othr"), "The application sent a wrong return address", "https://rp.test/other"},
			"form":     {s.authorize("nobody", "response_mode", "form_post"), "The application is not known here", "nobody"},
		} {
			p := b.get(q.path)
			if p.StatusCode != 400 || p.heading() != q.heading || !strings.Contains(p.body, q.shown) || p.Header.Get("Location") != "" {
				t.Errorf("%s: %d %q", name, p.StatusCode, p.heading())
			}
			if !strings.Contains(p.body, "Request ID") || !strings.Contains(p.body, "<title>Error: ") {
				t.Errorf("%s: no request id, or no word of an error in the title", name)
			}
		}
		if p := b.get(s.authorize("nobody", "ui_locales", "ko")); p.heading() != "등록되지 않은 애플리케이션이에요" {
			t.Errorf("%q", p.heading())
		}
		if p := b.get("/nothing/here"); p.StatusCode != 404 || p.heading() != "There is nothing here" {
			t.Errorf("%d %q", p.StatusCode, p.heading())
		}
	})
}
