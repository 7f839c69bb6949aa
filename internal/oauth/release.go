package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"signet/internal/oauth/client"
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

// claimScopes are the scopes that open claims, in the order of OIDC Core §5.4.
var claimScopes = []string{ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone}

// scopeOfClaim is scopeClaims the other way round.
var scopeOfClaim = func() map[string]string {
	out := map[string]string{}
	for scope, names := range scopeClaims {
		for _, name := range names {
			out[name] = scope
		}
	}
	return out
}()

// ClaimNames lists every claim that may be released, for discovery.
func ClaimNames() []string {
	out := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash", "c_hash"}
	for _, scope := range claimScopes {
		out = append(out, scopeClaims[scope]...)
	}
	return out
}

// ConsentScopes is what a person is asked for: the scopes of the request, and those which would open
// the single claims that it asks for. A consent to a scope covers its claims (OIDC Core §5.4, §5.5).
func (r *Request) ConsentScopes() []string {
	if r.Claims == nil {
		return r.Scopes
	}
	out := slices.Clone(r.Scopes)
	for _, scope := range claimScopes {
		asked := func(name string) bool {
			_, a := r.Claims.Userinfo[name]
			_, b := r.Claims.IDToken[name]
			return a || b
		}
		if !slices.Contains(out, scope) && slices.ContainsFunc(scopeClaims[scope], asked) {
			out = append(out, scope)
		}
	}
	return out
}

// released picks from what is known of a person what scopes open and what was asked for by name. A
// claim asked for with values is released only if it has one of them (OIDC Core §5.5.1), one asked
// for by name only while its scope is the client's.
func released(c *client.Client, known map[string]any, scopes []string, asked map[string]*ClaimRequest) map[string]any {
	out := map[string]any{}
	for _, scope := range scopes {
		for _, name := range scopeClaims[scope] {
			if v, ok := known[name]; ok {
				out[name] = v
			}
		}
	}
	for name, want := range asked {
		if v, ok := known[name]; ok && c.AllowsScope(scopeOfClaim[name]) && oneOf(v, want.wanted()) {
			out[name] = v
		}
	}
	return out
}

// oneOf compares by what the values are in JSON; no list allows any.
func oneOf(v any, list []json.RawMessage) bool {
	if len(list) == 0 {
		return true
	}
	have, err := json.Marshal(v)
	return err == nil && slices.ContainsFunc(list, func(want json.RawMessage) bool {
		var plain any
		if json.Unmarshal(want, &plain) != nil {
			return false
		}
		same, err := json.Marshal(plain)
		return err == nil && bytes.Equal(have, same)
	})
}

// idTokenClaims are the claims about the person that go into an ID token: those asked for by name,
// and, where the ID token is all that the client gets, those of the scopes (OIDC Core §5.4). For
// nearly every request there are none, and nothing is read.
func (e *Engine) idTokenClaims(ctx context.Context, f *flow) (map[string]any, error) {
	var scopes []string
	var asked map[string]*ClaimRequest
	if f.grant.Params.ResponseType == typeIDToken {
		scopes = slices.DeleteFunc(slices.Clone(f.scopes), func(s string) bool { return scopeClaims[s] == nil })
	}
	if f.grant.Params.Claims != nil && f.grant.Client == f.client.ID { // they were allowed to that client
		asked = f.grant.Params.Claims.IDToken
	}
	if len(scopes)+len(asked) == 0 {
		return nil, nil
	}
	s, err := e.subjects.Subject(ctx, f.grant.User)
	if err != nil {
		return nil, err
	}
	if !s.Active || s.ID != f.grant.User {
		return nil, refuse(LoginRequired, "The sign-in is no longer valid.")
	}
	return released(f.client, s.Claims, scopes, asked), nil
}

// withClaims adds members to a JSON object that has none of their names.
func withClaims(object []byte, more map[string]any) ([]byte, error) {
	if len(more) == 0 {
		return object, nil
	}
	extra, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	return slices.Concat(object[:len(object)-1], []byte(","), extra[1:]), nil
}
