package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"signet/internal/identity/account"
	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/signin"
)

// testPages renders, without any service behind it.
func testPages(t testing.TB) *Pages {
	t.Helper()
	p, err := build(Deps{Issuer: "https://id.example.com", MinPassword: 15})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testAccount() account.Account {
	return account.Account{
		ID: "u1", Status: account.Active, Username: "ada", Email: "ada.lovelace@example.com", EmailVerified: true,
		Profile: account.Profile{Name: "Ada Lovelace", GivenName: "Ada", Website: "https://ada.example/<script>"},
	}
}

func testVisit(loc *locale) *visit {
	a := testAccount()
	return &visit{
		j: &signin.Journey{ID: "0197a0de-0000-7000-8000-000000000001", Request: &oauth.Request{
			ClientID: "c1", RedirectURI: "https://wiki.example.com/callback",
			Scopes: []string{"openid", "profile", "email", "phone", "offline_access", "notes.read"},
		}},
		owed:   signin.Owed{Account: &a},
		client: &client.Client{ID: "c1", Name: "Team Wiki", Metadata: client.Metadata{ClientURI: "https://wiki.example.com"}},
		loc:    loc,
	}
}

// strangers are applications that nobody here registered.
func strangers() map[string]*client.Client {
	m := client.Metadata{
		LogoURI: "https://new.example.net/logo.png", PolicyURI: "https://new.example.net/privacy", TOSURI: "https://new.example.net/terms",
	}
	quarantined := m
	quarantined.Quarantined = true
	return map[string]*client.Client{
		"token":       {ID: "c2", Name: "New <App>", ManagedBy: client.ManagedByItself, Metadata: m},
		"quarantined": {ID: "c3", Name: "New <App>", ManagedBy: client.ManagedByItself, Metadata: quarantined},
		"document":    {ID: "https://agent.example.org/client.json", Name: "Agent", ManagedBy: client.ManagedByDocument, Metadata: m},
	}
}

// sample is a page in one state.
type sample struct {
	name, page string
	status     int
	view       *view
}

// areaSamples are the pages of each area, in their states; each area has them in a file of its own.
var areaSamples []func(t testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view))

// samples has every page, in its states, in one language.
func samples(t testing.TB, p *Pages, tag string) []sample {
	t.Helper()
	loc := p.texts.byTag[tag]
	var out []sample
	add := func(name, page string, status int, v *view) { out = append(out, sample{name, page, status, v}) }
	at := func(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }
	v := testVisit(loc)
	m := &member{account: testAccount(), loc: loc}
	sign := at(journeyPath(v.j.ID, "login"))

	login := func(name string, status int, prepare func(*visit, *view)) {
		one := *v
		w := httptest.NewRecorder()
		page := p.loginView(sign, &one)
		prepare(&one, page)
		if err := p.showLogin(w, sign, &one, status, page); err != nil {
			t.Fatal(err)
		}
		add(name, "login", status, page)
	}
	login("login", 200, func(*visit, *view) {})
	login("login-failed", 401, func(_ *visit, page *view) {
		page.keep(url.Values{"identifier": {"ada@example.com"}}).fail("", loc.T("login.failed"))
		page.blamed = []string{"identifier", "password"}
	})
	login("login-empty", 422, func(_ *visit, page *view) {
		page.fail("identifier", loc.T("problem.required")).fail("password", loc.T("problem.required"))
	})
	login("login-limited", 429, func(_ *visit, page *view) {
		page.fail("", loc.T("error.limited.text", "Count", 12))
	})
	login("login-again", 200, func(one *visit, page *view) {
		one.owed.Again = true
		page.keep(url.Values{"identifier": {"ada.lovelace@example.com"}})
	})

	selection := p.page(at(journeyPath(v.j.ID, "select")), v, "select.title")
	who := personOf(*v.owed.Account)
	who.Name = loc.T("select.continue", "Name", who.Name)
	selection.Data = struct {
		Account, Login string
		Who            person
	}{"seen", journeyPath(v.j.ID, "login"), who}
	add("select", "select", 200, selection)

	asking := p.page(at(journeyPath(v.j.ID, "consent")), v, "consent.title")
	asking.Data = consentData{
		New: p.permissions(v, &client.APIs{}, v.j.Request.Scopes[1:]), Old: p.permissions(v, &client.APIs{}, v.j.Request.Scopes[:1]),
		Seen: "seen", Login: journeyPath(v.j.ID, "login"), Who: personOf(*v.owed.Account), Origin: p.originOf(loc, v.client),
	}
	add("consent", "consent", 200, asking)
	for name, c := range strangers() {
		one := *v
		one.client = c
		page := p.page(at(journeyPath(v.j.ID, "consent")), &one, "consent.title")
		page.Data = consentData{
			New: p.permissions(v, &client.APIs{}, v.j.Request.Scopes), Details: []detailWords{{"Start a payment", []string{"amount: 12.00 EUR"}}},
			Seen: "seen", Login: journeyPath(v.j.ID, "login"), Who: personOf(*v.owed.Account), Origin: p.originOf(loc, c),
		}
		add("consent-"+name, "consent", 200, page)
	}
	login("login-stranger", 200, func(one *visit, page *view) { page.App = appView(strangers()["quarantined"], "new.example.net") })

	leaving := p.view(at("/logout"), loc, "logout.title")
	leaving.Data = struct{ Who person }{personOf(m.account)}
	add("logout", "logout", 200, leaving)
	left := p.view(at("/logged-out"), loc, "logged_out.title")
	left.Data = message{Text: []string{loc.T("logged_out.text")}, Link: &action{URL: "/login", Text: loc.T("logged_out.again")}}
	add("logged-out", "message", 200, left)
	told := p.view(at("/logged-out"), loc, "logged_out.title")
	told.Data = farewellData{Apps: []string{"Calendar", "Wiki"}, URL: "/login", Link: loc.T("logged_out.again")}
	add("logged-out-told", "farewell", 200, told)
	onward := p.view(at("/logged-out"), loc, "logged_out.title")
	onward.Data = farewellData{Apps: []string{"Calendar"}, Onward: true, URL: "/account/deleted", Link: loc.T("logged_out.go_on")}
	add("logged-out-onward", "farewell", 200, onward)
	done := p.page(sign, v, "done.title")
	done.Data = message{Text: []string{loc.T("done.text")}, Link: &action{URL: "https://wiki.example.com", Text: loc.T("done.app"), External: true}}
	add("done", "message", 200, done)

	post := p.page(at("/oauth2/authorize"), v, "formpost.title")
	post.Data = struct {
		Action string
		Params []struct{ Name, Value string }
	}{"https://wiki.example.com/callback", []struct{ Name, Value string }{{"code", "sgn_code_x"}, {"state", `"><script>alert(1)</script>`}}}
	add("formpost", "formpost", 200, post)

	overview := p.accountView(at("/account"), m, "overview.title")
	data := struct {
		Who   person
		Doors []link
	}{Who: personOf(m.account)}
	for _, s := range sections[1:] {
		data.Doors = append(data.Doors, link{Path: s.path, Text: loc.T(s.title), Detail: loc.T(s.detail)})
	}
	overview.Data = data
	add("overview", "overview", 200, overview)

	profile := p.accountView(at("/account/profile?saved=profile"), m, "profile.title").keep(profileValues(m.account.Profile))
	if err := p.showProfile(httptest.NewRecorder(), m, 200, profile); err != nil {
		t.Fatal(err)
	}
	add("profile", "profile", 200, profile)
	add("username", "username", 200, p.accountView(at("/account/username"), m, "username.title"))
	password := p.accountView(at("/account/password"), m, "password.title").fail("current", loc.T("problem.current_wrong"))
	if err := p.showPassword(httptest.NewRecorder(), m, 401, password); err != nil {
		t.Fatal(err)
	}
	add("password", "password", 401, password)

	when := loc.instant(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	type row struct {
		ID, Device, IP string
		Current        bool
		Seen, Began    instant
	}
	sessions := p.accountView(at("/account/sessions"), m, "sessions.title")
	sessions.Data = struct {
		Sessions []row
		Others   bool
	}{[]row{
		{"s1", deviceText(loc, "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"), "192.0.2.7", true, when, when},
		{"s2", deviceText(loc, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1"), "2001:db8::1", false, when, when},
		{"s3", deviceText(loc, "curl/8"), "", false, when, when},
	}, true}
	add("sessions", "sessions", 200, sessions)

	type used struct {
		Client, Name  string
		Scopes        []string
		Granted, Used instant
	}
	applications := p.accountView(at("/account/applications"), m, "applications.title")
	applications.Data = struct{ Applications []used }{[]used{
		{"c1", "Team Wiki", scopeTitles(loc, &client.APIs{}, []string{"openid", "profile", "email"}), when, when},
		{"c2", "Photo Printing", scopeTitles(loc, &client.APIs{}, []string{"openid", "offline_access", "notes.read"}), when, instant{}},
	}}
	add("applications", "applications", 200, applications)
	empty := p.accountView(at("/account/applications"), m, "applications.title")
	empty.Data = struct{ Applications []used }{}
	add("applications-none", "applications", 200, empty)

	for kind := range kindKeys {
		e := &errs.Error{Kind: kind, RetryAfter: 90 * time.Second}
		key := kindKeys[kind]
		page := p.view(at("/somewhere"), loc, key+".title")
		page.Title = loc.T("page.error_prefix") + " " + page.Title
		page.Data = message{
			Text: []string{loc.T(key+".text", "Count", minutes(e.RetryAfter))}, Facts: []fact{{loc.T("page.request_id"), "0197a0de"}},
			Link: &action{URL: "/account", Text: loc.T("page.home")},
		}
		add("error-"+kind.String(), "message", 400, page)
	}
	redirect := p.view(at("/oauth2/authorize"), loc, "error.redirect.title")
	redirect.Data = message{Text: []string{loc.T("error.redirect.text")}, Facts: []fact{
		{loc.T("error.received"), "https://wiki.example.com/calback?x=<b>"}, {loc.T("error.closest"), "https://wiki.example.com/callback"},
		{loc.T("error.code"), "invalid_request"}, {loc.T("page.request_id"), "0197a0de-4c1e"},
	}}
	add("error-redirect", "message", 400, redirect)
	for _, area := range areaSamples {
		area(t, p, loc, add)
	}
	return out
}
