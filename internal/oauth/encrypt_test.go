package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/platform/id"
)

// unsealer is an application that can decrypt.
type unsealer struct{ keys map[string]crypto.PrivateKey } // by the start of the algorithm

var newUnsealer = sync.OnceValue(func() unsealer {
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	big := must(rsa.GenerateKey(rand.Reader, 2048))
	return unsealer{map[string]crypto.PrivateKey{"EC": ec, "RS": big}}
})

// jwks is the key set that it registers: with a key for signatures, which nothing is encrypted to.
func (v unsealer) jwks() json.RawMessage {
	ec, big := v.keys["EC"].(*ecdsa.PrivateKey), v.keys["RS"].(*rsa.PrivateKey)
	signs := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: signs.Public(), KeyID: "sig", Use: "sig"}, {Key: ec.Public(), KeyID: "EC", Use: "enc"}, {Key: big.Public(), KeyID: "RS", Use: "enc"},
	}}))
}

// open decrypts a compact JWE and returns its payload and protected header.
func (v unsealer) open(t *testing.T, text, alg, enc string) (string, jose.Header) {
	t.Helper()
	box, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.ContentEncryption(enc)})
	check(t, err)
	plain, err := box.Decrypt(v.keys[alg[:2]])
	check(t, err)
	if box.Header.KeyID != alg[:2] {
		t.Errorf("%s: encrypted to key %q", alg, box.Header.KeyID)
	}
	return string(plain), box.Header
}

// TestEncrypt_IDToken: signed, then encrypted, with each algorithm (OIDC Core §10.2, OIDC Registration
// §2); whoever decrypts it has an ID token that is a hint like any other (OIDC Core §3.1.2.1).
func TestEncrypt_IDToken(t *testing.T) {
	t.Parallel()
	r, v := legacy(sqliteRig(t)), newUnsealer()
	for i, alg := range client.EncryptionAlgs() {
		enc := client.ContentEncryptions()[i%len(client.ContentEncryptions())]
		c := r.hybridClient(func(m *client.Metadata) { m.JWKS, m.IDTokenEncAlg, m.IDTokenEncEnc = v.jwks(), alg, enc })
		p := r.answer(ask(c, "response_type", "code id_token")).Params
		tok := must(r.exchange(c, p.Get("code")))
		for _, box := range []string{p.Get("id_token"), tok.IDToken, must(r.refresh(c, tok.RefreshToken)).IDToken} {
			inner, head := v.open(t, box, alg, enc)
			if head.ExtraHeaders["cty"] != "JWT" { // RFC 7519 §5.2
				t.Errorf("%s: cty %v", alg, head.ExtraHeaders)
			}
			if claims := claimsOf(t, inner); claims["sub"] != string(r.user) {
				t.Errorf("%s: %v", alg, claims)
			}
			req := must(r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", inner)))
			if !r.Hinted(req, r.user) {
				t.Errorf("%s: not a hint", alg)
			}
		}
		if strings.Count(tok.AccessToken, ".") != 2 {
			t.Errorf("%s: access token is not a JWS", alg)
		}
	}
	c := r.newClient(client.Web, func(m *client.Metadata) { m.JWKS, m.IDTokenEncAlg = v.jwks(), "ECDH-ES" })
	v.open(t, r.tokens(c).IDToken, "ECDH-ES", "A128CBC-HS256") // the default of OIDC Registration §2
}

// TestEncrypt_NeverInClear: without a key there is an error, not a token (security case JW-06): one
// that nobody can read beats one that everybody can.
func TestEncrypt_NeverInClear(t *testing.T) {
	t.Parallel()
	r, v := legacy(sqliteRig(t)), newUnsealer()
	c := r.hybridClient(func(m *client.Metadata) { m.JWKS, m.IDTokenEncAlg, m.UserinfoEncAlg = v.jwks(), "ECDH-ES", "ECDH-ES" })
	access := r.tokens(c).AccessToken
	code := r.code(ask(c))
	k := newClientKey(t)
	r.edit(c, func(m *client.Metadata) { m.JWKS = k.jwks(t) }) // for signatures alone
	for name, act := range map[string]func() error{
		"code":     func() error { _, err := r.exchange(c, code); return err },
		"userinfo": func() error { _, err := r.Userinfo(t.Context(), Call{}, "Bearer", access); return err },
		"front": func() error {
			req := must(r.ParseAuthorize(t.Context(), ask(c, "response_type", "id_token")))
			_, err := r.Issue(t.Context(), req, r.login())
			return err
		},
	} {
		if e := wantCode(t, act(), InvalidRequest); name == "front" && e.Redirect == nil {
			t.Error("the application is not told")
		}
	}
	// A key set that cannot be read now is a fault of now: 503, and the code is still good.
	r.edit(c, func(m *client.Metadata) { m.JWKS, m.JWKSURI = nil, "https://127.0.0.1/jwks.json" })
	_, err := r.exchange(c, code)
	if e := AsError(err); e.Code != TemporarilyUnavailable || e.Status != http.StatusServiceUnavailable {
		t.Errorf("unreadable keys: %v", err)
	}
	r.edit(c, func(m *client.Metadata) { m.JWKS, m.JWKSURI = v.jwks(), "" })
	_, err = r.exchange(c, code)
	check(t, err)
}

// TestUserinfo_Forms: as JSON, signed, encrypted or both (OIDC Core §5.3.2): signed answers have iss and
// aud. Conformance: oidcc-userinfo-rs256.
func TestUserinfo_Forms(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		v := newUnsealer()
		info := func(edit func(*client.Metadata)) (id.Client, *Info) {
			c := r.newClient(client.Web, func(m *client.Metadata) { m.JWKS = v.jwks(); edit(m) })
			return c, must(r.Userinfo(t.Context(), Call{}, "Bearer", r.tokens(c, "scope", "openid email").AccessToken))
		}
		for _, alg := range []string{keys.RS256, keys.ES256, keys.EdDSA} {
			c, got := info(func(m *client.Metadata) { m.UserinfoAlg = alg })
			r.checkSignedInfo(c, alg, got.JWT)
			if got.Claims != nil {
				t.Errorf("%s: plain claims beside the JWT", alg)
			}
			_, err := r.ParseAuthorize(t.Context(), ask(c, "id_token_hint", got.JWT))
			wantCode(t, err, InvalidRequest) // RFC 8725 §3.11
			_, err = r.Userinfo(t.Context(), Call{}, "Bearer", got.JWT)
			wantCode(t, err, InvalidToken)
		}
		_, got := info(func(m *client.Metadata) { m.UserinfoEncAlg, m.UserinfoEncEnc = "RSA-OAEP-256", "A256GCM" })
		plain, head := v.open(t, got.JWT, "RSA-OAEP-256", "A256GCM")
		var claims map[string]any
		check(t, json.Unmarshal([]byte(plain), &claims))
		if claims["sub"] != string(r.user) || claims["email"] != "kim@rp.test" || head.ExtraHeaders["cty"] != nil || got.Claims != nil {
			t.Errorf("encrypted: %v %v", claims, head.ExtraHeaders)
		}
		c, got := info(func(m *client.Metadata) { m.UserinfoAlg, m.UserinfoEncAlg = keys.ES256, "ECDH-ES+A256KW" })
		inner, head := v.open(t, got.JWT, "ECDH-ES+A256KW", "A128CBC-HS256")
		if head.ExtraHeaders["cty"] != "JWT" {
			t.Errorf("nested: cty %v", head.ExtraHeaders)
		}
		r.checkSignedInfo(c, keys.ES256, inner)
	})
}

func (r *rig) checkSignedInfo(c id.Client, alg, token string) {
	t := r.t
	t.Helper()
	if _, err := r.keys.Verify(token, ""); err != nil {
		t.Errorf("%s: %v", alg, err)
	}
	if jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)}); err != nil || jws.Signatures[0].Header.KeyID == "" {
		t.Errorf("%s: %v", alg, err)
	}
	claims := claimsOf(t, token)
	if claims["iss"] != testIssuer || claims["aud"] != string(c) || claims["sub"] != string(r.user) || claims["email"] != "kim@rp.test" ||
		claims["email_verified"] != true || claims["nonce"] != nil {
		t.Errorf("%s: %v", alg, claims)
	}
}

// TestEncrypt_ManyAtOnce: nothing of the client's keys is shared that must not be.
func TestEncrypt_ManyAtOnce(t *testing.T) {
	t.Parallel()
	r, v := sqliteRig(t), newUnsealer()
	c := must(r.clients.Get(t.Context(), r.newClient(client.Web, func(m *client.Metadata) { m.JWKS, m.UserinfoEncAlg = v.jwks(), "ECDH-ES" })))
	boxes := make([]string, 16)
	var wg sync.WaitGroup
	for i := range boxes {
		wg.Go(func() {
			box, err := r.encryptTo(context.Background(), c, "ECDH-ES", "", []byte{byte('a' + i)}, "")
			if err != nil {
				t.Error(err)
			}
			boxes[i] = box
		})
	}
	wg.Wait()
	for i, box := range boxes {
		if plain, _ := v.open(t, box, "ECDH-ES", "A128CBC-HS256"); plain != string(rune('a'+i)) {
			t.Errorf("%d: %q", i, plain)
		}
	}
	slices.Sort(boxes)
	if len(slices.Compact(boxes)) != 16 {
		t.Error("two boxes are alike")
	}
}
