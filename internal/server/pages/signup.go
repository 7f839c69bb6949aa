package pages

import (
	"errors"
	"net/http"

	"signet/internal/identity/account"
	"signet/internal/identity/session"
	"signet/internal/platform/errs"
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

func (p *Pages) signUpForm(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.SignUp)
	if v == nil || err != nil {
		return err
	}
	return p.render(w, http.StatusOK, "signup", p.signUpView(r, v))
}

func (p *Pages) signUpView(r *http.Request, v *visit) *view {
	page := p.page(r, v, "signup.title")
	page.KeepForm = true
	page.Data = struct{ Login string }{journeyPath(v.j.ID, "login")}
	return page
}

func (p *Pages) signUp(w http.ResponseWriter, r *http.Request) error {
	v, err := p.arrive(w, r, signin.SignUp)
	if v == nil || err != nil {
		return err
	}
	form, err := server.Form(r)
	if err != nil {
		return err
	}
	if p.relocated(w, r, v, form) {
		return p.render(w, http.StatusOK, "signup", p.signUpView(r, v).keep(form))
	}
	page := p.signUpView(r, v).keep(form)
	for _, field := range []string{"name", "email", "password"} {
		if form.Get(field) == "" {
			page.fail(field, v.loc.T("problem.required"))
		}
	}
	if len(page.Problems) > 0 {
		return p.render(w, http.StatusUnprocessableEntity, "signup", page)
	}
	a, err := p.d.Accounts.SignUp(r.Context(), account.SignUp{
		Email: form.Get("email"), Username: form.Get("username"), Name: form.Get("name"),
		Password: seal.Secret(form.Get("password")), Locale: v.loc.tag,
	})
	if err != nil {
		if status, ok := page.failFields(err); ok {
			return p.render(w, status, "signup", page)
		}
		if status, text, ok := attempt(w, v.loc, err); ok {
			return p.render(w, status, "signup", page.fail("", text))
		}
		return err
	}
	sess, cookie, err := p.d.Journeys.Authenticated(r.Context(), v.j, a.ID, session.Password, v.sess)
	if err != nil {
		return p.overtaken(w, v, err)
	}
	setCookie(w, r, cookieSession, cookie, 0)
	v.sess = &sess
	return p.proceed(w, r, v)
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
