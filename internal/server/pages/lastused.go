package pages

import (
	"net/http"
	"strings"
)

// cookieLast holds the way of signing in that was used last in this browser: "pwd", "passkey",
// "email", or "fed." and the name of a provider. It says nothing of who signed in, only this
// server reads it, and a page is marked by it only in the browser that sent it.
const cookieLast = "signet_last"

// usedLast remembers the way in. Call it where somebody has signed in.
func usedLast(w http.ResponseWriter, r *http.Request, way string) {
	if isWay(way) {
		setCookie(w, r, cookieLast, way, year)
	}
}

// lastUsed returns the way in that was used last in this browser, "" if none is known.
func lastUsed(r *http.Request) string {
	if v := readCookie(r, cookieLast); isWay(v) {
		return v
	}
	return ""
}

func isWay(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	})
}
