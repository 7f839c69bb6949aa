package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"signet/internal/identity/account"
	"signet/internal/identity/notice"
	"signet/internal/oauth"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/platform/onetime"
	"signet/internal/platform/seal"
	"signet/internal/platform/store"
	"signet/internal/server"
	"signet/internal/signin"
)

// A forgotten password is a way within the login step of a journey: ask for a mail, prove by its code
// (here) or its link (anywhere) that it was read, choose a new password, sign in. What was proven is
// noted in the journey, which is bound to its browser, and is good for choosing the password alone:
// nobody is signed in by it, and a second factor is asked for as ever.

var recoveryFrames = map[string]string{"forgot": "card", "mailed": "card", "reset": "card"}

func (p *Pages) recoveryRoutes() []server.Route {
	return []server.Route{
		p.get("/forgot", p.startForgot),
		p.get("/signin/{journey}/forgot", p.forgotForm),
		p.post("/signin/{journey}/forgot", p.forgot),
		p.get("/signin/{journey}/reset", p.resetForm),
		p.post("/signin/{journey}/reset", p.resetPost),
		p.post("/signin/{journey}/reset/again", p.resetAgain),
	}
}

// recoveryLandings are the links of the mails that recovery, addresses and notices send.
func (p *Pages) recoveryLandings() []landing {
	return []landing{
		{p.resetLanding, p.resetLinked},
		{p.mailCodeLanding, p.mailCodeLinked},
		{p.addressLanding, p.addressLinked},
		{p.undoLanding, p.undoLinked},
		{p.notMeLanding, p.notMeLinked},
	}
}

// anew is a visit that asks to sign in whoever is signed in here, perhaps as somebody else.
func anew() signin.Local { return signin.Local{Target: "/account", MaxAge: new(int64)} }

// startForgot is for people who come without a journey, by a link in a mail.
func (p *Pages) startForgot(w http.ResponseWriter, r *http.Request) error {
	j, err := p.d.Journeys.BeginLocal(r.Context(), browser(w, r), anew())
	if err != nil {
		return err
	}
	return seeOther(w, journeyPath(j, "forgot"))
}

func (p *Pages) forgotForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	if !p.d.Accounts.MailEnabled() {
		return p.withoutMail(w, r, v)
	}
	typed := url.Values{"identifier": {v.j.LoginHint()}}
	if v.owed.Account != nil {
		typed.Set("identifier", v.owed.Account.Email)
	}
	return p.render(w, http.StatusOK, "forgot", p.forgotView(r, v).keep(typed))
}

// withoutMail is the written way where no mail is sent: not a dead end.
func (p *Pages) withoutMail(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := p.page(r, v, "forgot.title")
	page.Data = message{Text: []string{v.loc.T("forgot.no_mail")}, Link: &action{URL: journeyPath(v.j.ID, "login"), Text: v.loc.T("forgot.back")}}
	return p.render(w, http.StatusOK, "message", page)
}

func (p *Pages) forgotView(r *http.Request, v *visit) *view {
	page := p.page(r, v, "forgot.title")
	page.KeepForm, page.Focus = true, "identifier"
	page.Data = asking{Text: v.loc.T("forgot.text"), Submit: v.loc.T("forgot.submit"), Login: journeyPath(v.j.ID, "login")}
	return page
}

// asking is the page that asks whom to write to.
type asking struct{ Text, Submit, Login string }

// asked reads the form of such a page. done means that the answer was given.
func (p *Pages) asked(w http.ResponseWriter, r *http.Request, v *visit, view func(*http.Request, *visit) *view) (identifier string, done bool, err error) {
	form, err := server.Form(r)
	if err != nil {
		return "", true, err
	}
	if p.relocated(w, r, v, form) {
		return "", true, p.render(w, http.StatusOK, "forgot", view(r, v).keep(form))
	}
	if strings.TrimSpace(form.Get("identifier")) == "" {
		page := view(r, v).keep(form).fail("identifier", v.loc.T("problem.required"))
		return "", true, p.render(w, http.StatusUnprocessableEntity, "forgot", page)
	}
	return form.Get("identifier"), false, nil
}

func (p *Pages) forgot(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	if !p.d.Accounts.MailEnabled() {
		return p.withoutMail(w, r, v)
	}
	identifier, done, err := p.asked(w, r, v, p.forgotView)
	if done || err != nil {
		return err
	}
	thing, err := p.d.Accounts.AskReset(r.Context(), account.Ask{
		Identifier: identifier, Journey: v.j.ID, Locale: v.loc.tag, Before: v.j.Parked(signin.ParkedReset),
	})
	if err != nil {
		return err
	}
	return p.waitFor(w, r, v, signin.ParkedReset, thing, "reset")
}

// waitFor notes the thing that the journey waits for, and goes to the page that asks for its code.
func (p *Pages) waitFor(w http.ResponseWriter, r *http.Request, v *visit, what signin.Parked, thing, page string) error {
	if v.j.Parked(what) != thing {
		if err := p.d.Journeys.Park(r.Context(), v.j, what, thing); err != nil {
			return p.overtaken(w, v, err)
		}
	}
	return seeOther(w, journeyPath(v.j.ID, page))
}

// resetForm asks for the code, or for the new password once the code was right.
func (p *Pages) resetForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	switch {
	case v.j.Parked(signin.ParkedNewWord) != "":
		return p.render(w, http.StatusOK, "reset", p.resetView(r, v))
	case v.j.Parked(signin.ParkedReset) != "":
		return p.showMailed(w, http.StatusOK, p.resetMailed(r, v))
	}
	return seeOther(w, journeyPath(v.j.ID, "forgot"))
}

// mailed is the page that asks for the code of a mail.
type mailed struct{ Text, Note, Submit, Other, OtherText string }

func (p *Pages) resetMailed(r *http.Request, v *visit) *view {
	return p.mailedView(r, v, "reset", mailed{
		Text: v.loc.T("mailed.reset"), Note: v.loc.T("mailed.note"), Submit: v.loc.T("mailed.submit"),
		Other: journeyPath(v.j.ID, "forgot"), OtherText: v.loc.T("mailed.other_name"),
	})
}

// mailedView is the page that asks for the code of a mail, whether or not there was one.
func (p *Pages) mailedView(r *http.Request, v *visit, path string, data mailed) *view {
	page := p.page(r, v, "mailed.title")
	page.Path, page.Focus, page.Data = journeyPath(v.j.ID, path), "code", data
	if r.URL.Query().Get("sent") != "" {
		page.Saved = v.loc.T("mailed.again_sent")
	}
	return page
}

func (p *Pages) showMailed(w http.ResponseWriter, status int, page *view) error {
	return p.render(w, status, "mailed", page)
}

func (p *Pages) resetPost(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	switch {
	case v.j.Parked(signin.ParkedNewWord) != "":
		return p.resetPassword(w, r, v, seal.Secret(form.Get("password")))
	case v.j.Parked(signin.ParkedReset) == "":
		return seeOther(w, journeyPath(v.j.ID, "forgot"))
	case form.Get("code") == "":
		return p.showMailed(w, http.StatusUnprocessableEntity, p.resetMailed(r, v).fail("code", v.loc.T("problem.required")))
	}
	j := *v.j
	err = p.d.Accounts.ProveReset(r.Context(), v.j.Parked(signin.ParkedReset), v.j.ID, form.Get("code"), p.proved(&j, v.j))
	if err != nil {
		return p.wrongCode(w, v, p.resetMailed(r, v), err)
	}
	return seeOther(w, journeyPath(v.j.ID, "reset"))
}

// wrongCode says what is wrong with a code. It says the same whether or not there is an account.
func (p *Pages) wrongCode(w http.ResponseWriter, v *visit, page *view, err error) error {
	if errs.Is(err, errs.Conflict) {
		return p.overtaken(w, v, err)
	}
	if text := codeProblem(page.locale, err); text != "" {
		return p.showMailed(w, http.StatusUnprocessableEntity, page.fail("code", text))
	}
	return err
}

// codeProblem has the words for a code that was refused, "" if err is something else.
func codeProblem(loc *locale, err error) string {
	switch e := errs.As(err); {
	case e.Key == onetime.KeyWrong:
		return loc.T("mailed.wrong")
	case e.Key == onetime.KeySpent:
		return loc.T("mailed.spent")
	case errs.Is(err, errs.NotFound):
		return loc.T("mailed.over")
	}
	return ""
}

// proved notes in the journey, in the transaction of the proof, who may choose a new password.
func (p *Pages) proved(j, from *signin.Journey) func(context.Context, id.User) error {
	return func(ctx context.Context, user id.User) error {
		*j = *from // as it was, should the transaction be tried again
		if err := p.d.Journeys.Park(ctx, j, signin.ParkedReset, ""); err != nil {
			return err
		}
		return p.d.Journeys.Park(ctx, j, signin.ParkedNewWord, fmt.Sprintf("%s %d", user, store.Micros(p.d.Clock.Now())))
	}
}

// newWord reads what proved noted.
func newWord(j *signin.Journey) (user id.User, at time.Time, ok bool) {
	name, micros, found := strings.Cut(j.Parked(signin.ParkedNewWord), " ")
	n, err := strconv.ParseInt(micros, 10, 64)
	return id.User(name), store.Time(n), found && err == nil
}

func (p *Pages) resetAgain(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Login)
	if v == nil || err != nil {
		return err
	}
	return p.mailAgain(w, r, v, account.PurposeReset, signin.ParkedReset, "reset", "forgot")
}

// mailAgain writes once more. Its answer is the same however many mails there were.
func (p *Pages) mailAgain(w http.ResponseWriter, r *http.Request, v *visit, purpose onetime.Purpose, what signin.Parked, page, start string) error {
	thing, err := p.d.Accounts.AskAgain(r.Context(), purpose, account.Ask{Journey: v.j.ID, Locale: v.loc.tag, Before: v.j.Parked(what)})
	if errs.Is(err, errs.NotFound) {
		return seeOther(w, journeyPath(v.j.ID, start))
	}
	if err != nil {
		return err
	}
	return p.waitFor(w, r, v, what, thing, page+"?sent=1")
}

func (p *Pages) resetView(r *http.Request, v *visit) *view {
	page := p.page(r, v, "reset.title")
	page.Path, page.Focus = journeyPath(v.j.ID, "reset"), "password"
	data := struct{ Identifier string }{} // for password managers
	if user, _, ok := newWord(v.j); ok && p.d.Accounts != nil {
		if a, err := p.d.Accounts.ByID(r.Context(), user); err == nil {
			if data.Identifier = a.Email; a.Email == "" {
				data.Identifier = a.Username
			}
		}
	}
	page.Data = data
	return page
}

// resetPassword ends the way: a new password, and nobody signed in anywhere by the old one.
func (p *Pages) resetPassword(w http.ResponseWriter, r *http.Request, v *visit, pw seal.Secret) error {
	page := p.resetView(r, v)
	if pw == "" {
		return p.render(w, http.StatusUnprocessableEntity, "reset", page.fail("password", v.loc.T("problem.required")))
	}
	user, at, ok := newWord(v.j)
	if !ok {
		return errs.New(errs.Internal, "", errors.New("a journey with an unreadable proof"))
	}
	var f oauth.Farewell
	err := p.d.Accounts.Reset(r.Context(), user, at, pw, func(ctx context.Context) error {
		j := *v.j
		if err := p.d.Journeys.Park(ctx, &j, signin.ParkedNewWord, ""); err != nil {
			return err
		}
		if err := p.endAll(ctx, user, v.sess, &f); err != nil {
			return err
		}
		return p.d.Notices.Send(ctx, user, notice.Password, nil)
	})
	switch e := errs.As(err); {
	case err == nil:
	case e.Key == "reset_overtaken", errs.Is(err, errs.NotFound): // a newer change wins: begin again
		if err := p.d.Journeys.Park(r.Context(), v.j, signin.ParkedNewWord, ""); err != nil {
			return p.overtaken(w, v, err)
		}
		return p.render(w, http.StatusConflict, "message", p.sayView(r, v, saying{
			"reset.overtaken.title", "reset.overtaken.text", journeyPath(v.j.ID, "forgot"), "reset.start_over",
		}))
	case errs.Is(err, errs.Conflict):
		return p.overtaken(w, v, err)
	default:
		if status, ok := page.failFields(err); ok {
			return p.render(w, status, "reset", page)
		}
		if status, text, ok := attempt(w, v.loc, err); ok {
			return p.render(w, status, "reset", page.fail("", text))
		}
		return err
	}
	if v.sess != nil && v.sess.User == user { // it has just ended
		p.forget(w, r)
	}
	return p.farewellTo(w, r, f, journeyPath(v.j.ID, "login")+"?reset=done")
}

// endEverything signs somebody out of everything, remembered browsers included.
func (p *Pages) endEverything(ctx context.Context, user id.User) error {
	if err := p.d.Journeys.EndOthers(ctx, user, ""); err != nil {
		return err
	}
	_, err := p.d.Devices.RevokeAll(ctx, user)
	return err
}

// saying is a message within a journey, and a way on.
type saying struct{ title, text, to, link string }

func (p *Pages) sayView(r *http.Request, v *visit, s saying) *view {
	page := p.page(r, v, s.title)
	page.Path = s.to
	page.Data = message{Text: []string{v.loc.T(s.text)}, Link: &action{URL: s.to, Text: v.loc.T(s.link), Primary: true}}
	return page
}

// wording names the sentences of a page behind a mailed link.
type wording struct{ title, text, submit, quiet string }

var resetWording = wording{"link.reset.title", "link.reset.text", "link.reset.submit", "link.reset.quiet"}

// linkView is the page behind a mailed link.
func (p *Pages) linkView(r *http.Request, words wording, args ...any) *view {
	loc := p.texts.of(r, nil)
	v := p.view(r, loc, words.title)
	v.Path = "/m"
	data := landingData{Text: []string{loc.T(words.text, args...)}, Submit: loc.T(words.submit)}
	if words.quiet != "" {
		data.Quiet = loc.T(words.quiet)
	}
	v.Data = data
	return v
}

func (p *Pages) showLink(w http.ResponseWriter, v *view) error {
	return p.render(w, http.StatusOK, "landing", v)
}

// askedHere opens the journey in which a mail was asked for, if that was in this browser and it is
// still at the sign-in; else nil.
func (p *Pages) askedHere(r *http.Request, journey id.Journey) (*visit, error) {
	if journey == "" {
		return nil, nil
	}
	j, err := p.d.Journeys.Load(r.Context(), journey, readCookie(r, cookieBrowser))
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Forbidden) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := &visit{j: j, loc: p.texts.of(r, j)}
	if v.sess, err = p.session(r); err != nil {
		return nil, err
	}
	if j.Done() || j.Leave != nil {
		return nil, nil
	}
	if v.owed, err = p.d.Journeys.Decide(r.Context(), j, v.sess); err != nil || !signin.May(signin.Login, v.owed.Step) {
		return nil, err
	}
	return v, nil
}

// freshJourney begins one of our own in this browser.
func (p *Pages) freshJourney(w http.ResponseWriter, r *http.Request) (*signin.Journey, error) {
	b := browser(w, r)
	j, err := p.d.Journeys.BeginLocal(r.Context(), b, anew())
	if err != nil {
		return nil, err
	}
	return p.d.Journeys.Load(r.Context(), j, b)
}

func (p *Pages) resetLanding(w http.ResponseWriter, r *http.Request, token string) error {
	if _, err := p.d.Accounts.PeekLink(r.Context(), account.PurposeReset, token); err != nil {
		return err
	}
	return p.showLink(w, p.linkView(r, resetWording))
}

// resetLinked goes on to the new password: in the journey that asked, if that is here, so that the
// person arrives where they wanted to go.
func (p *Pages) resetLinked(w http.ResponseWriter, r *http.Request, token string) error {
	link, err := p.d.Accounts.PeekLink(r.Context(), account.PurposeReset, token)
	if err != nil {
		return err
	}
	v, err := p.askedHere(r, link.Journey)
	if err != nil {
		return err
	}
	var from *signin.Journey
	if v != nil {
		from = v.j
	} else if from, err = p.freshJourney(w, r); err != nil {
		return err
	}
	j := *from
	if err := p.d.Accounts.ProveResetLink(r.Context(), token, p.proved(&j, from)); err != nil {
		return err
	}
	linkDone(w, r)
	return seeOther(w, journeyPath(from.ID, "reset"))
}

// beginReset sends the owner of an account the mail to choose a new password, and shows the page that
// asks for its code; where no mail can be sent, or to nobody (""), it only says what was done. It is
// for people whom a link has just shown to read the account's mail.
func (p *Pages) beginReset(w http.ResponseWriter, r *http.Request, user id.User, done saying) error {
	j, err := p.freshJourney(w, r)
	if err != nil {
		return err
	}
	v := &visit{j: j, loc: p.texts.of(r, nil)}
	thing, err := p.d.Accounts.ResetMail(r.Context(), user, j.ID, v.loc.tag)
	if err != nil {
		if errs.Is(err, errs.Invalid) || errs.Is(err, errs.NotFound) {
			return p.render(w, http.StatusOK, "message", p.sayView(r, v, done))
		}
		return err
	}
	return p.waitFor(w, r, v, signin.ParkedReset, thing, "reset")
}
