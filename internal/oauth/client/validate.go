package client

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"signet/internal/platform/id"
)

// Limits of what one client may register.
const (
	maxURIs     = 50
	maxScopes   = 200
	maxNameLen  = 100
	maxScopeLen = 100
)

// subject is what the checks look at.
type subject struct {
	kind Kind
	Metadata
}

// checks is the whole list of rules for metadata, in the order in which problems are shown.
var checks = []func(subject, *Problems){
	checkRedirects,
	checkPostLogout,
	checkGrants,
	checkResponseTypes,
	checkAuthMethod,
	checkPKCE,
	checkKeys,
	checkScopes,
	checkAudiences,
	checkTokens,
	checkLifetimes,
	checkOrigins,
	checkLinks,
	checkProfile,
	checkSubjectType,
	checkAlgorithms,
	checkRequests,
	checkTLS,
	checkLogout,
	checkInitiate,
	checkGrantSettings,
	checkCIBA,
	checkTexts,
}

// Validate reports everything that is wrong with the metadata at once; see ProblemsOf.
func (m Metadata) Validate(kind Kind) error {
	var p Problems
	if !slices.Contains(Kinds(), kind) {
		p.add("kind", "is %q, must be web, spa, native or machine", string(kind))
		return p.err()
	}
	for _, check := range checks {
		check(subject{kind, m}, &p)
	}
	return p.err()
}

func (s subject) has(grant string) bool { return slices.Contains(s.GrantTypes, grant) }
func (s subject) public() bool          { return s.AuthMethod == None }

func checkRedirects(s subject, p *Problems) {
	switch {
	case s.kind != Machine && (s.has(GrantAuthorizationCode) || s.has(GrantImplicit)) && len(s.RedirectURIs) == 0:
		p.add("redirect_uris", "is empty: say where users return to")
	case s.kind == Machine && len(s.RedirectURIs) > 0:
		p.add("redirect_uris", "must be empty: a machine client has no users")
	}
	checkURIList("redirect_uris", s.RedirectURIs, s.kind == Native, p)
}

func checkPostLogout(s subject, p *Problems) {
	if s.kind == Machine && len(s.PostLogoutRedirectURIs) > 0 {
		p.add("post_logout_redirect_uris", "must be empty: a machine client has no users")
	}
	checkURIList("post_logout_redirect_uris", s.PostLogoutRedirectURIs, s.kind == Native, p)
}

func checkURIList(field string, list []string, custom bool, p *Problems) {
	if len(list) > maxURIs {
		p.add(field, "has %d entries, at most %d are possible", len(list), maxURIs)
		return
	}
	for i, uri := range list {
		if text := uriProblem(uri, custom); text != "" {
			p.add(field, "%q %s", shown(uri), text)
		}
		if slices.Contains(list[:i], uri) {
			p.add(field, "%q stands twice", shown(uri))
		}
	}
}

// shown shortens what is quoted back.
func shown(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// grantsOf are the grant types that each kind may have, the one that it must have first. A token of
// the application itself must not look like one that a user gave (RFC 9700 §4.15), so
// client_credentials is for machine clients alone.
var grantsOf = map[Kind][]string{
	Web: {GrantAuthorizationCode, GrantRefreshToken, GrantImplicit, GrantDeviceCode, GrantTokenExchange, GrantJWTBearer, GrantCIBA},
	SPA: {GrantAuthorizationCode, GrantRefreshToken, GrantImplicit},
	// A device without a browser has no redirect, so device_code alone will do.
	Native:  {GrantAuthorizationCode, GrantRefreshToken, GrantImplicit, GrantDeviceCode},
	Machine: {GrantClientCredentials, GrantTokenExchange, GrantJWTBearer},
}

// userGrants are those with which a person comes in.
var userGrants = []string{GrantAuthorizationCode, GrantImplicit, GrantDeviceCode, GrantTokenExchange, GrantJWTBearer, GrantCIBA}

func checkGrants(s subject, p *Problems) {
	if len(s.GrantTypes) == 0 {
		p.add("grant_types", "is empty")
		return
	}
	known := grantsOf[s.kind]
	for i, g := range s.GrantTypes {
		switch {
		case slices.Contains(s.GrantTypes[:i], g):
			p.add("grant_types", "%q stands twice", shown(g))
		case slices.Contains(known, g):
		case g == GrantClientCredentials:
			p.add("grant_types", "client_credentials needs a machine client of its own")
		default:
			p.add("grant_types", "%q is not one of %s, which a %s client may have", shown(g), strings.Join(known, ", "), s.kind)
		}
	}
	if s.kind != Machine && !slices.ContainsFunc(userGrants, s.has) {
		p.add("grant_types", "must have authorization_code, or another one by which people come in")
	}
}

// checkResponseTypes: code alone is the rule (RFC 9700 §2.1.2); a response type that hands out
// tokens needs the grant type that OIDC Registration §2 names for it.
func checkResponseTypes(s subject, p *Problems) {
	code := s.has(GrantAuthorizationCode)
	if s.kind == Machine || !code && !s.has(GrantImplicit) {
		if len(s.ResponseTypes) > 0 && (s.kind == Machine || slices.ContainsFunc(userGrants, s.has)) {
			p.add("response_types", "must be empty without authorization_code")
		}
		return
	}
	if len(s.ResponseTypes) == 0 {
		p.add("response_types", "is empty")
	} else if s.has(GrantImplicit) && !slices.ContainsFunc(s.ResponseTypes, func(rt string) bool { return rt != "code" }) {
		p.add("grant_types", "implicit is for response_types other than code")
	}
	for i, rt := range s.ResponseTypes {
		words := strings.Fields(rt)
		switch {
		case !slices.Contains(ResponseTypes(), rt):
			p.add("response_types", "%q is not one of %s", shown(rt), strings.Join(ResponseTypes(), ", "))
		case slices.Contains(s.ResponseTypes[:i], rt):
			p.add("response_types", "%q stands twice", rt)
		case slices.Contains(words, "code") && !code:
			p.add("response_types", "%q needs the grant type authorization_code", rt)
		case rt != "code" && !s.has(GrantImplicit):
			p.add("response_types", "%q needs the grant type implicit", rt)
		}
	}
}

// authMethods are all methods, the public one last.
var authMethods = []AuthMethod{SecretBasic, SecretPost, SecretJWT, PrivateKeyJWT, TLS, SelfSignedTLS, None}

// AuthMethods lists the ways in which a client may prove itself, none last.
func AuthMethods() []AuthMethod { return slices.Clone(authMethods) }

func checkAuthMethod(s subject, p *Problems) {
	if !slices.Contains(authMethods, s.AuthMethod) {
		names := make([]string, len(authMethods))
		for i, m := range authMethods {
			names[i] = string(m)
		}
		p.add("token_endpoint_auth_method", "%q is not one of %s", shown(string(s.AuthMethod)), strings.Join(names, ", "))
		return
	}
	public := s.kind == SPA || s.kind == Native
	switch {
	case s.PerInstance && s.kind == Native:
	case public && !s.public():
		// A secret in every copy of an application is no secret (RFC 8252 §8.5).
		p.add("token_endpoint_auth_method", "must be none: a %s client cannot keep a secret", s.kind)
	case !public && s.public():
		p.add("token_endpoint_auth_method", "must not be none: a %s client can and must authenticate", s.kind)
	}
}

func checkPKCE(s subject, p *Problems) {
	if s.public() && !s.RequirePKCE {
		p.add("require_pkce", "must be true for a client without authentication (RFC 9700 §2.1.1)")
	}
}

func checkKeys(s subject, p *Problems) {
	if len(s.JWKS) > 0 && s.JWKSURI != "" {
		p.add("jwks", "and jwks_uri exclude each other (RFC 7591 §2)")
	}
	if len(s.JWKS) > 0 {
		if _, err := parseJWKS(s.JWKS, true); err != nil {
			p.add("jwks", "%s", err)
		}
	}
	if s.JWKSURI != "" {
		if text := uriProblem(s.JWKSURI, false); text != "" {
			p.add("jwks_uri", "%q %s", shown(s.JWKSURI), text)
		}
	}
	if s.AuthMethod == PrivateKeyJWT && len(s.JWKS) == 0 && s.JWKSURI == "" {
		p.add("jwks", "or jwks_uri is needed for private_key_jwt")
	}
}

func checkScopes(s subject, p *Problems) {
	if len(s.Scopes) > maxScopes {
		p.add("scopes", "has %d entries, at most %d are possible", len(s.Scopes), maxScopes)
		return
	}
	for i, scope := range s.Scopes {
		switch {
		case !validScope(scope):
			p.add("scopes", "%q is not a scope (RFC 6749 §3.3)", shown(scope))
		case slices.Contains(s.Scopes[:i], scope):
			p.add("scopes", "%q stands twice", scope)
		case s.kind == Machine && slices.Contains(StandardScopes(), scope):
			p.add("scopes", "%q is about a user: a machine client has none", scope)
		case scope == "offline_access" && !s.has(GrantRefreshToken):
			p.add("scopes", "offline_access needs the grant type refresh_token")
		}
	}
}

// validScope: RFC 6749 §3.3 scope-token, with a length limit.
func validScope(s string) bool {
	return s != "" && len(s) <= maxScopeLen && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == '"' || r == '\\' || r > '~'
	})
}

func checkAudiences(s subject, p *Problems) {
	if len(s.Audiences) > maxScopes {
		p.add("audiences", "has %d entries, at most %d are possible", len(s.Audiences), maxScopes)
		return
	}
	for i, a := range s.Audiences {
		if text := audienceProblem(a); text != "" {
			p.add("audiences", "%q %s", shown(a), text)
		}
		if slices.Contains(s.Audiences[:i], a) {
			p.add("audiences", "%q stands twice", shown(a))
		}
	}
}

func checkTokens(s subject, p *Problems) {
	if s.AccessTokenFormat != FormatJWT && s.AccessTokenFormat != FormatOpaque {
		p.add("access_token_format", "is %q, must be jwt or opaque", shown(s.AccessTokenFormat))
	}
	if !slices.Contains([]string{"", "ES256", "RS256", "PS256", "EdDSA"}, s.IDTokenAlg) {
		p.add("id_token_signed_response_alg", "is %q, must be ES256, RS256, PS256 or EdDSA", shown(s.IDTokenAlg))
	}
}

func checkLifetimes(s subject, p *Problems) {
	ranged := func(field string, d, least, most time.Duration) {
		if d != 0 && (d < least || d > most) {
			p.add(field, "is %s, must be from %s to %s", d, least, most)
		}
		if d%time.Second != 0 {
			p.add(field, "is %s, must be whole seconds", d)
		}
	}
	const day = 24 * time.Hour
	ranged("access_token_ttl", s.AccessTokenTTL, time.Minute, day)
	ranged("refresh_idle_ttl", s.RefreshIdleTTL, time.Minute, 366*day)
	ranged("refresh_absolute_ttl", s.RefreshAbsoluteTTL, time.Minute, 5*366*day)
	ranged("refresh_grace", s.RefreshGrace, 0, maxGrace)
	if s.RefreshAbsoluteTTL != 0 && s.RefreshIdleTTL > s.RefreshAbsoluteTTL {
		p.add("refresh_idle_ttl", "is %s, longer than refresh_absolute_ttl (%s)", s.RefreshIdleTTL, s.RefreshAbsoluteTTL)
	}
}

func checkOrigins(s subject, p *Problems) {
	if len(s.AllowedOrigins) > maxURIs {
		p.add("allowed_origins", "has %d entries, at most %d are possible", len(s.AllowedOrigins), maxURIs)
		return
	}
	for _, o := range s.AllowedOrigins {
		if text := uriProblem(o, false); text != "" {
			p.add("allowed_origins", "%q %s", shown(o), text)
		} else if originOf(o) != o {
			p.add("allowed_origins", "%q is not an origin: scheme, host and a port that is not the scheme's own, nothing behind", shown(o))
		}
	}
}

func checkLinks(s subject, p *Problems) {
	for _, l := range []struct{ field, uri string }{
		{"client_uri", s.ClientURI}, {"logo_uri", s.LogoURI}, {"policy_uri", s.PolicyURI}, {"tos_uri", s.TOSURI},
	} {
		if l.uri == "" {
			continue
		}
		if text := uriProblem(l.uri, false); text != "" {
			p.add(l.field, "%q %s", shown(l.uri), text)
		}
	}
}

// checkName refuses what could make one application look like another on the consent page:
// control characters, direction overrides, invisible ones (RFC 7591 §5).
func checkName(name string, p *Problems) {
	switch {
	case strings.TrimSpace(name) == "":
		p.add("name", "is empty: users see it when they are asked for consent")
	case strings.TrimSpace(name) != name:
		p.add("name", "begins or ends with a space")
	case !utf8.ValidString(name):
		p.add("name", "is not UTF-8")
	case utf8.RuneCountInString(name) > maxNameLen:
		p.add("name", "is longer than %d characters", maxNameLen)
	case strings.ContainsFunc(name, notPrint):
		p.add("name", "has a control, invisible or direction character")
	}
}

// checkID: what a client_id may look like. Anything else is not even looked up.
func checkID(cid id.Client, p *Problems) {
	if !validID(cid) {
		p.add("id", "%q is not 1 to 64 letters, digits, . _ or -, beginning with a letter or digit", shown(string(cid)))
	}
}

func validID(cid id.Client) bool {
	if cid == "" || len(cid) > 64 {
		return false
	}
	for i := range len(cid) {
		c := cid[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

func notPrint(r rune) bool { return !unicode.IsPrint(r) }
