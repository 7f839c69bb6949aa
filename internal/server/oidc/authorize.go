package oidc

import (
	"errors"
	"net/http"
	"net/url"

	"signet/internal/oauth"
	"signet/internal/server"
)

// authorize checks an authorization request and hands it to the pages, which look at the session.
func (e *Endpoints) authorize(w http.ResponseWriter, r *http.Request) error {
	if refusedHead(w, r) { // a code must not be made for nobody to see
		return nil
	}
	form, err := server.Form(r, "resource")
	if err != nil {
		return e.refused(w, r, err)
	}
	req, err := e.engine.ParseAuthorize(r.Context(), form)
	if err != nil {
		return e.refused(w, r, err)
	}
	if err := e.pages.Authorize(w, r, req); err != nil {
		return e.refused(w, r, err)
	}
	return nil
}

// refusedHead answers HEAD where a GET has an effect (RFC 9110 §9.2.1 wants it safe).
func refusedHead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodHead {
		return false
	}
	w.Header().Set("Allow", "GET, POST")
	w.WriteHeader(http.StatusMethodNotAllowed)
	return true
}

// refused tells the application where that is safe, else the person. What is not of the protocol
// passes on to the area's own error page.
func (e *Endpoints) refused(w http.ResponseWriter, r *http.Request, err error) error {
	var mine *oauth.Error
	var door *server.Refusal
	if !errors.As(err, &mine) && !errors.As(err, &door) {
		return err
	}
	out := asError(err)
	if resp := e.engine.RefuseError(out); resp != nil {
		return e.pages.Respond(w, r, resp)
	}
	if out.RetryAfter > 0 {
		w.Header().Set("Retry-After", server.RetryAfter(out.RetryAfter))
	}
	return e.pages.Refused(w, r, out)
}

// logout checks a logout request and hands it to the pages (OIDC RP-Initiated Logout §2).
func (e *Endpoints) logout(w http.ResponseWriter, r *http.Request) error {
	if refusedHead(w, r) { // something that looks at links must not end a session
		return nil
	}
	form, err := server.Form(r)
	if err != nil {
		return e.refused(w, r, err)
	}
	l, err := e.engine.ParseLogout(r.Context(), form)
	if err != nil {
		return e.refused(w, r, err)
	}
	return e.pages.Logout(w, r, l)
}

// repost turns a POST from another site into a GET of the same parameters. The cookies of this
// site come with the GET only (SameSite=Lax), and the POST itself changes nothing (OIDC Core
// §3.1.2.1).
func (e *Endpoints) repost(path string) server.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.RawQuery != "" { // each parameter once: either here or there (RFC 6749 §3.1)
			return e.refused(w, r, errBothPlaces())
		}
		form, err := server.Form(r, "resource")
		if err != nil {
			return e.refused(w, r, err)
		}
		target := (&url.URL{Path: path, RawQuery: form.Encode()}).String()
		if len(target) > server.MaxURLBytes {
			return e.refused(w, r, &server.Refusal{Status: http.StatusRequestEntityTooLarge, Text: "the request is too long"})
		}
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
}

func errBothPlaces() error {
	return &server.Refusal{Status: http.StatusBadRequest, Text: "parameters are in the address and in the body"}
}
