package pages

import (
	"context"
	"net/http"
	"slices"
	"time"

	"signet/internal/identity/notice"
	"signet/internal/identity/passkey"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
)

// "This wasn't me": the link in every notice.

var notMeFrames = map[string]string{}

func (p *Pages) notMeRoutes() []server.Route { return nil } // it is behind /m, see landing

func (p *Pages) notMeLanding(w http.ResponseWriter, r *http.Request, token string) error {
	l, err := p.d.Notices.Peek(r.Context(), token)
	if err != nil {
		return err
	}
	return p.showLink(w, p.notMeView(r, l))
}

// aboutKeys says what a notice was about.
var aboutKeys = map[notice.Kind]string{
	notice.SignIn: "link.about.notice_sign_in", notice.FactorAdded: "link.about.notice_factor_added",
	notice.FactorRemoved: "link.about.notice_factor_removed", notice.Password: "link.about.notice_password",
	notice.Address: "link.about.notice_address", notice.RecoveryCode: "link.about.notice_recovery_code",
	notice.IdentityLinked: "link.about.notice_identity_linked",
}

func (p *Pages) notMeView(r *http.Request, l notice.Link) *view {
	v := p.linkView(r, wording{"link.not_me.title", "link.not_me.text", "link.not_me.submit", "link.not_me.quiet"})
	if data, ok := v.Data.(landingData); ok && aboutKeys[l.Kind] != "" {
		data.Text = append([]string{v.T(aboutKeys[l.Kind], "At", v.instant(l.At).Text)}, data.Text...)
		if l.Kind == notice.IdentityLinked {
			data.Text = append(data.Text, v.T("link.not_me.linked"))
		}
		if l.Undo {
			data.Text, data.Quiet = append(data.Text, v.T("link.not_me.factors")), v.T("link.not_me.close")
		}
		v.Data = data
	}
	return v
}

// notMeLinked ends every session, grant and remembered browser at once, and begins a reset, if the
// account still has an address that the notice went to.
func (p *Pages) notMeLinked(w http.ResponseWriter, r *http.Request, token string) error {
	if _, err := p.d.Notices.Peek(r.Context(), token); err != nil {
		return err
	}
	l, err := p.d.Notices.Take(r.Context(), token, func(ctx context.Context, l notice.Link) error {
		if l.Undo {
			if err := p.dropFactors(ctx, l.User); err != nil {
				return err
			}
		}
		if l.Kind == notice.IdentityLinked {
			if err := p.dropLinks(ctx, l); err != nil {
				return err
			}
		}
		return p.endEverything(ctx, l.User)
	})
	if err != nil {
		return err
	}
	done := saying{"link.ended.title", "link.ended.text", "/forgot", "forgot.title"}
	a, err := p.d.Accounts.ByID(r.Context(), l.User)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if err == nil && !slices.Contains(l.To, a.Email) {
		// A mail for a new password would go to whoever changed the address since.
		l.User, done.text = "", "link.ended.moved"
	}
	return p.afterAlarm(w, r, l.User, done)
}

// dropFactors takes every second factor away from an account that had none a short while ago: whoever
// added the first must not go on with it, and must not keep the owner out.
func (p *Pages) dropFactors(ctx context.Context, user id.User) error {
	if _, err := p.d.MFA.Reset(ctx, user); err != nil || p.d.Passkeys == nil {
		return err
	}
	list, err := p.d.Passkeys.List(ctx, user)
	for _, c := range list {
		// The last way into an account without a password stays.
		if err = p.d.Passkeys.Remove(ctx, user, c.ID); err != nil && errs.As(err).Key != passkey.KeyLastWay {
			return err
		}
		err = nil
	}
	return err
}

// dropLinks takes the identity of another provider away that the notice told of, and those that came
// after it: they would let somebody in whatever the new password. Where there is no password they may
// be the only way in, and stay.
func (p *Pages) dropLinks(ctx context.Context, l notice.Link) error {
	if p.d.Upstreams == nil {
		return nil
	}
	if has, err := p.d.Accounts.HasPassword(ctx, l.User); err != nil || !has {
		return err
	}
	list, err := p.d.Upstreams.List(ctx, l.User)
	for _, one := range list {
		if one.CreatedAt.Before(l.At.Add(-time.Minute)) { // written in one transaction with the notice
			continue
		}
		if err := p.d.Upstreams.Unlink(ctx, one); err != nil {
			return err
		}
	}
	return err
}
