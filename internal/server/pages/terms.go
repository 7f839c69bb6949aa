package pages

import (
	"net/http"

	"signet/internal/platform/errs"
	"signet/internal/server"
	"signet/internal/signin"
)

var termsFrames = map[string]string{"terms": "card"}

func (p *Pages) termsRoutes() []server.Route {
	return []server.Route{
		p.get("/signin/{journey}/terms", p.termsForm),
		p.post("/signin/{journey}/terms", p.termsAccept),
	}
}

func (p *Pages) termsForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Terms)
	if v == nil || err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "terms", p.termsView(r, v, p.signUps.Terms))
}

func (p *Pages) termsView(r *http.Request, v *visit, version string) *view {
	page := p.page(r, v, "terms.title")
	page.Data = struct {
		Text, Version string
		Who           person
	}{v.loc.T("terms.text", "Service", p.d.Name), version, personOf(*v.owed.Account)}
	return page
}

// termsAccept takes the yes of whom the page was made for, to the version that it showed.
func (p *Pages) termsAccept(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Terms)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	err = p.d.Accounts.AcceptTerms(r.Context(), v.owed.Account.ID, form.Get("version"))
	if errs.Is(err, errs.Invalid) { // they changed since the page was made
		return seeOther(w, journeyPath(v.j.ID, "terms"))
	}
	if err != nil {
		return err
	}
	return p.proceed(w, r, v)
}
