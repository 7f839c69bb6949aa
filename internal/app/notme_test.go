package app_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"signet/internal/app/apptest"
	"signet/internal/identity/federation"
	"signet/internal/identity/notice"
	"signet/internal/identity/passkey"
	"signet/internal/identity/passkey/passkeytest"
)

// hijack lets somebody who knows the password set up second factors of their own: an app, and a passkey
// after it.
func hijack(t *testing.T, a *apptest.App, person apptest.Person) {
	t.Helper()
	thief := a.Browser(t)
	thief.Open("/account/security/totp")
	at(t, thief.Login(person), 200, "/account/security/totp")
	p := at(t, thief.Click("act=begin"), 200, "/account/security/totp")
	at(t, typed(thief, (&phone{t, a, p.Element("key")}).code(0)), 200, "/account/security/totp")
	o, err := a.Passkeys.RegisterOptions(t.Context(), passkey.Owner{User: person.ID, Name: person.Email}, "theirs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Passkeys.Register(t.Context(), person.ID, "theirs", passkeytest.New(a.Cfg.Issuer).Create(t, o), "theirs"); err != nil {
		t.Fatal(err)
	}
}

// Whoever had the password for a moment cannot shut the owner out, nor stay in, with factors of their own.
func TestNotMe_TakesTheFirstFactorsBack(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person, owner := a.Person(t), a.Browser(t)
		hijack(t, a, person)
		p := owner.Open(kindOf(t, a, person.Email, "notice_factor_added").Link())
		if !strings.Contains(p.Text(), "Every second factor that was set up since then is removed") {
			t.Errorf("the page does not say so:\n%s", p)
		}
		at(t, owner.Click("It was not me: sign out everything"), 200, "/reset")
		at(t, owner.Submit(url.Values{"code": {a.MailCode(t, person.Email)}}), 200, "/reset")
		at(t, owner.Submit(url.Values{"password": {newPassword}}), 200, "/login")
		if has, err := a.MFA.Of(t.Context(), person.ID); err != nil || has.Any() || has.RecoveryLeft != 0 {
			t.Errorf("%+v, %v", has, err)
		}
		person.Password = newPassword
		at(t, owner.Login(person), 200, "/account")
	})
}

// The mailbox is no way around a second factor that the owner has, nor around one of last week.
func TestNotMe_LeavesOtherFactors(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		late := a.Person(t)
		hijack(t, a, late)
		link := kindOf(t, a, late.Email, "notice_factor_added").Link()
		a.Clock.Advance(notice.UndoFor)
		b := a.Browser(t)
		b.Open(link)
		at(t, b.Click("It was not me: sign out everything"), 200, "/reset")
		if has, err := a.MFA.Of(t.Context(), late.ID); err != nil || !has.TOTP || has.Passkeys != 1 {
			t.Errorf("after a week: %+v, %v", has, err)
		}

		person := a.Person(t)
		ph := withPhone(t, a, person)
		own := a.Browser(t)
		own.Open("/account/security/totp")
		at(t, own.Login(person), 200, "/mfa")
		at(t, typed(own, ph.code(0)), 200, "/account/security/totp")
		a.Clock.Advance(time.Minute)
		p := at(t, own.Click("act=begin"), 200, "/account/security/totp") // a new phone
		at(t, typed(own, (&phone{t, a, p.Element("key")}).code(0)), 200, "/account/security/totp")
		b = a.Browser(t)
		b.Open(kindOf(t, a, person.Email, "notice_factor_added").Link())
		at(t, b.Click("It was not me: sign out everything"), 200, "/reset")
		if has, err := a.MFA.Of(t.Context(), person.ID); err != nil || !has.TOTP {
			t.Errorf("a replaced app: %+v, %v", has, err)
		}
	})
}

// An identity of somebody else's is no way in any more, either.
func TestNotMe_TakesTheLinkBack(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Mail: true}, func(t *testing.T, a *apptest.App) {
		person := a.Person(t)
		link := func(subject string) {
			t.Helper()
			err := a.DB.InTx(t.Context(), func(ctx context.Context) error {
				_, err := a.Upstreams.Link(ctx, person.ID, federation.Identity{Provider: "corp", Issuer: "https://corp.test", Subject: subject})
				return errors.Join(err, a.Notices.Send(ctx, person.ID, notice.IdentityLinked, map[string]any{"Provider": "Corp"}))
			})
			if err != nil {
				t.Fatal(err)
			}
			a.Clock.Advance(time.Hour)
		}
		link("owner")
		link("thief")
		b := a.Browser(t)
		b.Open(kindOf(t, a, person.Email, "notice_identity_linked").Link())
		at(t, b.Click("It was not me: sign out everything"), 200, "/reset")
		list, err := a.Upstreams.List(t.Context(), person.ID)
		if err != nil || len(list) != 1 || list[0].Subject != "owner" {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
