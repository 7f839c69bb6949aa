package oidc

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"

	"signet/internal/oauth"
	"signet/internal/oauth/registration"
	"signet/internal/platform/audit"
	"signet/internal/platform/id"
	"signet/internal/server"
)

// maxMetadata limits what a client may say of itself: a key set and some addresses.
const maxMetadata = 64 << 10

func (e *Endpoints) registrationRoutes() []server.Route {
	if !e.registration.Enabled() {
		return nil
	}
	const path, client = registration.Path, registration.Path + "/{client}"
	row := func(method, path string, h server.HandlerFunc) server.Route {
		return server.Route{Method: method, Path: path, Area: server.Protocol, MaxBody: maxMetadata, Handler: h}
	}
	return []server.Route{
		row(http.MethodPost, path, e.registering(e.register)),
		row(http.MethodOptions, path, preflightRegistration("POST")),
		row(http.MethodGet, client, e.registering(e.readClient)),
		row(http.MethodPut, client, e.registering(e.updateClient)),
		row(http.MethodDelete, client, e.registering(e.deleteClient)),
		row(http.MethodOptions, client, preflightRegistration("GET, PUT, DELETE")),
	}
}

// preflightRegistration answers for endpoints that pages of any origin may call: a client that is not
// registered yet has no origin of its own, no cookie is looked at, and what lets in is in a header
// that only its holder can write.
func preflightRegistration(methods string) server.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) error {
		h := w.Header()
		h["Access-Control-Allow-Origin"] = anyOrigin
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// registering runs one of the endpoints and writes its answer (RFC 7591 §3.2, RFC 7592 §3).
func (e *Endpoints) registering(h func(*http.Request, registration.Request) (int, *registration.Answer, error)) server.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header()["Access-Control-Allow-Origin"] = anyOrigin
		req, err := registrationRequest(r)
		if err != nil {
			return fail(w, err)
		}
		source := audit.Source{IP: req.Source, UserAgent: r.UserAgent(), RequestID: server.RequestID(r)}
		status, body, err := h(r.WithContext(audit.WithSource(r.Context(), source)), req)
		if err != nil {
			return fail(w, err)
		}
		head := w.Header()
		head["Cache-Control"], head["Pragma"] = noStore, noCache
		if body == nil {
			w.WriteHeader(status)
			return nil
		}
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		head["Content-Type"] = contentJSON
		w.WriteHeader(status)
		_, err = w.Write(b)
		return err
	}
}

// registrationRequest reads what all of the endpoints look at.
func registrationRequest(r *http.Request) (registration.Request, error) {
	req := registration.Request{Source: server.ClientIP(r)}
	bad := func(status int, text string) (registration.Request, error) {
		return req, &oauth.Error{Code: oauth.InvalidRequest, Description: text, Status: status}
	}
	if r.URL.RawQuery != "" { // addresses are logged
		return bad(http.StatusBadRequest, "Parameters belong into the request body.")
	}
	switch h := r.Header["Authorization"]; len(h) {
	case 0:
	case 1:
		scheme, token, _, ok := parseToken(h[0])
		if scheme == "Bearer" && !ok {
			return bad(http.StatusBadRequest, "The Authorization header is not a Bearer token.")
		}
		if scheme == "Bearer" {
			req.Token = token
		}
	default:
		return bad(http.StatusBadRequest, "There is more than one Authorization header.")
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return req, nil
	}
	t, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset, given := params["charset"]; err != nil || t != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		return bad(http.StatusUnsupportedMediaType, "The request body must be application/json.")
	}
	req.Body, err = io.ReadAll(r.Body)
	if err != nil {
		return req, server.BodyError(err)
	}
	return req, nil
}

func (e *Endpoints) register(r *http.Request, req registration.Request) (int, *registration.Answer, error) {
	a, err := e.registration.Register(r.Context(), req)
	return http.StatusCreated, a, err
}

func (e *Endpoints) readClient(r *http.Request, req registration.Request) (int, *registration.Answer, error) {
	a, err := e.registration.Read(r.Context(), managedClient(r), req)
	return http.StatusOK, a, err
}

func (e *Endpoints) updateClient(r *http.Request, req registration.Request) (int, *registration.Answer, error) {
	a, err := e.registration.Update(r.Context(), managedClient(r), req)
	return http.StatusOK, a, err
}

func (e *Endpoints) deleteClient(r *http.Request, req registration.Request) (int, *registration.Answer, error) {
	return http.StatusNoContent, nil, e.registration.Delete(r.Context(), managedClient(r), req)
}

func managedClient(r *http.Request) id.Client { return id.Client(r.PathValue("client")) }
