package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"signet/internal/identity/account"
	"signet/internal/platform/errs"
)

func init() { areaSamples = append(areaSamples, signUpSamples) }

// signUpSamples are the pages between a visitor and an account.
func signUpSamples(t testing.TB, p *Pages, loc *locale, add func(name, page string, status int, v *view)) {
	t.Helper()
	v := testVisit(loc)
	at := func(path string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Language", loc.tag)
		return r
	}
	documents := []link{{Path: "https://example.com/terms", Text: loc.T("page.terms")}, {Path: "https://example.com/privacy", Text: loc.T("page.privacy")}}
	form := func(name string, status int, d door, typed url.Values, problems ...string) {
		page := p.signUpView(at(journeyPath(v.j.ID, "signup")), v, d)
		if d.policy.Terms != "" {
			page.Legal = documents
		}
		page.keep(typed)
		for i := 0; i+1 < len(problems); i += 2 {
			page.fail(problems[i], problems[i+1])
		}
		if err := p.showSignUp(httptest.NewRecorder(), status, page); err != nil {
			t.Fatal(err)
		}
		add(name, "signup", status, page)
	}
	open := account.SignUpPolicy{Mode: account.Open}
	limited := account.SignUpPolicy{Mode: account.Domains, Domains: []string{"example.com", "example.org"}, Terms: "2026-01"}
	form("signup", 200, door{policy: open}, nil)
	form("signup-problems", 422, door{policy: open},
		url.Values{"email": {"ada@"}, "name": {"Ada"}, "password": {"secret-never-shown"}},
		"email", loc.T("problem.invalid"), "password", loc.T("password_too_short", "Min", 15))
	form("signup-terms", 200, door{policy: limited, mails: true}, nil)
	form("signup-terms-missing", 422, door{policy: limited, mails: true}, nil, "name", loc.T("problem.required"), "terms", loc.T("terms_needed"))
	form("signup-domain", 422, door{policy: limited, mails: true}, url.Values{"email": {"ada@elsewhere.example"}, "terms": {"2026-01"}}, "email", loc.T("signup_domain_refused"))
	form("signup-invited", 200, door{
		policy: account.SignUpPolicy{Mode: account.ByInvite}, invitation: account.Invitation{ID: "i1", Email: "ada@example.com"}, token: "t",
	}, url.Values{"email": {"ada@example.com"}})

	login := journeyPath(v.j.ID, "login")
	for name, key := range map[string]string{
		"closed": account.KeySignUpClosed, "invitation": account.KeyInvitationNeeded, "over": "onetime.used",
		"meanwhile": account.KeyEmailTaken, "rules": account.KeyDomainRefused,
	} {
		add("turned_"+name, "message", 403, p.turnedAwayView(at(login), loc, key, login))
	}

	verify := func(name string, status int, prepare func(*view)) {
		page := p.verifyView(at(journeyPath(v.j.ID, "verify")), v, "ada.lovelace@example.com")
		prepare(page)
		add(name, "verify", status, page)
	}
	verify("verify", 200, func(*view) {})
	verify("verify-again", 200, func(page *view) { page.Saved = loc.T("verify.resent") })
	verify("verify-wrong", 422, func(page *view) { page.fail("code", loc.T("verify.wrong")) })
	verify("verify-spent", 422, func(page *view) { page.fail("code", loc.T("verify.spent")) })
	verify("verify-over", 422, func(page *view) { page.fail("code", loc.T("verify.over")) })
	verify("verify-link", 422, func(page *view) { page.fail("", loc.T("verify.not_yet")) })

	add("confirm", "landing", 200, p.confirmView(at("/m"), "ada.lovelace@example.com", true))
	add("confirm-elsewhere", "landing", 200, p.confirmView(at("/m"), "ada.lovelace@example.com", false))
	add("confirm-wrong", "landing", 401, p.confirmView(at("/m"), "ada.lovelace@example.com", false).fail("password", loc.T("confirm.wrong")))
	add("confirmed", "message", 200, p.confirmedView(at("/m"), loc))
	add("invite", "landing", 200, p.inviteView(at("/m"), loc, account.Invitation{ID: "i1"}))
	add("invite-address", "landing", 200, p.inviteView(at("/m"), loc, account.Invitation{ID: "i1", Email: "ada@example.com"}))
	terms := p.termsView(at(journeyPath(v.j.ID, "terms")), v, "2026-01")
	terms.Legal = documents
	add("terms", "terms", 200, terms)

	for name, key := range linkKeys {
		key = errs.As(linkError(errs.New(errs.NotFound, name, nil))).Key
		page := p.view(at("/m"), loc, key+".title")
		page.Title = loc.T("page.error_prefix") + " " + page.Title
		page.Data = message{Text: []string{loc.T(key + ".text")}, Link: &action{URL: "/account", Text: loc.T("page.home")}}
		add("link_"+name, "message", 404, page)
	}
}
