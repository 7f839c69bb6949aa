package pages

import (
	"context"
	"net/http"
	"net/url"

	"signet/internal/identity/account"
	"signet/internal/identity/notice"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
)

// The address of an account: changed by proving the new one, taken back from the old one.

var addressFrames = map[string]string{"address": "account", "address_code": "account"}

func (p *Pages) addressRoutes() []server.Route {
	return []server.Route{
		p.get("/account/address", p.addressForm),
		p.post("/account/address", p.addressAsk),
		p.get("/account/address/code", p.addressCode),
		p.post("/account/address/code", p.addressProve),
	}
}

func (p *Pages) addressForm(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	return p.showAddress(w, m, http.StatusOK, p.accountView(r, m, "address.title"))
}

type addressData struct {
	Email          string
	Verified, Mail bool
}

func (p *Pages) showAddress(w http.ResponseWriter, m *member, status int, v *view) error {
	v.KeepForm = true
	v.Data = addressData{m.account.Email, m.account.EmailVerified, p.d.Accounts.MailEnabled()}
	return p.render(w, status, "address", v)
}

func (p *Pages) addressAsk(w http.ResponseWriter, r *http.Request) error {
	m, err := p.requireFresh(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if p.switched(w, r, m, form) {
		return p.showAddress(w, m, http.StatusOK, p.accountView(r, m, "address.title").keep(form))
	}
	v := p.accountView(r, m, "address.title").keep(form)
	typed := form.Get("email")
	switch {
	case form.Get("verify") != "":
		typed = m.account.Email
	case typed == "":
		return p.showAddress(w, m, http.StatusUnprocessableEntity, v.fail("email", m.loc.T("problem.required")))
	}
	thing, err := p.d.Accounts.AskAddress(r.Context(), m.account.ID, typed, m.sess.ID, m.loc.tag)
	if err != nil {
		if status, ok := v.failFields(err); ok {
			return p.showAddress(w, m, status, v)
		}
		return err
	}
	return seeOther(w, "/account/address/code?"+url.Values{"change": {thing}}.Encode())
}

// addressCode asks for the code that went to the new address.
func (p *Pages) addressCode(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	v, err := p.addressCodeView(r, m, r.URL.Query().Get("change"))
	if errs.Is(err, errs.NotFound) { // proven by the link meanwhile, or over
		return seeOther(w, "/account/address")
	}
	if err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "address_code", v)
}

func (p *Pages) addressCodeView(r *http.Request, m *member, change string) (*view, error) {
	address, err := p.d.Accounts.PendingAddress(r.Context(), m.account.ID, change, m.sess.ID)
	if err != nil {
		return nil, err
	}
	return p.addressCodePage(r, m, change, address), nil
}

func (p *Pages) addressCodePage(r *http.Request, m *member, change, address string) *view {
	v := p.accountView(r, m, "mailed.title")
	v.Path, v.Focus = "/account/address/code?"+url.Values{"change": {change}}.Encode(), "code"
	v.Data = struct{ Text, Change string }{m.loc.T("address.sent", "Email", address), change}
	return v
}

func (p *Pages) addressProve(w http.ResponseWriter, r *http.Request) error {
	m, err := p.require(w, r)
	if m == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	change := form.Get("change")
	v, err := p.addressCodeView(r, m, change)
	if errs.Is(err, errs.NotFound) {
		return seeOther(w, "/account/address")
	}
	if err != nil {
		return err
	}
	if form.Get("code") == "" {
		return p.render(w, http.StatusUnprocessableEntity, "address_code", v.fail("code", m.loc.T("problem.required")))
	}
	done, err := p.d.Accounts.ProveAddress(r.Context(), m.account.ID, change, m.sess.ID, form.Get("code"), p.addressChanged(m.account.ID))
	if err != nil {
		return p.addressFailed(w, r, m, v, err)
	}
	return seeOther(w, savedAddress(done))
}

func savedAddress(done account.Changed) string {
	if done.Verified {
		return "/account/profile?saved=verified"
	}
	return "/account/profile?saved=address"
}

// addressChanged tells the new address, in the transaction of the change; the old one is told by the
// change itself, with the way back.
func (p *Pages) addressChanged(user id.User) func(context.Context, account.Changed) error {
	return func(ctx context.Context, done account.Changed) error {
		if done.Verified {
			return nil
		}
		return p.d.Notices.Send(ctx, user, notice.Address, map[string]any{"New": done.New})
	}
}

func (p *Pages) addressFailed(w http.ResponseWriter, r *http.Request, m *member, v *view, err error) error {
	if text := codeProblem(m.loc, err); text != "" {
		return p.render(w, http.StatusUnprocessableEntity, "address_code", v.fail("code", text))
	}
	page := p.accountView(r, m, "address.title")
	if status, ok := page.failFields(err); ok { // somebody proved it in the meantime
		page.Path = "/account/address"
		return p.showAddress(w, m, status, page)
	}
	return err
}

var (
	addressWording = wording{"link.address.title", "link.address.text", "link.address.submit", "link.address.quiet"}
	undoWording    = wording{"link.undo.title", "link.undo.text", "link.undo.submit", "link.undo.quiet"}
)

// addressLanding is the page behind the link to a new address. It says whose account it is for.
func (p *Pages) addressLanding(w http.ResponseWriter, r *http.Request, token string) error {
	_, address, err := p.d.Accounts.PeekAddress(r.Context(), token)
	if err != nil {
		return err
	}
	return p.showLink(w, p.linkView(r, addressWording, "Email", address))
}

// addressLinked needs the very person who asked: a stranger who can make somebody press this button
// would otherwise get an account with that somebody's address, proven.
func (p *Pages) addressLinked(w http.ResponseWriter, r *http.Request, token string) error {
	user, _, err := p.d.Accounts.PeekAddress(r.Context(), token)
	if err != nil {
		return err
	}
	m, err := p.require(w, r) // comes back to /m
	if m == nil || err != nil {
		return err
	}
	if m.account.ID != user {
		page := p.accountView(r, m, "link.other_account.title")
		page.Path = "/account"
		page.Data = message{Text: []string{m.loc.T("link.other_account.text")}, Link: &action{URL: "/account", Text: m.loc.T("page.home")}}
		return p.render(w, http.StatusForbidden, "message", page)
	}
	done, err := p.d.Accounts.ProveAddressLink(r.Context(), user, token, p.addressChanged(user))
	if err != nil {
		page := p.accountView(r, m, "address.title")
		if status, ok := page.failFields(err); ok {
			page.Path = "/account/address"
			return p.showAddress(w, m, status, page)
		}
		return err
	}
	linkDone(w, r)
	return seeOther(w, savedAddress(done))
}

// undoLanding is the page behind the link in the mail to an old address.
func (p *Pages) undoLanding(w http.ResponseWriter, r *http.Request, token string) error {
	c, err := p.d.Accounts.PeekUndo(r.Context(), token)
	if err != nil {
		return err
	}
	return p.showLink(w, p.linkView(r, undoWording, "Old", c.Old, "New", c.New))
}

// undoLinked takes the change back, ends everything that is signed in, and begins a reset at the old
// address: whoever changed it may know the password.
func (p *Pages) undoLinked(w http.ResponseWriter, r *http.Request, token string) error {
	if _, err := p.d.Accounts.PeekUndo(r.Context(), token); err != nil {
		return err
	}
	user, err := p.d.Accounts.UndoAddress(r.Context(), token, p.endEverything)
	if err != nil {
		return err
	}
	return p.afterAlarm(w, r, user, saying{"link.undone.title", "link.undone.text", "/forgot", "forgot.title"})
}

// afterAlarm is where both alarms end: this browser's own session with the rest, if it was one of the
// account's, and a new password.
func (p *Pages) afterAlarm(w http.ResponseWriter, r *http.Request, user id.User, done saying) error {
	linkDone(w, r)
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	if sess == nil && readCookie(r, cookieSession) != "" {
		p.forget(w, r)
	}
	return p.beginReset(w, r, user, done)
}
