package pages

import (
	"net/http"
	"strings"

	"signet/internal/identity/session"
	"signet/internal/platform/id"
	"signet/internal/server"
)

// The cookies. None holds anything but a random value or a language; what they mean is on the
// server.
const (
	cookieSession = "signet_session" // who is signed in
	cookieBrowser = "signet_browser" // which browser started a journey
	cookieLocale  = "signet_locale"  // the language chosen here
	cookieDevice  = "signet_device"  // which browser somebody has signed in in before
	cookieState   = "signet_state"   // changes when who is signed in does (session.go)
)

// cookieName adds the prefix that keeps sibling domains and plain http from setting our cookies
// (RFC 6265bis §4.1.3.2). Without https, which is for localhost only, browsers refuse it.
func cookieName(r *http.Request, name string) string {
	if server.Secure(r) {
		return "__Host-" + name
	}
	return name
}

// readCookie returns "" unless there is exactly one: of two, one was planted, and nobody can
// tell which.
func readCookie(r *http.Request, name string) string {
	list := r.CookiesNamed(cookieName(r, name))
	if len(list) != 1 {
		return ""
	}
	return list[0].Value
}

func setCookie(w http.ResponseWriter, r *http.Request, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r, name), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: server.Secure(r), SameSite: http.SameSiteLaxMode,
	})
}

// session returns who is signed in here, nil for nobody. The cookie lives as long as the
// browser; the lifetimes that matter are the server's.
func (p *Pages) session(r *http.Request) (*session.Session, error) {
	value := readCookie(r, cookieSession)
	if value == "" {
		return nil, nil
	}
	return p.d.Sessions.Lookup(r.Context(), value)
}

// browser returns the browser's own value, and gives it one if it has none.
func browser(w http.ResponseWriter, r *http.Request) string {
	if v := readCookie(r, cookieBrowser); v != "" {
		if _, ok := id.Hash(id.BrowserCookie, v); ok {
			return v
		}
	}
	v := id.NewToken(id.BrowserCookie)
	setCookie(w, r, cookieBrowser, v, 0)
	return v
}

// localeCookie reads the chosen language and the journey it was chosen in, if any.
func localeCookie(r *http.Request) (tag, journey string) {
	tag, journey, _ = strings.Cut(readCookie(r, cookieLocale), ".")
	return tag, journey
}

const year = 365 * 24 * 60 * 60 // seconds

// setLocale remembers a language. Chosen within a journey it is tied to it, so that there it
// also beats what the application asked for.
func setLocale(w http.ResponseWriter, r *http.Request, tag, journey string) {
	if journey != "" {
		tag += "." + journey
	}
	setCookie(w, r, cookieLocale, tag, year)
}
