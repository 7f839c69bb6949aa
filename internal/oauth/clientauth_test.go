package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/platform/id"
)

func credentialsForm(pairs ...string) url.Values {
	return values(append([]string{"grant_type", "client_credentials"}, pairs...)...)
}

// TestClientAuth_OnlyTheRegisteredMethod is security case TK-09: all pairs of methods, and mixes.
func TestClientAuth_OnlyTheRegisteredMethod(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	k := newClientKey(t)
	machine := func(m client.AuthMethod) id.Client {
		return r.newClient(client.Machine, func(d *client.Metadata) {
			d.AuthMethod = m
			if m == client.PrivateKeyJWT {
				d.JWKS = k.jwks(t)
			}
		})
	}
	clients := map[client.AuthMethod]id.Client{
		client.SecretBasic: machine(client.SecretBasic), client.SecretPost: machine(client.SecretPost),
		client.PrivateKeyJWT: machine(client.PrivateKeyJWT), client.None: r.newClient(client.SPA, nil),
	}
	try := func(c id.Client, method client.AuthMethod) error {
		secret := r.secrets[c]
		if secret == "" {
			secret = "sgn_cs_none"
		}
		h, form := http.Header{}, credentialsForm()
		switch method {
		case client.SecretBasic:
			h = basic(string(c), secret)
		case client.SecretPost:
			form.Set("client_id", string(c))
			form.Set("client_secret", secret)
		case client.PrivateKeyJWT:
			form.Set("client_assertion_type", assertionType)
			form.Set("client_assertion", k.assertion(t, r.assertionClaims(c, nil), nil))
		case client.None:
			form.Set("client_id", string(c))
		}
		_, err := r.Token(t.Context(), post(h, form))
		return err
	}
	for registered, c := range clients {
		for used := range maps.Keys(clients) {
			want := InvalidClient
			switch {
			case registered == used && used == client.None:
				want = UnauthorizedClient // authenticated, but client_credentials is not for it
			case registered == used:
				want = ""
			}
			e := wantCode(t, try(c, used), want)
			if e != nil && e.Code == InvalidClient && (e.Status != 401 || (e.Challenge == "Basic") != (used == client.SecretBasic)) {
				t.Errorf("%s with %s: status %d, challenge %q", registered, used, e.Status, e.Challenge)
			}
		}
	}
	c := clients[client.SecretBasic]
	good := basic(string(c), r.secrets[c])
	for name, tc := range map[string]struct {
		h    http.Header
		form url.Values
	}{
		"basic and post":       {good, credentialsForm("client_id", string(c), "client_secret", r.secrets[c])},
		"basic and assertion":  {good, credentialsForm("client_assertion_type", assertionType, "client_assertion", "x")},
		"basic, other id":      {good, credentialsForm("client_id", string(clients[client.None]))},
		"wrong secret":         {basic(string(c), "sgn_cs_wrong"), credentialsForm()},
		"empty secret":         {basic(string(c), ""), credentialsForm()},
		"unknown client":       {basic("nobody", r.secrets[c]), credentialsForm()},
		"two headers":          {http.Header{"Authorization": {good.Get("Authorization"), good.Get("Authorization")}}, credentialsForm()},
		"bearer":               {http.Header{"Authorization": {"Bearer x"}}, credentialsForm()},
		"nothing":              {http.Header{}, credentialsForm()},
		"wrong assertion type": {http.Header{}, credentialsForm("client_assertion_type", "saml", "client_assertion", "x")},
	} {
		if _, err := r.Token(t.Context(), post(tc.h, tc.form)); err == nil || AsError(err).Code != InvalidClient {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := r.Token(t.Context(), post(good, credentialsForm("client_id", string(c), "client_secret", ""))) // empty counts as left out
	wantCode(t, err, "")
}

// TestClientAuth_BasicHeader is security case TK-11: decoded exactly once (RFC 6749 §2.3.1).
func TestClientAuth_BasicHeader(t *testing.T) {
	t.Parallel()
	enc := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for header, want := range map[string][2]string{
		enc("id:secret"): {"id", "secret"}, enc("a%3Ab:c%2Bd"): {"a:b", "c+d"}, enc("a+b:c%2520d"): {"a b", "c%20d"},
		"basic " + base64.StdEncoding.EncodeToString([]byte("i:s")): {"i", "s"}, enc("i:s:t"): {"i", "s:t"},
	} {
		u, p, ok := parseBasic(header)
		if !ok || u != want[0] || p != want[1] {
			t.Errorf("%q: %q %q %v", header, u, p, ok)
		}
	}
	for _, header := range []string{
		"", "Basic", "Basic ", "Basic !!!", enc("nocolon"), enc(":"), enc("id:"), enc(":x"), enc("%zz:x"), enc("\xff:x"), enc("%00:x"), "Bearer x", "Bearer   x",
		"Basic " + strings.Repeat("A", 100<<10), enc("a:b") + "=", "Basic\t" + enc("a:b"),
	} {
		if u, p, ok := parseBasic(header); ok {
			t.Errorf("%.40q accepted: %q %q", header, u, p)
		}
	}
}

// clientKey is a client's signing key.
type clientKey struct {
	kid string
	key *ecdsa.PrivateKey
}

func newClientKey(t testing.TB) clientKey {
	t.Helper()
	return clientKey{"k1", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
}

func (k clientKey) jwks(t testing.TB) json.RawMessage {
	t.Helper()
	return must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.key.Public(), KeyID: k.kid, Algorithm: "ES256", Use: "sig"}}}))
}

func (r *rig) assertionClaims(c id.Client, edit func(m map[string]any)) map[string]any {
	now := r.clock.Now()
	m := map[string]any{"iss": string(c), "sub": string(c), "aud": testIssuer, "jti": id.New(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	if edit != nil {
		edit(m)
	}
	return m
}

func (k clientKey) assertion(t testing.TB, claims map[string]any, header map[jose.HeaderKey]any) string {
	t.Helper()
	return signJWS(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.key, KeyID: k.kid}}, must(json.Marshal(claims)), header)
}

func signJWS(t testing.TB, key jose.SigningKey, payload []byte, header map[jose.HeaderKey]any) string {
	t.Helper()
	opts := &jose.SignerOptions{ExtraHeaders: header}
	jws := must(must(jose.NewSigner(key, opts)).Sign(payload))
	return must(jws.CompactSerialize())
}

// TestAssertion_F9_Rules is security cases TK-12 and TK-13 (RFC 7523 §3, RFC 8725; fosite trap
// 12): each condition alone.
func TestAssertion_F9_Rules(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		k, foreign := newClientKey(t), newClientKey(t)
		c := r.newClient(client.Machine, func(m *client.Metadata) { m.AuthMethod, m.JWKS = client.PrivateKeyJWT, k.jwks(t) })
		victim := r.newClient(client.Machine, func(m *client.Metadata) { m.AuthMethod, m.JWKS = client.PrivateKeyJWT, foreign.jwks(t) })
		send := func(assertion string) error {
			_, err := r.Token(t.Context(), post(http.Header{}, credentialsForm("client_assertion_type", assertionType, "client_assertion", assertion)))
			return err
		}
		claims := func(edit func(m map[string]any)) map[string]any { return r.assertionClaims(c, edit) }
		set := func(name string, v any) func(map[string]any) { return func(m map[string]any) { m[name] = v } }
		now := r.clock.Now()
		for name, good := range map[string]map[string]any{
			"plain":       claims(nil),
			"no iat":      claims(func(m map[string]any) { delete(m, "iat") }),
			"five min":    claims(set("exp", now.Add(5*time.Minute).Unix())),
			"skewed iat":  claims(set("iat", now.Add(30*time.Second).Unix())),
			"expired 30s": claims(set("exp", now.Add(-30*time.Second).Unix())), // JW-16: clocks differ
		} {
			if err := send(k.assertion(t, good, nil)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, bad := range map[string]map[string]any{
			"no exp":        claims(func(m map[string]any) { delete(m, "exp") }),
			"exp text":      claims(set("exp", "tomorrow")),
			"exp null":      claims(set("exp", nil)),
			"exp negative":  claims(set("exp", -1)),
			"exp expired":   claims(set("exp", now.Add(-10*time.Minute).Unix())),
			"exp ten years": claims(set("exp", now.AddDate(10, 0, 0).Unix())),
			"exp six min":   claims(set("exp", now.Add(6*time.Minute).Unix())),
			"future iat":    claims(set("iat", now.Add(10*time.Minute).Unix())),
			"future nbf":    claims(set("nbf", now.Add(10*time.Minute).Unix())),
			"iss not sub":   claims(set("iss", string(victim))),
			"sub of other":  claims(func(m map[string]any) { m["sub"], m["iss"] = string(victim), string(victim) }),
			"no sub":        claims(func(m map[string]any) { delete(m, "sub") }),
			"no jti":        claims(func(m map[string]any) { delete(m, "jti") }),
			"aud array":     claims(set("aud", []string{testIssuer})),
			"aud and other": claims(set("aud", []string{testIssuer, "https://other.test"})),
			"aud token URL": claims(set("aud", testIssuer+"/oauth2/token")),
			"aud other AS":  claims(set("aud", "https://as.test")),
			"aud missing":   claims(func(m map[string]any) { delete(m, "aud") }),
		} {
			if err := send(k.assertion(t, bad, nil)); err == nil || AsError(err).Code != InvalidClient {
				t.Errorf("%s: %v", name, err)
			}
		}
		pub := must(k.key.PublicKey.Bytes())
		raw := must(json.Marshal(claims(nil)))
		rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
		dup := `{"sub":"` + string(c) + `","sub":"` + string(c) + `",` + string(raw[1:])
		huge := strings.Replace(string(raw), `"exp":`, `"exp":1e400,"x":`, 1)
		for name, bad := range map[string]string{
			"foreign key":    foreign.assertion(t, claims(nil), nil),
			"HS256":          signJWS(t, jose.SigningKey{Algorithm: jose.HS256, Key: pub}, raw, nil),
			"RS256 unknown":  signJWS(t, jose.SigningKey{Algorithm: jose.RS256, Key: rsaKey}, raw, nil),
			"none":           "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(raw) + ".",
			"other kid":      clientKey{"k2", k.key}.assertion(t, claims(nil), nil),
			"jku header":     k.assertion(t, claims(nil), map[jose.HeaderKey]any{"jku": "https://evil.test/jwks"}),
			"x5u header":     k.assertion(t, claims(nil), map[jose.HeaderKey]any{"x5u": "https://evil.test/cert"}),
			"jwk header":     signJWS(t, jose.SigningKey{Algorithm: jose.ES256, Key: foreign.key}, raw, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: foreign.key.Public()}}),
			"access token":   k.assertion(t, claims(nil), map[jose.HeaderKey]any{"typ": "at+jwt"}),
			"duplicate keys": signJWS(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.key, KeyID: k.kid}}, []byte(dup), nil),
			"huge number":    signJWS(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.key, KeyID: k.kid}}, []byte(huge), nil),
			"5 parts":        "a.b.c.d.e", "dots": strings.Repeat(".", 10000), "8 MB": strings.Repeat("a", 8<<20), "empty": "",
		} {
			if err := send(bad); err == nil || AsError(err).Code != InvalidClient {
				t.Errorf("%s: %v", name, err)
			}
		}
		// None of the refused ones was written down.
		if n := r.count(`SELECT COUNT(*) FROM client_assertion`); n != 5 {
			t.Errorf("%d assertions spent, want the 5 good ones", n)
		}
	})
}

// TestAssertion_Replay is security case TK-14: one use, also on another instance, and per client.
func TestAssertion_Replay(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		k := newClientKey(t)
		reg := func(m *client.Metadata) { m.AuthMethod, m.JWKS = client.PrivateKeyJWT, k.jwks(t) }
		a, b := r.newClient(client.Machine, reg), r.newClient(client.Machine, reg)
		other := r.again(r.db, r.db)
		send := func(r *rig, c id.Client) error {
			claims := r.assertionClaims(c, func(m map[string]any) { m["jti"] = "one" })
			_, err := r.Token(t.Context(), post(http.Header{}, credentialsForm("client_assertion_type", assertionType, "client_assertion", k.assertion(t, claims, nil))))
			return err
		}
		wantCode(t, send(r, a), "")
		wantCode(t, send(r, a), InvalidClient)
		wantCode(t, send(other, a), InvalidClient)
		wantCode(t, send(other, b), "") // jti are the client's own (fosite trap 12)
	})
}

// TestClientAuth_SaysNothing: every failure looks the same from outside (fosite traps 15, 16).
func TestClientAuth_SaysNothing(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	c, off := r.newClient(client.Machine, nil), r.newClient(client.Machine, nil)
	check(t, r.clients.Disable(t.Context(), off))
	var texts []string
	for _, h := range []http.Header{basic(string(c), "sgn_cs_x"), basic("nobody", "sgn_cs_x"), basic(string(off), r.secrets[off])} {
		_, err := r.Token(t.Context(), post(h, credentialsForm()))
		texts = append(texts, AsError(err).Description)
	}
	if slices.Sort(texts); len(slices.Compact(texts)) != 1 {
		t.Errorf("the answers differ: %q", texts)
	}
}
