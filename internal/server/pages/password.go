package pages

import (
	"context"
	"net/http"

	"signet/internal/identity/notice"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
	"signet/internal/server"
)

func (p *Pages) passwordForm(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.showPassword(w, m, http.StatusOK, p.accountView(r, m, "password.title"))
}

func (p *Pages) showPassword(w http.ResponseWriter, m *member, status int, v *view) error {
	data := struct{ Identifier string }{m.account.Email} // for password managers
	if data.Identifier == "" {
		data.Identifier = m.account.Username
	}
	v.Data = data
	return p.render(w, status, "password", v)
}

func (p *Pages) passwordChange(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	v := p.accountView(r, m, "password.title")
	for _, field := range []string{"current", "password"} {
		if form.Get(field) == "" {
			v.fail(field, m.loc.T("problem.required"))
		}
	}
	if len(v.Problems) > 0 {
		return p.showPassword(w, m, http.StatusUnprocessableEntity, v)
	}
	var cookie string
	err = p.d.Accounts.ChangePassword(r.Context(), m.account.ID, seal.Secret(form.Get("current")), seal.Secret(form.Get("password")),
		func(ctx context.Context) (err error) {
			if err := p.d.Journeys.EndOthers(ctx, m.account.ID, m.sess.ID); err != nil {
				return err
			}
			// The current password was just checked: that is a sign-in, and a new cookie.
			_, cookie, err = p.d.Sessions.Reauthenticate(ctx, m.sess.ID, session.Event{Method: session.Password, At: p.d.Clock.Now()})
			if errs.Is(err, errs.Unauthenticated) { // ended meanwhile: nothing changes
				return errs.New(errs.Conflict, "", err)
			}
			if err != nil {
				return err
			}
			return p.d.Notices.Send(ctx, m.account.ID, notice.Password, nil)
		})
	if err != nil {
		return p.passwordFailed(w, m, v, err)
	}
	setCookie(w, r, cookieSession, cookie, 0)
	return seeOther(w, "/account/password?saved=password")
}

func (p *Pages) passwordFailed(w http.ResponseWriter, m *member, v *view, err error) error {
	if errs.Is(err, errs.Unauthenticated) {
		return p.showPassword(w, m, http.StatusUnauthorized, v.fail("current", m.loc.T("problem.current_wrong")))
	}
	if status, ok := v.failFields(err); ok {
		return p.showPassword(w, m, status, v)
	}
	if status, text, ok := attempt(w, m.loc, err); ok {
		return p.showPassword(w, m, status, v.fail("", text))
	}
	return err
}
