package oauth

import (
	"context"
	"encoding/json"
	"slices"

	"signet/internal/oauth/client"
)

// Info is a userinfo response (OIDC Core §5.3.2).
type Info struct {
	Claims map[string]any // plain JSON; nil where JWT is the answer
	JWT    string         // signed, encrypted or both, as the client registered
}

// Userinfo returns the claims that an access token opens (OIDC Core §5.3). The token must be one
// of a user, made out to this server, with the scope openid.
// scheme is the authentication scheme that it came with.
func (e *Engine) Userinfo(ctx context.Context, call Call, scheme, token string) (*Info, error) {
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
	c, err := e.clients.Get(ctx, a.Client)
	if err != nil {
		return nil, err
	}
	var asked map[string]*ClaimRequest
	if a.Params.Claims != nil {
		asked = a.Params.Claims.Userinfo
	}
	claims := released(c, s.Claims, a.Scopes, asked)
	claims["sub"] = a.subject()
	return e.answerInfo(ctx, c, claims)
}

// answerInfo gives the claims the form that the client registered: JSON, a signed JWT, a JWE, or a
// signed JWT within a JWE (OIDC Core §5.3.2, OIDC Registration §2).
func (e *Engine) answerInfo(ctx context.Context, c *client.Client, claims map[string]any) (*Info, error) {
	m := &c.Metadata
	if m.UserinfoAlg == "" && m.UserinfoEncAlg == "" {
		return &Info{Claims: claims}, nil
	}
	if m.UserinfoAlg != "" {
		claims["iss"], claims["aud"] = e.issuer, string(c.ID)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	if m.UserinfoAlg == "" {
		box, err := e.encryptTo(ctx, c, m.UserinfoEncAlg, m.UserinfoEncEnc, body, "")
		return &Info{JWT: box}, err
	}
	// Without typ: no endpoint of ours takes it for another kind of token (RFC 8725 §3.11), and
	// libraries that know one kind of JWT only still read it.
	token, err := e.sign(ctx, m.UserinfoAlg, "", body)
	if err != nil {
		return nil, err
	}
	token, err = e.protect(ctx, c, m.UserinfoEncAlg, m.UserinfoEncEnc, token)
	return &Info{JWT: token}, err
}

func badToken(text string) *Error {
	out := refuse(InvalidToken, text)
	out.Challenge = "Bearer" // RFC 6750 §3
	return out
}
