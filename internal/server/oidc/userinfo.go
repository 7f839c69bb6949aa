package oidc

import (
	"errors"
	"net/http"
	"strings"

	"signet/internal/oauth"
	"signet/internal/server"
)

func (e *Endpoints) userinfo(w http.ResponseWriter, r *http.Request) (any, error) {
	scheme, token, err := bearer(r)
	if err != nil {
		return nil, err
	}
	info, err := e.engine.Userinfo(r.Context(), e.call(w, r, nil), scheme, token)
	if err != nil {
		return nil, err
	}
	if info.JWT != "" { // OIDC Core §5.3.2
		return typed{http.StatusOK, "application/jwt", []byte(info.JWT)}, nil
	}
	return info.Claims, nil
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
func bearer(r *http.Request) (scheme, token string, err error) {
	bad := func(text string) error {
		return &oauth.Error{Code: oauth.InvalidRequest, Description: text, Status: http.StatusBadRequest, Challenge: "Bearer"}
	}
	if r.URL.Query().Has("access_token") {
		return "", "", bad("An access token does not belong into the address.")
	}
	switch h := r.Header["Authorization"]; len(h) {
	case 0:
	case 1:
		// Another scheme is no token, not a malformed one (RFC 6750 §3.1).
		word, _, _ := strings.Cut(h[0], " ")
		if !strings.EqualFold(word, "Bearer") {
			return "", "", noToken()
		}
		scheme = "Bearer"
		t, ok := parseBearer(h[0])
		if !ok {
			return "", "", bad("The Authorization header is not a Bearer token.")
		}
		token = t
	default:
		return "", "", bad("There is more than one Authorization header.")
	}
	if r.Method == http.MethodPost {
		form, err := server.Form(r)
		if err != nil {
			return "", "", err
		}
		if t := form.Get("access_token"); t != "" {
			if token != "" {
				return "", "", bad("There is more than one access token.")
			}
			scheme, token = "Bearer", t
		}
	}
	if token == "" {
		return "", "", noToken()
	}
	return scheme, token, nil
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
