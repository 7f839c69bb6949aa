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
		var known, ok bool
		if scheme, token, known, ok = parseToken(h[0]); !known {
			return "", "", noToken() // another scheme is no token, not a malformed one (RFC 6750 §3.1)
		}
		if !ok {
			return "", "", bad("The Authorization header is not a token.")
		}
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

// parseToken reads "Bearer b64token" (RFC 6750 §2.1) and "DPoP token68" (RFC 9449 §7.1), which are of
// the same form. The scheme has no case (RFC 9110 §11.1).
func parseToken(header string) (scheme, token string, known, ok bool) {
	word, token, _ := strings.Cut(header, " ")
	for _, s := range []string{"Bearer", "DPoP"} {
		if strings.EqualFold(word, s) {
			token = strings.TrimLeft(token, " ")
			return s, token, true, token68(token)
		}
	}
	return "", "", false, false
}

func token68(token string) bool {
	for i := range len(token) {
		c := token[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~+/=", c) >= 0:
		default:
			return false
		}
	}
	return token != ""
}
