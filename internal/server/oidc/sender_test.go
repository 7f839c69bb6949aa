package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth"
	"signet/internal/oauth/client"
	"signet/internal/platform/id"
	"signet/internal/server"
)

// prove signs a DPoP proof for a request of the rig's time.
func prove(t *testing.T, key *ecdsa.PrivateKey, method, htu, token string) string {
	t.Helper()
	claims := map[string]any{"jti": id.New(), "htm": method, "htu": htu, "iat": time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix()}
	if token != "" {
		claims["ath"] = id.Digest(token)
	}
	opts := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	jws := must(must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, opts)).Sign(must(json.Marshal(claims))))
	return must(jws.CompactSerialize())
}

// TestDPoP_OverHTTP: the scheme has no case, the header neither; a refusal is a challenge that names the
// algorithms (RFC 9449 §7.1; fapi2 access-token-type-header-case-sensitivity, dpop-negative-tests).
func TestDPoP_OverHTTP(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, secret := r.client(client.Web)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	resp := r.do("GET", pathAuthorize+"?"+ask(c).Encode(), nil, nil)
	code := must(url.Parse(resp.Header.Get("Location"))).Query().Get("code")
	resp = r.do("POST", pathToken, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	}, func(req *http.Request) {
		req.SetBasicAuth(string(c), secret)
		req.Header.Set("dpop", prove(t, key, "POST", issuer+pathToken, ""))
	})
	tok := bodyOf(t, resp)
	if resp.StatusCode != 200 || tok["token_type"] != "DPoP" {
		t.Fatalf("%d %v", resp.StatusCode, tok)
	}
	at := tok["access_token"].(string)
	see := func(scheme string, proofs ...string) *http.Response {
		return r.do("GET", pathUserinfo, nil, func(req *http.Request) {
			req.Header.Set("Authorization", scheme+" "+at)
			for _, p := range proofs {
				req.Header.Add("DPoP", p)
			}
		})
	}
	proof := func() string { return prove(t, key, "GET", issuer+pathUserinfo, at) }
	for _, scheme := range []string{"DPoP", "dpop", "dPOp", "DPoP  "} {
		if resp := see(scheme, proof()); resp.StatusCode != 200 || bodyOf(t, resp)["sub"] == nil {
			t.Errorf("%s: %d", scheme, resp.StatusCode)
		}
	}
	for name, resp := range map[string]*http.Response{
		"two proofs": see("DPoP", proof(), proof()), "no proof": see("DPoP"), "bearer": see("Bearer", proof()), "bearer, no proof": see("bearer"),
		"broken": see("DPoP", "x"),
	} {
		h := resp.Header.Get("WWW-Authenticate")
		if resp.StatusCode != 401 || !strings.HasPrefix(h, "DPoP ") || !strings.Contains(h, `algs="ES256 `) || !strings.Contains(h, `error="invalid_`) {
			t.Errorf("%s: %d %q", name, resp.StatusCode, h)
		}
	}
	form := r.do("POST", pathUserinfo, url.Values{"access_token": {at}}, nil) // as a bearer token in the body
	if form.StatusCode != 401 {
		t.Errorf("in the body: %d", form.StatusCode)
	}
	// Without a token, both kinds are named.
	if h := r.do("GET", pathUserinfo, nil, nil).Header.Values("WWW-Authenticate"); len(h) != 2 || !strings.HasPrefix(h[1], "DPoP ") || strings.Contains(h[1], "error") {
		t.Errorf("%q", h)
	}
	// At the token endpoint it is a plain 400 (RFC 9449 §5).
	resp = r.do("POST", pathToken, url.Values{"grant_type": {"client_credentials"}}, func(req *http.Request) {
		req.SetBasicAuth(string(c), secret)
		req.Header.Set("DPoP", "x")
	})
	if m := bodyOf(t, resp); resp.StatusCode != 400 || m["error"] != "invalid_dpop_proof" || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v", resp.StatusCode, m)
	}
}

// TestDiscovery_Sender: certificates are offered where they can arrive, DPoP always (RFC 8705 §3.3, §5;
// RFC 9449 §5.1; fapi2 discovery-end-point-verification).
func TestDiscovery_Sender(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	m := bodyOf(t, r.do("GET", pathConfiguration, nil, nil))
	if _, found := m["mtls_endpoint_aliases"]; found || m["tls_client_certificate_bound_access_tokens"] != nil {
		t.Errorf("certificates cannot arrive: %v", m)
	}
	list := func(m map[string]any, name string) []string {
		var out []string
		for _, v := range m[name].([]any) {
			out = append(out, v.(string))
		}
		return out
	}
	for name, want := range map[string][]string{
		"dpop_signing_alg_values_supported":                     client.SignatureAlgs(),
		"token_endpoint_auth_methods_supported":                 {"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"},
		"introspection_endpoint_auth_methods_supported":         {"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported":      append(client.SignatureAlgs(), "HS256", "HS384"),
		"revocation_endpoint_auth_signing_alg_values_supported": append(client.SignatureAlgs(), "HS256", "HS384"),
	} {
		if got := list(m, name); !slices.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	with := newRig(t, nil, func(d *oauth.Deps) {
		d.Policy.MTLS, d.Policy.Certificates, d.Policy.Authorities = "https://mtls.id.test", true, true
	})
	m = bodyOf(t, with.do("GET", pathConfiguration, nil, nil))
	offered := m["mtls_endpoint_aliases"].(map[string]any)
	for _, name := range []string{"token_endpoint", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint", "pushed_authorization_request_endpoint", "device_authorization_endpoint"} {
		if s, _ := offered[name].(string); !strings.HasPrefix(s, "https://mtls.id.test/") || strings.TrimPrefix(s, "https://mtls.id.test") != strings.TrimPrefix(m[name].(string), issuer) {
			t.Errorf("%s: alias %q, endpoint %v", name, s, m[name])
		}
	}
	if m["tls_client_certificate_bound_access_tokens"] != true || !slices.Contains(list(m, "token_endpoint_auth_methods_supported"), "tls_client_auth") ||
		!slices.Contains(list(m, "token_endpoint_auth_methods_supported"), "self_signed_tls_client_auth") {
		t.Errorf("%v", m)
	}
	for _, route := range (&Endpoints{engine: with.engine}).CertificateRoutes() {
		if route.Area != server.Protocol || route.Document || route.Method == http.MethodOptions || offered[aliases[route.Path]] == nil {
			t.Errorf("%s %s on the listener for certificates", route.Method, route.Path)
		}
	}
}

// TestCORS_DPoP: a single-page application can send proofs and read nonces (RFC 9449 §8).
func TestCORS_DPoP(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.client(client.SPA)
	from := func(req *http.Request) { req.Header.Set("Origin", "https://rp.test") }
	if h := r.do("OPTIONS", pathToken, nil, from).Header.Get("Access-Control-Allow-Headers"); !strings.Contains(h, "DPoP") {
		t.Errorf("%q", h)
	}
	if h := r.do("POST", pathToken, url.Values{}, from).Header.Get("Access-Control-Expose-Headers"); !strings.Contains(h, "DPoP-Nonce") {
		t.Errorf("%q", h)
	}
}
