package oidc

import (
	"context"
	"mime"
	"net/http"
	"strings"

	"signet/internal/oauth/client"
	"signet/internal/platform/audit"
	"signet/internal/server"
)

const pathDevice = "/oauth2/device_authorization"

func (e *Endpoints) grantRoutes() []server.Route {
	return []server.Route{
		// No CORS: what runs in a browser has no use for a device code.
		protocol(http.MethodPost, pathDevice, answer(e.device)),
		// Nor for somebody else's decision: who may ask authenticates, and is no page.
		protocol(http.MethodPost, pathBackchannel, answer(e.backchannel)),
	}
}

// device answers a device authorization request (RFC 8628 §3.1). Where it comes from is shown to the
// person who decides.
func (e *Endpoints) device(w http.ResponseWriter, r *http.Request) (any, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	return some(e.engine.Device(sourced(r), e.call(w, r, form)))
}

// sourced is the context of a request with where it comes from.
func sourced(r *http.Request) context.Context {
	return audit.WithSource(r.Context(), audit.Source{IP: server.ClientIP(r), UserAgent: r.UserAgent(), RequestID: server.RequestID(r)})
}

const contentIntrospection = "application/token-introspection+jwt" // RFC 9701 §4

// introspect answers in JSON, or with a JWT to who asks for one.
func (e *Endpoints) introspect(w http.ResponseWriter, r *http.Request) (any, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	if !accepts(r, contentIntrospection) {
		return some(e.engine.Introspect(r.Context(), e.call(w, r, form)))
	}
	token, err := e.engine.IntrospectJWT(r.Context(), e.call(w, r, form))
	if err != nil {
		return nil, err
	}
	return typed{http.StatusOK, contentIntrospection, []byte(token)}, nil
}

// accepts reports whether the request names the type in Accept (RFC 9110 §12.5.1). Ranges such as */* do
// not count: who can read such an answer says so.
func accepts(r *http.Request, want string) bool {
	for _, header := range r.Header.Values("Accept") {
		for item := range strings.SplitSeq(header, ",") {
			t, params, err := mime.ParseMediaType(item)
			if q := params["q"]; err == nil && t == want && (q == "" || strings.Trim(q, "0.") != "") {
				return true
			}
		}
	}
	return false
}

// grantTypes are the grants that clients may register, for discovery.
func (e *Endpoints) grantTypes() []string {
	types := e.engine.GrantTypes()
	if e.engine.Policy().LegacyResponseTypes {
		types = append(types, client.GrantImplicit)
	}
	return types
}
