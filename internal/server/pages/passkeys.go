package pages

import (
	"context"
	"net/http"

	"signet/internal/identity/passkey"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

var passkeyFrames = map[string]string{"offer": "card", "passkeys": "account", "passkey_add": "account", "passkey_remove": "account"}

const (
	passkeysPath   = "/account/passkeys"
	passkeyAddPath = passkeysPath + "/add"
)

func (p *Pages) passkeyRoutes() []server.Route {
	if p.d.Passkeys == nil {
		return nil
	}
	routes := []server.Route{
		p.get("/signin/{journey}/passkey", p.resume), // a failed attempt, reloaded
		p.post("/signin/{journey}/passkey", p.loginPasskey),
		p.get("/signin/{journey}/passkey/options", p.loginOptions),
		p.get("/signin/{journey}/mfa/passkey", p.resume),
		p.post("/signin/{journey}/mfa/passkey", p.mfaPasskey),
		p.get("/signin/{journey}/mfa/passkey/options", p.mfaOptions),
		p.get("/signin/{journey}/enroll/passkey", p.resume),
		p.post("/signin/{journey}/enroll/passkey", p.enrollPasskey),
		p.get("/signin/{journey}/enroll/passkey/options", p.enrollOptions),
		p.get("/signin/{journey}/offer", p.offerForm),
		p.post("/signin/{journey}/offer", p.offerAnswer),
		p.get("/signin/{journey}/offer/options", p.offerOptions),

		p.get(passkeysPath, p.passkeyList),
		p.post(passkeysPath, p.passkeyRename),
		p.get(passkeyAddPath, p.passkeyAddForm),
		p.post(passkeyAddPath, p.passkeyAdd),
		p.get(passkeyAddPath+"/options", p.passkeyAddOptions),
		p.get(passkeysPath+"/{passkey}/remove", p.passkeyRemoveForm),
		p.post(passkeysPath+"/{passkey}/remove", p.passkeyRemove),
	}
	if p.d.Passkeys.Related() {
		routes = append(routes, p.get("/.well-known/webauthn", p.relatedOrigins))
	}
	return routes
}

// passkeyForm is a button that asks the browser for a passkey (templates/parts.html). Without script
// it is not there (static/passkey.css).
type passkeyForm struct {
	Kind, Action, Fresh string // get or create; where the answer goes; where newer options are
	Options, Upgrade    string // JSON
	Text, Last          string
	Failed, Exists      string // what is said when the browser gave none, and when it has one already
	Unable              string // what is said where there is no script; "" for nothing
	Unknown             string // JSON: a passkey that is none of ours
	Conditional         bool   // in the autofill of the identifier, too
	Primary, Trust      bool
}

// connects is what the script of a page may fetch: newer options.
func (v *view) connects() []string {
	if v.Passkey == nil {
		return nil
	}
	return []string{"'self'"}
}

func (v *view) passkeyForm(kind, action, text string, options []byte) *passkeyForm {
	return &passkeyForm{
		Kind: kind, Action: action, Fresh: action + "/options", Options: string(options), Text: v.T(text),
		Failed: v.T("passkey.not_now"), Exists: v.T(passkey.KeyExists),
	}
}

// sendOptions answers a script that asks for newer options.
func sendOptions(w http.ResponseWriter, options []byte, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(options)
	return err
}

// passkeyFailed turns what went wrong into a status and a sentence; ok is false for faults.
func passkeyFailed(w http.ResponseWriter, loc *locale, err error) (status int, text string, ok bool) {
	switch e := errs.As(err); {
	case e.Kind == errs.Unauthenticated:
		return http.StatusUnauthorized, loc.T(e.Key), true
	case e.Kind == errs.Conflict && e.Key != "":
		return http.StatusConflict, loc.T(e.Key), true
	}
	return attempt(w, loc, err)
}

// withPasskey puts the button, and passkeys in the autofill, on the login page. The options name
// nobody, so they cost no look at the store and say nothing about who has an account.
func (p *Pages) withPasskey(r *http.Request, page *view, v *visit) {
	if p.d.Passkeys == nil {
		return
	}
	options, err := p.d.Passkeys.LoginOptions(string(v.j.ID))
	if err != nil {
		p.withoutPasskey(r, err)
		return
	}
	unknown := ""
	if page.Passkey != nil {
		unknown = page.Passkey.Unknown
	}
	page.Passkey = page.passkeyForm("get", journeyPath(v.j.ID, "passkey"), "passkey.sign_in", options)
	page.Passkey.Conditional, page.Passkey.Unknown, page.Passkey.Last = true, unknown, page.Last(wayPasskey)
}

// withoutPasskey notes why a page lacks its button: the other ways on it still work.
func (p *Pages) withoutPasskey(r *http.Request, err error) {
	p.d.Log.ErrorContext(r.Context(), "no passkey on this page", "error", err)
}

const wayPasskey = "passkey"

func (p *Pages) loginOptions(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	options, err := p.d.Passkeys.LoginOptions(string(v.j.ID))
	return sendOptions(w, options, err)
}

func (p *Pages) loginPasskey(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	answer := []byte(form.Get("answer"))
	var out signin.Outcome
	j := *v.j
	_, _, err = p.d.Passkeys.Login(r.Context(), string(v.j.ID), answer, func(ctx context.Context, user id.User, e session.Event) (err error) {
		j = *v.j // as it was, should the transaction be tried again
		out, err = p.d.Journeys.Authenticated(ctx, &j, signin.Proof{User: user, Event: e}, v.sess)
		return err
	})
	if err != nil {
		status, text, ok := passkeyFailed(w, v.loc, err)
		if !ok {
			return p.overtaken(w, v, err)
		}
		page := p.loginView(r, v)
		page.Path = journeyPath(v.j.ID, "login")
		if errs.As(err).Key == passkey.KeyUnknown {
			about, err := p.d.Passkeys.Unknown(passkey.KeyOf(answer))
			if err != nil {
				return err
			}
			page.Passkey = &passkeyForm{Unknown: string(about)}
		}
		return p.showLogin(w, r, v, status, page.fail("", text))
	}
	usedLast(w, r, wayPasskey)
	v.j = &j
	return p.entered(w, r, v, out)
}

// withSecondPasskey puts the button on the page of the second factor, for who has a passkey.
func (p *Pages) withSecondPasskey(r *http.Request, page *view, v *visit) {
	if p.d.Passkeys == nil || v.owed.Half == nil || v.owed.Factors.Passkeys == 0 {
		return
	}
	options, err := p.d.Passkeys.SecondOptions(r.Context(), string(v.j.ID), v.owed.Half.ID, v.owed.Resistant)
	if err != nil {
		p.withoutPasskey(r, err)
		return
	}
	page.Passkey = page.passkeyForm("get", journeyPath(v.j.ID, "mfa/passkey"), "passkey.use", options)
	page.Passkey.Trust = v.j.HalfUser() != ""
	if !v.owed.Factors.TOTP || v.owed.Resistant {
		page.Passkey.Primary, page.Passkey.Unable = true, v.loc.T("passkey.unable")
	}
}

func (p *Pages) mfaOptions(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.MFA)
	if v == nil || err != nil {
		return err
	}
	options, err := p.d.Passkeys.SecondOptions(r.Context(), string(v.j.ID), v.owed.Half.ID, v.owed.Resistant)
	return sendOptions(w, options, err)
}

func (p *Pages) mfaPasskey(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.MFA)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	var out signin.Outcome
	j := *v.j
	_, _, err = p.d.Passkeys.Second(r.Context(), string(v.j.ID), v.owed.Half.ID, []byte(form.Get("answer")),
		func(ctx context.Context, _ id.User, e session.Event) (err error) {
			if v.owed.Resistant && !e.Verified { // presence alone is not what was asked for
				return errs.New(errs.Unauthenticated, "passkey.unverified", nil)
			}
			j = *v.j // as it was, should the transaction be tried again
			out, err = p.d.Journeys.SecondFactor(ctx, &j, e, form.Get("trust") == "1", v.sess)
			return err
		})
	if err != nil {
		status, text, ok := passkeyFailed(w, v.loc, err)
		if !ok {
			return p.overtaken(w, v, err)
		}
		page := p.mfaView(r, v)
		page.Path = journeyPath(v.j.ID, "mfa")
		return p.showMFA(w, v, status, page.fail("", text))
	}
	v.j = &j
	return p.entered(w, r, v, out)
}

// relatedOrigins names the other origins on which browsers may use our passkeys (WebAuthn Level 3
// §5.11.1).
func (p *Pages) relatedOrigins(w http.ResponseWriter, _ *http.Request) error {
	b, err := p.d.Passkeys.RelatedDocument()
	return sendOptions(w, b, err)
}
