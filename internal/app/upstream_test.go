package app_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/identity/account"
	"signet/internal/identity/federation/federationtest"
	"signet/internal/oauth/client"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/platform/store/storetest"
)

// world is an application with two upstream providers, which are one server: "corp" by OpenID
// Connect and "hub" as GitHub. Whoever goes there is ada@corp.example.
type world struct {
	*apptest.App
	t  *testing.T
	op *federationtest.OP
}

const ada = "ada@corp.example"

func eachWorld(t *testing.T, change func(*config.Config), fn func(t *testing.T, w *world)) {
	t.Helper()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, op: federationtest.New(t)}
			w.App = apptest.Start(t, apptest.Options{Engine: e, Mail: true, Config: func(c *config.Config) {
				c.Upstreams = []config.Upstream{
					{Name: "corp", Label: "Corp", Kind: "oidc", Issuer: w.op.URL, ClientID: federationtest.ClientID, ClientSecret: federationtest.ClientSecret, TrustEmail: true},
					{Name: "hub", Label: "Hub", Kind: "github", BaseURL: w.op.URL, ClientID: federationtest.ClientID, ClientSecret: federationtest.ClientSecret, TrustEmail: true},
				}
				if change != nil {
					change(c)
				}
			}})
			w.op.Change(func(o *federationtest.OP) { o.Now = w.Clock.Now })
			fn(t, w)
		})
	}
}

// browser also walks the provider.
func (w *world) browser() *apptest.Browser {
	return apptest.NewBrowser(w.t, w.URL, w.Client(), w.op.URL)
}

// says replaces what the provider says of the person.
func (w *world) says(claims map[string]any) {
	w.op.Change(func(o *federationtest.OP) { o.Userinfo = claims })
}

// person makes an account with a password.
func (w *world) person(email string) apptest.Person {
	w.t.Helper()
	p := apptest.Person{Email: email, Name: "Ada", Password: "violet-harbour-lantern"}
	a, err := w.Accounts.Create(w.t.Context(), account.NewAccount{Email: email, EmailVerified: true, Password: seal.Secret(p.Password), Profile: account.Profile{Name: p.Name}, Source: "cli"})
	if err != nil {
		w.t.Fatal(err)
	}
	p.ID = a.ID
	return p
}

// through presses the button of a provider and comes back.
func (w *world) through(b *apptest.Browser, provider string) *apptest.Page {
	w.t.Helper()
	p := w.leave(b, provider)
	if p.Status != 200 || !strings.HasPrefix(p.Header.Get("Refresh"), "0; url="+w.op.URL+"/") {
		w.t.Fatalf("the way to %s: %s", provider, p)
	}
	p = b.Click("Continue to " + provider)
	if p.Header.Get("Refresh") != "" { // before it leads on to the application
		p = b.Click("Continue")
	}
	return p
}

// leave presses the button of a provider.
func (w *world) leave(b *apptest.Browser, provider string) *apptest.Page {
	w.t.Helper()
	button := "Continue with " + provider
	if strings.Contains(b.Page.Text(), button+" Last used") {
		button += " Last used"
	}
	return b.Click(button)
}

func (w *world) links(user id.User) int {
	w.t.Helper()
	list, err := w.Upstreams.List(w.t.Context(), user)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(list)
}

func (w *world) nobodyIsIn(b *apptest.Browser) {
	w.t.Helper()
	if n := w.Count(w.t, "session"); n != 0 || b.Cookies()["signet_session"] != "" {
		w.t.Errorf("%d sessions", n)
	}
}

// A person who was never here gets an account, once, whatever their address is later.
func TestUpstream_NewPerson(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		rp := w.RP(t, client.Web, apptest.FirstParty)
		var subs []any
		for range 2 {
			b := w.browser()
			b.Open(rp.AuthURL())
			tokens := rp.Exchange(w.through(b, "Corp"))
			claims := apptest.Claims(t, tokens.IDToken)
			if diff := cmp.Diff([]any{"fed"}, claims["amr"]); diff != "" || claims["acr"] != "urn:signet:acr:1fa" {
				t.Errorf("acr %v, amr: %s", claims["acr"], diff)
			}
			if info := rp.Userinfo(tokens.AccessToken).Body; len(subs) == 0 && (!strings.Contains(info, `"email":"ada@corp.example"`) ||
				!strings.Contains(info, `"email_verified":true`) || !strings.Contains(info, `"preferred_username":"ada"`) || !strings.Contains(info, `"name":"Ada Example"`)) {
				t.Error(info)
			}
			subs = append(subs, claims["sub"])
			w.says(map[string]any{"sub": "1234", "email": "other@corp.example", "email_verified": true})
		}
		if subs[0] != subs[1] || w.Count(t, "account") != 1 {
			t.Errorf("%v, %d accounts", subs, w.Count(t, "account"))
		}
		// The same subject at another provider is another person.
		w.op.Change(func(o *federationtest.OP) { o.Emails = []any{} })
		b := w.browser()
		b.Open("/login")
		at(t, w.through(b, "Hub"), 200, "/signup")
	})
}

// What a provider says that our rules do not admit is left out; what the account needs is not.
func TestUpstream_NewPersonWithOddClaims(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		other := w.person("taken@corp.example")
		if err := w.Accounts.SetUsername(t.Context(), other.ID, "ada"); err != nil {
			t.Fatal(err)
		}
		w.says(map[string]any{
			"sub": "1234", "email": ada, "email_verified": true, "preferred_username": "ADA", "name": "Ada\u202eevil", "given_name": strings.Repeat("a", 900),
			"family_name": "Example", "picture": "javascript:alert(1)",
		})
		b := w.browser()
		b.Open("/login")
		at(t, w.through(b, "Corp"), 200, "/account")
		a, err := w.Accounts.ByIdentifier(t.Context(), ada)
		if err != nil || a.Username != "" || a.Profile.Name != "" || a.Profile.GivenName != "" || a.Profile.Picture != "" || a.Profile.FamilyName != "Example" || !a.EmailVerified {
			t.Errorf("%+v %v", a, err)
		}
	})
}

// Security case LK-01: an address, verified or not, signs nobody in and links nothing.
func TestUpstream_AddressAloneOpensNothing(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		victim := w.person(ada)
		if err := w.Accounts.SetUsername(t.Context(), victim.ID, "ada"); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			claims map[string]any
			page   string
		}{
			"verified":      {map[string]any{"sub": "evil", "email": ada, "email_verified": true}, "/login"},
			"other case":    {map[string]any{"sub": "evil", "email": "ADA@Corp.Example", "email_verified": true}, "/login"},
			"not verified":  {map[string]any{"sub": "evil", "email": ada, "email_verified": false}, "/signup"},
			"not said":      {map[string]any{"sub": "evil", "email": ada}, "/signup"},
			"text":          {map[string]any{"sub": "evil", "email": ada, "email_verified": "true"}, "/signup"},
			"null":          {map[string]any{"sub": "evil", "email": ada, "email_verified": nil}, "/signup"},
			"two addresses": {map[string]any{"sub": "evil", "email": ada + ", evil@corp.example", "email_verified": true}, ""},
			"a user name":   {map[string]any{"sub": "evil", "email": "ada", "email_verified": true}, ""},
		} {
			w.op.Change(func(o *federationtest.OP) { o.IDToken = map[string]any{"sub": "evil"} })
			w.says(c.claims)
			b := w.browser()
			b.Open("/login")
			p := w.through(b, "Corp")
			if c.page == "" { // no address at all: there is no account to be had for it
				if p.Status != http.StatusForbidden {
					t.Errorf("%s: %s", name, p)
				}
			} else {
				at(t, p, 200, c.page)
			}
			w.nobodyIsIn(b)
			if w.links(victim.ID) != 0 || w.Count(t, "account") != 1 {
				t.Errorf("%s: linked, or an account was made", name)
			}
		}
	})
}

// The owner proves the account in the same journey, second factor included; only then is it linked.
func TestUpstream_LinkAfterProof(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		rp, person := w.RP(t, client.Web, apptest.FirstParty), w.person(ada)
		ph := withPhone(t, w.App, person)
		b := w.browser()
		b.Open(rp.AuthURL())
		p := at(t, w.through(b, "Corp"), 200, "/login")
		if p.Value("identifier") != ada || !strings.Contains(p.Text(), "There is an account with the address "+ada) {
			t.Errorf("the page does not say what to do: %s", p)
		}
		if strings.Contains(p.Text(), "Continue with Corp") {
			t.Error("it sends back to where they came from")
		}
		at(t, b.Login(person), 200, "/mfa")
		if w.links(person.ID) != 0 {
			t.Fatal("linked after half a proof")
		}
		if p = typed(b, ph.code(0)); !p.Left() || w.links(person.ID) != 1 {
			t.Fatalf("%d links, at %s", w.links(person.ID), p)
		}
		if mails := w.Mails(t, ada); !slices.ContainsFunc(mails, func(m apptest.Mail) bool {
			return m.Kind == "notice_identity_linked" && strings.Contains(m.Text, "Corp")
		}) {
			t.Errorf("nobody was told: %+v", mails)
		}
		// From now on it opens the account, as one factor.
		w.Clock.Advance(2 * time.Minute)
		b = w.browser()
		b.Open(rp.AuthURL())
		at(t, w.through(b, "Corp"), 200, "/mfa")
		claims := apptest.Claims(t, rp.Exchange(typed(b, ph.code(0))).IDToken)
		if claims["sub"] != string(person.ID) || claims["acr"] != "urn:signet:acr:2fa" {
			t.Errorf("%v", claims)
		}
	})
}

// Security case LK-04: what waits for one account is linked to no other, and not after a refusal.
func TestUpstream_LinkIsForTheOwner(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		owner, other := w.person(ada), w.person("eve@corp.example")
		b := w.browser()
		b.Open("/login")
		w.through(b, "Corp")
		b.Login(other)
		if w.links(owner.ID)+w.links(other.ID) != 0 {
			t.Error("linked to somebody else")
		}
		// The wish not to link is respected.
		b = w.browser()
		b.Open("/login")
		w.through(b, "Corp")
		p := b.Click("Do not link it")
		if strings.Contains(p.Text(), "Do not link it") {
			t.Error("the page still offers it")
		}
		at(t, b.Login(owner), 200, "/account")
		if w.links(owner.ID) != 0 {
			t.Error("linked against the owner's will")
		}
		// Half an hour later nothing waits any more.
		b = w.browser()
		b.Open("/login")
		w.through(b, "Corp")
		w.Clock.Advance(31 * time.Minute)
		b.Open("/login")
		b.Login(owner)
		if w.links(owner.ID) != 0 {
			t.Error("linked after its time")
		}
	})
}

// An address that nobody vouches for: sign-up, filled in; its own proof makes it verified.
func TestUpstream_UnverifiedSignsUp(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		w.says(map[string]any{"sub": "1234", "email": ada, "email_verified": false, "name": "Ada Example"})
		b := w.browser()
		b.Open("/login")
		p := at(t, w.through(b, "Corp"), 200, "/signup")
		if p.Value("email") != ada || p.Value("name") != "Ada Example" || !strings.Contains(p.Text(), "sign in to it with Corp") {
			t.Errorf("not filled in: %s", p)
		}
		b.SignUp(apptest.Person{Name: "Ada Example", Email: ada, Password: "violet-harbour-lantern"})
		at(t, b.Page, 200, "/verify")
		if w.Count(t, "upstream_identity") != 0 {
			t.Error("linked before there is an account")
		}
		at(t, b.Submit(url.Values{"code": {w.MailCode(t, ada)}}), 200, "/account")
		if w.Count(t, "upstream_identity") != 1 {
			t.Error("not linked with the new account")
		}
		b = w.browser()
		b.Open("/login")
		at(t, w.through(b, "Corp"), 200, "/account")
	})
}

// The rules of sign-up hold on this way, too.
func TestUpstream_SignUpModes(t *testing.T) {
	t.Parallel()
	off := false
	for name, c := range map[string]struct {
		change  func(*config.Config)
		made    bool
		status  int
		landing string
	}{
		"closed":             {func(c *config.Config) { c.SignUp.Mode = "closed" }, false, 403, "/callback"},
		"invite":             {func(c *config.Config) { c.SignUp.Mode = "invite" }, false, 403, "/callback"},
		"domain of others":   {func(c *config.Config) { c.SignUp.Mode, c.SignUp.Domains = "domains", []string{"other.example"} }, false, 403, "/callback"},
		"domain":             {func(c *config.Config) { c.SignUp.Mode, c.SignUp.Domains = "domains", []string{"corp.example"} }, true, 200, "/account"},
		"not by this one":    {func(c *config.Config) { c.Upstreams[0].Create = &off }, false, 200, "/login"},
		"word without trust": {func(c *config.Config) { c.Upstreams[0].TrustEmail = false }, false, 200, "/signup"},
		"neither":            {func(c *config.Config) { c.Upstreams[0].TrustEmail, c.SignUp.Mode = false, "closed" }, false, 200, "/login"},
		"terms":              {func(c *config.Config) { c.SignUp.TermsVersion = "2026-01" }, true, 200, "/terms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWorld(t, c.change, func(t *testing.T, w *world) {
				b := w.browser()
				b.Open("/login")
				at(t, w.through(b, "Corp"), c.status, c.landing)
				if got := w.Count(t, "account") == 1; got != c.made || w.Count(t, "upstream_identity") != w.Count(t, "account") {
					t.Errorf("%d accounts, %d links", w.Count(t, "account"), w.Count(t, "upstream_identity"))
				}
				if !c.made {
					w.nobodyIsIn(b)
				}
			})
		})
	}
}

// People of a routed domain go to their provider; a password, right or wrong, is not looked at.
func TestUpstream_DomainRouting(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(c *config.Config) {
		c.Upstreams[0].Domains, c.Login.MailCode = []string{"corp.example"}, true
	}, func(t *testing.T, w *world) {
		person := w.person(ada)
		for _, typed := range []string{ada, "nobody@CORP.example", "  ada@corp.example "} {
			for _, password := range []string{"", "wrong", person.Password} {
				b := w.browser()
				b.Open("/login")
				p := b.Submit(url.Values{"identifier": {typed}, "password": {password}})
				if p.Status != 200 || !strings.HasPrefix(p.Header.Get("Refresh"), "0; url="+w.op.URL) || !strings.Contains(p.Header.Get("Refresh"), "login_hint=") {
					t.Fatalf("%q stays here: %s", typed, p)
				}
				w.nobodyIsIn(b)
			}
		}
		b := w.browser()
		b.Open("/login")
		if p := b.Submit(url.Values{"identifier": {"ada@sub.corp.example"}, "password": {"wrong"}}); p.Status != http.StatusUnauthorized {
			t.Errorf("another domain: %s", p)
		}
		// Whoever comes from there and has to prove the account here is not sent round in circles.
		b.Open("/login")
		b.Submit(url.Values{"identifier": {ada}, "password": {""}})
		at(t, b.Click("Continue to Corp"), 200, "/login")
		at(t, b.Login(person), 200, "/account")
		if w.links(person.ID) != 1 {
			t.Error("not linked")
		}
		// Nor is there a way around by a code in the mail or by signing up.
		b = w.browser()
		b.Open("/login")
		b.Click("mail-code")
		sent := len(w.Mails(t, ada))
		if p := b.Submit(url.Values{"identifier": {ada}}); !strings.HasPrefix(p.Header.Get("Refresh"), "0; url="+w.op.URL) || len(w.Mails(t, ada)) != sent {
			t.Errorf("by mail: %s", p)
		}
		b = w.browser()
		b.Open("/signup")
		p := b.SignUp(apptest.Person{Name: "X", Email: "new@corp.example", Password: "violet-harbour-lantern"})
		if !strings.HasPrefix(p.Header.Get("Refresh"), "0; url="+w.op.URL) {
			t.Errorf("signed up: %s", p)
		}
	})
}

// Security case LK-07: an answer counts once, in the browser that left, and a reload leads on.
func TestUpstream_Callback(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		b := w.browser()
		b.Open("/login")
		p := w.leave(b, "Corp")
		_, to, _ := strings.Cut(p.Header.Get("Refresh"), "url=")
		back := w.URL + "/upstream/corp/callback?" + w.op.Visit(t, to).Encode()

		other := w.browser()
		other.Open("/login")
		if p := other.Arrive(back); p.Status != http.StatusNotFound || !strings.Contains(p.Text(), "does not belong here") {
			t.Errorf("in another browser: %s", p)
		}
		if p := b.Tab().Arrive(strings.Replace(back, "/corp/", "/hub/", 1)); p.Status != http.StatusNotFound {
			t.Errorf("at another provider: %s", p)
		}
		if p := b.Tab().ArrivePost(back, url.Values{}); p.Status == 200 || p.Status == 303 {
			t.Errorf("as a form of another site: %s", p)
		}
		w.nobodyIsIn(other)
		head, err := http.NewRequestWithContext(t.Context(), http.MethodHead, back, nil)
		if err != nil {
			t.Fatal(err)
		}
		head.AddCookie(&http.Cookie{Name: "signet_browser", Value: b.Cookies()["signet_browser"]})
		if res, err := w.Client().Do(head); err != nil || res.StatusCode != http.StatusNoContent {
			t.Errorf("HEAD: %v %v", res, err)
		}
		at(t, b.Arrive(back), 200, "/account")
		at(t, b.Arrive(back), 200, "") // "finished", or the account page: nothing new
		if n := w.Count(t, "session"); n != 1 {
			t.Errorf("%d sessions", n)
		}
		b.SetCookie("signet_session", "")
		if b.Arrive(back); w.Count(t, "session") != 1 || b.Cookies()["signet_session"] != "" {
			t.Error("the second time signed in again")
		}
		if p := b.Arrive(w.URL + "/upstream/corp/callback?error=access_denied"); p.Status != http.StatusNotFound {
			t.Errorf("an error out of nowhere: %s", p)
		}
	})
}

func TestUpstream_Failures(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		fails := func(name string, status int, text string, change func(*federationtest.OP)) {
			t.Helper()
			w.op.Change(change)
			b := w.browser()
			b.Open("/login")
			p := w.through(b, "Corp")
			if p.Status != status || !strings.Contains(p.Text(), text) || !p.Has("identifier") {
				t.Errorf("%s: %s", name, p)
			}
			w.nobodyIsIn(b)
			w.op.Change(func(o *federationtest.OP) { o.Answer, o.IDToken, o.Down = nil, nil, false })
			// The page that says so is the login page: another way in works from there.
			if b.Submit(url.Values{"identifier": {"nobody"}, "password": {"x"}}).Status != http.StatusUnauthorized {
				t.Errorf("%s: the form does not work", name)
			}
		}
		fails("denied", 401, "Corp did not sign you in", func(o *federationtest.OP) {
			o.Answer = func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }
		})
		fails("both", 401, "could not be accepted", func(o *federationtest.OP) { o.Answer = func(q url.Values) { q.Set("error", "access_denied") } })
		fails("no nonce", 401, "could not be accepted", func(o *federationtest.OP) { o.IDToken = map[string]any{"nonce": nil} })
		fails("foreign", 401, "could not be accepted", func(o *federationtest.OP) { o.IDToken = map[string]any{"aud": "x"} })
		b := w.browser()
		b.Open("/login")
		p := w.leave(b, "Corp")
		w.op.Change(func(o *federationtest.OP) { o.Down = true })
		_, to, _ := strings.Cut(p.Header.Get("Refresh"), "url=")
		if p = b.Arrive(w.URL + "/upstream/corp/callback?" + w.op.Visit(t, to).Encode()); p.Status != http.StatusServiceUnavailable || !strings.Contains(p.Text(), "cannot be reached") {
			t.Errorf("down: %s", p)
		}
		if strings.Contains(w.Logged(), federationtest.ClientSecret) || strings.Contains(w.Logged(), "at-1234") || strings.Contains(w.Logged(), "sgn_ups_") {
			t.Error("a secret is in the log")
		}
	})
}

// A disabled account stays shut on this way, too.
func TestUpstream_DisabledAccount(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		b := w.browser()
		b.Open("/login")
		at(t, w.through(b, "Corp"), 200, "/account")
		a, err := w.Accounts.ByIdentifier(t.Context(), ada)
		if err == nil {
			err = w.Accounts.Disable(t.Context(), a.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		before := w.Count(t, "session")
		b = w.browser()
		b.Open("/login")
		if p := w.through(b, "Corp"); p.Status != http.StatusUnauthorized || w.Count(t, "session") != before {
			t.Errorf("%s", p)
		}
	})
}

// When somebody signed in, and with how much, is what the provider says, as far as it is believed.
func TestUpstream_TimeAndStrength(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(c *config.Config) { c.Upstreams[0].TrustMFA = true }, func(t *testing.T, w *world) {
		rp := w.RP(t, client.Web, apptest.FirstParty)
		earlier := w.Clock.Now().Add(-20 * time.Minute).Unix()
		w.op.Change(func(o *federationtest.OP) {
			o.IDToken = map[string]any{"auth_time": earlier, "amr": []string{"pwd", "otp", "mfa"}}
		})
		b := w.browser()
		b.Open(rp.AuthURL())
		claims := apptest.Claims(t, rp.Exchange(w.through(b, "Corp")).IDToken)
		if int64(claims["auth_time"].(float64)) != earlier || claims["acr"] != "urn:signet:acr:2fa" {
			t.Errorf("%v", claims)
		}
		// Twenty minutes are too long ago for what protects the account, so it is asked again, and so
		// is the provider.
		p := at(t, b.Open("/account/security/totp"), 200, "/login")
		if strings.Contains(p.Text(), "Hub") || !strings.Contains(p.Text(), "Continue with Corp") {
			t.Errorf("the ways to confirm: %s", p)
		}
		if p = w.through(b, "Corp"); p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), "did not confirm") {
			t.Errorf("with a sign-in of long ago: %s", p)
		}
		if w.op.Last().Get("max_age") != "0" {
			t.Error("the provider was not asked to ask again")
		}
		w.op.Change(func(o *federationtest.OP) { o.IDToken = map[string]any{"amr": []string{"pwd", "otp", "mfa"}} })
		at(t, w.through(b, "Corp"), 200, "/account/security/totp")
	})
}

// The account page: link, sign in with it, unlink; each with a fresh sign-in, and never the last way.
func TestUpstream_AccountPage(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		person := w.person("someone@else.example") // the addresses need not agree
		b := w.browser()
		b.Open("/login")
		b.Login(person)
		if p := b.Open("/account/security"); !strings.Contains(p.Text(), "Linked accounts") {
			t.Errorf("not on the security page: %s", p)
		}
		b.Open("/account/upstream")
		w.Clock.Advance(11 * time.Minute)
		at(t, b.Click("Link Corp"), 200, "/login")
		b.Login(person)
		b.Click("Link Corp")
		p := at(t, b.Click("Continue to Corp"), 200, "/account/upstream")
		if w.links(person.ID) != 1 || !strings.Contains(p.Text(), ada) || !strings.Contains(p.Text(), "The account is linked") {
			t.Fatalf("%s", p)
		}
		// A second account cannot have it.
		other := w.person("eve@else.example")
		c := w.browser()
		c.Open("/login")
		c.Login(other)
		c.Open("/account/upstream")
		c.Click("Link Corp")
		if p := c.Click("Continue to Corp"); p.Status != http.StatusConflict || w.links(other.ID) != 0 {
			t.Errorf("linked twice: %s", p)
		}
		fresh := w.browser()
		fresh.Open("/login")
		at(t, w.through(fresh, "Corp"), 200, "/account")

		b.Open("/account/upstream")
		if p = at(t, b.Click("Unlink"), 200, "/account/upstream"); w.links(person.ID) != 0 {
			t.Fatalf("%s", p)
		}
		// Security case LK-10: after that the identity is a stranger's again, whatever address it tells.
		w.says(map[string]any{"sub": "1234", "email": person.Email, "email_verified": true})
		fresh = w.browser()
		fresh.Open("/login")
		at(t, w.through(fresh, "Corp"), 200, "/login")
		if w.links(person.ID) != 0 {
			t.Error("linked again by its address")
		}
	})
}

// Security case LK-10: the only way in stays.
func TestUpstream_LastWayStays(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		b := w.browser()
		b.Open("/login")
		at(t, w.through(b, "Corp"), 200, "/account")
		b.Open("/account/upstream")
		p := b.Click("Unlink")
		if p.Status != http.StatusConflict || !strings.Contains(p.Text(), "only way") || w.Count(t, "upstream_identity") != 1 {
			t.Errorf("%s", p)
		}
		// With a second one it may go; then that is the last.
		b.Click("Link Hub")
		at(t, b.Click("Continue to Hub"), 200, "/account/upstream")
		b.Click("Unlink")
		if p = b.Click("Unlink"); p.Status != http.StatusConflict || w.Count(t, "upstream_identity") != 1 {
			t.Errorf("%d links: %s", w.Count(t, "upstream_identity"), p)
		}
	})
}

// Security case LK-04: a link begun in one session is not finished in another of the same browser.
func TestUpstream_LinkBelongsToTheSession(t *testing.T) {
	t.Parallel()
	eachWorld(t, nil, func(t *testing.T, w *world) {
		mine, theirs := w.person("mine@else.example"), w.person("theirs@else.example")
		b := w.browser()
		b.Open("/login")
		b.Login(mine)
		b.Open("/account/upstream")
		p := b.Click("Link Corp")
		_, to, _ := strings.Cut(p.Header.Get("Refresh"), "url=")
		back := w.URL + "/upstream/corp/callback?" + w.op.Visit(t, to).Encode()
		b.Open("/logout")
		b.Click("Sign out")
		b.Open("/login")
		at(t, b.Login(theirs), 200, "/account")
		if p := b.Arrive(back); p.Status != http.StatusNotFound || w.Count(t, "upstream_identity") != 0 {
			t.Errorf("%d links: %s", w.Count(t, "upstream_identity"), p)
		}
		b.Open("/logout")
		b.Click("Sign out")
		if p := b.Arrive(back); p.Status == 200 && w.Count(t, "upstream_identity") != 0 {
			t.Errorf("with nobody signed in: %s", p)
		}
	})
}

// Two Signets are each other's upstream: people of each sign in at the other.
func TestUpstream_TwoSignets(t *testing.T) {
	t.Parallel()
	for _, e := range storetest.Engines(t) {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			secret := seal.Secret(id.NewToken(id.ClientSecret))
			yes := true
			// The second one's address must be known before it runs, and its host must differ: cookies
			// do not tell ports apart.
			front := &httputil.ReverseProxy{}
			door := httptest.NewServer(front)
			t.Cleanup(door.Close)
			eastURL := door.URL
			upstream := func(label, issuer string) []config.Upstream {
				return []config.Upstream{{Name: "other", Label: label, Kind: "oidc", Issuer: issuer, ClientID: "other-signet", ClientSecret: secret, TrustEmail: true, TrustMFA: true}}
			}
			relying := func(issuer string) []config.Client {
				return []config.Client{{ID: "other-signet", Name: "The other one", Kind: "web", Secret: secret, RedirectURIs: []string{issuer + "/upstream/other/callback"}, FirstParty: &yes}}
			}
			west := apptest.Start(t, apptest.Options{Engine: e, Config: func(c *config.Config) {
				c.Upstreams, c.Clients = upstream("East", eastURL), relying(eastURL)
			}})
			east := apptest.Start(t, apptest.Options{Engine: e, Clock: west.Clock, Config: func(c *config.Config) {
				c.Issuer, c.Upstreams, c.Clients = eastURL, upstream("West", west.URL), relying(west.URL)
				c.Passkeys.Enabled = false // an address is no place for them
			}})
			target := &url.URL{Scheme: "http", Host: east.Addr()}
			front.Rewrite = func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }

			for _, c := range []struct {
				home, away *apptest.App
				button     string
			}{{west, east, "West"}, {east, west, "East"}} {
				person := c.home.Person(t)
				rp := c.away.RP(t, client.Web, apptest.FirstParty)
				b := apptest.NewBrowser(t, c.away.URL, c.away.Client(), c.home.URL)
				b.Open(rp.AuthURL())
				b.Click("Continue with " + c.button)
				b.Click("Continue to " + c.button)
				at(t, b.Login(person), 200, "/upstream/other/callback") // at home, and from there back
				tokens := rp.Exchange(b.Click("Continue"))
				info := rp.Userinfo(tokens.AccessToken).Body
				if !strings.Contains(info, `"email":"`+person.Email+`"`) || !strings.Contains(info, `"email_verified":true`) {
					t.Errorf("%s", info)
				}
				claims := apptest.Claims(t, tokens.IDToken)
				if claims["iss"] != c.away.URL || claims["sub"] == string(person.ID) {
					t.Errorf("%v", claims)
				}
				if n := c.away.Count(t, "upstream_identity"); n != 1 {
					t.Errorf("%d links", n)
				}
				// Signed in at both, the next time takes no password.
				again := apptest.NewBrowser(t, c.away.URL, c.away.Client(), c.home.URL)
				again.Open(c.home.URL + "/login")
				again.Login(person)
				again.Open(rp.AuthURL())
				again.Click("Continue with " + c.button)
				again.Click("Continue to " + c.button)
				if next := apptest.Claims(t, rp.Exchange(again.Click("Continue")).IDToken); next["sub"] != claims["sub"] {
					t.Errorf("another account: %v, %v", next["sub"], claims["sub"])
				}
			}
		})
	}
}
