package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

// valid returns metadata of the kind that has nothing wrong.
func valid(kind Kind) Metadata {
	m := Defaults(kind)
	if kind != Machine {
		m.RedirectURIs = []string{"https://rp.test/cb"}
	}
	return m
}

func TestDefaults_AreValidAndSafe(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		m := valid(kind)
		if err := m.Validate(kind); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if !m.RequirePKCE || m.FirstParty || m.AccessTokenFormat != FormatJWT {
			t.Errorf("%s: %+v", kind, m)
		}
		if public := kind == SPA || kind == Native; public != (m.AuthMethod == None) {
			t.Errorf("%s authenticates with %s", kind, m.AuthMethod)
		}
	}
}

func TestMetadata_JSONRoundTrip(t *testing.T) {
	t.Parallel()
	m := valid(SPA)
	m.JWKS = json.RawMessage(`{"keys":[]}`)
	m.AllowedOrigins, m.LogoURI, m.AccessTokenTTL = []string{"https://a.test"}, "https://a.test/l.png", 5*time.Minute
	m.PostLogoutRedirectURIs, m.Audiences, m.JWKSURI, m.FirstParty = []string{"https://a.test"}, []string{"urn:x"}, "https://a.test/j", true
	m.IDTokenAlg, m.ClientURI, m.PolicyURI, m.TOSURI = "RS256", "https://a.test/1", "https://a.test/2", "https://a.test/3"
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back Metadata
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, back); d != "" {
		t.Error(d)
	}
	// RFC 7591 §2, OIDC Registration §2: the registered names.
	for _, name := range []string{"redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method", "jwks_uri", "logo_uri", "id_token_signed_response_alg"} {
		if !strings.Contains(string(b), `"`+name+`"`) {
			t.Errorf("%s is missing in %s", name, b)
		}
	}
}

func TestValidate_EveryRule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  Kind
		edit  func(*Metadata)
		field string
	}{
		"no redirect URI":          {Web, func(m *Metadata) { m.RedirectURIs = nil }, "redirect_uris"},
		"too many":                 {Web, func(m *Metadata) { m.RedirectURIs = slices.Repeat(m.RedirectURIs, 51) }, "redirect_uris"},
		"twice":                    {Web, func(m *Metadata) { m.RedirectURIs = slices.Repeat(m.RedirectURIs, 2) }, "redirect_uris"},
		"machine with redirect":    {Machine, func(m *Metadata) { m.RedirectURIs = []string{"https://a.test"} }, "redirect_uris"},
		"logout fragment":          {Web, func(m *Metadata) { m.PostLogoutRedirectURIs = []string{"https://a.test/#x"} }, "post_logout_redirect_uris"},
		"machine with logout":      {Machine, func(m *Metadata) { m.PostLogoutRedirectURIs = []string{"https://a.test"} }, "post_logout_redirect_uris"},
		"no grant":                 {Machine, func(m *Metadata) { m.GrantTypes = nil }, "grant_types"},
		"password grant":           {Web, func(m *Metadata) { m.GrantTypes = append(m.GrantTypes, "password") }, "grant_types"},
		"implicit grant":           {SPA, func(m *Metadata) { m.GrantTypes = append(m.GrantTypes, "implicit") }, "grant_types"},
		"grant twice":              {Web, func(m *Metadata) { m.GrantTypes = append(m.GrantTypes, m.GrantTypes[0]) }, "grant_types"},
		"web for itself":           {Web, func(m *Metadata) { m.GrantTypes = append(m.GrantTypes, GrantClientCredentials) }, "grant_types"},
		"refresh alone":            {Web, func(m *Metadata) { m.GrantTypes = []string{GrantRefreshToken} }, "grant_types"},
		"machine with users":       {Machine, func(m *Metadata) { m.GrantTypes = append(m.GrantTypes, GrantAuthorizationCode) }, "grant_types"},
		"implicit response":        {SPA, func(m *Metadata) { m.ResponseTypes = []string{"token"} }, "response_types"},
		"hybrid response":          {Web, func(m *Metadata) { m.ResponseTypes = []string{"code", "code id_token"} }, "response_types"},
		"machine with response":    {Machine, func(m *Metadata) { m.ResponseTypes = []string{"code"} }, "response_types"},
		"unknown method":           {Web, func(m *Metadata) { m.AuthMethod = "client_secret_magic" }, "token_endpoint_auth_method"},
		"no method":                {Web, func(m *Metadata) { m.AuthMethod = "" }, "token_endpoint_auth_method"},
		"secret in an SPA":         {SPA, func(m *Metadata) { m.AuthMethod = SecretBasic }, "token_endpoint_auth_method"},
		"secret in an app":         {Native, func(m *Metadata) { m.AuthMethod = SecretPost }, "token_endpoint_auth_method"},
		"open web":                 {Web, func(m *Metadata) { m.AuthMethod = None }, "token_endpoint_auth_method"},
		"open machine":             {Machine, func(m *Metadata) { m.AuthMethod = None }, "token_endpoint_auth_method"},
		"SPA without PKCE":         {SPA, func(m *Metadata) { m.RequirePKCE = false }, "require_pkce"},
		"app without PKCE":         {Native, func(m *Metadata) { m.RequirePKCE = false }, "require_pkce"},
		"no keys":                  {Web, func(m *Metadata) { m.AuthMethod = PrivateKeyJWT }, "jwks"},
		"keys twice":               {Web, func(m *Metadata) { m.JWKS, m.JWKSURI = testJWKS(), "https://a.test/j" }, "jwks"},
		"keys not JSON":            {Web, func(m *Metadata) { m.JWKS = json.RawMessage("x") }, "jwks"},
		"keys over http":           {Web, func(m *Metadata) { m.JWKSURI = "http://a.test/j" }, "jwks_uri"},
		"bad scope":                {Web, func(m *Metadata) { m.Scopes = append(m.Scopes, "a b") }, "scopes"},
		"scope with quote":         {Web, func(m *Metadata) { m.Scopes = append(m.Scopes, `a"`) }, "scopes"},
		"scope twice":              {Web, func(m *Metadata) { m.Scopes = append(m.Scopes, "openid") }, "scopes"},
		"machine asks about users": {Machine, func(m *Metadata) { m.Scopes = []string{"openid"} }, "scopes"},
		"offline without refresh":  {Web, func(m *Metadata) { m.GrantTypes = []string{GrantAuthorizationCode} }, "scopes"},
		"many scopes":              {Web, func(m *Metadata) { m.Scopes = slices.Repeat([]string{"x"}, 201) }, "scopes"},
		"relative audience":        {Web, func(m *Metadata) { m.Audiences = []string{"/api"} }, "audiences"},
		"audience fragment":        {Web, func(m *Metadata) { m.Audiences = []string{"https://a.test/#x"} }, "audiences"},
		"unknown format":           {Web, func(m *Metadata) { m.AccessTokenFormat = "" }, "access_token_format"},
		"alg none":                 {Web, func(m *Metadata) { m.IDTokenAlg = "none" }, "id_token_signed_response_alg"},
		"alg HS256":                {Web, func(m *Metadata) { m.IDTokenAlg = "HS256" }, "id_token_signed_response_alg"},
		"token of a second":        {Web, func(m *Metadata) { m.AccessTokenTTL = time.Second }, "access_token_ttl"},
		"token of a week":          {Web, func(m *Metadata) { m.AccessTokenTTL = 7 * 24 * time.Hour }, "access_token_ttl"},
		"negative idle":            {Web, func(m *Metadata) { m.RefreshIdleTTL = -time.Hour }, "refresh_idle_ttl"},
		"idle over absolute":       {Web, func(m *Metadata) { m.RefreshIdleTTL, m.RefreshAbsoluteTTL = 2*time.Hour, time.Hour }, "refresh_idle_ttl"},
		"ten years":                {Web, func(m *Metadata) { m.RefreshAbsoluteTTL = 10 * 366 * 24 * time.Hour }, "refresh_absolute_ttl"},
		"long grace":               {Web, func(m *Metadata) { m.RefreshGrace = 61 * time.Second }, "refresh_grace"},
		"fraction of a second":     {Web, func(m *Metadata) { m.RefreshGrace = 1500 * time.Millisecond }, "refresh_grace"},
		"origin with path":         {SPA, func(m *Metadata) { m.AllowedOrigins = []string{"https://a.test/"} }, "allowed_origins"},
		"any origin":               {SPA, func(m *Metadata) { m.AllowedOrigins = []string{"*"} }, "allowed_origins"},
		"null origin":              {SPA, func(m *Metadata) { m.AllowedOrigins = []string{"null"} }, "allowed_origins"},
		"origin with default port": {SPA, func(m *Metadata) { m.AllowedOrigins = []string{"https://a.test:443"} }, "allowed_origins"},
		"logo over http":           {Web, func(m *Metadata) { m.LogoURI = "http://a.test/l" }, "logo_uri"},
		"script as policy":         {Web, func(m *Metadata) { m.PolicyURI = "javascript:alert(1)" }, "policy_uri"},
		"data as terms":            {Web, func(m *Metadata) { m.TOSURI = "data:text/html,x" }, "tos_uri"},
		"homepage of nothing":      {Web, func(m *Metadata) { m.ClientURI = "https://" }, "client_uri"},
	} {
		m := valid(c.kind)
		c.edit(&m)
		err := m.Validate(c.kind)
		p := ProblemsOf(err)
		if !errs.Is(err, errs.Invalid) || len(p) != 1 && name != "twice" || len(p) == 0 || p[0].Field != c.field {
			t.Errorf("%s: %v, want one problem of %s", name, err, c.field)
		}
	}
	if err := Defaults(Web).Validate("desktop"); ProblemsOf(err)[0].Field != "kind" {
		t.Errorf("kind: %v", err)
	}
}

func TestValidate_AllProblemsAtOnceInOrder(t *testing.T) {
	t.Parallel()
	m := valid(SPA)
	m.RedirectURIs = []string{"ftp://a.test", "https://b.test/#f"}
	m.AuthMethod, m.RequirePKCE, m.Scopes = SecretBasic, true, []string{"a b"}
	m.RefreshGrace, m.LogoURI = time.Hour, "x"
	var fields []string
	for _, p := range ProblemsOf(m.Validate(SPA)) {
		fields = append(fields, p.Field)
	}
	want := []string{"redirect_uris", "redirect_uris", "token_endpoint_auth_method", "scopes", "refresh_grace", "logo_uri"}
	if d := cmp.Diff(want, fields); d != "" {
		t.Error(d)
	}
}

func TestURIProblem(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{
		"https://rp.test/cb", "https://rp.test", "https://rp.test:8443/cb?x=y&z", "https://sub_domain.rp-1.test/%C3%A9",
		"https://1.1.1.1/cb", "https://[2606:4700::1111]/cb", "http://localhost:8080/cb", "http://127.0.0.1/cb", "http://[::1]:9/cb",
		"https://xn--bcher-kva.test/cb", "https://rp.test/a.b/..c/cb", "https://localhost/cb",
	} {
		if text := uriProblem(uri, false); text != "" {
			t.Errorf("%q %s", uri, text)
		}
	}
	for _, uri := range []string{"com.example.app:/cb", "com.example.app://callback", "com.example.app:cb"} {
		if text := uriProblem(uri, true); text != "" {
			t.Errorf("native: %q %s", uri, text)
		}
		if uriProblem(uri, false) == "" {
			t.Errorf("%q for other kinds", uri)
		}
	}
	for _, uri := range []string{
		"", "rp.test/cb", "//rp.test/cb", "/cb", "https:rp.test", "https:///cb", "https://", "ftp://rp.test/cb", "javascript:alert(1)",
		"data:,x", "file:///etc/passwd", "app:/cb", "localhost:8080/cb", "http://rp.test/cb", "http://localhost.evil.test/cb", "http://127.0.0.2/cb",
		"http://0.0.0.0/cb", "https://rp.test/cb#", "https://rp.test/cb#x", "https://user@rp.test/cb", "https://u:p@rp.test/", "https://@rp.test/",
		"https://*.rp.test/cb", "https://rp.test/*", "HTTPS://rp.test/cb", "https://RP.test/cb", "https://rp.test./cb", "https://rp.test:/cb",
		"https://rp.test:0/cb", "https://rp.test:99999/cb", "https://rp.test:080/", "https://rp.test/a/../cb", "https://rp.test/./cb",
		"https://rp.test/%2e%2E/cb", "https://rp.test/c b", "https://rp.test/c\tb", "https://rp.test\\cb", "https://rp。test/cb", "https://rp.test/é",
		"https://rp%2etest/cb", "https://[fe80::1%25eth0]/cb", "https://[::0001]/cb", "https://[::ffff:1.2.3.4", "https://0x7f000001/cb",
		"https://2130706433/cb", "https://0177.0.0.1/cb", "https://127.1/cb", "https://1.2.3/cb", "https://rp..test/cb", "https://.test/cb",
		"https://rp.test/" + strings.Repeat("a", 2048), "https://rp.test/\x00", "https://rp.test/<script>",
	} {
		if uriProblem(uri, true) == "" {
			t.Errorf("%q accepted", uri)
		}
	}
}

// RG-04: a name cannot pretend to be another or hide something.
func TestCheckName(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"Shop": true, "쇼핑몰 (모바일)": true, "<b>Shop</b>": true, "{{.}}": true,
		"": false, " ": false, " Shop": false, "Shop\n": false, "a\x00b": false, "Sh\u202eop": false, "Sh\u200bop": false, "\u2066Shop\u2069": false,
		"a\xffb": false, strings.Repeat("x", 101): false,
	} {
		var p Problems
		checkName(name, &p)
		if (len(p) == 0) != ok {
			t.Errorf("%q: %v", name, p)
		}
	}
}

func TestValidID(t *testing.T) {
	t.Parallel()
	for cid, ok := range map[string]bool{
		"shop": true, "0198f3a2-7c1e-7a44-9b0a-2f6d3c1b5e77": true, "a.b_c-d": true, "7": true,
		"": false, "-a": false, ".a": false, "a b": false, "a\x00": false, "a/b": false, "é": false, strings.Repeat("a", 65): false,
	} {
		if validID(id.Client(cid)) != ok {
			t.Errorf("%q: want %v", cid, ok)
		}
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	m := Metadata{RedirectURIs: []string{"https://a.test/cb", "https://a.test/other", "http://localhost:5173/cb", "https://b.test:443/x"}}
	if d := cmp.Diff([]string{"https://a.test", "http://localhost:5173", "https://b.test"}, m.Origins(SPA)); d != "" {
		t.Error(d)
	}
	if got := m.Origins(Web); got != nil {
		t.Errorf("web: %v", got)
	}
	m.AllowedOrigins = []string{"https://c.test"}
	if d := cmp.Diff([]string{"https://c.test"}, m.Origins(SPA)); d != "" {
		t.Error(d)
	}
}

func testJWKS() json.RawMessage {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: priv.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		panic(err)
	}
	return b
}

func TestParseJWKS(t *testing.T) {
	t.Parallel()
	set := func(keys ...any) []byte {
		b, err := json.Marshal(map[string]any{"keys": keys})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	weak := &rsa.PublicKey{N: ec.X, E: 65537} // 256 bits
	pub := jose.JSONWebKey{Key: ec.Public(), KeyID: "pub"}
	for name, bad := range map[string]any{
		"private":        jose.JSONWebKey{Key: ec},
		"symmetric":      jose.JSONWebKey{Key: []byte("0123456789abcdef")},
		"weak RSA":       jose.JSONWebKey{Key: weak},
		"other use":      jose.JSONWebKey{Key: ec.Public(), Use: "wrap"},
		"long kid":       jose.JSONWebKey{Key: ec.Public(), KeyID: strings.Repeat("k", 300)},
		"off the curve":  map[string]string{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
		"unknown type":   map[string]string{"kty": "XYZ"},
		"even exponent":  map[string]string{"kty": "RSA", "n": strings.Repeat("_", 342) + "w", "e": "AAAC"},
		"not an object":  7,
		"P-224 as curve": map[string]string{"kty": "EC", "crv": "P-224", "x": "AAAA", "y": "AAAA"},
	} {
		if _, err := parseJWKS(set(pub, bad), true); err == nil {
			t.Errorf("%s registered", name)
		}
		got, err := parseJWKS(set(bad, pub), false)
		if err != nil || len(got.Keys) != 1 || got.Keys[0].KeyID != "pub" {
			t.Errorf("%s in a set read from outside: %v, %v", name, got, err)
		}
	}
	for name, raw := range map[string][]byte{
		"empty": {}, "array": []byte(`[]`), "no keys": []byte(`{}`), "null": []byte(`{"keys":null}`), "large": []byte(`{"keys":[` + strings.Repeat(" ", maxJWKS) + `]}`),
		"many": set(slices.Repeat([]any{pub}, maxKeys+1)...),
	} {
		if _, err := parseJWKS(raw, false); err == nil {
			t.Errorf("%s accepted", name)
		}
	}
	if _, err := parseJWKS([]byte(`{"keys":[]}`), true); err == nil {
		t.Error("a registered set without keys accepted")
	}
}

func FuzzParseJWKS(f *testing.F) {
	f.Add([]byte(testJWKS()))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := parseJWKS(raw, false)
		if err != nil {
			return
		}
		for _, k := range set.Keys {
			if !k.IsPublic() || !k.Valid() {
				t.Fatalf("%q gives a key that is not public", raw)
			}
		}
	})
}
