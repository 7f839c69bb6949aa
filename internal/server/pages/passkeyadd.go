package pages

import (
	"context"
	"net/http"

	"signet/internal/identity/account"
	"signet/internal/identity/passkey"
	"signet/internal/identity/session"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/server"
	"signet/internal/signin"
)

// ownerOf is an account as authenticators show it.
func ownerOf(a account.Account) passkey.Owner {
	return passkey.Owner{User: a.ID, Name: labelOf(a), DisplayName: a.Profile.Name}
}

// noticeAdded tells the owner of a new passkey.
func (p *Pages) noticeAdded(ctx context.Context, user id.User, c passkey.Credential) error {
	return p.tellAdded(ctx, user, c.Name, false)
}

// The offer: after a sign-in with a password, in a browser that can make a passkey.

func (p *Pages) offerForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Offer)
	if v == nil || err != nil {
		return err
	}
	return p.showOffer(w, r, v, http.StatusOK, p.page(r, v, "offer.title"))
}

func (p *Pages) showOffer(w http.ResponseWriter, r *http.Request, v *visit, status int, page *view) error {
	options, err := p.d.Passkeys.RegisterOptions(r.Context(), ownerOf(*v.owed.Account), journeyBinding(v))
	if err != nil {
		return err
	}
	page.Passkey = page.passkeyForm("create", journeyPath(v.j.ID, "offer"), "passkey.create", options)
	page.Passkey.Primary = true
	// Straight after a full sign-in, and only then, the browser may make one by itself.
	if status == http.StatusOK {
		upgrade, err := p.d.Passkeys.UpgradeOptions(r.Context(), ownerOf(*v.owed.Account), journeyBinding(v))
		if err != nil {
			return err
		}
		page.Passkey.Upgrade = string(upgrade)
	}
	page.Data = struct{ Who person }{personOf(*v.owed.Account)}
	return p.render(w, status, "offer", page)
}

func (p *Pages) offerOptions(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Offer)
	if v == nil || err != nil {
		return err
	}
	options, err := p.d.Passkeys.RegisterOptions(r.Context(), ownerOf(*v.owed.Account), journeyBinding(v))
	return sendOptions(w, options, err)
}

func (p *Pages) offerAnswer(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Offer)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	var codes []seal.Secret
	j := *v.j
	settled := func(ctx context.Context) error {
		j = *v.j // as it was, should the transaction be tried again
		return p.d.Journeys.Offered(ctx, &j, v.sess)
	}
	if form.Get("answer") == "" {
		err = p.d.DB.InTx(r.Context(), func(ctx context.Context) error {
			if err := p.d.Passkeys.DeclineOffer(ctx, v.sess.User, form.Get("choice") == "never"); err != nil {
				return err
			}
			return settled(ctx)
		})
	} else {
		_, err = p.d.Passkeys.Register(r.Context(), v.sess.User, journeyBinding(v), []byte(form.Get("answer")), deviceText(v.loc, r.UserAgent()),
			func(ctx context.Context, c passkey.Credential) (err error) {
				if codes, err = p.firstCodes(ctx, v.sess.User); err != nil {
					return err
				}
				if err := p.noticeAdded(ctx, v.sess.User, c); err != nil {
					return err
				}
				return settled(ctx)
			})
	}
	if err != nil {
		status, text, ok := passkeyFailed(w, v.loc, err)
		if !ok {
			return p.overtaken(w, v, err)
		}
		return p.showOffer(w, r, v, status, p.page(r, v, "offer.title").fail("", text))
	}
	if codes != nil {
		return p.showJourneyCodes(w, r, v, *v.owed.Account, codes)
	}
	v.j = &j
	return p.proceed(w, r, v)
}

// Enrolment: a second factor is owed and a passkey becomes it. Whoever makes one here has shown
// that they hold it.

func (p *Pages) withFirstPasskey(r *http.Request, page *view, v *visit) {
	if p.d.Passkeys == nil || v.owed.Half == nil {
		return
	}
	options, err := p.d.Passkeys.RegisterOptions(r.Context(), ownerOf(*v.owed.Half), journeyBinding(v))
	if err != nil {
		p.withoutPasskey(r, err)
		return
	}
	page.Passkey = page.passkeyForm("create", journeyPath(v.j.ID, "enroll/passkey"), "passkey.create", options)
	if v.owed.Resistant { // nothing else will do
		page.Passkey.Primary, page.Passkey.Unable = true, v.loc.T("passkey.unable")
	}
}

func (p *Pages) enrollOptions(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Enroll)
	if v == nil || err != nil {
		return err
	}
	options, err := p.d.Passkeys.RegisterOptions(r.Context(), ownerOf(*v.owed.Half), journeyBinding(v))
	return sendOptions(w, options, err)
}

func (p *Pages) enrollPasskey(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Enroll)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	var out signin.Outcome
	var codes []seal.Secret
	j := *v.j
	user := v.owed.Half.ID
	_, err = p.d.Passkeys.Register(r.Context(), user, journeyBinding(v), []byte(form.Get("answer")), deviceText(v.loc, r.UserAgent()),
		func(ctx context.Context, c passkey.Credential) (err error) {
			j = *v.j // as it was, should the transaction be tried again
			e := session.Event{Method: session.Passkey, Verified: true, Credential: c.ID}
			if out, err = p.d.Journeys.SecondFactor(ctx, &j, e, false, v.sess); err != nil {
				return err
			}
			if codes, err = p.firstCodes(ctx, user); err != nil {
				return err
			}
			return p.noticeAdded(ctx, user, c)
		})
	if err != nil {
		status, text, ok := passkeyFailed(w, v.loc, err)
		if !ok {
			return p.overtaken(w, v, err)
		}
		return p.showEnroll(w, v, status, p.enrollView(r, v).fail("", text), nil)
	}
	if codes != nil {
		carry(w, r, out)
		return p.showJourneyCodes(w, r, v, *v.owed.Half, codes)
	}
	v.j = &j
	return p.entered(w, r, v, out)
}
