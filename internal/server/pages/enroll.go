package pages

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"signet/internal/identity/account"
	"signet/internal/identity/mfa"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/seal"
	"signet/internal/server"
	"signet/internal/signin"
)

var enrollFrames = map[string]string{"enroll": "card", "enroll_codes": "card"}

func (p *Pages) enrollRoutes() []server.Route {
	return []server.Route{
		p.get("/signin/{journey}/enroll", p.enrollForm),
		p.post("/signin/{journey}/enroll", p.enrollTOTP),
	}
}

// setup is an authenticator app that is being set up, as a page shows it.
type setup struct {
	ID   string
	Key  string // in groups
	Size int    // of the QR code
	Path string
}

func setupOf(e mfa.Enrolment) *setup {
	var key strings.Builder
	for i, r := range e.Secret.Reveal() {
		if i > 0 && i%4 == 0 {
			key.WriteByte(' ')
		}
		key.WriteRune(r)
	}
	return &setup{ID: e.ID, Key: key.String(), Size: e.QR.Size, Path: e.QR.Path.Reveal()}
}

// enrolling is what the page shows: the choice of a second factor, or the app that is being set up.
type enrolling struct {
	Who     person
	Reason  string
	TOTP    bool // an authenticator app will do
	Setup   *setup
	Again   string // why it is to be begun again
	Login   string
	Passkey bool // passkeys can be added
}

// labelOf is how an account is called in an authenticator app.
func labelOf(a account.Account) string {
	if a.Email != "" {
		return a.Email
	}
	return a.Username
}

// journeyBinding ties what is set up within a journey to it.
func journeyBinding(v *visit) string { return "journey:" + string(v.j.ID) }

func (p *Pages) enrollForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Enroll)
	if v == nil || err != nil {
		return err
	}
	page := p.enrollView(r, v)
	var e *mfa.Enrolment
	if one := r.URL.Query().Get("setup"); one != "" {
		if e, err = p.pendingSetup(r, page, v.owed.Half, one, journeyBinding(v)); err != nil {
			return err
		}
	}
	return p.showEnroll(w, v, http.StatusOK, page, e)
}

// pendingSetup finds a set-up that was begun here. Of one that is over it says so on the page.
func (p *Pages) pendingSetup(r *http.Request, page *view, a *account.Account, one, binding string) (*mfa.Enrolment, error) {
	e, err := p.d.MFA.PendingTOTP(r.Context(), a.ID, one, binding, labelOf(*a))
	if errs.Is(err, errs.NotFound) {
		page.fail("", page.T("totp.again"))
		return nil, nil
	}
	return &e, err
}

func (p *Pages) enrollView(r *http.Request, v *visit) *view {
	page := p.page(r, v, "enroll.title")
	page.Path = journeyPath(v.j.ID, "enroll")
	p.withFirstPasskey(r, page, v)
	return page
}

func (p *Pages) showEnroll(w http.ResponseWriter, v *visit, status int, page *view, e *mfa.Enrolment) error {
	data := enrolling{
		Who: personOf(*v.owed.Half), TOTP: !v.owed.Resistant, Passkey: p.d.Passkeys != nil, Login: journeyPath(v.j.ID, "login"),
	}
	switch {
	case v.owed.Resistant:
		data.Reason = v.loc.T("enroll.reason_passkey")
	case p.d.Journeys.Policy().Mode == signin.MFARequired:
		data.Reason = v.loc.T("enroll.reason_policy")
	default:
		data.Reason = v.loc.T("enroll.reason_app")
	}
	if e != nil {
		data.Setup = setupOf(*e)
		page.KeepForm = true
		if len(page.Problems) > 0 {
			page.Focus = "code"
		}
	}
	page.Data = data
	return p.render(w, status, "enroll", page)
}

func (p *Pages) enrollTOTP(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Enroll)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if v.owed.Resistant { // an app would not be enough
		return seeOther(w, journeyPath(v.j.ID, "enroll"))
	}
	if form.Get("act") == "begin" {
		e, err := p.d.MFA.BeginTOTP(r.Context(), v.owed.Half.ID, journeyBinding(v), labelOf(*v.owed.Half))
		if err != nil {
			return err
		}
		return seeOther(w, journeyPath(v.j.ID, "enroll")+"?setup="+url.QueryEscape(e.ID))
	}
	moved := p.relocated(w, r, v, form)
	page := p.enrollView(r, v)
	e, err := p.pendingSetup(r, page, v.owed.Half, form.Get("setup"), journeyBinding(v))
	switch {
	case err != nil:
		return err
	case e == nil:
		return p.showEnroll(w, v, http.StatusUnprocessableEntity, page, nil)
	case moved:
		return p.showEnroll(w, v, http.StatusOK, page, e)
	case form.Get("code") == "":
		return p.showEnroll(w, v, http.StatusUnprocessableEntity, page.fail("code", v.loc.T("problem.required")), e)
	}
	return p.enrollConfirm(w, r, v, page, e, seal.Secret(form.Get("code")))
}

// enrollConfirm turns the app on, makes recovery codes and counts the code as the second factor of
// this journey, all in one transaction. Then the codes are shown; their page goes on with the
// journey.
func (p *Pages) enrollConfirm(w http.ResponseWriter, r *http.Request, v *visit, page *view, e *mfa.Enrolment, code seal.Secret) error {
	var out signin.Outcome
	var codes []seal.Secret
	j := *v.j
	who := *v.owed.Half
	err := p.d.MFA.ConfirmTOTP(r.Context(), who.ID, e.ID, journeyBinding(v), code, func(ctx context.Context) (err error) {
		j = *v.j // as it was, should the transaction be tried again
		if codes, err = p.d.MFA.NewRecoveryCodes(ctx, who.ID); err != nil {
			return err
		}
		if err := p.tellAdded(ctx, who.ID, "totp", false); err != nil {
			return err
		}
		out, err = p.d.Journeys.SecondFactor(ctx, &j, session.Event{Method: session.TOTP}, false, v.sess)
		return err
	})
	switch {
	case err == nil:
	case errs.Is(err, errs.NotFound): // used by another post of this browser at the same time
		return seeOther(w, journeyPath(v.j.ID, ""))
	case errs.Is(err, errs.Conflict):
		return p.overtaken(w, v, err)
	default:
		page.Focus = "code"
		status, ok := page.failCode(w, err)
		if !ok {
			return err
		}
		return p.showEnroll(w, v, status, page, e)
	}
	carry(w, r, out)
	return p.showJourneyCodes(w, r, v, who, codes)
}

// showJourneyCodes shows new recovery codes within a journey, and goes on with it.
func (p *Pages) showJourneyCodes(w http.ResponseWriter, r *http.Request, v *visit, who account.Account, codes []seal.Secret) error {
	shown := p.page(r, v, "codes.title")
	shown.CancelURL = ""
	shown.Data = p.codesData(v.loc, who, codes, journeyPath(v.j.ID, ""), false)
	return p.render(w, http.StatusOK, "enroll_codes", shown)
}

// shownCodes is a set of recovery codes on the one page that shows it.
type shownCodes struct {
	Codes    []string
	File     template.URL // the same as a text file
	Continue string
	Replaced bool // an earlier set has stopped working
}

func (p *Pages) codesData(loc *locale, a account.Account, codes []seal.Secret, next string, replaced bool) shownCodes {
	out := shownCodes{Continue: next, Replaced: replaced}
	for _, c := range codes {
		out.Codes = append(out.Codes, c.Reveal())
	}
	text := loc.T("codes.file", "Name", p.d.Name+" ("+p.host+")", "Account", labelOf(a)) + "\n\n" + strings.Join(out.Codes, "\n") + "\n"
	// The file is in the page itself, so nothing keeps the codes for a second request.
	out.File = template.URL("data:text/plain;charset=utf-8," + url.PathEscape(text)) //nolint:gosec // escaped, and plain text
	return out
}

func sessionBinding(sid id.Session) string { return "session:" + string(sid) }
