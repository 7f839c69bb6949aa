package oauth

import (
	"net/url"
	"slices"
	"strings"

	"signet/internal/platform/id"
)

// The response modes (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode §2). Each of
// them, with the suffix .jwt, is one of JARM's (§2.3): all parameters travel in one signed JWT.
const (
	ModeQuery    = "query"
	ModeFragment = "fragment"
	ModeFormPost = "form_post"

	modeJWT   = "jwt" // JARM §2.3.4: the default of the response type, signed
	signedEnd = ".jwt"
)

// Modes are the response modes on offer.
var Modes = []string{
	ModeQuery, ModeFragment, ModeFormPost,
	modeJWT, ModeQuery + signedEnd, ModeFragment + signedEnd, ModeFormPost + signedEnd,
}

// modeOf returns how a request's answer travels: as it asks, else by its response type. ok is false for
// a response_mode that there is not.
func modeOf(mode, responseType string) (string, bool) {
	switch {
	case mode == "":
		return defaultMode(responseType), true
	case mode == modeJWT:
		return defaultMode(responseType) + signedEnd, true
	}
	return mode, slices.Contains(Modes, mode)
}

// carrier is the mode in which a signed response travels; other modes carry themselves.
func carrier(mode string) string { return strings.TrimSuffix(mode, signedEnd) }

// Response is an authorization response, success or error, on its way to the application. What is
// to be signed passes through Deliver before anything is sent.
type Response struct {
	Client      id.Client // whose address it is
	RedirectURI string
	Mode        string // query | fragment | form_post, before Deliver also with .jwt
	Params      url.Values
}

// Location returns the address for a redirect in the modes query and fragment. In form_post
// mode the parameters belong into a form posted to RedirectURI, and Location is "".
func (r *Response) Location() string {
	switch r.Mode {
	case ModeFragment:
		return r.RedirectURI + "#" + r.Params.Encode()
	case ModeQuery:
		// A registered query component stays as it is (RFC 6749 §3.1.2).
		return addQuery(r.RedirectURI, r.Params.Encode())
	}
	return ""
}
