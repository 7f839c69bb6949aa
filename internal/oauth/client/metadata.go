package client

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// StandardScopes are the scopes that no API may take (OIDC Core §5.4, §11).
func StandardScopes() []string {
	return []string{"openid", "profile", "email", "phone", "address", "offline_access"}
}

const (
	defaultGrace = 10 * time.Second // lost answers and parallel tabs, not more
	maxGrace     = 60 * time.Second
	// A refresh token in a browser is the one most likely to be stolen: it does not outlive
	// the day (OAuth 2.0 for Browser-Based Applications, token lifetimes).
	spaRefreshTTL = 24 * time.Hour
)

// Defaults returns the metadata that a client of the kind starts from: the safe choice in
// every field, which an operator then changes on purpose.
func Defaults(kind Kind) Metadata {
	m := Metadata{
		GrantTypes:        []string{GrantAuthorizationCode, GrantRefreshToken},
		ResponseTypes:     []string{"code"},
		AuthMethod:        SecretBasic,
		Scopes:            []string{"openid", "profile", "email", "offline_access"},
		RequirePKCE:       true, // RFC 9700 §2.1.1
		AccessTokenFormat: FormatJWT,
		RefreshGrace:      defaultGrace,
	}
	switch kind {
	case SPA:
		m.AuthMethod = None
		m.RefreshIdleTTL, m.RefreshAbsoluteTTL = spaRefreshTTL, spaRefreshTTL
	case Native:
		m.AuthMethod = None
	case Machine:
		m.GrantTypes = []string{GrantClientCredentials}
		m.ResponseTypes, m.Scopes = nil, nil
		m.RefreshGrace = 0
	}
	return m
}

// FitResponseTypes gives a client of which only the grant types were said the response types that go
// with them: code with the code grant, none with those that pass no authorization endpoint.
func (m *Metadata) FitResponseTypes() {
	code, implicit := slices.Contains(m.GrantTypes, GrantAuthorizationCode), slices.Contains(m.GrantTypes, GrantImplicit)
	switch {
	case !code && !implicit:
		m.ResponseTypes = nil
	case code && len(m.ResponseTypes) == 0:
		m.ResponseTypes = []string{"code"}
	}
}

// Origins returns the web origins that may call the token, userinfo and revocation endpoints
// from a page (CORS).
func (m Metadata) Origins(kind Kind) []string {
	if len(m.AllowedOrigins) > 0 || kind != SPA {
		return m.AllowedOrigins
	}
	var out []string
	for _, uri := range m.RedirectURIs {
		if o := originOf(uri); o != "" && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}

// wire is how metadata is written: RFC 7591 names where there are any, lifetimes in seconds.
type wire struct {
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes             []string        `json:"grant_types"`
	ResponseTypes          []string        `json:"response_types,omitempty"`
	AuthMethod             AuthMethod      `json:"token_endpoint_auth_method"`
	Scopes                 []string        `json:"scopes,omitempty"`
	Audiences              []string        `json:"audiences,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	JWKSURI                string          `json:"jwks_uri,omitempty"`
	FirstParty             bool            `json:"first_party"`
	RequirePKCE            bool            `json:"require_pkce"`
	RequireMFA             bool            `json:"require_mfa,omitempty"`
	AccessTokenFormat      string          `json:"access_token_format"`
	IDTokenAlg             string          `json:"id_token_signed_response_alg,omitempty"`
	AccessTokenTTL         int64           `json:"access_token_ttl,omitempty"`
	RefreshIdleTTL         int64           `json:"refresh_idle_ttl,omitempty"`
	RefreshAbsoluteTTL     int64           `json:"refresh_absolute_ttl,omitempty"`
	RefreshGrace           int64           `json:"refresh_grace,omitempty"`
	AllowedOrigins         []string        `json:"allowed_origins,omitempty"`
	ClientURI              string          `json:"client_uri,omitempty"`
	LogoURI                string          `json:"logo_uri,omitempty"`
	PolicyURI              string          `json:"policy_uri,omitempty"`
	TOSURI                 string          `json:"tos_uri,omitempty"`
	Quarantined            bool            `json:"quarantined,omitempty"`
	PerInstance            bool            `json:"per_instance,omitempty"`
	OperatorMembers        []string        `json:"operator_members,omitzero"`
	Protocol
}

// wireNames are the members of wire that are not in Protocol.
func wireNames() []string {
	var out []string
	t := reflect.TypeFor[wire]()
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// MarshalJSON writes RFC 7591 names.
func (m Metadata) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{
		m.RedirectURIs, m.PostLogoutRedirectURIs, m.GrantTypes, m.ResponseTypes, m.AuthMethod, m.Scopes,
		m.Audiences, m.JWKS, m.JWKSURI, m.FirstParty, m.RequirePKCE, m.RequireMFA, m.AccessTokenFormat, m.IDTokenAlg,
		seconds(m.AccessTokenTTL), seconds(m.RefreshIdleTTL), seconds(m.RefreshAbsoluteTTL), seconds(m.RefreshGrace),
		m.AllowedOrigins, m.ClientURI, m.LogoURI, m.PolicyURI, m.TOSURI, m.Quarantined, m.PerInstance, m.OperatorMembers, m.Protocol,
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Metadata) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*m = Metadata{
		w.RedirectURIs, w.PostLogoutRedirectURIs, w.GrantTypes, w.ResponseTypes, w.AuthMethod, w.Scopes,
		w.Audiences, w.JWKS, w.JWKSURI, w.FirstParty, w.RequirePKCE, w.RequireMFA, w.AccessTokenFormat, w.IDTokenAlg,
		duration(w.AccessTokenTTL), duration(w.RefreshIdleTTL), duration(w.RefreshAbsoluteTTL), duration(w.RefreshGrace),
		w.AllowedOrigins, w.ClientURI, w.LogoURI, w.PolicyURI, w.TOSURI, w.Quarantined, w.PerInstance, w.OperatorMembers, w.Protocol,
	}
	return nil
}

func seconds(d time.Duration) int64    { return int64(d / time.Second) }
func duration(sec int64) time.Duration { return time.Duration(sec) * time.Second }
