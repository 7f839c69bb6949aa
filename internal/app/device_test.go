package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/oauth/client"
)

const deviceEndpoint = "/oauth2/device_authorization"

// tv registers an application without a browser.
func tv(t testing.TB, a *apptest.App, change ...func(*client.Metadata)) *apptest.RP {
	t.Helper()
	return a.RP(t, client.Native, append([]func(*client.Metadata){func(m *client.Metadata) {
		m.GrantTypes = []string{client.GrantDeviceCode, client.GrantRefreshToken}
		m.RedirectURIs, m.PostLogoutRedirectURIs, m.ResponseTypes = nil, nil, nil
	}}, change...)...)
}

// waiting is a device that shows a code.
type waiting struct {
	rp                   *apptest.RP
	device, user, target string
}

func startDevice(t testing.TB, rp *apptest.RP) waiting {
	t.Helper()
	answer := rp.Post(deviceEndpoint, "scope", "openid profile offline_access")
	m := answer.JSON(t)
	if answer.Status != http.StatusOK || answer.Header.Get("Cache-Control") != "no-store" || m["expires_in"] != 600.0 || m["interval"] != 5.0 {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	return waiting{rp, m["device_code"].(string), m["user_code"].(string), m["verification_uri_complete"].(string)}
}

func (w waiting) poll(a *apptest.App) apptest.Answer {
	a.Clock.Advance(6 * time.Second)
	return w.rp.Token("grant_type", client.GrantDeviceCode, "device_code", w.device)
}

// Security case DV-05, RFC 8628 §3.3, §5.4: the link fills the code in, shows who asks for what, from
// where and when, and never lets anybody in by itself; the device then outlives the browser's session.
func TestDevice_Journey(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person, d := a.Person(t), startDevice(t, tv(t, a))
		pending := func(when string) {
			t.Helper()
			if got := d.poll(a); got.Status != http.StatusBadRequest || got.Error != "authorization_pending" {
				t.Fatalf("%s: %d %s", when, got.Status, got.Body)
			}
		}
		b := a.Browser(t)
		at(t, b.Open(d.target), http.StatusOK, "/login")
		p := at(t, b.Login(person), http.StatusOK, "/device")
		if p.Value("user_code") != d.user {
			t.Fatalf("the code is not filled in:\n%s", p)
		}
		pending("signed in")
		p = at(t, b.Submit(url.Values{"user_code": {strings.ToLower(d.user)}}), http.StatusOK, "/device")
		for _, want := range []string{"Test application", d.user, "127.0.0.1", "See your profile", "own device", person.Email} {
			if !strings.Contains(p.Text(), want) {
				t.Errorf("the page does not say %q:\n%s", want, p)
			}
		}
		pending("the page shown")
		p = at(t, b.Click("answer=allow"), http.StatusOK, "/device")
		if !strings.Contains(p.Text(), "Your device is signed in") {
			t.Fatalf("%s", p)
		}
		got := d.poll(a)
		if got.Status != http.StatusOK || got.RefreshToken == "" || apptest.Claims(t, got.IDToken)["sub"] != string(person.ID) {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		if info := d.rp.Userinfo(got.AccessToken); info.Status != http.StatusOK {
			t.Errorf("userinfo: %d %s", info.Status, info.Body)
		}
		b.Open("/logout")
		b.Click("Sign out")
		if got = d.rp.Refresh(got.RefreshToken); got.Status != http.StatusOK {
			t.Errorf("the device is signed out with the browser: %d %s", got.Status, got.Body)
		}
		b.Open("/account/applications")
		p = b.Login(person)
		if !strings.Contains(p.Text(), "Test application") {
			t.Errorf("the device is not among the applications:\n%s", p)
		}
		b.Click("Remove access")
		if got = d.rp.Refresh(got.RefreshToken); got.Error != "invalid_grant" {
			t.Errorf("the device lives on: %d %s", got.Status, got.Body)
		}
	})
}

// A wrong code says so at its field, five of them end the trying; a no is a no; and a form that does not
// come from the page that was shown shows it.
func TestDevice_PageRefuses(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person, d := a.Person(t), startDevice(t, tv(t, a))
		b := a.Browser(t)
		b.Open("/device?user_code=%3Cscript%3E")
		p := at(t, b.Login(person), http.StatusOK, "/device")
		if p.Value("user_code") != "" {
			t.Errorf("%q is filled in", p.Value("user_code"))
		}
		at(t, b.Submit(url.Values{"user_code": {""}}), http.StatusUnprocessableEntity, "/device")
		p = at(t, b.Submit(url.Values{"user_code": {"BBBB-BBBB"}}), http.StatusUnprocessableEntity, "/device")
		if !strings.Contains(p.Element("user_code-error"), "not right") || p.Value("user_code") != "BBBB-BBBB" {
			t.Errorf("%s", p)
		}
		// Straight to the yes, without the page, or for what another page showed.
		for _, seen := range []string{"", "x"} {
			p = at(t, b.Post("/device", url.Values{"user_code": {d.user}, "answer": {"allow"}, "seen": {seen}}), http.StatusOK, "/device")
			if !strings.Contains(p.Text(), d.user) || !p.Has("seen") {
				t.Fatalf("%s", p)
			}
		}
		if got := d.poll(a); got.Error != "authorization_pending" {
			t.Fatalf("%s", got.Body)
		}
		p = b.Click("answer=deny")
		if !strings.Contains(p.Text(), "was refused") {
			t.Fatalf("%s", p)
		}
		if got := d.poll(a); got.Error != "access_denied" {
			t.Fatalf("%s", got.Body)
		}
		for range 8 {
			b.Open("/device")
			p = b.Submit(url.Values{"user_code": {d.user}}) // used up: a wrong code like any other
		}
		at(t, p, http.StatusTooManyRequests, "/device")
	})
}

// What an application demands of everybody holds on this page too (security case DV-03).
func TestDevice_SecondFactor(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		d := startDevice(t, tv(t, a, func(m *client.Metadata) { m.RequireMFA = true }))
		ph := withPhone(t, a, person)
		d = startDevice(t, d.rp) // withPhone moved the clock
		b := a.Browser(t)
		b.Open("/device")
		if p := b.Login(person); p.Has("code") {
			typed(b, ph.code(0), "trust") // and the browser is remembered, which is no factor here
			b.Open("/logout")
			b.Click("Sign out")
			a.Clock.Advance(time.Minute)
			b.Open("/device")
			b.Login(person)
		}
		at(t, b.Submit(url.Values{"user_code": {d.user}}), http.StatusOK, "/mfa")
		a.Clock.Advance(30 * time.Second)
		p := at(t, typed(b, ph.code(0)), http.StatusOK, "/device")
		if p.Value("user_code") != d.user {
			t.Fatalf("%s", p)
		}
		b.Submit(url.Values{"user_code": {d.user}})
		b.Click("answer=allow")
		got := d.poll(a)
		if got.Status != http.StatusOK || apptest.Claims(t, got.IDToken)["acr"] != "urn:signet:acr:2fa" {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}
