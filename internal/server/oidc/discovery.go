package oidc

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"signet/internal/identity/session"
	"signet/internal/oauth"
)

// metadata is the discovery document (OIDC Discovery §3, RFC 8414 §2). It says what is true, no
// more: relying parties skip or run whole features by it.
type metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	Scopes                []string `json:"scopes_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgs              []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectAuthAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Prompts               []string `json:"prompt_values_supported"`
	Displays              []string `json:"display_values_supported"`
	ACRs                  []string `json:"acr_values_supported"`
	UILocales             []string `json:"ui_locales_supported,omitempty"`
	IssParameter          bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 §3

	requestMetadata
	claimsMetadata
	senderMetadata
	grantsMetadata
	logoutMetadata
	registrationMetadata
}

func (e *Endpoints) describe(locales []string) metadata {
	issuer := e.engine.Issuer()
	algs, all := authAlgs(), e.authMethods()
	confidential := all[:len(all)-1] // but none
	return metadata{
		Issuer: issuer, AuthorizationEndpoint: issuer + pathAuthorize, TokenEndpoint: issuer + pathToken,
		UserinfoEndpoint: issuer + pathUserinfo, JWKSURI: issuer + pathJWKS, IntrospectionEndpoint: issuer + pathIntrospect,
		RevocationEndpoint: issuer + pathRevoke, EndSessionEndpoint: issuer + pathLogout,
		Scopes: oauth.StandardScopes, ResponseModes: oauth.Modes, GrantTypes: e.grantTypes(),
		AuthMethods: all, AuthAlgs: algs, RevocationAuthMethods: all, RevocationAuthAlgs: algs,
		IntrospectAuthMethods: confidential, IntrospectAuthAlgs: algs,
		ChallengeMethods: []string{"S256"}, Prompts: oauth.Prompts(), Displays: []string{"page"},
		ACRs: session.ACRValues(), UILocales: locales,
		IssParameter: true,

		requestMetadata: e.requestMetadata(), claimsMetadata: e.claimsMetadata(), senderMetadata: e.senderMetadata(),
		grantsMetadata: e.grantsMetadata(), logoutMetadata: e.logoutMetadata(), registrationMetadata: e.registrationMetadata(),
	}
}

// document is a body that was rendered once, with its entity tag.
type document struct {
	body []byte
	etag []string
}

func render(v any) (document, error) {
	b, err := json.Marshal(v)
	return tagged(b), err
}

// Documents may be cached for five minutes, and read from any origin: they hold nothing of anybody.
var (
	cacheShort = []string{"public, max-age=300"}
	anyOrigin  = []string{"*"}
)

func (e *Endpoints) configuration(w http.ResponseWriter, r *http.Request) error {
	return serve(w, r, e.metadata.body, e.metadata.etag, contentJSON)
}

func (e *Endpoints) jwks(w http.ResponseWriter, r *http.Request) error {
	b, etag := e.keys.JWKS()
	return serve(w, r, b, []string{etag}, contentJSON)
}

// serve writes a document, or 304 for who has it (RFC 9110 §13.1.2).
func serve(w http.ResponseWriter, r *http.Request, body []byte, etag, contentType []string) error {
	h := w.Header()
	h["Cache-Control"] = cacheShort
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Etag"] = etag
	if match := r.Header["If-None-Match"]; len(match) == 1 && etag[0] != "" && (match[0] == "*" || strings.Contains(match[0], etag[0])) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = contentType
	// Said here, since net/http sends bodies of more than 2 kB in chunks otherwise.
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, err := w.Write(body)
	return err
}
