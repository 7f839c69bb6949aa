package main

import (
	"fmt"
	"net/http"
	"time"
)

// twoFactors is the context class of a sign-in with two factors, as discovery lists it in
// acr_values_supported. A passkey that verified its holder is in a class of its own, and strong enough too.
const (
	twoFactors        = "urn:signet:acr:2fa"
	phishingResistant = "phr"
)

// stepUp lets requests through whose person signed in strongly and lately enough. To every other it
// answers what is missing (RFC 9470 §3), which the application asks for in a new authorization request.
func stepUp(acr string, maxAge time.Duration, next func(http.ResponseWriter, *http.Request, token)) func(http.ResponseWriter, *http.Request, token) {
	return func(w http.ResponseWriter, r *http.Request, t token) {
		age := time.Since(time.Unix(t.AuthTime, 0))
		if (t.ACR == acr || t.ACR == phishingResistant) && t.AuthTime > 0 && age <= maxAge {
			next(w, r, t)
			return
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(
			`Bearer error="insufficient_user_authentication", error_description="A recent sign-in with two factors is needed", acr_values=%q, max_age="%d"`,
			acr, int(maxAge.Seconds())))
		answer(w, http.StatusUnauthorized, map[string]any{"error": "insufficient_user_authentication"})
	}
}
