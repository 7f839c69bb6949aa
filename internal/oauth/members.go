package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// members is a JSON object with its values as they were written.
type members map[string]json.RawMessage

// maxMembers bounds a request object as the door bounds a form.
const maxMembers = 64

// The members of a request object that are no parameters (RFC 9101 §4: those of RFC 7519), and those that
// must not be there: a request object never leads to another one (§4).
var (
	jwtMembers   = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}
	nestedObject = []string{"request", "request_uri"}
)

// How the values of parameters are written that are not plain text (RFC 9101 §4: JSON where that is
// their form, numbers as numbers).
var (
	jsonParams   = []string{"claims", "authorization_details"} // OIDC Core §5.5, RFC 9396 §2: JSON values
	numberParams = []string{"max_age", "requested_expiry"}     // CIBA §7.1.1: a number or a text
	listParams   = []string{"resource"}                        // RFC 8707 §2: may be repeated
	// textParams are known parameters: a value of another type is a mistake, not a parameter that is
	// unknown here and can be ignored.
	textParams = []string{
		"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "prompt", "display",
		"login_hint", "ui_locales", "claims_locales", "acr_values", "id_token_hint", "code_challenge", "code_challenge_method",
		"dpop_jkt", "registration",
		"login_hint_token", "binding_message", "client_notification_token", "user_code",
	}
)

// form turns the members into the parameters that they stand for. Each type is what the parameter's own
// specification says; nothing is turned into text that was not (fosite F2).
func (m members) form() (url.Values, error) {
	if len(m) > maxMembers {
		return nil, errors.New("too many members")
	}
	out := url.Values{}
	for name, raw := range m {
		if slices.Contains(nestedObject, name) {
			return nil, errors.New("holds another request object")
		}
		if slices.Contains(jwtMembers, name) {
			continue
		}
		values, ok := paramValues(name, raw)
		switch {
		case ok:
			out[name] = values
		case slices.Contains(textParams, name), slices.Contains(listParams, name),
			slices.Contains(jsonParams, name), slices.Contains(numberParams, name):
			return nil, errors.New("a parameter has a value of the wrong type")
		} // else it is unknown, and ignored (RFC 6749 §3.1)
	}
	return out, nil
}

func paramValues(name string, raw json.RawMessage) ([]string, bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, false
	}
	switch c := raw[0]; {
	case c == '"':
		s, ok := textOf(raw)
		return []string{s}, ok
	case (c == '{' || c == '[') && slices.Contains(jsonParams, name):
		return []string{string(raw)}, utf8.Valid(raw)
	case c == '[' && slices.Contains(listParams, name):
		return listOf(raw)
	case c >= '0' && c <= '9' && slices.Contains(numberParams, name):
		return []string{string(raw)}, true // the parser of the parameter takes digits only
	}
	return nil, false
}

// textOf reads a JSON string that could stand in a form: text without NUL.
func textOf(raw json.RawMessage) (string, bool) {
	var s string
	if !utf8.Valid(raw) || json.Unmarshal(raw, &s) != nil || strings.ContainsRune(s, 0) {
		return "", false
	}
	return s, true
}

func listOf(raw json.RawMessage) (out []string, ok bool) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 || len(list) > maxMembers {
		return nil, false
	}
	for _, item := range list {
		item = bytes.TrimSpace(item)
		if item[0] != '"' {
			return nil, false
		}
		s, ok := textOf(item)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}
