package pages_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signet/internal/oauth/client"
)

// pushed registers an application that pushes its requests, and returns how it does.
func (s *site) pushed() func() string {
	s.t.Helper()
	meta := client.Defaults(client.SPA)
	meta.RedirectURIs, meta.FirstParty, meta.RequirePAR = []string{callback}, true, true
	c, _, err := s.Clients.Create(s.t.Context(), client.NewClient{Name: "Team Wiki", Kind: client.SPA, Metadata: meta})
	if err != nil {
		s.t.Fatal(err)
	}
	return func() string {
		_, query, _ := strings.Cut(s.authorize(c.ID), "?")
		form, _ := url.ParseQuery(query)
		p := s.browser().send(http.MethodPost, "/oauth2/par", form)
		var out struct {
			URI string `json:"request_uri"`
		}
		if err := json.Unmarshal([]byte(p.body), &out); err != nil || p.StatusCode != http.StatusCreated {
			s.t.Fatalf("%d %s", p.StatusCode, p.body)
		}
		return "/oauth2/authorize?" + url.Values{"client_id": {string(c.ID)}, "request_uri": {out.URI}}.Encode()
	}
}

// TestPushed_InTheBrowser: the address can be opened again until the sign-in has ended, in the same browser
// and in another one; then a person reads that it is over (RFC 9126 §4, §7.3; fapi2
// par-ensure-reused-request-uri-prior-to-auth-completion-succeeds, par-attempt-reuse-request_uri).
func TestPushed_InTheBrowser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		push := s.pushed()
		one, two := s.browser(), s.browser()
		address := push()
		one.get(address).at(200, "/login")
		first, other := one.get(address).at(200, "/login"), two.get(address).at(200, "/login")
		if answer := one.login(first, "alice").answer(); answer.Get("code") == "" || answer.Get("state") != "s t&é" {
			t.Fatalf("%v", answer)
		}
		if answer := two.login(other, "alice").answer(); answer.Get("error") != "invalid_request_uri" || answer.Has("code") {
			t.Errorf("the same request in another browser: %v", answer)
		}
		for name, b := range map[string]*agent{"signed in": one, "somebody else": s.browser()} {
			p := b.get(address)
			if p.StatusCode != 400 || p.heading() != "This sign-in has ended, or its time is up" || !strings.Contains(p.body, "invalid_request_uri") {
				t.Errorf("%s: %d %q", name, p.StatusCode, p.heading())
			}
		}
		// Signed in already, a new one is answered at once.
		if answer := one.get(push()).answer(); answer.Get("code") == "" {
			t.Errorf("%v", answer)
		}
		// Giving up is an answer, too.
		address = push()
		three := s.browser()
		if answer := three.submit(three.get(address), "/cancel").answer(); answer.Get("error") != "access_denied" {
			t.Errorf("%v", answer)
		}
		if p := three.get(address); p.StatusCode != 400 {
			t.Errorf("after giving up: %d", p.StatusCode)
		}
	})
}

// TestSigned_InTheBrowser: a signed answer travels alone, by redirect and by form (JARM §2.3).
func TestSigned_InTheBrowser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.user("alice")
		b, c := s.browser(), s.client(true)
		p := b.login(b.get(s.authorize(c, "response_mode", "form_post.jwt")), "alice")
		action, form := p.form("/cb")
		if p.StatusCode != 200 || action != callback || strings.Count(form.Get("response"), ".") != 2 || len(form) != 1 {
			t.Errorf("%d %s %v", p.StatusCode, action, form)
		}
		for mode, sign := range map[string]string{"jwt": "?", "query.jwt": "?", "fragment.jwt": "#"} {
			for _, prompt := range []string{"", "none"} {
				to := b.get(s.authorize(c, "response_mode", mode, "prompt", prompt)).Header.Get("Location")
				if !strings.HasPrefix(to, callback+sign+"response=") || strings.Contains(to, "&") || strings.Count(to, ".") < 2 {
					t.Errorf("%s: %s", mode, to)
				}
			}
		}
		to := s.browser().get(s.authorize(c, "response_mode", "jwt", "prompt", "none")).Header.Get("Location")
		if !strings.HasPrefix(to, callback+"?response=") || strings.Contains(to, "login_required") {
			t.Errorf("an error in clear: %s", to)
		}
	})
}

// TestErrors_RequestObject: without a registered address beside it, a person reads what is wrong; the return
// address is not to blame.
func TestErrors_RequestObject(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		b, c := s.browser(), string(s.client(true))
		for param, want := range map[string]string{"request": "invalid_request_object", "request_uri": "request_uri_not_supported"} {
			p := b.get("/oauth2/authorize?" + url.Values{"client_id": {c}, param: {"https://rp.test/a.b.c"}}.Encode())
			if p.StatusCode != 400 || p.heading() != "The application made a mistake" || !strings.Contains(p.body, want) {
				t.Errorf("%s: %d %q", param, p.StatusCode, p.heading())
			}
		}
	})
}
