package pages

import (
	"context"
	"net/http"

	"signet/internal/identity/account"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
	"signet/internal/server"
	"signet/internal/signin"
)

var verifyFrames = map[string]string{"verify": "card"}

func (p *Pages) verifyRoutes() []server.Route {
	return []server.Route{
		p.get("/signin/{journey}/verify", p.verifyForm),
		p.post("/signin/{journey}/verify", p.verifyCode),
		p.post("/signin/{journey}/verify/again", p.verifyAgain),
		p.post("/signin/{journey}/verify/linked", p.verifyLinked),
	}
}

// verifying opens the page of a sign-up that waits for its address. A nil visit means that the answer
// was given.
func (p *Pages) verifying(w http.ResponseWriter, r *http.Request) (*visit, account.Waiting, error) {
	v, err := p.arrive(w, r, signin.Verify)
	if v == nil || err != nil {
		return nil, account.Waiting{}, err
	}
	waiting, err := p.d.Accounts.SignUpWaiting(r.Context(), v.j.ID, v.j.Parked(signin.ParkedSignUp))
	if errs.Is(err, errs.NotFound) { // nothing waits, or not any more
		return nil, account.Waiting{}, seeOther(w, journeyPath(v.j.ID, "signup"))
	}
	if err != nil {
		return nil, account.Waiting{}, err
	}
	return v, waiting, nil
}

func (p *Pages) verifyForm(w http.ResponseWriter, r *http.Request) error {
	v, waiting, err := p.verifying(w, r)
	if v == nil || err != nil {
		return err
	}
	page := p.verifyView(r, v, waiting.Email)
	if r.URL.Query().Get("sent") != "" {
		page.Saved = v.loc.T("verify.resent")
	}
	return p.render(w, http.StatusOK, "verify", page)
}

func (p *Pages) verifyView(r *http.Request, v *visit, email string) *view {
	page := p.page(r, v, "verify.title")
	page.Path = journeyPath(v.j.ID, "verify")
	page.Focus = "code"
	page.Data = struct{ Text, SignUp string }{v.loc.T("verify.text", "Email", email), journeyPath(v.j.ID, "signup")}
	return page
}

// verifyCode takes the code of the mail.
func (p *Pages) verifyCode(w http.ResponseWriter, r *http.Request) error {
	v, waiting, err := p.verifying(w, r)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	page := p.verifyView(r, v, waiting.Email)
	switch {
	case waiting.Made != "": // the link was faster
		return p.signUpMade(w, r, v, waiting)
	case form.Get("code") == "":
		return p.render(w, http.StatusUnprocessableEntity, "verify", page.fail("code", v.loc.T("problem.required")))
	}
	var out signin.Outcome
	j := *v.j
	_, err = p.d.Accounts.FinishSignUp(r.Context(), v.j.ID, v.j.Parked(signin.ParkedSignUp), form.Get("code"),
		p.newcomer(&j, v, &out))
	if err != nil {
		return p.verifyFailed(w, r, v, page, err)
	}
	invitationUsed(w, r)
	v.j = &j
	return p.entered(w, r, v, out)
}

// newcomer signs a new account in, in the transaction that makes it. Passkeys are offered at a later
// sign-in: there were pages enough.
func (p *Pages) newcomer(j *signin.Journey, v *visit, out *signin.Outcome) func(context.Context, account.Account) error {
	return func(ctx context.Context, a account.Account) (err error) {
		*j = *v.j // as it was, should the transaction be tried again
		*out, err = p.d.Journeys.Authenticated(ctx, j, signin.Proof{
			User: a.ID, Event: session.Event{Method: session.Password}, New: true,
		}, v.sess)
		return err
	}
}

// verifyFailed says what is wrong with a code. Whoever is here began the sign-up in this browser, so
// the cases may differ; they say nothing about whether the address has an account.
func (p *Pages) verifyFailed(w http.ResponseWriter, r *http.Request, v *visit, page *view, err error) error {
	e := errs.As(err)
	switch {
	case errs.Is(err, errs.Conflict) && e.Field != "": // proven, but made by another sign-up meanwhile
		return p.turnedAway(w, r, v.loc, e.Key, journeyPath(v.j.ID, "login"))
	case errs.Is(err, errs.Conflict):
		return p.overtaken(w, v, err)
	case e.Key == onetime.KeyWrong:
		return p.render(w, http.StatusUnprocessableEntity, "verify", page.fail("code", v.loc.T("verify.wrong")))
	case e.Key == onetime.KeySpent:
		return p.render(w, http.StatusUnprocessableEntity, "verify", page.fail("code", v.loc.T("verify.spent")))
	case errs.Is(err, errs.NotFound):
		// Used by another post of this browser at the same time, or over.
		now, lerr := p.d.Accounts.SignUpWaiting(r.Context(), v.j.ID, v.j.Parked(signin.ParkedSignUp))
		switch {
		case lerr == nil && now.Made != "":
			return seeOther(w, journeyPath(v.j.ID, ""))
		case lerr == nil && !now.Over: // the code would do: what is gone is the invitation
			return p.turnedAway(w, r, v.loc, onetime.KeyUsed, journeyPath(v.j.ID, "login"))
		}
		return p.render(w, http.StatusUnprocessableEntity, "verify", page.fail("code", v.loc.T("verify.over")))
	case errs.Is(err, errs.Forbidden):
		return p.turnedAway(w, r, v.loc, e.Key, journeyPath(v.j.ID, "login"))
	}
	return err
}

// verifyAgain sends another mail. Its answer is the same however many were sent.
func (p *Pages) verifyAgain(w http.ResponseWriter, r *http.Request) error {
	v, waiting, err := p.verifying(w, r)
	if v == nil || err != nil {
		return err
	}
	if waiting.Made != "" {
		return p.signUpMade(w, r, v, waiting)
	}
	j := *v.j
	err = p.d.Accounts.ResendSignUp(r.Context(), v.j.ID, v.j.Parked(signin.ParkedSignUp), p.parkSignUp(&j, v))
	if err != nil {
		return p.overtaken(w, v, err)
	}
	return seeOther(w, journeyPath(v.j.ID, "verify")+"?sent=1")
}

// verifyLinked goes on where the link was opened in another browser.
func (p *Pages) verifyLinked(w http.ResponseWriter, r *http.Request) error {
	v, waiting, err := p.verifying(w, r)
	if v == nil || err != nil {
		return err
	}
	if _, err := server.Form(r); err != nil {
		return err
	}
	if waiting.Made == "" {
		page := p.verifyView(r, v, waiting.Email)
		return p.render(w, http.StatusUnprocessableEntity, "verify", page.fail("", v.loc.T("verify.not_yet")))
	}
	return p.signUpMade(w, r, v, waiting)
}

// signUpMade signs in whoever began the sign-up, once the link made the account in another browser.
// There the password was asked for that was chosen here, so it is one person; but if everything was
// signed out since, that goes for this browser too.
func (p *Pages) signUpMade(w http.ResponseWriter, r *http.Request, v *visit, made account.Waiting) error {
	var out signin.Outcome
	var ended bool
	j := *v.j
	err := p.d.DB.InTx(r.Context(), func(ctx context.Context) error {
		err := p.d.Accounts.HoldProof(ctx, made.Made, made.Began)
		if ended = errs.Is(err, errs.Conflict); err != nil {
			return err
		}
		return p.newcomer(&j, v, &out)(ctx, account.Account{ID: made.Made})
	})
	if ended {
		if err := p.d.Journeys.Park(r.Context(), v.j, signin.ParkedSignUp, ""); err != nil {
			return p.overtaken(w, v, err)
		}
		return seeOther(w, journeyPath(v.j.ID, "login"))
	}
	if err != nil {
		return p.overtaken(w, v, err)
	}
	invitationUsed(w, r)
	v.j = &j
	return p.entered(w, r, v, out)
}

// signUpLanding is the page behind the link of a sign-up.
func (p *Pages) signUpLanding(w http.ResponseWriter, r *http.Request, token string) error {
	link, err := p.d.Accounts.PeekSignUp(r.Context(), token)
	if err != nil {
		return err
	}
	v, err := p.beganHere(r, link.Journey)
	if err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "landing", p.confirmView(r, link.Email, v != nil))
}

// beganHere opens the journey in which a sign-up began, if that was in this browser and it can still
// go on; else nil.
func (p *Pages) beganHere(r *http.Request, journey id.Journey) (*visit, error) {
	r.SetPathValue("journey", string(journey))
	v, err := p.open(r)
	switch {
	case errs.Is(err, errs.NotFound), errs.Is(err, errs.Forbidden):
		return nil, nil
	case err != nil:
		return nil, err
	case v.j.Done() || v.j.Parked(signin.ParkedSignUp) == "":
		return nil, nil
	}
	return v, nil
}

func (p *Pages) confirmView(r *http.Request, email string, here bool) *view {
	loc := p.texts.of(r, nil)
	v := p.view(r, loc, "confirm.title")
	v.Path = "/m"
	data := landingData{
		Text: []string{loc.T("confirm.text", "Email", email)}, Submit: loc.T("confirm.submit"), Quiet: loc.T("confirm.not_you"),
	}
	if !here {
		data.Text = append(data.Text, loc.T("confirm.elsewhere"))
		data.Password, data.Username = true, email
		v.Focus = "password"
	}
	v.Data = data
	return v
}

// signUpConfirmed makes the account. In the browser where it began, the journey goes on, signed in.
func (p *Pages) signUpConfirmed(w http.ResponseWriter, r *http.Request, token string) error {
	link, err := p.d.Accounts.PeekSignUp(r.Context(), token)
	if err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	v, err := p.beganHere(r, link.Journey)
	if err != nil {
		return err
	}
	if v == nil {
		return p.confirmedElsewhere(w, r, token, link, seal.Secret(form.Get("password")))
	}
	var out signin.Outcome
	j := *v.j
	_, err = p.d.Accounts.FinishSignUpByLink(r.Context(), token, v.j.ID, "", p.newcomer(&j, v, &out))
	if err != nil {
		if e := errs.As(err); e.Field != "" || errs.Is(err, errs.Forbidden) {
			return p.turnedAway(w, r, v.loc, e.Key, journeyPath(v.j.ID, "login"))
		}
		return p.overtaken(w, v, err)
	}
	linkDone(w, r)
	invitationUsed(w, r)
	v.j = &j
	return p.entered(w, r, v, out)
}

// confirmedElsewhere makes the account from another browser, and sends the person back to the first.
func (p *Pages) confirmedElsewhere(w http.ResponseWriter, r *http.Request, token string, link account.SignUpLink, pw seal.Secret) error {
	page := p.confirmView(r, link.Email, false)
	if pw == "" {
		return p.render(w, http.StatusUnprocessableEntity, "landing", page.fail("password", page.T("problem.required")))
	}
	_, err := p.d.Accounts.FinishSignUpByLink(r.Context(), token, "", pw)
	switch e := errs.As(err); {
	case err == nil:
	case errs.Is(err, errs.Unauthenticated):
		return p.render(w, http.StatusUnauthorized, "landing", page.fail("password", page.T("confirm.wrong")))
	case errs.Is(err, errs.Limited), errs.Is(err, errs.Busy):
		status, text, _ := attempt(w, page.locale, err)
		return p.render(w, status, "landing", page.fail("", text))
	case e.Field != "", errs.Is(err, errs.Forbidden):
		return p.turnedAway(w, r, page.locale, e.Key, "/login")
	default:
		return err
	}
	linkDone(w, r)
	invitationUsed(w, r)
	return p.render(w, http.StatusOK, "message", p.confirmedView(r, page.locale))
}

func (p *Pages) confirmedView(r *http.Request, loc *locale) *view {
	v := p.view(r, loc, "confirm.done.title")
	v.Path = "/login"
	v.Data = message{Text: []string{loc.T("confirm.done.text")}, Link: &action{URL: "/login", Text: loc.T("login.title")}}
	return v
}
