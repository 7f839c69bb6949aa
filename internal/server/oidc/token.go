package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

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

func (e *Endpoints) token(r *http.Request) (any, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	return some(e.engine.Token(r.Context(), r.Header, form))
}

func (e *Endpoints) introspect(r *http.Request) (any, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	return some(e.engine.Introspect(r.Context(), r.Header, form))
}

func (e *Endpoints) revoke(r *http.Request) (any, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	return nil, e.engine.Revoke(r.Context(), r.Header, form)
}

// some turns a typed result into one that is nil when there is an error.
func some[T any](v *T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (e *Endpoints) userinfo(r *http.Request) (any, error) {
	token, err := bearer(r)
	if err != nil {
		return nil, err
	}
	return e.engine.Userinfo(r.Context(), token)
}

var errNoToken = errors.New("no access token in the request")

func noToken() error {
	return &oauth.Error{
		Code: oauth.InvalidToken, Description: "An access token is required.", Status: http.StatusUnauthorized,
		Challenge: "Bearer", Cause: errNoToken,
	}
}

// bearer finds the access token of a userinfo request: in one Authorization header, or in the form
// of a POST, never in both and never in the address (RFC 6750 §2; RFC 9700 §4.3.2).
func bearer(r *http.Request) (string, error) {
	bad := func(text string) error {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: text, Status: http.StatusBadRequest, Challenge: "Bearer"}
	}
	if r.URL.Query().Has("access_token") {
		return "", bad("An access token does not belong into the address.")
	}
	var token string
	switch h := r.Header["Authorization"]; len(h) {
	case 0:
	case 1:
		// Another scheme is no token, not a malformed one (RFC 6750 §3.1).
		if scheme, _, _ := strings.Cut(h[0], " "); !strings.EqualFold(scheme, "Bearer") {
			return "", noToken()
		}
		t, ok := parseBearer(h[0])
		if !ok {
			return "", bad("The Authorization header is not a Bearer token.")
		}
		token = t
	default:
		return "", bad("There is more than one Authorization header.")
	}
	if r.Method == http.MethodPost {
		form, err := server.Form(r)
		if err != nil {
			return "", err
		}
		if t := form.Get("access_token"); t != "" {
			if token != "" {
				return "", bad("There is more than one access token.")
			}
			token = t
		}
	}
	if token == "" {
		return "", noToken()
	}
	return token, nil
}

// parseBearer reads "Bearer b64token" (RFC 6750 §2.1). The scheme has no case (RFC 9110 §11.1).
func parseBearer(header string) (string, bool) {
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	token = strings.TrimLeft(token, " ")
	for i := range len(token) {
		c := token[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~+/=", c) >= 0:
		default:
			return "", false
		}
	}
	return token, token != ""
}
