package pages

import (
	"net/http"

	"signet/internal/oauth"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

const loggedOutPath = "/logged-out"

// Logout takes over a checked logout request of an application (OIDC RP-Initiated Logout §2).
// With a verified hint about the very session of this browser it ends it at once: the holder
// of that ID token need not be asked again. In every other case the person is asked (§2:
// "SHOULD ask", and MUST where the hint does not fit), so that no site can sign people out.
func (p *Pages) Logout(w http.ResponseWriter, r *http.Request, l *oauth.Logout) error {
	r = withSource(r)
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	leave := signin.Leave{Client: l.Client, Location: l.Location(), Locales: l.UILocales}
	switch {
	case sess == nil:
		return seeOther(w, after(leave))
	case p.d.Engine.Ends(l, sess.ID):
		f, err := p.signOut(w, r, sess.ID)
		if err != nil {
			return err
		}
		return p.farewell(w, r, f, leave)
	}
	j, err := p.d.Journeys.BeginLeave(r.Context(), browser(w, r), leave)
	if err != nil {
		return err
	}
	return seeOther(w, journeyPath(j, "logout"))
}

// after is where a sign-out ends: the registered address of the application, or our own page.
func after(l signin.Leave) string {
	if l.Location != "" {
		return l.Location
	}
	return loggedOutPath
}

// leaveForm asks on behalf of an application.
func (p *Pages) leaveForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.open(r)
	switch {
	case err != nil:
		return err
	case v.j.Leave == nil || v.j.Done():
		return seeOther(w, journeyPath(v.j.ID, ""))
	case v.sess == nil:
		return seeOther(w, after(*v.j.Leave))
	}
	return p.askLogout(w, r, v.loc, v.sess.User, v.j.Leave.Location)
}

// leave answers it: the session ends, and the journey with it.
func (p *Pages) leave(w http.ResponseWriter, r *http.Request) error {
	v, err := p.open(r)
	if err != nil {
		return err
	}
	form, err := server.Form(r)
	switch {
	case err != nil:
		return err
	case v.j.Leave == nil || v.j.Done():
		return seeOther(w, journeyPath(v.j.ID, ""))
	case form.Get("answer") != "leave":
		return seeOther(w, "/account")
	}
	var f oauth.Farewell
	if v.sess != nil {
		if f, err = p.signOut(w, r, v.sess.ID); err != nil {
			return err
		}
	}
	if _, err := p.d.Journeys.Finish(r.Context(), v.j, v.sess); err != nil {
		return p.overtaken(w, v, err)
	}
	return p.farewell(w, r, f, *v.j.Leave)
}

// logoutForm asks a person who opened the address themselves.
func (p *Pages) logoutForm(w http.ResponseWriter, r *http.Request) error {
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	if sess == nil {
		return seeOther(w, loggedOutPath)
	}
	return p.askLogout(w, r, p.texts.of(r, nil), sess.User, "")
}

// logout is the answer, and the button at the top of the account pages.
func (p *Pages) logout(w http.ResponseWriter, r *http.Request) error {
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if form.Get("answer") == "stay" {
		return seeOther(w, "/account")
	}
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	var f oauth.Farewell
	if sess != nil {
		if f, err = p.signOut(w, r, sess.ID); err != nil {
			return err
		}
	}
	return p.farewell(w, r, f, signin.Leave{})
}

func (p *Pages) loggedOut(w http.ResponseWriter, r *http.Request) error {
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	if sess != nil { // a bookmarked page must not say what is not so
		return seeOther(w, "/account")
	}
	loc := p.texts.of(r, nil)
	page := p.view(r, loc, "logged_out.title")
	page.Data = message{
		Text: []string{loc.T("logged_out.text")},
		Link: &action{URL: "/login", Text: loc.T("logged_out.again")},
	}
	return p.render(w, http.StatusOK, "message", page)
}

// askLogout renders the question. location is where the answer leads, "" for our own page.
func (p *Pages) askLogout(w http.ResponseWriter, r *http.Request, loc *locale, user id.User, location string) error {
	a, err := p.d.Accounts.ByID(r.Context(), user)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	page := p.view(r, loc, "logout.title")
	page.formTargets = formTargets(location)
	page.Data = struct{ Who person }{personOf(a)}
	return p.render(w, http.StatusOK, "logout", page)
}
