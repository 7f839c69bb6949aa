package pages

import (
	"net/http"

	"signet/internal/platform/id"
	"signet/internal/server"
	"signet/internal/signin"
)

func (p *Pages) selectForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Select)
	if v == nil || err != nil {
		return err
	}
	page := p.page(r, v, "select.title")
	who := personOf(*v.owed.Account)
	who.Name = v.loc.T("select.continue", "Name", who.Name)
	page.Data = struct {
		Account, Login string
		Who            person
	}{seenSession(v), journeyPath(v.j.ID, "login"), who}
	return p.render(w, http.StatusOK, "select", page)
}

func (p *Pages) selectAccount(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.Select)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	// The page showed one person; if another has signed in since, show it again.
	if form.Get("account") != seenSession(v) {
		return seeOther(w, journeyPath(v.j.ID, ""))
	}
	if err := p.d.Journeys.Choose(r.Context(), v.j, v.sess); err != nil {
		return p.overtaken(w, v, err)
	}
	return p.proceed(w, r, v)
}

// seenSession stands for the session that a page was made for. It carries no authority: it only
// lets a form notice that it was made for somebody else.
func seenSession(v *visit) string { return id.Digest("seen\x00" + string(v.sess.ID)) }
