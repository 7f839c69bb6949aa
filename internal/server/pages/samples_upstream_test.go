package pages

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"signet/internal/identity/federation"
)

func init() { areaSamples = append(areaSamples, upstreamSamples) }

// upstreamSamples are the pages on the way to other providers and back.
func upstreamSamples(t testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view)) {
	t.Helper()
	v := testVisit(loc)
	at := func(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }
	providers := []federation.Provider{{Name: "corp", Label: "Example Corp"}, {Name: "hub", Label: "GitHub", Kind: federation.GitHub}}
	sign := at(journeyPath(v.j.ID, "login"))

	// testPages has no service, so what the handlers look up is put in here.
	buttons := func(page *view) {
		for i, one := range providers {
			b := upstreamButton{Action: journeyPath(v.j.ID, "upstream/"+one.Name), Text: loc.T("upstream.sign_in", "Provider", one.Label)}
			if i == 0 {
				b.Last = loc.T("login.last_used")
			}
			page.Upstreams = append(page.Upstreams, b)
		}
	}
	waiting := func(key string) *linking {
		return &linking{
			Text:   loc.T(key, "Provider", "Example Corp", "Who", "ada.lovelace@example.com"),
			Forget: loc.T("link.forget"), Action: journeyPath(v.j.ID, "unlink"),
		}
	}
	login := func(name string, status int, prepare func(*view)) {
		page := p.loginView(sign, v)
		prepare(page)
		if err := p.showLogin(httptest.NewRecorder(), sign, v, status, page); err != nil {
			t.Fatal(err)
		}
		buttons(page)
		add(name, "login", status, page)
	}
	login("login-upstreams", 200, func(*view) {})
	login("login-linking", 200, func(page *view) { page.Linking = waiting("link.login") })
	login("login-linking-owner", 200, func(page *view) { page.Linking = waiting("link.login_owner") })
	for _, key := range []string{federation.KeyUnreachable, federation.KeyDenied, federation.KeyRefused, federation.KeyNotFresh} {
		login("login-"+key, 401, func(page *view) { page.fail("", loc.T(key, "Provider", "Example Corp")) })
	}
	signup := p.signUpView(at(journeyPath(v.j.ID, "signup")), v, door{})
	signup.Linking = waiting("link.signup")
	add("signup-linking", "signup", 200, signup)
	signup = p.signUpView(at(journeyPath(v.j.ID, "signup")), v, door{})
	signup.Linking = waiting("link.signup_owner")
	add("signup-linking-owner", "signup", 200, signup)

	leaving := p.page(sign, v, "upstream.away")
	p.fillAway(leaving, "Example Corp", "https://login.corp.example.com/authorize?client_id=signet", journeyPath(v.j.ID, "login"))
	add("upstream-away", "away", 200, leaving)

	back := p.page(sign, v, "upstream.returned")
	back.Data = away{To: "/signin/x", Text: loc.T("upstream.returned_text"), Button: loc.T("upstream.returned_go")}
	add("upstream-returned", "away", 200, back)

	m := &member{account: testAccount(), loc: loc}
	when := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	list := func(name string, status int, key string, links []federation.Link, works []bool) {
		page := p.accountView(at(upstreamPath), m, "upstream.title")
		if key != "" {
			page.fail("", loc.T(key, "Provider", "Example Corp"))
		}
		page.Data = upstreamDataOf(loc, providers, links, works)
		add(name, "upstream", status, page)
	}
	list("upstream-none", 200, "", nil, nil)
	list("upstream", 200, "", []federation.Link{
		{Provider: "corp", Issuer: "https://login.corp.example.com", Subject: "1", Label: "ada.lovelace@corp.example.com", CreatedAt: when, LastLoginAt: when},
		{Provider: "old", Issuer: "https://old.example.com", Subject: "<script>", Label: "Ada <script>alert(1)</script>", CreatedAt: when, LastLoginAt: when},
	}, []bool{true, false})
	list("upstream-last", 409, federation.KeyLastWay, []federation.Link{
		{Provider: "hub", Issuer: "https://github.com", Subject: "1", Label: "ada", CreatedAt: when, LastLoginAt: when},
	}, []bool{true})
	list("upstream-taken", 409, federation.KeyTaken, nil, nil)
}
