package client

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// The profiles that a client can be put under as a whole.
const (
	ProfileFAPI2        = "fapi2"                 // FAPI 2.0 Security Profile
	ProfileFAPI2Signing = "fapi2_message_signing" // FAPI 2.0 Message Signing on top
)

// SignatureAlgs are the algorithms in which clients sign (assertions, request objects) and proofs
// are made: asymmetric ones only (RFC 8725 §3.1).
func SignatureAlgs() []string {
	return []string{"ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA", "RS256", "RS384", "RS512"}
}

// SecretAlgs are those of client_secret_jwt. HS512 needs a secret of 64 bytes (RFC 7518 §3.2), more
// than those have that are made here.
func SecretAlgs() []string { return []string{"HS256", "HS384"} }

// ResponseAlgs are the algorithms in which this server signs what it answers, the default first.
func ResponseAlgs() []string { return []string{"ES256", "RS256", "PS256", "EdDSA"} }

// EncryptionAlgs are the key management algorithms for what is encrypted to a client. RSA1_5 is
// not among them (RFC 8725 §3.2), nor is anything that begins with a shared secret.
func EncryptionAlgs() []string {
	return []string{"RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"}
}

// ContentEncryptions are the content encryption algorithms, the default of OIDC Registration §2 first.
func ContentEncryptions() []string {
	return []string{"A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"}
}

// ResponseTypes are the response types that a client may register (OAuth 2.0 Multiple Response
// Types §3, §5). All but the first are legacy: the server refuses them unless it is configured not to.
func ResponseTypes() []string {
	return []string{"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"}
}

// FAPIAlgs are the algorithms that the FAPI 2.0 Security Profile allows (§5.4.1).
func FAPIAlgs() []string { return []string{"PS256", "ES256", "EdDSA"} }

// UnderFAPI reports whether the client is under one of the FAPI 2.0 profiles.
func (m Metadata) UnderFAPI() bool {
	return m.Profile == ProfileFAPI2 || m.Profile == ProfileFAPI2Signing
}

// checkProfile demands of a client under a profile what no switch can make good (FAPI 2.0 Security
// Profile §5.3.2.1, §5.3.3).
func checkProfile(s subject, p *Problems) {
	if s.Profile == "" {
		return
	}
	if !s.UnderFAPI() {
		p.add("profile", "is %q, must be fapi2 or fapi2_message_signing", shown(s.Profile))
		return
	}
	if !slices.Contains([]AuthMethod{PrivateKeyJWT, TLS, SelfSignedTLS}, s.AuthMethod) {
		p.add("profile", "%s needs token_endpoint_auth_method private_key_jwt, tls_client_auth or self_signed_tls_client_auth", s.Profile)
	}
	if slices.ContainsFunc(s.ResponseTypes, func(rt string) bool { return rt != "code" }) {
		p.add("profile", "%s allows response_type code only", s.Profile)
	}
	for _, a := range []struct{ field, alg string }{
		{"id_token_signed_response_alg", s.IDTokenAlg}, {"userinfo_signed_response_alg", s.UserinfoAlg},
		{"authorization_signed_response_alg", s.AuthorizationAlg}, {"introspection_signed_response_alg", s.IntrospectionAlg},
		{"request_object_signing_alg", s.RequestObjectAlg}, {"token_endpoint_auth_signing_alg", s.AuthSigningAlg},
		{"backchannel_authentication_request_signing_alg", s.CIBARequestAlg},
	} {
		if a.alg != "" && !slices.Contains(FAPIAlgs(), a.alg) {
			p.add(a.field, "is %q: profile %s allows %s", shown(a.alg), s.Profile, strings.Join(FAPIAlgs(), ", "))
		}
	}
	for _, uri := range s.RedirectURIs {
		if u, err := url.Parse(uri); err == nil && u.Scheme == "http" && s.kind != Native {
			p.add("redirect_uris", "%q is http: profile %s demands https", shown(uri), s.Profile)
		}
	}
}

// checkSubjectType: a pairwise client needs one sector (OIDC Core §8.1).
func checkSubjectType(s subject, p *Problems) {
	if !slices.Contains([]string{"", "public", "pairwise"}, s.SubjectType) {
		p.add("subject_type", "is %q, must be public or pairwise", shown(s.SubjectType))
	}
	if s.SectorIdentifierURI != "" {
		if text := uriProblem(s.SectorIdentifierURI, false); text != "" {
			p.add("sector_identifier_uri", "%q %s", shown(s.SectorIdentifierURI), text)
		} else if !strings.HasPrefix(s.SectorIdentifierURI, "https:") {
			p.add("sector_identifier_uri", "%q is not https (OIDC Core §8.1)", shown(s.SectorIdentifierURI))
		}
	}
	if s.SubjectType != "pairwise" {
		return
	}
	if s.kind == Machine {
		p.add("subject_type", "pairwise is about users: a machine client has none")
	} else if hosts := hostsOf(s.RedirectURIs); s.SectorIdentifierURI == "" && (len(hosts) != 1 || hosts[0] == "") {
		p.add("subject_type", "pairwise needs redirect_uris of one host, or a sector_identifier_uri (OIDC Core §8.1)")
	}
}

// Sector is the host under which a pairwise client's users have one sub (OIDC Core §8.1); "" for a
// client with public subjects.
func (m Metadata) Sector() string {
	if m.SubjectType != "pairwise" {
		return ""
	}
	if m.SectorIdentifierURI != "" {
		return hostsOf([]string{m.SectorIdentifierURI})[0]
	}
	if hosts := hostsOf(m.RedirectURIs); len(hosts) > 0 {
		return hosts[0]
	}
	return ""
}

// hostsOf lists the host components (RFC 3986 §3.2.2: without port) of addresses, "" for one that
// has none, such as a custom scheme.
func hostsOf(uris []string) []string {
	var out []string
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			continue
		}
		if host := strings.ToLower(u.Hostname()); !slices.Contains(out, host) {
			out = append(out, host)
		}
	}
	return out
}

func checkAlgorithms(s subject, p *Problems) {
	oneOf := func(field, value string, list []string) {
		if value != "" && !slices.Contains(list, value) {
			p.add(field, "is %q, must be one of %s", shown(value), strings.Join(list, ", "))
		}
	}
	oneOf("userinfo_signed_response_alg", s.UserinfoAlg, ResponseAlgs())
	oneOf("introspection_signed_response_alg", s.IntrospectionAlg, ResponseAlgs())
	oneOf("authorization_signed_response_alg", s.AuthorizationAlg, ResponseAlgs())
	oneOf("request_object_signing_alg", s.RequestObjectAlg, append(SignatureAlgs(), "none"))
	if s.AuthMethod == SecretJWT {
		oneOf("token_endpoint_auth_signing_alg", s.AuthSigningAlg, SecretAlgs())
	} else {
		oneOf("token_endpoint_auth_signing_alg", s.AuthSigningAlg, SignatureAlgs())
	}
	for _, e := range []struct{ what, alg, enc string }{
		{"id_token", s.IDTokenEncAlg, s.IDTokenEncEnc}, {"userinfo", s.UserinfoEncAlg, s.UserinfoEncEnc},
		{"introspection", s.IntrospectionEncAlg, s.IntrospectionEncEnc}, {"authorization", s.AuthorizationEncAlg, s.AuthorizationEncEnc},
	} {
		oneOf(e.what+"_encrypted_response_alg", e.alg, EncryptionAlgs())
		oneOf(e.what+"_encrypted_response_enc", e.enc, ContentEncryptions())
		if e.enc != "" && e.alg == "" {
			p.add(e.what+"_encrypted_response_enc", "needs %s_encrypted_response_alg (OIDC Registration §2)", e.what)
		}
		if e.alg != "" && len(s.JWKS) == 0 && s.JWKSURI == "" {
			p.add(e.what+"_encrypted_response_alg", "needs jwks or jwks_uri with a key to encrypt to")
		}
	}
}

func checkRequests(s subject, p *Problems) {
	if len(s.RequestURIs) > maxURIs {
		p.add("request_uris", "has %d entries, at most %d are possible", len(s.RequestURIs), maxURIs)
		return
	}
	for _, uri := range s.RequestURIs {
		// A fragment may hold the hash of the document (OIDC Core §6.2), and is never sent.
		bare, _, _ := strings.Cut(uri, "#")
		if text := uriProblem(bare, false); text != "" {
			p.add("request_uris", "%q %s", shown(uri), text)
		} else if !strings.HasPrefix(bare, "https:") {
			p.add("request_uris", "%q is not https", shown(uri))
		}
	}
	if s.RequireSignedRequest && s.RequestObjectAlg == "none" {
		p.add("request_object_signing_alg", "is none, but require_signed_request_object is set")
	}
	signs := s.RequireSignedRequest || s.Profile == ProfileFAPI2Signing
	if signs && s.kind != Machine && len(s.JWKS) == 0 && s.JWKSURI == "" {
		p.add("require_signed_request_object", "needs jwks or jwks_uri to verify with")
	}
	if s.kind == Machine && (s.RequirePAR || s.RequireSignedRequest) {
		p.add("require_pushed_authorization_requests", "and require_signed_request_object are about users: a machine client has none")
	}
}

// checkTLS: exactly one name of the certificate (RFC 8705 §2.1.2).
func checkTLS(s subject, p *Problems) {
	names := 0
	for _, n := range []string{s.TLSSubjectDN, s.TLSSANDNS, s.TLSSANURI, s.TLSSANIP, s.TLSSANEmail} {
		if n != "" {
			names++
		}
		if len(n) > maxURI {
			p.add("tls_client_auth_subject_dn", "or another name of the certificate is longer than %d bytes", maxURI)
		}
	}
	switch {
	case s.AuthMethod == TLS && names != 1:
		p.add("tls_client_auth_subject_dn", "or exactly one of tls_client_auth_san_dns, _uri, _ip and _email is needed for tls_client_auth")
	case s.AuthMethod != TLS && names > 0:
		p.add("tls_client_auth_subject_dn", "and its like are for tls_client_auth")
	case s.AuthMethod == SelfSignedTLS && len(s.JWKS) == 0 && s.JWKSURI == "":
		p.add("jwks", "or jwks_uri with the certificate (x5c) is needed for self_signed_tls_client_auth (RFC 8705 §2.2.2)")
	}
	if s.TLSSubjectDN != "" {
		if _, err := parseDN(s.TLSSubjectDN); err != nil {
			p.add("tls_client_auth_subject_dn", "%q %s", shown(s.TLSSubjectDN), err)
		}
	}
	if s.TLSSANIP != "" {
		if _, err := netip.ParseAddr(s.TLSSANIP); err != nil {
			p.add("tls_client_auth_san_ip", "%q is not an IP address", shown(s.TLSSANIP))
		}
	}
	if s.CertificateBound && s.DPoPBound {
		p.add("dpop_bound_access_tokens", "and tls_client_certificate_bound_access_tokens exclude each other")
	}
}

func checkLogout(s subject, p *Problems) {
	for _, l := range []struct{ field, uri string }{
		{"frontchannel_logout_uri", s.FrontchannelLogoutURI}, {"backchannel_logout_uri", s.BackchannelLogoutURI},
	} {
		if l.uri == "" {
			continue
		}
		if text := uriProblem(l.uri, false); text != "" {
			p.add(l.field, "%q %s", shown(l.uri), text)
		}
		if s.kind == Machine {
			p.add(l.field, "must be empty: a machine client has no users")
		}
	}
	if u := s.FrontchannelLogoutURI; u != "" && uriProblem(u, false) == "" && !frameable(u) {
		p.add("frontchannel_logout_uri", "%q has a host with an underscore or an IPv6 address, which no Content-Security-Policy can name: use another name, or the back channel", shown(u))
	}
	// Front-Channel Logout §2: scheme, host and port of a registered redirect URI.
	if u := s.FrontchannelLogoutURI; u != "" && s.kind != Machine {
		if o := originOf(u); !slices.ContainsFunc(s.RedirectURIs, func(r string) bool { return originOf(r) == o }) {
			p.add("frontchannel_logout_uri", "%q has not the origin of a redirect URI (OIDC Front-Channel Logout §2)", shown(u))
		}
	}
}

// checkInitiate: https only (OIDC Registration §2).
func checkInitiate(s subject, p *Problems) {
	if s.InitiateLoginURI == "" {
		return
	}
	if text := uriProblem(s.InitiateLoginURI, false); text != "" {
		p.add("initiate_login_uri", "%q %s", shown(s.InitiateLoginURI), text)
	} else if !strings.HasPrefix(s.InitiateLoginURI, "https:") {
		p.add("initiate_login_uri", "%q is not https (OIDC Registration §2)", shown(s.InitiateLoginURI))
	}
}

func checkGrantSettings(s subject, p *Problems) {
	if len(s.ExchangeClients) > 0 && !s.has(GrantTokenExchange) {
		p.add("token_exchange_clients", "needs the grant type %s", GrantTokenExchange)
	}
	if len(s.TrustedIssuers) > 0 && !s.has(GrantJWTBearer) {
		p.add("jwt_bearer_issuers", "needs the grant type %s", GrantJWTBearer)
	}
}

// checkTexts bounds what is free text.
func checkTexts(s subject, p *Problems) {
	bounded := func(field string, list ...string) {
		if len(list) > maxURIs {
			p.add(field, "has %d entries, at most %d are possible", len(list), maxURIs)
			return
		}
		for _, v := range list {
			if len(v) > 256 || strings.ContainsFunc(v, notPrint) {
				p.add(field, "has a value longer than 256 bytes, or with characters that cannot be shown")
			}
		}
	}
	bounded("contacts", s.Contacts...)
	bounded("software_id", s.SoftwareID)
	bounded("software_version", s.SoftwareVersion)
	bounded("default_acr_values", s.DefaultACRValues...)
	bounded("authorization_details_types", s.DetailTypes...)
	bounded("token_exchange_clients", s.ExchangeClients...)
	bounded("jwt_bearer_issuers", s.TrustedIssuers...)
	if s.DefaultMaxAge != nil && *s.DefaultMaxAge < 0 {
		p.add("default_max_age", "must not be negative")
	}
}
