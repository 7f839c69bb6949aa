package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
)

// jwksSet gives go-oidc the published keys, as a relying party would fetch them.
type jwksSet struct{ set jose.JSONWebKeySet }

func (s jwksSet) VerifySignature(_ context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA})
	if err != nil {
		return nil, err
	}
	return jws.Verify(s.set)
}

// TestIDToken_GoOIDC lets a relying party's library judge our ID tokens, at_hash included, and our
// access tokens' signatures, by the JWKS alone.
func TestIDToken_GoOIDC(t *testing.T) {
	t.Parallel()
	r := sqliteRig(t)
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		c := r.newClient(client.Web, func(m *client.Metadata) { m.IDTokenAlg = alg })
		tok := r.tokens(c)
		body, _ := r.keys.JWKS()
		var set jose.JSONWebKeySet
		check(t, json.NewDecoder(bytes.NewReader(body)).Decode(&set))
		v := oidc.NewVerifier(testIssuer, jwksSet{set}, &oidc.Config{
			ClientID: string(c), SupportedSigningAlgs: []string{alg}, Now: r.clock.Now,
		})
		idt, err := v.Verify(t.Context(), tok.IDToken)
		check(t, err)
		if err := idt.VerifyAccessToken(tok.AccessToken); err != nil {
			t.Errorf("%s: at_hash: %v", alg, err)
		}
		if idt.Nonce != "n-1" || idt.Subject != string(r.user) {
			t.Errorf("%s: %+v", alg, idt)
		}
		if _, err := (jwksSet{set}).VerifySignature(t.Context(), tok.AccessToken); err != nil {
			t.Errorf("access token: %v", err)
		}
		r.clock.Advance(11 * time.Minute)
		if _, err := v.Verify(t.Context(), tok.IDToken); err == nil {
			t.Error("go-oidc takes an expired token")
		}
	}
}
