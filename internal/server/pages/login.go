package pages

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"time"

	"signet/internal/identity/account"
	"signet/internal/identity/device"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
	"signet/internal/platform/seal"
	"signet/internal/server"
	"signet/internal/signin"
)

// startLogin is for people who come without an application.
func (p *Pages) startLogin(w http.ResponseWriter, r *http.Request) error {
	return p.startLocal(w, r, signin.Local{Target: "/account"})
}

// startSignUp likewise.
func (p *Pages) startSignUp(w http.ResponseWriter, r *http.Request) error {
	return p.startLocal(w, r, signin.Local{Target: "/account", Create: true})
}

func (p *Pages) startLocal(w http.ResponseWriter, r *http.Request, l signin.Local) error {
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	if sess != nil && l.MaxAge == nil {
		return seeOther(w, l.Target)
	}
	j, err := p.d.Journeys.BeginLocal(r.Context(), browser(w, r), l)
	if err != nil {
		return err
	}
	return seeOther(w, journeyPath(j, ""))
}

func (p *Pages) loginForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	typed := url.Values{}
	switch {
	case v.owed.Again:
		typed.Set("identifier", v.owed.Account.Email)
		if v.owed.Account.Email == "" {
			typed.Set("identifier", v.owed.Account.Username)
		}
	case v.j.LoginHint() != "":
		typed.Set("identifier", v.j.LoginHint())
	}
	if parked := p.parked(r, v); parked != nil && parked.For != "" {
		typed.Set("identifier", parked.Identity.Email)
	}
	return p.showLogin(w, r, v, http.StatusOK, p.loginView(r, v).keep(typed))
}

func (p *Pages) loginView(r *http.Request, v *visit) *view {
	title := "login.title"
	if v.owed.Again {
		title = "login.title_again"
	}
	page := p.page(r, v, title)
	page.KeepForm = true
	return page
}

// showLogin is the one way to render the login page, so that all its failures look alike.
func (p *Pages) showLogin(w http.ResponseWriter, r *http.Request, v *visit, status int, page *view) error {
	data := struct{ Reason, SignUp, Forgot, MailCode string }{SignUp: p.signUpPath(r, v), Forgot: journeyPath(v.j.ID, "forgot")}
	if p.offersMailCode() {
		data.MailCode = journeyPath(v.j.ID, "mail-code")
	}
	page.Focus = "identifier"
	if page.typed.Get("identifier") != "" {
		page.Focus = "password"
	}
	switch {
	case r.URL.Query().Get("reset") == "done":
		data.Reason = v.loc.T("login.reset_done")
	case v.owed.Other:
		data.Reason = v.loc.T("login.other_account")
	case v.owed.Again && v.j.Local != nil:
		data.Reason = v.loc.T("login.again_account")
	case v.owed.Again:
		data.Reason = v.loc.T("login.again_app")
	}
	page.Data = data
	p.withPasskey(r, page, v)
	p.withUpstreams(r, page, v)
	return p.render(w, status, "login", page)
}

func (p *Pages) loginPassword(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if p.relocated(w, r, v, form) {
		return p.showLogin(w, r, v, http.StatusOK, p.loginView(r, v).keep(form))
	}
	if away, err := p.routed(w, r, v, form.Get("identifier")); away || err != nil {
		return err
	}
	page := p.loginView(r, v).keep(form)
	for _, field := range []string{"identifier", "password"} {
		if form.Get(field) == "" {
			page.fail(field, v.loc.T("problem.required"))
		}
	}
	if len(page.Problems) > 0 {
		return p.showLogin(w, r, v, http.StatusUnprocessableEntity, page)
	}
	var out signin.Outcome
	j := *v.j
	_, err = p.d.Accounts.Authenticate(r.Context(), form.Get("identifier"), seal.Secret(form.Get("password")),
		func(ctx context.Context, a account.Account) (err error) {
			j = *v.j // as it was, should the transaction be tried again
			out, err = p.d.Journeys.Authenticated(ctx, &j, signin.Proof{
				User: a.ID, Event: session.Event{Method: session.Password}, Offer: form.Get("can_passkey") == "1",
			}, v.sess)
			return err
		})
	if errs.Is(err, errs.Conflict) {
		return p.overtaken(w, v, err)
	}
	if err != nil {
		status, text, ok := attempt(w, v.loc, err)
		if !ok {
			return err
		}
		// Unknown, wrong and disabled are one case: same text, same status, same page.
		if status == http.StatusUnauthorized {
			page.blamed = []string{"identifier", "password"}
		}
		return p.showLogin(w, r, v, status, page.fail("", text))
	}
	v.j = &j
	usedLast(w, r, session.Password)
	return p.entered(w, r, v, out)
}

// entered gives the browser what a proof led to, and goes on.
func (p *Pages) entered(w http.ResponseWriter, r *http.Request, v *visit, out signin.Outcome) error {
	carry(w, r, out)
	if out.Session != nil {
		v.sess = out.Session
	}
	return p.proceed(w, r, v)
}

// carry gives the browser its new cookies.
func carry(w http.ResponseWriter, r *http.Request, out signin.Outcome) {
	if out.Cookie != "" {
		setCookie(w, r, cookieSession, out.Cookie, 0)
	}
	if out.Device != "" {
		setCookie(w, r, cookieDevice, out.Device, int(device.Life.Seconds()))
	}
}

// attempt turns a failed check of a password into a status and a sentence, with Retry-After
// where another try makes sense later. ok is false for faults, which get an error page.
func attempt(w http.ResponseWriter, loc *locale, err error) (status int, text string, ok bool) {
	e := errs.As(err)
	switch e.Kind {
	case errs.Unauthenticated:
		return http.StatusUnauthorized, loc.T("login.failed"), true
	case errs.Limited:
		w.Header().Set("Retry-After", server.RetryAfter(e.RetryAfter))
		return http.StatusTooManyRequests, loc.T("error.limited.text", "Count", minutes(e.RetryAfter)), true
	case errs.Busy:
		w.Header().Set("Retry-After", server.RetryAfter(e.RetryAfter))
		return http.StatusServiceUnavailable, loc.T("error.busy.text", "Count", seconds(e.RetryAfter)), true
	}
	return 0, "", false
}

func minutes(d time.Duration) int { return max(1, int(math.Ceil(d.Minutes()))) }
func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }
