package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"signet/internal/oauth/client"
)

// metadataFlags are the flags that create and update share: one for each thing that an operator
// decides about a client. A flag that is not given changes nothing.
type metadataFlags struct {
	lists     []listFlag
	texts     []textFlag
	spans     []spanFlag
	method    string
	jwks      string
	metadata  []string
	first     bool
	mfa, pkce bool
}

type listFlag struct {
	name               string
	values, add, strip []string
	edits              bool // has add- and remove-
	of                 func(*client.Metadata) *[]string
}

type textFlag struct {
	name  string
	value string
	of    func(*client.Metadata) *string
}

type spanFlag struct {
	name  string
	value time.Duration
	of    func(*client.Metadata) *time.Duration
}

func (m *metadataFlags) bind(cmd *cobra.Command, update bool) {
	f := cmd.Flags()
	m.lists = []listFlag{
		{name: "redirect-uri", edits: true, of: func(m *client.Metadata) *[]string { return &m.RedirectURIs }},
		{name: "post-logout-redirect-uri", edits: true, of: func(m *client.Metadata) *[]string { return &m.PostLogoutRedirectURIs }},
		{name: "scope", edits: true, of: func(m *client.Metadata) *[]string { return &m.Scopes }},
		{name: "audience", of: func(m *client.Metadata) *[]string { return &m.Audiences }},
		{name: "response-type", of: func(m *client.Metadata) *[]string { return &m.ResponseTypes }},
		{name: "grant-type", of: func(m *client.Metadata) *[]string { return &m.GrantTypes }},
		{name: "origin", of: func(m *client.Metadata) *[]string { return &m.AllowedOrigins }},
	}
	help := map[string]string{
		"redirect-uri":             "address that people return to after sign-in, compared byte for byte",
		"post-logout-redirect-uri": "address that people may return to after sign-out",
		"scope":                    "scope that the client may ask for",
		"audience":                 "API that the client may ask tokens for; those of its scopes are added by themselves",
		"response-type":            "response type, code by default; others only with oauth.legacy_response_types",
		"grant-type":               "grant type, where the kind leaves a choice",
		"origin":                   "web origin whose pages may call the token endpoint (spa: those of its redirect URIs)",
	}
	for i := range m.lists {
		l := &m.lists[i]
		f.StringArrayVar(&l.values, l.name, nil, help[l.name]+" (repeatable)")
		if update && l.edits {
			f.StringArrayVar(&l.add, "add-"+l.name, nil, "add one to the list (repeatable)")
			f.StringArrayVar(&l.strip, "remove-"+l.name, nil, "take one from the list (repeatable)")
		}
	}
	m.texts = []textFlag{
		{name: "jwks-uri", of: func(m *client.Metadata) *string { return &m.JWKSURI }},
		{name: "access-token-format", of: func(m *client.Metadata) *string { return &m.AccessTokenFormat }},
		{name: "id-token-alg", of: func(m *client.Metadata) *string { return &m.IDTokenAlg }},
		{name: "client-uri", of: func(m *client.Metadata) *string { return &m.ClientURI }},
		{name: "logo-uri", of: func(m *client.Metadata) *string { return &m.LogoURI }},
		{name: "policy-uri", of: func(m *client.Metadata) *string { return &m.PolicyURI }},
		{name: "tos-uri", of: func(m *client.Metadata) *string { return &m.TOSURI }},
	}
	for name, text := range map[string]string{
		"jwks-uri":            "where the client publishes its public keys (private_key_jwt)",
		"access-token-format": "jwt (verified offline) or opaque (revoked at once)",
		"id-token-alg":        "ES256 (default), RS256, PS256 or EdDSA",
		"client-uri":          "homepage of the application",
		"logo-uri":            "logo of the application",
		"policy-uri":          "privacy policy of the application",
		"tos-uri":             "terms of service of the application",
	} {
		i := slices.IndexFunc(m.texts, func(t textFlag) bool { return t.name == name })
		f.StringVar(&m.texts[i].value, name, "", text)
	}
	m.spans = []spanFlag{
		{name: "access-token-ttl", of: func(m *client.Metadata) *time.Duration { return &m.AccessTokenTTL }},
		{name: "refresh-idle-ttl", of: func(m *client.Metadata) *time.Duration { return &m.RefreshIdleTTL }},
		{name: "refresh-absolute-ttl", of: func(m *client.Metadata) *time.Duration { return &m.RefreshAbsoluteTTL }},
		{name: "refresh-grace", of: func(m *client.Metadata) *time.Duration { return &m.RefreshGrace }},
	}
	for i, text := range []string{
		"lifetime of access tokens, 1m to 24h (0s: the server's default)",
		"how long a refresh token lives unused (0s: the server's default)",
		"how long a sign-in can be refreshed at all (0s: the server's default)",
		"how long a used refresh token may be used again, 0s to 60s",
	} {
		f.DurationVar(&m.spans[i].value, m.spans[i].name, 0, text)
	}
	f.StringVar(&m.method, "auth-method", "", "client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, tls_client_auth, self_signed_tls_client_auth or none")
	f.StringArrayVar(&m.metadata, "metadata", nil, "any other metadata of docs/clients.md, such as profile=fapi2 (repeatable; lists with commas)")
	f.StringVar(&m.jwks, "jwks-file", "", "file with the client's public keys, a JWK Set (private_key_jwt)")
	f.BoolVar(&m.first, "first-party", false, "an application of your own: people are not asked for consent")
	f.BoolVar(&m.mfa, "require-mfa", false, "let nobody in with less than two factors")
	f.BoolVar(&m.pkce, "require-pkce", true, "refuse authorization requests without PKCE (only web clients may switch it off)")
}

// apply changes what the given flags name.
func (m *metadataFlags) apply(cmd *cobra.Command, to *client.Metadata) error {
	given := cmd.Flags().Changed
	for _, l := range m.lists {
		list := l.of(to)
		if given(l.name) {
			*list = words(l.name, l.values)
		}
		*list = slices.DeleteFunc(append(slices.Clone(*list), words(l.name, l.add)...), func(s string) bool { return slices.Contains(l.strip, s) })
	}
	if given("grant-type") && !given("response-type") {
		to.FitResponseTypes()
	}
	for _, t := range m.texts {
		if given(t.name) {
			*t.of(to) = t.value
		}
	}
	for _, s := range m.spans {
		if given(s.name) {
			*s.of(to) = s.value
		}
	}
	for _, item := range m.metadata {
		name, value, ok := strings.Cut(item, "=")
		if !ok {
			return fmt.Errorf("--metadata %s: write it as name=value", name)
		}
		if err := to.Set(name, value); err != nil {
			return fmt.Errorf("--metadata %s: %w", name, err)
		}
	}
	if given("auth-method") {
		to.AuthMethod = client.AuthMethod(m.method)
	}
	if given("first-party") {
		to.FirstParty = m.first
	}
	if given("require-mfa") {
		to.RequireMFA = m.mfa
	}
	if given("require-pkce") {
		to.RequirePKCE = m.pkce
	}
	// One way of giving keys takes the place of the other.
	if given("jwks-uri") && m.jwks == "" {
		to.JWKS = nil
	}
	if m.jwks != "" {
		b, err := os.ReadFile(m.jwks)
		if err != nil {
			return fmt.Errorf("--jwks-file: %w", err)
		}
		if !json.Valid(b) {
			return fmt.Errorf("--jwks-file: %s is not JSON", m.jwks)
		}
		to.JWKS = b
		if !given("jwks-uri") {
			to.JWKSURI = ""
		}
	}
	return nil
}

// words splits scopes at spaces, as they are usually written; other values stay whole. Empty ones
// drop out, so that --scope "" empties the list.
func words(flag string, values []string) []string {
	var out []string
	for _, v := range values {
		switch {
		case flag == "scope":
			out = append(out, strings.Fields(v)...)
		case v != "":
			out = append(out, v)
		}
	}
	return out
}
