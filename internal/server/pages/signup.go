package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"signet/internal/identity/account"
	"signet/internal/platform/errs"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
	"signet/internal/server"
	"signet/internal/signin"
)

func (p *Pages) signUpRoutes() []server.Route {
	return []server.Route{
		p.get("/signin/{journey}/signup", p.signUpForm),
		p.post("/signin/{journey}/signup", p.signUp),
	}
}

// door is what stands between a visitor and a new account.
type door struct {
	policy     account.SignUpPolicy
	invitation account.Invitation // that was accepted in this browser and still holds
	token      string             // of an invitation, good or not
	mails      bool               // the address is proven by mail
	shut       string             // why there is no form, as a message key; "" where there is one
}

func (p *Pages) door(r *http.Request) (door, error) {
	inv, token, err := p.invitation(r)
	d := door{policy: p.signUps, invitation: inv, token: token, mails: p.d.Accounts.MailEnabled()}
	switch {
	case err != nil:
		return d, err
	case d.policy.Mode == account.Closed:
		d.shut = account.KeySignUpClosed
	case d.policy.Mode == account.ByInvite && token == "":
		d.shut = account.KeyInvitationNeeded
	case d.policy.Mode == account.ByInvite && inv.ID == "":
		d.shut = onetime.KeyUsed
	}
	return d, nil
}

// signUpPath is where the login page sends people without an account; "" where they get none.
func (p *Pages) signUpPath(r *http.Request, v *visit) string {
	if p.signUps.Mode == account.Closed || p.signUps.Mode == account.ByInvite && readCookie(r, cookieInvitation) == "" {
		return ""
	}
	return journeyPath(v.j.ID, "signup")
}

// turnedAwayPages are the pages of those who get no account.
var turnedAwayPages = map[string]string{
	account.KeySignUpClosed: "error.signup_closed", account.KeyInvitationNeeded: "error.signup_invitation",
	onetime.KeyUsed: "error.signup_invitation_over", onetime.KeyExpired: "error.signup_invitation_over", onetime.KeyUnknown: "error.signup_invitation_over",
	account.KeyEmailTaken: "error.signup_meanwhile",
}

// turnedAway says why there is no account to be had, and where to sign in.
func (p *Pages) turnedAway(w http.ResponseWriter, r *http.Request, loc *locale, key, login string) error {
	return p.render(w, http.StatusForbidden, "message", p.turnedAwayView(r, loc, key, login))
}

func (p *Pages) turnedAwayView(r *http.Request, loc *locale, key, login string) *view {
	base := turnedAwayPages[key]
	if base == "" {
		base = "error.signup_rules"
	}
	v := p.view(r, loc, base+".title")
	v.Path = login
	v.Data = message{Text: []string{loc.T(base + ".text")}, Link: &action{URL: login, Text: loc.T("login.title"), Primary: true}}
	return v
}

// arriveSignUp opens the journey for the sign-up page. A nil visit means that the answer was given.
func (p *Pages) arriveSignUp(w http.ResponseWriter, r *http.Request) (*visit, door, error) {
	v, err := p.arrive(w, r, signin.SignUp)
	if v == nil || err != nil {
		return nil, door{}, err
	}
	d, err := p.door(r)
	if err != nil {
		return nil, d, err
	}
	if d.shut != "" {
		return nil, d, p.turnedAway(w, r, v.loc, d.shut, journeyPath(v.j.ID, "login"))
	}
	return v, d, nil
}

func (p *Pages) signUpForm(w http.ResponseWriter, r *http.Request) error {
	v, d, err := p.arriveSignUp(w, r)
	if v == nil || err != nil {
		return err
	}
	typed, err := p.knownOf(r, v, d)
	if err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "signup", p.signUpView(r, v, d).keep(typed))
}

// knownOf is what need not be typed: what was typed before the address turned out to be wrong, or what
// the application knows.
func (p *Pages) knownOf(r *http.Request, v *visit, d door) (url.Values, error) {
	typed := url.Values{}
	if hint := v.j.LoginHint(); strings.Contains(hint, "@") {
		typed.Set("email", hint)
	}
	if parked := p.parked(r, v); parked != nil {
		typed.Set("name", parked.Identity.Name)
		typed.Set("email", parked.Identity.Email)
	}
	if thing := v.j.Parked(signin.ParkedSignUp); thing != "" {
		w, err := p.d.Accounts.SignUpWaiting(r.Context(), v.j.ID, thing)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return nil, err
		}
		typed.Set("name", w.Name)
		typed.Set("email", w.Email)
	}
	if d.invitation.Email != "" {
		typed.Set("email", d.invitation.Email)
	}
	return typed, nil
}

// signUpData is what the sign-up page shows beside its fields.
type signUpData struct {
	Login    string
	Notes    []string
	Username bool   // may be chosen here
	Fixed    bool   // the address is that of the invitation
	Terms    string // the version to agree to; "" for none
	Agree    string // what the box says
	Agreed   bool
	Wrong    string // the problem at the box
}

func (p *Pages) signUpView(r *http.Request, v *visit, d door) *view {
	page := p.page(r, v, "signup.title")
	page.Path = journeyPath(v.j.ID, "signup")
	page.KeepForm = true
	page.Linking = p.linkingOf(v, p.parked(r, v), "link.signup", "link.signup_owner")
	data := &signUpData{Login: journeyPath(v.j.ID, "login"), Terms: d.policy.Terms, Username: !d.mails}
	switch {
	case d.invitation.ID != "" && d.policy.Mode != account.Open:
		data.Notes = append(data.Notes, v.loc.T("signup.invited"))
		data.Fixed = d.invitation.Email != ""
	case d.policy.Mode == account.Domains:
		data.Notes = append(data.Notes, v.loc.T("signup.domains", "Domains", strings.Join(d.policy.Domains, ", ")))
	}
	data.Agree = v.loc.T("signup.agree")
	if len(page.Legal) == 0 {
		data.Agree = v.loc.T("signup.agree_plain")
	}
	page.Data = data
	return page
}

// showSignUp shows the form again.
func (p *Pages) showSignUp(w http.ResponseWriter, status int, page *view) error {
	if data, ok := page.Data.(*signUpData); ok {
		data.Agreed = page.typed.Get("terms") != "" && page.typed.Get("terms") == data.Terms
		for _, problem := range page.Problems {
			if problem.Field == "terms" {
				data.Wrong = problem.Text
			}
		}
	}
	return p.render(w, status, "signup", page)
}

func (p *Pages) signUp(w http.ResponseWriter, r *http.Request) error {
	v, d, err := p.arriveSignUp(w, r)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if p.relocated(w, r, v, form) {
		return p.showSignUp(w, http.StatusOK, p.signUpView(r, v, d).keep(form))
	}
	if away, err := p.routed(w, r, v, form.Get("email")); away || err != nil {
		return err
	}
	page := p.signUpView(r, v, d).keep(form)
	for _, field := range []string{"name", "email", "password"} {
		if form.Get(field) == "" {
			page.fail(field, v.loc.T("problem.required"))
		}
	}
	if d.policy.Terms != "" && form.Get("terms") != d.policy.Terms {
		page.fail("terms", v.loc.T("terms_needed"))
	}
	if len(page.Problems) > 0 {
		return p.showSignUp(w, http.StatusUnprocessableEntity, page)
	}
	in := account.SignUp{
		Email: form.Get("email"), Username: form.Get("username"), Name: form.Get("name"), Password: seal.Secret(form.Get("password")),
		Locale: v.loc.tag, Admission: account.Admission{Invitation: d.token, Terms: form.Get("terms")},
	}
	if d.mails {
		j := *v.j
		if err := p.d.Accounts.RequestSignUp(r.Context(), v.j.ID, in, p.parkSignUp(&j, v)); err != nil {
			return p.signUpFailed(w, r, v, page, err)
		}
		v.j = &j
		return p.proceed(w, r, v)
	}
	a, err := p.d.Accounts.SignUp(r.Context(), in)
	if err != nil {
		return p.signUpFailed(w, r, v, page, err)
	}
	invitationUsed(w, r)
	return p.signUpMade(w, r, v, account.Waiting{Made: a.ID, Began: a.CreatedAt})
}

func (p *Pages) signUpFailed(w http.ResponseWriter, r *http.Request, v *visit, page *view, err error) error {
	if status, ok := page.failFields(err); ok {
		return p.showSignUp(w, status, page)
	}
	if status, text, ok := attempt(w, v.loc, err); ok {
		return p.showSignUp(w, status, page.fail("", text))
	}
	if errs.Is(err, errs.Forbidden) || turnedAwayPages[errs.As(err).Key] != "" {
		return p.turnedAway(w, r, v.loc, errs.As(err).Key, journeyPath(v.j.ID, "login"))
	}
	return p.overtaken(w, v, err)
}

// parkSignUp makes the journey wait for a sign-up, in the transaction that makes that.
func (p *Pages) parkSignUp(j *signin.Journey, v *visit) func(context.Context, string) error {
	return func(ctx context.Context, thing string) error {
		*j = *v.j // as it was, should the transaction be tried again
		return p.d.Journeys.Park(ctx, j, signin.ParkedSignUp, thing)
	}
}

// failFields puts the errors that belong to fields beside them; ok is false if there is none.
func (v *view) failFields(err error) (status int, ok bool) {
	for _, e := range fieldErrors(err) {
		if e.Kind == errs.Conflict {
			status = http.StatusConflict
		}
		field := e.Field
		if field == "locale" { // see profileFields
			field = "language"
		}
		v.fail(field, v.sentence(e))
		ok = true
	}
	if status == 0 {
		status = http.StatusUnprocessableEntity
	}
	return status, ok
}

// sentence is the text of an error with a message key, or that of its kind.
func (v *view) sentence(e *errs.Error) string {
	for _, key := range []string{e.Key, "problem." + e.Key} {
		if e.Key != "" && v.has(key) {
			return v.T(key, "Min", v.minPassword)
		}
	}
	return v.T("problem.invalid")
}

// fieldErrors finds every *errs.Error with a field in a tree of wrapped and joined errors.
func fieldErrors(err error) []*errs.Error {
	switch e := err.(type) { // the tree is walked by hand, so errors.As would skip siblings
	case nil:
		return nil
	case *errs.Error:
		if e.Field != "" {
			return []*errs.Error{e}
		}
		return fieldErrors(e.Cause)
	case interface{ Unwrap() []error }:
		var out []*errs.Error
		for _, one := range e.Unwrap() {
			out = append(out, fieldErrors(one)...)
		}
		return out
	}
	return fieldErrors(errors.Unwrap(err))
}
