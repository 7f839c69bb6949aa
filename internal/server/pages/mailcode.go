package pages

import (
	"context"
	"net/http"
	"net/url"

	"signet/internal/identity/account"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
	"signet/internal/platform/onetime"
	"signet/internal/server"
	"signet/internal/signin"
)

// Where the operator wants it, a code by mail stands in for the password. It is one factor, whoever
// has a second is asked for that, and it works only in the journey that asked for it.

var mailCodeFrames = map[string]string{}

func (p *Pages) mailCodeRoutes() []server.Route {
	return []server.Route{
		p.get("/signin/{journey}/mail-code", p.mailCodeForm),
		p.post("/signin/{journey}/mail-code", p.mailCodeAsk),
		p.get("/signin/{journey}/mail-code/enter", p.mailCodeEnter),
		p.post("/signin/{journey}/mail-code/enter", p.mailCodeProve),
		p.post("/signin/{journey}/mail-code/enter/again", p.mailCodeAgain),
	}
}

// offersMailCode reports whether there is such a way.
func (p *Pages) offersMailCode() bool { return p.d.MailCode && p.d.Accounts.MailEnabled() }

func (p *Pages) arriveMailCode(w http.ResponseWriter, r *http.Request) (*visit, error) {
	if !p.offersMailCode() {
		return nil, errs.New(errs.NotFound, "", nil)
	}
	return p.arrive(w, r, signin.Login)
}

func (p *Pages) mailCodeForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arriveMailCode(w, r)
	if v == nil || err != nil {
		return err
	}
	typed := url.Values{"identifier": {v.j.LoginHint()}}
	if v.owed.Account != nil {
		typed.Set("identifier", v.owed.Account.Email)
	}
	return p.render(w, http.StatusOK, "forgot", p.mailCodeView(r, v).keep(typed))
}

func (p *Pages) mailCodeView(r *http.Request, v *visit) *view {
	page := p.page(r, v, "mail_code.title")
	page.KeepForm, page.Focus = true, "identifier"
	page.Data = asking{Text: v.loc.T("mail_code.text"), Submit: v.loc.T("mail_code.submit"), Login: journeyPath(v.j.ID, "login")}
	return page
}

func (p *Pages) mailCodeAsk(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arriveMailCode(w, r)
	if v == nil || err != nil {
		return err
	}
	identifier, done, err := p.asked(w, r, v, p.mailCodeView)
	if done || err != nil {
		return err
	}
	if away, err := p.routed(w, r, v, identifier); away || err != nil {
		return err
	}
	thing, err := p.d.Accounts.AskMailCode(r.Context(), account.Ask{
		Identifier: identifier, Journey: v.j.ID, Locale: v.loc.tag, Before: v.j.Parked(signin.ParkedMailCode),
	})
	if err != nil {
		return err
	}
	return p.waitFor(w, r, v, signin.ParkedMailCode, thing, "mail-code/enter")
}

func (p *Pages) mailCodeEnter(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arriveMailCode(w, r)
	if v == nil || err != nil {
		return err
	}
	if v.j.Parked(signin.ParkedMailCode) == "" {
		return seeOther(w, journeyPath(v.j.ID, "mail-code"))
	}
	return p.showMailed(w, http.StatusOK, p.mailCodeMailed(r, v))
}

func (p *Pages) mailCodeMailed(r *http.Request, v *visit) *view {
	return p.mailedView(r, v, "mail-code/enter", mailed{
		Text: v.loc.T("mailed.sign_in"), Note: v.loc.T("mailed.note"), Submit: v.loc.T("login.submit"),
		Other: journeyPath(v.j.ID, "mail-code"), OtherText: v.loc.T("mailed.other_name"),
	})
}

func (p *Pages) mailCodeProve(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arriveMailCode(w, r)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	thing := v.j.Parked(signin.ParkedMailCode)
	switch {
	case thing == "":
		return seeOther(w, journeyPath(v.j.ID, "mail-code"))
	case form.Get("code") == "":
		return p.showMailed(w, http.StatusUnprocessableEntity, p.mailCodeMailed(r, v).fail("code", v.loc.T("problem.required")))
	}
	var out signin.Outcome
	j := *v.j
	_, err = p.d.Accounts.ProveMailCode(r.Context(), thing, v.j.ID, form.Get("code"), p.byMail(&j, v, form, &out))
	if err != nil {
		return p.wrongCode(w, v, p.mailCodeMailed(r, v), err)
	}
	v.j = &j
	usedLast(w, r, session.MailCode)
	return p.entered(w, r, v, out)
}

// byMail signs in, in the transaction of the proof.
func (p *Pages) byMail(j *signin.Journey, v *visit, form url.Values, out *signin.Outcome) func(context.Context, account.Account) error {
	return func(ctx context.Context, a account.Account) (err error) {
		*j = *v.j // as it was, should the transaction be tried again
		*out, err = p.d.Journeys.Authenticated(ctx, j, signin.Proof{
			User: a.ID, Event: session.Event{Method: session.MailCode}, Offer: form.Get("can_passkey") == "1",
		}, v.sess)
		return err
	}
}

func (p *Pages) mailCodeAgain(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arriveMailCode(w, r)
	if v == nil || err != nil {
		return err
	}
	return p.mailAgain(w, r, v, account.PurposeMailCode, signin.ParkedMailCode, "mail-code/enter", "mail-code")
}

// mailCodeLanding is the page behind the link of such a mail. The link signs in where it was asked for;
// anywhere else the page says so, for a sign-in that somebody else began must not end in one's own
// browser, nor the reverse.
func (p *Pages) mailCodeLanding(w http.ResponseWriter, r *http.Request, token string) error {
	v, err := p.mailCodeHere(w, r, token)
	if v == nil || err != nil {
		return err
	}
	return p.showLink(w, p.linkView(r, wording{title: "link.sign_in.title", text: "link.sign_in.text", submit: "link.sign_in.submit"}))
}

func (p *Pages) mailCodeHere(w http.ResponseWriter, r *http.Request, token string) (*visit, error) {
	link, err := p.d.Accounts.PeekLink(r.Context(), account.PurposeMailCode, token)
	if err != nil {
		return nil, err
	}
	if !p.offersMailCode() {
		return nil, errs.New(errs.NotFound, onetime.KeyUnknown, nil)
	}
	v, err := p.askedHere(r, link.Journey)
	if err != nil || v != nil {
		return v, err
	}
	loc := p.texts.of(r, nil)
	page := p.view(r, loc, "link.elsewhere.title")
	page.Data = message{Text: []string{loc.T("link.elsewhere.text")}}
	return nil, p.render(w, http.StatusOK, "message", page)
}

func (p *Pages) mailCodeLinked(w http.ResponseWriter, r *http.Request, token string) error {
	v, err := p.mailCodeHere(w, r, token)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	var out signin.Outcome
	j := *v.j
	_, err = p.d.Accounts.ProveMailCodeLink(r.Context(), token, v.j.ID, p.byMail(&j, v, form, &out))
	if err != nil {
		return p.overtaken(w, v, err)
	}
	linkDone(w, r)
	v.j = &j
	usedLast(w, r, session.MailCode)
	return p.entered(w, r, v, out)
}
