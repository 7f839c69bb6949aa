package oauth

import (
	"context"

	"github.com/ory/fosite"
)

// credentialsGrant gives a machine client a token for itself (RFC 6749 §4.4). It is about no
// user: no user scopes, no ID token, no refresh token, and for JWTs no database at all.
type credentialsGrant struct {
	own
	e *Engine
}

// HandleTokenEndpointRequest settles scope and resource. Without a scope parameter the client
// gets all of its API scopes (RFC 6749 §3.3 asks for a documented default).
func (h *credentialsGrant) HandleTokenEndpointRequest(_ context.Context, ar fosite.AccessRequester) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	if f.client.Public() { // RFC 6749 §4.4.2
		return refuse(UnauthorizedClient, "Only confidential clients may use this grant.")
	}
	if err := forAPIs(h.e.issuer, f); err != nil {
		return err
	}
	return h.e.askDetails(f)
}

// forAPIs settles scope and resource of a token for APIs alone, which is about no person's data. Without
// a scope parameter the client gets all of its API scopes.
func forAPIs(issuer string, f *flow) error {
	if err := apiScopes(f); err != nil {
		return err
	}
	asked, ok := parseResources(f.form["resource"])
	if !ok {
		return refuse(InvalidTarget, "resource is not an absolute URI without fragment.")
	}
	for _, r := range asked {
		if r == issuer || !f.index.target(issuer, f.client, r) {
			return refuse(InvalidTarget, "The application may not ask for one of the resources.")
		}
	}
	f.asked = asked
	return nil
}

func apiScopes(f *flow) error {
	asked, ok := parseScope(f.form.Get("scope"))
	if !ok {
		return refuse(InvalidScope, "scope is malformed or too long.")
	}
	for _, s := range asked {
		if IsStandard(s) || !f.index.allowed(f.client, s) {
			return refuse(InvalidScope, "The application may not ask for one of the scopes.")
		}
	}
	if len(asked) == 0 {
		for _, s := range f.client.Metadata.Scopes {
			if !IsStandard(s) && f.index.allowed(f.client, s) {
				asked = append(asked, s)
			}
		}
	}
	f.scopes = asked
	return nil
}

// PopulateTokenEndpointResponse signs; only an opaque token is written down.
func (h *credentialsGrant) PopulateTokenEndpointResponse(ctx context.Context, ar fosite.AccessRequester, out fosite.AccessResponder) error {
	f, err := flowOf(ar)
	if err != nil {
		return err
	}
	row, err := h.e.mint(ctx, f)
	if err != nil {
		return err
	}
	if err := h.e.saveAccess(ctx, f, row); err != nil {
		return err
	}
	f.finish(out)
	return nil
}
