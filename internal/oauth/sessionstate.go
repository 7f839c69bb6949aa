package oauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"

	"signet/internal/platform/id"
)

// BrowserState is what the script of check_session_iframe compares with: the same for as long as the
// session lasts, and telling nothing about it (OIDC Session Management §3.2, "OP User Agent state").
// "" means that nobody is signed in, or that session management is off.
func (e *Engine) BrowserState(s id.Session) string {
	if s == "" || !e.policy.SessionManagement {
		return ""
	}
	mac := hmac.New(sha256.New, e.browserKey)
	mac.Write([]byte(s))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

// addSessionState puts session_state into a successful response (OIDC Session Management §2): a salted
// hash that only a page of the redirect URI's origin can have checked. Other programs than pages have
// no use for it.
func (e *Engine) addSessionState(params url.Values, r *Request, s id.Session) {
	state, origin := e.BrowserState(s), webOrigin(r.RedirectURI)
	if state == "" || origin == "" || !slices.Contains(r.Scopes, ScopeOpenID) {
		return
	}
	salt := rand.Text()[:16]
	params.Set("session_state", sessionState(r.ClientID, origin, state, salt))
}

func sessionState(c id.Client, origin, state, salt string) string {
	sum := sha256.Sum256([]byte(string(c) + " " + origin + " " + state + " " + salt))
	return base64.RawURLEncoding.EncodeToString(sum[:]) + "." + salt
}

// webOrigin is the origin of a web address as browsers write it (RFC 6454 §6.2), "" for others.
func webOrigin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return originOf(u)
}
