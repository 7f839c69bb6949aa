package oauth

import (
	"context"
	"slices"

	"signet/internal/oauth/client"
)

// The scopes with a meaning of their own (OIDC Core §5.4, §11).
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
	ScopePhone         = "phone"
	ScopeAddress       = "address"
	ScopeOfflineAccess = "offline_access"
)

// StandardScopes are about the user. Every other scope belongs to a registered API.
var StandardScopes = []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone, ScopeOfflineAccess}

// IsStandard reports whether a scope is about the user.
func IsStandard(scope string) bool { return slices.Contains(StandardScopes, scope) }

// scopeIndex answers which scopes and audiences a client may have, by the registry as it is now.
type scopeIndex struct{ apis *client.APIs }

func (e *Engine) index(ctx context.Context) (*scopeIndex, error) {
	apis, err := e.clients.APIs(ctx)
	if err != nil {
		return nil, err
	}
	return &scopeIndex{apis}, nil
}

// allowed reports whether the client may have the scope: registered with it, and for an API's
// scope registered with that API too. One that belongs to no API any more is nobody's.
func (x *scopeIndex) allowed(c *client.Client, scope string) bool {
	if !c.AllowsScope(scope) {
		return false
	}
	if IsStandard(scope) {
		return true
	}
	api, ok := x.apis.OfScope(scope)
	return ok && c.AllowsAudience(api.Audience)
}

// target reports whether the client may ask tokens for the resource: one of its APIs, or this
// server itself, which stands for userinfo.
func (x *scopeIndex) target(issuer string, c *client.Client, resource string) bool {
	if resource == issuer {
		return true
	}
	_, ok := x.apis.ByAudience(resource)
	return ok && c.AllowsAudience(resource)
}

// narrow returns those of the scopes that the client may have now.
func (x *scopeIndex) narrow(c *client.Client, scopes []string) []string {
	var out []string
	for _, s := range scopes {
		if x.allowed(c, s) && (s != ScopeOfflineAccess || mayStayOffline(c)) {
			out = append(out, s)
		}
	}
	return out
}

// audience says for whom a token is, and which of the scopes mean something there. Asked-for
// resources win (RFC 8707 §2.2). Without any, the audience follows from the scopes, as RFC 9068
// §3 allows: the API of each API scope, and this server where userinfo may be called. Scopes of
// other audiences are left out, so that no API sees a right that was meant for another.
func (x *scopeIndex) audience(issuer string, c *client.Client, scopes, granted, asked []string) (aud, sc []string) {
	switch {
	case len(asked) > 0:
		aud = slices.Clone(asked)
	case len(granted) > 0:
		aud = slices.Clone(granted)
		if slices.Contains(scopes, ScopeOpenID) && !slices.Contains(aud, issuer) {
			aud = append(aud, issuer)
		}
	default:
		for _, s := range scopes {
			api, ok := x.apis.OfScope(s)
			if ok && !IsStandard(s) && !slices.Contains(aud, api.Audience) {
				aud = append(aud, api.Audience)
			}
		}
		if len(aud) == 0 || slices.Contains(scopes, ScopeOpenID) {
			aud = append(aud, issuer)
		}
	}
	aud = slices.DeleteFunc(aud, func(a string) bool { return !x.target(issuer, c, a) })
	for _, s := range scopes {
		owner := issuer
		if !IsStandard(s) {
			api, _ := x.apis.OfScope(s)
			owner = api.Audience
		}
		if slices.Contains(aud, owner) {
			sc = append(sc, s)
		}
	}
	return aud, sc
}

// mayStayOffline reports whether the client can be given refresh tokens at all.
func mayStayOffline(c *client.Client) bool {
	return c.AllowsGrant(client.GrantRefreshToken) && c.AllowsScope(ScopeOfflineAccess)
}
