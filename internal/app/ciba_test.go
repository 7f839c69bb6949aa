package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
)

const backchannelEndpoint = "/oauth2/bc-authorize"

// bank registers an application that may ask people.
func bank(t testing.TB, a *apptest.App, change ...func(*client.Metadata)) *apptest.RP {
	t.Helper()
	return a.RP(t, client.Web, append([]func(*client.Metadata){func(m *client.Metadata) {
		m.GrantTypes = []string{client.GrantCIBA, client.GrantRefreshToken}
		m.RedirectURIs, m.PostLogoutRedirectURIs, m.ResponseTypes = nil, nil, nil
	}}, change...)...)
}

// asked is an application that waits for a person.
type asked struct {
	rp *apptest.RP
	id string
}

func askPerson(t testing.TB, rp *apptest.RP, hint string, params ...string) asked {
	t.Helper()
	answer := rp.Post(backchannelEndpoint, append([]string{"scope", "openid profile offline_access", "login_hint", hint, "binding_message", "W4SC-7TQ"}, params...)...)
	m := answer.JSON(t)
	if answer.Status != http.StatusOK || answer.Header.Get("Cache-Control") != "no-store" || m["expires_in"] != 300.0 || m["interval"] != 5.0 {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	return asked{rp, m["auth_req_id"].(string)}
}

func (q asked) poll(a *apptest.App) apptest.Answer {
	a.Clock.Advance(6 * time.Second)
	return q.rp.Token("grant_type", client.GrantCIBA, "auth_req_id", q.id)
}

// Security case CB-01, CIBA §7.1, §8: the person is written, signs in, sees who asks for what and compares; the
// application gets nothing before their yes, and nobody else sees anything.
func TestCIBA_Journey(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person, other := a.Person(t), a.Person(t)
		q := askPerson(t, bank(t, a), strings.ToUpper(person.Email))
		pending := func(when string) {
			t.Helper()
			if got := q.poll(a); got.Status != http.StatusBadRequest || got.Error != "authorization_pending" {
				t.Fatalf("%s: %d %s", when, got.Status, got.Body)
			}
		}
		pending("asked")
		link := a.MailLink(t, person.Email)
		mails := a.Mails(t, person.Email)
		if m := mails[len(mails)-1]; m.Kind != "asked" || !strings.Contains(m.Subject, "Test application") || strings.Contains(m.Text+m.HTML, "W4SC") || strings.Contains(m.Text, q.id) {
			t.Errorf("%+v", m)
		}
		path := strings.TrimPrefix(link, a.URL)

		// The link leads others nowhere, and does not say whose it is.
		stranger := a.Browser(t)
		if p := at(t, stranger.Open(path), http.StatusOK, "/login"); strings.Contains(p.Text(), person.Email) || p.Value("identifier") != "" {
			t.Errorf("%s", p)
		}
		p := at(t, stranger.Login(other), http.StatusNotFound, path)
		if strings.Contains(p.Text(), "Test application") || strings.Contains(p.Text(), "W4SC") {
			t.Errorf("%s", p)
		}
		for _, answer := range []string{"allow", "deny"} {
			at(t, stranger.Post(path, url.Values{"answer": {answer}, "seen": {"x"}}), http.StatusNotFound, path)
		}
		if p := stranger.Open("/account"); strings.Contains(p.Text(), "Requests") {
			t.Errorf("%s", p)
		}
		pending("somebody else was there")

		b := a.Browser(t)
		at(t, b.Open(path), http.StatusOK, "/login")
		p = at(t, b.Login(person), http.StatusOK, path)
		for _, want := range []string{"Test application", "W4SC-7TQ", "127.0.0.1", "See your profile", "right now", person.Email} {
			if !strings.Contains(p.Text(), want) {
				t.Errorf("the page does not say %q:\n%s", want, p)
			}
		}
		if p := b.Open("/account"); !strings.Contains(p.Text(), "A request waits for your answer.") {
			t.Errorf("%s", p)
		}
		if p := at(t, b.Open("/account/requests"), http.StatusOK, "/requests"); !strings.Contains(p.Text(), "Test application") {
			t.Errorf("%s", p)
		}
		for _, form := range []url.Values{{"answer": {"allow"}}, {"answer": {"allow"}, "seen": {"x"}}, {"seen": {"x"}}} { // not from the page
			at(t, b.Post(path, form), http.StatusOK, path)
		}
		pending("the page shown")
		b.Open(path)
		p = at(t, b.Click("answer=allow"), http.StatusOK, "/account/requests")
		if !strings.Contains(p.Text(), "Allowed.") || !strings.Contains(p.Text(), "Nothing waits") {
			t.Fatalf("%s", p)
		}
		got := q.poll(a)
		if got.Status != http.StatusOK || got.RefreshToken == "" || apptest.Claims(t, got.IDToken)["sub"] != string(person.ID) {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if info := q.rp.Userinfo(got.AccessToken); info.Status != http.StatusOK {
			t.Errorf("userinfo: %d %s", info.Status, info.Body)
		}
		at(t, b.Open(path), http.StatusNotFound, path) // answered
		if p := b.Open("/account/activity"); !strings.Contains(p.Text(), "asked for your approval") || !strings.Contains(p.Text(), "Approved a request") {
			t.Errorf("%s", p)
		}
		b.Open("/account/applications")
		b.Click("Remove access")
		if got = q.rp.Refresh(got.RefreshToken); got.Error != "invalid_grant" {
			t.Errorf("the application lives on: %d %s", got.Status, got.Body)
		}
		if log := a.Logged(); strings.Contains(log, q.id) || strings.Contains(log, "W4SC") {
			t.Error("the log tells what was asked")
		}
	})
}

// CIBA §10.2: in ping mode the application hears of the answer, fetches, and gets a no as a no; without mail the
// person finds it in their account, in either language.
func TestCIBA_Ping(t *testing.T) {
	t.Parallel()
	type ring struct{ auth, body string }
	var mu sync.Mutex
	rung := map[string][]ring{}
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		rung[r.URL.Path] = append(rung[r.URL.Path], ring{r.Header.Get("Authorization"), string(body)})
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(door.Close)
	heard := func(path string) []ring {
		mu.Lock()
		defer mu.Unlock()
		return rung[path]
	}
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		path := "/" + string(person.ID)
		rp := bank(t, a, func(m *client.Metadata) {
			m.CIBADelivery, m.CIBANotification = client.DeliverPing, door.URL+path
		})
		b := a.Browser(t)
		b.Language = "ko"
		b.Open("/login")
		at(t, b.Login(person), http.StatusOK, "/account")
		for i, answer := range []string{"allow", "deny"} {
			q := askPerson(t, rp, person.Email, "client_notification_token", "token-of-the-bank")
			at(t, b.Open("/account/requests"), http.StatusOK, "/requests")
			p := b.Click("내용 보기")
			if !strings.Contains(p.Text(), "이 요청을 허용할까요?") || !strings.Contains(p.Text(), "W4SC-7TQ") {
				t.Fatalf("%s", p)
			}
			if len(heard(path)) != i {
				t.Fatal("told before the answer")
			}
			at(t, b.Click("answer="+answer), http.StatusOK, "/account/requests")
			eventually(t, "a ping", func() bool { return len(heard(path)) == i+1 })
			got := heard(path)[i]
			var body map[string]string
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || len(body) != 1 || body["auth_req_id"] != q.id || got.auth != "Bearer token-of-the-bank" {
				t.Errorf("%+v", got)
			}
			tokens := q.poll(a)
			if answer == "deny" && (tokens.Status != http.StatusBadRequest || tokens.Error != "access_denied") || answer == "allow" && tokens.AccessToken == "" {
				t.Errorf("%s: %d %s", answer, tokens.Status, tokens.Body)
			}
		}
		if log := a.Logged(); strings.Contains(log, "token-of-the-bank") || strings.Contains(log, "sgn_arq_") {
			t.Error("the log has a secret")
		}
	})
}

// What the application demands of everybody, and of this request, holds on the page (as in security case DV-03).
func TestCIBA_SecondFactor(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		ph := withPhone(t, a, person)
		for name, q := range map[string]func() asked{
			"of everybody": func() asked {
				return askPerson(t, bank(t, a, func(m *client.Metadata) { m.RequireMFA = true }), person.Email)
			},
			"of this request": func() asked {
				return askPerson(t, bank(t, a), person.Email, "acr_values", "urn:signet:acr:2fa")
			},
		} {
			b := a.Browser(t)
			b.Open("/login")
			if p := b.Login(person); p.Has("code") {
				typed(b, ph.code(0), "trust") // and the browser is remembered, which is no factor here
				b.Open("/logout")
				b.Click("Sign out")
				a.Clock.Advance(time.Minute)
				b.Open("/login")
				b.Login(person)
			}
			waiting := q()
			path := strings.TrimPrefix(a.MailLink(t, person.Email), a.URL)
			at(t, b.Open(path), http.StatusOK, "/mfa")
			a.Clock.Advance(30 * time.Second)
			at(t, typed(b, ph.code(0)), http.StatusOK, path)
			b.Click("answer=allow")
			if got := waiting.poll(a); got.Status != http.StatusOK || apptest.Claims(t, got.IDToken)["acr"] != "urn:signet:acr:2fa" {
				t.Errorf("%s: %d %s", name, got.Status, got.Body)
			}
			a.Clock.Advance(time.Minute)
		}
	})
}

// Who is hinted: a proven address, a user name; never an address that somebody merely entered.
func TestCIBA_Hints(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true, Config: func(c *config.Config) { c.CIBA.Prompts = 50 }}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		rp := bank(t, a)
		if err := a.Accounts.SetUsername(t.Context(), person.ID, "Mina.K"); err != nil {
			t.Fatal(err)
		}
		for _, hint := range []string{person.Email, "mina.k", "MINA.K", " " + person.Email} {
			askPerson(t, rp, hint)
		}
		if n := len(a.Mails(t, person.Email)); n != 4 {
			t.Errorf("%d mails", n)
		}
		if _, err := a.DB.Q(t.Context()).Exec(t.Context(), `UPDATE email_address SET verified_at = 0 WHERE account_id = $1`, string(person.ID)); err != nil {
			t.Fatal(err)
		}
		for _, hint := range []string{person.Email, "nobody@example.com", "nobody", string(person.ID), "%", "a b"} {
			got := rp.Post(backchannelEndpoint, "scope", "openid", "login_hint", hint)
			if got.Status != http.StatusBadRequest || got.Error != "unknown_user_id" {
				t.Errorf("%q: %d %s", hint, got.Status, got.Body)
			}
		}
		b := a.Browser(t) // who cannot be written to finds it all the same
		if _, err := a.DB.Q(t.Context()).Exec(t.Context(), `DELETE FROM ciba_request`); err != nil {
			t.Fatal(err)
		}
		askPerson(t, rp, "mina.k")
		if n := len(a.Mails(t, person.Email)); n != 4 {
			t.Errorf("%d mails to an address that is not proven", n)
		}
		b.Open("/account/requests")
		if p := b.Login(person); !strings.Contains(p.Text(), "W4SC-7TQ") {
			t.Errorf("%s", p)
		}
	})
}

// What the application may have is looked at again when the person answers, and the page says so.
func TestCIBA_Lapsed(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person, rp := a.Person(t), bank(t, a)
		b := a.Browser(t)
		b.Open("/login")
		at(t, b.Login(person), http.StatusOK, "/account")
		q := askPerson(t, rp, person.Email)
		b.Open("/account/requests")
		shown := b.Click("Look at it")
		_, err := a.Clients.Update(t.Context(), rp.ID, func(d *client.Draft) error {
			d.Metadata.Quarantined = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		path := shown.URL.Path
		p := at(t, b.Post(path, url.Values{"answer": {"allow"}, "seen": {shown.Value("seen")}}), http.StatusForbidden, path)
		if !strings.Contains(p.Text(), "Nothing was allowed") || strings.Contains(p.Text(), "makers") {
			t.Errorf("%s", p)
		}
		if got := q.poll(a); got.Error != "authorization_pending" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		b.Open(path)
		at(t, b.Click("answer=deny"), http.StatusOK, "/account/requests")
		if got := q.poll(a); got.Error != "access_denied" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}
