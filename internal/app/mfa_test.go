package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
	"signet/internal/platform/seal"
	"signet/internal/platform/store/storetest"
	"signet/internal/server"
)

// phone is an authenticator app.
type phone struct {
	t      testing.TB
	a      *apptest.App
	secret string
}

func (ph *phone) code(steps int) string {
	ph.t.Helper()
	c, err := totp.GenerateCode(strings.ReplaceAll(ph.secret, " ", ""), ph.a.Clock.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		ph.t.Fatal(err)
	}
	return c
}

// wrong is a code of none of the steps around now.
func (ph *phone) wrong() string {
	for _, c := range []string{"000000", "111111", "222222", "333333", "444444", "555555"} {
		if !strings.Contains(ph.code(-2)+" "+ph.code(-1)+" "+ph.code(0)+" "+ph.code(1)+" "+ph.code(2), c) {
			return c
		}
	}
	ph.t.Fatal("no wrong code")
	return ""
}

// withPhone gives the person an authenticator app, and moves on to a time whose codes are unused.
func withPhone(t testing.TB, a *apptest.App, p apptest.Person) *phone {
	t.Helper()
	e, err := a.MFA.BeginTOTP(t.Context(), p.ID, "test", p.Email)
	if err != nil {
		t.Fatal(err)
	}
	ph := &phone{t, a, e.Secret.Reveal()}
	if err := a.MFA.ConfirmTOTP(t.Context(), p.ID, e.ID, "test", seal.Secret(ph.code(0))); err != nil {
		t.Fatal(err)
	}
	a.Clock.Advance(2 * time.Minute)
	return ph
}

// typed sends a code on the page of the second factor.
func typed(b *apptest.Browser, code string, more ...string) *apptest.Page {
	v := url.Values{"code": {code}}
	for _, m := range more {
		v.Set(m, "1")
	}
	return b.Submit(v)
}

func at(t testing.TB, p *apptest.Page, status int, suffix string) *apptest.Page {
	t.Helper()
	if p.Status != status || !strings.HasSuffix(p.URL.Path, suffix) {
		t.Fatalf("want %d at %s, got\n%s", status, suffix, p)
	}
	return p
}

// Security case MF-11: acr and amr say what happened, on each path.
func TestMFA_TokensSayWhatHappened(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp, person := a.RP(t, client.Web, apptest.FirstParty), a.Person(t)
		says := func(p *apptest.Page, acr string, amr ...string) {
			t.Helper()
			claims := apptest.Claims(t, rp.Exchange(p).IDToken)
			var got []string
			for _, m := range claims["amr"].([]any) {
				got = append(got, m.(string))
			}
			if diff := cmp.Diff(amr, got); diff != "" || claims["acr"] != acr {
				t.Errorf("acr %v, amr %v: %s", claims["acr"], got, diff)
			}
		}
		b := a.Browser(t)
		b.Open(rp.AuthURL())
		says(b.Login(person), "urn:signet:acr:1fa", "pwd")

		// Setting one up proves nothing about the sign-in before it.
		ph := withPhone(t, a, person)
		says(b.Open(rp.AuthURL()), "urn:signet:acr:1fa", "pwd")

		b = a.Browser(t)
		b.Open(rp.AuthURL())
		at(t, b.Login(person), 200, "/mfa")
		says(typed(b, ph.code(0), "trust"), "urn:signet:acr:2fa", "pwd", "otp", "mfa")

		// A remembered browser is no factor.
		b.Open("/logout")
		b.Click("Sign out")
		b.Open(rp.AuthURL())
		says(b.Login(person), "urn:signet:acr:1fa", "pwd")
	})
}

// Security case MF-01: guesses share one budget, in series, at once, in new sign-ins, on two
// instances and after a restart; neither a new flow nor the right password refills it.
func TestMFA_GuessesShareOneBudget(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, one *apptest.App) {
		two := one.StartSecond(t)
		person := one.Person(t)
		ph := withPhone(t, one, person)
		pages := make([]*apptest.Browser, 12)
		for i := range pages {
			pages[i] = one.Browser(t)
			pages[i].Open("/login")
			if i%2 == 1 {
				pages[i].Use(two)
			}
			at(t, pages[i].Login(person), 200, "/mfa")
		}
		wrong := ph.wrong()
		var mu sync.Mutex
		got := map[int]int{}
		var wg sync.WaitGroup
		for _, b := range pages {
			wg.Go(func() {
				p := typed(b, wrong)
				mu.Lock()
				defer mu.Unlock()
				got[p.Status]++
				if p.Status == http.StatusTooManyRequests && p.Header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
			})
		}
		wg.Wait()
		if got[401] != 5 || got[429] != 7 {
			t.Errorf("statuses %v", got)
		}
		// Another flow, the right password, another instance, later started: nothing was reset.
		three := one.StartSecond(t)
		b := one.Browser(t)
		b.Use(three)
		b.Open("/login")
		at(t, b.Login(person), 200, "/mfa")
		at(t, typed(b, wrong), 429, "/mfa")
		at(t, typed(b, ph.code(0)), 429, "/mfa")
		one.Clock.Advance(5 * time.Minute)
		at(t, typed(b, ph.code(0)), 200, "/account")
	})
}

// NIST SP 800-63B-4 §3.2.2: whatever time they take, wrong codes in a row come to an end, and
// there is a way out.
func TestMFA_LockedAppHasAWayOut(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		ph := withPhone(t, a, person)
		codes, err := a.MFA.NewRecoveryCodes(t.Context(), person.ID)
		if err != nil {
			t.Fatal(err)
		}
		b := a.Browser(t)
		var p *apptest.Page
		for n := 0; ; n++ {
			if n%20 == 0 { // a journey lasts half an hour
				b.Open("/login")
				b.Login(person)
			}
			a.Clock.Advance(time.Minute)
			if p = typed(b, ph.wrong()); strings.Contains(p.Text(), "locked") {
				break
			}
			if p.Status != 401 || n > 100 {
				t.Fatalf("guess %d:\n%s", n, p)
			}
		}
		a.Clock.Advance(time.Minute)
		if p := at(t, typed(b, ph.code(0)), 401, "/mfa"); !strings.Contains(p.Text(), "recovery code unlocks") || !strings.Contains(p.Text(), "administrators") {
			t.Errorf("no way out is written:\n%s", p)
		}
		b.Click("Use a recovery code")
		at(t, b.Submit(url.Values{"recovery_code": {codes[0].Reveal()}}), 200, "/account")
		b = a.Browser(t)
		b.Open("/login")
		b.Login(person)
		at(t, typed(b, ph.code(0)), 200, "/account")
	})
}

// Security case MF-02: one code, one success: in another sign-in, on another instance, at once, for
// a step-up.
func TestMFA_CodeWorksOnce(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, one *apptest.App) {
		two := one.StartSecond(t)
		person := one.Person(t)
		ph := withPhone(t, one, person)
		pages := make([]*apptest.Browser, 4)
		for i := range pages {
			pages[i] = one.Browser(t)
			pages[i].Use([]*apptest.App{one, two}[i%2])
			pages[i].Open("/login")
			at(t, pages[i].Login(person), 200, "/mfa")
		}
		code := ph.code(0)
		var mu sync.Mutex
		var in []*apptest.Browser
		var wg sync.WaitGroup
		for _, b := range pages {
			wg.Go(func() {
				p := typed(b, code)
				mu.Lock()
				defer mu.Unlock()
				if p.URL.Path == "/account" {
					in = append(in, b)
				} else if p.Status != 401 || !strings.Contains(p.Text(), "used already") {
					t.Errorf("lost with\n%s", p)
				}
			})
		}
		wg.Wait()
		if len(in) != 1 {
			t.Fatalf("%d signed in", len(in))
		}
		one.Clock.Advance(5 * time.Minute)
		code = ph.code(0)
		late := one.Browser(t)
		late.Open("/login")
		late.Login(person)
		at(t, typed(late, code), 200, "/account")
		// The same code raises no other session either, and changes no factor.
		one.Clock.Advance(6 * time.Minute)
		in[0].Open("/account/security/totp")
		at(t, in[0].Login(person), 200, "/mfa")
		code = ph.code(0)
		at(t, typed(in[0], code), 200, "/account/security/totp")
		other := one.Browser(t)
		other.Open("/login")
		other.Login(person)
		if p := typed(other, code); !strings.Contains(p.Text(), "used already") {
			t.Errorf("a code of a step-up signs in:\n%s", p)
		}
	})
}

// Security case MF-04: after the password alone there is no session. Every page but the second
// factor's refuses, whatever the browser asks for.
func TestMFA_HalfASignInIsNone(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		rp, person := a.RP(t, client.Web), a.Person(t)
		withPhone(t, a, person)
		b := a.Browser(t)
		b.Open(rp.AuthURL())
		p := at(t, b.Login(person), 200, "/mfa")
		journey := strings.TrimSuffix(p.URL.Path, "/mfa")
		if a.Count(t, "session") != 0 || b.Cookies()["signet_session"] != "" {
			t.Fatal("there is a session")
		}
		for _, r := range a.Routes() {
			if r.Area != server.Browser || r.Path == "/account/deleted" { // which says goodbye to whoever asks
				continue
			}
			switch {
			case strings.HasPrefix(r.Path, "/account"):
				path := strings.NewReplacer("{provider}", "x", "{passkey}", "x", "{id}", "x").Replace(r.Path)
				if r.Method == http.MethodGet {
					p = b.Open(path)
				} else {
					p = b.Post(path, url.Values{"act": {"begin"}, "code": {"123456"}})
				}
				if p.Status == 200 && !strings.HasSuffix(p.URL.Path, "/login") {
					t.Errorf("%s %s answers\n%s", r.Method, r.Path, p)
				}
			case strings.HasPrefix(r.Path, "/signin/{journey}/"):
				step := strings.TrimPrefix(r.Path, "/signin/{journey}")
				if step == "/cancel" || step == "/logout" || strings.HasPrefix(step, "/mfa") {
					continue
				}
				path := strings.NewReplacer("{provider}", "x").Replace(journey + step)
				if r.Method == http.MethodGet {
					p = b.Open(path)
				} else {
					p = b.Post(path, url.Values{"answer": {"allow"}, "seen": {""}, "act": {"begin"}, "code": {"123456"}, "account": {"seen"}})
				}
				if p.Left() && p.Query("code") != "" {
					t.Fatalf("%s %s gave the application a code", r.Method, r.Path)
				}
			}
		}
		if p := b.Open(rp.AuthURL("prompt", "none")); p.Query("error") != "login_required" {
			t.Errorf("prompt=none:\n%s", p)
		}
		if a.Count(t, "session") != 0 || a.Count(t, "consent") != 0 || a.Count(t, "one_time") != 1 { // the enrolment of the phone
			t.Errorf("%d sessions, %d consents, %d one-time things", a.Count(t, "session"), a.Count(t, "consent"), a.Count(t, "one_time"))
		}
		// Neither a restart of the journey nor another language skips the step.
		b.Open(rp.AuthURL("ui_locales", "ko"))
		p = at(t, b.Login(person), 200, "/mfa")
		b.Post("/locale", url.Values{"locale": {"en"}, "return": {p.URL.Path}})
		at(t, b.Open(strings.TrimSuffix(p.URL.Path, "/mfa")), 200, "/mfa")
		at(t, b.Open(strings.TrimSuffix(p.URL.Path, "/mfa")+"/consent"), 200, "/mfa")
	})
}

// Security case MF-07, RFC 9470: what the application asks for is measured by the events of the
// session, and what is missing is asked for.
func TestMFA_StepUp(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		plain := a.RP(t, client.Web, apptest.FirstParty)
		strict := a.RP(t, client.Web, apptest.FirstParty, func(m *client.Metadata) { m.RequireMFA = true })
		ph := withPhone(t, a, person)

		b := a.Browser(t)
		b.Open("/login")
		b.Login(person)
		typed(b, ph.code(0), "trust")
		b.Open("/logout")
		b.Click("Sign out")
		b.Open("/login")
		at(t, b.Login(person), 200, "/account") // remembered: one factor

		a.Clock.Advance(time.Minute)
		p := at(t, b.Open(plain.AuthURL("acr_values", "urn:signet:acr:2fa")), 200, "/mfa")
		if !strings.Contains(p.Text(), "asks for two factors") {
			t.Errorf("the page does not say why it asks:\n%s", p)
		}
		if p := b.Tab().Open(plain.AuthURL("acr_values", "urn:signet:acr:2fa", "prompt", "none")); p.Query("error") != "login_required" {
			t.Errorf("prompt=none:\n%s", p)
		}
		at(t, b.Open(strict.AuthURL()), 200, "/mfa")
		claims := apptest.Claims(t, strict.Exchange(typed(b, ph.code(0))).IDToken)
		if claims["acr"] != "urn:signet:acr:2fa" {
			t.Errorf("acr %v", claims["acr"])
		}
		// Raised once, it is good for the next application too.
		if p := b.Open(plain.AuthURL("acr_values", "urn:signet:acr:2fa")); !p.Left() || p.Query("code") == "" {
			t.Errorf("a raised session:\n%s", p)
		}
		// A code of the app is not what phr asks for.
		p = b.Open(plain.AuthURL("acr_values", "phr"))
		if p.Left() || !strings.HasSuffix(p.URL.Path, "/enroll") || !strings.Contains(p.Text(), "only a passkey") || p.Has("act") {
			t.Errorf("phr:\n%s", p)
		}
		if p := b.Post(p.URL.Path, url.Values{"act": {"begin"}}); p.Element("key") != "" || p.Left() {
			t.Errorf("an app is set up where a passkey is asked for:\n%s", p)
		}
	})
}

// Security case MF-08: what protects an account is changed only by who has just proven it.
func TestMFA_ChangesNeedTheSecondFactor(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		ph := withPhone(t, a, person)
		weak := a.Browser(t)
		weak.Open("/login")
		weak.Login(person)
		typed(weak, ph.code(0), "trust")
		weak.Open("/logout")
		weak.Click("Sign out")
		weak.Open("/login")
		at(t, weak.Login(person), 200, "/account") // one factor, in a remembered browser
		a.Clock.Advance(time.Minute)
		for _, path := range []string{"/account/security/totp", "/account/security/recovery-codes"} {
			for _, act := range []string{"begin", "remove", ""} {
				p := weak.Post(path, url.Values{"act": {act}})
				if !strings.HasSuffix(p.URL.Path, "/mfa") {
					t.Errorf("%s %q with one factor:\n%s", path, act, p)
				}
			}
		}
		has, err := a.MFA.Of(t.Context(), person.ID)
		if err != nil || !has.TOTP || has.RecoveryLeft != 0 {
			t.Errorf("%+v, %v", has, err)
		}
		p := at(t, weak.Open("/account/security/totp"), 200, "/mfa")
		if !strings.Contains(p.Text(), "what protects your account") {
			t.Errorf("the page does not say why it asks:\n%s", p)
		}
		at(t, typed(weak, ph.code(0)), 200, "/account/security/totp")
		// Two factors of a while ago are not enough.
		a.Clock.Advance(11 * time.Minute)
		at(t, weak.Post("/account/security/totp", url.Values{"act": {"remove"}}), 200, "/login")
		at(t, weak.Login(person), 200, "/mfa")
		at(t, typed(weak, ph.code(0)), 200, "/account/security/totp")
		at(t, weak.Click("act=remove"), 200, "/account/security")
		if has, err := a.MFA.Of(t.Context(), person.ID); err != nil || has.Any() {
			t.Errorf("%+v, %v", has, err)
		}
		if !strings.Contains(weak.Page.Text(), "The authenticator app is removed.") {
			t.Errorf("nobody is told:\n%s", weak.Page)
		}
	})
}

// Security case MF-09: the secret belongs to one set-up in one session and is gone after it.
func TestMFA_SetUpInTheAccount(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		b := a.Browser(t)
		b.Open("/account/security")
		b.Login(person)
		p := at(t, b.Click("/account/security/totp"), 200, "/account/security/totp")
		if p.Element("key") != "" {
			t.Error("a secret before one was asked for")
		}
		old := at(t, b.Click("act=begin"), 200, "/account/security/totp").Element("key")
		b.Open("/account/security/totp")
		p = at(t, b.Click("act=begin"), 200, "/account/security/totp")
		ph := &phone{t, a, p.Element("key")}
		setup := p.URL.RequestURI()
		if ph.secret == old || len(strings.ReplaceAll(ph.secret, " ", "")) != 32 {
			t.Fatalf("keys %q and %q", old, ph.secret)
		}
		if !strings.Contains(p.Body, `role="img" aria-label="QR code with the key below"`) {
			t.Error("no QR code with a name")
		}
		if p := b.Reload(); p.Element("key") != ph.secret {
			t.Errorf("a reload of the page shows\n%s", p)
		}
		thief := a.Browser(t)
		thief.Open("/login")
		thief.Login(person)
		if p := thief.Open(setup); p.Element("key") != "" {
			t.Error("another session sees the secret")
		}
		thief.Post("/account/security/totp", url.Values{"setup": {p.URL.Query().Get("setup")}, "code": {ph.code(0)}})
		at(t, typed(b, (&phone{t, a, old}).code(0)), 401, "/account/security/totp")
		if has, err := a.MFA.Of(t.Context(), person.ID); err != nil || has.Any() {
			t.Fatalf("set up by a code of another secret or in another session: %+v, %v", has, err)
		}
		p = at(t, typed(b, ph.code(0)), 200, "/account/security/totp")
		codes := strings.Fields(p.Element("codes"))
		if len(codes) != 10 || p.Element("key") != "" {
			t.Fatalf("%d recovery codes\n%s", len(codes), p)
		}
		if !strings.Contains(p.Body, "data:text/plain;charset=utf-8,") || !strings.Contains(p.Body, `download="recovery-codes.txt"`) {
			t.Error("the codes cannot be downloaded")
		}
		for _, path := range []string{setup, "/account/security/totp", "/account/security/recovery-codes", "/account/security"} {
			body := b.Open(path).Body
			if strings.Contains(body, ph.secret) || strings.Contains(body, strings.ReplaceAll(ph.secret, " ", "")) || strings.Contains(body, codes[0]) {
				t.Errorf("%s shows a secret again", path)
			}
		}
		for _, secret := range append(codes, strings.ReplaceAll(ph.secret, " ", ""), ph.secret) {
			if strings.Contains(a.Logged(), secret) {
				t.Error("a secret is in the log")
			}
		}
		if mails := a.Mails(t, person.Email); len(mails) == 0 || mails[len(mails)-1].Kind != "notice_factor_added" {
			t.Errorf("mails %+v", mails)
		}
		next := a.Browser(t)
		next.Open("/login")
		at(t, next.Login(person), 200, "/mfa")
	})
}

// Another language or other colours in the middle of a set-up, or of a sign-in, change nothing of it.
func TestMFA_LanguageKeepsThePlace(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		b := a.Browser(t)
		b.Open("/account/security/totp")
		b.Login(person)
		key := b.Click("act=begin").Element("key")
		for _, press := range []string{"locale=ko", "theme=dark"} {
			if p := at(t, b.Click(press), 200, "/account/security/totp"); p.Element("key") != key || !strings.Contains(p.Text(), "인증 앱") {
				t.Errorf("%s:\n%s", press, p)
			}
		}
		ph := &phone{t, a, key}
		at(t, typed(b, ph.code(0)), 200, "/account/security/totp")
		a.Clock.Advance(time.Minute)
		b = a.Browser(t)
		b.Open("/login")
		b.Login(person)
		b.Fill("trust", "1")
		p := at(t, b.Click("locale=ko"), 200, "/mfa")
		if !strings.Contains(p.Text(), "30일 동안") || !strings.Contains(p.Body, `name="trust" value="1" checked`) {
			t.Errorf("what was ticked is gone:\n%s", p.Body)
		}
		at(t, b.Click("복구 코드 사용"), 200, "/mfa/recovery")
		at(t, b.Click("locale=en"), 200, "/mfa/recovery")
		b.Click("/mfa")
		at(t, typed(b, ph.code(0)), 200, "/account")
	})
}

// Twenty at once confirm one set-up: one set of recovery codes is shown, and it is the one that works.
func TestMFA_SetUpTwentyAtOnce(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		b := a.Browser(t)
		b.Open("/account/security/totp")
		b.Login(person)
		p := b.Click("act=begin")
		ph := &phone{t, a, p.Element("key")}
		setup, code := p.URL.Query().Get("setup"), ph.code(0)
		var mu sync.Mutex
		var shown []string
		var wg sync.WaitGroup
		for range 20 {
			tab := b.Tab()
			wg.Go(func() {
				p := tab.Post("/account/security/totp", url.Values{"setup": {setup}, "code": {code}})
				mu.Lock()
				defer mu.Unlock()
				if codes := p.Element("codes"); codes != "" {
					shown = append(shown, strings.Fields(codes)[0])
				}
			})
		}
		wg.Wait()
		if len(shown) != 1 {
			t.Fatalf("%d sets were shown", len(shown))
		}
		if _, err := a.MFA.UseRecoveryCode(t.Context(), person.ID, seal.Secret(shown[0])); err != nil {
			t.Error(err)
		}
	})
}

// Security case MF-10: a remembered browser is a row that belongs to one person in one browser.
func TestMFA_RememberedBrowser(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		alice, bob := a.Person(t), a.Person(t)
		ph := withPhone(t, a, alice)
		his := withPhone(t, a, bob)
		const chrome = "Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36"
		asked := func(b *apptest.Browser, p apptest.Person) bool {
			t.Helper()
			b.Open("/logout")
			if b.Page.Has("account") || strings.HasSuffix(b.Page.URL.Path, "/logout") {
				b.Post("/logout", url.Values{})
			}
			b.Open("/login")
			return strings.HasSuffix(b.Login(p).URL.Path, "/mfa")
		}
		b := a.Browser(t)
		b.UserAgent = chrome
		b.Open("/login")
		p := at(t, b.Login(alice), 200, "/mfa")
		if !strings.Contains(p.Text(), "Remember this browser for 30 days") {
			t.Errorf("the box does not say its length:\n%s", p)
		}
		at(t, typed(b, ph.code(0), "trust"), 200, "/account")
		if asked(b, alice) {
			t.Error("asked in a remembered browser")
		}
		cookie := b.Cookies()["signet_device"]
		if cookie == "" || strings.Contains(cookie, string(alice.ID)) {
			t.Errorf("cookie %q", cookie)
		}

		stolen := a.Browser(t)
		stolen.UserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
		stolen.SetCookie("signet_device", cookie)
		if !asked(stolen, alice) {
			t.Error("a copied cookie is good in another browser")
		}
		forged := a.Browser(t)
		forged.SetCookie("signet_device", cookie[:len(cookie)-2]+"xy")
		if !asked(forged, alice) {
			t.Error("a forged cookie is good")
		}
		if !asked(b, bob) {
			t.Error("somebody else is not asked in this browser")
		}
		at(t, typed(b, his.code(0)), 200, "/account")
		if asked(b, alice) {
			t.Error("asked again after somebody else used the browser")
		}

		// The list has it, and what is forgotten there is forgotten.
		p = b.Open("/account/security/browsers")
		if !strings.Contains(p.Text(), "Chrome on Windows") || !strings.Contains(p.Text(), "Remembered") {
			t.Errorf("the list:\n%s", p)
		}
		id := p.Value("browser")
		foreign := a.Browser(t)
		foreign.Open("/login")
		foreign.Login(bob)
		a.Clock.Advance(time.Minute)
		typed(foreign, his.code(0))
		foreign.Post("/account/security/browsers", url.Values{"browser": {id}})
		if asked(b, alice) {
			t.Error("somebody else revoked it")
		}
		b.Open("/account/security/browsers")
		at(t, b.Submit(url.Values{"browser": {id}}), 200, "/account/security/browsers")
		if !asked(b, alice) {
			t.Error("remembered after it was revoked")
		}

		// A change of password forgets it, and so does its time.
		a.Clock.Advance(time.Minute)
		typed(b, ph.code(0), "trust")
		b.Open("/account/password")
		next := "another fjord without lamps"
		at(t, b.Submit(url.Values{"current": {alice.Password}, "password": {next}}), 200, "/account/password")
		alice.Password = next
		if !asked(b, alice) {
			t.Error("remembered after a change of password")
		}
		a.Clock.Advance(time.Minute)
		typed(b, ph.code(0), "trust")
		other := a.Browser(t)
		other.Open("/login")
		other.Login(alice)
		a.Clock.Advance(time.Minute)
		typed(other, ph.code(0))
		other.Post("/account/sessions", url.Values{"all": {"others"}})
		if !asked(b, alice) {
			t.Error("remembered after all other sessions were ended")
		}
		a.Clock.Advance(time.Minute)
		typed(b, ph.code(0), "trust")
		a.Clock.Advance(30*24*time.Hour - time.Minute)
		if asked(b, alice) {
			t.Error("asked within the time")
		}
		a.Clock.Advance(time.Minute)
		if !asked(b, alice) {
			t.Error("remembered after its time")
		}
	})
}

// Where a second factor is required, everybody sets one up before anything else, and is led through it.
func TestMFA_RequiredSetsOneUp(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		for name, by := range map[string]func(*config.Config, *client.Metadata){
			"service":     func(c *config.Config, _ *client.Metadata) { c.MFA.Mode = "required" },
			"application": func(_ *config.Config, m *client.Metadata) { m.RequireMFA = true },
		} {
			t.Run(string(e)+" "+name, func(t *testing.T) {
				t.Parallel()
				meta := client.Metadata{}
				a := apptest.Start(t, apptest.Options{Engine: e, Config: func(c *config.Config) { by(c, &meta) }})
				rp, person := a.RP(t, client.Web, func(m *client.Metadata) { m.RequireMFA = meta.RequireMFA }), a.Person(t)
				if name == "application" {
					by(a.Cfg, &meta)
					rp = a.RP(t, client.Web, func(m *client.Metadata) { m.RequireMFA = true })
				}
				b := a.Browser(t)
				b.Open(rp.AuthURL())
				p := at(t, b.Login(person), 200, "/enroll")
				if name == "service" && (a.Count(t, "session") != 0 || !strings.Contains(p.Text(), "asks everybody")) {
					t.Errorf("%d sessions\n%s", a.Count(t, "session"), p)
				}
				p = at(t, b.Click("act=begin"), 200, "/enroll")
				ph := &phone{t, a, p.Element("key")}
				at(t, typed(b, ph.wrong()), 401, "/enroll")
				if b.Page.Element("key") != ph.secret {
					t.Error("a wrong code takes the key from the page")
				}
				p = at(t, typed(b, ph.code(0)), 200, "/enroll")
				codes := strings.Fields(p.Element("codes"))
				if len(codes) != 10 {
					t.Fatalf("%d recovery codes", len(codes))
				}
				at(t, b.Click("I have kept them"), 200, "/consent")
				claims := apptest.Claims(t, rp.Exchange(b.Click("answer=allow")).IDToken)
				if claims["acr"] != "urn:signet:acr:2fa" {
					t.Errorf("acr %v", claims["acr"])
				}
				// From now on the code is asked for; the last factor cannot go where one is required.
				a.Clock.Advance(time.Minute)
				next := a.Browser(t)
				next.Open("/account/security/totp")
				at(t, next.Login(person), 200, "/mfa")
				p = at(t, typed(next, ph.code(0)), 200, "/account/security/totp")
				gone := next.Post("/account/security/totp", url.Values{"act": {"remove"}})
				if has, err := a.MFA.Of(t.Context(), person.ID); err != nil || has.TOTP != (name == "service") {
					t.Errorf("%+v, %v\n%s", has, err, gone)
				}
				if name == "service" && (gone.Status != 422 || !strings.Contains(p.Text(), "requires a second factor")) {
					t.Errorf("the reason is not given:\n%s", gone)
				}
			})
		}
	}
}

// Off means that nobody is asked, and nobody is led to set one up.
func TestMFA_Off(t *testing.T) {
	t.Parallel()
	off := apptest.Options{Config: func(c *config.Config) { c.MFA.Mode = "off" }}
	apptest.Each(t, off, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		withPhone(t, a, person)
		b := a.Browser(t)
		b.Open("/login")
		at(t, b.Login(person), 200, "/account")
		b.Open("/account/security")
		at(t, b.Click("/account/security/totp"), 200, "/account/security/totp")
		at(t, b.Click("act=remove"), 200, "/account/security")
		if strings.Contains(b.Page.Body, `href="/account/security/totp"`) {
			t.Error("an authenticator app is offered where none is asked for")
		}
	})
}

// Security case RS-11: a recovery code is good for one sign-in, guesses are few, nobody sees it
// again, a new set makes the old one worthless, and its owner hears of each use.
func TestMFA_RecoveryCodes(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		ph := withPhone(t, a, person)
		b := a.Browser(t)
		b.Open("/account/security/recovery-codes")
		b.Login(person)
		p := at(t, typed(b, ph.code(0)), 200, "/account/security/recovery-codes")
		if !strings.Contains(p.Text(), "You have no recovery codes") {
			t.Errorf("%s", p)
		}
		old := strings.Fields(at(t, b.Click("Make new codes"), 200, "/account/security/recovery-codes").Element("codes"))
		codes := strings.Fields(b.Post("/account/security/recovery-codes", url.Values{}).Element("codes"))
		if len(old) != 10 || len(codes) != 10 || !strings.Contains(b.Page.Text(), "earlier codes have stopped") {
			t.Fatalf("%d and %d codes\n%s", len(old), len(codes), b.Page)
		}
		if p := b.Open("/account/security/recovery-codes"); strings.Contains(p.Body, codes[0]) || !strings.Contains(p.Text(), "10 codes are left") {
			t.Errorf("%s", p)
		}

		enter := func(code string) *apptest.Page {
			t.Helper()
			x := a.Browser(t)
			x.Open("/login")
			at(t, x.Login(person), 200, "/mfa")
			at(t, x.Click("Use a recovery code"), 200, "/mfa/recovery")
			return x.Submit(url.Values{"recovery_code": {code}})
		}
		at(t, enter(" "+strings.ToUpper(codes[0])+" "), 200, "/account")
		if p := at(t, enter(codes[0]), 401, "/recovery"); !strings.Contains(p.Text(), "used already") {
			t.Errorf("a second time:\n%s", p)
		}
		at(t, enter(old[1]), 401, "/recovery")

		// Fifty at once, in sign-ins of their own: one of them has it.
		a.Clock.Advance(15 * time.Minute)
		var mu sync.Mutex
		in := 0
		tabs := make([]*apptest.Browser, 10)
		for i := range tabs {
			tabs[i] = a.Browser(t)
			tabs[i].Open("/login")
			tabs[i].Login(person)
			tabs[i].Click("Use a recovery code")
		}
		var wg sync.WaitGroup
		for _, x := range tabs {
			wg.Go(func() {
				p := x.Submit(url.Values{"recovery_code": {codes[2]}})
				mu.Lock()
				defer mu.Unlock()
				if p.URL.Path == "/account" {
					in++
				}
			})
		}
		wg.Wait()
		if in != 1 {
			t.Errorf("%d signed in", in)
		}

		a.Clock.Advance(15 * time.Minute)
		limited := 0
		for range 8 {
			if enter("0000-0000-0000-0000-0000-0000").Status == 429 {
				limited++
			}
		}
		if limited != 3 {
			t.Errorf("%d of 8 guesses were limited", limited)
		}
		used := 0
		for _, m := range a.Mails(t, person.Email) {
			if m.Kind == "notice_recovery_code" {
				used++
			}
			if strings.Contains(m.Text+m.HTML, codes[0]) {
				t.Error("a code is in a mail")
			}
		}
		if used != 2 {
			t.Errorf("%d notices of two uses", used)
		}
		for _, c := range append(old, codes...) {
			if strings.Contains(a.Logged(), c) {
				t.Error("a code is in the log")
			}
		}
	})
}

// Security case MF-12: a code by mail is one factor, whatever was proven before it.
func TestMFA_CodeByMailIsNoSecondFactor(t *testing.T) {
	t.Parallel()
	byMail := apptest.Options{Mail: true, Config: func(c *config.Config) { c.Login.MailCode = true }}
	apptest.Each(t, byMail, func(t *testing.T, a *apptest.App) {
		strict := a.RP(t, client.Web, apptest.FirstParty, func(m *client.Metadata) { m.RequireMFA = true })
		alice, bob := a.Person(t), a.Person(t)
		ph := withPhone(t, a, alice)
		mailed := func(b *apptest.Browser, p apptest.Person) *apptest.Page {
			t.Helper()
			b.Click("/mail-code")
			b.Submit(url.Values{"identifier": {p.Email}})
			return b.Submit(url.Values{"code": {a.MailCode(t, p.Email)}})
		}
		b := a.Browser(t)
		b.Open("/login")
		at(t, mailed(b, alice), 200, "/mfa")
		if a.Count(t, "session") != 0 {
			t.Error("a session without the second factor")
		}
		at(t, typed(b, ph.code(0)), 200, "/account")

		// Password and mail are not two factors.
		b = a.Browser(t)
		b.Open("/login")
		at(t, b.Login(bob), 200, "/account")
		b.Open(strict.AuthURL("prompt", "login"))
		p := mailed(b, bob)
		if p.Left() || !strings.HasSuffix(p.URL.Path, "/enroll") {
			t.Errorf("password and mail:\n%s", p)
		}
	})
}
