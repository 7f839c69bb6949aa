package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"signet/internal/oauth/client"
	"signet/internal/oauth/trust"
	"signet/internal/platform/errs"
	"signet/internal/platform/id"
)

const testTrusted = "https://ci.test"

// trustedKey signs for the issuers that every rig trusts.
var trustedKey = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })

func testTrust(t testing.TB) *trust.Service {
	t.Helper()
	set := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &trustedKey().PublicKey, KeyID: "ci", Use: "sig"}}}))
	return must(trust.New(nil, []trust.Issuer{
		{Name: "ci", Issuer: testTrusted, JWKS: set},
		{Name: "software", Issuer: "https://software.test", JWKS: set, Subject: trust.None},
		{Name: "elsewhere", Issuer: "https://elsewhere.test", JWKS: set},
	}))
}

// Resolve knows people by their id.
func (p *people) Resolve(ctx context.Context, _ trust.Issuer, subject string) (id.User, error) {
	s, err := p.Subject(ctx, id.User(subject))
	if err == nil && !s.Active {
		err = errs.New(errs.NotFound, "", nil)
	}
	return s.ID, err
}

// assertion is a sound assertion about the rig's user; change edits its claims.
func (r *rig) assertion(change func(map[string]any)) string {
	return r.signed(nil, change)
}

func (r *rig) signed(head map[jose.HeaderKey]any, change func(map[string]any)) string {
	r.t.Helper()
	now := r.clock.Now().Unix()
	claims := map[string]any{"iss": testTrusted, "sub": string(r.user), "aud": testIssuer, "exp": now + 60, "iat": now, "jti": id.New()}
	if change != nil {
		change(claims)
	}
	s := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: trustedKey(), KeyID: "ci"}}, &jose.SignerOptions{ExtraHeaders: head}))
	return must(must(s.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// bearer registers a client that may present assertions.
func (r *rig) bearer(edit func(*client.Metadata)) id.Client {
	r.t.Helper()
	return r.newClient(client.Web, func(m *client.Metadata) {
		m.GrantTypes = append(m.GrantTypes, client.GrantJWTBearer)
		m.TrustedIssuers = []string{"ci", "software"}
		m.Audiences = []string{testAPI, otherAPI}
		if edit != nil {
			edit(m)
		}
	})
}

func (r *rig) assert(c id.Client, assertion string, pairs ...string) (*Tokens, error) {
	return r.post(c, values(append([]string{"grant_type", client.GrantJWTBearer, "assertion", assertion}, pairs...)...))
}

// exchanger registers a client that may exchange the tokens of others.
func (r *rig) exchanger(edit func(*client.Metadata), others ...id.Client) id.Client {
	r.t.Helper()
	return r.newClient(client.Machine, func(m *client.Metadata) {
		m.GrantTypes = append(m.GrantTypes, client.GrantTokenExchange)
		m.Scopes = []string{"read", "write", "other"}
		m.Audiences = []string{testAPI, otherAPI}
		for _, o := range others {
			m.ExchangeClients = append(m.ExchangeClients, string(o))
		}
		if edit != nil {
			edit(m)
		}
	})
}

func (r *rig) trade(c id.Client, token string, pairs ...string) (*Tokens, error) {
	form := values("grant_type", client.GrantTokenExchange, "subject_token", token, "subject_token_type", typeAccessToken)
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return r.post(c, form)
}
