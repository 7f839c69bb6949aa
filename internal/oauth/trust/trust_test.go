package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/platform/errs"
)

type owner struct {
	key *ecdsa.PrivateKey
	jwk jose.JSONWebKey
}

func newOwner(t testing.TB, kid string) owner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return owner{key, jose.JSONWebKey{Key: &key.PublicKey, KeyID: kid, Use: "sig", Algorithm: "ES256"}}
}

func (o owner) set(t testing.TB) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{o.jwk}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (o owner) sign(t testing.TB, payload string, head map[jose.HeaderKey]any) string {
	t.Helper()
	opts := &jose.SignerOptions{ExtraHeaders: head}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: o.key, KeyID: o.jwk.KeyID}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// remote stands for key sets behind addresses.
type remote map[string]jose.JSONWebKeySet

func (r remote) KeysAt(_ context.Context, uri, kid string) (jose.JSONWebKeySet, error) {
	set, ok := r[uri]
	if !ok {
		return set, errs.New(errs.Unavailable, "", errors.New("unreachable"))
	}
	return client.SigningKeys(set, kid), nil
}

func anybody(Issuer) bool { return true }

// RFC 7521 §5.2, RFC 8725 §3.1, §3.10, §3.11: only what a trusted issuer signed, with its own keys, as
// the kind of token that was expected.
func TestVerify(t *testing.T) {
	t.Parallel()
	mine, far, foreign := newOwner(t, "k"), newOwner(t, "far"), newOwner(t, "k")
	s, err := New(remote{"https://far.test/jwks": {Keys: []jose.JSONWebKey{far.jwk}}}, []Issuer{
		{Name: "near", Issuer: "https://near.test", JWKS: mine.set(t)},
		{Name: "far", Issuer: "https://far.test", JWKSURI: "https://far.test/jwks", Subject: Email},
		{Name: "down", Issuer: "https://down.test", JWKSURI: "https://down.test/jwks"},
	})
	if err != nil {
		t.Fatal(err)
	}
	near := `{"iss":"https://near.test"}`
	for name, c := range map[string]struct {
		text  string
		may   func(Issuer) bool
		types []string
		want  string // issuer; "" for refused
	}{
		"by value":        {mine.sign(t, near, nil), anybody, []string{""}, "near"},
		"by address":      {far.sign(t, `{"iss":"https://far.test"}`, nil), anybody, []string{"", "JWT"}, "far"},
		"type":            {mine.sign(t, near, map[jose.HeaderKey]any{"typ": "jwt"}), anybody, []string{"", "JWT"}, "near"},
		"another type":    {mine.sign(t, near, map[jose.HeaderKey]any{"typ": "at+jwt"}), anybody, []string{"", "JWT"}, ""},
		"another's key":   {foreign.sign(t, near, nil), anybody, []string{""}, ""},
		"another issuer":  {far.sign(t, near, nil), anybody, []string{""}, ""},
		"unknown issuer":  {mine.sign(t, `{"iss":"https://who.test"}`, nil), anybody, []string{""}, ""},
		"not for this":    {mine.sign(t, near, nil), func(i Issuer) bool { return i.Name == "far" }, []string{""}, ""},
		"key in header":   {foreign.sign(t, near, map[jose.HeaderKey]any{"jwk": foreign.jwk}), anybody, []string{""}, ""},
		"address of keys": {mine.sign(t, near, map[jose.HeaderKey]any{"jku": "https://evil.test"}), anybody, []string{""}, ""},
		"issuer twice":    {mine.sign(t, `{"iss":"https://near.test","iss":"https://far.test"}`, nil), anybody, []string{""}, ""},
		"no JSON":         {mine.sign(t, `near`, nil), anybody, []string{""}, ""},
		"unsigned":        {"eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL25lYXIudGVzdCJ9.", anybody, []string{""}, ""},
		"long":            {strings.Repeat("a", maxText) + "..", anybody, []string{""}, ""},
		"nothing":         {"", anybody, []string{""}, ""},
	} {
		i, payload, err := s.Verify(t.Context(), c.text, c.may, c.types...)
		if (err == nil) != (c.want != "") || err == nil && (i.Name != c.want || len(payload) == 0) {
			t.Errorf("%s: %v %v", name, i.Name, err)
		}
		if err != nil && errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: refused as unavailable", name)
		}
	}
	if _, _, err := s.Verify(t.Context(), mine.sign(t, `{"iss":"https://down.test"}`, nil), anybody, ""); !errs.Is(err, errs.Unavailable) {
		t.Errorf("keys that cannot be read: %v", err)
	}
	if _, _, err := (*Service)(nil).Verify(t.Context(), mine.sign(t, near, nil), anybody, ""); err == nil {
		t.Error("believed without any issuer")
	}
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	set := newOwner(t, "k").set(t)
	for name, list := range map[string][]Issuer{
		"no keys":     {{Name: "a", Issuer: "https://a.test"}},
		"both":        {{Name: "a", Issuer: "https://a.test", JWKS: set, JWKSURI: "https://a.test/jwks"}},
		"twice":       {{Name: "a", Issuer: "https://a.test", JWKS: set}, {Name: "b", Issuer: "https://a.test", JWKS: set}},
		"no name":     {{Issuer: "https://a.test", JWKS: set}},
		"broken keys": {{Name: "a", Issuer: "https://a.test", JWKS: json.RawMessage(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)}},
	} {
		if _, err := New(remote{}, list); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	s, err := New(remote{}, []Issuer{{Name: "a", Issuer: "https://a.test", JWKS: set, Subject: None}})
	if err != nil || s.Speaks() {
		t.Errorf("%v, speaks of people: %v", err, s.Speaks())
	}
}

// FuzzVerify: nothing that was not signed by the issuer is ever believed.
func FuzzVerify(f *testing.F) {
	mine := newOwner(f, "k")
	s, err := New(nil, []Issuer{{Name: "near", Issuer: "https://near.test", JWKS: mine.set(f)}})
	if err != nil {
		f.Fatal(err)
	}
	good := mine.sign(f, `{"iss":"https://near.test"}`, nil)
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		_, payload, err := s.Verify(t.Context(), text, anybody, "")
		if err == nil && string(payload) != `{"iss":"https://near.test"}` {
			t.Fatalf("believed %q", payload)
		}
	})
}
