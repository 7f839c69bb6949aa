package oauth

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"signet/internal/oauth/client"
)

// The parts of a response type (OAuth 2.0 Multiple Response Types §3).
const (
	typeCode    = "code"
	typeToken   = "token"
	typeIDToken = "id_token"
)

// has reports whether the request asks for a part of the answer at the authorization endpoint.
func (r *Request) has(part string) bool {
	if r.ResponseType == "" {
		return part == typeCode
	}
	return slices.Contains(strings.Fields(r.ResponseType), part)
}

// responseTypeOf returns the registered spelling of a response type, "" for one that there is not.
// The order of its words has no meaning (OAuth 2.0 Multiple Response Types §3).
func responseTypeOf(text string) string {
	switch {
	case text == typeCode: // nearly always
		return text
	case len(text) > maxHint:
		return ""
	}
	words := strings.Fields(text)
	slices.Sort(words)
	for _, known := range client.ResponseTypes() {
		parts := strings.Fields(known)
		slices.Sort(parts)
		if slices.Equal(words, parts) {
			return known
		}
	}
	return ""
}

// ResponseTypes are the response types on offer, for discovery.
func (e *Engine) ResponseTypes() []string {
	if !e.policy.LegacyResponseTypes {
		return []string{typeCode}
	}
	return client.ResponseTypes()
}

// defaultMode is the response mode of requests that name none: what is more than a code goes into
// the fragment, which no server logs (OAuth 2.0 Multiple Response Types §5). It answers for unknown
// response types too, because the refusal travels in that mode.
func defaultMode(responseType string) string {
	if responseType == typeCode {
		return ModeQuery
	}
	if words := strings.Fields(responseType); slices.Contains(words, typeToken) || slices.Contains(words, typeIDToken) {
		return ModeFragment
	}
	return ModeQuery
}

// checkResponseType: code is what everybody may use. Tokens through the browser are for
// deployments and applications that were told to live with them (RFC 9700 §2.1.2).
func checkResponseType(_ context.Context, a *authorization) error {
	text := a.get("response_type")
	if text == "" {
		return refuse(InvalidRequest, "response_type is missing.")
	}
	rt := responseTypeOf(text)
	if rt == "" || rt != typeCode && !a.e.policy.LegacyResponseTypes {
		return refuse(UnsupportedResponseType, "The response_type is not supported.")
	}
	if rt != typeCode {
		a.req.ResponseType = rt
	}
	if err := a.e.mayAnswer(a.client, &a.req); err != nil {
		return err
	}
	// OAuth 2.0 Multiple Response Types §5: the query encoding must not be used. Nor is the refusal
	// sent so: who asks for tokens reads the fragment.
	// JARM §2.3.1 says the same of what is signed.
	if carrier(a.target.Mode) == ModeQuery && defaultMode(rt) != ModeQuery {
		a.target.Mode = strings.Replace(a.target.Mode, ModeQuery, ModeFragment, 1)
		return refuse(InvalidRequest, "response_mode query cannot be used with this response_type.")
	}
	return nil
}

// mayAnswer reports whether the client may have what the response type of the request promises, now.
func (e *Engine) mayAnswer(c *client.Client, r *Request) error {
	rt := cmp.Or(r.ResponseType, typeCode)
	switch {
	case rt != typeCode && !e.policy.LegacyResponseTypes:
		return refuse(UnsupportedResponseType, "The response_type is not supported.")
	case r.has(typeCode) && !c.AllowsGrant(client.GrantAuthorizationCode):
		return refuse(UnauthorizedClient, "This application is not registered for the authorization code grant.")
	case !slices.Contains(c.Metadata.ResponseTypes, rt), rt != typeCode && !c.AllowsGrant(client.GrantImplicit):
		return refuse(UnauthorizedClient, "This application is not registered for the response_type.")
	case r.has(typeToken) && (c.Metadata.DPoPBound || c.Metadata.CertificateBound || c.Metadata.UnderFAPI()):
		// Nothing at the authorization endpoint proves a key, so the token would be anybody's.
		return refuse(UnauthorizedClient, "This application's access tokens come from the token endpoint only.")
	}
	return nil
}

// checkNonce: an ID token that comes through the browser must be tied to the session that asked for
// it (OIDC Core §3.2.2.1, §3.3.2.11); one from the token endpoint may be.
func checkNonce(_ context.Context, a *authorization) error {
	nonce := a.get("nonce")
	if len(nonce) > maxNonce {
		return refuse(InvalidRequest, "nonce is too long.")
	}
	if nonce == "" && a.req.has(typeIDToken) {
		return refuse(InvalidRequest, "nonce is missing: this response_type needs one.")
	}
	if a.req.has(typeIDToken) && !slices.Contains(a.req.Scopes, ScopeOpenID) {
		return refuse(InvalidScope, "This response_type needs the scope openid.") // OIDC Core §3.2.2.1
	}
	a.req.Nonce = nonce
	return nil
}
