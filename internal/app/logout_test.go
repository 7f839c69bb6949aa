package app_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/oauth/logout"
	"signet/internal/platform/outbox"
)

// TestConformance_RPInitiatedLogout is the certification plan of that name (OIDC RP-Initiated Logout
// §2, §3): where each request leads, and what the person reads there.
func TestConformance_RPInitiatedLogout(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{})
	rp := a.RP(t, client.Web, apptest.FirstParty)
	person := a.Person(t)
	const bye = "https://app.example/"
	const state = "128 characters of a state that has to come back as it was, with & = + % ? # and / in it, 0123456789 0123456789 0123456789 0123"
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for name, c := range map[string]struct {
		form func(hint string) url.Values
		back string // where the browser goes at once
		asks bool   // or whether a person is asked first
		see  string // what the page that is left says
	}{
		"oidcc-rp-initiated-logout": {
			form: func(h string) url.Values {
				return url.Values{"id_token_hint": {h}, "post_logout_redirect_uri": {bye}, "state": {state}}
			}, back: bye + "?state=" + url.QueryEscape(state)},
		"no-state":                    {form: func(h string) url.Values { return url.Values{"id_token_hint": {h}, "post_logout_redirect_uri": {bye}} }, back: bye},
		"no-post-logout-redirect-uri": {form: func(h string) url.Values { return url.Values{"id_token_hint": {h}, "state": {state}} }, see: "signed out"},
		"no-params":                   {form: func(string) url.Values { return nil }, asks: true, see: "signed out"},
		"only-state":                  {form: func(string) url.Values { return url.Values{"state": {state}} }, asks: true, see: "signed out"},
		"no-id-token-hint":            {form: func(string) url.Values { return url.Values{"post_logout_redirect_uri": {bye}, "state": {state}} }, see: "cannot sign"},
		"no-id-token-hint, client_id": {form: func(string) url.Values {
			return url.Values{"client_id": {string(rp.ID)}, "post_logout_redirect_uri": {bye}}
		}, asks: true, see: "signed out"},
		"bad-post-logout-redirect-uri": {form: func(h string) url.Values {
			return url.Values{"id_token_hint": {h}, "post_logout_redirect_uri": {bye + "other"}}
		}, see: "cannot sign"},
		"query-added-to-post-logout-redirect-uri": {
			form: func(h string) url.Values {
				return url.Values{"id_token_hint": {h}, "post_logout_redirect_uri": {bye + "?foo=bar"}}
			}, see: "cannot sign"},
		"modified-id-token-hint": {form: func(h string) url.Values {
			return url.Values{"id_token_hint": {unsigned + "." + strings.Split(h, ".")[1] + "."}, "post_logout_redirect_uri": {bye}}
		}, see: "cannot sign"},
		"bad-id-token-hint": {form: func(h string) url.Values {
			parts := strings.Split(h, ".")
			return url.Values{"id_token_hint": {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))}, "post_logout_redirect_uri": {bye}}
		}, see: "cannot sign"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} { // §2: both must be there
			b := a.Browser(t)
			b.Open(rp.AuthURL())
			hint := rp.Exchange(b.Login(person)).IDToken
			var p *apptest.Page
			if method == http.MethodGet {
				p = b.Arrive(a.URL + "/oauth2/logout?" + c.form(hint).Encode())
			} else {
				p = b.ArrivePost(a.URL+"/oauth2/logout", c.form(hint))
			}
			if c.asks {
				if !strings.Contains(p.Text(), "want to sign out") {
					t.Errorf("%s %s: nobody is asked:\n%s", method, name, p)
					continue
				}
				if still := b.Arrive(rp.AuthURL("prompt", "none")); still.Query("code") == "" {
					t.Errorf("%s %s: signed out before the answer", method, name)
				}
				b.Arrive(a.URL + "/oauth2/logout?" + c.form(hint).Encode())
				p = b.Click("answer=leave")
			}
			if c.back != "" && p.URL.String() != c.back || c.back == "" && (p.Left() || !strings.Contains(p.Text(), c.see)) {
				t.Errorf("%s %s: ended at\n%s", method, name, p)
			}
			after := b.Arrive(rp.AuthURL("prompt", "none"))
			if refused := c.see == "cannot sign"; refused != (after.Query("code") != "") || !refused && after.Query("error") != "login_required" {
				t.Errorf("%s %s: prompt=none afterwards: %s", method, name, after)
			}
		}
	}
}

var reFrame = regexp.MustCompile(`<iframe src="([^"]*)"([^>]*)>`)

// TestConformance_FrontChannelLogout: the frame is loaded with iss and sid before the browser goes back
// (OIDC Front-Channel Logout §2, §3), under a policy that allows that frame and no other.
func TestConformance_FrontChannelLogout(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{})
	rp := a.RP(t, client.Web, apptest.FirstParty, func(m *client.Metadata) {
		m.FrontchannelLogoutURI, m.FrontchannelLogoutSession = "https://app.example/frontchannel_logout", true
	})
	quiet := a.RP(t, client.Web, apptest.FirstParty)
	b := a.Browser(t)
	b.Open(rp.AuthURL())
	tokens := rp.Exchange(b.Login(a.Person(t)))
	quiet.Exchange(b.Arrive(quiet.AuthURL()))
	claims := apptest.Claims(t, tokens.IDToken)
	p := b.Arrive(a.URL + "/oauth2/logout?" + url.Values{
		"id_token_hint": {tokens.IDToken}, "post_logout_redirect_uri": {"https://app.example/"}, "state": {"s 1"}}.Encode())
	frames := reFrame.FindAllStringSubmatch(p.Body, -1)
	want := "https://app.example/frontchannel_logout?" + url.Values{"iss": {a.URL}, "sid": {claims["sid"].(string)}}.Encode()
	if p.Status != http.StatusOK || len(frames) != 1 || html.UnescapeString(frames[0][1]) != want || !strings.Contains(frames[0][2], "sandbox=") {
		t.Fatalf("%d, frames %q, want %s", p.Status, frames, want)
	}
	csp := p.Header.Get("Content-Security-Policy")
	if _, sources, _ := strings.Cut(csp, "frame-src "); sources != "https://app.example" || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %s", csp)
	}
	const back = "https://app.example/?state=s+1"
	if p.Header.Get("Refresh") != "6; url="+back || p.Header.Get("Clear-Site-Data") != `"cache"` {
		t.Errorf("headers %v", p.Header)
	}
	if !strings.Contains(p.Text(), "signed out") || !strings.Contains(p.Text(), "Test application") {
		t.Errorf("%s", p)
	}
	if on := b.Click("Continue to Test application"); on.URL.String() != back {
		t.Errorf("the link leads to %s", on)
	}
	if after := b.Arrive(rp.AuthURL("prompt", "none")); after.Query("error") != "login_required" {
		t.Errorf("prompt=none afterwards: %s", after)
	}

	// By the person, without an application: the same page, and nowhere to go.
	b = a.Browser(t)
	b.Open(rp.AuthURL())
	rp.Exchange(b.Login(a.Person(t)))
	p = b.Post("/logout", url.Values{"answer": {"leave"}})
	if len(reFrame.FindAllString(p.Body, -1)) != 1 || p.Header.Get("Refresh") != "" || strings.Contains(p.Body, "data-onward") {
		t.Errorf("%d %v\n%s", p.Status, p.Header, p.Body)
	}
	if p := b.Reload(); strings.Contains(p.Body, "<iframe") {
		t.Error("a reload says goodbye again")
	}
}

// TestFrontChannel_EveryEndInItsBrowser: whatever page ends the session of its own browser shows the frames,
// and goes on to where it leads (OIDC Front-Channel Logout §3).
func TestFrontChannel_EveryEndInItsBrowser(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{Mail: true})
	rp := a.RP(t, client.Web, apptest.FirstParty, func(m *client.Metadata) { m.FrontchannelLogoutURI = "https://app.example/out" })
	for name, c := range map[string]struct {
		end  func(*apptest.Browser, apptest.Person) *apptest.Page
		onto string
	}{
		"deletion": {func(b *apptest.Browser, _ apptest.Person) *apptest.Page {
			b.Open("/account/delete")
			b.Fill("sure", "yes")
			return b.Click("Delete account")
		}, "/account/deleted"},
		"leaving the deletion as it is": {func(b *apptest.Browser, person apptest.Person) *apptest.Page {
			if _, err := a.Accounts.GiveUp(t.Context(), person.ID); err != nil { // by whoever ends no session with it
				t.Fatal(err)
			}
			at(t, b.Open("/account"), 200, "/restore")
			return b.Click("answer=leave")
		}, "/account/deleted"},
		"reset": {func(b *apptest.Browser, person apptest.Person) *apptest.Page {
			b.Open("/forgot")
			b.Submit(url.Values{"identifier": {person.Email}})
			at(t, b.Fill("code", a.MailCode(t, person.Email)).Submit(nil), 200, "/reset")
			return b.Fill("password", newPassword).Submit(nil)
		}, "/login"},
	} {
		b, person := a.Browser(t), a.Person(t)
		b.Open(rp.AuthURL())
		rp.Exchange(b.Login(person))
		p := c.end(b, person)
		_, to, _ := strings.Cut(p.Header.Get("Refresh"), "6; url=")
		if frames := reFrame.FindAllString(p.Body, -1); p.Status != http.StatusOK || len(frames) != 1 || !strings.Contains(frames[0], `src="https://app.example/out"`) {
			t.Errorf("%s: %d, frames %q\n%s", name, p.Status, frames, p)
			continue
		}
		at(t, b.Click("Continue"), 200, c.onto)
		if u, err := url.Parse(to); err != nil || u.Path != b.Page.URL.Path {
			t.Errorf("%s: goes on to %q by itself", name, to)
		}
		if p := b.Arrive(rp.AuthURL("prompt", "none")); p.Query("error") != "login_required" {
			t.Errorf("%s: still signed in: %s", name, p)
		}
	}
}

// receiver is an application that is told through the back channel.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	got []map[string]any // claims
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	rec := &receiver{}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := r.PostFormValue("logout_token")
		if len(r.PostForm) != 1 || token == "" {
			t.Errorf("posted %v", r.PostForm)
			return
		}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.got = append(rec.got, apptest.Claims(t, token))
		w.Header().Set("Cache-Control", "no-store")
	}))
	t.Cleanup(rec.Close)
	return rec
}

// claims waits for so many notices.
func (rec *receiver) claims(t *testing.T, n int) []map[string]any {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		rec.mu.Lock()
		got := rec.got
		rec.mu.Unlock()
		if len(got) >= n {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d notices arrived, want %d", len(got), n)
		}
	}
}

func backChannel(uri string) func(*client.Metadata) {
	return func(m *client.Metadata) {
		m.BackchannelLogoutURI, m.BackchannelLogoutSession, m.FirstParty = uri, true, true
	}
}

// TestConformance_BackChannelLogout: the browser goes back at once, and the notice arrives with the
// subject and session of the ID token (OIDC Back-Channel Logout §2.4, §2.5).
func TestConformance_BackChannelLogout(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rec := newReceiver(t)
		rp := a.RP(t, client.Web, backChannel(rec.URL+"/backchannel_logout"))
		b := a.Browser(t)
		b.Open(rp.AuthURL())
		tokens := rp.Exchange(b.Login(a.Person(t)))
		known := apptest.Claims(t, tokens.IDToken)
		p := b.Arrive(a.URL + "/oauth2/logout?" + url.Values{
			"id_token_hint": {tokens.IDToken}, "post_logout_redirect_uri": {"https://app.example/"}, "state": {"x"}}.Encode())
		if p.URL.String() != "https://app.example/?state=x" {
			t.Errorf("led to %s", p)
		}
		m := rec.claims(t, 1)[0]
		events, _ := m["events"].(map[string]any)
		if m["sub"] != known["sub"] || m["sid"] != known["sid"] || m["iss"] != a.URL || m["aud"] != string(rp.ID) || m["jti"] == "" || m["nonce"] != nil ||
			len(events) != 1 || events["http://schemas.openid.net/event/backchannel-logout"] == nil {
			t.Errorf("%v, ID token %v", m, known)
		}
		if after := b.Arrive(rp.AuthURL("prompt", "none")); after.Query("error") != "login_required" {
			t.Errorf("prompt=none afterwards: %s", after)
		}
		delivered(t, a, 1)
	})
}

// delivered waits until so many notices are noted as taken, and none waits.
func delivered(t *testing.T, a *apptest.App, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		list, err := a.Outbox.Tallies(t.Context(), logout.Kind)
		if err != nil {
			t.Fatal(err)
		}
		var all outbox.Tally
		for _, one := range list {
			all.Done, all.Pending, all.Dead = all.Done+one.Done, all.Pending+one.Pending, all.Dead+one.Dead
		}
		if all.Done == n && all.Pending == 0 && all.Dead == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, want %d delivered", all, n)
		}
	}
}

// TestLogout_EveryEndIsTold: applications hear of a session that ends by whatever its owner or an
// operator does, and of one whose browser or place somebody else takes.
func TestLogout_EveryEndIsTold(t *testing.T) {
	t.Parallel()
	const next = "maple-quarry-telegraph"
	for name, c := range map[string]struct {
		change func(*config.Config)
		end    func(t *testing.T, a *apptest.App, rp *apptest.RP, b *apptest.Browser, p apptest.Person)
	}{
		"signed out by the person": {nil, func(_ *testing.T, _ *apptest.App, _ *apptest.RP, b *apptest.Browser, _ apptest.Person) {
			b.Post("/logout", url.Values{"answer": {"leave"}})
		}},
		"ended from another browser": {nil, func(t *testing.T, a *apptest.App, _ *apptest.RP, _ *apptest.Browser, p apptest.Person) {
			other := a.Browser(t)
			other.Open("/account/sessions")
			other.Login(p)
			other.Post("/account/sessions", url.Values{"all": {"others"}})
		}},
		"password changed elsewhere": {nil, func(t *testing.T, a *apptest.App, _ *apptest.RP, _ *apptest.Browser, p apptest.Person) {
			other := a.Browser(t)
			other.Open("/account/password")
			other.Login(p)
			other.Submit(url.Values{"current": {p.Password}, "password": {next}})
		}},
		"somebody else signs in": {nil, func(t *testing.T, a *apptest.App, rp *apptest.RP, b *apptest.Browser, _ apptest.Person) {
			b.Open(rp.AuthURL("prompt", "login"))
			b.Login(a.Person(t))
		}},
		"too many sessions": {func(c *config.Config) { c.Sessions.PerAccount = 1 }, func(t *testing.T, a *apptest.App, _ *apptest.RP, _ *apptest.Browser, p apptest.Person) {
			a.Clock.Advance(time.Second)
			other := a.Browser(t)
			other.Open("/account")
			other.Login(p)
		}},
		"consent taken back": {nil, func(_ *testing.T, _ *apptest.App, rp *apptest.RP, b *apptest.Browser, _ apptest.Person) {
			b.Post("/account/applications", url.Values{"client": {string(rp.ID)}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := apptest.Start(t, apptest.Options{Config: c.change})
			rec := newReceiver(t)
			rp := a.RP(t, client.Web, backChannel(rec.URL))
			p := a.Person(t)
			b := a.Browser(t)
			b.Open(rp.AuthURL())
			known := apptest.Claims(t, rp.Exchange(b.Login(p)).IDToken)
			c.end(t, a, rp, b, p)
			if m := rec.claims(t, 1); m[0]["sid"] != known["sid"] || m[0]["sub"] != known["sub"] {
				t.Errorf("%v, want %v", m, known)
			}
			delivered(t, a, 1)
		})
	}
}

// TestConformance_SessionManagement: what the frame compares is what the browser holds, and changes
// with the sign-out (OIDC Session Management §2, §3).
func TestConformance_SessionManagement(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{})
	rp := a.RP(t, client.Web, apptest.FirstParty)
	b, person := a.Browser(t), a.Person(t)
	b.Open(rp.AuthURL())
	landed := b.Login(person)
	first := landed.Query("session_state")
	tokens := rp.Exchange(landed)
	unchanged := func(sessionState string) bool {
		_, salt, _ := strings.Cut(sessionState, ".")
		sum := sha256.Sum256([]byte(string(rp.ID) + " https://app.example " + b.Cookies()["signet_state"] + " " + salt))
		return sessionState == base64.RawURLEncoding.EncodeToString(sum[:])+"."+salt
	}
	if first == "" || !unchanged(first) {
		t.Fatalf("session_state %q, cookies %v", first, b.Cookies())
	}
	again := b.Arrive(rp.AuthURL("prompt", "none"))
	if !unchanged(first) || !unchanged(again.Query("session_state")) || again.Query("session_state") == first {
		t.Errorf("silent renewal: %s", again)
	}
	b.Arrive(a.URL + "/oauth2/logout?id_token_hint=" + tokens.IDToken)
	if unchanged(first) || b.Cookies()["signet_state"] != "" {
		t.Error("nothing changes with the sign-out")
	}
	refused := b.Arrive(rp.AuthURL("prompt", "none"))
	if refused.Query("error") != "login_required" || refused.Query("session_state") != "" {
		t.Errorf("%s", refused)
	}
	b.Open(rp.AuthURL())
	if next := b.Login(person).Query("session_state"); unchanged(first) || !unchanged(next) {
		t.Error("the next session looks like the one before")
	}
	b.SetCookie("signet_state", "lost")
	if p := b.Arrive(rp.AuthURL("prompt", "none")); !unchanged(p.Query("session_state")) {
		t.Errorf("the browser does not get its state back: %s", p)
	}
	a.Clock.Advance(a.Cfg.Sessions.Absolute + time.Minute)
	if p := b.Arrive(rp.AuthURL("prompt", "none")); p.Query("error") != "login_required" || b.Cookies()["signet_state"] != "" {
		t.Errorf("the state outlives its session: %s, %v", p, b.Cookies())
	}

	get := func(path string) (*http.Response, string) {
		resp, err := a.Client().Get(a.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
		}
		return resp, string(body)
	}
	_, text := get("/.well-known/openid-configuration")
	var meta map[string]any
	if err := json.Unmarshal([]byte(text), &meta); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"frontchannel_logout_supported", "frontchannel_logout_session_supported", "backchannel_logout_supported", "backchannel_logout_session_supported"} {
		if meta[name] != true {
			t.Errorf("%s is %v", name, meta[name])
		}
	}
	iframe, _ := meta["check_session_iframe"].(string)
	path, ok := strings.CutPrefix(iframe, a.URL)
	if !ok || meta["end_session_endpoint"] != a.URL+"/oauth2/logout" {
		t.Fatalf("check_session_iframe %q, end_session_endpoint %v", iframe, meta["end_session_endpoint"])
	}
	for _, query := range []string{"", "?x=%41"} { // the short way through the door, and the whole way
		resp, body := get(path + query)
		csp := resp.Header.Get("Content-Security-Policy")
		if resp.Header.Get("X-Frame-Options") != "" || !strings.Contains(csp, "frame-ancestors *") || !strings.Contains(csp, "default-src 'none'; script-src 'self'") ||
			len(resp.Cookies()) != 0 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%v", resp.Header)
		}
		src := regexp.MustCompile(`<script src="([^"]+)">`).FindStringSubmatch(body)
		if len(src) != 2 {
			t.Fatalf("%s", body)
		}
		if resp, script := get(src[1]); !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/javascript") || !strings.Contains(script, "signet_state") {
			t.Errorf("%v %s", resp.Header, script)
		}
	}
}

// TestLogout_SwitchedOff: what the configuration takes away is gone everywhere.
func TestLogout_SwitchedOff(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, apptest.Options{Config: func(c *config.Config) { c.OAuth.SessionManagement, c.OAuth.FrontchannelLogout = false, false }})
	rp := a.RP(t, client.Web, apptest.FirstParty, func(m *client.Metadata) { m.FrontchannelLogoutURI = "https://app.example/out" })
	b := a.Browser(t)
	b.Open(rp.AuthURL())
	landed := b.Login(a.Person(t))
	if landed.Query("session_state") != "" || b.Cookies()["signet_state"] != "" {
		t.Errorf("%s %v", landed, b.Cookies())
	}
	if p := b.Post("/logout", url.Values{"answer": {"leave"}}); strings.Contains(p.Body, "<iframe") || p.URL.Path != "/logged-out" {
		t.Errorf("%s", p)
	}
	resp, err := a.Client().Get(a.URL + "/oauth2/session")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("the frame is there: %d", resp.StatusCode)
	}
}
