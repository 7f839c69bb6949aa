package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/identity/account"
	"signet/internal/oauth/client"
)

const newPassword = "quilted-marmalade-tram"

// forget asks for a reset on the way to where the browser goes.
func forget(t testing.TB, b *apptest.Browser, name string) *apptest.Page {
	t.Helper()
	at(t, b.Click("/forgot"), 200, "/forgot")
	return at(t, b.Submit(url.Values{"identifier": {name}}), 200, "/reset")
}

func hasMail(mails []apptest.Mail, kind string) bool {
	return slices.ContainsFunc(mails, func(m apptest.Mail) bool { return m.Kind == kind })
}

// kindOf returns the newest mail of a kind.
func kindOf(t testing.TB, a *apptest.App, to, kind string) apptest.Mail {
	t.Helper()
	for _, m := range slices.Backward(a.Mails(t, to)) {
		if m.Kind == kind {
			return m
		}
	}
	t.Fatalf("no %s mail to %s", kind, to)
	return apptest.Mail{}
}

// Security cases RS-05 and RS-06: a reset leaves the second factor, and nothing else that was open.
func TestReset_WholeWayWithASecondFactor(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		rp, person := a.RP(t, client.Web, apptest.FirstParty), a.Person(t)
		ph := withPhone(t, a, person)
		other := a.Browser(t)
		other.Open(rp.AuthURL())
		other.Login(person)
		tokens := rp.Exchange(typed(other, ph.code(0), "trust"))
		a.Clock.Advance(2 * time.Minute)

		b := a.Browser(t)
		b.Open(rp.AuthURL())
		forget(t, b, person.Email)
		// Asking changes nothing (RS-08).
		if p := other.Open("/account/sessions"); p.Status != 200 || !strings.HasSuffix(p.URL.Path, "/sessions") {
			t.Errorf("signed out by a mere request:\n%s", p)
		}
		at(t, b.Submit(url.Values{"code": {a.MailCode(t, person.Email)}}), 200, "/reset")
		if b.Cookies()["signet_session"] != "" {
			t.Error("the code of a reset signed in")
		}
		at(t, b.Submit(url.Values{"password": {"short"}}), 422, "/reset")
		at(t, b.Submit(url.Values{"password": {newPassword}}), 200, "/login")

		if p := other.Open("/account/sessions"); !strings.HasSuffix(p.URL.Path, "/login") {
			t.Errorf("another browser is still signed in:\n%s", p)
		}
		if r := rp.Refresh(tokens.RefreshToken); r.Error != "invalid_grant" {
			t.Errorf("refresh: %d %s", r.Status, r.Body)
		}
		if m := rp.Introspect(tokens.AccessToken); m["active"] != false {
			t.Errorf("access token: %v", m)
		}
		if p := b.Submit(url.Values{"identifier": {person.Email}, "password": {person.Password}}); p.Status != http.StatusUnauthorized {
			t.Errorf("the old password:\n%s", p)
		}
		person.Password = newPassword
		at(t, b.Login(person), 200, "/mfa") // the second factor is asked for as ever
		if rp.Exchange(typed(b, ph.code(0))).IDToken == "" {
			t.Error("not back at the application")
		}
		// The remembered browser is remembered no more.
		other.Open(rp.AuthURL())
		at(t, other.Login(person), 200, "/mfa")
		if !hasMail(a.Mails(t, person.Email), "notice_password") {
			t.Error("the owner was not told")
		}
	})
}

// Security cases SU-12 and RS-04: opening a link, however often, does nothing; the token leaves the
// address at once; the button works in any browser.
func TestReset_LinkInAnotherBrowser(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person, b := a.Person(t), a.Browser(t)
		b.Open("/login")
		forget(t, b, person.Email)
		link := a.MailLink(t, person.Email)
		for _, method := range []string{http.MethodHead, http.MethodGet, http.MethodHead, http.MethodGet, http.MethodGet} {
			req, _ := http.NewRequestWithContext(t.Context(), method, link, nil)
			resp, err := a.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/m" {
				t.Errorf("%s: %s to %s", method, resp.Status, resp.Header.Get("Location"))
			}
		}
		phone := a.Browser(t)
		phone.Open(link)
		p := at(t, phone.Reload(), 200, "/m")
		if p.URL.String() != a.URL+"/m" || p.Header.Get("Referrer-Policy") == "" || strings.Contains(p.Body, "sgn_mail_") {
			t.Errorf("the token is still to be seen at %s", p.URL)
		}
		at(t, phone.Click("Continue"), 200, "/reset")
		// The code of the same mail is spent.
		at(t, b.Submit(url.Values{"code": {a.MailCode(t, person.Email)}}), 422, "/reset")
		at(t, phone.Submit(url.Values{"password": {newPassword}}), 200, "/login")
		at(t, phone.Open(link), 404, "/m")
		person.Password = newPassword
		b.Open("/login")
		at(t, b.Login(person), 200, "/account")
		if strings.Contains(a.Logged(), "sgn_mail_") {
			t.Error("a token is in the log")
		}
	})
}

// In the browser where it was asked for, the link goes on to the application.
func TestReset_LinkWhereItBegan(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		rp, person, b := a.RP(t, client.Web, apptest.FirstParty), a.Person(t), a.Browser(t)
		b.Open(rp.AuthURL())
		forget(t, b, person.Email)
		b.Open(a.MailLink(t, person.Email))
		b.Click("Continue")
		at(t, b.Submit(url.Values{"password": {newPassword}}), 200, "/login")
		person.Password = newPassword
		if rp.Exchange(b.Login(person)).IDToken == "" {
			t.Error("not back at the application")
		}
	})
}

// Security cases LG-03 and SU-03: the answers to known and unknown names are the same, byte for byte
// but for what is the journey's own, at every step; and mail goes to the registered address alone.
func TestForgot_LooksAlike(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true, Config: func(c *config.Config) { c.Login.MailCode = true }}, func(t *testing.T, a *apptest.App) {
		known, off := a.Person(t), a.Person(t)
		if err := a.Accounts.Disable(t.Context(), off.ID); err != nil {
			t.Fatal(err)
		}
		unproven, err := a.Accounts.Create(t.Context(), account.NewAccount{Email: "unproven@example.com", Password: "violet-harbour-lantern", Source: "signup"})
		if err != nil {
			t.Fatal(err)
		}
		var first []string
		for _, name := range []string{known.Email, strings.ToUpper(known.Email), "stranger@example.com", "stranger", off.Email, unproven.Email} {
			var seen []string
			for _, way := range []string{"/forgot", "/mail-code"} {
				b := a.Browser(t)
				p := b.Open("/login")
				journey := strings.Split(p.URL.Path, "/")[2]
				plain := func(p *apptest.Page) string {
					body := strings.ReplaceAll(p.Body, journey, "JOURNEY")
					return p.Header.Get("Set-Cookie") + strings.ReplaceAll(p.URL.Path, journey, "JOURNEY") + "\n" + body
				}
				b.Click(way)
				seen = append(seen, plain(b.Submit(url.Values{"identifier": {name}})))
				seen = append(seen, plain(b.Submit(url.Values{"code": {"1"}})))
				seen = append(seen, plain(b.Click("Send another email")))
				for range 4 {
					b.Submit(url.Values{"code": {"12345678"}})
				}
				seen = append(seen, plain(b.Submit(url.Values{"code": {"1"}})))
			}
			if first == nil {
				first = seen
			}
			for i := range seen {
				if seen[i] != first[i] {
					t.Errorf("%s, step %d:\n%s\nbut for a known name\n%s", name, i, seen[i], first[i])
				}
			}
			a.Mails(t, known.Email) // delivered before they are too old
			a.Clock.Advance(time.Hour)
		}
		for to, want := range map[string]int{known.Email: 8, "stranger@example.com": 0, off.Email: 0, unproven.Email: 0, strings.ToUpper(known.Email): 0} {
			if n := len(a.Mails(t, to)); n != want {
				t.Errorf("%d mails to %s, want %d", n, to, want)
			}
		}
	})
}

// Security case LG-03: nor do they take longer. Statements are counted where they are made (account's
// TestAskReset_NobodyIsTheSameWork); here the whole request is timed, coarsely, for machines are busy.
func TestForgot_KnownAndUnknownTakeAlike(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		took := map[bool][]time.Duration{}
		for i := range 24 {
			known, name := i%2 == 0, "stranger"+string(rune('a'+i))+"@example.com"
			if known {
				name = a.Person(t).Email
			}
			b := a.Browser(t)
			b.Open("/forgot")
			began := time.Now()
			at(t, b.Submit(url.Values{"identifier": {name}}), 200, "/reset")
			took[known] = append(took[known], time.Since(began))
		}
		for _, list := range took {
			slices.Sort(list)
		}
		if k, u := took[true][6], took[false][6]; k > 4*u || u > 4*k {
			t.Errorf("known %v, unknown %v", k, u)
		}
	})
}

// Security case RS-02: links lead to the configured address, whatever a request says about hosts.
func TestForgot_ForgedHosts(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person, b := a.Person(t), a.Browser(t)
		b.Open("/login")
		p := b.Click("/forgot")
		post := func(change func(*http.Request)) int {
			body := url.Values{"identifier": {person.Email}}.Encode()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL.String(), strings.NewReader(body))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Sec-Fetch-Site", "same-origin")
			for name, value := range b.Cookies() {
				req.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			change(req)
			resp, err := a.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		if s := post(func(r *http.Request) { r.Host = "evil.example" }); s != http.StatusMisdirectedRequest {
			t.Errorf("forged Host: %d", s)
		}
		for name, value := range map[string]string{
			"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example;proto=https", "X-Original-Host": "evil.example",
		} {
			if s := post(func(r *http.Request) { r.Header.Set(name, value) }); s != http.StatusSeeOther {
				t.Errorf("%s: %d", name, s)
			}
		}
		mails := a.Mails(t, person.Email)
		if len(mails) != 3 {
			t.Errorf("%d mails", len(mails))
		}
		for _, m := range mails {
			if !strings.HasPrefix(m.Link(), a.URL+"/m/") || strings.Contains(m.Text+m.HTML, "evil") {
				t.Errorf("%s leads to %s", m.Kind, m.Link())
			}
		}
	})
}

// Security cases RS-09 and MF-04: no page of the way may be used without the step before it.
func TestReset_ForcedBrowsing(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person, b := a.Person(t), a.Browser(t)
		b.Open("/login")
		journey := strings.TrimSuffix(b.Page.URL.Path, "/login")
		at(t, b.Open(journey+"/reset"), 200, "/forgot")
		at(t, b.Post(journey+"/reset", url.Values{"password": {newPassword}}), 200, "/forgot")
		at(t, b.Post(journey+"/reset/again", nil), 200, "/forgot")
		at(t, b.Submit(url.Values{"identifier": {person.Email}}), 200, "/reset")
		at(t, b.Post(journey+"/reset", url.Values{"password": {newPassword}}), 422, "/reset") // no code yet
		at(t, b.Open(journey+"/mail-code/enter"), 404, "/enter")                              // not offered here
		at(t, b.Post(journey+"/reset", url.Values{"code": {a.MailCode(t, person.Email)}}), 200, "/reset")
		// What was proven belongs to this browser.
		if p := a.Browser(t).Open(journey + "/reset"); p.Status != http.StatusForbidden {
			t.Errorf("in another browser:\n%s", p)
		}
		// It does not outlive a sign-in, by whomever.
		tab := b.Tab()
		tab.Open(journey + "/login")
		tab.Login(a.Person(t))
		if p := b.Post(journey+"/reset", url.Values{"password": {newPassword}}); p.Status == http.StatusOK && strings.HasSuffix(p.URL.Path, "/login") {
			t.Errorf("the proof outlived a sign-in:\n%s", p)
		}
		b.SetCookie("signet_session", "")
		b.Open("/login")
		at(t, b.Login(person), 200, "/account") // the password is the old one
	})
}

// Security case RS-03: of many who choose a new password with one proof, one does.
func TestReset_TwentyAtOnce(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person, b := a.Person(t), a.Browser(t)
		b.Open("/login")
		forget(t, b, person.Email)
		b.Submit(url.Values{"code": {a.MailCode(t, person.Email)}})
		var wg sync.WaitGroup
		for i := range 20 {
			tab := b.Tab()
			wg.Go(func() {
				tab.Post(b.Page.URL.Path, url.Values{"password": {newPassword + string(rune('a'+i))}})
			})
		}
		wg.Wait()
		works := 0
		for i := range 20 {
			person.Password = newPassword + string(rune('a'+i))
			c := a.Browser(t)
			c.Open("/login")
			if c.Login(person).Status == http.StatusOK {
				works++
			}
			a.Clock.Advance(15 * time.Minute)
		}
		n := 0
		for _, m := range a.Mails(t, person.Email) {
			if m.Kind == "notice_password" {
				n++
			}
		}
		if works != 1 || n != 1 {
			t.Errorf("%d of the passwords work, %d notices", works, n)
		}
	})
}

// Who is signed in, perhaps as somebody else, can choose a new password as well.
func TestReset_WhileSignedIn(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person, another, b := a.Person(t), a.Person(t), a.Browser(t)
		b.Open("/account/password")
		b.Login(person)
		at(t, b.Open("/account/password"), 200, "/account/password")
		forget(t, b, person.Email)
		b.Submit(url.Values{"code": {a.MailCode(t, person.Email)}})
		at(t, b.Submit(url.Values{"password": {newPassword}}), 200, "/login")
		person.Password = newPassword
		at(t, b.Login(person), 200, "/account")

		at(t, b.Open("/forgot"), 200, "/forgot")
		at(t, b.Submit(url.Values{"identifier": {another.Email}}), 200, "/reset")
		b.Open(a.MailLink(t, another.Email))
		at(t, b.Click("Continue"), 200, "/reset")
		at(t, b.Submit(url.Values{"password": {newPassword}}), 200, "/login")
		another.Password = newPassword
		at(t, b.Login(another), 200, "/account")
	})
}

func TestForgot_WithoutMail(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		b := a.Browser(t)
		b.Open("/login")
		if p := at(t, b.Click("/forgot"), 200, "/forgot"); !strings.Contains(p.Body, "administrators") {
			t.Errorf("a dead end:\n%s", p)
		}
		at(t, b.Post(b.Page.URL.Path, url.Values{"identifier": {"x"}}), 200, "/forgot")
	})
}

// A code by mail is one factor, in its journey alone.
func TestMailCode_SignsInWithOneFactor(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true, Config: func(c *config.Config) { c.Login.MailCode = true }}, func(t *testing.T, a *apptest.App) {
		rp, person, b := a.RP(t, client.Web, apptest.FirstParty), a.Person(t), a.Browser(t)
		b.Open(rp.AuthURL())
		b.Click("/mail-code")
		at(t, b.Submit(url.Values{"identifier": {person.Email}}), 200, "/enter")
		link := a.MailLink(t, person.Email)
		// Security case MF-12: in another browser the link says where to go, and does nothing.
		elsewhere := a.Browser(t)
		if p := elsewhere.Open(link); p.Status != 200 || !strings.Contains(p.Body, "Go back to where you began") {
			t.Errorf("elsewhere:\n%s", p)
		}
		at(t, elsewhere.Post("/m", nil), 200, "/m")
		if elsewhere.Cookies()["signet_session"] != "" {
			t.Error("signed in elsewhere")
		}
		p := b.Submit(url.Values{"code": {a.MailCode(t, person.Email)}})
		claims := apptest.Claims(t, rp.Exchange(p).IDToken)
		if claims["acr"] != "urn:signet:acr:1fa" || claims["sub"] != string(person.ID) {
			t.Errorf("claims %v", claims)
		}
		// By the link, where it began; and whoever has a second factor is asked for it.
		ph := withPhone(t, a, person)
		c := a.Browser(t)
		c.Open(rp.AuthURL())
		c.Click("/mail-code")
		c.Submit(url.Values{"identifier": {person.Email}})
		c.Open(a.MailLink(t, person.Email))
		at(t, c.Click("Sign in"), 200, "/mfa")
		claims = apptest.Claims(t, rp.Exchange(typed(c, ph.code(0))).IDToken)
		if claims["acr"] != "urn:signet:acr:2fa" {
			t.Errorf("claims %v", claims)
		}
	})
}

// Security case SU-08, as a person sees it.
func TestAddress_ChangeAndUndoInBrowsers(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		rp, person, b := a.RP(t, client.Web, apptest.FirstParty), a.Person(t), a.Browser(t)
		b.Open(rp.AuthURL())
		tokens := rp.Exchange(b.Login(person))
		a.Clock.Advance(11 * time.Minute)
		at(t, b.Open("/account/address"), 200, "/login") // an older sign-in is renewed first
		at(t, b.Login(person), 200, "/account/address")
		tokens = rp.Refresh(tokens.RefreshToken)
		at(t, b.Submit(url.Values{"email": {"not an address"}}), 422, "/account/address")
		at(t, b.Submit(url.Values{"email": {person.Email}}), 422, "/account/address")
		at(t, b.Submit(url.Values{"email": {"new@example.com"}}), 200, "/address/code")
		at(t, b.Submit(url.Values{"code": {"1"}}), 422, "/address/code")
		if info := rp.Userinfo(tokens.AccessToken).JSON(t); info["email"] != person.Email {
			t.Errorf("before the proof: %v", info)
		}
		at(t, b.Submit(url.Values{"code": {a.MailCode(t, "new@example.com")}}), 200, "/account/profile")
		if info := rp.Userinfo(tokens.AccessToken).JSON(t); info["email"] != "new@example.com" || info["email_verified"] != true {
			t.Errorf("after it: %v", info)
		}
		if !hasMail(a.Mails(t, "new@example.com"), "notice_address") {
			t.Error("the new address was not told")
		}
		undo := kindOf(t, a, person.Email, "address_changed").Link()
		owner := a.Browser(t)
		owner.Open(undo)
		owner.Open(undo)
		at(t, owner.Click("Take it back"), 200, "/reset")
		if p := b.Open("/account"); !strings.HasSuffix(p.URL.Path, "/login") {
			t.Errorf("still signed in:\n%s", p)
		}
		if r := rp.Refresh(tokens.RefreshToken); r.Error != "invalid_grant" {
			t.Errorf("refresh: %d %s", r.Status, r.Body)
		}
		// The reset that follows goes to the old address.
		at(t, owner.Submit(url.Values{"code": {a.MailCode(t, person.Email)}}), 200, "/reset")
		at(t, owner.Submit(url.Values{"password": {newPassword}}), 200, "/login")
		person.Password = newPassword
		at(t, owner.Login(person), 200, "/account")
		at(t, owner.Open(undo), 404, "/m")
	})
}

// The link to a new address counts only for who asked, signed in.
func TestAddress_LinkNeedsWhoAsked(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		thief, victim := a.Person(t), a.Person(t)
		b := a.Browser(t)
		b.Open("/account/address")
		b.Login(thief)
		at(t, b.Submit(url.Values{"email": {"victims.other@example.com"}}), 200, "/address/code")
		link := a.MailLink(t, "victims.other@example.com")
		v := a.Browser(t)
		v.Open("/account")
		v.Login(victim)
		v.Open(link)
		at(t, v.Click("Confirm"), 403, "/m")
		s := a.Browser(t)
		s.Open(link)
		at(t, s.Click("Confirm"), 200, "/login")
		at(t, s.Login(thief), 200, "/m") // back at the button
		at(t, s.Click("Confirm"), 200, "/account/profile")
		acc, err := a.Accounts.ByID(t.Context(), thief.ID)
		if err != nil || acc.Email != "victims.other@example.com" {
			t.Errorf("%q, %v", acc.Email, err)
		}
	})
}

// "It was not me" ends everything, once, and leads to a new password.
func TestNotMe_EndsEverything(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		rp, person, thief := a.RP(t, client.Web, apptest.FirstParty), a.Person(t), a.Browser(t)
		thief.Open(rp.AuthURL())
		tokens := rp.Exchange(thief.Login(person))
		notice := kindOf(t, a, person.Email, "notice_sign_in")
		owner := a.Browser(t)
		for range 3 {
			owner.Open(notice.Link())
		}
		if p := thief.Open("/account"); p.Status != 200 || !strings.HasSuffix(p.URL.Path, "/account") {
			t.Errorf("opening the link did something:\n%s", p)
		}
		at(t, owner.Click("It was not me: sign out everything"), 200, "/reset")
		if p := thief.Open("/account"); !strings.HasSuffix(p.URL.Path, "/login") {
			t.Errorf("still signed in:\n%s", p)
		}
		if r := rp.Refresh(tokens.RefreshToken); r.Error != "invalid_grant" {
			t.Errorf("refresh: %d %s", r.Status, r.Body)
		}
		at(t, owner.Submit(url.Values{"code": {a.MailCode(t, person.Email)}}), 200, "/reset")
		at(t, owner.Submit(url.Values{"password": {newPassword}}), 200, "/login")
		at(t, owner.Open(notice.Link()), 404, "/m")
	})
}

// Whoever has changed the address gets neither the mail for a new password when the owner says that it
// was not them, nor an alarm of their own once the change is taken back.
func TestNotMe_AddressChangedSince(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person, thief, owner := a.Person(t), a.Browser(t), a.Browser(t)
		thief.Open("/account/address")
		thief.Login(person)
		at(t, thief.Submit(url.Values{"email": {"thief@example.com"}}), 200, "/address/code")
		at(t, thief.Submit(url.Values{"code": {a.MailCode(t, "thief@example.com")}}), 200, "/account/profile")
		owner.Open(kindOf(t, a, person.Email, "notice_sign_in").Link())
		p := owner.Click("It was not me: sign out everything")
		if at(t, p, 200, "/m"); !strings.Contains(p.Text(), "address was changed") {
			t.Errorf("the owner is not told where to go:\n%s", p)
		}
		if p := thief.Open("/account"); !strings.HasSuffix(p.URL.Path, "/login") {
			t.Errorf("still signed in:\n%s", p)
		}
		theirs := a.Mails(t, "thief@example.com")
		if hasMail(theirs, "reset") {
			t.Error("a mail for a new password went to the thief")
		}
		owner.Open(kindOf(t, a, person.Email, "address_changed").Link())
		at(t, owner.Click("Take it back"), 200, "/reset")
		at(t, thief.Open(kindOf(t, a, "thief@example.com", "notice_address").Link()), 404, "/m")
	})
}

// Security case SU-15, and what a person can take along.
func TestData_ExportDeleteRestore(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		rp, person, b := a.RP(t, client.Web), a.Person(t), a.Browser(t)
		withPhone(t, a, person)
		if _, err := a.MFA.Reset(t.Context(), person.ID); err != nil {
			t.Fatal(err)
		}
		b.Open(rp.AuthURL())
		b.Login(person)
		tokens := rp.Exchange(b.Click("answer=allow"))
		b.Open("/account/activity")
		if !strings.Contains(b.Page.Body, "Signed in with a password") || !strings.Contains(b.Page.Body, "Allowed ") {
			t.Errorf("activity:\n%s", b.Page)
		}
		b.Open("/account/data")
		p := b.Click("Download my data")
		if p.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(p.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("download: %v", p.Header)
		}
		for _, want := range []string{person.Email, person.Name, `"sessions"`, `"session.start"`, `"client_id": "` + string(rp.ID), `"user_agent"`} {
			if !strings.Contains(p.Body, want) {
				t.Errorf("no %s in the download", want)
			}
		}
		for _, secret := range []string{"argon2", "sgn_", person.Password, `"seed`} {
			if strings.Contains(p.Body, secret) {
				t.Errorf("%s is in the download", secret)
			}
		}

		b.Open("/account/delete")
		at(t, b.Click("Delete account"), 422, "/account/delete")
		b.Fill("sure", "yes")
		at(t, b.Click("Delete account"), 200, "/account/deleted")
		if r := rp.Refresh(tokens.RefreshToken); r.Error != "invalid_grant" {
			t.Errorf("refresh: %d %s", r.Status, r.Body)
		}
		if info := rp.Userinfo(tokens.AccessToken); info.Status != http.StatusUnauthorized {
			t.Errorf("userinfo: %d", info.Status)
		}
		if !hasMail(a.Mails(t, person.Email), "notice_deletion") {
			t.Error("the owner was not told")
		}
		// Signing in leads to the question, and to nothing else before its answer.
		b.Open(rp.AuthURL())
		at(t, b.Login(person), 200, "/restore")
		at(t, b.Open("/account"), 200, "/restore")
		if p := b.Open(rp.AuthURL("prompt", "none")); p.Query("code") != "" {
			t.Errorf("a code for an account that was given up:\n%s", p)
		}
		at(t, b.Open("/account"), 200, "/restore")
		at(t, b.Click("answer=keep"), 200, "/account")
		b.Open(rp.AuthURL())
		if rp.Exchange(b.Page).IDToken == "" {
			t.Error("a kept account does not work")
		}

		b.Open("/account/delete")
		b.Fill("sure", "yes")
		b.Click("Delete account")
		a.Clock.Advance(a.Cfg.Accounts.DeletionGrace + time.Second)
		if _, err := a.Accounts.DeleteDue(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		b.Open("/login")
		if p := b.Login(person); p.Status != http.StatusUnauthorized {
			t.Errorf("after the end:\n%s", p)
		}
		again, err := a.Accounts.Create(t.Context(), account.NewAccount{Email: person.Email, EmailVerified: true, Password: newPassword, Source: "cli"})
		if err != nil || again.ID == person.ID {
			t.Fatalf("%q %v", again.ID, err)
		}
		if list, err := a.Engine.Applications(t.Context(), again.ID); err != nil || len(list) != 0 {
			t.Errorf("applications of the old account: %v, %v", list, err)
		}
	})
}
