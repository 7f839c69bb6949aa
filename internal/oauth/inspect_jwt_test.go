package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/oauth/keys"
	"signet/internal/platform/id"
)

// RFC 9701 §5: signed for the caller and nobody else, of a type of its own, also about what is not active;
// no member makes it look like a token.
func TestIntrospectJWT(t *testing.T) {
	t.Parallel()
	each(t, func(r *rig) {
		key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		set := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "e", Use: "enc", Algorithm: "ECDH-ES+A128KW"}}}))
		shop := r.shop(nil)
		tok := r.tokens(shop, "scope", "openid read")
		ask := func(c id.Client, token string) string {
			t.Helper()
			text, err := r.IntrospectJWT(t.Context(), post(basic(string(c), r.secrets[c]), values("token", token)))
			check(t, err)
			return text
		}
		for alg, edit := range map[string]func(*client.Metadata){
			keys.RS256: nil,
			keys.ES256: func(m *client.Metadata) { m.IntrospectionAlg = keys.ES256 },
			keys.EdDSA: func(m *client.Metadata) { m.IntrospectionAlg = keys.EdDSA },
		} {
			api := r.exchanger(edit)
			for token, active := range map[string]bool{tok.AccessToken: true, "x": false} {
				text := ask(api, token)
				jws := must(jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)}))
				if jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != typIntrospection {
					t.Error("wrong typ")
				}
				raw, err := r.keys.Verify(text, typIntrospection)
				check(t, err)
				var m map[string]any
				check(t, json.Unmarshal(raw, &m))
				inner, _ := m["token_introspection"].(map[string]any)
				if m["iss"] != testIssuer || m["aud"] != string(api) || m["iat"] != float64(r.clock.Now().Unix()) || len(m) != 4 || inner["active"] != active {
					t.Errorf("%s: %v", alg, m)
				}
				if !active && len(inner) != 1 {
					t.Errorf("says more of what is not active: %v", inner)
				}
			}
		}
		// Nothing takes an answer for a token.
		answer := ask(shop, tok.AccessToken)
		if r.active(shop, answer) {
			t.Error("an introspection answer is active as a token")
		}
		if _, err := r.verifyHint(answer); err == nil {
			t.Error("an introspection answer is an id_token_hint")
		}
		secret := r.exchanger(func(m *client.Metadata) {
			m.JWKS, m.IntrospectionAlg, m.IntrospectionEncAlg = set, keys.ES256, "ECDH-ES+A128KW"
		})
		jwe := must(jose.ParseEncryptedCompact(ask(secret, tok.AccessToken), []jose.KeyAlgorithm{jose.ECDH_ES_A128KW}, []jose.ContentEncryption{jose.A128CBC_HS256}))
		inner := must(jwe.Decrypt(key))
		if _, err := r.keys.Verify(string(inner), typIntrospection); err != nil {
			t.Error(err)
		}
		public := r.newClient(client.SPA, nil)
		_, err := r.IntrospectJWT(t.Context(), post(nil, values("token", tok.AccessToken, "client_id", string(public))))
		wantCode(t, err, InvalidClient)
	})
}
