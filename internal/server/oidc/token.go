package oidc

import (
	"net/http"
	"net/url"

	"signet/internal/oauth"
	"signet/internal/server"
)

// body reads the form of a protocol endpoint. Parameters in the address are refused, because
// addresses are logged (RFC 6749 §2.3.1).
func body(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery != "" {
		return nil, &oauth.Error{Code: oauth.InvalidRequest, Description: "Parameters belong into the request body.", Status: http.StatusBadRequest}
	}
	return server.Form(r, "resource")
}

// call is what the engine sees of a request.
func (e *Endpoints) call(w http.ResponseWriter, r *http.Request, form url.Values) oauth.Call {
	cert, chain := e.certificate(r)
	return oauth.Call{
		Method: r.Method, Path: r.URL.Path, Header: r.Header, Form: form, Certificate: cert, Chain: chain, Reply: w.Header(),
	}
}

func (e *Endpoints) token(w http.ResponseWriter, r *http.Request) (any, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	return some(e.engine.Token(r.Context(), e.call(w, r, form)))
}

func (e *Endpoints) revoke(w http.ResponseWriter, r *http.Request) (any, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	return nil, e.engine.Revoke(r.Context(), e.call(w, r, form))
}

// some turns a typed result into one that is nil when there is an error.
func some[T any](v *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}
