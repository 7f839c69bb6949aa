package oidc

import (
	"net/http"

	"signet/internal/server"
)

// preflightAny answers for documents that anybody may read.
func preflightAny(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h["Access-Control-Allow-Origin"] = anyOrigin
	h.Set("Access-Control-Allow-Methods", "GET")
	h.Set("Access-Control-Allow-Headers", "*")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// preflight answers for endpoints that registered origins may call (security case TK-27). Cookies
// are never allowed, and no handler here would see one.
func (e *Endpoints) preflight(methods string) server.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := e.allowOrigin(w, r); err != nil {
			return fail(w, err)
		}
		h := w.Header()
		if h.Get("Access-Control-Allow-Origin") != "" {
			h.Set("Access-Control-Allow-Methods", methods)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP") // RFC 9449 §4.1
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// allowOrigin names the origin of the request as one that may read the answer, if an active client
// registered it. "null" is no origin: any sandboxed frame has it.
func (e *Endpoints) allowOrigin(w http.ResponseWriter, r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	w.Header().Add("Vary", "Origin")
	if origin == "null" || len(origin) > 512 {
		return nil
	}
	ok, err := e.clients.OriginAllowed(r.Context(), origin)
	if err != nil || !ok {
		return err
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, DPoP-Nonce")
	return nil
}
