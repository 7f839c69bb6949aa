package app_test

import (
	"strings"
	"testing"

	"signet/internal/app/apptest"
	"signet/internal/config"
	"signet/internal/oauth/client"
)

// TestFlow_SignUpSplitBetweenInstances: every step of one sign-up goes to the other of two instances, and
// so does the mail.
func TestFlow_SignUpSplitBetweenInstances(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, one *apptest.App) {
		two := one.StartSecond(t)
		rp, b := one.RP(t, client.Web, apptest.FirstParty), one.Browser(t)
		noor := apptest.Person{Name: "Noor", Email: "noor@example.com", Password: "violet-harbour-lantern"}
		b.Open(rp.AuthURL())
		b.Click("/signup")
		b.Use(two)
		if p := b.SignUp(noor); !p.Has("code") || p.Has("password") {
			t.Fatalf("no field for the code:\n%s", p)
		}
		b.Use(one)
		tokens := rp.Exchange(b.Fill("code", two.MailCode(t, noor.Email)).Click("Confirm"))
		info := rp.Userinfo(tokens.AccessToken)
		if info.JSON(t)["email"] != noor.Email || info.JSON(t)["email_verified"] != true {
			t.Errorf("userinfo: %s", info.Body)
		}
		claims := apptest.Claims(t, tokens.IDToken)
		if amr, _ := claims["amr"].([]any); len(amr) != 1 || amr[0] != "pwd" { // the mail proved the address, not the person
			t.Errorf("amr %v", claims["amr"])
		}
		if log := one.Logged() + two.Logged(); strings.Contains(log, two.MailCode(t, noor.Email)) || strings.Contains(log, noor.Password) || strings.Contains(log, "sgn_mail_") {
			t.Error("a secret is in the log")
		}
	})
}

// TestFlow_SignUpOwesWhatEverybodyOwes: a new account does not slip past the rule for second factors,
// neither by code nor by link.
func TestFlow_SignUpOwesWhatEverybodyOwes(t *testing.T) {
	t.Parallel()
	options := apptest.Options{Mail: true, Config: func(c *config.Config) { c.MFA.Mode = "required" }}
	apptest.Each(t, options, func(t *testing.T, a *apptest.App) {
		rp := a.RP(t, client.Web, apptest.FirstParty)
		for _, by := range []string{"code", "link"} {
			b := a.Browser(t)
			noor := apptest.Person{Name: "Noor", Email: by + "@example.com", Password: "violet-harbour-lantern"}
			b.Open(rp.AuthURL())
			b.Click("/signup")
			b.SignUp(noor)
			var p *apptest.Page
			if by == "code" {
				p = b.Fill("code", a.MailCode(t, noor.Email)).Click("Confirm")
			} else {
				b.Arrive(a.MailLink(t, noor.Email))
				p = b.Click("Confirm and create account")
			}
			if p.Left() || !strings.HasSuffix(p.URL.Path, "/enroll") {
				t.Errorf("by %s: no second factor is asked for:\n%s", by, p)
			}
			if p := b.Open("/account"); strings.HasPrefix(p.URL.Path, "/account") {
				t.Errorf("by %s: signed in without it", by)
			}
		}
	})
}
