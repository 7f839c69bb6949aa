package federation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/identity/federation/federationtest"
)

// OIDC Core §3.1.3.7: every rule, by its violation.
func TestIDToken_Claims(t *testing.T) {
	t.Parallel()
	r := one(t)
	now := func(d time.Duration) int64 { return r.clock.Now().Add(d).Unix() }
	c := federationtest.ClientID
	for name, change := range map[string]map[string]any{
		"other audience":                {"aud": "somebody else"},
		"audiences without us":          {"aud": []string{"a", "b"}},
		"no audience":                   {"aud": nil},
		"audience is a number":          {"aud": 7},
		"further audience without azp":  {"aud": []string{c, "another"}},
		"further audience, its azp":     {"aud": []string{c, "another"}, "azp": "another"},
		"azp of another":                {"azp": "another"},
		"azp empty":                     {"azp": ""},
		"other issuer":                  {"iss": "https://other.example"},
		"issuer with a slash":           {"iss": r.op.URL + "/"},
		"no issuer":                     {"iss": nil},
		"expired":                       {"exp": now(-skew)},
		"no expiry":                     {"exp": nil},
		"expiry is text":                {"exp": "2099"},
		"expiry below zero":             {"exp": -5},
		"expiry beyond reason":          {"exp": 1e300},
		"of the future":                 {"iat": now(skew + time.Second)},
		"undated":                       {"iat": nil},
		"not yet":                       {"nbf": now(skew + time.Second)},
		"other nonce":                   {"nonce": "another"},
		"no nonce":                      {"nonce": nil},
		"nonce is null":                 {"nonce": json.RawMessage("null")},
		"nonce in a list":               {"nonce": []string{"x"}},
		"no subject":                    {"sub": nil},
		"empty subject":                 {"sub": ""},
		"subject is a number":           {"sub": 1234},
		"subject too long":              {"sub": strings.Repeat("x", 256)},
		"access token of somebody else": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
	} {
		r.says(func(o *federationtest.OP) { o.IDToken = change })
		a, err := r.whole("corp")
		r.refuses(name, a, err, KeyRefused)
	}
	for name, change := range map[string]map[string]any{
		"just expired":        {"exp": now(-skew + time.Second)},
		"clock a little fast": {"iat": now(skew)},
		"azp is us":           {"azp": c},
		"two audiences, azp":  {"aud": []string{c, "another"}, "azp": c},
		"one audience listed": {"aud": []string{c}},
		"right at_hash":       {"at_hash": atHash("ES256", "at-1234")},
		"fractions":           {"iat": float64(now(0)) + 0.5},
	} {
		r.says(func(o *federationtest.OP) { o.IDToken = change })
		if _, err := r.whole("corp"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever signs must hold a key of the provider, with an algorithm that takes one.
func TestIDToken_Signature(t *testing.T) {
	t.Parallel()
	r := one(t, impatient)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.must(err)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	r.must(err)
	text := func(v any) string {
		b, err := json.Marshal(v)
		r.must(err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	var key *ecdsa.PrivateKey
	r.says(func(o *federationtest.OP) { key = o.Key })
	public := jose.JSONWebKey{Key: other.Public(), KeyID: "one", Algorithm: "ES256"}
	honest := func(c map[string]any) string { return federationtest.SignWith(jose.ES256, key, "one", c) }
	for name, sign := range map[string]func(map[string]any) string{
		"none": func(c map[string]any) string { return text(map[string]any{"alg": "none"}) + "." + text(c) + "." },
		"none with a signature": func(c map[string]any) string {
			return text(map[string]any{"alg": "none", "kid": "one"}) + "." + text(c) + ".AA"
		},
		"HS256 with our secret": func(c map[string]any) string {
			return federationtest.SignWith(jose.HS256, []byte(strings.Repeat(federationtest.ClientSecret, 2)), "one", c)
		},
		"HS256 with the public key": func(c map[string]any) string {
			pub, err := json.Marshal(jose.JSONWebKey{Key: key.Public()})
			r.must(err)
			return federationtest.SignWith(jose.HS256, pub, "one", c)
		},
		"other key, same kid": func(c map[string]any) string { return federationtest.SignWith(jose.ES256, other, "one", c) },
		"other key, no kid":   func(c map[string]any) string { return federationtest.SignWith(jose.ES256, other, "", c) },
		"key in the header": func(c map[string]any) string {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: other}, (&jose.SignerOptions{EmbedJWK: true}).WithHeader("kid", "one"))
			r.must(err)
			body, _ := json.Marshal(c)
			jws, err := signer.Sign(body)
			r.must(err)
			out, err := jws.CompactSerialize()
			r.must(err)
			return out
		},
		"key at an address": func(c map[string]any) string {
			head := text(map[string]any{"alg": "ES256", "kid": "one", "jku": r.op.URL + "/evil", "jwk": public})
			signed := honest(c)
			_, rest, _ := strings.Cut(signed, ".")
			return head + "." + rest
		},
		"RS256 under an ES256 key": func(c map[string]any) string { return federationtest.SignWith(jose.RS256, weak, "one", c) },
		"PS256, not announced":     func(c map[string]any) string { return federationtest.SignWith(jose.PS256, weak, "one", c) },
		"claims changed": func(c map[string]any) string {
			parts := strings.Split(honest(c), ".")
			c["sub"] = "victim"
			return parts[0] + "." + text(c) + "." + parts[2]
		},
		"signature cut":   func(c map[string]any) string { s := honest(c); return s[:len(s)-4] },
		"no signature":    func(c map[string]any) string { s := honest(c); return s[:strings.LastIndexByte(s, '.')+1] },
		"four parts":      func(c map[string]any) string { return honest(c) + ".x" },
		"JSON form":       func(map[string]any) string { return `{"payload":"e30","signatures":[]}` },
		"empty":           func(map[string]any) string { return "" },
		"too long":        func(c map[string]any) string { c["x"] = strings.Repeat("x", maxIDToken); return honest(c) },
		"no object":       func(map[string]any) string { return federationtest.SignWith(jose.ES256, key, "one", []int{1}) },
		"a member twice":  func(c map[string]any) string { return signRaw(t, key, duplicate(t, c)) },
		"critical header": func(c map[string]any) string { return federationtest.SignCritical(key, "one", c) },
	} {
		r.says(func(o *federationtest.OP) { o.Sign = sign })
		a, err := r.whole("corp")
		r.refuses(name, a, err, KeyRefused)
	}
	if n := r.op.Asked("/evil"); n != 0 {
		t.Errorf("%d requests to an address from a header", n)
	}
	r.says(func(o *federationtest.OP) {
		o.Sign = func(c map[string]any) string { return federationtest.SignWith(jose.ES256, key, "", c) }
	})
	if _, err := r.whole("corp"); err != nil {
		t.Errorf("the right key without a kid: %v", err)
	}
}

func duplicate(t *testing.T, c map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return append(b[:len(b)-1], []byte(`,"sub":"victim"}`)...)
}

func signRaw(t *testing.T, key *ecdsa.PrivateKey, body []byte) string {
	t.Helper()
	return federationtest.SignWith(jose.ES256, key, "one", json.RawMessage(body))
}

// A new key is found at once; a kid that nobody has makes one request in 30 s, not one per sign-in.
func TestIDToken_Keys(t *testing.T) {
	t.Parallel()
	r := one(t)
	if _, err := r.whole("corp"); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(cooldown)
	r.says(func(o *federationtest.OP) { o.Rotate("two") })
	if _, err := r.whole("corp"); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	asked := r.op.Asked("/jwks")
	if asked != 2 {
		t.Errorf("%d requests for keys, want 2", asked)
	}
	n := 0
	r.says(func(o *federationtest.OP) {
		key := o.Key
		o.Sign = func(c map[string]any) string {
			n++
			return federationtest.SignWith(jose.ES256, key, strings.Repeat("k", n), c)
		}
	})
	r.clock.Advance(cooldown)
	for range 8 {
		a, err := r.whole("corp")
		r.refuses("unknown kid", a, err, KeyRefused)
	}
	if more := r.op.Asked("/jwks") - asked; more != 1 {
		t.Errorf("%d requests for unknown kids, want 1", more)
	}
	// A retired key is of no use once the set was read again.
	r.says(func(o *federationtest.OP) {
		old := o.Key
		o.Sign = func(c map[string]any) string { return federationtest.SignWith(jose.ES256, old, "two", c) }
		o.Rotate("three")
	})
	r.clock.Advance(stale)
	a, err := r.whole("corp")
	r.refuses("retired key", a, err, KeyRefused)
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // that is the point
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]any{"keys": []any{
		jose.JSONWebKey{Key: small.Public(), KeyID: "small"}, jose.JSONWebKey{Key: ec, KeyID: "private"},
		jose.JSONWebKey{Key: []byte("secret"), KeyID: "oct"}, jose.JSONWebKey{Key: ec.Public(), KeyID: "enc", Use: "enc"},
		map[string]any{"kty": "new"}, "text", jose.JSONWebKey{Key: ec.Public(), KeyID: "good"},
	}}
	body, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseKeys(body)
	if err != nil || len(got) != 1 || got[0].KeyID != "good" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"keys":{}}`, `{"keys":[` + strings.Repeat(`{},`, 64) + `{}]}`} {
		if _, err := parseKeys([]byte(bad)); err == nil {
			t.Errorf("%.30s accepted", bad)
		}
	}
}

func FuzzParseClaims(f *testing.F) {
	for _, s := range []string{`{}`, `{"sub":"x","exp":1e400}`, `{"aud":["a",1]}`, `{"email_verified":"true"}`, `null`, `[`, `{"a":1,"a":2}`} {
		f.Add([]byte(s), "sub")
	}
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		c, ok := parseClaims(body)
		if !ok {
			return
		}
		if c.isTrue(name) && (c.text(name) != "" || !c.has(name)) {
			t.Errorf("%s: both true and text", body)
		}
		if at, ok := c.seconds(name); ok && at.Year() > 40000 {
			t.Errorf("%s: %v", body, at)
		}
		_ = c.list(name)
	})
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://a","authorization_endpoint":"https://a/x","token_endpoint":"https://a/t","jwks_uri":"https://a/k"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseMetadata(body, "https://a")
		if err == nil && (m.Issuer != "https://a" || !strings.HasPrefix(m.TokenEndpoint, "https:") && !strings.HasPrefix(strings.ToLower(m.TokenEndpoint), "https:")) {
			t.Errorf("%s accepted: %+v", body, m)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""}]}`))
	f.Fuzz(func(_ *testing.T, body []byte) {
		set, err := parseKeys(body)
		if err == nil {
			_ = set.matching("", "ES256")
		}
	})
}

// RFC 8725 §3.1: a key that names an algorithm is good for no other, and a kid is matched whole.
func TestKeySet_Matching(t *testing.T) {
	t.Parallel()
	set := keySet{{KeyID: "a", Algorithm: "RS256"}, {KeyID: "b"}}
	for _, c := range []struct {
		kid, alg string
		want     int
	}{{"a", "RS256", 1}, {"a", "PS256", 0}, {"b", "PS256", 1}, {"", "PS256", 1}, {"", "RS256", 2}, {"A", "RS256", 0}, {"c", "RS256", 0}} {
		if got := len(set.matching(c.kid, c.alg)); got != c.want {
			t.Errorf("%q %s: %d keys, want %d", c.kid, c.alg, got, c.want)
		}
	}
}
