package app_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"signet/internal/app/apptest"
	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
)

// What a person does to their account, and what others try, is recorded with who, to whom, from
// where, in which browser and with which result; no secret is among it.
func TestAudit_ActsHaveTheirSource(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true, Config: behindProxy}, func(t *testing.T, a *apptest.App) {
		rp, person := a.RP(t, client.Web), a.Person(t)
		secrets := []string{person.Password, wrongPassword, "walnuts on a slow river", "lanterns over the eastern pier"}

		stranger := visitor(t, a, "X-Forwarded-For", "198.51.100.7", "User-Agent", "Stranger/1.0")
		guess(stranger, person.Email, wrongPassword)
		stranger.Open("/login")
		forget(t, stranger, person.Email)

		b := visitor(t, a, "X-Forwarded-For", "192.0.2.1", "User-Agent", "Lantern/1.0")
		b.Open(rp.AuthURL())
		b.Login(person)
		tokens := rp.Exchange(b.Click("answer=allow"))
		secrets = append(secrets, tokens.RefreshToken, tokens.AccessToken, b.Cookies()["signet_session"])
		b.Open("/account/profile")
		b.Submit(url.Values{"name": {"Mina of the Harbour"}})
		b.Open("/account/username")
		b.Submit(url.Values{"username": {"harbour"}})
		b.Open("/account/password")
		b.Submit(url.Values{"current": {wrongPassword}, "password": {"walnuts on a slow river"}})
		b.Submit(url.Values{"current": {person.Password}, "password": {"walnuts on a slow river"}})
		b.Open("/account/address")
		b.Submit(url.Values{"email": {"harbour@example.com"}})
		b.Open("/account/applications")
		b.Click("Remove access")
		b.Open("/logout")
		b.Click("Sign out")

		all, err := a.Audit.List(t.Context(), audit.Filter{Limit: audit.MaxLimit})
		if err != nil {
			t.Fatal(err)
		}
		me := string(person.ID)
		for _, want := range []audit.Record{
			{Action: "login", Result: audit.Refused, Target: me, IP: "198.51.100.7", UserAgent: "Stranger/1.0"},
			{Action: "session.start", Result: audit.OK, Actor: me, Target: me, IP: "192.0.2.1", UserAgent: "Lantern/1.0"},
			{Action: "consent.granted", Result: audit.OK, Actor: me, Target: me, Client: rp.ID, IP: "192.0.2.1", UserAgent: "Lantern/1.0"},
			{Action: "profile.update", Result: audit.OK, Actor: me, Target: me, IP: "192.0.2.1", UserAgent: "Lantern/1.0"},
			{Action: "username.change", Result: audit.OK, Actor: me, Target: me, IP: "192.0.2.1", UserAgent: "Lantern/1.0"},
			{Action: "password.change", Result: audit.Refused, Target: me, IP: "192.0.2.1", UserAgent: "Lantern/1.0"},
			{Action: "password.change", Result: audit.OK, Actor: me, Target: me, IP: "192.0.2.1", UserAgent: "Lantern/1.0"},
			{Action: "address.request", Result: audit.OK, Actor: me, Target: me, IP: "192.0.2.1", UserAgent: "Lantern/1.0"},
			{Action: "consent.revoked", Result: audit.OK, Actor: me, Target: me, Client: rp.ID, IP: "192.0.2.1", UserAgent: "Lantern/1.0"},
			{Action: "session.end", Result: audit.OK, Actor: me, Target: me, IP: "192.0.2.1", UserAgent: "Lantern/1.0"},
		} {
			found := false
			for _, r := range all {
				found = found || r.Action == want.Action && r.Result == want.Result && r.Actor == want.Actor && r.Target == want.Target &&
					r.Client == want.Client && r.IP == want.IP && r.UserAgent == want.UserAgent && r.RequestID != ""
			}
			if !found {
				t.Errorf("no record %+v", want)
			}
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if strings.Contains(string(text), s) || s == "" {
				t.Errorf("%q is in the record", s)
			}
		}
		if t.Failed() {
			for _, r := range all {
				t.Logf("%+v", r)
			}
		}
	})
}
