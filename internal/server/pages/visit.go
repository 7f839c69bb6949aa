package pages

import (
	"net/http"
	"net/url"

	"signet/internal/identity/account"
	"signet/internal/identity/session"
	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
	"signet/internal/signin"
)

// visit is one request within a journey: the frozen journey, who is in this browser, and what
// is owed.
type visit struct {
	j      *signin.Journey
	sess   *session.Session
	owed   signin.Owed
	client *client.Client // nil for journeys of our own pages
	loc    *locale
}

// journeyPath is the address of one of the journey's pages.
func journeyPath(j id.Journey, page string) string {
	p := "/signin/" + url.PathEscape(string(j))
	if page != "" {
		p += "/" + page
	}
	return p
}

// open loads the journey that the address names, for the browser that began it.
func (p *Pages) open(r *http.Request) (*visit, error) {
	j, err := p.d.Journeys.Load(r.Context(), id.Journey(r.PathValue("journey")), readCookie(r, cookieBrowser))
	if err != nil {
		return nil, err
	}
	v := &visit{j: j, loc: p.texts.of(r, j)}
	if v.sess, err = p.session(r); err != nil {
		return nil, err
	}
	if j.Request != nil {
		v.client, err = p.d.Clients.Get(r.Context(), j.Request.ClientID)
		if err != nil && !errs.Is(err, errs.NotFound) {
			return nil, err
		}
	}
	return v, nil
}

// arrive opens the journey for one of its pages. If that page has no business now (the journey
// has ended, or something else is owed first) it sends the browser to where the journey stands
// and returns nil.
func (p *Pages) arrive(w http.ResponseWriter, r *http.Request, page signin.Step) (*visit, error) {
	v, err := p.open(r)
	if err != nil {
		return nil, err
	}
	if v.j.Done() || v.j.Leave != nil {
		return nil, seeOther(w, journeyPath(v.j.ID, ""))
	}
	if v.owed, err = p.d.Journeys.Decide(r.Context(), v.j, v.sess); err != nil {
		return nil, err
	}
	if !signin.May(page, v.owed.Step) {
		return nil, seeOther(w, journeyPath(v.j.ID, ""))
	}
	return v, nil
}

// resume sends the browser to where its journey stands: the step owed, the application, or, for
// a journey that has ended, a page that says so.
func (p *Pages) resume(w http.ResponseWriter, r *http.Request) error {
	v, err := p.open(r)
	switch {
	case err != nil:
		return err
	case v.j.Done():
		return p.ended(w, r, v)
	case v.j.Leave != nil:
		return seeOther(w, journeyPath(v.j.ID, "logout"))
	}
	return p.proceed(w, r, v)
}

// proceed asks what is owed and goes there. It is the only way out of every step.
func (p *Pages) proceed(w http.ResponseWriter, r *http.Request, v *visit) error {
	p.mark(w, r, v.sess)
	var err error
	if v.owed, err = p.d.Journeys.Decide(r.Context(), v.j, v.sess); err != nil {
		return err
	}
	var resp *oauth.Response
	switch v.owed.Step {
	case signin.Done:
		resp, err = p.d.Journeys.Finish(r.Context(), v.j, v.sess)
	case signin.Refuse:
		resp, err = p.d.Journeys.Refuse(r.Context(), v.j, v.owed.Code)
	default:
		return seeOther(w, journeyPath(v.j.ID, string(v.owed.Step)))
	}
	if err != nil {
		return p.overtaken(w, v, err)
	}
	return p.leaveJourney(w, r, v, resp)
}

// leaveJourney goes where the journey ends: to the application, or to our own page.
func (p *Pages) leaveJourney(w http.ResponseWriter, r *http.Request, v *visit, resp *oauth.Response) error {
	switch {
	case resp != nil:
		return p.respond(w, r, v, resp)
	case v.j.Local != nil:
		return seeOther(w, v.j.Local.Target)
	}
	return seeOther(w, "/account")
}

// overtaken handles a transition that another request of this browser made first (a double
// click, a second tab): look where the journey stands now.
func (p *Pages) overtaken(w http.ResponseWriter, v *visit, err error) error {
	if errs.Is(err, errs.Conflict) {
		return seeOther(w, journeyPath(v.j.ID, ""))
	}
	return err
}

// ended is what a reload or the back button finds after the end.
func (p *Pages) ended(w http.ResponseWriter, r *http.Request, v *visit) error {
	switch {
	case v.j.Leave != nil:
		return seeOther(w, after(*v.j.Leave))
	case v.j.Local != nil:
		return seeOther(w, v.j.Local.Target)
	}
	page := p.view(r, v.loc, "done.title")
	page.App = p.appOf(v)
	m := message{Text: []string{v.loc.T("done.text")}}
	if v.client != nil && safeLink(v.client.Metadata.ClientURI) {
		m.Link = &action{URL: v.client.Metadata.ClientURI, Text: v.loc.T("done.app"), External: true}
	}
	page.Data = m
	return p.render(w, http.StatusOK, "message", page)
}

// page starts the view of one of the journey's pages.
func (p *Pages) page(r *http.Request, v *visit, title string) *view {
	out := p.view(r, v.loc, title)
	out.App = p.appOf(v)
	if v.j.Request != nil {
		out.CancelURL = journeyPath(v.j.ID, "cancel")
		targets := []string{v.j.Request.RedirectURI}
		if v.client != nil {
			// Where the application's callback may send the person on to within its own
			// house; the operator registered these addresses too.
			targets = append(targets, v.client.Metadata.ClientURI)
			targets = append(targets, v.client.Metadata.AllowedOrigins...)
		}
		out.formTargets = formTargets(targets...)
	}
	return out
}

// app is an application as people see it.
type app struct {
	Name, Host, Initial string
	Logo                string // path of our copy
	// Policy and Terms are its own, of an application that is not ours (OIDC Registration §2).
	Policy, Terms string
}

func (p *Pages) appOf(v *visit) *app {
	if v.j.Request == nil || v.client == nil {
		return nil
	}
	return appView(v.client, landsAt(v.loc, v.j.Request.RedirectURI))
}

// appView is the application, which leads to host.
func appView(c *client.Client, host string) *app {
	m := c.Metadata
	a := &app{Name: c.Name, Host: host, Initial: initial(c.Name)}
	if m.LogoURI != "" {
		a.Logo = logoPath(c)
	}
	if m.FirstParty {
		return a
	}
	if safeLink(m.PolicyURI) {
		a.Policy = m.PolicyURI
	}
	if safeLink(m.TOSURI) {
		a.Terms = m.TOSURI
	}
	return a
}

// landsAt says where a redirect URI leads, in words that a person can check.
func landsAt(loc *locale, uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "https":
		return u.Host
	case u.Scheme == "http": // loopback, or a development host
		if h := u.Hostname(); h == "127.0.0.1" || h == "::1" {
			return loc.T("to.device")
		}
		return u.Host
	}
	return loc.T("to.device")
}

// person is a person as pages show them.
type person struct{ Name, Detail, Initial string }

func personOf(a account.Account) person {
	detail := a.Email
	if detail == "" {
		detail = a.Username
	}
	name := a.Profile.Name
	if name == "" {
		name, detail = detail, ""
	}
	return person{Name: name, Detail: detail, Initial: initial(name)}
}

// safeLink admits only web addresses into links that an operator configured.
func safeLink(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}
