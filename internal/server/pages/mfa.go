package pages

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"signet/internal/identity/mfa"
	"signet/internal/identity/notice"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/server"
	"signet/internal/signin"
)

var mfaFrames = map[string]string{"mfa": "card", "recovery_code": "card"}

func (p *Pages) mfaRoutes() []server.Route {
	return []server.Route{
		p.get("/signin/{journey}/mfa", p.mfaForm),
		p.post("/signin/{journey}/mfa", p.mfaCode),
		p.get("/signin/{journey}/mfa/recovery", p.recoveryCodeForm),
		p.post("/signin/{journey}/mfa/recovery", p.recoveryCode),
	}
}

// secondFactor is what the page of the second factor shows.
type secondFactor struct {
	Who      person
	Reason   string
	TOTP     bool // a code of an authenticator app will do
	Passkey  bool // a passkey will do
	Recovery string
	Remember string // what the box to remember this browser says; "" for no box
	Trust    bool   // and whether it was ticked
	Login    string // to sign in as somebody else
}

func (p *Pages) mfaForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.MFA)
	if v == nil || err != nil {
		return err
	}
	return p.showMFA(w, v, http.StatusOK, p.mfaView(r, v))
}

func (p *Pages) mfaView(r *http.Request, v *visit) *view {
	page := p.page(r, v, "mfa.title")
	page.KeepForm = true
	page.Focus = "code"
	p.withSecondPasskey(r, page, v)
	return page
}

func (p *Pages) showMFA(w http.ResponseWriter, v *visit, status int, page *view) error {
	has := v.owed.Factors
	data := secondFactor{
		Who: personOf(*v.owed.Half), Reason: reasonFor(v), TOTP: has.TOTP && !v.owed.Resistant, Passkey: has.Passkeys > 0,
		Login: journeyPath(v.j.ID, "login"), Trust: page.typed.Get("trust") != "",
	}
	if has.RecoveryLeft > 0 && !v.owed.Resistant {
		data.Recovery = journeyPath(v.j.ID, "mfa/recovery")
	}
	if v.j.HalfUser() != "" { // who is signed in already has nothing to be remembered for
		data.Remember = rememberFor(v.loc, p.d.Journeys.Policy().RememberFor)
	}
	page.Data = data
	return p.render(w, status, "mfa", page)
}

// reasonFor says why somebody who is signed in is asked for more (RFC 9470 §1).
func reasonFor(v *visit) string {
	switch {
	case v.j.HalfUser() != "":
		return ""
	case v.j.Local != nil:
		return v.loc.T("mfa.reason_account")
	case v.owed.Resistant:
		return v.loc.T("mfa.reason_passkey")
	}
	return v.loc.T("mfa.reason_app")
}

// rememberFor says how long a browser would be remembered, in days, or in hours if it is no whole
// days; "" for not at all.
func rememberFor(loc *locale, d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d <= 0:
		return ""
	case d%day == 0:
		return loc.T("mfa.remember_days", "Count", int(d/day))
	}
	return loc.T("mfa.remember_hours", "Count", int((d+time.Hour-1)/time.Hour))
}

func (p *Pages) mfaCode(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.MFA)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	typed := url.Values{"trust": form["trust"]} // a code is typed anew
	if p.relocated(w, r, v, form) {
		return p.showMFA(w, v, http.StatusOK, p.mfaView(r, v).keep(typed))
	}
	page := p.mfaView(r, v).keep(typed)
	if form.Get("code") == "" {
		return p.showMFA(w, v, http.StatusUnprocessableEntity, page.fail("code", v.loc.T("problem.required")))
	}
	if v.owed.Resistant { // a code proves less than what is asked for
		return p.showMFA(w, v, http.StatusUnprocessableEntity, page.fail("", v.loc.T("mfa.reason_passkey")))
	}
	var out signin.Outcome
	j := *v.j
	err = p.d.MFA.VerifyTOTP(r.Context(), v.owed.Half.ID, seal.Secret(form.Get("code")), func(ctx context.Context) (err error) {
		j = *v.j // as it was, should the transaction be tried again
		out, err = p.d.Journeys.SecondFactor(ctx, &j, session.Event{Method: session.TOTP}, form.Get("trust") == "1", v.sess)
		return err
	})
	if err != nil {
		return p.factorFailed(w, v, err, page, p.showMFA)
	}
	v.j = &j
	return p.entered(w, r, v, out)
}

// factorFailed answers a code that was not accepted, on the page that asked for it.
func (p *Pages) factorFailed(w http.ResponseWriter, v *visit, err error, page *view, show func(http.ResponseWriter, *visit, int, *view) error) error {
	switch {
	case errs.Is(err, errs.Conflict):
		return p.overtaken(w, v, err)
	case errs.As(err).Key == mfa.KeyNone: // removed meanwhile: look again what is owed
		return seeOther(w, journeyPath(v.j.ID, ""))
	}
	status, ok := page.failCode(w, err)
	if !ok {
		return err
	}
	return show(w, v, status, page)
}

// failCode puts what is wrong with a code beside its field; ok is false for a fault. Whoever reads
// it has proven the first factor, so that it may say more than a sign-in does.
func (v *view) failCode(w http.ResponseWriter, err error) (status int, ok bool) {
	e := errs.As(err)
	if e.Kind == errs.Unauthenticated && e.Key != "" {
		field := v.Focus
		if e.Key == mfa.KeyLocked {
			field = ""
		}
		v.fail(field, v.T(e.Key))
		return http.StatusUnauthorized, true
	}
	status, text, ok := attempt(w, v.locale, err)
	if ok {
		v.fail("", text)
	}
	return status, ok
}

func (p *Pages) recoveryCodeForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.MFA)
	if v == nil || err != nil {
		return err
	}
	return p.showRecoveryCode(w, v, http.StatusOK, p.recoveryCodeView(r, v))
}

func (p *Pages) recoveryCodeView(r *http.Request, v *visit) *view {
	page := p.page(r, v, "recovery.title")
	page.KeepForm = true
	page.Focus = "recovery_code"
	return page
}

func (p *Pages) showRecoveryCode(w http.ResponseWriter, v *visit, status int, page *view) error {
	page.Data = struct {
		Who         person
		MFA, Reason string
	}{personOf(*v.owed.Half), journeyPath(v.j.ID, "mfa"), reasonFor(v)}
	return p.render(w, status, "recovery_code", page)
}

func (p *Pages) recoveryCode(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.MFA)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if p.relocated(w, r, v, form) {
		return p.showRecoveryCode(w, v, http.StatusOK, p.recoveryCodeView(r, v))
	}
	page := p.recoveryCodeView(r, v)
	if form.Get("recovery_code") == "" {
		return p.showRecoveryCode(w, v, http.StatusUnprocessableEntity, page.fail("recovery_code", v.loc.T("problem.required")))
	}
	if v.owed.Resistant {
		return seeOther(w, journeyPath(v.j.ID, "mfa"))
	}
	var out signin.Outcome
	j := *v.j
	user := v.owed.Half.ID
	_, err = p.d.MFA.UseRecoveryCode(r.Context(), user, seal.Secret(form.Get("recovery_code")), func(ctx context.Context, left int) (err error) {
		j = *v.j // as it was, should the transaction be tried again
		if out, err = p.d.Journeys.SecondFactor(ctx, &j, session.Event{Method: session.Recovery}, false, v.sess); err != nil {
			return err
		}
		return p.tell(ctx, user, notice.RecoveryCode, map[string]any{"Left": left})
	})
	if err != nil {
		return p.factorFailed(w, v, err, page, p.showRecoveryCode)
	}
	v.j = &j
	return p.entered(w, r, v, out)
}

// tell sends a notice in the transaction of the act, where notices are sent at all.
func (p *Pages) tell(ctx context.Context, user id.User, kind notice.Kind, data map[string]any) error {
	if p.d.Notices == nil {
		return nil
	}
	return p.d.Notices.Send(ctx, user, kind, data)
}

// tellAdded is tell for a new second factor; replaced says that it took the place of another.
func (p *Pages) tellAdded(ctx context.Context, user id.User, factor string, replaced bool) error {
	if p.d.Notices == nil {
		return nil
	}
	has, err := p.d.MFA.Of(ctx, user)
	if err != nil {
		return err
	}
	first := !replaced && (has.Passkeys == 0 || has.Passkeys == 1 && !has.TOTP)
	return p.d.Notices.SendFactor(ctx, user, factor, first)
}
