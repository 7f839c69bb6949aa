package oauth

import (
	"cmp"
	"context"
	"encoding/json"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
)

// typIntrospection keeps introspection answers apart from every token (RFC 9701 §5).
const typIntrospection = "token-introspection+jwt"

// introspectionJWT is RFC 9701 §5. There is no sub, exp or the like beside token_introspection, so that
// nothing takes the answer for a token (§8.1).
type introspectionJWT struct {
	Issuer   string         `json:"iss"`
	Audience string         `json:"aud"`
	IssuedAt int64          `json:"iat"`
	Answer   *Introspection `json:"token_introspection"`
}

// IntrospectJWT is Introspect with an answer that proves who gave it: signed with the algorithm that the
// caller registered, and encrypted to it where it registered that (RFC 9701).
func (e *Engine) IntrospectJWT(ctx context.Context, call Call) (string, error) {
	caller, answer, err := e.introspect(ctx, call)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(introspectionJWT{e.issuer, string(caller.ID), e.clock.Now().Unix(), answer})
	if err != nil {
		return "", err
	}
	m := caller.Metadata
	token, err := e.sign(ctx, cmp.Or(m.IntrospectionAlg, introspectionAlg(caller)), typIntrospection, body)
	if err != nil {
		return "", err
	}
	return e.protect(ctx, caller, m.IntrospectionEncAlg, m.IntrospectionEncEnc, token)
}

// introspectionAlg is the algorithm for those who registered none: RS256 (RFC 9701 §6), which the FAPI
// profiles do not allow.
func introspectionAlg(c *client.Client) string {
	if c.Metadata.UnderFAPI() {
		return keys.ES256
	}
	return keys.RS256
}
