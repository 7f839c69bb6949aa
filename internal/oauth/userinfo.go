package oauth

import (
	"context"
	"slices"
)

// scopeClaims says which claims a scope opens (OIDC Core §5.4).
var scopeClaims = map[string][]string{
	ScopeProfile: {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
		"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	ScopeEmail:   {"email", "email_verified"},
	ScopeAddress: {"address"},
	ScopePhone:   {"phone_number", "phone_number_verified"},
}

// ClaimNames lists every claim that may be released, for discovery.
func ClaimNames() []string {
	out := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash"}
	for _, scope := range []string{ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone} {
		out = append(out, scopeClaims[scope]...)
	}
	return out
}

// Userinfo returns the claims that an access token opens (OIDC Core §5.3). The token must be one
// of a user, made out to this server, with the scope openid.
// scheme is the authentication scheme that it came with.
func (e *Engine) Userinfo(ctx context.Context, call Call, scheme, token string) (map[string]any, error) {
	a, err := e.inspect(ctx, token)
	if err != nil {
		return nil, err
	}
	if a != nil {
		if err := e.demand(ctx, &call, scheme, token, a); err != nil {
			return nil, err
		}
	}
	if a == nil || a.User != "" && !slices.Contains(a.Audience, e.issuer) {
		return nil, badToken("The access token is invalid, expired, revoked or for another audience.")
	}
	if a.User == "" || !slices.Contains(a.Scopes, ScopeOpenID) {
		out := refuse(InsufficientScope, "The access token lacks the scope openid.")
		out.Challenge = "Bearer"
		return nil, out
	}
	s, err := e.subjects.Subject(ctx, a.User)
	if err != nil {
		return nil, err
	}
	if !s.Active || s.ID != a.User {
		return nil, badToken("The access token is invalid, expired, revoked or for another audience.")
	}
	claims := map[string]any{"sub": string(a.User)}
	for _, scope := range a.Scopes {
		for _, name := range scopeClaims[scope] {
			if v, ok := s.Claims[name]; ok {
				claims[name] = v
			}
		}
	}
	return claims, nil
}

func badToken(text string) *Error {
	out := refuse(InvalidToken, text)
	out.Challenge = "Bearer" // RFC 6750 §3
	return out
}
