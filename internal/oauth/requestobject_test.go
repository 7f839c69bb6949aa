package oauth

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

// signing registers a web application that authenticates and signs with k.
func (r *rig) signing(k clientKey, edit func(*client.Metadata)) id.Client {
	r.t.Helper()
	c := r.newClient(client.Web, func(m *client.Metadata) {
		m.AuthMethod, m.JWKS = client.PrivateKeyJWT, k.jwks(r.t)
		if edit != nil {
			edit(m)
		}
	})
	delete(r.secrets, c)
	return c
}

func fapi(profile string) func(*client.Metadata) {
	return func(m *client.Metadata) { m.Profile = profile }
}

// objectClaims is a sound request object; edit changes it.
func (r *rig) objectClaims(c id.Client, edit func(m map[string]any)) map[string]any {
	now := r.clock.Now()
	m := map[string]any{
		"iss": string(c), "aud": testIssuer, "nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": id.New(),
	}
	for name, values := range ask(c) {
		m[name] = values[0]
	}
	if edit != nil {
		edit(m)
	}
	return m
}

func set(name string, v any) func(map[string]any) {
	return func(m map[string]any) {
		if m[name] = v; v == nil {
			delete(m, name)
		}
	}
}

// requestObject signs as RFC 9101 §10.8 types it.
func (k clientKey) requestObject(t testing.TB, claims map[string]any) string {
	t.Helper()
	return k.assertion(t, claims, map[jose.HeaderKey]any{"typ": "oauth-authz-req+jwt"})
}

// unsecured is a JWT without signature (RFC 7519 §6).
func unsecured(claims map[string]any) string {
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(must(json.Marshal(claims))) + "."
}

// byValue is a request that holds an object and, beside it, what OIDC Core §6.1 wants repeated.
func byValue(c id.Client, object string, pairs ...string) url.Values {
	return values(append([]string{"client_id", string(c), "response_type", "code", "scope", "openid", "request", object}, pairs...)...)
}

// TestRequestObject_InsideCounts: all parameters are those inside, of the right types, and what stands
// beside the object is as if it were not there (RFC 9101 §6.3; oidcc-unsigned-request-object,
// oidcc-ensure-request-object-with-redirect-uri, fapi2 ensure-different-state-inside-and-outside,
// ensure-different-nonce-inside-and-outside, state-only-outside-request-object-not-used).
func TestRequestObject_InsideCounts(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	c := r.signing(k, nil)
	inside := r.objectClaims(c, func(m map[string]any) {
		m["state"], m["nonce"], m["max_age"], m["resource"] = "inner", "n-inner", 10000, []string{testAPI, otherAPI}
		m["scope"], m["prompt"] = "openid email", "login"
	})
	req, err := r.ParseAuthorize(t.Context(), byValue(c, k.requestObject(t, inside),
		"state", "outer", "nonce", "n-outer", "redirect_uri", "https://evil.test/cb", "prompt", "none", "response_mode", "fragment", "scope", "read"))
	check(t, err)
	if req.State != "inner" || req.Nonce != "n-inner" || req.RedirectURI != testRedirect || *req.MaxAge != 10000 || len(req.Resources) != 2 ||
		strings.Join(req.Scopes, " ") != "openid email" || req.Prompt[0] != "login" || req.ResponseMode != ModeQuery {
		t.Errorf("%+v", req)
	}
	bare := r.objectClaims(c, func(m map[string]any) { delete(m, "state"); delete(m, "nonce"); delete(m, "code_challenge") })
	_, err = r.ParseAuthorize(t.Context(), byValue(c, k.requestObject(t, bare), "code_challenge", testChallenge, "code_challenge_method", "S256"))
	wantCode(t, err, InvalidRequest) // a challenge outside does not stand in
	bare["code_challenge"] = testChallenge
	req, err = r.ParseAuthorize(t.Context(), byValue(c, k.requestObject(t, bare), "state", "outer", "nonce", "outer"))
	check(t, err)
	if req.State != "" || req.Nonce != "" {
		t.Errorf("state %q, nonce %q from outside", req.State, req.Nonce)
	}
	// An error about what is inside goes where the inside says.
	wrong := r.objectClaims(c, func(m map[string]any) {
		m["scope"], m["state"], m["redirect_uri"] = "nonsense", "inner", testRedirect+"/2"
	})
	_, err = r.ParseAuthorize(t.Context(), byValue(c, k.requestObject(t, wrong), "state", "outer", "redirect_uri", testRedirect))
	if e := wantCode(t, err, InvalidScope); e.Redirect == nil || e.Redirect.RedirectURI != testRedirect+"/2" || e.Redirect.State != "inner" {
		t.Errorf("%+v", e.Redirect)
	}
}

// TestRequestObject_Refused is security case AZ-24 and fosite traps 8, F1 and F2: each condition alone
// (RFC 9101 §4, §6, §10; fapi2 ensure-signed-request-object-with-*, -bad-aud-, -expired-).
func TestRequestObject_Refused(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k, foreign := newClientKey(t), newClientKey(t)
	c, other := r.signing(k, nil), r.signing(foreign, nil)
	now := r.clock.Now()
	claims := func(edit func(map[string]any)) map[string]any { return r.objectClaims(c, edit) }
	for name, good := range map[string]map[string]any{
		"plain":             claims(nil),
		"several audiences": claims(set("aud", []string{"https://else.test", testIssuer})),
		"nbf ahead 8 s":     claims(set("nbf", now.Add(8*time.Second).Unix())),
		"exp 8 s ago":       claims(set("exp", now.Add(-8*time.Second).Unix())),
		"unknown member":    claims(set("extra", map[string]any{"a": []int{1}})),
		"no times":          claims(func(m map[string]any) { delete(m, "exp"); delete(m, "nbf"); delete(m, "iat") }),
		"no aud and iss":    claims(func(m map[string]any) { delete(m, "aud"); delete(m, "iss") }),
		"no client_id":      claims(set("client_id", nil)),
	} {
		if _, err := r.ParseAuthorize(t.Context(), byValue(c, k.requestObject(t, good))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	objects := map[string]string{}
	for name, bad := range map[string]map[string]any{
		"aud":                 claims(set("aud", "https://else.test")),
		"aud array":           claims(set("aud", []string{"https://else.test"})),
		"aud empty":           claims(set("aud", []string{})),
		"aud number":          claims(set("aud", 7)),
		"iss":                 claims(set("iss", string(other))),
		"client_id":           claims(set("client_id", string(other))),
		"client_id number":    claims(set("client_id", 7)),
		"sub of an assertion": claims(set("sub", string(c))), // RFC 9101 §10.8
		"expired":             claims(set("exp", now.Add(-5*time.Minute).Unix())),
		"exp text":            claims(set("exp", "later")),
		"exp negative":        claims(set("exp", -1)),
		"nbf over a minute":   claims(set("nbf", now.Add(70*time.Second).Unix())),
		"iat over a minute":   claims(set("iat", now.Add(70*time.Second).Unix())),
		"request inside":      claims(set("request", "a.b.c")),
		"request_uri inside":  claims(set("request_uri", "https://rp.test/r")),
		"state object":        claims(set("state", map[string]any{"a": 1})),
		"scope list":          claims(set("scope", []string{"openid", "email"})),
		"prompt bool":         claims(set("prompt", true)),
		"max_age text":        claims(set("max_age", []int{1})),
		"max_age null":        func() map[string]any { m := claims(nil); m["max_age"] = nil; return m }(),
		"resource numbers":    claims(set("resource", []int{1})),
		"resource empty":      claims(set("resource", []string{})),
		"redirect list":       claims(set("redirect_uri", []string{testRedirect})),
		"NUL":                 claims(set("state", "a\x00b")),
	} {
		objects[name] = k.requestObject(t, bad)
	}
	raw := must(json.Marshal(claims(nil)))
	parts := strings.Split(k.requestObject(t, claims(nil)), ".")
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	dup := strings.Replace(string(raw), `"scope":`, `"scope":"openid","scope":`, 1)
	sign := func(payload string, header map[jose.HeaderKey]any) string {
		return signJWS(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.key, KeyID: k.kid}}, []byte(payload), header)
	}
	for name, object := range map[string]string{
		"foreign key":      foreign.requestObject(t, claims(nil)),
		"HS256":            signJWS(t, jose.SigningKey{Algorithm: jose.HS256, Key: must(k.key.PublicKey.Bytes())}, raw, nil),
		"RS256 unknown":    signJWS(t, jose.SigningKey{Algorithm: jose.RS256, Key: rsaKey}, raw, nil),
		"other kid":        clientKey{"k2", k.key}.requestObject(t, claims(nil)),
		"broken signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"no signature":     parts[0] + "." + parts[1] + ".",
		"other payload":    parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(dup)) + "." + parts[2],
		"twice a member":   sign(dup, nil),
		"an access token":  sign(string(raw), map[jose.HeaderKey]any{"typ": "at+jwt"}),
		"an assertion":     sign(string(raw), map[jose.HeaderKey]any{"typ": "client-authentication+jwt"}),
		"jku":              sign(string(raw), map[jose.HeaderKey]any{"jku": "https://evil.test/jwks"}),
		"x5u":              sign(string(raw), map[jose.HeaderKey]any{"x5u": "https://evil.test/x"}),
		"jwk":              sign(string(raw), map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: foreign.key.Public()}}),
		"crit":             sign(string(raw), map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1}),
		"not JSON":         sign("openid", nil),
		"an array":         sign(`["openid"]`, nil),
		"null":             sign("null", nil),
		"not UTF-8":        sign(strings.Replace(string(raw), `"st"`, "\"\xff\"", 1), nil),
		"encrypted":        "a.b.c.d.e",
		"empty":            "",
		"dots":             strings.Repeat(".", 20000),
		"huge":             strings.Repeat("a", 20000),
		"many members":     sign(manyMembers(), nil),
	} {
		objects[name] = object
	}
	for name, object := range objects {
		form := byValue(c, object, "redirect_uri", testRedirect, "state", "outer")
		form.Set("request", object)
		_, err := r.ParseAuthorize(t.Context(), form)
		e := wantCode(t, err, InvalidRequestObject)
		if e == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		// The application hears it at an address that it registered; nothing of the object is believed.
		if resp := r.RefuseError(e); resp == nil || resp.RedirectURI != testRedirect || resp.Params.Get("state") != "outer" {
			t.Errorf("%s: %+v", name, resp)
		}
		form.Set("redirect_uri", "https://evil.test/cb")
		if _, err := r.ParseAuthorize(t.Context(), form); err == nil || AsError(err).Redirect != nil {
			t.Errorf("%s: redirect to an address that is not registered", name)
		}
	}
	both := byValue(c, k.requestObject(t, claims(nil)), "request_uri", "https://rp.test/r")
	_, err := r.ParseAuthorize(t.Context(), both)
	wantCode(t, err, InvalidRequest) // RFC 9101 §5
}

func manyMembers() string {
	var b strings.Builder
	b.WriteString(`{"scope":"openid"`)
	for range 100 {
		b.WriteString(`,"` + id.New() + `":1`)
	}
	return b.String() + "}"
}

// TestRequestObject_Algorithms: the registered one only, and none only where the deployment and the
// client allow it (RFC 9101 §10.5, OIDC Core §6.1; oidcc-request-uri-unsigned, fapi2
// ensure-request-object-signature-algorithm-is-not-none).
func TestRequestObject_Algorithms(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	alg := func(alg string) func(*client.Metadata) { return func(m *client.Metadata) { m.RequestObjectAlg = alg } }
	clients := map[string]id.Client{
		"any": r.signing(k, nil), "ES256": r.signing(k, alg("ES256")), "PS256": r.signing(k, alg("PS256")), "none": r.signing(k, alg("none")),
		"required": r.signing(k, func(m *client.Metadata) { m.RequireSignedRequest = true }),
	}
	for _, tc := range []struct{ policy, client, object, code string }{
		{"", "any", "ES256", ""},
		{"signed", "ES256", "ES256", ""},
		{"signed", "PS256", "ES256", InvalidRequestObject},
		{"signed", "none", "ES256", InvalidRequestObject},
		{"signed", "any", "none", RequestNotSupported},
		{"signed", "required", "ES256", ""},
		{"signed", "required", "none", InvalidRequestObject},
		{"signed", "required", "", InvalidRequest},
		{"unsigned", "any", "none", ""},
		{"unsigned", "none", "none", ""},
		{"unsigned", "any", "ES256", ""},
		{"unsigned", "ES256", "none", RequestNotSupported},
		{"unsigned", "required", "none", InvalidRequestObject},
		{"off", "any", "ES256", RequestNotSupported},
		{"off", "any", "none", RequestNotSupported},
		{"off", "any", "", ""},
	} {
		r.policy.RequestObjects = tc.policy
		c := clients[tc.client]
		form := ask(c)
		switch tc.object {
		case "none":
			form = byValue(c, unsecured(r.objectClaims(c, nil)))
		case "ES256":
			form = byValue(c, k.requestObject(t, r.objectClaims(c, nil)))
		}
		_, err := r.ParseAuthorize(t.Context(), form)
		if e := AsError(err); (err == nil) != (tc.code == "") || err != nil && e.Code != tc.code {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	r.policy.RequestObjects = "unsigned"
	c := clients["any"]
	// Without signature everything else is checked all the same.
	for name, object := range map[string]string{
		"with a signature": unsecured(r.objectClaims(c, nil)) + "AAAA",
		"aud":              unsecured(r.objectClaims(c, set("aud", "https://else.test"))),
		"client_id":        unsecured(r.objectClaims(c, set("client_id", "other"))),
		"request_uri":      unsecured(r.objectClaims(c, set("request_uri", "https://rp.test/r"))),
		"nested":           "eyJhbGciOiJOb25lIn0." + strings.Split(unsecured(r.objectClaims(c, nil)), ".")[1] + ".", // "None" is not none
	} {
		_, err := r.ParseAuthorize(t.Context(), byValue(c, object))
		if err == nil || AsError(err).Code != InvalidRequestObject {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRequestObject_KeysOutOfReach: a key set that cannot be read is no decision about the object.
func TestRequestObject_KeysOutOfReach(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c := r.newClient(client.Web, func(m *client.Metadata) { m.JWKSURI = "https://127.0.0.1:1/jwks" })
	_, err := r.ParseAuthorize(t.Context(), byValue(c, newClientKey(t).requestObject(t, r.objectClaims(c, nil)), "redirect_uri", testRedirect))
	if e := wantCode(t, err, TemporarilyUnavailable); e.Redirect != nil || e.Status != 503 {
		t.Errorf("%+v", e)
	}
}

// withRSA adds an RSA key to the client's set.
func withRSA(t testing.TB, k clientKey) (rsaSigner, json.RawMessage) {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: k.key.Public(), KeyID: k.kid, Algorithm: "ES256", Use: "sig"}, {Key: key.Public(), KeyID: "rsa", Use: "sig"},
	}}
	return rsaSigner{key}, must(json.Marshal(set))
}

type rsaSigner struct{ key *rsa.PrivateKey }

func (s rsaSigner) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return signJWS(t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: s.key, KeyID: "rsa"}}, must(json.Marshal(claims)), nil)
}
