package pages

import (
	"net/http"
	"slices"

	"signet/internal/oauth"
	"signet/internal/server"
	"signet/internal/signin"
)

// Authorize takes over a checked authorization request: it answers at once or begins a journey.
func (p *Pages) Authorize(w http.ResponseWriter, r *http.Request, req *oauth.Request) error {
	r = withSource(r)
	sess, err := p.session(r)
	if err != nil {
		return err
	}
	p.mark(w, r, sess)
	resp, j, err := p.d.Journeys.Authorize(r.Context(), browser(w, r), req, sess)
	if err != nil {
		return err
	}
	if resp != nil {
		return p.Respond(w, r, resp)
	}
	return seeOther(w, journeyPath(j, ""))
}

// Respond sends an authorization response to the application in its mode.
func (p *Pages) Respond(w http.ResponseWriter, r *http.Request, resp *oauth.Response) error {
	return p.respond(w, r, nil, resp)
}

// respond is Respond with the journey, where there is one, for its language and application.
func (p *Pages) respond(w http.ResponseWriter, r *http.Request, v *visit, resp *oauth.Response) error {
	resp, err := p.d.Engine.Deliver(r.Context(), resp)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if resp.Mode != oauth.ModeFormPost {
		return seeOther(w, resp.Location())
	}
	if v == nil {
		v = &visit{j: &signin.Journey{}, loc: p.texts.of(r, nil)}
	}
	page := p.view(r, v.loc, "formpost.title")
	page.App = p.appOf(v)
	page.Path = "/account" // a language switch cannot repeat this page
	page.formTargets = formTargets(resp.RedirectURI)
	type param struct{ Name, Value string }
	data := struct {
		Action string
		Params []param
	}{Action: resp.RedirectURI}
	for name, values := range resp.Params {
		for _, value := range values {
			data.Params = append(data.Params, param{name, value})
		}
	}
	slices.SortFunc(data.Params, func(a, b param) int { return compare(a.Name, b.Name) })
	page.Data = data
	return p.render(w, http.StatusOK, "formpost", page)
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// cancel gives up: the application learns that access was denied.
func (p *Pages) cancel(w http.ResponseWriter, r *http.Request) error {
	v, err := p.open(r)
	if err != nil {
		return err
	}
	if v.j.Done() || v.j.Request == nil {
		return seeOther(w, journeyPath(v.j.ID, ""))
	}
	if _, err := server.Form(r); err != nil {
		return err
	}
	return p.deny(w, r, v)
}

func (p *Pages) deny(w http.ResponseWriter, r *http.Request, v *visit) error {
	resp, err := p.d.Journeys.Refuse(r.Context(), v.j, signin.AccessDenied)
	if err != nil {
		return p.overtaken(w, v, err)
	}
	return p.leaveJourney(w, r, v, resp)
}
